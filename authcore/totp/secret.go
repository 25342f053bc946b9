package totp

import (
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"unicode"
)

const (
	// secretBytes is as long as the output of SHA-1 (RFC 4226, section 4, R6).
	secretBytes = 20
	// secretLetters is how many letters of Base32 that makes.
	secretLetters = secretBytes * 8 / 5
	hidden        = "[secret]"
)

// Secret is what we and an authenticator app share: 20 random bytes. Printing
// or logging it shows a placeholder. The zero Secret is none: no code matches
// it.
type Secret [secretBytes]byte

// NewSecret makes a secret from the system's secure random source.
func NewSecret() (s Secret) {
	rand.Read(s[:]) // crypto/rand.Read never fails (Go 1.24)
	return s
}

// ParseSecret reads the text that Base32 and Grouped give, as people copy it:
// in any case, and with spaces and dashes anywhere. The error says what to do
// and is fit to be shown; it holds nothing of the text.
func ParseSecret(text string) (s Secret, err error) {
	var letters [secretLetters]byte
	n := 0
	for _, r := range text {
		if unicode.IsSpace(r) || unicode.Is(unicode.Dash, r) {
			continue
		}
		if 'a' <= r && r <= 'z' {
			r += 'A' - 'a'
		}
		if (r < 'A' || r > 'Z') && (r < '2' || r > '7') {
			return Secret{}, wrongLetter(n+1, r)
		}
		if n < secretLetters {
			letters[n] = byte(r)
		}
		n++
	}
	if n != secretLetters {
		return Secret{}, fmt.Errorf("the secret has %d letters and digits, not %d: copy all of it, and nothing else", n, secretLetters)
	}
	if _, err := base32.StdEncoding.Decode(s[:], letters[:]); err != nil {
		return Secret{}, errors.New("the secret is not Base32: copy it again") // all was checked above
	}
	if s == (Secret{}) {
		return Secret{}, errors.New("the secret consists of the letter A only: make a new one")
	}
	return s, nil
}

// wrongLetter explains what cannot be at a place in a secret, counted from 1
// without spaces and dashes. Digits that are not part of Base32 are mostly
// letters misread.
func wrongLetter(place int, r rune) error {
	hint := "a secret has only the letters A to Z and the digits 2 to 7"
	switch r {
	case '0':
		hint += "; is it the letter O?"
	case '1':
		hint += "; is it the letter I or L?"
	case '8':
		hint += "; is it the letter B?"
	}
	return fmt.Errorf("character %d of the secret cannot be right: %s", place, hint)
}

// Base32 returns the secret as apps read it: 32 letters and digits of Base32
// (RFC 4648), without padding. This is the way to its text on purpose.
func (s Secret) Base32() string { return base32.StdEncoding.EncodeToString(s[:]) }

// Grouped returns what Base32 does in groups of four with a space between, for
// people to type.
func (s Secret) Grouped() string {
	text := s.Base32()
	var b strings.Builder
	for i := 0; i < len(text); i += 4 {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(text[i : i+4])
	}
	return b.String()
}

// String hides the secret.
func (s Secret) String() string { return hidden }

// GoString hides the secret from %#v.
func (s Secret) GoString() string { return hidden }

// Format hides the secret from every other verb too: %d would print its bytes.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(hidden)) }

// LogValue hides the secret from structured logs.
func (s Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText hides the secret from encoders.
func (s Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }
