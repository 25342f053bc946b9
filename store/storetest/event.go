package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

var eventTests = map[string]func(*world){
	"events":             events,
	"a batch again":      batchAgain,
	"the context counts": contextCounts,
}

func events(w *world) {
	if at, err := w.db().Latest(w.Context()); err != nil || !at.IsZero() {
		w.Errorf("the latest of none: %s, %v", at, err)
	}
	w.must(w.db().InsertEvents(w.Context(), nil, false))
	var all []authcore.Event
	for i := range 250 {
		ev := w.event(authcore.UserLogin, fmt.Sprint(i))
		ev.Time, ev.Outcome = w.now.Add(time.Duration(i%7)*time.Second), authcore.Refused
		all = append(all, ev)
	}
	all[0].Details, all[1].Actor = strings.Repeat("é", 256), authcore.Actor{Kind: authcore.ActorSystem}
	all[2].Actor.Client = authcore.NewClient("192.0.2.1", strings.Repeat("a", 1000), strings.Repeat("r", 64))
	for batch := range slices.Chunk(all, 100) {
		w.must(w.db().InsertEvents(w.Context(), batch, false))
	}
	for _, limit := range []int{250, 83} {
		var got []authcore.Event
		for after := ""; ; after = got[len(got)-1].ID {
			page, err := w.db().EventsAfter(w.Context(), after, limit)
			w.must(err)
			for _, e := range page {
				got = append(got, e.Event)
			}
			if len(page) < limit {
				break
			}
		}
		w.same(fmt.Sprint(limit, " at a time"), all, got)
	}
	at, err := w.db().Latest(w.Context())
	w.must(err)
	w.same("the latest", w.now.Add(6*time.Second), at)
}

// A batch whose answer was lost is written again.
func batchAgain(w *world) {
	first, second, third := w.event(authcore.UserLogin, "1"), w.event(authcore.UserLogin, "2"), w.event(authcore.UserLogin, "3")
	w.must(w.db().InsertEvents(w.Context(), []authcore.Event{first, second}, false))
	changed := second
	changed.Target = "forged"
	w.must(w.db().InsertEvents(w.Context(), []authcore.Event{first, changed, third}, false))
	w.happened("user.login 1", "user.login 2", "user.login 3")
}

// A call whose context has ended does nothing and says so.
func contextCounts(w *world) {
	u := w.add("alice", nil)
	s, token := w.signIn(u, nil)
	ctx, cancel := context.WithCancel(w.Context())
	cancel()
	db := w.db()
	_, _, byToken := db.SessionByToken(ctx, token)
	_, _, byLogin := db.UserByLogin(ctx, "alice", false)
	_, _, changes := db.ChangesSince(ctx, w.now)
	_, closed := db.SetupClosed(ctx)
	_, _, ended := db.DeleteEnded(ctx, w.now, w.now, "")
	for what, err := range map[string]error{
		"SessionByToken": byToken, "UserByLogin": byLogin, "ChangesSince": changes, "SetupClosed": closed, "DeleteEnded": ended, "Ping": db.Ping(ctx),
		"CreateUser":    db.CreateUser(ctx, w.user("bob"), "", nil, w.event(authcore.UserCreate, "bob")),
		"SetPassword":   db.SetPassword(ctx, u.ID, hashOf("new"), "", w.event(authcore.PasswordChange, "alice")),
		"RevokeSession": db.RevokeSession(ctx, s.ID, u.ID, w.event(authcore.SessionRevoke, "alice")),
		"InsertEvents":  db.InsertEvents(ctx, []authcore.Event{w.event(authcore.UserLogin, "")}, false),
	} {
		if !errors.Is(err, context.Canceled) {
			w.Errorf("%s: %v", what, err)
		}
	}
	w.alive("as if nothing had been asked", true, token)
	w.happened("user.create alice", "user.login alice")
	w.must(w.db().Ping(w.Context()))
}
