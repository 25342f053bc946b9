package password

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// good is a well-formed hash: 16 bytes of salt, 32 of key, all of them "a".
const good = "$argon2id$v=19$m=19456,t=2,p=1$YWFhYWFhYWFhYWFhYWFhYQ$YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE"

func TestParseHash(t *testing.T) {
	t.Parallel()
	got, err := ParseHash(good)
	if err != nil {
		t.Fatal(err)
	}
	want := Parsed{Params: DefaultParams, Salt: bytes.Repeat([]byte("a"), 16), Key: bytes.Repeat([]byte("a"), 32)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got := string(want.encode()); got != good {
		t.Errorf("encoded as %s", got)
	}
}

func TestParseHashRefuses(t *testing.T) {
	t.Parallel()
	const salt, key = "YWFhYWFhYWFhYWFhYWFhYQ", "YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE"
	with := func(params string) string { return "$argon2id$v=19$" + params + "$" + salt + "$" + key }
	tests := map[string]string{
		"nothing":                  "",
		"text":                     "password",
		"bcrypt":                   "$2b$12$abcdefghijklmnopqrstuuO4o1Iq4Ib2ZCt1Fyd9s3pDUo5vYdS6e",
		"argon2i":                  strings.Replace(good, "argon2id", "argon2i", 1),
		"argon2d":                  strings.Replace(good, "argon2id", "argon2d", 1),
		"upper case":               strings.Replace(good, "argon2id", "Argon2id", 1),
		"older version":            strings.Replace(good, "v=19", "v=16", 1),
		"no version":               strings.Replace(good, "v=19$", "", 1),
		"space before":             " " + good,
		"line break after":         good + "\n",
		"a field more":             good + "$",
		"a field less":             strings.TrimSuffix(good, "$"+key),
		"too long":                 good + strings.Repeat("a", 300),
		"params in another order":  with("t=2,m=19456,p=1"),
		"param missing":            with("m=19456,t=2"),
		"param more":               with("m=19456,t=2,p=1,data=YQ"),
		"param twice":              with("m=19456,m=19456,p=1"),
		"leading zero":             with("m=019456,t=2,p=1"),
		"plus sign":                with("m=+19456,t=2,p=1"),
		"minus sign":               with("m=-19456,t=2,p=1"),
		"hexadecimal":              with("m=0x4c00,t=2,p=1"),
		"underscore":               with("m=19_456,t=2,p=1"),
		"empty number":             with("m=,t=2,p=1"),
		"space in params":          with("m=19456, t=2,p=1"),
		"gigabytes":                with("m=4194304,t=2,p=1"),
		"memory over 32 bits":      with("m=4294986752,t=2,p=1"),
		"hours":                    with("m=19456,t=4294967295,p=1"),
		"lanes over 8 bits":        with("m=19456,t=2,p=257"),
		"too many lanes":           with("m=19456,t=2,p=255"),
		"no passes":                with("m=19456,t=0,p=1"),
		"no lanes":                 with("m=19456,t=2,p=0"),
		"little memory":            with("m=7,t=2,p=1"),
		"salt of 7 bytes":          "$argon2id$v=19$m=19456,t=2,p=1$YWFhYWFhYQ$" + key,
		"salt of 65 bytes":         "$argon2id$v=19$m=19456,t=2,p=1$" + strings.Repeat("YWFh", 21) + "YWE$" + key,
		"no salt":                  "$argon2id$v=19$m=19456,t=2,p=1$$" + key,
		"no key":                   "$argon2id$v=19$m=19456,t=2,p=1$" + salt + "$",
		"key of 15 bytes":          "$argon2id$v=19$m=19456,t=2,p=1$" + salt + "$YWFhYWFhYWFhYWFhYWFh",
		"key of 66 bytes":          "$argon2id$v=19$m=19456,t=2,p=1$" + salt + "$" + strings.Repeat("YWFh", 22),
		"padding":                  good + "=",
		"alphabet for addresses":   strings.Replace(good, "YWFhYW", "YWF_YW", 1),
		"loose bits at the end":    strings.TrimSuffix(good, "E") + "F",
		"line break inside base64": strings.Replace(good, "YWFhYW", "YWF\nhYW", 1),
		"not UTF-8":                strings.Replace(good, "YWFhYW", "YWF\xffYW", 1),
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := ParseHash(text)
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("got %v, want ErrMalformed", err)
			}
			if diff := cmp.Diff(Parsed{}, got); diff != "" {
				t.Error(diff)
			}
			if strings.Contains(err.Error(), "YWF") {
				t.Errorf("the error shows the hash: %v", err)
			}
		})
	}
}

func TestHashIsNotShown(t *testing.T) {
	t.Parallel()
	h := Hash(good)
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("m", "hash", h, "in", struct{ H Hash }{h}.H)
	slog.New(slog.NewTextHandler(&log, nil)).Info("m", "hash", h)
	shown := log.String() + h.String() + fmt.Sprintf("%v %s %q %x %#v %+v", h, h, h, h, h, struct{ H Hash }{h})
	if strings.Contains(shown, "YWF") || strings.Contains(shown, fmt.Sprintf("%x", "YWF")) {
		t.Errorf("the hash shows in %s", shown)
	}
	if string(h) != good {
		t.Error("the hash cannot be stored")
	}
	// JSON is for storage here, as any other string type.
	if b, err := json.Marshal(h); err != nil || !strings.Contains(string(b), "argon2id") {
		t.Errorf("got %s, %v", b, err)
	}
}

func FuzzParseHash(f *testing.F) {
	for _, s := range []string{
		good, "", "$argon2id$v=19$", "$argon2id$v=19$m=8,t=1,p=1$YWFhYWFhYWE$YWFhYWFhYWFhYWFhYWFhYQ",
		strings.Replace(good, "m=19456", "m=4294967295", 1), good + "=", good + "\n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParseHash(s)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("error of another kind: %v", err)
			}
			return
		}
		if err := p.Params.Validate(); err != nil {
			t.Fatalf("accepted parameters that are not valid: %v", err)
		}
		if n := len(p.Salt); n < 8 || n > 64 {
			t.Fatalf("salt of %d bytes", n)
		}
		if n := len(p.Key); n < 16 || n > 64 {
			t.Fatalf("key of %d bytes", n)
		}
		if got := string(p.encode()); got != s {
			t.Fatalf("two texts for one hash: %q and %q", s, got)
		}
	})
}
