package storetest

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

var mailTests = map[string]func(*world){
	"mail":             mail,
	"mail with a code": mailWithCode,
	"race: one sends":  raceToSend,
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
		ok, err := w.db().CodeValid(w.Context(), "recover", hash, w.now)
		w.must(err)
		w.same(what, want, ok)
	}
	code := func(user authcore.UserID) *authcore.Code {
		_, hash := authcore.NewToken()
		return &authcore.Code{Hash: hash, Purpose: "recover", User: user, Data: "state", CreatedAt: w.now, ExpiresAt: w.now.Add(time.Hour)}
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
