package authcore

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"time"
)

// SecretKey is the installation's key: everything that is encrypted, at rest
// or on its way through a browser, is encrypted under keys derived from it
// (HKDF-SHA256, RFC 5869), one for each purpose.
type SecretKey struct{ raw [32]byte }

// NewSecretKey makes a random key.
func NewSecretKey() SecretKey {
	var k SecretKey
	rand.Read(k.raw[:])
	return k
}

// ParseSecretKey reads a key in the form that Text gives: 32 bytes in base64.
func ParseSecretKey(text Secret) (SecretKey, error) {
	plain := strings.TrimSpace(text.Reveal())
	raw, err := base64.StdEncoding.DecodeString(plain)
	if err == nil && len(raw) == 32 {
		return SecretKey{raw: [32]byte(raw)}, nil
	}
	err = errors.New("the secret key must be 32 random bytes in base64; make one with: head -c 32 /dev/urandom | base64")
	if strings.HasPrefix(plain, "/") || strings.HasPrefix(plain, "./") {
		err = fmt.Errorf("%w; to read the key from a file write {file./path/to/key}", err)
	}
	return SecretKey{}, err
}

// Text is the key in the form to keep in a file.
func (k SecretKey) Text() Secret { return Secret(base64.StdEncoding.EncodeToString(k.raw[:])) }

// ID tells keys apart without telling anything about them.
func (k SecretKey) ID() string { return hex.EncodeToString(k.derive("key id")[:8]) }

// String hides the key, and so do GoString and LogValue.
func (k SecretKey) String() string { return "[secret]" }

// GoString hides the key from %#v.
func (k SecretKey) GoString() string { return "[secret]" }

// LogValue hides the key from structured logs.
func (k SecretKey) LogValue() slog.Value { return slog.StringValue("[secret]") }

func (k SecretKey) derive(purpose string) []byte {
	key, err := hkdf.Key(sha256.New, k.raw[:], nil, "gatehouse "+purpose, 32)
	if err != nil {
		panic(err) // only for a length that HKDF cannot give
	}
	return key
}

// Sealer encrypts and authenticates values that travel through a
// browser: AES-256-GCM with a random nonce, the time of sealing inside.
type Sealer struct {
	aead cipher.AEAD
	now  func() time.Time
}

// NewSealer makes the sealer for one purpose. What one purpose sealed, another
// does not open.
func (k SecretKey) NewSealer(purpose string, now func() time.Time) *Sealer {
	block, err := aes.NewCipher(k.derive(purpose))
	if err != nil {
		panic(err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err)
	}
	return &Sealer{aead: aead, now: now}
}

// ErrSealBroken means that a sealed value was not sealed here, for this
// purpose, or was changed.
var ErrSealBroken = errors.New("not a value sealed here")

// ErrSealOld means that a sealed value is older than it may be. The value is
// returned along with it.
var ErrSealOld = errors.New("sealed too long ago")

// Seal gives the value in a form safe for URLs and cookies.
func (s *Sealer) Seal(value []byte) string {
	plain := binary.BigEndian.AppendUint64(nil, uint64(s.now().Unix()))
	return base64.RawURLEncoding.EncodeToString(s.aead.Seal(nil, nil, append(plain, value...), nil))
}

// Open gives the value back if it was sealed at most maxAge ago.
func (s *Sealer) Open(sealed string, maxAge time.Duration) ([]byte, error) {
	raw, err := base64.RawURLEncoding.DecodeString(sealed)
	if err != nil {
		return nil, ErrSealBroken
	}
	plain, err := s.aead.Open(nil, nil, raw, nil)
	if err != nil || len(plain) < 8 {
		return nil, ErrSealBroken
	}
	at := time.Unix(int64(binary.BigEndian.Uint64(plain)), 0)
	if age := s.now().Sub(at); age > maxAge || age < -time.Minute {
		return plain[8:], fmt.Errorf("%w (%s)", ErrSealOld, age.Round(time.Second))
	}
	return plain[8:], nil
}

// OpenKept opens a value that is kept for as long as it is wanted, whatever its age: after a
// clock was set back, it may come from the future.
func (s *Sealer) OpenKept(sealed string) ([]byte, error) {
	plain, err := s.Open(sealed, math.MaxInt64)
	if errors.Is(err, ErrSealOld) {
		err = nil
	}
	return plain, err
}
