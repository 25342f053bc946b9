package password

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/text/unicode/norm"
)

// Hasher hashes and verifies passwords with one set of parameters, every run
// behind one gate. It is safe for concurrent use and cheap to make: make a new
// one when the configuration changes, on the same gate.
type Hasher struct {
	gate   *Gate
	params Params
	dummy  Parsed
}

// NewHasher returns a hasher for new hashes with parameters p. It fails when p
// is not valid or gate is nil.
func NewHasher(gate *Gate, p Params) (*Hasher, error) {
	if gate == nil {
		return nil, errors.New("password hasher has no gate: give it NewGate(0) for no limit")
	}
	if err := p.Validate(); err != nil {
		return nil, err
	}
	// Nobody knows a password for this hash: its key is not derived from one.
	dummy := Parsed{Params: p, Salt: randomBytes(saltLen), Key: randomBytes(keyLen)}
	return &Hasher{gate: gate, params: p, dummy: dummy}, nil
}

// Busy is [Gate.Busy] of the hasher's gate.
func (h *Hasher) Busy(ctx context.Context) error { return h.gate.Busy(ctx) }

// Hash returns a new hash of pw with a fresh random salt. It does not judge
// the password; that is what [Rules] do. It returns ErrBusy or ctx.Err() when
// the gate gave no permit.
func (h *Hasher) Hash(ctx context.Context, pw string) (Hash, error) {
	p := Parsed{Params: h.params, Salt: randomBytes(saltLen)}
	key, err := h.derive(ctx, p, keyLen, pw)
	if err != nil {
		return "", err
	}
	p.Key = key
	return p.encode(), nil
}

// Verify reports whether pw is the password of stored, in one Argon2 run with
// the parameters that are in stored. When it is, rehash reports whether stored
// is weaker than new hashes in any dimension, or of other lengths: hash pw
// again and store that. So it does for a hash of another system ([Import]), whatever
// it costs. A malformed hash is an error that wraps
// [ErrMalformed]; ErrBusy or ctx.Err() says that the gate gave no permit. For a
// user without a password call VerifyUnknown.
func (h *Hasher) Verify(ctx context.Context, stored Hash, pw string) (ok, rehash bool, err error) {
	if !strings.HasPrefix(string(stored), phcPrefix) {
		ok, err = h.matchesForeign(ctx, stored, pw)
		return ok, ok, err
	}
	p, err := ParseHash(string(stored))
	if err != nil {
		return false, false, fmt.Errorf("verify password: %w", err)
	}
	ok, err = h.matches(ctx, p, pw)
	if err != nil || !ok {
		return false, false, err
	}
	rehash = p.Params.weakerThan(h.params) || len(p.Salt) != saltLen || len(p.Key) != keyLen
	return true, rehash, nil
}

// VerifyUnknown stands in for Verify where there is no hash to verify: it does
// the same work, through the same gate, with the parameters of new hashes, so
// that neither time nor load tells whether a user exists. Its errors are those
// of the gate.
func (h *Hasher) VerifyUnknown(ctx context.Context, pw string) error {
	_, err := h.matches(ctx, h.dummy, pw)
	return err
}

func (h *Hasher) matches(ctx context.Context, p Parsed, pw string) (bool, error) {
	key, err := h.derive(ctx, p, len(p.Key), pw)
	if err != nil {
		return false, err
	}
	return subtle.ConstantTimeCompare(key, p.Key) == 1, nil
}

// derive makes the one Argon2 run of a call. The password is normalised to NFC
// first, because keyboards differ in how they compose the same letter.
func (h *Hasher) derive(ctx context.Context, p Parsed, length int, pw string) ([]byte, error) {
	secret := norm.NFC.Bytes([]byte(pw))
	var key []byte
	err := h.run(ctx, func() { key = h.gate.memories.derive(secret, p.Salt, p.Params, length) })
	return key, err
}

// matchesForeign verifies a hash of another system, which got the password as it was
// typed.
func (h *Hasher) matchesForeign(ctx context.Context, stored Hash, pw string) (ok bool, err error) {
	d, err := parseForeign(string(stored))
	if err != nil {
		return false, fmt.Errorf("verify password: %w: %w", ErrMalformed, err)
	}
	err = h.run(ctx, func() { ok = d.Match(pw) })
	return ok && err == nil, err
}

// run makes the one hash of a call, behind the gate.
func (h *Hasher) run(ctx context.Context, hash func()) error {
	release, err := h.gate.Acquire(ctx)
	if err != nil {
		return err
	}
	defer release()
	end := h.gate.begin() // not on the hash's thread, which may have to wait anywhere
	err = h.gate.work(ctx, func() {
		h.gate.hashed.Add(1)
		hash()
	})
	end(err == nil)
	return err
}

// randomBytes returns n bytes from the system's secure source, which never
// fails: crypto/rand ends the process instead.
func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}
