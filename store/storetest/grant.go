package storetest

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

var grantTests = map[string]func(*world){
	"grant: its life":                     grantLife,
	"grant: who begins one":               grantRefused,
	"grant: a pushed request, once":       grantPushed,
	"grant: a code, twice":                grantReplay,
	"grant: a refresh token, twice":       refreshReplay,
	"grant: what ends what":               grantEnds,
	"grant: whom it is for, later":        grantJudged,
	"grant: the portal session ended":     grantRoot,
	"grant: somebody acts":                grantActing,
	"grant: access tokens":                grantTokens,
	"grant: what is over goes":            grantCleanup,
	"grant: many at one service":          grantMany,
	"race: one code of a grant":           raceForGrantCode,
	"race: one refresh token":             raceForRefresh,
	"race: a code, and the session ends":  codeAndEnd,
	"race: a grant, and signed out":       grantAndSignOut,
	"race: one pushed request":            raceForPushed,
	"race: a session ends in many places": raceToEndGrants,
}

// hash makes up a secret and gives its hash.
func (w *world) hash() authcore.TokenHash {
	_, hash := authcore.NewToken()
	return hash
}

// idle is the time since which a session must have been used.
func (w *world) idle() time.Time { return w.now.Add(-time.Hour) }

// grant makes up a session of the user of a root at a service, with its code.
func (w *world) grant(s authcore.Service, root authcore.Session) (authcore.ServiceSession, authcore.GrantCode) {
	session := authcore.ServiceSession{ID: authcore.NewSessionID(), Organization: s.Organization, Service: s.ID, User: root.UserID, Root: root.ID, Act: root.Act, Scopes: []string{"openid", "email"},
		Resources: []string{"https://api.example.com/a", "https://api.example.com/b"}, AMR: []string{"pwd", "otp"}, AuthTime: root.AuthTime, KeyHash: "thumbprint",
		Address: "192.0.2.1", Agent: "Agent 😀", CreatedAt: w.now, ExpiresAt: w.now.Add(time.Minute)}
	return session, authcore.GrantCode{Hash: w.hash(), Session: session.ID, Service: s.ID, RedirectURI: "https://a.example.com/?x=1&y=%F0%9F%98%80", Challenge: "challenge", Nonce: "nonce 😀",
		CreatedAt: w.now, ExpiresAt: w.now.Add(time.Minute)}
}

func (w *world) beginGrant(db Store, s authcore.ServiceSession, c authcore.GrantCode) error {
	return db.BeginGrant(w.Context(), s, c, authcore.TokenHash{}, w.event(authcore.ServiceLogin, "grant"))
}

// beginIn begins a session at a service from a root; edit may change it before.
func (w *world) beginIn(s authcore.Service, root authcore.Session, edit func(*authcore.ServiceSession)) (authcore.ServiceSession, authcore.GrantCode) {
	w.Helper()
	session, code := w.grant(s, root)
	if edit != nil {
		edit(&session)
	}
	w.must(w.beginGrant(w.db(), session, code))
	return session, code
}

func offline(s *authcore.ServiceSession) { s.Offline = true }

// begin signs a user in, and from there to a service.
func (w *world) begin(s authcore.Service, u authcore.User) authcore.ServiceSession {
	w.Helper()
	root, _ := w.signIn(u, nil)
	session, _ := w.beginIn(s, root, nil)
	return session
}

// tokens makes up the tokens of a session.
func (w *world) tokens(s authcore.ServiceSession) (authcore.RefreshToken, authcore.GrantToken) {
	return authcore.RefreshToken{Hash: w.hash(), Session: s.ID, CreatedAt: w.now, ExpiresAt: w.now.Add(time.Hour)},
		authcore.GrantToken{Hash: w.hash(), Session: s.ID, Service: s.Service, Scopes: []string{"openid"}, Resources: []string{"https://api.example.com/a"}, KeyHash: "other",
			CreatedAt: w.now, ExpiresAt: w.now.Add(time.Minute)}
}

func (w *world) redeemCode(db Store, c authcore.GrantCode, r authcore.RefreshToken, a authcore.GrantToken) error {
	return db.RedeemGrantCode(w.Context(), c.Hash, w.now.Add(time.Hour), "key", &r, &a, w.event(authcore.ServiceReplay, "code"))
}

// sessionLives checks whether a session at a service is found.
func (w *world) sessionLives(what string, want bool, s authcore.ServiceSession) {
	w.Helper()
	_, err := w.db().GrantBySession(w.Context(), s.ID, w.now, w.idle())
	if err != nil && !errors.Is(err, authcore.ErrNoSession) {
		w.Fatal(err)
	}
	w.same(what, want, err == nil)
}

// tokensLive checks whether the tokens of a session are found.
func (w *world) tokensLive(what string, want bool, r authcore.RefreshToken, a authcore.GrantToken) {
	w.Helper()
	_, _, err := w.db().GrantByRefresh(w.Context(), r.Hash, w.now, w.idle())
	_, err2 := w.db().GrantTokenByHash(w.Context(), a.Hash, w.now)
	if want {
		w.is(what+", refresh token", err, nil)
		w.is(what+", access token", err2, nil)
		return
	}
	w.is(what+", refresh token", err, authcore.ErrGrantInvalid)
	w.is(what+", access token", err2, authcore.ErrNoSession)
}

