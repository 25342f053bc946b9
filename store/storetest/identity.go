package storetest

import (
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

var identityTests = map[string]func(*world){
	"identity: a new user":           signInNew,
	"identity: by invitation":        signInInvited,
	"identity: the first owner":      signInSetup,
	"identity: a user who waits":     signInWaiting,
	"identity: the second time":      signInAgain,
	"identity: groups":               signInGroups,
	"identity: an address taken":     signInTakesEmail,
	"identity: used up":              signInOnce,
	"identity: refused":              signInRefused,
	"identity: accounts apart":       accountsApart,
	"identity: link":                 linkIdentity,
	"identity: confirm":              confirmIdentity,
	"identity: confirm, refused":     confirmRefused,
	"identity: unlink":               unlinkIdentity,
	"identity: unlink, kept":         unlinkKeeps,
	"identity: the last way in":      lastWayIn,
	"identity: lease":                identityLease,
	"identity: renew":                renewIdentity,
	"identity: renew, groups":        renewGroups,
	"identity: keep tokens":          keepTokens,
	"identity: due":                  identitiesDue,
	"identity: expel":                expelIdentity,
	"identity: expel, access tokens": expelTokens,
	"identity: signed out":           signOutIdentity,
	"identity: signed out, several":  signOutSeveral,
	"identity: signed out, details":  signOutDetails,
	"identity: signed out, once":     signOutOnce,
	"identity: used codes are gone":  usedCodesEnd,
}

const issuer = "https://id.example.net/é"

// once makes what a command uses up.
func (w *world) once(purpose authcore.Purpose) authcore.Code {
	_, hash := authcore.NewToken()
	return authcore.Code{Hash: hash, Purpose: purpose, Data: "used", CreatedAt: w.now, ExpiresAt: w.now.Add(time.Minute)}
}

// identity makes up an account of a user at a provider, which gives some groups.
func (w *world) identity(u authcore.User, subject string, groups ...string) authcore.Identity {
	return authcore.Identity{ID: authcore.NewIdentityID(), User: u.ID, Provider: "corp", Issuer: issuer, Subject: subject, Username: subject + " É. 😀",
		Email: subject + "@example.net", Tokens: "sealed", Version: 1, CreatedAt: w.now, UsedAt: w.now, CheckedAt: w.now, Groups: groups}
}

// link links an account to a user who is there.
func (w *world) link(u authcore.User, subject string, groups ...string) authcore.Identity {
	w.Helper()
	i := w.identity(u, subject, groups...)
	w.must(w.db().LinkIdentity(w.Context(), i, w.once(authcore.PurposeConnect), w.event(authcore.IdentityLink, subject)))
	return i
}

// arrival makes up a sign-in with an identity.
func (w *world) arrival(u authcore.User, i authcore.Identity) authcore.IdentitySignIn {
	s, token := w.session(u)
	s.AMR, s.Identity, s.Provider, s.ProviderSession = []string{"fed"}, i.ID, i.Provider, "session of "+i.Subject
	return authcore.IdentitySignIn{Identity: i, Session: s, Token: token, Once: w.once(authcore.PurposeConnect),
		Events: []authcore.Event{w.event(authcore.UserLogin, i.Subject)}}
}

// newcomer makes up the sign-in of a user who is not there yet.
func (w *world) newcomer(name string, groups ...string) authcore.IdentitySignIn {
	u := w.user(name)
	u.Groups = nil
	in := w.arrival(u, w.identity(u, name, groups...))
	in.NewUser, in.Link = &u, true
	in.Events = append([]authcore.Event{w.event(authcore.UserCreate, name)}, in.Events...)
	return in
}

// arrive signs a user in with an identity that is there; edit may change how.
func (w *world) arrive(u authcore.User, i authcore.Identity, edit func(*authcore.IdentitySignIn)) (authcore.Session, authcore.TokenHash) {
	w.Helper()
	in := w.arrival(u, i)
	if edit != nil {
		edit(&in)
	}
	w.must(w.db().SignInIdentity(w.Context(), in))
	return in.Session, in.Token
}

// hasIdentity checks an identity as the database has it.
func (w *world) hasIdentity(what string, want authcore.Identity) {
	w.Helper()
	want.Groups = nil // they are not read
	got, u, err := w.db().IdentityBy(w.Context(), want.Issuer, want.Subject)
	w.must(err)
	w.same(what, want, got)
	of, _ := w.read(want.User)
	w.same(what+": its user", of, u)
}

// hasNone checks that nobody has an account.
func (w *world) hasNone(what, subject string) {
	w.Helper()
	_, _, err := w.db().IdentityBy(w.Context(), issuer, subject)
	w.is(what, err, authcore.ErrIdentityNotFound)
}

// identitiesOf checks the identities of a user.
func (w *world) identitiesOf(what string, u authcore.User, want ...authcore.Identity) {
	w.Helper()
	got, err := w.db().IdentitiesOf(w.Context(), u.ID)
	w.must(err)
	for i := range want {
		want[i].Groups = nil
	}
	w.same(what, want, got)
}

// inGroups checks the groups of a user.
func (w *world) inGroups(what string, u authcore.User, want ...string) {
	w.Helper()
	got, _ := w.read(u.ID)
	w.same(what, want, got.Groups)
}

// newest gives the newest event of an action.
func (w *world) newest(action authcore.Action) authcore.Event {
	w.Helper()
	events, err := w.db().EventsAfter(w.Context(), "", 1000)
	w.must(err)
	for _, ev := range slices.Backward(events) {
		if ev.Action == action {
			return ev.Event
		}
	}
	return authcore.Event{}
}

// gives checks the newest event of groups: it says what an identity of a user gives now,
// and who made it so, as the event beside it does.
func (w *world) gives(what string, u authcore.User, groups string) {
	w.Helper()
	got, want := w.newest(authcore.UserGroups), w.event(authcore.UserGroups, authcore.TargetUser(u.ID))
	want.ID, want.Details = got.ID, "provider corp gives: "+groups
	w.same(what+": told", want, got)
}

// gave is what happened where identities gave a user other groups, so many times.
func gave(u authcore.User, times int) []string {
	return slices.Repeat([]string{"user.groups " + authcore.TargetUser(u.ID)}, times)
}
