package storetest

import (
	"fmt"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

var serviceTests = map[string]func(*world){
	"service: its life":           serviceLife,
	"service: who has access":     serviceAccess,
	"service: API keys":           serviceKeys,
	"service: the limit, at once": raceForService,
	"service: what goes with it":  serviceDeletion,
	"service: trusted no more":    serviceDistrusted,
	"end user: sign-ins":          endUsers,
	"end user: sessions":          endUserSessions,
	"end user: barred":            endUserBarred,
	"client: at a provider":       providerClients,
}

// serviceDistrusted: who was never asked is signed out of a service that has to ask now.
func serviceDistrusted(w *world) {
	bob := w.add("bob", nil)
	s := w.addService(w.active("acme", bob), "a", authcore.ReachMembers)
	other := w.addService(w.active("beta", bob), "b", authcore.ReachMembers)
	root, _ := w.signIn(bob, nil)
	session, _ := w.beginIn(s, root, offline)
	kept, _ := w.beginIn(other, root, nil)
	w.must(w.db().SetServiceTrust(w.Context(), s, true, w.event(authcore.ServiceTrust, "")))
	w.sessionLives("trusted", true, session)
	w.must(w.db().SetServiceTrust(w.Context(), s, false, w.event(authcore.ServiceTrust, "")))
	w.sessionLives("trusted no more", false, session)
	w.sessionLives("at another", true, kept)
}

// service makes up a service of an organization.
func (w *world) service(o authcore.Organization, name string) authcore.Service {
	_, secret := authcore.NewToken()
	return authcore.Service{ID: authcore.ServiceID(authcore.NewUserID()), Organization: o.ID, Type: authcore.ServiceWeb, ClientID: string(authcore.NewUserID())[4:],
		Secret: secret, CreatedAt: w.now, UpdatedAt: w.now, ServiceSettings: authcore.ServiceSettings{Name: name, Status: authcore.Active, Access: authcore.ReachMembers,
			RedirectURIs: []string{"https://a.example.com/?x=1", "https://b.example.com/"}, Device: true, TokenFormat: authcore.TokenJWT, AccessLife: time.Minute, RefreshLife: time.Hour,
			Algorithm: authcore.ES256}}
}

func (w *world) addService(o authcore.Organization, name string, reach authcore.Reach) authcore.Service {
	w.Helper()
	s := w.service(o, name)
	s.Access = reach
	w.must(w.db().CreateService(w.Context(), s, w.event(authcore.ServiceCreate, name)))
	return s
}

func serviceLife(w *world) {
	owner := w.add("owner", nil)
	o, other := w.active("acme", owner), w.active("beta", owner)
	s := w.addService(o, "Shop É. 😀", authcore.ReachMembers)
	got, err := w.db().ServiceByID(w.Context(), o.ID, s.ID)
	w.must(err)
	w.same("as it was made", s, got)
	_, err = w.db().ServiceByID(w.Context(), other.ID, s.ID)
	w.is("of another organization", err, authcore.ErrServiceNotFound)
	got, status, err := w.db().ServiceByClientID(w.Context(), s.ClientID)
	w.must(err)
	w.same("by the client id", []any{s, authcore.OrganizationActive}, []any{got, status})
	w.must(w.status(o, authcore.OrganizationActive, authcore.OrganizationSuspended))
	_, status, err = w.db().ServiceByClientID(w.Context(), s.ClientID)
	w.must(err)
	w.same("suspended", authcore.OrganizationSuspended, status)
	_, _, err = w.db().ServiceByClientID(w.Context(), "x")
	w.is("no client", err, authcore.ErrServiceNotFound)

	s.Name, s.Status, s.RedirectURIs, s.LogoutURIs, s.Device = "Shop", authcore.Disabled, nil, []string{"https://c.example.com/"}, false
	s.Access, s.TokenFormat, s.AccessLife, s.RefreshLife = authcore.ReachChosen, authcore.TokenOpaque, time.Hour, 2*time.Hour
	s.Algorithm, s.Scopes, s.Keys, s.LogoutURI = authcore.RS256, []string{"orders.read", "orders.write"}, `{"keys":[]}`, "https://d.example.com/"
	s.NoPKCE, s.PushedOnly, s.DPoP = true, true, true
	w.must(w.db().UpdateService(w.Context(), s, w.event(authcore.ServiceUpdate, "")))
	w.must(w.db().SetServiceTrust(w.Context(), s, true, w.event(authcore.ServiceTrust, "")))
	s.FirstParty = true
	_, secret := authcore.NewToken()
	until := w.now.Add(time.Hour)
	w.must(w.db().RotateServiceSecret(w.Context(), s, secret, until, w.event(authcore.ServiceSecret, "")))
	s.Secret, s.OldSecret, s.OldUntil = secret, s.Secret, until
	got, err = w.db().ServiceByID(w.Context(), o.ID, s.ID)
	w.must(err)
	w.same("changed", s, got)
	foreign := s
	foreign.Organization, foreign.Name = other.ID, "Stolen"
	w.is("updated elsewhere", w.db().UpdateService(w.Context(), foreign, w.event(authcore.ServiceUpdate, "")), authcore.ErrServiceNotFound)
	w.is("trusted elsewhere", w.db().SetServiceTrust(w.Context(), foreign, false, w.event(authcore.ServiceTrust, "")), authcore.ErrServiceNotFound)
	w.is("another secret elsewhere", w.db().RotateServiceSecret(w.Context(), foreign, secret, until, w.event(authcore.ServiceSecret, "")), authcore.ErrServiceNotFound)
	w.is("deleted elsewhere", w.db().DeleteService(w.Context(), foreign, w.event(authcore.ServiceDelete, "")), authcore.ErrServiceNotFound)
	got, err = w.db().ServiceByID(w.Context(), o.ID, s.ID)
	w.must(err)
	w.same("as before", s, got)

	a, b := w.addService(other, "Same", authcore.ReachMembers), w.addService(other, "Same", authcore.ReachMembers)
	w.is("one too many", w.db().CreateService(w.Context(), w.service(other, "x"), w.event(authcore.ServiceCreate, "")), authcore.ErrServiceLimit)
	list := func(q authcore.ServiceQuery, want ...authcore.Service) {
		w.Helper()
		q.Limit = 10
		all, err := w.db().Services(w.Context(), other.ID, q)
		w.must(err)
		w.same("list", len(want), len(all))
		for i := range all {
			w.same("list", want[i].ID, all[i].ID)
		}
	}
	list(authcore.ServiceQuery{}, a, b)
	list(authcore.ServiceQuery{After: string(a.ID) + " Same"}, b)
	list(authcore.ServiceQuery{After: string(b.ID) + " Same"})
	list(authcore.ServiceQuery{Search: "AM"}, a, b)
	list(authcore.ServiceQuery{Search: "am", After: string(a.ID) + " Same"}, b)
	list(authcore.ServiceQuery{Search: "%"})
	list(authcore.ServiceQuery{Search: "sa_e"})
	w.addService(o, "Shop É. 😀", authcore.ReachMembers)
	found, err := w.db().Services(w.Context(), o.ID, authcore.ServiceQuery{Search: "É. 😀", Limit: 10})
	w.must(err)
	w.same("by letters that are not ASCII", 1, len(found))
	w.must(w.db().DeleteService(w.Context(), a, w.event(authcore.ServiceDelete, "")))
	w.is("again", w.db().DeleteService(w.Context(), a, w.event(authcore.ServiceDelete, "")), authcore.ErrServiceNotFound)
	list(authcore.ServiceQuery{}, b)
}

func (w *world) signsIn(s authcore.Service, u authcore.User) error {
	return w.db().NoteEndUser(w.Context(), s, u.ID, w.now)
}

func serviceAccess(w *world) {
	owner, bob, cleo := w.add("owner", nil), w.add("bob", nil), w.add("cleo", nil)
	o := w.active("acme", owner)
	w.most(o, 0, 0)
	w.must(w.setMember(w.db(), o, bob, authcore.RoleMember))
	members, chosen, everyone := w.addService(o, "a", authcore.ReachMembers), w.addService(o, "b", authcore.ReachChosen), w.addService(o, "c", authcore.ReachEveryone)
	w.is("a member", w.signsIn(members, bob), nil)
	w.is("a stranger", w.signsIn(members, cleo), authcore.ErrServiceNotAllowed)
	w.is("a stranger, everyone", w.signsIn(everyone, cleo), nil)
	only := func(on bool) {
		w.Helper()
		for _, u := range []authcore.User{bob, cleo} {
			w.must(w.db().SetOrganizationOnly(w.Context(), u.ID, on, w.event(authcore.UserUpdate, "")))
		}
	}
	only(true)
	w.is("a stranger who belongs to organizations only", w.signsIn(everyone, cleo), authcore.ErrServiceNotAllowed)
	w.is("a member who does", w.signsIn(everyone, bob), nil)
	w.must(w.db().SetOwner(w.Context(), cleo.ID, true, w.event(authcore.UserOwner, "")))
	w.is("a platform owner", w.signsIn(everyone, cleo), nil)
	w.add("other", platformOwner)
	w.must(w.db().SetOwner(w.Context(), cleo.ID, false, w.event(authcore.UserOwner, "")))
	only(false)
	w.is("a member, chosen", w.signsIn(chosen, bob), authcore.ErrServiceNotAllowed)
	grant := func(u authcore.User) error {
		return w.db().GrantService(w.Context(), chosen, u.ID, w.event(authcore.ServiceGrant, ""))
	}
	withdraw := func(u authcore.User) error {
		return w.db().WithdrawService(w.Context(), chosen, u.ID, w.event(authcore.ServiceWithdraw, ""))
	}
	w.is("to a stranger", grant(cleo), authcore.ErrMemberNotFound)
	w.is("to nobody", grant(w.user("x")), authcore.ErrMemberNotFound)
	w.must(grant(bob))
	w.must(grant(bob))
	w.is("chosen", w.signsIn(chosen, bob), nil)
	all, err := w.db().Grantees(w.Context(), chosen, "", 10)
	w.must(err)
	w.same("who", []authcore.Grantee{{User: bob.ID, Username: "bob", Name: bob.Name, CreatedAt: w.now}}, all)
	w.must(withdraw(bob))
	w.is("again", withdraw(bob), authcore.ErrMemberNotFound)
	w.is("withdrawn", w.db().MayUse(w.Context(), chosen, bob.ID), authcore.ErrServiceNotAllowed)
	w.must(grant(bob))
	w.must(w.removeMember(w.db(), o, bob))
	w.must(w.setMember(w.db(), o, bob, authcore.RoleMember))
	w.is("who left and came back", w.signsIn(chosen, bob), authcore.ErrServiceNotAllowed)
	w.must(w.disable(w.db(), bob))
	w.is("disabled", w.signsIn(members, bob), authcore.ErrMemberDisabled)
	w.is("nobody", w.signsIn(everyone, w.user("x")), authcore.ErrUserNotFound)
	everyone.Status = authcore.Disabled
	w.must(w.db().UpdateService(w.Context(), everyone, w.event(authcore.ServiceUpdate, "")))
	w.is("a service that is disabled", w.signsIn(everyone, cleo), authcore.ErrServiceDisabled)
	w.must(w.status(o, authcore.OrganizationActive, authcore.OrganizationSuspended))
	w.is("an organization that is suspended", w.signsIn(members, owner), authcore.ErrServiceDisabled)
}

func serviceKeys(w *world) {
	owner := w.add("owner", nil)
	o := w.active("acme", owner)
	s, other := w.addService(o, "a", authcore.ReachMembers), w.addService(o, "b", authcore.ReachMembers)
	key := func(end time.Time) (authcore.ServiceKey, authcore.TokenHash) {
		w.Helper()
		_, hash := authcore.NewToken()
		k := authcore.ServiceKey{ID: authcore.ServiceKeyID(authcore.NewUserID()), Organization: o.ID, Service: s.ID, Name: "Key 😀", Scopes: authcore.ServiceScopes, CreatedBy: owner.ID, CreatedAt: w.now, ExpiresAt: end}
		w.must(w.db().CreateServiceKey(w.Context(), k, hash, w.event(authcore.APIKeyCreate, "")))
		return k, hash
	}
	k, hash := key(time.Time{})
	ending, _ := key(w.now.Add(time.Hour))
	got, of, status, err := w.db().ServiceKeyByHash(w.Context(), hash)
	w.must(err)
	w.same("by the hash", []any{k, s, authcore.OrganizationActive}, []any{got, of, status})
	at := w.now.Add(time.Minute)
	w.must(w.db().TouchServiceKey(w.Context(), k.ID, at))
	w.must(w.db().TouchServiceKey(w.Context(), k.ID, at.Add(-time.Second)))
	got, _, _, err = w.db().ServiceKeyByID(w.Context(), k.ID)
	w.must(err)
	k.LastUsed = at
	w.same("used", k, got)
	all, err := w.db().ServiceKeys(w.Context(), s, authcore.ListQuery{Limit: 10})
	w.must(err)
	w.same("all", []authcore.ServiceKey{k, ending}, all)
	all, err = w.db().ServiceKeys(w.Context(), other, authcore.ListQuery{Limit: 10})
	w.must(err)
	w.same("of the other service", 0, len(all))
	w.is("revoked there", w.db().RevokeServiceKey(w.Context(), other, k.ID, w.event(authcore.APIKeyRevoke, "")), authcore.ErrKeyNotFound)
	w.must(w.db().RevokeServiceKey(w.Context(), s, k.ID, w.event(authcore.APIKeyRevoke, "")))
	_, _, _, err = w.db().ServiceKeyByHash(w.Context(), hash)
	w.is("revoked", err, authcore.ErrKeyInvalid)
	foreign := k
	foreign.ID, foreign.Organization = "x", "other"
	w.is("of another organization", w.db().CreateServiceKey(w.Context(), foreign, hash, w.event(authcore.APIKeyCreate, "")), authcore.ErrOrganizationNotFound)
	foreign.Organization, foreign.Service = o.ID, "none"
	w.is("of no service", w.db().CreateServiceKey(w.Context(), foreign, hash, w.event(authcore.APIKeyCreate, "")), authcore.ErrServiceNotFound)
	for range authcore.MaxServiceKeys - 1 {
		key(time.Time{})
	}
	foreign.Service = s.ID
	w.is("too many", w.db().CreateServiceKey(w.Context(), foreign, hash, w.event(authcore.APIKeyCreate, "")), authcore.ErrTooManyKeys)
}

// raceForService: many make services at once, and there are no more than the tier allows.
func raceForService(w *world) {
	o := w.active("acme", w.add("owner", nil))
	w.most(o, 3, 0)
	made := 0
	for _, err := range w.atOnce(10, func(i int, db Store) error {
		return db.CreateService(w.Context(), w.service(o, fmt.Sprint("s", i)), w.event(authcore.ServiceCreate, ""))
	}) {
		if err == nil {
			made++
		} else {
			w.is("refused", err, authcore.ErrServiceLimit)
		}
	}
	w.same("made", 3, made)
}

func serviceDeletion(w *world) {
	w.add("platform", func(u *authcore.User) { u.Owner = true })
	owner, bob := w.add("owner", nil), w.add("bob", nil)
	o := w.active("acme", owner)
	w.must(w.setMember(w.db(), o, bob, authcore.RoleMember))
	s, t := w.addService(o, "a", authcore.ReachEveryone), w.addService(o, "b", authcore.ReachEveryone)
	w.must(w.db().GrantService(w.Context(), s, bob.ID, w.event(authcore.ServiceGrant, "")))
	in := []authcore.ServiceSession{w.begin(s, bob), w.begin(t, bob), w.begin(t, owner)}
	w.must(w.db().DeleteService(w.Context(), s, w.event(authcore.ServiceDelete, "")))
	w.sessionLives("of a service that was deleted", false, in[0])
	w.sessionLives("of another", true, in[1])
	is, err := w.db().IsEndUser(w.Context(), o.ID, s.ID, bob.ID)
	w.must(err)
	w.same("its end user", false, is)
	w.must(w.deletes(bob, time.Time{}))
	w.sessionLives("of a user who was deleted", false, in[1])
	again := w.add("bob", nil)
	is, err = w.db().IsEndUser(w.Context(), o.ID, "", again.ID)
	w.must(err)
	w.same("another of the name", false, is)
	w.must(w.db().DeleteOrganization(w.Context(), o.ID, w.event(authcore.OrganizationDelete, "")))
	w.sessionLives("of an organization that was deleted", false, in[2])
	_, _, err = w.db().ServiceByClientID(w.Context(), t.ClientID)
	w.is("its service", err, authcore.ErrServiceNotFound)
	w.is("another of the name", w.db().CreateOrganization(w.Context(), o, owner.ID, w.event(authcore.OrganizationCreate, "acme")), authcore.ErrSlugTaken)
}

func endUsers(w *world) {
	owner := w.add("owner", nil)
	o, other := w.active("acme", owner), w.active("beta", owner)
	a, b, c := w.addService(o, "a", authcore.ReachEveryone), w.addService(o, "b", authcore.ReachEveryone), w.addService(other, "c", authcore.ReachEveryone)
	ann := w.add("ann", func(u *authcore.User) { u.Email = "first@example.com" })
	an := w.add("an_n", func(u *authcore.User) { u.Email = "second%@example.com" })
	zoe := w.add("zoe", func(u *authcore.User) { u.Email = "" })
	for _, in := range []struct {
		s authcore.Service
		u authcore.User
	}{{a, ann}, {b, ann}, {b, an}, {c, zoe}} {
		w.must(w.signsIn(in.s, in.u))
	}
	w.must(w.db().NoteEndUser(w.Context(), b, ann.ID, w.now.Add(time.Minute)))
	w.must(w.db().NoteEndUser(w.Context(), b, ann.ID, w.now.Add(time.Second)))
	used, err := w.db().UsedServices(w.Context(), ann.ID)
	w.must(err)
	w.same("that a user has used", []authcore.UsedService{{Organization: "acme", Name: "a", FirstAt: w.now, LastAt: w.now}, {Organization: "acme", Name: "b", FirstAt: w.now, LastAt: w.now.Add(time.Minute)}}, used)
	list := func(what string, q authcore.EndUserQuery, want ...authcore.EndUser) {
		w.Helper()
		q.Limit = 10
		got, err := w.db().EndUsers(w.Context(), o.ID, q)
		w.must(err)
		w.same(what, want, got)
	}
	user := func(u authcore.User, last time.Time) authcore.EndUser {
		return authcore.EndUser{User: u.ID, Username: u.Username, Name: u.Name, Email: u.Email, FirstAt: w.now, LastAt: last}
	}
	one, two := user(an, w.now), user(ann, w.now.Add(time.Minute))
	list("all", authcore.EndUserQuery{}, one, two)
	list("after one", authcore.EndUserQuery{After: "an_n"}, two)
	list("of a service", authcore.EndUserQuery{Service: a.ID}, user(ann, w.now))
	list("by username", authcore.EndUserQuery{Search: "an_"}, one)
	list("by address", authcore.EndUserQuery{Search: "first@"}, two)
	list("by an address with a sign", authcore.EndUserQuery{Search: "second%"}, one)
	list("by what is in none", authcore.EndUserQuery{Search: "%"})
	list("of another organization's service", authcore.EndUserQuery{Service: c.ID})
}

func endUserSessions(w *world) {
	owner, bob, cleo := w.add("owner", nil), w.add("bob", nil), w.add("cleo", nil)
	o, other := w.active("acme", owner), w.active("beta", owner)
	a, b, c := w.addService(o, "a", authcore.ReachEveryone), w.addService(o, "b", authcore.ReachEveryone), w.addService(other, "c", authcore.ReachEveryone)
	one, two, three, four, five := w.begin(a, bob), w.begin(a, bob), w.begin(b, bob), w.begin(c, bob), w.begin(a, cleo)
	all, err := w.db().ServiceSessions(w.Context(), o.ID, "", bob.ID, w.now)
	w.must(err)
	w.same("all", []authcore.ServiceSession{three, two, one}, all)
	all, err = w.db().ServiceSessions(w.Context(), o.ID, b.ID, bob.ID, w.now)
	w.must(err)
	w.same("of a service", []authcore.ServiceSession{three}, all)
	end := func(what string, want int, service authcore.ServiceID, id authcore.SessionID) {
		w.Helper()
		n, err := w.db().EndServiceSessions(w.Context(), o.ID, service, bob.ID, id, w.event(authcore.EndUserRevoke, ""))
		w.must(err)
		w.same(what, want, n)
	}
	end("another's", 0, "", five.ID)
	end("elsewhere", 0, "", four.ID)
	end("of another service", 0, b.ID, one.ID)
	end("one", 1, "", one.ID)
	w.sessionLives("one", false, one)
	end("of a service", 1, a.ID, "")
	w.sessionLives("of the other", true, three)
	end("all", 1, "", "")
	for _, s := range []authcore.ServiceSession{four, five} {
		w.sessionLives("untouched", true, s)
	}
	w.must(w.db().SetPassword(w.Context(), cleo.ID, hashOf("new"), five.Root, w.event(authcore.PasswordChange, "")))
	w.sessionLives("of the session in which the password was changed", true, five)
	w.must(w.disable(w.db(), cleo))
	w.sessionLives("of a user who is disabled", false, five)
	six := w.begin(b, bob)
	_, err = w.db().RevokeSessionsOf(w.Context(), bob.ID, "", w.event(authcore.SessionRevoke, ""))
	w.must(err)
	w.sessionLives("of a user who signed out everywhere", false, six)
	seven := w.begin(b, bob)
	four = w.begin(c, bob)
	w.must(w.status(other, authcore.OrganizationActive, authcore.OrganizationSuspended))
	w.sessionLives("of an organization that is suspended", false, four)
	_, err = w.db().RevokeEverySession(w.Context(), w.event(authcore.SessionRevoke, ""))
	w.must(err)
	w.sessionLives("of everybody", false, seven)
}

func endUserBarred(w *world) {
	owner, bob := w.add("owner", nil), w.add("bob", nil)
	o, other := w.active("acme", owner), w.active("beta", owner)
	a, c := w.addService(o, "a", authcore.ReachEveryone), w.addService(other, "c", authcore.ReachEveryone)
	in := w.begin(a, bob)
	bar := func(u authcore.User) error {
		return w.db().Bar(w.Context(), o.ID, u.ID, "spam", w.event(authcore.EndUserBar, ""))
	}
	w.is("a member", bar(owner), authcore.ErrBarMember)
	w.is("nobody", bar(w.user("x")), authcore.ErrUserNotFound)
	w.must(bar(bob))
	w.must(bar(bob))
	w.sessionLives("barred", false, in)
	w.is("signs in", w.signsIn(a, bob), authcore.ErrBarred)
	w.is("signs in elsewhere", w.signsIn(c, bob), nil)
	w.is("becomes a member", w.setMember(w.db(), o, bob, authcore.RoleMember), authcore.ErrBarred)
	i, _ := w.invite(o, owner, "", authcore.RoleMember)
	w.is("accepts", w.accept(w.db(), i, bob), authcore.ErrBarred)
	all, err := w.db().BarredUsers(w.Context(), o.ID, "", 10)
	w.must(err)
	w.same("who", []authcore.Barred{{User: bob.ID, Username: "bob", Reason: "spam", CreatedAt: w.now}}, all)
	users, err := w.db().EndUsers(w.Context(), o.ID, authcore.EndUserQuery{Limit: 10})
	w.must(err)
	w.same("in the list", true, len(users) == 1 && users[0].Barred)
	unbar := func() error {
		return w.db().Unbar(w.Context(), o.ID, bob.ID, w.event(authcore.EndUserUnbar, ""))
	}
	w.must(unbar())
	w.is("again", unbar(), authcore.ErrNotBarred)
	w.is("let in", w.signsIn(a, bob), nil)
}

func providerClients(w *world) {
	owner := w.add("owner", nil)
	o, other := w.active("acme", owner), w.active("beta", owner)
	set := func(c authcore.ProviderClient) error {
		return w.db().SetProviderClient(w.Context(), o.ID, c, w.event(authcore.ProviderSet, ""))
	}
	c := authcore.ProviderClient{Name: "google", ClientID: "id 😀", Sealed: "sealed", CreatedAt: w.now, UpdatedAt: w.now}
	w.must(set(c))
	c.ClientID, c.Sealed, c.UpdatedAt = "other", "sealed too", w.now.Add(time.Second)
	w.must(set(c))
	id, got, err := w.db().ProviderClient(w.Context(), "acme", "google")
	w.must(err)
	w.same("changed", []any{o.ID, c}, []any{id, got})
	for _, ask := range [][2]string{{"beta", "google"}, {"acme", "github"}} {
		_, _, err = w.db().ProviderClient(w.Context(), ask[0], ask[1])
		w.is("none", err, authcore.ErrClientNotFound)
	}
	all, err := w.db().ProviderClients(w.Context(), o.ID)
	w.must(err)
	w.same("all", []authcore.ProviderClient{c}, all)
	w.is("deleted elsewhere", w.db().DeleteProviderClient(w.Context(), other.ID, "google", w.event(authcore.ProviderDelete, "")), authcore.ErrClientNotFound)
	w.must(w.status(o, authcore.OrganizationActive, authcore.OrganizationSuspended))
	_, _, err = w.db().ProviderClient(w.Context(), "acme", "google")
	w.is("suspended", err, authcore.ErrClientNotFound)
	w.must(w.db().DeleteProviderClient(w.Context(), o.ID, "google", w.event(authcore.ProviderDelete, "")))
	for n := range authcore.MaxProviderClients {
		c.Name = fmt.Sprint("p", n)
		w.must(set(c))
	}
	c.Name = "more"
	w.is("too many", set(c), authcore.ErrTooManyClients)
}
