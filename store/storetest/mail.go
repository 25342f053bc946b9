package storetest

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

var mailTests = map[string]func(*world){
	"verify an address":  verifyEmail,
	"race: one address":  raceToVerify,
	"mail":               mail,
	"mail with a code":   mailWithCode,
	"race: one sends":    raceToSend,
	"recover a password": recoverPassword,
	"recovery, outdated": recoverOutdated,
	"recovery, twice":    recoverTwice,
	"address, proven":    provenAddress,
	"race: one recovery": raceToRecover,
}

// mailOf makes up a message of a user.
func (w *world) mailOf(user authcore.UserID, due time.Duration) authcore.Mail {
	return authcore.Mail{ID: authcore.MailID(authcore.NewUserID()), Kind: "kind", User: user, Sealed: "sealed é 😀", CreatedAt: w.now, DueAt: w.now.Add(due)}
}

// due gives the messages that are due after a time.
func (w *world) due(after time.Duration, limit int) []authcore.Mail {
	w.Helper()
	due, err := w.db().MailsDue(w.Context(), w.now.Add(after), limit)
	w.must(err)
	return due
}

func mail(w *world) {
	n, oldest, err := w.db().MailsWaiting(w.Context())
	w.must(err)
	w.same("none yet", true, n == 0 && oldest.IsZero())
	first, second := w.mailOf("user", 0), w.mailOf("", time.Minute)
	ev := w.event(authcore.UserUpdate, "posted")
	w.must(w.db().PostMail(w.Context(), &ev, authcore.Post{Mail: second}, authcore.Post{Mail: first}))
	w.same("too early", []authcore.Mail(nil), w.due(-time.Microsecond, 10))
	w.same("the first", []authcore.Mail{first}, w.due(0, 10))
	w.same("both", []authcore.Mail{first, second}, w.due(time.Minute, 10))
	w.same("one of both", []authcore.Mail{first}, w.due(time.Minute, 1))
	n, oldest, err = w.db().MailsWaiting(w.Context())
	w.must(err)
	w.same("both wait", true, n == 2 && oldest.Equal(w.now))

	ours, err := w.db().ClaimMail(w.Context(), first, w.now.Add(time.Hour))
	w.must(err)
	w.same("claimed", true, ours)
	ours, err = w.db().ClaimMail(w.Context(), first, w.now.Add(time.Hour))
	w.must(err)
	w.same("claimed by another who knew it before", false, ours)
	w.same("while it is put off", []authcore.Mail{second}, w.due(time.Minute, 10))
	first.Tries, first.DueAt = 1, w.now.Add(time.Hour)
	w.same("when it is due again", []authcore.Mail{second, first}, w.due(time.Hour, 10))

	w.must(w.db().DeleteMail(w.Context(), second.ID, nil))
	lost := w.event(authcore.MailLost, "given up")
	for range 2 {
		w.must(w.db().DeleteMail(w.Context(), first.ID, &lost)) // what is gone is lost once
	}
	ours, err = w.db().ClaimMail(w.Context(), first, w.now)
	w.must(err)
	w.same("claimed when it is gone", false, ours)
	w.same("in the end", []authcore.Mail(nil), w.due(24*time.Hour, 10))
	w.happened("user.update posted", "mail.lost given up")
}

