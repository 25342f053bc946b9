package totp

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// RFC 4226, appendix D.
func TestCodeHOTP(t *testing.T) {
	t.Parallel()
	for step, want := range []string{"755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"} {
		if got := known.Code(int64(step)); got != want {
			t.Errorf("step %d: got %s, want %s", step, got, want)
		}
	}
}

// RFC 6238, appendix B, the rows for SHA-1. It has codes of eight digits, which
// are a number modulo 10^8 (RFC 4226, section 5.3); the last six digits of that
// are the same number modulo 10^6.
func TestCodeTOTP(t *testing.T) {
	t.Parallel()
	tests := []struct {
		unix, step int64
		eight      string
	}{
		{59, 0x1, "94287082"},
		{1111111109, 0x23523EC, "07081804"},
		{1111111111, 0x23523ED, "14050471"},
		{1234567890, 0x273EF07, "89005924"},
		{2000000000, 0x3F940AA, "69279037"},
		{20000000000, 0x27BC86AA, "65353130"},
	}
	for _, tt := range tests {
		step := known.Step(time.Unix(tt.unix, 0))
		if step != tt.step {
			t.Errorf("%d is in step %#x, want %#x", tt.unix, step, tt.step)
		}
		if got := known.Code(step); got != tt.eight[2:] {
			t.Errorf("%d: got %s, want the end of %s", tt.unix, got, tt.eight)
		}
	}
}

func TestStep(t *testing.T) {
	t.Parallel()
	start := time.Unix(1_700_000_010, 0) // the first moment of a step
	step := known.Step(start)
	for after, want := range map[time.Duration]int64{
		-time.Nanosecond: step - 1, 0: step, 30*time.Second - 1: step, 30 * time.Second: step + 1, time.Hour: step + 120,
	} {
		at := start.Add(after).In(time.FixedZone("", 5*3600+45*60)) // a zone changes nothing
		if got := known.Step(at); got != want {
			t.Errorf("%v later: got %d, want %d", after, got, want)
		}
	}
}

func TestMatch(t *testing.T) {
	t.Parallel()
	const now = 56_666_667
	code := known.Code
	tests := []struct {
		name  string
		typed string
		step  int64 // that it is
		after int64
		want  int64 // 0: refused
	}{
		{"now", code(now), now, 0, now},
		{"one before", code(now - 1), now, 0, now - 1},
		{"one after", code(now + 1), now, 0, now + 1},
		{"two before", code(now - 2), now, 0, 0},
		{"two after", code(now + 2), now, 0, 0},
		{"used long ago", code(now), now, now - 1000, now},
		{"the one before was used", code(now), now, now - 1, now},
		{"used", code(now), now, now, 0},
		{"used, still now - 1", code(now - 1), now, now - 1, 0},
		{"used early, now + 1", code(now + 1), now, now + 1, 0},
		{"older than the last used", code(now - 1), now, now, 0},
		{"next after the last used", code(now + 1), now, now, now + 1},
		{"a later one was used", code(now), now, now + 1, 0},
		{"a clock that was set back: all are used", code(now + 1), now, now + 1000, 0},
		{"the greatest", code(now), now, math.MaxInt64, 0},
		{"never used, said otherwise", code(now), now, -1, now},

		{"in two groups", code(now)[:3] + " " + code(now)[3:], now, 0, now},
		{"spaces everywhere", " \t" + strings.Join(strings.Split(code(now), ""), "\u00a0\u2009") + "\r\n", now, 0, now},
		{"in groups and used", code(now)[:3] + " " + code(now)[3:], now, now, 0},
		{"leading zero", "038755", 679860, 0, 679860},
		{"leading zero left out", "38755", 679860, 0, 0},

		// The same code for two steps: whichever is meant, it is good once only.
		{"of now and the next", "911617", 910737, 0, 910738},
		{"of now and the next, used", "911617", 910737, 910738, 0},
		{"of the first and the last", "468457", 153568, 0, 153569},
		{"of the first and the last, used", "468457", 153568, 153569, 0},
		{"of the first and the last, the first is used", "468457", 153568, 153567, 153569},
	}
	for _, tt := range tests {
		step, ok := known.Match(tt.typed, time.Unix(tt.step*30+17, 0), tt.after)
		if step != tt.want || ok != (tt.want != 0) {
			t.Errorf("%s: got %d, %v; want %d", tt.name, step, ok, tt.want)
		}
	}
}

