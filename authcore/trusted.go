package authcore

import (
	"context"
	"slices"
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
	// TrustDevice adds a device of the user of a root session, which must live: else
	// ErrSessionNotFound.
	TrustDevice(ctx context.Context, d TrustedDevice, root SessionID, ev Event) error
	// TrustedDevices lists the devices of a user that have not expired, newest first.
	TrustedDevices(ctx context.Context, user UserID, now time.Time) ([]TrustedDevice, error)
	// DistrustDevice takes a device of a user away, and ends the sessions in which a device
	// stood in for the second factor, but for those of the root keep: ErrDeviceNotFound.
	DistrustDevice(ctx context.Context, id DeviceID, user UserID, keep SessionID, ev Event) error
}

// ErrDeviceNotFound is the error for a device that there is not.
var ErrDeviceNotFound = &Error{Kind: NotFound, Code: "device_not_found", Message: "There is no such device on this account."}

// TrustDevice has a browser not asked for the second factor of the user of a root session.
// It gives what the browser is to keep: another mark each time, so that none that was
// taken away counts again.
func (a *Accounts) TrustDevice(ctx context.Context, actor Actor) (Secret, error) {
	if err := actor.inPerson(); err != nil {
		return "", err
	}
	if a.TrustFor <= 0 {
		return "", nil
	}
	mark, hash := NewToken()
	now := a.Now()
	d := TrustedDevice{ID: DeviceID(uuid.Must(uuid.NewV7()).String()), User: actor.User, Hash: hash, Agent: actor.Client.Agent, Address: actor.Client.Address,
		CreatedAt: now, UsedAt: now, ExpiresAt: now.Add(a.TrustFor)}
	return mark, a.Store.TrustDevice(ctx, d, actor.Session, a.event(actor, DeviceAdd, TargetUser(actor.User), Success, ""))
}

// TrustedDevices lists the devices that are not asked for the second factor of a user.
func (a *Accounts) TrustedDevices(ctx context.Context, user UserID) ([]TrustedDevice, error) {
	return a.Store.TrustedDevices(ctx, user, a.Now())
}

// DistrustDevice takes a device away from the user who acts, and ends sessions that were
// begun on such devices.
func (a *Accounts) DistrustDevice(ctx context.Context, actor Actor, id DeviceID) error {
	if err := actor.inPerson(); err != nil {
		return err
	}
	err := a.Store.DistrustDevice(ctx, id, actor.User, actor.Session, a.event(actor, DeviceRemove, TargetUser(actor.User), Success, string(id)))
	if err == nil {
		a.changed(ChangeUser, string(actor.User))
	}
	return err
}

// FinishOnDevice is FinishSignIn on a trusted device, by one of the marks that it keeps: ErrFactorWrong where it is none of
// the user's, or not any more. Nothing is counted, for nobody can guess one.
func (a *Accounts) FinishOnDevice(ctx context.Context, actor Actor, w Awaited, marks []Secret) (Secret, Session, error) {
	w.AMR = append(w.AMR[:len(w.AMR):len(w.AMR)], deviceMethods...)
	for _, mark := range marks {
		if a.TrustFor <= 0 || !PlausibleToken(mark.Reveal()) {
			continue
		}
		hash := HashToken(mark.Reveal())
		token, s, err := a.beginProven(ctx, actor, &w, FactorUse{Device: &hash, At: a.Now()})
		if !ErrFactorWrong.is(err) {
			return a.signedIn(ctx, actor, token, s, w.Also, err)
		}
	}
	return "", Session{}, ErrFactorWrong // it is asked for, then
}

// signedIn is the end of a sign-in: it is counted, and links an account at a provider
// where one waits for that.
func (a *Accounts) signedIn(ctx context.Context, actor Actor, token Secret, s Session, also *PendingLink, err error) (Secret, Session, error) {
	a.Tally.signIn(err)
	if err == nil && also != nil {
		return a.alsoLink(ctx, actor, token, s, also)
	}
	return token, s, err
}

// OnTrustedDevice tells whether a trusted device stood in for the second factor of a
// session, which was not shown since.
func OnTrustedDevice(amr []string) bool {
	return slices.Contains(amr, "device") && !slices.Contains(amr, "otp") && !ByPasskey(amr)
}

// deviceMethods say that a trusted device stood in for the second factor. RFC 8176 has
// no value for it.
var deviceMethods = []string{"device", "mfa"}
