package storetest

import (
	"encoding/json"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

var mailSignInTests = map[string]func(*world){
	"mail sign-in: once, in one browser": mailSignIn,
	"mail sign-in: outdated":             mailSignInOutdated,
	"mail sign-in: a second factor":      mailSignInWaits,
	"mail sign-in: many hands":           raceForMailCode,
}

// mailCodes makes up a link and a code that were sent to a user.
func (w *world) mailCodes(u authcore.User, browser string) (link, code authcore.TokenHash) {
	w.Helper()
	since, err := w.db().ProofSince(w.Context(), u.ID)
	w.must(err)
	data, err := json.Marshal(map[string]string{"State": authcore.RecoveryState(since, u.Email)})
	w.must(err)
	_, link = authcore.NewToken()
	_, code = authcore.NewToken()
	c := authcore.Code{Hash: link, Purpose: authcore.PurposeMailLink, User: u.ID, Browser: browser, Data: string(data), CreatedAt: w.now, ExpiresAt: w.now.Add(time.Minute)}
	d := c
	d.Hash, d.Purpose = code, authcore.PurposeMailCode
	w.must(w.db().PostMail(w.Context(), nil, authcore.Post{Code: &c}, authcore.Post{Code: &d}))
	return link, code
}

// mailSignsIn signs in with a link or a code.
func (w *world) mailSignsIn(db Store, u authcore.User, purpose authcore.Purpose, code authcore.TokenHash, browser string, after time.Duration) (token authcore.TokenHash, waits bool, err error) {
	s, token := w.session(u)
	s.AMR = []string{"mail"}
	in := authcore.MailSignIn{Purpose: purpose, Code: code, Browser: browser, Session: s, Token: token, Event: w.event(authcore.UserLogin, "in"), Waits: w.event(authcore.UserLogin, "waits")}
	in.Event.Time = w.now.Add(after)
	waits, err = db.SignInByMail(w.Context(), in)
	return token, waits, err
}

func mailSignIn(w *world) {
	u, other := w.add("alice", nil), w.add("bob", nil)
	try := func(what string, of authcore.User, purpose authcore.Purpose, code authcore.TokenHash, browser string, after time.Duration, want error) {
		w.Helper()
		token, waits, err := w.mailSignsIn(w.db(), of, purpose, code, browser, after)
		w.is(what, err, want)
		w.same(what, false, waits)
		w.alive(what, want == nil, token)
	}
	link, code := w.mailCodes(u, "browser")
	elsewhere, _ := w.mailCodes(u, "another")
	try("in another browser", u, authcore.PurposeMailLink, link, "another", 0, authcore.ErrCodeInvalid)
	try("as something else", u, authcore.PurposeMailCode, link, "browser", 0, authcore.ErrCodeInvalid)
	try("as somebody else", other, authcore.PurposeMailLink, link, "browser", 0, authcore.ErrCodeInvalid)
	try("late", u, authcore.PurposeMailLink, link, "browser", time.Minute, authcore.ErrCodeInvalid)
	try("the link", u, authcore.PurposeMailLink, link, "browser", time.Second, nil)
	try("the link again", u, authcore.PurposeMailLink, link, "browser", time.Second, authcore.ErrCodeInvalid)
	try("the code beside it", u, authcore.PurposeMailCode, code, "browser", time.Second, authcore.ErrCodeInvalid)
	try("that of another browser", u, authcore.PurposeMailLink, elsewhere, "another", time.Second, nil)
	_, code = w.mailCodes(u, "browser")
	w.mailCodes(u, "browser")
	try("an older code", u, authcore.PurposeMailCode, code, "browser", time.Second, nil)
}

func mailSignInOutdated(w *world) {
	for what, change := range map[string]func(u authcore.User){
		"another password": func(u authcore.User) {
			w.must(w.db().SetPassword(w.Context(), u.ID, hashOf("new"), "", w.event(authcore.PasswordChange, "")))
		},
		"another address": func(u authcore.User) {
			w.must(w.db().SetEmail(w.Context(), u.ID, "new-"+u.Email, w.event(authcore.UserUpdate, "")))
		},
		"disabled": func(u authcore.User) {
			w.must(w.db().SetStatus(w.Context(), u.ID, authcore.Disabled, w.event(authcore.UserDisable, "")))
		},
		"signed out everywhere": func(u authcore.User) {
			_, err := w.db().RevokeSessionsOf(w.Context(), u.ID, "", w.event(authcore.SessionRevoke, ""))
			w.must(err)
		},
		"everybody signed out": func(u authcore.User) {
			_, err := w.db().RevokeEverySession(w.Context(), w.event(authcore.SessionRevoke, ""))
			w.must(err)
		},
	} {
		u := w.add(map[string]string{"another password": "a1", "another address": "a2", "disabled": "a3", "signed out everywhere": "a4", "everybody signed out": "a5"}[what], nil)
		link, _ := w.mailCodes(u, "browser")
		change(u)
		_, _, err := w.mailSignsIn(w.db(), u, authcore.PurposeMailLink, link, "browser", 0)
		w.is(what, err, authcore.ErrCodeInvalid)
	}
}

func mailSignInWaits(w *world) {
	u := w.add("alice", nil)
	w.factor(u, 5)
	link, code := w.mailCodes(u, "browser")
	token, waits, err := w.mailSignsIn(w.db(), u, authcore.PurposeMailLink, link, "browser", 0)
	w.must(err)
	w.same("waits", true, waits)
	w.alive("before the second factor", false, token)
	_, _, err = w.mailSignsIn(w.db(), u, authcore.PurposeMailCode, code, "browser", 0)
	w.is("the code beside it", err, authcore.ErrCodeInvalid)
	since, err := w.db().ProofSince(w.Context(), u.ID)
	w.must(err)
	s, token := w.session(u)
	finish := func(state string, step int64) error {
		return w.db().CreateProvenSession(w.Context(), s, token, authcore.FirstProof{Mail: state}, atStep(step), w.event(authcore.UserLogin, ""))
	}
	w.is("after another address", finish(authcore.RecoveryState(since, "other@example.com"), 6), authcore.ErrLoginFailed)
	w.must(finish(authcore.RecoveryState(since, u.Email), 6))
	w.alive("after it", true, token)
}

func raceForMailCode(w *world) {
	u := w.add("alice", nil)
	link, code := w.mailCodes(u, "browser")
	w.oneWon(w.atOnce(16, func(i int, db Store) error {
		purpose, hash := authcore.PurposeMailLink, link
		if i%4 < 2 {
			purpose, hash = authcore.PurposeMailCode, code
		}
		_, _, err := w.mailSignsIn(db, u, purpose, hash, "browser", 0)
		return err
	}), authcore.ErrCodeInvalid)
}
