package password

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

func TestRulesCheck(t *testing.T) {
	t.Parallel()
	context := []string{"alice.archer", "Wonderland@example.com", "Corner Shop", ""}
	tests := []struct {
		name, pw string
		rules    Rules
		want     string // code; empty: accepted
	}{
		{"a phrase", "a violet umbrella", DefaultRules.WithFactor(), ""},
		{"eight, all alike in kind", "grzdplqx", DefaultRules.WithFactor(), ""},
		{"spaces count", "a b c d ", DefaultRules.WithFactor(), ""},
		{"empty", "", DefaultRules.WithFactor(), CodeTooShort},
		{"seven", "grzdplq", DefaultRules.WithFactor(), CodeTooShort},
		{"eight runes of three bytes", "花見月夜山川雪風", DefaultRules.WithFactor(), ""},
		{"seven runes of three bytes", "花見月夜山川雪", DefaultRules.WithFactor(), CodeTooShort},
		{"seven letters, decomposed", "e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301", DefaultRules.WithFactor(), CodeTooShort},
		{"1024 bytes", strings.Repeat("violet tea cup, ", 63) + "another 16 bytes", DefaultRules.WithFactor(), ""},
		{"1025 bytes", strings.Repeat("x", 1025), DefaultRules.WithFactor(), CodeTooLong},
		{"1 MB", strings.Repeat("x", 1<<20), DefaultRules.WithFactor(), CodeTooLong},
		{"zero rules are the default, short", "grzdplq", Rules{}, CodeTooShort},
		{"zero rules are the default, long", strings.Repeat("x", 1025), Rules{}, CodeTooLong},
		{"own minimum", "a violet umbrella", Rules{MinLength: 18}, CodeTooShort},
		{"own maximum", "a violet umbrella", Rules{MaxBytes: 16}, CodeTooLong},
		{"common", "password123", DefaultRules.WithFactor(), CodeCommon},
		{"common in other case", "PassWord123", DefaultRules.WithFactor(), CodeCommon},
		{"common with an accent, decomposed", "Contrasen\u0303a1", DefaultRules.WithFactor(), CodeCommon},
		{"common inside is fine", "password123 violet", DefaultRules.WithFactor(), ""},
		{"username", "alice.archer", DefaultRules.WithFactor(), CodePersonal},
		{"username in other case", "ALICE.archer", DefaultRules.WithFactor(), CodePersonal},
		{"email", "wonderland@EXAMPLE.com", DefaultRules.WithFactor(), CodePersonal},
		{"before the @", "wonderland", DefaultRules.WithFactor(), CodePersonal},
		{"site", "corner shop", DefaultRules.WithFactor(), CodePersonal},
		{"username inside is fine", "alice.archer violet", DefaultRules.WithFactor(), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := tt.rules.Check(tt.pw, context...)
			if tt.want == "" {
				if err != nil {
					t.Errorf("got %v, want no error", err)
				}
				return
			}
			var weak *WeakError
			if !errors.As(err, &weak) || weak.Code != tt.want {
				t.Fatalf("got %v, want %s", err, tt.want)
			}
			if weak.Message == "" || tt.pw != "" && strings.Contains(err.Error(), tt.pw) {
				t.Errorf("bad message %q", err)
			}
		})
	}
}

func TestRulesMessage(t *testing.T) {
	t.Parallel()
	var weak *WeakError
	if err := DefaultRules.Check("short"); !errors.As(err, &weak) || weak.Message != "Use at least 15 characters." {
		t.Errorf("got %v", err)
	}
}

// The list is kept in a form in which a mistake in it would show.
func TestCommonPasswords(t *testing.T) {
	t.Parallel()
	lines := strings.Split(strings.TrimSuffix(commonText, "\n"), "\n")
	if len(lines) < 300 {
		t.Errorf("only %d passwords", len(lines))
	}
	if !slices.IsSorted(lines) {
		t.Error("not sorted")
	}
	if n := len(common()); n != len(lines) {
		t.Errorf("%d lines hold %d passwords", len(lines), n)
	}
	for _, line := range lines {
		if fold(line) != line || strings.TrimSpace(line) != line || utf8.RuneCountInString(line) < DefaultRules.MinWithFactor {
			t.Errorf("%q is not folded, has space around it, or is too short to be set anyway", line)
		}
	}
}

func FuzzRulesCheck(f *testing.F) {
	f.Add("password123", "alice")
	f.Add("a violet umbrella", "alice@example.com")
	f.Add("\xff\xfe\u0301\u0301", "@")
	f.Fuzz(func(t *testing.T, pw, word string) {
		err := DefaultRules.Check(pw, word)
		if err == nil && (len(pw) > 1024 || utf8.RuneCountInString(norm.NFC.String(pw)) < 8 || pw == word) {
			t.Errorf("accepted %q with %q", pw, word)
		}
	})
}

func BenchmarkRulesCheck(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if err := DefaultRules.Check("a violet umbrella", "alice", "alice@example.com", "Corner Shop"); err != nil {
			b.Fatal(err)
		}
	}
}
