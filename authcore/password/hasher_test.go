package password

import (
	"context"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"golang.org/x/crypto/argon2"
)

// cheap parameters keep tests fast.
var cheap = Params{Memory: 64, Passes: 2, Lanes: 1}

func newHasher(t testing.TB, g *Gate, p Params) *Hasher {
	t.Helper()
	h, err := NewHasher(g, p)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func mustHash(t testing.TB, h *Hasher, pw string) Hash {
	t.Helper()
	hash, err := h.Hash(t.Context(), pw)
	if err != nil {
		t.Fatal(err)
	}
	return hash
}

func TestNewHasherRefuses(t *testing.T) {
	t.Parallel()
	if _, err := NewHasher(nil, DefaultParams); err == nil {
		t.Error("accepted no gate")
	}
	if _, err := NewHasher(NewGate(1), Params{}); err == nil {
		t.Error("accepted no parameters")
	}
}

func TestVerify(t *testing.T) {
	t.Parallel()
	h := newHasher(t, NewGate(0), cheap)
	long := strings.Repeat("x", 80)
	tests := []struct {
		name, set, given string
		want             bool
	}{
		{"the same", "a violet umbrella", "a violet umbrella", true},
		{"another", "a violet umbrella", "a violet umbrellb", false},
		{"other case", "a violet umbrella", "A violet umbrella", false},
		{"longer by a space", "a violet umbrella", "a violet umbrella ", false},
		{"nothing given", "a violet umbrella", "", false},
		{"empty", "", "", true},
		{"a NUL inside", "violet\x00umbrella", "violet\x00other", false},
		{"differs after 72 bytes", long + "1", long + "2", false},
		{"composed and decomposed", "caf\u00e9 noir", "cafe\u0301 noir", true},
		{"decomposed and composed", "cafe\u0301 noir", "caf\u00e9 noir", true},
		{"compatible, not the same", "o\ufb03ce chair", "office chair", false},
		{"not UTF-8", "violet \xff", "violet \xfe", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ok, rehash, err := h.Verify(t.Context(), mustHash(t, h, tt.set), tt.given)
			if ok != tt.want || rehash || err != nil {
				t.Errorf("got %v, %v, %v, want %v, false, nil", ok, rehash, err, tt.want)
			}
		})
	}
}

func TestHashIsSalted(t *testing.T) {
	t.Parallel()
	h := newHasher(t, NewGate(0), cheap)
	a, b := mustHash(t, h, "a violet umbrella"), mustHash(t, h, "a violet umbrella")
	if string(a) == string(b) {
		t.Error("two hashes of one password are the same")
	}
	p, err := ParseHash(string(a))
	if err != nil {
		t.Fatal(err)
	}
	if p.Params != cheap || len(p.Salt) != 16 || len(p.Key) != 32 {
		t.Errorf("made a hash with %+v, salt %d, key %d bytes", p.Params, len(p.Salt), len(p.Key))
	}
}

func TestRehash(t *testing.T) {
	t.Parallel()
	const pw = "a violet umbrella"
	want := Params{Memory: 64, Passes: 2, Lanes: 2}
	tests := []struct {
		name         string
		stored       Params
		salt, keyLen int
		want         bool
	}{
		{"as they are", want, 16, 32, false},
		{"stronger", Params{128, 3, 3}, 16, 32, false},
		{"less memory", Params{63, 2, 2}, 16, 32, true},
		{"fewer passes", Params{64, 1, 2}, 16, 32, true},
		{"fewer lanes", Params{64, 2, 1}, 16, 32, true},
		{"more memory, fewer passes", Params{128, 1, 2}, 16, 32, true},
		{"shorter salt", want, 8, 32, true},
		{"longer salt", want, 64, 32, true},
		{"shorter key", want, 16, 16, true},
		{"longer key", want, 16, 64, true},
	}
	h := newHasher(t, NewGate(0), want)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			salt := make([]byte, tt.salt)
			key := argon2.IDKey([]byte(pw), salt, tt.stored.Passes, tt.stored.Memory, tt.stored.Lanes, uint32(tt.keyLen))
			stored := Parsed{tt.stored, salt, key}.encode()
			ok, rehash, err := h.Verify(t.Context(), stored, pw)
			if !ok || rehash != tt.want || err != nil {
				t.Errorf("got %v, %v, %v, want true, %v, nil", ok, rehash, err, tt.want)
			}
			// A wrong password is no occasion to rehash.
			if ok, rehash, err = h.Verify(t.Context(), stored, "another"); ok || rehash || err != nil {
				t.Errorf("wrong password: got %v, %v, %v", ok, rehash, err)
			}
		})
	}
}

