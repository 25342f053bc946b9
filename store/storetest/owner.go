package storetest

import (
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

var ownerTests = map[string]func(*world){
	"first owner":                   firstOwner,
	"linked owner":                  linkedOwner,
	"an owner closes the setup":     ownerClosesSetup,
	"making one closes the setup":   makingOwnerClosesSetup,
	"the last owner stays":          lastOwner,
	"a disabled user's sessions":    disable,
	"the key belongs to a database": bindKey,
}

func (w *world) setupCode(life time.Duration) authcore.TokenHash {
	w.Helper()
	_, hash := authcore.NewToken()
	w.must(w.db().CreateCode(w.Context(), authcore.Code{Hash: hash, Purpose: authcore.PurposeSetup, CreatedAt: w.now, ExpiresAt: w.now.Add(life)}, nil))
	return hash
}

func (w *world) setup(db Store, name string, code authcore.TokenHash) error {
	u := w.user(name)
	u.Owner, u.Email = true, "new-"+u.Email
	return db.CreateFirstOwner(w.Context(), u, hashOf("old"), code, w.event(authcore.SetupClose, name))
}

// setupIs checks whether the setup is closed, and whether there is an owner.
func (w *world) setupIs(closed, owner bool) {
	w.Helper()
	got, err := w.db().SetupClosed(w.Context())
	w.must(err)
	exists, err := w.db().OwnerExists(w.Context())
	w.must(err)
	if got != closed || exists != owner {
		w.Errorf("setup closed: %v, an owner: %v; want %v and %v", got, exists, closed, owner)
	}
}

func firstOwner(w *world) {
	w.setupIs(false, false)
	good, other, old := w.setupCode(time.Hour), w.setupCode(time.Hour), w.setupCode(0)
	w.is("with a link that is too old", w.setup(w.db(), "alice", old), authcore.ErrSetupToken)
	w.is("with a made-up link", w.setup(w.db(), "alice", authcore.TokenHash{1}), authcore.ErrSetupToken)
	w.add("taken", nil)
	w.is("with a name that is taken", w.setup(w.db(), "taken", good), authcore.ErrUsernameTaken)
	w.setupIs(false, false)
	w.is("with the link", w.setup(w.db(), "alice", good), nil)
	w.setupIs(true, true)
	for name, code := range map[string]authcore.TokenHash{"used": good, "of another start": other, "newer": w.setupCode(time.Hour)} {
		w.is("with the link that is "+name, w.setup(w.db(), "mallory", code), authcore.ErrSetupClosed)
	}
	_, _, err := w.db().UserByLogin(w.Context(), "mallory", false)
	w.is("who was refused", err, authcore.ErrUserNotFound)
	w.happened("user.create taken", "setup.close alice")
}

func linkedOwner(w *world) {
	owner := w.add("alice", func(u *authcore.User) { u.Owner = true })
	linked := func(what string, want bool) {
		w.Helper()
		got, err := w.db().OwnerWithoutPasswordExists(w.Context())
		w.must(err)
		w.same(what, want, got)
	}
	w.link(w.add("bob", nil), "b")
	linked("another's account", false)
	w.link(owner, "a")
	linked("the owner's", true)
	w.add("carol", func(u *authcore.User) { u.Owner = true })
	w.must(w.db().SetStatus(w.Context(), owner.ID, authcore.Disabled, w.event(authcore.UserDisable, "alice")))
	linked("of an owner who is disabled", false)
}

func ownerClosesSetup(w *world) {
	code := w.setupCode(time.Hour)
	w.add("bob", nil)
	w.setupIs(false, false)
	w.add("alice", func(u *authcore.User) { u.Owner = true })
	w.setupIs(true, true)
	w.add("carol", func(u *authcore.User) { u.Owner = true }) // a second one is no trouble
	w.is("with the link from before", w.setup(w.db(), "mallory", code), authcore.ErrSetupClosed)
	valid, err := w.db().CodeValid(w.Context(), authcore.PurposeSetup, code, w.now)
	w.must(err)
	w.same("the link is valid", false, valid)
}

func makingOwnerClosesSetup(w *world) {
	code := w.setupCode(time.Hour)
	u := w.add("alice", nil)
	w.must(w.db().SetOwner(w.Context(), u.ID, true, w.event(authcore.UserOwner, "alice")))
	w.setupIs(true, true)
	w.is("with the link from before", w.setup(w.db(), "mallory", code), authcore.ErrSetupClosed)
}

func lastOwner(w *world) {
	owner := func(u *authcore.User) { u.Owner = true }
	alice, bob, carol := w.add("alice", owner), w.add("bob", nil), w.add("carol", func(u *authcore.User) { u.Owner, u.Status = true, authcore.Disabled })
	_, token := w.signIn(alice, nil)
	status := func(u authcore.User, to authcore.Status) error {
		return w.db().SetStatus(w.Context(), u.ID, to, w.event(authcore.UserDisable, u.Username))
	}
	ownership := func(u authcore.User, to bool) error {
		return w.db().SetOwner(w.Context(), u.ID, to, w.event(authcore.UserOwner, u.Username))
	}
	w.is("disable the last one", status(alice, authcore.Disabled), authcore.ErrLastOwner)
	w.is("take it from the last one", ownership(alice, false), authcore.ErrLastOwner)
	w.alive("after it was refused", true, token)
	got, _ := w.read(alice.ID)
	w.same("the last one", alice, got)
	w.is("disable somebody else", status(bob, authcore.Disabled), nil)
	w.is("and enable", status(bob, authcore.Active), nil)
	w.is("take it from one who is disabled", ownership(carol, false), nil)
	w.is("take it from one who has it not", ownership(bob, false), nil)

	w.is("give it to another", ownership(bob, true), nil)
	w.is("then take it", ownership(alice, false), nil)
	w.is("but not from that one", ownership(bob, false), authcore.ErrLastOwner)
	w.is("give it to one who is disabled", status(carol, authcore.Disabled), nil)
	w.is("who counts for nothing", ownership(carol, true), nil)
	w.is("so the other stays", status(bob, authcore.Disabled), authcore.ErrLastOwner)
	w.is("until that one is enabled", status(carol, authcore.Active), nil)
	w.is("and then may go", status(bob, authcore.Disabled), nil)
	w.setupIs(true, true)
	w.is("unknown", ownership(w.user("x"), true), authcore.ErrUserNotFound)
	w.is("unknown", status(w.user("x"), authcore.Disabled), authcore.ErrUserNotFound)
}

func disable(w *world) {
	u, other := w.add("alice", nil), w.add("bob", nil)
	root, token := w.signIn(u, nil)
	_, site := w.child(root.ID, "app.example.com")
	_, bystander := w.signIn(other, nil)
	code := w.handoff(root.ID, "wiki.example.net")
	w.must(w.db().SetStatus(w.Context(), u.ID, authcore.Disabled, w.event(authcore.UserDisable, "alice")))
	w.alive("of a disabled user", false, token, site)
	w.alive("of another", true, bystander)
	_, _, err := w.redeem(w.db(), code)
	w.is("a hand-off under way", err, authcore.ErrCodeInvalid)
	s, hash := w.session(u)
	w.is("a sign-in", w.db().CreateSession(w.Context(), s, hash, hashOf("old"), w.event(authcore.UserLogin, "alice")), authcore.ErrLoginFailed)
	got, _ := w.read(u.ID)
	w.same("status", authcore.Disabled, got.Status)
	w.changed("user " + string(u.ID))
	w.must(w.db().SetStatus(w.Context(), u.ID, authcore.Active, w.event(authcore.UserEnable, "alice")))
	w.alive("after enabling", false, token, site)
	w.signIn(u, nil)
}

func bindKey(w *world) {
	w.must(w.db().BindKey(w.Context(), "one"))
	w.must(w.db().BindKey(w.Context(), "one"))
	if w.db().BindKey(w.Context(), "another") == nil || w.db().BindKey(w.Context(), "") == nil {
		w.Error("another key was taken")
	}
	w.must(w.db().BindKey(w.Context(), "one"))
}
