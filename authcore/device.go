package authcore

import (
	"context"
	"encoding/binary"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"
)

// DeviceLife is how long a device knows somebody without a new sign-in. No browser
// keeps a cookie longer (RFC 6265bis section 5.5).
const DeviceLife = 400 * 24 * time.Hour

// maxProofs is how many people may share a device; who signed in last stays.
const maxProofs = 5

// Device is what a browser remembers of those who signed in on it, newest first.
// It proves nothing at a sign-in: it only says that guesses of strangers are not
// its guesses, so that they cannot keep its people out. Others may lock an
// account for whoever is unknown; they cannot lock it for a known device.
type Device []Proof

// Proof is one sign-in that a device remembers.
type Proof struct {
	User  UserID
	Since time.Time // ProofSince then: when it has changed, the proof has ended
	At    time.Time // of the sign-in
}

// proofSize is what a proof takes: the user's id and two times in microseconds.
const proofSize = 16 + 8 + 8

// ParseDevice reads what Bytes gave. Of anything else it makes a device that knows
// nobody.
func ParseDevice(b []byte) Device {
	if len(b)%proofSize != 0 || len(b) > maxProofs*proofSize {
		return nil
	}
	var d Device
	for one := range slices.Chunk(b, proofSize) {
		d = append(d, Proof{
			User:  UserID(uuid.UUID(one[:16]).String()),
			Since: time.UnixMicro(int64(binary.BigEndian.Uint64(one[16:]))).UTC(),
			At:    time.UnixMicro(int64(binary.BigEndian.Uint64(one[24:]))).UTC(),
		})
	}
	return d
}

// Bytes is the device in a form to seal. Nobody can have made it up then.
func (d Device) Bytes() []byte {
	var b []byte
	for _, p := range d {
		id, err := uuid.Parse(string(p.User))
		if err != nil {
			continue
		}
		b = append(b, id[:]...)
		b = binary.BigEndian.AppendUint64(b, uint64(p.Since.UnixMicro()))
		b = binary.BigEndian.AppendUint64(b, uint64(p.At.UnixMicro()))
	}
	return b
}

// With is the device with a proof in place of an older one of the same user.
func (d Device) With(p Proof) Device {
	with := Device{p}
	for _, old := range d {
		if old.User != p.User && len(with) < maxProofs {
			with = append(with, old)
		}
	}
	return with
}

// since tells whether a user has signed in on the device since all earlier proofs of the
// user ended, which is ProofSince.
func (d Device) since(id UserID, since time.Time) bool {
	return slices.ContainsFunc(d, func(p Proof) bool { return p.User == id && p.Since.Equal(since) })
}

// proof is what a device remembers of a user, unless that has ended.
func (d Device) proof(id UserID, since, now time.Time) (p Proof, known bool) {
	at := slices.IndexFunc(d, func(p Proof) bool { return p.User == id })
	if at < 0 || since.IsZero() || !d[at].Since.Equal(since) {
		return Proof{}, false
	}
	age := now.Sub(d[at].At)
	return d[at], age < DeviceLife && age > -time.Minute
}

// key is what guesses of the device at its user's password are counted under.
// Another sign-in makes another key, which only who knows the password can do.
func (p Proof) key() string {
	return "device:" + string(p.User) + ":" + strconv.FormatInt(p.At.UnixMicro(), 36)
}

// NewProof is what a device may remember of a user who has just signed in; of one
// without a password, only that. A session is to be found alive after that: then nothing
// has ended the proof in between.
func (a *Accounts) NewProof(ctx context.Context, id UserID) (Proof, error) {
	since, err := a.Store.ProofSince(ctx, id)
	return Proof{User: id, Since: since, At: a.Now()}, err
}

// knownAs gives the key of the device's proof for an account, or "" where the
// device does not know it. Trouble with the database makes it unknown; the sign-in
// will meet it again.
func (a *Accounts) knownAs(ctx context.Context, d Device, key string, isEmail bool) string {
	if len(d) == 0 {
		return ""
	}
	user, _, err := a.Store.UserByLogin(ctx, key, isEmail)
	if err != nil {
		return ""
	}
	return a.knownTo(ctx, d, user.ID)
}

// knownSince tells whether a device knows a user by a sign-in since a time.
func (a *Accounts) knownSince(ctx context.Context, d Device, user UserID, at time.Time) bool {
	i := slices.IndexFunc(d, func(p Proof) bool { return p.User == user })
	return i >= 0 && !d[i].At.Before(at) && a.knownTo(ctx, d, user) != ""
}

// knownTo is knownAs for a user.
func (a *Accounts) knownTo(ctx context.Context, d Device, user UserID) string {
	if !slices.ContainsFunc(d, func(p Proof) bool { return p.User == user }) {
		return ""
	}
	since, err := a.Store.ProofSince(ctx, user)
	if err != nil {
		return ""
	}
	if p, known := d.proof(user, since, a.Now()); known {
		return p.key()
	}
	return ""
}
