package storetest

import (
	"fmt"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/access"
)

// token adds an access token of a user; edit may change it before.
func (w *world) token(of authcore.User, name string, edit func(*authcore.AccessToken)) (authcore.AccessToken, authcore.TokenHash) {
	w.Helper()
	_, hash := authcore.MakeAccessToken()
	t := authcore.AccessToken{ID: authcore.NewSessionID(), UserID: of.ID, Name: name, CreatedAt: w.now, ExpiresAt: w.now.Add(time.Hour)}
	if edit != nil {
		edit(&t)
	}
	w.must(w.db().CreateAccessToken(w.Context(), t, hash, w.event(authcore.TokenCreate, name)))
	return t, hash
}

// hasToken checks what a hash stands for; nothing for nil.
func (w *world) hasToken(what string, hash authcore.TokenHash, want *authcore.AccessToken, of authcore.User) {
	w.Helper()
	t, user, err := w.db().AccessTokenByHash(w.Context(), hash)
	if want == nil {
		w.is(what, err, authcore.ErrNoSession)
		return
	}
	w.must(err)
	w.same(what, *want, t)
	w.same(what+": user", withoutTimes(of), user)
}

func accessTokens(w *world) {
	u, other := w.add("alice", nil), w.add("bob", nil)
	plain, plainHash := w.token(u, "plain", nil)
	full, fullHash := w.token(u, "voll ✓", func(t *authcore.AccessToken) {
		t.Grant = access.Grant{Hosts: []string{"app.example.com", "*.example.net"}, Paths: []string{"/api/*"}, Scopes: []string{"read", "write"}}
	})
	foreign, _ := w.token(other, "of bob", nil)
	w.hasToken("plain", plainHash, &plain, u)
	w.hasToken("with all", fullHash, &full, u)
	w.hasToken("unknown", authcore.TokenHash{}, nil, u)

	later := w.now.Add(time.Minute)
	w.must(w.db().TouchSessions(w.Context(), []authcore.Seen{{Session: full.ID, Access: true, At: later}, {Session: plain.ID, At: later}}))
	full.LastUsed = later
	w.hasToken("used", fullHash, &full, u)
	w.hasToken("not as a session", plainHash, &plain, u)

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
}

func accessTokensRevoked(w *world) {
	u, other := w.add("alice", nil), w.add("bob", nil)
	one, hash := w.token(u, "one", nil)
	foreign, _ := w.token(other, "of bob", nil)
	revoke := func(id authcore.SessionID, by authcore.UserID) error {
		return w.db().RevokeAccessToken(w.Context(), id, by, w.event(authcore.TokenRevoke, ""))
	}
	w.changed()
	w.is("of somebody else", revoke(one.ID, other.ID), authcore.ErrTokenNotFound)
	w.is("unknown", revoke(authcore.NewSessionID(), ""), authcore.ErrTokenNotFound)
	w.hasToken("still there", hash, &one, u)
	w.must(revoke(one.ID, u.ID))
	w.is("again", revoke(one.ID, u.ID), authcore.ErrTokenNotFound)
	w.must(revoke(foreign.ID, ""))
	w.hasToken("revoked", hash, nil, u)
	w.changed("session "+string(one.ID), "session "+string(foreign.ID))
}

func accessTokensBounded(w *world) {
	u := w.add("alice", nil)
	first, firstHash := w.token(u, "first", nil)
	create := func(of authcore.UserID) error {
		_, hash := authcore.MakeAccessToken()
		return w.db().CreateAccessToken(w.Context(), authcore.AccessToken{ID: authcore.NewSessionID(), UserID: of}, hash, w.event(authcore.TokenCreate, ""))
	}
	w.is("of nobody", create(authcore.NewUserID()), authcore.ErrUserNotFound)
	for i := 1; i < authcore.MaxAccessTokens; i++ {
		w.token(u, fmt.Sprint(i), nil)
	}
	w.is("too many", create(u.ID), authcore.ErrTooManyTokens)

	clean := func(at time.Time) {
		w.Helper()
		_, _, err := w.db().DeleteEnded(w.Context(), at, w.now.Add(-time.Hour), "")
		w.must(err)
	}
	clean(first.ExpiresAt.Add(29 * 24 * time.Hour))
	w.hasToken("expired", firstHash, &first, u)
	clean(first.ExpiresAt.Add(31 * 24 * time.Hour))
	w.hasToken("expired long ago", firstHash, nil, u)
}