func grantLife(w *world) {
	owner, bob := w.add("owner", nil), w.add("bob", nil)
	o := w.active("acme", owner)
	s := w.addService(o, "a", authcore.ReachMembers)
	w.must(w.setMember(w.db(), o, bob, authcore.RoleMember))
	root, _ := w.signIn(bob, nil)
	session, code := w.beginIn(s, root, offline)
	want := authcore.Granted{Session: session, Service: s, User: withoutTimes(bob), RootSeen: root.LastSeen}
	want.Organization, _ = w.db().OrganizationByID(w.Context(), o.ID)
	want.User.Memberships, _ = w.db().Memberships(w.Context(), bob.ID)
	w.same("memberships", 1, len(want.User.Memberships))
	gotCode, got, err := w.db().GrantByCode(w.Context(), code.Hash, w.now)
	w.must(err)
	w.same("by the code", []any{code, want}, []any{gotCode, got})
	_, _, err = w.db().GrantByCode(w.Context(), code.Hash, code.ExpiresAt)
	w.is("by one that has expired", err, authcore.ErrGrantInvalid)
	_, _, err = w.db().GrantByCode(w.Context(), w.hash(), w.now)
	w.is("by none", err, authcore.ErrGrantInvalid)
	used, err := w.db().IsEndUser(w.Context(), o.ID, s.ID, bob.ID)
	w.must(err)
	w.same("counted", true, used)

	refresh, access := w.tokens(session)
	w.must(w.redeemCode(w.db(), code, refresh, access))
	want.Session.ExpiresAt, want.Session.KeyHash = w.now.Add(time.Hour), "key"
	got, err = w.db().GrantBySession(w.Context(), session.ID, w.now, w.idle())
	w.must(err)
	w.same("by the session", want, got)
	token, err := w.db().GrantTokenByHash(w.Context(), access.Hash, w.now)
	w.must(err)
	w.same("the access token", access, token)
	gotRefresh, got, err := w.db().GrantByRefresh(w.Context(), refresh.Hash, w.now, w.idle())
	w.must(err)
	w.same("by the refresh token", []any{refresh, want}, []any{gotRefresh, got})
	all, err := w.db().ServiceSessions(w.Context(), o.ID, s.ID, bob.ID, w.now)
	w.must(err)
	w.same("listed", []authcore.ServiceSession{want.Session}, all)

	w.now = w.now.Add(time.Minute)
	next, access2 := w.tokens(session)
	refresh.Salt, refresh.UsedAt = "salt", w.now
	w.must(w.db().RotateRefresh(w.Context(), refresh, w.now.Add(2*time.Hour), next, &access2))
	gotRefresh, got, err = w.db().GrantByRefresh(w.Context(), refresh.Hash, w.now, w.idle())
	w.must(err)
	want.Session.ExpiresAt = w.now.Add(2 * time.Hour)
	w.same("by the one that was used", []any{refresh, want}, []any{gotRefresh, got})
	w.tokensLive("the next", true, next, access2)

	w.is("ended elsewhere", w.db().EndGrant(w.Context(), "other", session.ID, w.event(authcore.ServiceReplay, "")), authcore.ErrSessionNotFound)
	w.must(w.db().EndGrant(w.Context(), s.ID, session.ID, w.event(authcore.ServiceReplay, "end")))
	w.is("ended again", w.db().EndGrant(w.Context(), s.ID, session.ID, w.event(authcore.ServiceReplay, "")), authcore.ErrSessionNotFound)
	w.sessionLives("ended", false, session)
	w.tokensLive("ended", false, next, access2)
	w.is("used after the end", w.db().RotateRefresh(w.Context(), next, w.now.Add(time.Hour), refresh, nil), authcore.ErrGrantInvalid)
	w.is("the code after the end", w.redeemCode(w.db(), code, refresh, access), authcore.ErrGrantInvalid)
	w.changed("user "+string(owner.ID), "all ", "organization "+string(o.ID), "user "+string(bob.ID), "user "+string(bob.ID))
	w.happened("user.create owner", "user.create bob", "organization.create acme", "organization.approve acme", "service.create a", "member.set bob", "user.login bob", "service.login grant", "service.replay end")
}

func grantRefused(w *world) {
	platform := w.add("platform", platformOwner)
	owner, bob, cleo := w.add("owner", nil), w.add("bob", nil), w.add("cleo", nil)
	o := w.active("acme", owner)
	w.most(o, 0, 0)
	everyone, members, off := w.addService(o, "a", authcore.ReachEveryone), w.addService(o, "b", authcore.ReachMembers), w.addService(o, "c", authcore.ReachEveryone)
	off.Status = authcore.Disabled
	w.must(w.db().UpdateService(w.Context(), off, w.event(authcore.ServiceUpdate, "")))
	root, _ := w.signIn(bob, nil)
	child, _ := w.child(root.ID, "app.example.com")
	cleos, _ := w.signIn(cleo, nil)
	over, _ := w.signIn(bob, func(s *authcore.Session) { s.ExpiresAt = w.now })
	platforms, _ := w.signIn(platform, nil)
	acting, _, err := w.act(platform, bob, platforms.ID)
	w.must(err)
	w.must(w.db().Bar(w.Context(), o.ID, cleo.ID, "", w.event(authcore.EndUserBar, "")))
	none := everyone
	none.ID = "none"
	for what, tt := range map[string]struct {
		s    authcore.Service
		root authcore.Session
		edit func(*authcore.ServiceSession)
		want error
	}{
		"a member's":                   {members, root, nil, authcore.ErrServiceNotAllowed},
		"one that is disabled":         {off, root, nil, authcore.ErrServiceDisabled},
		"none":                         {none, root, nil, authcore.ErrServiceNotFound},
		"barred":                       {everyone, cleos, nil, authcore.ErrBarred},
		"nobody":                       {everyone, root, func(s *authcore.ServiceSession) { s.User = "nobody" }, authcore.ErrUserNotFound},
		"from another's session":       {everyone, root, func(s *authcore.ServiceSession) { s.Root = cleos.ID }, authcore.ErrSessionNotFound},
		"from none":                    {everyone, root, func(s *authcore.ServiceSession) { s.Root = "" }, authcore.ErrSessionNotFound},
		"from a site session":          {everyone, root, func(s *authcore.ServiceSession) { s.Root = child.ID }, authcore.ErrSessionNotFound},
		"from one that has ended":      {everyone, over, nil, authcore.ErrSessionNotFound},
		"from one in which owners act": {everyone, acting, func(s *authcore.ServiceSession) { s.Act = "" }, authcore.ErrSessionNotFound},
		"as if an owner acted":         {everyone, root, func(s *authcore.ServiceSession) { s.Act = platform.ID }, authcore.ErrSessionNotFound},
	} {
		session, code := w.grant(tt.s, tt.root)
		if tt.edit != nil {
			tt.edit(&session)
		}
		pushed := w.push(tt.s)
		w.is(what, w.db().BeginGrant(w.Context(), session, code, pushed, w.event(authcore.ServiceLogin, "refused")), tt.want)
		_, _, err := w.db().GrantByCode(w.Context(), code.Hash, w.now)
		w.is(what, err, authcore.ErrGrantInvalid)
		_, err = w.db().PushedRequest(w.Context(), pushed, w.now)
		w.is(what+", pushed", err, nil)
	}
	used, err := w.db().UsedServices(w.Context(), bob.ID)
	w.must(err)
	w.same("counted", 0, len(used))
}

