package password

import (
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
)

// Lengths in bytes of the salts and keys that we make, and of those that we
// accept in a stored hash.
const (
	saltLen    = 16
	keyLen     = 32
	minSaltLen = 8
	maxSaltLen = 64
	minKeyLen  = 16
	maxKeyLen  = 64
)

// maxHashLen is longer than any hash within the caps, so that a longer text is
// refused before it is looked at.
const maxHashLen = 256

// phcPrefix starts every hash: the algorithm and Argon2 version 0x13, the only
// ones that we read.
const phcPrefix = "$argon2id$v=19$"

// ErrMalformed is wrapped by every error of [ParseHash].
var ErrMalformed = errors.New("malformed password hash")

// Hash is a password hash in PHC string form:
//
//	$argon2id$v=19$m=19456,t=2,p=1$<salt>$<key>
//
// Salt and key are standard base64 without padding. Use string(h) to store it;
// printing or logging a Hash shows only that there is one.
type Hash string

const redacted = "[password hash]"

// String hides the hash.
func (Hash) String() string { return redacted }

// GoString hides the hash from %#v.
func (Hash) GoString() string { return redacted }

// LogValue hides the hash from slog.
func (Hash) LogValue() slog.Value { return slog.StringValue(redacted) }

// Parsed is a hash taken apart.
type Parsed struct {
	Params Params
	Salt   []byte // 8 to 64 bytes
	Key    []byte // 16 to 64 bytes
}

// encode writes p in the one form that ParseHash accepts.
func (p Parsed) encode() Hash {
	return Hash(fmt.Sprintf("%sm=%d,t=%d,p=%d$%s$%s", phcPrefix,
		p.Params.Memory, p.Params.Passes, p.Params.Lanes,
		base64.RawStdEncoding.EncodeToString(p.Salt),
		base64.RawStdEncoding.EncodeToString(p.Key)))
}

// ParseHash reads a hash in PHC form. It is strict: there is exactly one text
// for each hash, parameters outside [Params.Validate] and salts and keys
// outside their lengths are refused. Every error wraps [ErrMalformed] and none
// contains any part of the text.
func ParseHash(s string) (Parsed, error) {
	if len(s) > maxHashLen {
		return Parsed{}, fmt.Errorf("%w: longer than %d bytes", ErrMalformed, maxHashLen)
	}
	rest, ok := strings.CutPrefix(s, phcPrefix)
	if !ok {
		return Parsed{}, fmt.Errorf("%w: it does not start with %s", ErrMalformed, phcPrefix)
	}
	fields := strings.Split(rest, "$")
	if len(fields) != 3 {
		return Parsed{}, fmt.Errorf("%w: want parameters, salt and key after %s", ErrMalformed, phcPrefix)
	}
	params, err := parseParams(fields[0])
	if err != nil {
		return Parsed{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	salt, err := parseBytes("salt", fields[1], minSaltLen, maxSaltLen)
	if err != nil {
		return Parsed{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	key, err := parseBytes("key", fields[2], minKeyLen, maxKeyLen)
	if err != nil {
		return Parsed{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	p := Parsed{Params: params, Salt: salt, Key: key}
	// Written again it must be the same text. This refuses what the decoders
	// forgive: leading zeros, line breaks inside base64, loose final bits.
	if string(p.encode()) != s {
		return Parsed{}, fmt.Errorf("%w: not in canonical form", ErrMalformed)
	}
	return p, nil
}

// parseParams reads m=…,t=…,p=… in that order.
func parseParams(s string) (Params, error) {
	var n [3]uint64
	fields := strings.Split(s, ",")
	if len(fields) != len(n) {
		return Params{}, errors.New("want m, t and p")
	}
	for i, name := range [3]string{"m=", "t=", "p="} {
		digits, ok := strings.CutPrefix(fields[i], name)
		if !ok {
			return Params{}, errors.New("want m, t and p in this order")
		}
		bits := 32
		if name == "p=" {
			bits = 8
		}
		v, err := strconv.ParseUint(digits, 10, bits)
		if err != nil {
			return Params{}, fmt.Errorf("%s is not a number within bounds", name[:1])
		}
		n[i] = v
	}
	p := Params{Memory: uint32(n[0]), Passes: uint32(n[1]), Lanes: uint8(n[2])}
	return p, p.Validate()
}

func parseBytes(what, s string, least, most int) ([]byte, error) {
	b, err := base64.RawStdEncoding.DecodeString(s)
	if err != nil {
		// The decoder's error would quote a byte of the key.
		return nil, fmt.Errorf("the %s is not base64", what)
	}
	if len(b) < least || len(b) > most {
		return nil, fmt.Errorf("the %s has %d bytes, want %d to %d", what, len(b), least, most)
	}
	return b, nil
}
