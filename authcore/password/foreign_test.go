package password

import (
	"errors"
	"strings"
	"testing"
)

// foreign are hashes of "secret", made by the C library, by openssl passwd and by
// Python's hashlib.
var foreign = map[string]string{
	"bcrypt 2b":           "$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a",
	"bcrypt 2y":           "$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a",
	"SHA-256-crypt":       "$5$saltsalt$0IyaXrmV7.sGNS6tirgqHLqX/G.FBvgkYA.lpPdS5sA",
	"SHA-512-crypt":       "$6$saltsalt$TVLlQcbpFVof5W3Yz4DTP6gRstiNuHwwTt6GLc1E5n0U0aDehy0S5knV8wiOQSpT0Y77vwPZN.Pq.H91p5hVO1",
	"with rounds":         "{CRYPT}$6$rounds=5000$saltsalt$TVLlQcbpFVof5W3Yz4DTP6gRstiNuHwwTt6GLc1E5n0U0aDehy0S5knV8wiOQSpT0Y77vwPZN.Pq.H91p5hVO1",
	"PBKDF2 with SHA-512": "$pbkdf2-sha512$310000$c2FsdHNhbHRzYWx0c2FsdA$.Pd/eliKaeUDHwgEaOfsJ1dj.zcaP6wUDibOzocZDV7G40/eZwa8NYl8xK5wd1NLK2U.mMFYSk3SUT8wUr3WDw",
	"scrypt":              "$scrypt$ln=14,r=8,p=1$c2FsdHNhbHRzYWx0c2FsdA$1RL+Xg0R5UtrsEx1/34MJGhCuDjQdo5E2HyYnASS5FE",
}

func TestImportRefuses(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"nothing": "", "text": "secret", "plain": "$plaintext$secret", "MD5": "$apr1$9Cv/OMGj$ZomWQzuQL.3TRCS81A1g51", "SHA-1": "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=",
		"DES crypt": "rqXexS6ZhobKA", "bcrypt that takes an hour": "$2b$31$WApznUPhDubN0oeveSXHp.Rk0rMQbIbjPzGEHxZmC1xlVtTZmBVRG",
		"rounds for ten seconds": "$6$rounds=9999999$saltsalt$" + strings.Repeat("a", 86), "PBKDF2 for ten seconds": "$pbkdf2-sha512$9999999$c2FsdHNhbHRzYWx0c2FsdA$.Pd/eliKaeUDHwgEaOfsJ1dj.zcaP6wUDibOzocZDV7G40/eZwa8NYl8xK5wd1NLK2U.mMFYSk3SUT8wUr3WDw",
		"rounds without end": "$6$rounds=999999999$saltsalt$" + strings.Repeat("a", 86), "scrypt of gigabytes": "$scrypt$ln=24,r=8,p=1$qqPQHl886t6gbwX4KKj1bA$VQ8qasIfY0FecXBPrbqJrvrlLAo52bVARVzRFXRnqxc",
		"scrypt of many lanes": "$scrypt$ln=18,r=1,p=99$qqPQHl886t6gbwX4KKj1bA$VQ8qasIfY0FecXBPrbqJrvrlLAo52bVARVzRFXRnqxc",
		"too long":             "$6$" + strings.Repeat("a", 300), "argon2i": "$argon2i$v=19$m=65536,t=3,p=4$YWFhYWFhYWFhYWFhYWFhYQ$YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE",
		"argon2id of gigabytes": "$argon2id$v=19$m=4194304,t=2,p=1$YWFhYWFhYWFhYWFhYWFhYQ$YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE",
		"two lines":             foreign["bcrypt 2b"] + "\nx",
	} {
		if _, err := Import(text); err == nil {
			t.Errorf("%s is taken", name)
		} else if len(text) > 10 && strings.Contains(err.Error(), text[5:10]) {
			t.Errorf("%s: the error shows it: %v", name, err)
		}
	}
}

func TestVerifyForeign(t *testing.T) {
	t.Parallel()
	h, err := NewHasher(NewGate(2), DefaultParams)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range foreign {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hash, err := Import(text)
			if err != nil {
				t.Fatal(err)
			}
			if ok, rehash, err := h.Verify(t.Context(), hash, "secret"); !ok || !rehash || err != nil {
				t.Errorf("the right password: %v, %v, %v", ok, rehash, err)
			}
			for _, wrong := range []string{"", "Secret", "secret ", "secretx", strings.Repeat("s", 100)} {
				if ok, rehash, err := h.Verify(t.Context(), hash, wrong); ok || rehash || err != nil {
					t.Errorf("%q: %v, %v, %v", wrong, ok, rehash, err)
				}
			}
		})
	}
	if ok, _, err := h.Verify(t.Context(), "$1$abc$def", "secret"); ok || !errors.Is(err, ErrMalformed) {
		t.Errorf("%v, %v", ok, err)
	}
}

// What another system wrote is taken, or refused; nothing in it ends the program or
// takes for ever to be read.
func FuzzImport(f *testing.F) {
	for _, text := range foreign {
		f.Add(text)
	}
	f.Add(good)
	f.Fuzz(func(t *testing.T, text string) {
		hash, err := Import(text)
		if err == nil && (hash == "" || len(hash) > 255 || strings.ContainsAny(string(hash), "\n ")) {
			t.Errorf("%q is taken as %q", text, string(hash))
		}
	})
}