// push keeps a request of a service.
func (w *world) push(s authcore.Service) authcore.TokenHash {
	w.Helper()
	p := authcore.PushedRequest{Hash: w.hash(), Service: s.ID, Form: "response_type=code&state=%F0%9F%98%80", ExpiresAt: w.now.Add(time.Minute)}
	w.must(w.db().PushRequest(w.Context(), p))
	got, err := w.db().PushedRequest(w.Context(), p.Hash, w.now)
	w.must(err)
	w.same("pushed", p, got)
	return p.Hash
}

func grantPushed(w *world) {
	bob := w.add("bob", nil)
	o := w.active("acme", bob)
	s, other := w.addService(o, "a", authcore.ReachMembers), w.addService(o, "b", authcore.ReachMembers)
	root, _ := w.signIn(bob, nil)
	begin := func(s authcore.Service, pushed authcore.TokenHash) error {
		session, code := w.grant(s, root)
		return w.db().BeginGrant(w.Context(), session, code, pushed, w.event(authcore.ServiceLogin, ""))
	}
	p := w.push(s)
	w.is("of another service", begin(other, p), authcore.ErrGrantUsed)
	w.must(begin(s, p))
	w.is("again", begin(s, p), authcore.ErrGrantUsed)
	_, err := w.db().PushedRequest(w.Context(), p, w.now)
	w.is("used", err, authcore.ErrGrantInvalid)
	p = w.push(s)
	w.now = w.now.Add(time.Minute)
	_, err = w.db().PushedRequest(w.Context(), p, w.now)
	w.is("expired", err, authcore.ErrGrantInvalid)
	w.is("begun with one that has expired", begin(s, p), authcore.ErrGrantUsed)
	all, err := w.db().ServiceSessions(w.Context(), o.ID, "", bob.ID, w.now.Add(-time.Second))
	w.must(err)
	w.same("sessions", 1, len(all))
}

func raceForPushed(w *world) {
	bob := w.add("bob", nil)
	s := w.addService(w.active("acme", bob), "a", authcore.ReachMembers)
	root, _ := w.signIn(bob, nil)
	p := w.push(s)
	w.oneWon(w.atOnce(20, func(_ int, db Store) error {
		session, code := w.grant(s, root)
		return db.BeginGrant(w.Context(), session, code, p, w.event(authcore.ServiceLogin, ""))
	}), authcore.ErrGrantUsed)
}

func grantReplay(w *world) {
	bob := w.add("bob", nil)
	o := w.active("acme", bob)
	s := w.addService(o, "a", authcore.ReachMembers)
	root, _ := w.signIn(bob, nil)
	session, code := w.beginIn(s, root, offline)
	other, _ := w.beginIn(s, root, offline)
	late, lateCode := w.beginIn(s, root, offline)
	refresh, access := w.tokens(session)
	w.must(w.redeemCode(w.db(), code, refresh, access))
	_, _, err := w.db().GrantByCode(w.Context(), code.Hash, w.now)
	w.is("used, and found", err, nil)
	again, againAccess := w.tokens(session)
	w.is("again", w.redeemCode(w.db(), code, again, againAccess), authcore.ErrGrantUsed)
	w.sessionLives("used twice", false, session)
	w.tokensLive("used twice", false, refresh, access)
	w.tokensLive("of the second", false, again, againAccess)
	w.sessionLives("another", true, other)
	w.is("a third time", w.redeemCode(w.db(), code, again, againAccess), authcore.ErrGrantInvalid)
	w.is("none", w.redeemCode(w.db(), authcore.GrantCode{Hash: w.hash()}, again, againAccess), authcore.ErrGrantInvalid)
	refresh, access = w.tokens(late)
	w.must(w.redeemCode(w.db(), lateCode, refresh, access))
	w.now = lateCode.ExpiresAt
	w.is("again, after it has expired", w.redeemCode(w.db(), lateCode, again, againAccess), authcore.ErrGrantUsed)
	w.sessionLives("used twice, late", false, late)
	expiring, expired := w.beginIn(s, root, func(s *authcore.ServiceSession) { s.ExpiresAt = w.now.Add(time.Hour) })
	w.now = expired.ExpiresAt
	w.is("expired", w.redeemCode(w.db(), expired, again, againAccess), authcore.ErrGrantInvalid)
	w.sessionLives("of one that has expired", true, expiring)
	w.happened("user.create bob", "organization.create acme", "organization.approve acme", "service.create a", "user.login bob",
		"service.login grant", "service.login grant", "service.login grant", "service.login grant", "service.replay code", "service.replay code")
}

