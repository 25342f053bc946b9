package storetest

import (
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

var impersonationTests = map[string]func(*world){
	"act as a user":              actAs,
	"act as a user: not allowed": actAsRefused,
	"act as a user: it ends":     actingEnds,
}

// act begins a session of a user in which an owner acts.
func (w *world) act(owner, user authcore.User, by authcore.SessionID) (authcore.Session, authcore.TokenHash, error) {
	s, token := w.session(user)
	s.Act, s.ExpiresAt, s.AMR, s.AuthTime = owner.ID, w.now.Add(authcore.ActingLife), nil, time.Time{}
	ev := w.event(authcore.UserImpersonate, user.Username)
	s, err := w.db().Impersonate(w.Context(), s, token, by, ev)
	return s, token, err
}

func platformOwner(u *authcore.User) { u.Owner = true }

func actAs(w *world) {
	owner, ann := w.add("owner", platformOwner), w.add("ann", nil)
	own, ownToken := w.signIn(owner, func(s *authcore.Session) {
		s.AMR, s.AuthTime = []string{"pwd", "otp", "mfa"}, w.now.Add(-time.Hour)
	})
	s, token, err := w.act(owner, ann, own.ID)
	w.must(err)
	w.same("as the owner's own", []any{own.AMR, own.AuthTime}, []any{s.AMR, s.AuthTime})
	got, user, err := w.db().SessionByToken(w.Context(), token)
	w.must(err)
	w.same("session", s, got)
	w.same("user", withoutTimes(ann), user)
	child, childToken := w.child(s.ID, "app.example.com")
	w.same("a site session", []any{owner.ID, s.ExpiresAt, own.AMR}, []any{child.Act, child.ExpiresAt, child.AMR})
	w.alive("all of them", true, ownToken, token, childToken)
	all, err := w.db().SessionsOf(w.Context(), ann.ID, w.now)
	w.must(err)
	w.same("sessions", 2, len(all))
	events, err := w.db().EventsAfter(w.Context(), "", 100)
	w.must(err)
	last := events[len(events)-1]
	w.same("who made the site session", []any{authcore.SessionCreate, ann.ID, owner.ID}, []any{last.Action, last.Actor.User, last.Actor.Act})
	w.happened("user.create owner", "user.create ann", "user.login owner", "user.impersonate ann", "session.create app.example.com")
}

func actAsRefused(w *world) {
	owner, ann := w.add("owner", platformOwner), w.add("ann", nil)
	other := w.add("other", platformOwner)
	off := w.add("off", func(u *authcore.User) { u.Status = authcore.Disabled })
	own, _ := w.signIn(owner, nil)
	anns, _ := w.signIn(ann, nil)
	ended, _ := w.signIn(owner, func(s *authcore.Session) { s.ExpiresAt = w.now })
	for name, tt := range map[string]struct {
		by, as authcore.User
		in     authcore.SessionID
		want   error
	}{
		"by a user":              {ann, off, anns.ID, authcore.ErrNotOwner},
		"an owner":               {owner, other, own.ID, authcore.ErrActAsOwner},
		"a disabled user":        {owner, off, own.ID, authcore.ErrActAsDisabled},
		"nobody":                 {owner, w.user("nobody"), own.ID, authcore.ErrUserNotFound},
		"by nobody":              {w.user("nobody"), ann, own.ID, authcore.ErrNotOwner},
		"in a session of others": {owner, ann, anns.ID, authcore.ErrNoSession},
		"in one that has ended":  {owner, ann, ended.ID, authcore.ErrNoSession},
	} {
		_, token, err := w.act(tt.by, tt.as, tt.in)
		w.is(name, err, tt.want)
		w.alive(name, false, token)
	}
}

func actingEnds(w *world) {
	owner, ann := w.add("owner", platformOwner), w.add("ann", nil)
	w.add("other", platformOwner)
	own, _ := w.signIn(owner, nil)
	s, token, err := w.act(owner, ann, own.ID)
	w.must(err)
	_, childToken := w.child(s.ID, "app.example.com")
	_, staying := w.signIn(ann, nil)
	w.must(w.db().SetOwner(w.Context(), owner.ID, false, w.event(authcore.UserOwner, "")))
	w.alive("the owner is none any more", false, token, childToken)
	w.must(w.db().SetOwner(w.Context(), owner.ID, true, w.event(authcore.UserOwner, "")))
	w.alive("but again", true, token, childToken)
	_, err = w.db().RevokeSessionsOf(w.Context(), owner.ID, "", w.event(authcore.SessionRevoke, ""))
	w.must(err)
	w.alive("the owner was signed out everywhere", false, token, childToken)
	w.alive("the user's own", true, staying)
}