// A code comes with its message or not at all, and takes the place of an earlier one.
func mailWithCode(w *world) {
	valid := func(what string, hash authcore.TokenHash, want bool) {
		w.Helper()
		ok, err := w.db().CodeValid(w.Context(), authcore.PurposeVerify, hash, w.now)
		w.must(err)
		w.same(what, want, ok)
	}
	code := func(user authcore.UserID) *authcore.Code {
		_, hash := authcore.NewToken()
		return &authcore.Code{Hash: hash, Purpose: authcore.PurposeVerify, User: user, Data: "state", CreatedAt: w.now, ExpiresAt: w.now.Add(time.Hour)}
	}
	of, again, other, nobodys, bare := code("alice"), code("alice"), code("bob"), code(""), code("")
	for _, c := range []*authcore.Code{of, other, nobodys} {
		w.must(w.db().PostMail(w.Context(), nil, authcore.Post{Mail: w.mailOf(c.User, 0), Code: c}))
	}
	for what, c := range map[string]*authcore.Code{"the first": of, "another user's": other, "nobody's": nobodys} {
		valid(what, c.Hash, true)
	}
	m := w.mailOf("alice", 0)
	w.must(w.db().PostMail(w.Context(), nil, authcore.Post{Mail: m, Code: again}, authcore.Post{Code: bare}))
	for what, want := range map[*authcore.Code]bool{of: false, again: true, other: true, nobodys: true, bare: true} {
		valid(fmt.Sprint("after another: ", what.User), what.Hash, want)
	}
	if err := w.db().PostMail(w.Context(), nil, authcore.Post{Mail: m, Code: code("alice")}); err == nil {
		w.Error("a message was posted twice")
	}
	valid("after a command that failed", again.Hash, true)
	w.same("messages", 4, len(w.due(0, 10)))
}

func raceToSend(w *world) {
	m := w.mailOf("user", 0)
	w.must(w.db().PostMail(w.Context(), nil, authcore.Post{Mail: m}))
	var won atomic.Int32
	for _, err := range w.atOnce(20, func(_ int, db Store) error {
		ours, err := db.ClaimMail(w.Context(), m, w.now.Add(time.Hour))
		if ours {
			won.Add(1)
		}
		return err
	}) {
		w.must(err)
	}
	w.same("who may send it", int32(1), won.Load())
}

// recovery makes a recovery code of a user as that user is now.
func (w *world) recovery(u authcore.User) authcore.TokenHash {
	w.Helper()
	since, err := w.db().ProofSince(w.Context(), u.ID)
	w.must(err)
	_, hash := authcore.NewToken()
	w.must(w.db().PostMail(w.Context(), nil, authcore.Post{Code: &authcore.Code{Hash: hash, Purpose: authcore.PurposeRecover, User: u.ID,
		Data: authcore.RecoveryState(since, u.Email), CreatedAt: w.now, ExpiresAt: w.now.Add(time.Hour)}}))
	return hash
}

// recovers redeems a recovery code after a time, for the password "new".
func (w *world) recovers(db Store, code authcore.TokenHash, after time.Duration, mail ...authcore.Post) error {
	ev := w.event(authcore.PasswordChange, "recovered")
	ev.Time = ev.Time.Add(after)
	return db.Recover(w.Context(), code, hashOf("new"), ev, mail...)
}

func recoverPassword(w *world) {
	u, bob := w.add("alice", nil), w.add("bob", nil)
	_, token := w.signIn(u, nil)
	_, bobs := w.signIn(bob, nil)
	code := w.recovery(u)
	got, err := w.db().CodeOf(w.Context(), authcore.PurposeRecover, code, w.now)
	w.must(err)
	w.same("whose it is", u.ID, got.User)
	wrong := code
	wrong[31] ^= 1
	w.is("one bit changed", w.recovers(w.db(), wrong, time.Minute), authcore.ErrCodeInvalid)
	w.is("too late", w.recovers(w.db(), code, time.Hour), authcore.ErrCodeInvalid)
	w.alive("until then", true, token, bobs)
	m := w.mailOf(u.ID, 0)
	w.is("in time", w.recovers(w.db(), code, time.Minute, authcore.Post{Mail: m}), nil)
	w.same("told", []authcore.Mail{m}, w.due(0, 10))
	_, hash := w.read(u.ID)
	w.same("the password", hashOf("new"), hash)
	w.alive("afterwards", false, token)
	w.alive("another user's", true, bobs)
	w.is("a second time", w.recovers(w.db(), code, time.Minute), authcore.ErrCodeInvalid)
	_, err = w.db().CodeOf(w.Context(), authcore.PurposeRecover, code, w.now)
	w.is("looked at when it was used", err, authcore.ErrCodeInvalid)
	w.changed("user " + string(u.ID))
	w.happened("user.create alice", "user.create bob", "user.login alice", "user.login bob", "password.change recovered")
}