// One of many who redeem a code gets tokens, and none of them is good for long.
func raceForGrantCode(w *world) {
	bob := w.add("bob", nil)
	s := w.addService(w.active("acme", bob), "a", authcore.ReachMembers)
	root, _ := w.signIn(bob, nil)
	session, code := w.beginIn(s, root, nil)
	refresh, access := make([]authcore.RefreshToken, 50), make([]authcore.GrantToken, 50)
	w.oneWon(w.atOnce(50, func(i int, db Store) error {
		refresh[i], access[i] = w.tokens(session)
		return w.redeemCode(db, code, refresh[i], access[i])
	}), authcore.ErrGrantUsed, authcore.ErrGrantInvalid)
	w.sessionLives("used twice", false, session)
	for i := range refresh {
		w.tokensLive(fmt.Sprint("of ", i), false, refresh[i], access[i])
	}
	events, err := w.db().EventsAfter(w.Context(), "", 1000)
	w.must(err)
	w.same("replays", 1, len(slices.DeleteFunc(events, func(e authcore.SealedEvent) bool { return e.Action != authcore.ServiceReplay })))
}

// redeemed begins a session with tokens.
func (w *world) redeemed(s authcore.Service, root authcore.Session, edit func(*authcore.ServiceSession)) (authcore.ServiceSession, authcore.RefreshToken, authcore.GrantToken) {
	w.Helper()
	session, code := w.beginIn(s, root, edit)
	refresh, access := w.tokens(session)
	w.must(w.redeemCode(w.db(), code, refresh, access))
	return session, refresh, access
}

func refreshReplay(w *world) {
	bob := w.add("bob", nil)
	s := w.addService(w.active("acme", bob), "a", authcore.ReachMembers)
	root, _ := w.signIn(bob, nil)
	session, refresh, _ := w.redeemed(s, root, nil)
	rotate := func() (authcore.RefreshToken, authcore.GrantToken, error) {
		next, access := w.tokens(session)
		refresh.Salt, refresh.UsedAt = "salt of "+next.Hash.Hex(), w.now
		return next, access, w.db().RotateRefresh(w.Context(), refresh, w.now.Add(2*time.Hour), next, &access)
	}
	next, access, err := rotate()
	w.must(err)
	lost, lostAccess, err := rotate()
	w.is("again", err, authcore.ErrGrantUsed)
	w.tokensLive("of the first", true, next, access)
	w.tokensLive("of the second", false, lost, lostAccess)
	got, _, err := w.db().GrantByRefresh(w.Context(), refresh.Hash, w.now, w.idle())
	w.must(err)
	w.same("by the salt of the first", "salt of "+next.Hash.Hex(), got.Salt)
	foreign := next
	foreign.Session = "other"
	w.is("of another session", w.db().RotateRefresh(w.Context(), foreign, w.now, lost, nil), authcore.ErrGrantInvalid)
	w.now = w.now.Add(2 * time.Hour)
	_, _, err = rotate()
	w.is("after the session has expired", err, authcore.ErrGrantInvalid)
}

func raceForRefresh(w *world) {
	bob := w.add("bob", nil)
	s := w.addService(w.active("acme", bob), "a", authcore.ReachMembers)
	root, _ := w.signIn(bob, nil)
	session, refresh, _ := w.redeemed(s, root, nil)
	next, access := make([]authcore.RefreshToken, 50), make([]authcore.GrantToken, 50)
	errs := w.atOnce(50, func(i int, db Store) error {
		next[i], access[i] = w.tokens(session)
		used := refresh
		used.Salt = fmt.Sprint("salt ", i)
		return db.RotateRefresh(w.Context(), used, w.now.Add(time.Hour), next[i], &access[i])
	})
	w.oneWon(errs, authcore.ErrGrantUsed)
	for i := range next {
		w.tokensLive(fmt.Sprint("of ", i), errs[i] == nil, next[i], access[i])
	}
}

// However a code and the end of its session overlap, no token is left.
func codeAndEnd(w *world) {
	bob := w.add("bob", nil)
	s := w.addService(w.active("acme", bob), "a", authcore.ReachMembers)
	root, _ := w.signIn(bob, nil)
	for range 5 {
		session, code := w.beginIn(s, root, offline)
		refresh, access := w.tokens(session)
		errs := w.atOnce(2, func(i int, db Store) error {
			if i == 0 {
				return w.redeemCode(db, code, refresh, access)
			}
			return db.EndGrant(w.Context(), s.ID, session.ID, w.event(authcore.ServiceReplay, ""))
		})
		w.must(errs[1])
		if errs[0] != nil {
			w.is("the code", errs[0], authcore.ErrGrantInvalid)
		}
		w.tokensLive("of a session that ended", false, refresh, access)
	}
}