func TestMatchRefuses(t *testing.T) {
	t.Parallel()
	at := time.Unix(1_700_000_000, 0)
	right := known.Code(known.Step(at))
	wide := strings.Map(func(r rune) rune { return r - '0' + '０' }, right)
	arabic := strings.Map(func(r rune) rune { return r - '0' + '٠' }, right)
	for _, typed := range []string{
		"", " ", right[:5], right + "0", "0" + right, right + right, right[:5] + "x", "+" + right[1:], "-" + right, right[:3] + "-" + right[3:],
		right + "\x00", "\x00" + right, right + "\xff", right[:3] + "\u200b" + right[3:], wide, arabic, "0x" + right[2:], right[:4] + "e0",
		strings.Repeat(" ", 1<<16), strings.Repeat(right, 1<<12),
	} {
		if step, ok := known.Match(typed, at, 0); ok || step != 0 {
			t.Errorf("%.40q matched step %d", typed, step)
		}
	}
	if _, ok := (Secret{}).Match(Secret{}.Code(known.Step(at)), at, 0); ok {
		t.Error("a code of no secret matched")
	}
	other := known
	other[19] ^= 1
	if _, ok := other.Match(right, at, 0); ok {
		t.Error("a code of another secret matched")
	}
}

// Each code is good once, whatever the moments and the order it is tried in.
func TestMatchOnce(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	used, last := make(map[string]bool), int64(0)
	for second := int64(1_700_000_000); second < 1_700_003_600; second += random.Int64N(10) {
		at := time.Unix(second, 0)
		typed := known.Code(known.Step(at) + random.Int64N(5) - 2)
		step, ok := known.Match(typed, at, last)
		if !ok {
			continue
		}
		if used[typed] || step <= last {
			t.Fatalf("step %d was used already", step)
		}
		used[typed], last = true, step
	}
	if len(used) < 50 { // of 120 steps
		t.Errorf("only %d codes were accepted", len(used))
	}
}

// oathtool is an implementation that nobody here wrote. The secrets are the same
// in each run, so that a failure can be repeated.
func TestAgreesWithOathtool(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("oathtool")
	if err != nil {
		t.Fatal("there is no oathtool: run integration/setup.sh, which installs it or says what to install")
	}
	random := rand.NewChaCha8([32]byte{1})
	for i := range 50 {
		var s Secret
		if _, err := random.Read(s[:]); err != nil {
			t.Fatal(err)
		}
		at := time.Unix(int64(random.Uint64()%4_000_000_000), 0).UTC()
		text := s.Base32()
		if i%2 == 1 {
			text = s.Grouped()
		}
		out, err := exec.CommandContext(t.Context(), program, "--totp", "--base32", "--now="+at.Format("2006-01-02 15:04:05")+" UTC", text).CombinedOutput()
		if err != nil {
			t.Fatalf("secret %d: %v: %s", i, err, out)
		}
		theirs := strings.TrimSpace(string(out))
		if ours := s.Code(s.Step(at)); ours != theirs {
			t.Errorf("secret %d at %v: ours is %s, theirs %s", i, at, ours, theirs)
		}
		if step, ok := s.Match(theirs, at, 0); !ok || step != s.Step(at) {
			t.Errorf("secret %d at %v: their code matched %d, %v", i, at, step, ok)
		}
	}
}

func FuzzMatch(f *testing.F) {
	now := int64(1_700_000_000)
	f.Add(known.Code(now/30), now, int64(0))
	f.Add(" "+known.Code(now/30 - 1)[:3]+" "+known.Code(now/30 - 1)[3:], now, int64(0))
	f.Add(known.Code(now/30+1), now, now/30)
	f.Add("９99999", int64(math.MinInt64), int64(math.MaxInt64))
	f.Add("\xff12345", int64(0), int64(-5))
	f.Fuzz(func(t *testing.T, typed string, unix, after int64) {
		at := time.Unix(unix, 0)
		step, ok := known.Match(typed, at, after)
		// The same, written so that it is plain rather than constant in time.
		want, found := int64(0), false
		for i := int64(-1); i <= 1; i++ {
			if s := at.Unix()/30 + i; s > after && strings.Join(strings.Fields(typed), "") == known.Code(s) {
				want, found = s, true
			}
		}
		if step != want || ok != found {
			t.Fatalf("%q at %d after %d: got %d, %v; want %d, %v", typed, unix, after, step, ok, want, found)
		}
	})
}

func BenchmarkMatch(b *testing.B) {
	at := time.Unix(1_700_000_000, 0)
	step := known.Step(at)
	for name, typed := range map[string]string{"right": known.Code(step), "wrong": "000000", "no code": "alice"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				known.Match(typed, at, step-1)
			}
		})
	}
}

func ExampleSecret_Match() {
	s := Secret([]byte("12345678901234567890"))
	now := time.Unix(1111111111, 0)
	last, ok := s.Match("050 471", now, 0)
	fmt.Println(last, ok)
	_, ok = s.Match("050 471", now, last)
	fmt.Println(ok)
	// Output:
	// 37037037 true
	// false
}
