package storetest

import (
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// identitiesDue: whoever has anything that lives is asked after.
func identitiesDue(w *world) {
	type life func(u authcore.User, i *authcore.Identity)
	signIn := func(d time.Duration) life {
		return func(u authcore.User, i *authcore.Identity) {
			w.arrive(u, *i, func(in *authcore.IdentitySignIn) { in.Session.ExpiresAt = w.now.Add(d) })
			i.Version++
		}
	}
	password := func(d time.Duration) life {
		return func(u authcore.User, _ *authcore.Identity) {
			w.signIn(u, func(s *authcore.Session) { s.ExpiresAt = w.now.Add(d) })
		}
	}
	token := func(d time.Duration) life {
		return func(u authcore.User, _ *authcore.Identity) {
			w.token(u, u.Username, func(t *authcore.AccessToken) { t.ExpiresAt = w.now.Add(d) })
		}
	}
	another := func(u authcore.User, _ *authcore.Identity) { w.arrive(u, w.link(u, "another of "+u.Username), nil) }
	add := func(name string, waits time.Duration, edit func(*authcore.Identity), lives ...life) authcore.Identity {
		u := w.add(name, nil)
		i := w.identity(u, name)
		i.CheckedAt = w.now.Add(-waits)
		if edit != nil {
			edit(&i)
		}
		w.must(w.db().LinkIdentity(w.Context(), i, w.once(authcore.PurposeConnect), w.event(authcore.IdentityLink, name)))
		for _, lives := range lives {
			lives(u, &i)
		}
		i.Groups = nil
		return i
	}
	longest, byToken := add("longest", 4*time.Hour, nil, signIn(time.Hour)), add("token", 2*time.Hour, nil, token(2*time.Hour))
	all := []authcore.Identity{longest, byToken, add("signed-in", 3*time.Hour, nil, signIn(time.Hour)), add("password", 3*time.Hour, nil, password(time.Hour)),
		add("another", 3*time.Hour, nil, another), add("one-of-them", 2*time.Hour, nil, signIn(0), password(0), token(0), signIn(time.Hour)),
		add("token-of-them", 2*time.Hour, nil, signIn(0), password(0), token(0), token(time.Microsecond))}
	add("just-checked", time.Hour, nil, signIn(time.Hour), token(time.Hour))
	add("without-tokens", 5*time.Hour, func(i *authcore.Identity) { i.Tokens = "" }, signIn(time.Hour), token(time.Hour))
	add("elsewhere", 5*time.Hour, func(i *authcore.Identity) { i.Provider = "CORP" }, signIn(time.Hour), token(time.Hour))
	add("ended", 5*time.Hour, nil, signIn(0), password(0), token(0))
	add("never", 5*time.Hour, nil)
	slices.SortFunc(all, func(a, b authcore.Identity) int { return strings.Compare(string(a.ID), string(b.ID)) })

	due := func(what, provider string, before, now time.Time, after authcore.IdentityID, limit int, want ...authcore.Identity) {
		w.Helper()
		got, err := w.db().IdentitiesDue(w.Context(), provider, before, now, after, limit)
		w.must(err)
		w.same(what, want, got)
	}
	hour := w.now.Add(-time.Hour)
	due("all", "corp", hour, w.now, "", 100, all...)
	due("the first page", "corp", hour, w.now, "", 4, all[:4]...)
	due("the second page", "corp", hour, w.now, all[3].ID, 4, all[4:]...)
	due("the last page", "corp", hour, w.now, all[6].ID, 4)
	due("before that time", "corp", w.now.Add(-3*time.Hour), w.now, "", 100, longest)
	due("of another", "other", hour, w.now, "", 100)
	due("when all sessions have ended", "corp", hour, w.now.Add(time.Hour), "", 100, byToken)
	due("when all has ended", "corp", hour, w.now.Add(2*time.Hour), "", 100)
	var left []authcore.Identity
	for k, i := range all {
		if k%2 != 0 {
			left = append(left, i)
			continue
		}
		i.CheckedAt = w.now
		ok, err := w.db().RenewIdentity(w.Context(), i, w.event(authcore.UserGroups, ""))
		w.must(err)
		w.same("renewed", true, ok)
	}
	due("some were renewed", "corp", hour, w.now, "", 100, left...)
	for _, i := range left {
		_, err := w.db().ExpelIdentity(w.Context(), i.ID, i.Version, authcore.Ways{Passwords: true, Passkeys: true}, w.event(authcore.IdentityExpel, ""))
		w.must(err)
	}
	due("the others were expelled", "corp", hour, w.now, "", 100)
}