// However a sign-in at a service and a sign-out overlap, the service hears of it, and no
// session is left.
func grantAndSignOut(w *world) {
	bob := w.add("bob", nil)
	s := w.tellingService(w.active("acme", bob), "a")
	for range 5 {
		root, _ := w.signIn(bob, nil)
		session, code := w.grant(s, root)
		errs := w.atOnce(2, func(i int, db Store) error {
			if i == 0 {
				return w.beginGrant(db, session, code)
			}
			return db.RevokeSession(w.Context(), root.ID, bob.ID, w.event(authcore.UserLogout, ""))
		})
		w.must(errs[1])
		if errs[0] != nil {
			w.is("the grant", errs[0], authcore.ErrSessionNotFound)
		}
		w.same("told", errs[0] == nil, slices.Contains(w.notices(s), session.ID))
		all, err := w.db().ServiceSessions(w.Context(), s.Organization, s.ID, bob.ID, w.now)
		w.must(err)
		w.same("sessions", 0, len(all))
	}
}

// Sessions that many end at once are ended, and told of, once each.
func raceToEndGrants(w *world) {
	owner, bob := w.add("owner", nil), w.add("bob", nil)
	s := w.tellingService(w.active("acme", owner), "a")
	root, _ := w.signIn(bob, nil)
	var want []authcore.SessionID
	for range 12 {
		session, _, _ := w.redeemed(s, root, nil)
		want = append(want, session.ID)
	}
	off := s
	off.Status = authcore.Disabled
	for _, err := range w.atOnce(12, func(i int, db Store) error {
		switch i % 4 {
		case 0:
			_, err := db.EndServiceSessions(w.Context(), s.Organization, "", bob.ID, "", w.event(authcore.EndUserRevoke, ""))
			return err
		case 1:
			return db.UpdateService(w.Context(), off, w.event(authcore.ServiceUpdate, ""))
		case 2:
			_, err := db.RevokeSessionsOf(w.Context(), bob.ID, "", w.event(authcore.SessionRevoke, ""))
			return err
		}
		return db.Bar(w.Context(), s.Organization, bob.ID, "", w.event(authcore.EndUserBar, ""))
	}) {
		w.must(err)
	}
	slices.Sort(want)
	got := w.notices(s)
	slices.Sort(got)
	w.same("told of", want, got)
}

// grantEnds tells of every command that ends sessions, which of them it ends: one that ends
// with the portal session, one of it that is to outlive it, and one of another portal session.
func grantEnds(w *world) {
	owner := w.add("owner", platformOwner)
	o := w.active("acme", owner)
	w.most(o, 0, 0)
	type signedIn struct {
		u           authcore.User
		o           authcore.Organization
		s           authcore.Service
		root, other authcore.Session
		online      authcore.ServiceSession
	}
	for _, tt := range []struct {
		what   string
		lives  [3]bool
		quiet  bool // nobody is told
		end    func(in signedIn) error
		member bool
	}{
		{what: "signed out", lives: [3]bool{false, true, true}, end: func(in signedIn) error {
			return w.db().RevokeSession(w.Context(), in.root.ID, in.u.ID, w.event(authcore.UserLogout, ""))
		}},
		{what: "signed out everywhere", end: func(in signedIn) error {
			_, err := w.db().RevokeSessionsOf(w.Context(), in.u.ID, "", w.event(authcore.SessionRevoke, ""))
			return err
		}},
		{what: "signed out elsewhere", lives: [3]bool{false, false, true}, end: func(in signedIn) error {
			_, err := w.db().RevokeSessionsOf(w.Context(), in.u.ID, in.other.ID, w.event(authcore.SessionRevoke, ""))
			return err
		}},
		{what: "another password", lives: [3]bool{true, false, false}, end: func(in signedIn) error {
			return w.db().SetPassword(w.Context(), in.u.ID, hashOf("new"), in.root.ID, w.event(authcore.PasswordChange, ""))
		}},
		{what: "disabled", end: func(in signedIn) error { return w.disable(w.db(), in.u) }},
		{what: "a second factor is required", lives: [3]bool{false, true, false}, end: func(in signedIn) error {
			return w.db().SetFactorRequired(w.Context(), in.u.ID, true, w.event(authcore.FactorRequire, ""))
		}},
		{what: "to be deleted", end: func(in signedIn) error { return w.deletes(in.u, w.now.Add(time.Hour)) }},
		{what: "deleted", end: func(in signedIn) error { return w.deletes(in.u, time.Time{}) }},
		{what: "one session", lives: [3]bool{false, true, true}, end: func(in signedIn) error {
			_, err := w.db().EndServiceSessions(w.Context(), in.o.ID, in.s.ID, in.u.ID, in.online.ID, w.event(authcore.EndUserRevoke, ""))
			return err
		}},
		{what: "all of a service", end: func(in signedIn) error {
			_, err := w.db().EndServiceSessions(w.Context(), in.o.ID, in.s.ID, in.u.ID, "", w.event(authcore.EndUserRevoke, ""))
			return err
		}},
		{what: "the service ends one", lives: [3]bool{false, true, true}, end: func(in signedIn) error {
			return w.db().EndGrant(w.Context(), in.s.ID, in.online.ID, w.event(authcore.ServiceReplay, ""))
		}},
		{what: "consent withdrawn", end: func(in signedIn) error {
			w.must(w.consent(in.u, in.s, "openid"))
			return w.db().WithdrawConsent(w.Context(), in.u.ID, in.s.ID, w.event(authcore.ConsentWithdraw, ""))
		}},
		{what: "barred", end: func(in signedIn) error {
			return w.db().Bar(w.Context(), in.o.ID, in.u.ID, "", w.event(authcore.EndUserBar, ""))
		}},
		{what: "a member no more", member: true, end: func(in signedIn) error { return w.removeMember(w.db(), in.o, in.u) }},
		{what: "access withdrawn", member: true, end: func(in signedIn) error {
			w.must(w.db().GrantService(w.Context(), in.s, in.u.ID, w.event(authcore.ServiceGrant, "")))
			return w.db().WithdrawService(w.Context(), in.s, in.u.ID, w.event(authcore.ServiceWithdraw, ""))
		}},
		{what: "a service disabled", end: func(in signedIn) error {
			in.s.Status = authcore.Disabled
			return w.db().UpdateService(w.Context(), in.s, w.event(authcore.ServiceUpdate, ""))
		}},
		{what: "a service deleted", quiet: true, end: func(in signedIn) error {
			return w.db().DeleteService(w.Context(), in.s, w.event(authcore.ServiceDelete, ""))
		}},
		{what: "every session", end: func(in signedIn) error {
			_, err := w.db().RevokeEverySession(w.Context(), w.event(authcore.SessionRevoke, ""))
			return err
		}},
		{what: "an organization deleted", quiet: true, end: func(in signedIn) error {
			return w.db().DeleteOrganization(w.Context(), in.o.ID, w.event(authcore.OrganizationDelete, ""))
		}},
	} {
		u := w.add(fmt.Sprint("user", w.turn), nil)
		if tt.member {
			w.must(w.setMember(w.db(), o, u, authcore.RoleMember))
		}
		s := w.tellingService(o, tt.what)
		root, _ := w.signIn(u, nil)
		other, _ := w.signIn(u, nil)
		var all [3]authcore.ServiceSession
		var refresh [3]authcore.RefreshToken
		var access [3]authcore.GrantToken
		var codes []authcore.GrantCode
		for i, in := range []authcore.Session{root, root, other} {
			all[i], refresh[i], access[i] = w.redeemed(s, in, func(s *authcore.ServiceSession) { s.Offline = i == 1 })
			_, code := w.beginIn(s, in, nil)
			codes = append(codes, code)
		}
		var want []authcore.SessionID
		changes, _, err := w.db().ChangesSince(w.Context(), w.now)
		w.must(err)
		w.must(tt.end(signedIn{u, o, s, root, other, all[0]}))
		for i, session := range all {
			what := fmt.Sprint(tt.what, ", session ", i)
			w.sessionLives(what, tt.lives[i], session)
			w.tokensLive(what, tt.lives[i], refresh[i], access[i])
			if !tt.lives[i] && !tt.quiet {
				want = append(want, session.ID)
			}
		}
		var got []authcore.SessionID
		for _, id := range w.notices(s) {
			if slices.ContainsFunc(all[:], func(s authcore.ServiceSession) bool { return s.ID == id }) {
				got = append(got, id)
			}
		}
		w.same(tt.what+", told of", want, got)
		if tt.lives == [3]bool{} {
			for _, c := range codes {
				_, _, err := w.db().GrantByCode(w.Context(), c.Hash, w.now)
				w.is(tt.what+", code", err, authcore.ErrGrantInvalid)
			}
		}
		after, _, err := w.db().ChangesSince(w.Context(), w.now)
		w.must(err)
		told := slices.ContainsFunc(after, func(c authcore.Change) bool {
			return !slices.Contains(changes, c) && (c.Kind == authcore.ChangeAll || c.Kind == authcore.ChangeUser && c.Subject == string(u.ID))
		})
		w.same(tt.what+", other nodes hear of it", true, told)
	}
}

