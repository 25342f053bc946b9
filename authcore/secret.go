package authcore

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"log/slog"
)

// Secret is a string that must not be seen: printing or logging it shows a
// placeholder. Reveal gives the text.
type Secret string

// Reveal returns the secret text.
func (s Secret) Reveal() string { return string(s) }

// String hides the secret.
func (s Secret) String() string { return "[secret]" }

// GoString hides the secret from %#v.
func (s Secret) GoString() string { return "[secret]" }

// LogValue hides the secret from structured logs.
func (s Secret) LogValue() slog.Value { return slog.StringValue("[secret]") }

// MarshalText hides the secret from encoders.
func (s Secret) MarshalText() ([]byte, error) { return []byte("[secret]"), nil }

// tokenLength is the length of an encoded token: 32 bytes in base64url.
const tokenLength = 43

// TokenHash is the SHA-256 of a token as the client sends it: all we keep of it.
// A fast hash is right here because a token has 256 random bits.
type TokenHash [sha256.Size]byte

// Hex returns the form in which the hash is stored.
func (h TokenHash) Hex() string { return hex.EncodeToString(h[:]) }

// NewToken makes a token of 256 bits from the system's secure random source
// and its hash.
func NewToken() (Secret, TokenHash) {
	var raw [32]byte
	rand.Read(raw[:]) // crypto/rand.Read never fails (Go 1.24)
	text := base64.RawURLEncoding.EncodeToString(raw[:])
	return Secret(text), HashToken(text)
}

// HashToken hashes a token as a client presents it. It does not allocate for
// texts up to 64 bytes, which all of ours are.
func HashToken(token string) TokenHash {
	var buf [64]byte
	if len(token) > len(buf) {
		return sha256.Sum256([]byte(token))
	}
	return sha256.Sum256(buf[:copy(buf[:], token)])
}

// PlausibleToken tells whether text has the shape of a token, before anything
// is looked up.
func PlausibleToken(text string) bool { return len(text) == tokenLength }
