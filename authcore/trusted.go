package authcore

import (
	"context"
	"time"

	"github.com/google/uuid"
)

// DeviceID is a UUIDv7 in its text form.
type DeviceID string

// TrustedDevice is a browser that is not asked for a user's second factor for a while,
// because the user has shown it there and wanted it so.
type TrustedDevice struct {
	ID                           DeviceID
	User                         UserID
	Hash                         TokenHash // of what the browser keeps
	Agent, Address               string
	CreatedAt, UsedAt, ExpiresAt time.Time
}

// DeviceStore keeps trusted devices.
type DeviceStore interface {
	// TrustDevice adds a device of an active user, in place of one of the same user with
	// the same hash; else ErrUserNotFound.
	TrustDevice(ctx context.Context, d TrustedDevice, ev Event) error
	// TrustedDevices lists the devices of a user that have not expired, newest first.
	TrustedDevices(ctx context.Context, user UserID, now time.Time) ([]TrustedDevice, error)
	// DistrustDevice takes a device of a user away, or returns ErrDeviceNotFound.
	DistrustDevice(ctx context.Context, id DeviceID, user UserID, ev Event) error
}

// ErrDeviceNotFound is the error for a device that there is not.
var ErrDeviceNotFound = &Error{Kind: NotFound, Code: "device_not_found", Message: "There is no such device on this account."}

// TrustDevice has a browser not asked for the second factor of the user of a session. mark
// is what the browser keeps already, if it is good; it gives what the browser is to keep.
func (a *Accounts) TrustDevice(ctx context.Context, actor Actor, mark Secret) (Secret, error) {
	if a.TrustFor <= 0 {
		return "", nil
	}
	hash := HashToken(mark.Reveal())
	if !PlausibleToken(mark.Reveal()) {
		mark, hash = NewToken()
	}
	now := a.Now()
	d := TrustedDevice{ID: DeviceID(uuid.Must(uuid.NewV7()).String()), User: actor.User, Hash: hash, Agent: actor.Client.Agent, Address: actor.Client.Address,
		CreatedAt: now, UsedAt: now, ExpiresAt: now.Add(a.TrustFor)}
	return mark, a.Store.TrustDevice(ctx, d, a.event(actor, DeviceAdd, TargetUser(actor.User), Success, ""))
}

// TrustedDevices lists the devices that are not asked for the second factor of a user.
func (a *Accounts) TrustedDevices(ctx context.Context, user UserID) ([]TrustedDevice, error) {
	return a.Store.TrustedDevices(ctx, user, a.Now())
}

// DistrustDevice takes a device away from the user who acts.
func (a *Accounts) DistrustDevice(ctx context.Context, actor Actor, id DeviceID) error {
	return a.Store.DistrustDevice(ctx, id, actor.User, a.event(actor, DeviceRemove, TargetUser(actor.User), Success, string(id)))
}

// FinishOnDevice is FinishSignIn on a trusted device: ErrFactorWrong where it is none of
// the user's, or not any more. Nothing is counted, for nobody can guess one.
func (a *Accounts) FinishOnDevice(ctx context.Context, actor Actor, w Awaited, mark Secret) (Secret, Session, error) {
	if a.TrustFor <= 0 || !PlausibleToken(mark.Reveal()) {
		return "", Session{}, ErrFactorWrong
	}
	hash := HashToken(mark.Reveal())
	w.AMR = append(w.AMR[:len(w.AMR):len(w.AMR)], deviceMethods...)
	token, s, err := a.beginProven(ctx, actor, &w, FactorUse{Device: &hash, At: a.Now()})
	if err == nil {
		a.Tally.signIn(nil)
		if w.Also != nil {
			return a.alsoLink(ctx, actor, token, s, w.Also)
		}
	}
	return token, s, err
}

// deviceMethods say that a trusted device stood in for the second factor. RFC 8176 has
// no value for it.
var deviceMethods = []string{"device", "mfa"}
