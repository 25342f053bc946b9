package authcore

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestSecretKeyText(t *testing.T) {
	t.Parallel()
	key := NewSecretKey()
	for name, text := range map[string]Secret{
		"as it is":                key.Text(),
		"with the end of a line":  key.Text() + "\n",
		"with the end of another": " " + key.Text() + "\r\n",
	} {
		again, err := ParseSecretKey(text)
		if err != nil || again != key || again.ID() != key.ID() || again.Text() != key.Text() {
			t.Errorf("%s: another key, or %v", name, err)
		}
	}
	other := NewSecretKey()
	if other == key || other.ID() == key.ID() {
		t.Error("two new keys are the same")
	}
	if strings.Contains(key.Text().Reveal(), key.ID()) || len(key.ID()) != 16 {
		t.Errorf("the id is %q", key.ID())
	}
}

func TestParseSecretKeyRefuses(t *testing.T) {
	t.Parallel()
	encode := func(n int) string { return base64.StdEncoding.EncodeToString(make([]byte, n)) }
	for name, text := range map[string]string{
		"empty":            "",
		"spaces":           "  \n",
		"31 bytes":         encode(31),
		"33 bytes":         encode(33),
		"hexadecimal":      strings.Repeat("ab", 32),
		"without padding":  strings.TrimRight(encode(32), "="),
		"a placeholder":    "{file./run/secrets/gate.key}",
		"a path":           "/run/secrets/gate.key",
		"a path from here": "./gate.key",
		"twice":            encode(32) + "\n" + encode(32),
		"not base64":       strings.Repeat("!", 44),
	} {
		_, err := ParseSecretKey(Secret(text))
		if err == nil {
			t.Errorf("%s: accepted", name)
			continue
		}
		if !strings.Contains(err.Error(), "head -c 32 /dev/urandom | base64") || len(text) > 3 && strings.Contains(err.Error(), text) {
			t.Errorf("%s: the error is %q", name, err)
		}
		if strings.Contains(err.Error(), "write {file./path/to/key}") != strings.HasPrefix(name, "a path") {
			t.Errorf("%s: the error is %q", name, err)
		}
	}
}

// A key must not be seen, however it is printed or logged.
func TestSecretKeyIsHidden(t *testing.T) {
	t.Parallel()
	key := NewSecretKey()
	var logged bytes.Buffer
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("made", "key", key, "pointer", &key, "text", key.Text())
	slog.New(slog.NewTextHandler(&logged, nil)).Info("made", "key", key, "pointer", &key, "text", key.Text())
	encoded, err := json.Marshal(map[string]any{"key": key, "text": key.Text()})
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]string{
		"%v": fmt.Sprintf("%v", key), "%+v": fmt.Sprintf("%+v", key), "String": key.String(), "%#v": fmt.Sprintf("%#v", key),
		"%#v of the text": fmt.Sprintf("%#v", key.Text()), "%q of the text": fmt.Sprintf("%q", key.Text()),
		"in a struct": fmt.Sprintf("%+v", struct{ Key SecretKey }{key}), "error": fmt.Errorf("with %v", key).Error(),
		"slog": logged.String(), "JSON": string(encoded),
	}
	secrets := []string{key.Text().Reveal(), string(key.raw[:]), fmt.Sprintf("%x", key.raw[:]),
		fmt.Sprintf("%v", key.raw[:8])[1:], strings.Trim(fmt.Sprintf("%#v", key.raw[:4]), "[]byte{}")}
	for how, text := range shown {
		for _, secret := range secrets {
			if strings.Contains(text, strings.TrimSuffix(secret, "]")) {
				t.Errorf("%s shows the key: %s", how, text)
				break
			}
		}
	}
}

func TestSealer(t *testing.T) {
	t.Parallel()
	clock := newHandClock()
	key := NewSecretKey()
	s := key.NewSealer("test", clock.now)
	value := []byte("where the sign-in began")
	sealed := s.Seal(value)
	if sealed == s.Seal(value) {
		t.Error("sealed twice, it looks the same")
	}
	if strings.Trim(sealed, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
		t.Errorf("not safe in an address: %s", sealed)
	}
	tests := []struct {
		name  string
		after time.Duration
		want  error
	}{
		{"at once", 0, nil},
		{"at the last moment", time.Hour, nil},
		{"too late", time.Hour + time.Second, ErrSealOld},
		{"clocks that differ a little", -time.Minute, nil},
		{"from the future", -time.Minute - time.Second, ErrSealOld},
	}
	for _, test := range tests {
		later := key.NewSealer("test", func() time.Time { return clock.now().Add(test.after) })
		got, err := later.Open(sealed, time.Hour)
		if !errors.Is(err, test.want) || !bytes.Equal(got, value) { // one that is too old comes along with the error
			t.Errorf("%s: %q, %v, want %v", test.name, got, err, test.want)
		}
	}
	for _, n := range []int{0, 1, 100, 5000} {
		long := bytes.Repeat([]byte{0xff}, n)
		if got, err := s.Open(s.Seal(long), time.Hour); err != nil || !bytes.Equal(got, long) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

func TestSealerRefuses(t *testing.T) {
	t.Parallel()
	clock := newHandClock()
	key := NewSecretKey()
	s := key.NewSealer("test", clock.now)
	sealed := s.Seal([]byte("value"))
	refused := func(name, text string, by *Sealer) {
		t.Helper()
		if got, err := by.Open(text, time.Hour); !errors.Is(err, ErrSealBroken) || got != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	refused("another purpose", sealed, key.NewSealer("tests", clock.now))
	refused("another key", sealed, NewSecretKey().NewSealer("test", clock.now))
	refused("nothing", "", s)
	refused("twice", sealed+sealed, s)
	refused("padded", sealed+"=", s)
	raw, err := base64.RawURLEncoding.DecodeString(sealed)
	if err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		changed := bytes.Clone(raw)
		changed[i] ^= 1
		refused(fmt.Sprintf("byte %d changed", i), base64.RawURLEncoding.EncodeToString(changed), s)
		refused(fmt.Sprintf("cut to %d bytes", i), base64.RawURLEncoding.EncodeToString(raw[:i]), s)
	}
}

func FuzzOpen(f *testing.F) {
	clock := newHandClock()
	s := NewSecretKey().NewSealer("test", clock.now)
	known := s.Seal([]byte("known"))
	f.Add(known)
	f.Add("")
	f.Add(NewSecretKey().NewSealer("test", clock.now).Seal([]byte("foreign")))
	f.Fuzz(func(t *testing.T, text string) {
		value, err := s.Open(text, time.Hour)
		if err == nil && string(value) != "known" {
			t.Errorf("opened %q, which was not sealed here", text)
		}
		if err != nil && value != nil {
			t.Errorf("%q gave a value with %v", text, err)
		}
	})
}
