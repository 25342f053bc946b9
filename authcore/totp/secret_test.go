package totp

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// known is the secret of the test vectors in RFC 4226 and RFC 6238.
var known = Secret([]byte("12345678901234567890"))

const knownText = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"

func TestSecretText(t *testing.T) {
	t.Parallel()
	if got := known.Base32(); got != knownText {
		t.Errorf("Base32 is %s", got)
	}
	if got, want := known.Grouped(), "GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ"; got != want {
		t.Errorf("in groups it is %s", got)
	}
}

func TestNewSecret(t *testing.T) {
	t.Parallel()
	seen := make(map[Secret]bool)
	for range 1000 {
		s := NewSecret()
		if seen[s] || s == (Secret{}) {
			t.Fatal("the same secret twice, or none")
		}
		seen[s] = true
		for _, text := range []string{s.Base32(), s.Grouped()} {
			if back, err := ParseSecret(text); err != nil || back != s {
				t.Fatalf("not read back: %v", err)
			}
		}
	}
}

func TestParseSecret(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"as it is":          knownText,
		"in groups":         known.Grouped(),
		"lower case":        strings.ToLower(knownText),
		"both cases":        strings.ToLower(knownText[:9]) + knownText[9:],
		"dashes":            "GEZD-GNBV-GY3T-QOJQ-GEZD-GNBV-GY3T-QOJQ",
		"typographic":       "GEZD–GNBV—GY3T‑QOJQ−GEZD\u00a0GNBV\u2009GY3T\u3000QOJQ",
		"space around":      "\r\n\t " + knownText + " \r\n",
		"space all through": strings.Join(strings.Split(knownText, ""), " "),
	} {
		if got, err := ParseSecret(text); err != nil || got != known {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestParseSecretErrors(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, text, want string }{
		{"empty", "", "has 0 letters and digits, not 32"},
		{"only spaces", " - ", "has 0 letters and digits, not 32"},
		{"one missing", knownText[1:], "has 31 letters and digits, not 32"},
		{"one too many", knownText + "A", "has 33 letters and digits, not 32"},
		{"very long", strings.Repeat("A", 1<<20), "has 1048576 letters"},
		{"zero", "GEZD 0NBV" + knownText[8:], "character 5 of the secret cannot be right: a secret has only the letters A to Z and the digits 2 to 7; is it the letter O?"},
		{"one", "1" + knownText[1:], "the letter I or L?"},
		{"eight", knownText[:31] + "8", "character 32 of the secret cannot be right: a secret has only the letters A to Z and the digits 2 to 7; is it the letter B?"},
		{"nine", "9" + knownText[1:], "character 1 "},
		{"padding", knownText + "=", "character 33 "},
		{"a URI", "otpauth://totp/alice?secret=" + knownText, "character 8 "},
		{"a letter that folds to ASCII", "ſ" + knownText[1:], "character 1 "},
		{"wide letters", "Ａ" + knownText[1:], "character 1 "},
		{"not UTF-8", "\xff" + knownText[1:], "character 1 "},
		{"none", strings.Repeat("A", 32), "make a new one"},
	}
	for _, tt := range tests {
		got, err := ParseSecret(tt.text)
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), knownText[12:20]) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
		if got != (Secret{}) {
			t.Errorf("%s: an error comes with a secret", tt.name)
		}
	}
}

func TestSecretIsHidden(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "% x", "%d", "%o", "%b", "%c", "%U"} {
		fmt.Fprintf(&out, verb+" "+verb+"\n", known, &known)
	}
	fmt.Fprintln(&out, known, []Secret{known}, struct{ S Secret }{known}, known.String(), known.GoString())
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "s", known, "in", struct{ S Secret }{known})
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "s", known, "in", struct{ S Secret }{known})
	if err := json.NewEncoder(&out).Encode(map[string]any{"s": known, "in": struct{ S *Secret }{&known}}); err != nil {
		t.Fatal(err)
	}
	shown := strings.ToLower(out.String())
	// The first bytes of the secret: text, decimal, hexadecimal, octal, binary, Base32.
	for _, trace := range []string{"123", "49", "31", "61", "110001", "gez", "mti"} {
		for line := range strings.Lines(shown) {
			if _, after, found := strings.Cut(line, `"time":`); found {
				_, line, _ = strings.Cut(after, ",")
			} else if strings.HasPrefix(line, "time=") {
				_, line, _ = strings.Cut(line, " ")
			}
			if strings.Contains(line, trace) {
				t.Errorf("%q is seen in %s", trace, line)
			}
		}
	}
	if n := strings.Count(shown, hidden); n < 30 {
		t.Errorf("hidden %d times in\n%s", n, shown)
	}
}

func FuzzParseSecret(f *testing.F) {
	f.Add(knownText)
	f.Add("gezd-gnbv gy3t qojq\u00a0gezd gnbv gy3t qojq")
	f.Add("GEZD 0NBV 1Y3T 8OJQ")
	f.Add("\xff\u2212ſ")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSecret(text)
		if err != nil {
			if s != (Secret{}) {
				t.Fatal("an error comes with a secret")
			}
			if strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Fatalf("the error is not plain text: %q", err)
			}
			return
		}
		// What was read is what the text has, letter for letter.
		plain := strings.Map(func(r rune) rune {
			if r < '0' || r > 'z' {
				return -1
			}
			return r
		}, text)
		if !strings.EqualFold(plain, s.Base32()) || s == (Secret{}) {
			t.Fatalf("%q was read as another", text)
		}
		if back, err := ParseSecret(s.Grouped()); err != nil || back != s {
			t.Fatalf("not read back: %v", err)
		}
	})
}