// grantJudged: whoever may not use a service any more has no tokens that are good, although
// nothing was ended.
func grantJudged(w *world) {
	owner, bob, cleo := w.add("owner", nil), w.add("bob", nil), w.add("cleo", nil)
	w.add("platform", platformOwner)
	o := w.active("acme", owner)
	w.must(w.setMember(w.db(), o, bob, authcore.RoleMember))
	s := w.addService(o, "a", authcore.ReachEveryone)
	bobs, bobsRefresh, _ := w.redeemed(s, w.root(bob), offline)
	cleos, cleosRefresh, _ := w.redeemed(s, w.root(cleo), offline)
	good := func(what string, bob, cleo bool) {
		w.Helper()
		w.sessionLives(what+", a member", bob, bobs)
		w.sessionLives(what+", a stranger", cleo, cleos)
		for hash, want := range map[authcore.TokenHash]bool{bobsRefresh.Hash: bob, cleosRefresh.Hash: cleo} {
			_, _, err := w.db().GrantByRefresh(w.Context(), hash, w.now, w.idle())
			w.same(what+", to refresh", want, err == nil)
		}
	}
	service := func() error {
		_, _, err := w.db().ServiceForToken(w.Context(), s.ID)
		return err
	}
	got, of, err := w.db().ServiceForToken(w.Context(), s.ID)
	w.must(err)
	w.same("the service itself", []any{s, o.ID}, []any{got, of.ID})
	good("as it was", true, true)
	for _, reach := range []authcore.Reach{authcore.ReachMembers, authcore.ReachChosen, authcore.ReachEveryone} {
		s.Access = reach
		w.must(w.db().UpdateService(w.Context(), s, w.event(authcore.ServiceUpdate, "")))
		good(string(reach), reach != authcore.ReachChosen, reach == authcore.ReachEveryone)
	}
	for _, u := range []authcore.User{bob, cleo} {
		w.must(w.db().SetOrganizationOnly(w.Context(), u.ID, true, w.event(authcore.UserUpdate, "")))
	}
	good("belongs to organizations only", true, false)
	w.must(w.db().SetOwner(w.Context(), cleo.ID, true, w.event(authcore.UserOwner, "")))
	good("an owner", true, true)
	w.must(w.status(o, authcore.OrganizationActive, authcore.OrganizationSuspended))
	good("suspended", false, false)
	w.is("the service itself, suspended", service(), authcore.ErrNoSession)
	w.must(w.status(o, authcore.OrganizationSuspended, authcore.OrganizationActive))
	good("active again", true, true)
	w.is("the service itself, active again", service(), nil)
	s.Status = authcore.Disabled
	w.must(w.db().UpdateService(w.Context(), s, w.event(authcore.ServiceUpdate, "")))
	w.is("the service itself, disabled", service(), authcore.ErrNoSession)
	w.must(w.db().DeleteService(w.Context(), s, w.event(authcore.ServiceDelete, "")))
	w.is("the service itself, deleted", service(), authcore.ErrNoSession)
}

