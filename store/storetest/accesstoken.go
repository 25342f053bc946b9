package storetest

import (
	"fmt"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/access"
)

func accessTokens(w *world) {
	u, other := w.add("alice", nil), w.add("bob", nil)
	add := func(of authcore.User, name string, edit func(*authcore.AccessToken)) (authcore.AccessToken, authcore.TokenHash) {
		w.Helper()
		_, hash := authcore.NewAccessToken()
		t := authcore.AccessToken{ID: authcore.NewSessionID(), UserID: of.ID, Name: name, CreatedAt: w.now, ExpiresAt: w.now.Add(time.Hour)}
		if edit != nil {
			edit(&t)
		}
		w.must(w.db().CreateAccessToken(w.Context(), t, hash, w.event(authcore.TokenCreate, name)))
		return t, hash
	}
	reads := func(what string, hash authcore.TokenHash, want *authcore.AccessToken) {
		w.Helper()
		t, user, err := w.db().AccessTokenByHash(w.Context(), hash)
		if want == nil {
			w.is(what, err, authcore.ErrNoSession)
			return
		}
		w.must(err)
		w.same(what, *want, t)
		w.same(what+": user", u, user)
	}
	plain, plainHash := add(u, "plain", nil)
	full, fullHash := add(u, "voll ✓", func(t *authcore.AccessToken) {
		t.Grant = access.Grant{Hosts: []string{"app.example.com", "*.example.net"}, Paths: []string{"/api/*"}, Scopes: []string{"read", "write"}}
	})
	foreign, _ := add(other, "of bob", nil)
	reads("plain", plainHash, &plain)
	reads("with all", fullHash, &full)
	reads("unknown", authcore.TokenHash{}, nil)

	later := w.now.Add(time.Minute)
	w.must(w.db().TouchSessions(w.Context(), []authcore.Seen{{Session: full.ID, Access: true, At: later}, {Session: plain.ID, At: later}}))
	full.LastUsed = later
	reads("used", fullHash, &full)
	reads("not as a session", plainHash, &plain)

	listed := func(what string, of authcore.UserID, after authcore.SessionID, limit int, want ...authcore.AccessToken) {
		w.Helper()
		got, err := w.db().AccessTokens(w.Context(), of, after, limit)
		w.must(err)
		for i := range want {
			want[i].Username = map[authcore.UserID]string{u.ID: u.Username, other.ID: other.Username}[want[i].UserID]
		}
		w.same(what, want, got)
	}
	listed("of alice", u.ID, "", 10, plain, full)
	listed("of all", "", "", 10, plain, full, foreign)
	listed("a page", "", plain.ID, 1, full)

	revoke := func(id authcore.SessionID, by authcore.UserID) error {
		return w.db().RevokeAccessToken(w.Context(), id, by, w.event(authcore.TokenRevoke, ""))
	}
	w.changed()
	w.is("of somebody else", revoke(plain.ID, other.ID), authcore.ErrTokenNotFound)
	w.is("unknown", revoke(authcore.NewSessionID(), ""), authcore.ErrTokenNotFound)
	w.must(revoke(plain.ID, u.ID))
	w.is("again", revoke(plain.ID, u.ID), authcore.ErrTokenNotFound)
	w.must(revoke(foreign.ID, ""))
	reads("revoked", plainHash, nil)
	w.changed("session "+string(plain.ID), "session "+string(foreign.ID))

	w.is("of nobody", w.db().CreateAccessToken(w.Context(), authcore.AccessToken{ID: authcore.NewSessionID(), UserID: authcore.NewUserID()}, authcore.TokenHash{1},
		w.event(authcore.TokenCreate, "")), authcore.ErrUserNotFound)
	for i := 1; i < authcore.MaxAccessTokens; i++ {
		add(u, fmt.Sprint(i), nil)
	}
	_, hash := authcore.NewAccessToken()
	w.is("too many", w.db().CreateAccessToken(w.Context(), authcore.AccessToken{ID: authcore.NewSessionID(), UserID: u.ID}, hash, w.event(authcore.TokenCreate, "")),
		authcore.ErrTooManyTokens)

	clean := func(at time.Time) {
		w.Helper()
		_, _, err := w.db().DeleteEnded(w.Context(), at, w.now.Add(-time.Hour), "")
		w.must(err)
	}
	clean(full.ExpiresAt.Add(29 * 24 * time.Hour))
	reads("expired", fullHash, &full)
	clean(full.ExpiresAt.Add(31 * 24 * time.Hour))
	reads("expired long ago", fullHash, nil)
}