// The hash of the reference program for "password" with the salt "somesalt":
// what others wrote, we can read. It is a vector of the phc-winner-argon2 suite.
func TestVerifyReferenceHash(t *testing.T) {
	t.Parallel()
	key, err := hex.DecodeString("09316115d5cf24ed5a15a31a3ba326e5cf32edc24702987c02b6566f61913cf7")
	if err != nil {
		t.Fatal(err)
	}
	stored := Parsed{Params{1 << 16, 2, 1}, []byte("somesalt"), key}.encode()
	ok, rehash, err := newHasher(t, NewGate(1), DefaultParams).Verify(t.Context(), stored, "password")
	if !ok || !rehash || err != nil {
		t.Errorf("got %v, %v, %v, want true, true (the salt is short), nil", ok, rehash, err)
	}
}

func TestVerifyMalformed(t *testing.T) {
	t.Parallel()
	g := NewGate(1)
	h := newHasher(t, g, cheap)
	for _, stored := range []Hash{"", "x", "a violet umbrella", "$argon2id$v=19$m=19456,t=2,p=1$$"} {
		ok, rehash, err := h.Verify(t.Context(), stored, string(stored))
		if ok || rehash || !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: got %v, %v, %v", string(stored), ok, rehash, err)
		}
	}
	if got := g.Stats().Hashed; got != 0 {
		t.Errorf("%d hashes done for nothing", got)
	}
}

// Known user with the right and with the wrong password, unknown user: one run
// each, with the same parameters.
func TestVerifyCostsOneHash(t *testing.T) {
	t.Parallel()
	g := NewGate(1)
	h := newHasher(t, g, cheap)
	stored := mustHash(t, h, "a violet umbrella")
	calls := map[string]func() error{
		"right":   func() error { _, _, err := h.Verify(t.Context(), stored, "a violet umbrella"); return err },
		"wrong":   func() error { _, _, err := h.Verify(t.Context(), stored, "another"); return err },
		"unknown": func() error { return h.VerifyUnknown(t.Context(), "another") },
	}
	for name, call := range calls {
		before := g.Stats().Hashed
		if err := call(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := g.Stats().Hashed - before; got != 1 {
			t.Errorf("%s: %d hashes, want 1", name, got)
		}
	}
	if h.dummy.Params != h.params || len(h.dummy.Salt) != saltLen || len(h.dummy.Key) != keyLen {
		t.Error("the dummy differs from a real hash")
	}
}

func TestHasherBehindGate(t *testing.T) {
	t.Parallel()
	g := NewGate(1)
	h := newHasher(t, g, cheap)
	stored := mustHash(t, h, "a violet umbrella")
	release, err := g.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	before := g.Stats().Hashed
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for want, ctx := range map[error]context.Context{ErrBusy: t.Context(), context.Canceled: ended} {
		if hash, err := h.Hash(ctx, "x"); hash != "" || !errors.Is(err, want) {
			t.Errorf("Hash: got %v, want %v", err, want)
		}
		if ok, _, err := h.Verify(ctx, stored, "a violet umbrella"); ok || !errors.Is(err, want) {
			t.Errorf("Verify: got %v, %v, want %v", ok, err, want)
		}
		if err := h.VerifyUnknown(ctx, "x"); !errors.Is(err, want) {
			t.Errorf("VerifyUnknown: got %v, want %v", err, want)
		}
	}
	if got := g.Stats().Hashed - before; got != 0 {
		t.Errorf("%d hashes done without a permit", got)
	}
	release()
	if ok, _, err := h.Verify(t.Context(), stored, "a violet umbrella"); !ok || err != nil {
		t.Errorf("after the release: got %v, %v", ok, err)
	}
	if got := g.Stats().InUse; got != 0 {
		t.Errorf("%d permits kept", got)
	}
}

func BenchmarkVerify(b *testing.B) {
	h := newHasher(b, NewGate(0), DefaultParams)
	stored := mustHash(b, h, "a violet umbrella")
	b.Run("known", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if ok, _, err := h.Verify(b.Context(), stored, "a violet umbrella"); !ok || err != nil {
				b.Fatal(ok, err)
			}
		}
	})
	b.Run("unknown", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := h.VerifyUnknown(b.Context(), "a violet umbrella"); err != nil {
				b.Fatal(err)
			}
		}
	})
}