// Another link, which strangers can cause, ends none that somebody has; the first that is
// used ends all.
func recoverTwice(w *world) {
	u := w.add("alice", nil)
	first, second := w.recovery(u), w.recovery(u)
	w.is("the earlier one", w.recovers(w.db(), first, time.Minute), nil)
	w.is("the later one", w.recovers(w.db(), second, time.Minute), authcore.ErrCodeInvalid)
}

// Whoever has proven an address has it, although somebody else has given it as theirs.
func provenAddress(w *world) {
	const address = "dora@example.com"
	squatter := w.add("mallory", func(u *authcore.User) { u.Email, u.EmailVerified = address, false })
	dora := w.user("dora")
	dora.Email, dora.EmailVerified = address, true
	w.must(w.db().CreateUser(w.Context(), dora, "", nil, w.event(authcore.UserCreate, "dora")))
	got, _ := w.read(squatter.ID)
	w.same("who only gave it", "", got.Email)
	second := w.add("oscar", func(u *authcore.User) { u.Email, u.EmailVerified = "else@example.com", false })
	w.must(w.db().SetEmail(w.Context(), dora.ID, "else@example.com", w.event(authcore.UserUpdate, "dora")))
	got, _ = w.read(second.ID)
	w.same("who only gave another", "", got.Email)
	unproven := w.user("eve")
	unproven.Email, unproven.EmailVerified = "else@example.com", false
	w.is("who proves nothing", w.db().CreateUser(w.Context(), unproven, "", nil, w.event(authcore.UserCreate, "eve")), authcore.ErrEmailTaken)
}

// A code is good for the user as that user was when it was made.
func recoverOutdated(w *world) {
	for name, change := range map[string]func(u authcore.User) error{
		"password": func(u authcore.User) error {
			ev := w.event(authcore.PasswordChange, u.Username)
			ev.Time = ev.Time.Add(time.Second)
			return w.db().SetPassword(w.Context(), u.ID, hashOf("other"), "", ev)
		},
		"everywhere": func(u authcore.User) error {
			ev := w.event(authcore.SessionRevoke, u.Username)
			ev.Time = ev.Time.Add(time.Second)
			_, err := w.db().RevokeSessionsOf(w.Context(), u.ID, "", ev)
			return err
		},
		"address": func(u authcore.User) error {
			return w.db().SetEmail(w.Context(), u.ID, "else@example.com", w.event(authcore.UserUpdate, u.Username))
		},
		"disabled": func(u authcore.User) error {
			return w.db().SetStatus(w.Context(), u.ID, authcore.Disabled, w.event(authcore.UserDisable, u.Username))
		},
		"enabled": func(u authcore.User) error {
			w.must(w.db().SetStatus(w.Context(), u.ID, authcore.Disabled, w.event(authcore.UserDisable, u.Username)))
			return w.db().SetStatus(w.Context(), u.ID, authcore.Active, w.event(authcore.UserEnable, u.Username))
		},
		"all": func(u authcore.User) error {
			_, err := w.db().RevokeEverySession(w.Context(), w.event(authcore.SessionRevoke, ""))
			return err
		},
	} {
		u := w.add(name, nil)
		code := w.recovery(u)
		w.must(change(u))
		w.is(name, w.recovers(w.db(), code, time.Minute), authcore.ErrCodeInvalid)
		if _, hash := w.read(u.ID); hash == hashOf("new") {
			w.Errorf("%s: the password was set", name)
		}
	}
	// A name that is shown changes nothing, nor does a hash of the same password.
	u := w.add("profile", nil)
	code := w.recovery(u)
	w.must(w.db().UpdateProfile(w.Context(), u.ID, "Other", u.Email, w.event(authcore.UserUpdate, "profile")))
	w.must(w.db().Rehash(w.Context(), u.ID, hashOf("old"), hashOf("same")))
	w.is("profile", w.recovers(w.db(), code, time.Minute), nil)
	none := w.user("none")
	w.must(w.db().CreateUser(w.Context(), none, "", nil, w.event(authcore.UserCreate, "none")))
	w.is("who had no password", w.recovers(w.db(), w.recovery(none), time.Minute), nil)
}