// root signs a user in.
func (w *world) root(u authcore.User) authcore.Session {
	w.Helper()
	s, _ := w.signIn(u, nil)
	return s
}

// grantRoot: a session ends with its portal session, however that ends, unless it is to
// outlive it, and nobody is told that time has passed.
func grantRoot(w *world) {
	bob := w.add("bob", nil)
	s := w.tellingService(w.active("acme", bob), "a")
	root := w.root(bob) // for an hour
	long := func(s *authcore.ServiceSession) { s.ExpiresAt = w.now.AddDate(0, 0, 7) }
	online, code := w.beginIn(s, root, long)
	lasting, lastingCode := w.beginIn(s, root, func(s *authcore.ServiceSession) { long(s); s.Offline = true })
	found := func(what string, now, idle time.Time, want bool) {
		w.Helper()
		_, err := w.db().GrantBySession(w.Context(), online.ID, now, idle)
		w.same(what, want, err == nil)
		_, err = w.db().GrantBySession(w.Context(), lasting.ID, now, idle)
		w.is(what+", lasting", err, nil)
	}
	found("in time", w.now, w.idle(), true)
	found("not used any more", w.now, w.now, false)
	found("expired", root.ExpiresAt, w.idle(), false)
	_, _, err := w.db().GrantByCode(w.Context(), code.Hash, w.now)
	w.is("the code", err, nil)
	all, err := w.db().ServiceSessions(w.Context(), s.Organization, s.ID, bob.ID, root.ExpiresAt)
	w.must(err)
	w.same("listed", []authcore.ServiceSession{lasting}, all)

	_, _, err = w.db().DeleteEnded(w.Context(), w.now, w.now.Add(time.Microsecond), "")
	w.must(err)
	found("idle, and deleted", w.now, w.idle(), false)
	_, _, err = w.db().GrantByCode(w.Context(), code.Hash, w.now)
	w.is("its code", err, authcore.ErrGrantInvalid)
	_, _, err = w.db().GrantByCode(w.Context(), lastingCode.Hash, w.now)
	w.is("that of the lasting one", err, nil)

	root = w.root(bob)
	online, refresh, access := w.redeemed(s, root, long)
	_, _, err = w.db().DeleteEnded(w.Context(), root.ExpiresAt, w.idle(), "")
	w.must(err)
	w.sessionLives("expired, and deleted", false, online)
	w.tokensLive("expired, and deleted", false, refresh, access)
	w.sessionLives("lasting", true, lasting)
	w.now = root.ExpiresAt.AddDate(0, 0, 7)
	_, _, err = w.db().DeleteEnded(w.Context(), w.now, w.idle(), "")
	w.must(err)
	w.sessionLives("expired, lasting", false, lasting)
	w.same("told of", 0, len(w.notices(s)))
}

func grantActing(w *world) {
	owner, ann := w.add("owner", platformOwner), w.add("ann", nil)
	w.add("other", platformOwner)
	s := w.tellingService(w.active("acme", ann), "a")
	own := w.root(owner)
	root, _, err := w.act(owner, ann, own.ID)
	w.must(err)
	session, refresh, access := w.redeemed(s, root, offline)
	got, err := w.db().GrantBySession(w.Context(), session.ID, w.now, w.idle())
	w.must(err)
	w.same("who acts, and not for long", []any{owner.ID, false}, []any{got.Session.Act, got.Session.Offline})
	w.must(w.db().SetOwner(w.Context(), owner.ID, false, w.event(authcore.UserOwner, "")))
	w.sessionLives("of an owner who is none any more", false, session)
	refused, code := w.grant(s, root)
	w.is("begun by one who is none any more", w.beginGrant(w.db(), refused, code), authcore.ErrSessionNotFound)
	w.must(w.db().SetOwner(w.Context(), owner.ID, true, w.event(authcore.UserOwner, "")))
	w.sessionLives("but again", true, session)
	_, err = w.db().RevokeSessionsOf(w.Context(), owner.ID, "", w.event(authcore.SessionRevoke, ""))
	w.must(err)
	w.sessionLives("the owner was signed out everywhere", false, session)
	w.tokensLive("the owner was signed out everywhere", false, refresh, access)
	w.same("told of", []authcore.SessionID{session.ID}, w.notices(s))
}

