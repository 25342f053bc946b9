package storetest

import (
	"cmp"
	"math/big"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

var deviceGrantTests = map[string]func(*world){
	"device grant: its life":               deviceGrantLife,
	"device grant: two with one code":      deviceGrantTwins,
	"device grant: who approves":           deviceGrantRefused,
	"device grant: twice":                  deviceGrantReplay,
	"device grant: the command line":       commandLine,
	"device grant: signed out before":      deviceGrantEnded,
	"race: one device to approve":          raceToApprove,
	"race: one device grant to redeem":     raceForDeviceGrant,
	"race: one grant of the command line":  raceForCommandLine,
	"race: devices approved, and deleted":  approveAndDelete,
	"device grant: many in one statement":  deviceGrantMany,
	"device grant: what was never decided": deviceGrantDenied,
}

// addDevice adds devices that wait.
func (w *world) addDevice(s authcore.Service, n int) []authcore.DeviceGrant {
	w.Helper()
	var all []authcore.DeviceGrant
	for range n {
		all = append(all, authcore.DeviceGrant{Device: w.hash(), Service: s.ID, Scopes: []string{"openid", "email"}, Resources: []string{"https://api.example.com/"},
			Address: "192.0.2.7", Agent: "Television 😀", Status: authcore.DeviceWaiting, CreatedAt: w.now, ExpiresAt: w.now.Add(10 * time.Minute)})
	}
	w.must(w.db().AddDeviceGrants(w.Context(), all))
	return all
}

// approve lets a device in from a root.
func (w *world) approve(db Store, d authcore.DeviceGrant, s authcore.Service, root authcore.Session) (authcore.ServiceSession, error) {
	session, _ := w.grant(s, root)
	session.Offline = true
	return session, db.ApproveDevice(w.Context(), d.Device, root.UserID, &session, w.event(authcore.ServiceLogin, "device"))
}

func (w *world) redeemDevice(db Store, d authcore.DeviceGrant, r authcore.RefreshToken, a authcore.GrantToken) error {
	return db.RedeemDevice(w.Context(), d.Device, w.now.Add(time.Hour), "key", &r, &a, w.event(authcore.ServiceReplay, "device"))
}

func deviceGrantLife(w *world) {
	bob := w.add("bob", nil)
	o := w.active("acme", bob)
	s := w.addService(o, "a", authcore.ReachMembers)
	root := w.root(bob)
	d := w.addDevice(s, 1)[0]
	got, err := w.deviceGrant(d.Device)
	w.must(err)
	w.same("by the device", d, got)
	got, err = w.db().WaitingDevice(w.Context(), d.Device, d.Device, w.now)
	w.must(err)
	w.same("by the user", d, got)
	before, after := beside(d.Device)
	got, err = w.db().WaitingDevice(w.Context(), before, after, w.now)
	w.must(err)
	w.same("within a range", d, got)
	var zero, most authcore.TokenHash
	for i := range most {
		most[i] = 0xff
	}
	_, err = w.db().WaitingDevice(w.Context(), zero, before, w.now)
	w.is("in what is before", err, authcore.ErrUserCodeInvalid)
	_, err = w.db().WaitingDevice(w.Context(), after, most, w.now)
	w.is("in what is after", err, authcore.ErrUserCodeInvalid)
	_, err = w.deviceGrant(w.hash())
	w.is("by another device", err, authcore.ErrGrantInvalid)
	_, err = w.db().WaitingDevice(w.Context(), d.Device, d.Device, d.ExpiresAt)
	w.is("expired", err, authcore.ErrUserCodeInvalid)

	refresh, access := w.tokens(authcore.ServiceSession{Service: s.ID})
	w.is("before it is approved", w.redeemDevice(w.db(), d, refresh, access), authcore.ErrGrantInvalid)
	session, err := w.approve(w.db(), d, s, root)
	w.must(err)
	w.toldOfDevice(d)
	_, err = w.approve(w.db(), d, s, root)
	w.is("approved again", err, authcore.ErrUserCodeInvalid)
	w.is("denied after that", w.db().DenyDevice(w.Context(), d.Device, w.event(authcore.ServiceReplay, "")), authcore.ErrUserCodeInvalid)
	_, err = w.db().WaitingDevice(w.Context(), d.Device, d.Device, w.now)
	w.is("the code again", err, authcore.ErrUserCodeInvalid)
	d.Status, d.User, d.Session = authcore.DeviceApproved, bob.ID, session.ID
	got, err = w.deviceGrant(d.Device)
	w.must(err)
	w.same("approved", d, got)
	used, err := w.db().IsEndUser(w.Context(), o.ID, s.ID, bob.ID)
	w.must(err)
	w.same("counted", true, used)
	w.must(w.db().RevokeSession(w.Context(), root.ID, "", w.event(authcore.UserLogout, "")))
	w.must(w.redeemDevice(w.db(), d, refresh, access))
	w.tokensLive("redeemed", true, refresh, access)
	all, err := w.db().ServiceSessions(w.Context(), o.ID, s.ID, bob.ID, w.now)
	w.must(err)
	session.ExpiresAt, session.KeyHash = w.now.Add(time.Hour), "key"
	w.same("sessions", []authcore.ServiceSession{session}, all)
	w.must(w.deletes(w.add("x", nil), time.Time{}))
	got, err = w.deviceGrant(d.Device)
	w.must(err)
	w.same("used", authcore.DeviceUsed, got.Status)
}

// toldOfDevice sees that the nodes hear of an answer to a device.
func (w *world) toldOfDevice(d authcore.DeviceGrant) {
	w.Helper()
	all, _, err := w.db().ChangesSince(w.Context(), time.UnixMicro(0))
	w.must(err)
	if !slices.ContainsFunc(all, func(c authcore.Change) bool {
		return c.Kind == authcore.ChangeDevice && authcore.DeviceKeyFrom(c.Subject) == authcore.DeviceKeyOf(d.Device)
	}) {
		w.Errorf("no change tells of the device: %v", all)
	}
}

// beside gives the hashes before and after one.
func beside(h authcore.TokenHash) (before, after authcore.TokenHash) {
	n := new(big.Int).SetBytes(h[:])
	new(big.Int).Sub(n, big.NewInt(1)).FillBytes(before[:])
	new(big.Int).Add(n, big.NewInt(1)).FillBytes(after[:])
	return before, after
}

// deviceGrantTwins: two devices that wait with one code are no one's to let in, but the code
// of one that does not wait any more is another's.
func deviceGrantTwins(w *world) {
	bob := w.add("bob", nil)
	s := w.addService(w.active("acme", bob), "a", authcore.ReachMembers)
	one := w.addDevice(s, 1)[0]
	two := one
	_, two.Device = beside(one.Device)
	w.must(w.db().AddDeviceGrants(w.Context(), []authcore.DeviceGrant{two}))
	_, err := w.db().WaitingDevice(w.Context(), one.Device, two.Device, w.now)
	w.is("two", err, authcore.ErrUserCodeInvalid)
	w.must(w.db().DenyDevice(w.Context(), one.Device, w.event(authcore.ServiceReplay, "")))
	w.toldOfDevice(one)
	got, err := w.db().WaitingDevice(w.Context(), one.Device, two.Device, w.now)
	w.must(err)
	w.same("the other", two, got)
}

func deviceGrantRefused(w *world) {
	owner, bob := w.add("owner", nil), w.add("bob", nil)
	o := w.active("acme", owner)
	s, other := w.addService(o, "a", authcore.ReachMembers), w.addService(o, "b", authcore.ReachMembers)
	root, bobs := w.root(owner), w.root(bob)
	d := w.addDevice(s, 1)[0]
	refused := func(what string, s authcore.Service, root authcore.Session, want error) {
		w.Helper()
		session, err := w.approve(w.db(), d, s, root)
		w.is(what, err, want)
		w.sessionLives(what, false, session)
	}
	refused("a stranger", s, bobs, authcore.ErrServiceNotAllowed)
	foreign := root
	foreign.ID = bobs.ID
	refused("from another's session", s, foreign, authcore.ErrSessionNotFound)
	refused("for another service", other, root, authcore.ErrUserCodeInvalid)
	w.is("as the command line", w.db().ApproveDevice(w.Context(), d.Device, owner.ID, nil, w.event(authcore.ServiceLogin, "")), authcore.ErrUserCodeInvalid)
	w.now = d.ExpiresAt
	refused("expired", s, root, authcore.ErrUserCodeInvalid)
	w.is("denied late", w.db().DenyDevice(w.Context(), d.Device, w.event(authcore.ServiceReplay, "")), authcore.ErrUserCodeInvalid)
	got, err := w.deviceGrant(d.Device)
	w.must(err)
	w.same("as it was", d, got)
}

func deviceGrantDenied(w *world) {
	bob := w.add("bob", nil)
	s := w.addService(w.active("acme", bob), "a", authcore.ReachMembers)
	d := w.addDevice(s, 1)[0]
	w.must(w.db().DenyDevice(w.Context(), d.Device, w.event(authcore.ServiceReplay, "denied")))
	_, err := w.approve(w.db(), d, s, w.root(bob))
	w.is("approved after that", err, authcore.ErrUserCodeInvalid)
	refresh, access := w.tokens(authcore.ServiceSession{Service: s.ID})
	w.is("redeemed", w.redeemDevice(w.db(), d, refresh, access), authcore.ErrGrantInvalid)
	got, err := w.deviceGrant(d.Device)
	w.must(err)
	w.same("denied", authcore.DeviceDenied, got.Status)
	w.happened("user.create bob", "organization.create acme", "organization.approve acme", "service.create a", "user.login bob", "service.replay denied")
}

func deviceGrantReplay(w *world) {
	bob := w.add("bob", nil)
	s := w.addService(w.active("acme", bob), "a", authcore.ReachMembers)
	all := w.addDevice(s, 2)
	session, err := w.approve(w.db(), all[0], s, w.root(bob))
	w.must(err)
	late, err := w.approve(w.db(), all[1], s, w.root(bob))
	w.must(err)
	refresh, access := w.tokens(session)
	w.must(w.redeemDevice(w.db(), all[0], refresh, access))
	again, againAccess := w.tokens(session)
	w.is("again", w.redeemDevice(w.db(), all[0], again, againAccess), authcore.ErrGrantUsed)
	w.sessionLives("used twice", false, session)
	w.tokensLive("used twice", false, refresh, access)
	w.is("a third time", w.redeemDevice(w.db(), all[0], again, againAccess), authcore.ErrGrantInvalid)
	w.is("none", w.redeemDevice(w.db(), authcore.DeviceGrant{Device: w.hash()}, again, againAccess), authcore.ErrGrantInvalid)
	w.now = all[1].ExpiresAt
	w.is("expired", w.redeemDevice(w.db(), all[1], again, againAccess), authcore.ErrGrantInvalid)
	w.must(w.db().EndGrant(w.Context(), s.ID, late.ID, w.event(authcore.ServiceReplay, "")))
}

// token makes up an access token of a user.
func (w *world) commandToken(u authcore.User) authcore.AccessToken {
	return authcore.AccessToken{ID: authcore.NewSessionID(), UserID: u.ID, Name: "Command line 😀", CreatedAt: w.now, ExpiresAt: w.now.Add(time.Hour)}
}

func (w *world) redeemCommandLine(db Store, d authcore.DeviceGrant, u authcore.User) (authcore.TokenHash, error) {
	hash := w.hash()
	return hash, db.RedeemCommandLine(w.Context(), d.Device, w.commandToken(u), hash, w.event(authcore.TokenCreate, "command"))
}

func commandLine(w *world) {
	bob, cleo := w.add("bob", nil), w.add("cleo", nil)
	all := w.addDevice(authcore.Service{}, 4)
	approve := func(d authcore.DeviceGrant, u authcore.UserID) error {
		return w.db().ApproveDevice(w.Context(), d.Device, u, nil, w.event(authcore.ServiceLogin, ""))
	}
	redeem := func(d authcore.DeviceGrant, u authcore.User) error {
		_, err := w.redeemCommandLine(w.db(), d, u)
		return err
	}
	w.is("by nobody", approve(all[0], "nobody"), authcore.ErrUserNotFound)
	w.must(approve(all[0], bob.ID))
	w.is("again", approve(all[0], bob.ID), authcore.ErrUserCodeInvalid)
	refresh, access := w.tokens(authcore.ServiceSession{})
	w.is("as one of a service", w.redeemDevice(w.db(), all[0], refresh, access), authcore.ErrGrantInvalid)
	w.is("for another", redeem(all[0], cleo), authcore.ErrGrantUsed)
	hash, err := w.redeemCommandLine(w.db(), all[0], bob)
	w.must(err)
	token, u, err := w.db().AccessTokenByHash(w.Context(), hash)
	w.must(err)
	w.same("the token", []any{"Command line 😀", bob.ID}, []any{token.Name, u.ID})
	w.is("redeemed again", redeem(all[0], bob), authcore.ErrGrantUsed)
	w.is("one that waits", redeem(all[1], bob), authcore.ErrGrantUsed)

	w.must(approve(all[1], bob.ID))
	for n := 1; n < authcore.MaxAccessTokens; n++ {
		w.must(w.db().CreateAccessToken(w.Context(), w.commandToken(bob), w.hash(), w.event(authcore.TokenCreate, "")))
	}
	w.is("one too many", redeem(all[1], bob), authcore.ErrTooManyTokens)
	got, err := w.deviceGrant(all[1].Device)
	w.must(err)
	w.same("not used up", authcore.DeviceApproved, got.Status)

	w.must(approve(all[2], cleo.ID))
	w.now = all[2].ExpiresAt
	w.is("expired", redeem(all[2], cleo), authcore.ErrGrantUsed)
	w.must(w.disable(w.db(), cleo))
	w.is("by one who is disabled", approve(all[3], cleo.ID), authcore.ErrMemberDisabled)
}

// deviceGrantEnded: what ends all sessions of a user ends what the user has let in before.
func deviceGrantEnded(w *world) {
	bob := w.add("bob", nil)
	s := w.addService(w.active("acme", w.add("owner", nil)), "a", authcore.ReachEveryone)
	ours := w.addDevice(authcore.Service{}, 3)
	theirs := w.addDevice(s, 2)
	redeem := func(what string, i int) {
		w.Helper()
		_, err := w.redeemCommandLine(w.db(), ours[i], bob)
		w.is(what+", the command line", err, authcore.ErrGrantUsed)
		refresh, access := w.tokens(authcore.ServiceSession{Service: s.ID})
		w.is(what+", a service", w.redeemDevice(w.db(), theirs[i], refresh, access), authcore.ErrGrantInvalid)
	}
	approve := func(i int) {
		w.Helper()
		w.must(w.db().ApproveDevice(w.Context(), ours[i].Device, bob.ID, nil, w.event(authcore.ServiceLogin, "")))
		_, err := w.approve(w.db(), theirs[i], s, w.root(bob))
		w.must(err)
	}
	approve(0)
	_, err := w.db().RevokeSessionsOf(w.Context(), bob.ID, "", w.event(authcore.SessionRevoke, ""))
	w.must(err)
	redeem("signed out everywhere", 0)
	approve(1)
	_, err = w.db().RevokeEverySession(w.Context(), w.event(authcore.SessionRevoke, ""))
	w.must(err)
	redeem("everybody was", 1)
	w.must(w.db().ApproveDevice(w.Context(), ours[2].Device, bob.ID, nil, w.event(authcore.ServiceLogin, "")))
	w.must(w.deletes(bob, time.Time{}))
	_, err = w.deviceGrant(ours[2].Device)
	w.is("of one who was deleted", err, authcore.ErrGrantInvalid)
	waiting := w.addDevice(s, 1)[0]
	w.must(w.db().DeleteService(w.Context(), s, w.event(authcore.ServiceDelete, "")))
	_, err = w.deviceGrant(waiting.Device)
	w.is("of a service that was deleted", err, authcore.ErrGrantInvalid)
}

func raceToApprove(w *world) {
	bob := w.add("bob", nil)
	o := w.active("acme", bob)
	s := w.addService(o, "a", authcore.ReachMembers)
	root := w.root(bob)
	d := w.addDevice(s, 1)[0]
	w.oneWon(w.atOnce(20, func(i int, db Store) error {
		if i%4 == 3 {
			return db.DenyDevice(w.Context(), d.Device, w.event(authcore.ServiceReplay, ""))
		}
		_, err := w.approve(db, d, s, root)
		return err
	}), authcore.ErrUserCodeInvalid)
	got, err := w.deviceGrant(d.Device)
	w.must(err)
	all, err := w.db().ServiceSessions(w.Context(), o.ID, s.ID, bob.ID, w.now)
	w.must(err)
	w.same("sessions", got.Status == authcore.DeviceApproved, len(all) == 1 && all[0].ID == got.Session)
}

func raceForDeviceGrant(w *world) {
	bob := w.add("bob", nil)
	s := w.addService(w.active("acme", bob), "a", authcore.ReachMembers)
	d := w.addDevice(s, 1)[0]
	session, err := w.approve(w.db(), d, s, w.root(bob))
	w.must(err)
	w.oneWon(w.atOnce(50, func(_ int, db Store) error {
		refresh, access := w.tokens(session)
		return w.redeemDevice(db, d, refresh, access)
	}), authcore.ErrGrantUsed, authcore.ErrGrantInvalid)
	w.sessionLives("used twice", false, session)
}

func raceForCommandLine(w *world) {
	bob := w.add("bob", nil)
	d := w.addDevice(authcore.Service{}, 1)[0]
	w.must(w.db().ApproveDevice(w.Context(), d.Device, bob.ID, nil, w.event(authcore.ServiceLogin, "")))
	w.oneWon(w.atOnce(20, func(_ int, db Store) error {
		_, err := w.redeemCommandLine(db, d, bob)
		return err
	}), authcore.ErrGrantUsed)
	all, err := w.db().AccessTokens(w.Context(), bob.ID, "", 10)
	w.must(err)
	w.same("tokens", 1, len(all))
}

// However approval and the deletion of the user overlap, nothing of the user is left.
func approveAndDelete(w *world) {
	o := w.active("acme", w.add("owner", nil))
	s := w.addService(o, "a", authcore.ReachEveryone)
	for range 5 {
		bob := w.add("bob", nil)
		root := w.root(bob)
		d := w.addDevice(s, 1)[0]
		errs := w.atOnce(2, func(i int, db Store) error {
			if i == 0 {
				_, err := w.approve(db, d, s, root)
				return err
			}
			return db.DeleteUser(w.Context(), bob.ID, time.Time{}, w.event(authcore.UserDelete, ""))
		})
		w.must(errs[1])
		if errs[0] != nil {
			w.is("approved", errs[0], authcore.ErrUserNotFound)
		}
		all, err := w.db().ServiceSessions(w.Context(), o.ID, s.ID, bob.ID, w.now)
		w.must(err)
		w.same("sessions", 0, len(all))
		if got, err := w.deviceGrant(d.Device); err == nil {
			w.same("of nobody", authcore.UserID(""), got.User)
		}
	}
}

// deviceGrantMany: numbers of rows that are made of statements of every size.
func deviceGrantMany(w *world) {
	s := w.addService(w.active("acme", w.add("owner", nil)), "a", authcore.ReachMembers)
	for _, n := range []int{0, 1, 9, 10, 11, 237} {
		all := w.addDevice(s, n)
		for i, d := range all {
			got, err := w.deviceGrant(d.Device)
			w.must(err)
			w.same("added", all[i], got)
		}
	}
	again := w.addDevice(s, 1)
	fresh := slices.Clone(again)
	fresh[0].Device = w.hash()
	if err := w.db().AddDeviceGrants(w.Context(), append(fresh, again...)); err == nil {
		w.Error("a device was added twice")
	}
	_, err := w.deviceGrant(fresh[0].Device)
	w.is("one of many that were refused", err, authcore.ErrGrantInvalid)
}

// deviceGrant finds one, beside another device that there is not.
func (w *world) deviceGrant(device authcore.TokenHash) (authcore.DeviceGrant, error) {
	found, err := w.db().DeviceGrantsByCode(w.Context(), []authcore.TokenHash{authcore.HashToken("none"), device})
	if err != nil || len(found) == 0 {
		return authcore.DeviceGrant{}, cmp.Or(err, error(authcore.ErrGrantInvalid))
	}
	return found[0], nil
}