func raceToRecover(w *world) {
	u := w.add("alice", nil)
	code := w.recovery(u)
	w.oneWon(w.atOnce(20, func(_ int, db Store) error { return w.recovers(db, code, time.Minute) }), authcore.ErrCodeInvalid)
}

// verification makes a code that verifies an address of a user.
func (w *world) verification(u authcore.User, email string) authcore.TokenHash {
	w.Helper()
	_, hash := authcore.NewToken()
	w.must(w.db().PostMail(w.Context(), nil, authcore.Post{Code: &authcore.Code{Hash: hash, Purpose: authcore.PurposeVerify, User: u.ID, Data: email,
		CreatedAt: w.now, ExpiresAt: w.now.Add(time.Hour)}}))
	return hash
}

func (w *world) verifies(db Store, code authcore.TokenHash, u authcore.User, after time.Duration) error {
	ev := w.event(authcore.EmailVerify, u.Username)
	ev.Time = ev.Time.Add(after)
	return db.VerifyEmail(w.Context(), code, u.ID, ev)
}

func verifyEmail(w *world) {
	u, bob := w.add("alice", nil), w.add("bob", nil)
	pending := func(what, want string, after time.Duration) {
		w.Helper()
		got, err := w.db().PendingEmail(w.Context(), u.ID, w.now.Add(after))
		w.must(err)
		w.same(what, want, got)
	}
	pending("at first", "", 0)
	older := w.verification(u, "older@example.net")
	code := w.verification(u, "Alice@Example.net")
	pending("the newest", "Alice@Example.net", 0)
	pending("when it has ended", "", time.Hour)
	w.is("an older one", w.verifies(w.db(), older, u, 0), authcore.ErrCodeInvalid)
	w.is("another user's", w.verifies(w.db(), code, bob, 0), authcore.ErrCodeInvalid)
	w.is("too late", w.verifies(w.db(), code, u, time.Hour), authcore.ErrCodeInvalid)
	w.is("as something else", w.recovers(w.db(), code, 0), authcore.ErrCodeInvalid)
	w.is("in time", w.verifies(w.db(), code, u, 0), nil)
	w.is("a second time", w.verifies(w.db(), code, u, 0), authcore.ErrCodeInvalid)
	pending("afterwards", "", 0)
	u.Email = "Alice@Example.net"
	got, _ := w.read(u.ID)
	w.same("the user", u, got)
	w.changed("user " + string(u.ID))

	w.is("of another who proved it", w.verifies(w.db(), w.verification(bob, "alice@example.net"), bob, 0), authcore.ErrEmailTaken)
	squatter := w.add("squatter", func(u *authcore.User) { u.EmailVerified, u.Email = false, "bob@example.net" })
	w.is("of another who did not", w.verifies(w.db(), w.verification(bob, "bob@example.net"), bob, 0), nil)
	got, _ = w.read(squatter.ID)
	w.same("who never proved it", "", got.Email)
	w.changed("user "+string(u.ID), "user "+string(bob.ID), "user "+string(squatter.ID))

	ends := w.verification(bob, "third@example.net")
	w.must(w.db().SetEmail(w.Context(), bob.ID, "fourth@example.net", w.event(authcore.UserUpdate, "bob")))
	w.is("after an operator's word", w.verifies(w.db(), ends, bob, 0), authcore.ErrCodeInvalid)
	off := w.verification(u, "off@example.net")
	w.must(w.db().SetStatus(w.Context(), u.ID, authcore.Disabled, w.event(authcore.UserDisable, "alice")))
	w.is("when disabled", w.verifies(w.db(), off, u, 0), authcore.ErrCodeInvalid)
}

func raceToVerify(w *world) {
	var users []authcore.User
	var codes []authcore.TokenHash
	for i := range 10 {
		u := w.add(fmt.Sprint("user", i), nil)
		users, codes = append(users, u), append(codes, w.verification(u, "one@example.net"))
	}
	w.oneWon(w.atOnce(20, func(i int, db Store) error { return w.verifies(db, codes[i/2], users[i/2], 0) }), authcore.ErrEmailTaken, authcore.ErrCodeInvalid)
}
