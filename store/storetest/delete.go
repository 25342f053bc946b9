package storetest

import (
	"errors"
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
	s, token := w.session(u)
	w.is("the id again", w.db().CreatePasskeyUser(w.Context(), authcore.NewPasskeyUser{User: u, Passkey: w.passkey(u, "three"), Once: w.challenge(), Session: s, Token: token,
		Created: w.event(authcore.UserCreate, ""), Began: w.event(authcore.UserLogin, "")}), authcore.ErrPasskeyOld)
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
	ev := w.event(authcore.UserDelete, "")
	ev.Time = at.Add(-time.Microsecond)
	deleted, err := w.db().DeleteDue(w.Context(), u.ID, ev)
	w.must(err)
	w.same("deleted too early", false, deleted)
	w.must(keep(u))
	due("kept", at)
	got, _ = w.read(u.ID)
	w.same("the user", []any{authcore.Active, true}, []any{got.Status, got.DeleteAt.IsZero()})

	w.must(w.deletes(u, at))
	w.must(w.db().SetStatus(w.Context(), u.ID, authcore.Active, w.event(authcore.UserEnable, "")))
	due("enabled by an operator", at)
	ev.Time = at
	deleted, err = w.db().DeleteDue(w.Context(), u.ID, ev)
	w.must(err)
	w.same("deleted although brought back", false, deleted)
	w.is("a link that keeps whom nobody deletes", keep(u), authcore.ErrCodeInvalid)
	w.must(w.deletes(u, at))
	deleted, err = w.db().DeleteDue(w.Context(), u.ID, ev)
	w.must(err)
	w.same("deleted in time", true, deleted)
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
		s, token := w.session(u)
		s.AMR = []string{"pwd", "otp", "mfa"}
		w.must(w.db().CreateSession(w.Context(), s, token, hashOf("old"), w.event(authcore.UserLogin, "")))
		w.must(w.db().TrustDevice(w.Context(), d, s.Root, w.event(authcore.DeviceAdd, "")))
	}
	w.is("in a session that is over", w.db().TrustDevice(w.Context(), d, authcore.NewSessionID(), w.event(authcore.DeviceAdd, "")), authcore.ErrSessionNotFound)
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
	w.is("taken away by another", w.db().DistrustDevice(w.Context(), d.ID, other.ID, "", w.event(authcore.DeviceRemove, "")), authcore.ErrDeviceNotFound)
	begun, begunToken := w.session(u)
	begun.AMR = []string{"pwd", "device", "mfa"}
	w.must(w.db().CreateProvenSession(w.Context(), begun, begunToken, authcore.FirstProof{Since: since}, authcore.FactorUse{Device: &hash, At: w.now}, w.event(authcore.UserLogin, "")))
	w.must(w.db().DistrustDevice(w.Context(), d.ID, u.ID, "", w.event(authcore.DeviceRemove, "")))
	w.is("taken away", begin(u, 0), authcore.ErrFactorWrong)
	w.alive("a session that began on it", false, begunToken)
	for what, change := range map[string]func() error{
		"another password": func() error {
			return w.db().SetPassword(w.Context(), u.ID, hashOf("new"), "", w.event(authcore.PasswordChange, ""))
		},
		"signed out everywhere": func() error {
			_, err := w.db().RevokeSessionsOf(w.Context(), u.ID, "", w.event(authcore.SessionRevoke, ""))
			return err
		},
		"disabled": func() error {
			err := w.db().SetStatus(w.Context(), u.ID, authcore.Disabled, w.event(authcore.UserDisable, ""))
			return errors.Join(err, w.db().SetStatus(w.Context(), u.ID, authcore.Active, w.event(authcore.UserEnable, "")))
		},
	} {
		w.must(w.db().SetPassword(w.Context(), u.ID, hashOf("old"), "", w.event(authcore.PasswordChange, "")))
		d.ID, d.Hash = authcore.DeviceID(authcore.NewSessionID()), authcore.HashToken(what)
		trust(d)
		w.must(change())
		list(what, w.now)
	}
	w.must(w.db().SetPassword(w.Context(), u.ID, hashOf("old"), "", w.event(authcore.PasswordChange, "")))
	d.ID, d.Hash = authcore.DeviceID(authcore.NewSessionID()), authcore.HashToken("last")
	trust(d)
	w.must(w.db().RemoveFactors(w.Context(), u.ID, "", w.event(authcore.FactorRemove, "")))
	list("no second factor any more", w.now)
}

// stateOf is RecoveryState of a user as the database has it.
func (w *world) stateOf(u authcore.User) string {
	w.Helper()
	since, err := w.db().ProofSince(w.Context(), u.ID)
	w.must(err)
	return authcore.RecoveryState(since, u.Email)
}

func disown(w *world) {
	u, other := w.add("alice", nil), w.add("bob", nil)
	_, token := w.signIn(u, nil)
	_, theirs := w.signIn(other, nil)
	kept, _, _ := w.addPasskey(u, "kept")
	added, _, _ := w.addPasskey(u, "added")
	_, hash := authcore.NewToken()
	w.must(w.db().CreateCode(w.Context(), authcore.Code{Hash: hash, Purpose: authcore.PurposeDisown, User: u.ID, Data: w.stateOf(u) + "\npasskey " + string(added.ID), CreatedAt: w.now, ExpiresAt: w.now.Add(time.Hour)}, nil))
	try := func(of authcore.User) error {
		return w.db().Disown(w.Context(), hash, of.ID, w.event(authcore.SessionRevoke, ""))
	}
	w.is("of another", try(other), authcore.ErrCodeInvalid)
	w.must(try(u))
	w.is("again", try(u), authcore.ErrCodeInvalid)
	w.alive("the user's", false, token)
	w.passkeysOf("without the one that was disowned", u, kept)
	w.alive("another's", true, theirs)
	_, hash = authcore.NewToken()
	w.must(w.db().CreateCode(w.Context(), authcore.Code{Hash: hash, Purpose: authcore.PurposeDisown, User: u.ID, Data: "none old@example.com\n", CreatedAt: w.now, ExpiresAt: w.now.Add(time.Hour)}, nil))
	w.is("sent to an address of before", try(u), authcore.ErrCodeInvalid)
}
