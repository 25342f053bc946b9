package storetest

import (
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

var deleteTests = map[string]func(*world){
	"delete: at once, with all there is": deleteNow,
	"delete: later, or not":              deleteLater,
	"device: trust and use":              trustedDevices,
	"disown":                             disown,
}

func (w *world) deletes(u authcore.User, at time.Time) error {
	return w.db().DeleteUser(w.Context(), u.ID, at, w.event(authcore.UserDelete, u.Username), authcore.Post{Mail: w.mailOf("", 0)})
}

func deleteNow(w *world) {
	owner := w.add("owner", func(u *authcore.User) { u.Owner = true })
	w.is("the last owner", w.deletes(owner, time.Time{}), authcore.ErrLastOwner)
	u, other := w.add("alice", nil), w.add("bob", nil)
	_, _, token := w.addPasskey(u, "one")
	w.factor(u, 5, "code")
	w.mailCodes(u, "browser")
	_, _, otherToken := w.addPasskey(other, "two")
	w.must(w.deletes(u, time.Time{}))
	w.alive("its session", false, token)
	w.alive("another's", true, otherToken)
	_, _, err := w.db().UserByID(w.Context(), u.ID)
	w.is("gone", err, authcore.ErrUserNotFound)
	w.is("again", w.deletes(u, time.Time{}), authcore.ErrUserNotFound)
	w.passkeysOf("its passkeys", u)
	w.has("its factors", u, 0, 0)
	again := w.add("alice", nil) // the name is free
	w.is("another id", w.deletes(again, time.Time{}), nil)
}

func deleteLater(w *world) {
	u := w.add("alice", nil)
	_, token := w.signIn(u, nil)
	at := w.now.Add(time.Hour)
	w.must(w.deletes(u, at))
	w.alive("its session", false, token)
	got, _ := w.read(u.ID)
	w.same("the user", []any{authcore.Disabled, at}, []any{got.Status, got.DeleteAt})
	due := func(what string, now time.Time, want ...authcore.UserID) {
		w.Helper()
		got, err := w.db().UsersToDelete(w.Context(), now, 10)
		w.must(err)
		w.same(what, want, got)
	}
	due("too early", at.Add(-time.Microsecond))
	due("in time", at, u.ID)
	keep := func(of authcore.User) error {
		_, hash := authcore.NewToken()
		c := authcore.Code{Hash: hash, Purpose: authcore.PurposeKeep, User: u.ID, CreatedAt: w.now, ExpiresAt: at}
		w.must(w.db().CreateCode(w.Context(), c, nil))
		return w.db().KeepUser(w.Context(), hash, of.ID, w.event(authcore.UserEnable, ""))
	}
	w.is("by another's link", keep(w.add("bob", nil)), authcore.ErrCodeInvalid)
	w.must(keep(u))
	due("kept", at)
	got, _ = w.read(u.ID)
	w.same("the user", []any{authcore.Active, true}, []any{got.Status, got.DeleteAt.IsZero()})

	w.must(w.deletes(u, at))
	w.must(w.db().SetStatus(w.Context(), u.ID, authcore.Active, w.event(authcore.UserEnable, "")))
	due("enabled by an operator", at)
}

func trustedDevices(w *world) {
	u, other := w.add("alice", nil), w.add("bob", nil)
	w.factor(u, 5)
	since, err := w.db().ProofSince(w.Context(), u.ID)
	w.must(err)
	_, hash := authcore.NewToken()
	d := authcore.TrustedDevice{ID: authcore.DeviceID(authcore.NewSessionID()), User: u.ID, Hash: hash, Agent: "Agent 😀", Address: "192.0.2.1", CreatedAt: w.now, UsedAt: w.now, ExpiresAt: w.now.Add(time.Hour)}
	trust := func(d authcore.TrustedDevice) {
		w.Helper()
		w.must(w.db().TrustDevice(w.Context(), d, w.event(authcore.DeviceAdd, "")))
	}
	trust(d)
	begin := func(u authcore.User, after time.Duration) error {
		s, token := w.session(u)
		return w.db().CreateProvenSession(w.Context(), s, token, authcore.FirstProof{Since: since}, authcore.FactorUse{Device: &hash, At: w.now.Add(after)}, w.event(authcore.UserLogin, ""))
	}
	w.must(begin(u, time.Second))
	w.must(begin(u, 2*time.Second))
	w.is("of another user", begin(other, 0), authcore.ErrFactorWrong)
	w.is("too late", begin(u, time.Hour), authcore.ErrFactorWrong)
	list := func(what string, now time.Time, want ...authcore.DeviceID) {
		w.Helper()
		all, err := w.db().TrustedDevices(w.Context(), u.ID, now)
		w.must(err)
		var got []authcore.DeviceID
		for _, d := range all {
			got = append(got, d.ID)
		}
		w.same(what, want, got)
	}
	list("listed", w.now, d.ID)
	list("expired", d.ExpiresAt)
	w.is("taken away by another", w.db().DistrustDevice(w.Context(), d.ID, other.ID, w.event(authcore.DeviceRemove, "")), authcore.ErrDeviceNotFound)
	d.ID = authcore.DeviceID(authcore.NewSessionID())
	trust(d)
	list("in place of the one before", w.now, d.ID)
	w.must(w.db().DistrustDevice(w.Context(), d.ID, u.ID, w.event(authcore.DeviceRemove, "")))
	w.is("taken away", begin(u, 0), authcore.ErrFactorWrong)
	for what, change := range map[string]func() error{
		"another password": func() error {
			return w.db().SetPassword(w.Context(), u.ID, hashOf("new"), "", w.event(authcore.PasswordChange, ""))
		},
		"signed out everywhere": func() error {
			_, err := w.db().RevokeSessionsOf(w.Context(), u.ID, "", w.event(authcore.SessionRevoke, ""))
			return err
		},
	} {
		d.ID = authcore.DeviceID(authcore.NewSessionID())
		trust(d)
		w.must(change())
		list(what, w.now)
	}
	w.must(w.db().SetPassword(w.Context(), u.ID, hashOf("old"), "", w.event(authcore.PasswordChange, "")))
	trust(d)
	w.must(w.db().RemoveFactors(w.Context(), u.ID, "", w.event(authcore.FactorRemove, "")))
	list("no second factor any more", w.now)
}

func disown(w *world) {
	u, other := w.add("alice", nil), w.add("bob", nil)
	_, token := w.signIn(u, nil)
	_, theirs := w.signIn(other, nil)
	_, hash := authcore.NewToken()
	w.must(w.db().CreateCode(w.Context(), authcore.Code{Hash: hash, Purpose: authcore.PurposeDisown, User: u.ID, Data: authcore.EmailKey(u.Email), CreatedAt: w.now, ExpiresAt: w.now.Add(time.Hour)}, nil))
	try := func(of authcore.User) error {
		return w.db().Disown(w.Context(), hash, of.ID, w.event(authcore.SessionRevoke, ""))
	}
	w.is("of another", try(other), authcore.ErrCodeInvalid)
	w.must(try(u))
	w.is("again", try(u), authcore.ErrCodeInvalid)
	w.alive("the user's", false, token)
	w.alive("another's", true, theirs)
	_, hash = authcore.NewToken()
	w.must(w.db().CreateCode(w.Context(), authcore.Code{Hash: hash, Purpose: authcore.PurposeDisown, User: u.ID, Data: "old@example.com", CreatedAt: w.now, ExpiresAt: w.now.Add(time.Hour)}, nil))
	w.is("sent to an address of before", try(u), authcore.ErrCodeInvalid)
}