func grantTokens(w *world) {
	bob := w.add("bob", nil)
	s := w.addService(w.active("acme", bob), "a", authcore.ReachMembers)
	own := authcore.GrantToken{Hash: w.hash(), Service: s.ID, CreatedAt: w.now, ExpiresAt: w.now.Add(time.Minute)}
	w.must(w.db().AddGrantToken(w.Context(), own))
	got, err := w.db().GrantTokenByHash(w.Context(), own.Hash, w.now)
	w.must(err)
	w.same("of the service itself", own, got)
	none := own
	none.Service, none.Hash = "none", w.hash()
	w.is("of no service", w.db().AddGrantToken(w.Context(), none), authcore.ErrServiceNotFound)
	_, err = w.db().GrantTokenByHash(w.Context(), own.Hash, own.ExpiresAt)
	w.is("expired", err, authcore.ErrNoSession)
	elsewhere := w.hash() // of a token that is not stored
	for hash, user := range map[authcore.TokenHash]authcore.UserID{own.Hash: "", elsewhere: bob.ID} {
		for range 2 {
			ev := authcore.NewEvent(w.now, authcore.Actor{Kind: authcore.ActorService}, authcore.TokenRevoke, authcore.TargetService(s.ID), authcore.Success, "grant")
			w.must(w.db().RevokeGrantToken(w.Context(), hash, w.now.Add(time.Minute), user, ev))
		}
		revoked, err := w.db().TokenRevoked(w.Context(), hash)
		w.must(err)
		w.same("revoked", true, revoked)
	}
	_, err = w.db().GrantTokenByHash(w.Context(), own.Hash, w.now)
	w.is("revoked", err, authcore.ErrNoSession)
	revoked, err := w.db().TokenRevoked(w.Context(), none.Hash)
	w.must(err)
	w.same("another", false, revoked)
	ofAll, ofUser := "session "+string(s.ID), "user "+string(bob.ID) // those of the service itself count as one session
	w.changed(ofUser, "all ", "organization "+string(s.Organization), ofAll, ofAll, ofUser, ofUser)
	_, _, err = w.db().DeleteEnded(w.Context(), w.now.Add(time.Minute), w.idle(), "")
	w.must(err)
	revoked, err = w.db().TokenRevoked(w.Context(), elsewhere)
	w.must(err)
	w.same("when it would have expired", false, revoked)

	kept, _, access := w.redeemed(s, w.root(bob), nil)
	own.Hash = w.hash()
	w.must(w.db().AddGrantToken(w.Context(), own))
	w.must(w.db().DeleteService(w.Context(), s, w.event(authcore.ServiceDelete, "")))
	w.sessionLives("of a service that was deleted", false, kept)
	for _, hash := range []authcore.TokenHash{own.Hash, access.Hash} {
		_, err = w.db().GrantTokenByHash(w.Context(), hash, w.now)
		w.is("of a service that was deleted", err, authcore.ErrNoSession)
	}
}

// What is over is deleted, what is not stays.
func grantCleanup(w *world) {
	bob := w.add("bob", nil)
	s := w.addService(w.active("acme", bob), "a", authcore.ReachMembers)
	root, _ := w.signIn(bob, func(s *authcore.Session) { s.ExpiresAt = w.now.AddDate(0, 0, 7) })
	session, code := w.beginIn(s, root, func(s *authcore.ServiceSession) { s.ExpiresAt = w.now.AddDate(0, 0, 7) })
	refresh, access := w.tokens(session)
	w.must(w.db().RedeemGrantCode(w.Context(), code.Hash, session.ExpiresAt, "", &refresh, &access, w.event(authcore.ServiceReplay, "")))
	d := w.addDevice(s, 1)[0]
	w.push(s)
	clean := func(after time.Duration) {
		w.Helper()
		_, _, err := w.db().DeleteEnded(w.Context(), w.now.Add(after), w.now.AddDate(0, 0, -1), "")
		w.must(err)
	}
	clean(time.Hour - time.Microsecond)
	_, _, err := w.db().GrantByRefresh(w.Context(), refresh.Hash, w.now, w.idle())
	w.is("a refresh token that is good", err, nil)
	_, err = w.db().GrantTokenByHash(w.Context(), access.Hash, w.now)
	w.is("an access token that has expired", err, authcore.ErrNoSession)
	clean(time.Hour)
	_, _, err = w.db().GrantByRefresh(w.Context(), refresh.Hash, w.now, w.idle())
	w.is("a refresh token that has expired", err, authcore.ErrGrantInvalid)
	w.sessionLives("the session", true, session)
	_, _, err = w.db().GrantByCode(w.Context(), code.Hash, w.now)
	w.is("a code that has expired of late", err, nil)
	clean(time.Hour + time.Minute)
	_, _, err = w.db().GrantByCode(w.Context(), code.Hash, w.now)
	w.is("one that expired an hour ago", err, authcore.ErrGrantInvalid)
	clean(time.Hour + 10*time.Minute - time.Microsecond)
	_, err = w.deviceGrant(d.Device)
	w.is("a device grant that has expired of late", err, nil)
	clean(time.Hour + 10*time.Minute)
	_, err = w.deviceGrant(d.Device)
	w.is("one that expired an hour ago", err, authcore.ErrGrantInvalid)
}

// grantMany: more sessions than one command ends at once.
func grantMany(w *world) {
	const cleanupBatch = 500 // as the store has it
	owner, bob := w.add("owner", nil), w.add("bob", nil)
	s := w.tellingService(w.active("acme", owner), "a")
	other := w.addService(authcore.Organization{ID: s.Organization}, "b", authcore.ReachEveryone)
	root := w.root(bob)
	const n = cleanupBatch + 103
	for _, err := range w.atOnce(n, func(_ int, db Store) error {
		session, code := w.grant(s, root)
		return w.beginGrant(db, session, code)
	}) {
		w.must(err)
	}
	kept, _ := w.beginIn(other, root, nil)
	s.Status = authcore.Disabled
	w.must(w.db().UpdateService(w.Context(), s, w.event(authcore.ServiceUpdate, "")))
	all, err := w.db().ServiceSessions(w.Context(), s.Organization, "", bob.ID, w.now)
	w.must(err)
	w.same("left", []authcore.ServiceSession{kept}, all)
	w.same("told of", n, len(w.notices(s)))
}
