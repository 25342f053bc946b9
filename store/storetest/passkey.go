package storetest

import (
	"fmt"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

var passkeyTests = map[string]func(*world){
	"passkey: add, rename, remove":       passkeys,
	"passkey: sign in, and the counter":  passkeySignIn,
	"passkey: a user made with one":      passkeyUser,
	"passkey: proven later":              provePasskey,
	"passkey: as second factor":          passkeyFactor,
	"passkey: without a password":        withoutPassword,
	"passkey: one challenge, many hands": raceForChallenge,
}

// passkey makes up a passkey of a user.
func (w *world) passkey(u authcore.User, credential string) authcore.Passkey {
	return authcore.Passkey{ID: authcore.PasskeyIDOf([]byte(credential)), User: u.ID, Domain: "auth.example.com", Name: "Phone 😀", Credential: []byte(credential),
		PublicKey: []byte{0, 1, 255}, BackupEligible: true, Transports: []string{"internal", "hybrid"}, CreatedAt: w.now, UsedAt: w.now}
}

// challenge is what a ceremony is used up by; each is another one.
func (w *world) challenge() authcore.Code {
	return authcore.OnceOf(authcore.PurposePasskey, string(authcore.NewSessionID()), w.now, time.Hour)
}

// addPasskey gives a user a passkey, in a session that there is then.
func (w *world) addPasskey(u authcore.User, credential string) (authcore.Passkey, authcore.Session, authcore.TokenHash) {
	w.Helper()
	s, token := w.signIn(u, nil)
	p := w.passkey(u, credential)
	w.must(w.db().AddPasskey(w.Context(), p, s.Root, w.challenge(), w.event(authcore.PasskeyAdd, u.Username)))
	return p, s, token
}

// usePasskey signs in with a passkey.
func (w *world) usePasskey(p authcore.Passkey, once authcore.Code) (authcore.TokenHash, error) {
	s, token := w.session(authcore.User{ID: p.User})
	s.AMR = []string{"swk", "mfa"}
	return token, w.db().SignInWithPasskey(w.Context(), authcore.PasskeyUse{Passkey: p, Once: once}, s, token, w.event(authcore.UserLogin, ""))
}

func (w *world) passkeysOf(what string, u authcore.User, want ...authcore.Passkey) {
	w.Helper()
	got, err := w.db().Passkeys(w.Context(), u.ID)
	w.must(err)
	w.same(what, want, got)
}

func passkeys(w *world) {
	u, other := w.add("alice", nil), w.add("bob", nil)
	w.passkeysOf("none", u)
	p, s, token := w.addPasskey(u, "one")
	w.passkeysOf("one", u, p)
	found, err := w.db().PasskeyByID(w.Context(), p.ID)
	w.must(err)
	w.same("found", p, found)
	_, err = w.db().PasskeyByID(w.Context(), authcore.PasskeyIDOf([]byte("two")))
	w.is("another", err, authcore.ErrPasskeyWrong)

	add := func(p authcore.Passkey, root authcore.SessionID, once authcore.Code) error {
		return w.db().AddPasskey(w.Context(), p, root, once, w.event(authcore.PasskeyAdd, ""))
	}
	theirs, _ := w.signIn(other, nil)
	taken := w.passkey(other, "one")
	w.is("one that somebody has", add(taken, theirs.Root, w.challenge()), authcore.ErrPasskeyExists)
	w.is("in a session of another", add(w.passkey(u, "two"), theirs.Root, w.challenge()), authcore.ErrSessionNotFound)
	w.is("in none", add(w.passkey(u, "two"), authcore.NewSessionID(), w.challenge()), authcore.ErrSessionNotFound)
	once := w.challenge()
	second := w.passkey(u, "two")
	second.CreatedAt = w.now.Add(time.Second)
	w.must(add(second, s.Root, once))
	w.is("by the same challenge", add(w.passkey(u, "three"), s.Root, once), authcore.ErrCodeInvalid)
	for i := 2; i < authcore.MaxPasskeys; i++ {
		w.must(add(w.passkey(u, fmt.Sprint("more ", i)), s.Root, w.challenge()))
	}
	w.is("too many", add(w.passkey(u, "last"), s.Root, w.challenge()), authcore.ErrTooManyPasskeys)

	rename := func(id authcore.PasskeyID, of authcore.User) error {
		return w.db().RenamePasskey(w.Context(), id, of.ID, "Key", w.event(authcore.PasskeyRename, ""))
	}
	w.is("renamed by another", rename(p.ID, other), authcore.ErrPasskeyNotFound)
	w.must(rename(p.ID, u))
	w.must(rename(p.ID, u)) // the same name changes no row
	found, err = w.db().PasskeyByID(w.Context(), p.ID)
	w.must(err)
	w.same("its name", "Key", found.Name)

	_, elsewhere := w.signIn(u, nil)
	remove := func(id authcore.PasskeyID, of authcore.User) error {
		return w.db().RemovePasskey(w.Context(), id, of.ID, s.Root, authcore.Ways{Passwords: true, Passkeys: true}, w.event(authcore.PasskeyRemove, ""))
	}
	w.is("removed by another", remove(p.ID, other), authcore.ErrPasskeyNotFound)
	w.must(remove(p.ID, u))
	w.is("again", remove(p.ID, u), authcore.ErrPasskeyNotFound)
	w.alive("the session in which it was removed", true, token)
	w.alive("another", false, elsewhere)
	w.changed("user " + string(u.ID))
}

func passkeySignIn(w *world) {
	u := w.add("alice", nil)
	p, _, _ := w.addPasskey(u, "one")
	token, err := w.usePasskey(p, w.challenge())
	w.must(err)
	w.alive("signed in", true, token)
	_, err = w.usePasskey(p, w.challenge())
	w.must(err) // it counts nothing, which is no step back
	once := w.challenge()
	p.SignCount, p.BackedUp = 5, true
	_, err = w.usePasskey(p, once)
	w.must(err)
	found, err := w.db().PasskeyByID(w.Context(), p.ID)
	w.must(err)
	w.same("after it", p, found)
	p.SignCount = 6
	_, err = w.usePasskey(p, once)
	w.is("the same challenge", err, authcore.ErrCodeInvalid)
	for _, count := range []uint32{5, 4, 0} {
		p.SignCount = count
		token, err := w.usePasskey(p, w.challenge())
		w.is(fmt.Sprintf("the counter at %d", count), err, authcore.ErrPasskeyWrong)
		w.alive("refused", false, token)
	}
	p.SignCount = 1<<32 - 1
	_, err = w.usePasskey(p, w.challenge())
	w.must(err)
	w.must(w.db().SetStatus(w.Context(), u.ID, authcore.Disabled, w.event(authcore.UserDisable, "")))
	_, err = w.usePasskey(p, w.challenge())
	w.is("disabled", err, authcore.ErrLoginFailed)
}

func passkeyUser(w *world) {
	u := w.user("alice")
	s, token := w.session(u)
	invite := w.challenge()
	invite.Purpose = authcore.PurposeInvite
	w.must(w.db().CreateCode(w.Context(), invite, nil))
	n := authcore.NewPasskeyUser{User: u, Passkey: w.passkey(u, "one"), Once: w.challenge(), Invite: &invite.Hash, Session: s, Token: token,
		Created: w.event(authcore.UserCreate, ""), Began: w.event(authcore.UserLogin, "")}
	w.must(w.db().CreatePasskeyUser(w.Context(), n))
	w.alive("signed in", true, token)
	w.passkeysOf("its passkey", u, n.Passkey)
	_, hash := w.read(u.ID)
	w.same("its password", "", string(hash))

	// Whatever is refused leaves nothing behind.
	again := func(what string, edit func(*authcore.NewPasskeyUser), want error) {
		w.Helper()
		u := w.user("bob")
		s, token := w.session(u)
		m := authcore.NewPasskeyUser{User: u, Passkey: w.passkey(u, "two"), Once: w.challenge(), Session: s, Token: token,
			Created: w.event(authcore.UserCreate, ""), Began: w.event(authcore.UserLogin, "")}
		edit(&m)
		w.is(what, w.db().CreatePasskeyUser(w.Context(), m), want)
		w.alive(what, false, token)
		_, _, err := w.db().UserByID(w.Context(), u.ID)
		w.is(what, err, authcore.ErrUserNotFound)
	}
	again("the invitation again", func(m *authcore.NewPasskeyUser) { m.Invite = &invite.Hash }, authcore.ErrInviteInvalid)
	again("the challenge again", func(m *authcore.NewPasskeyUser) { m.Once = n.Once }, authcore.ErrCodeInvalid)
	again("a name that is taken", func(m *authcore.NewPasskeyUser) { m.User.Username = "Alice" }, authcore.ErrUsernameTaken)
	again("a passkey that somebody has", func(m *authcore.NewPasskeyUser) {
		m.Passkey = w.passkey(m.User, "one")
	}, authcore.ErrPasskeyExists)
	again("no setup link", func(m *authcore.NewPasskeyUser) { m.Setup = &invite.Hash }, authcore.ErrSetupToken)
}

func provePasskey(w *world) {
	u := w.add("alice", nil)
	p, s, token := w.addPasskey(u, "one")
	at := w.now.Add(time.Minute)
	prove := func(root authcore.SessionID, use authcore.PasskeyUse) error {
		return w.db().ProvePasskey(w.Context(), use, root, []string{"pwd", "swk", "mfa"}, at, w.event(authcore.UserConfirm, ""))
	}
	w.must(prove(s.Root, authcore.PasskeyUse{Passkey: p, Once: w.challenge()}))
	got, _, err := w.db().SessionByToken(w.Context(), token)
	w.must(err)
	w.same("how", []string{"pwd", "swk", "mfa"}, got.AMR)
	w.same("when", at, got.AuthTime)
	theirs, _ := w.signIn(w.add("bob", nil), nil)
	w.is("in a session of another", prove(theirs.Root, authcore.PasskeyUse{Passkey: p, Once: w.challenge()}), authcore.ErrSessionNotFound)
	p.ID = authcore.PasskeyIDOf([]byte("gone"))
	w.is("one that is gone", prove(s.Root, authcore.PasskeyUse{Passkey: p, Once: w.challenge()}), authcore.ErrPasskeyWrong)
	p.ID = authcore.PasskeyIDOf([]byte("one"))
	w.must(w.db().RemovePasskey(w.Context(), p.ID, u.ID, s.Root, authcore.Ways{Passwords: true, Passkeys: true}, w.event(authcore.PasskeyRemove, "")))
	got, _, err = w.db().SessionByToken(w.Context(), token)
	w.must(err)
	w.same("without it", []string{"pwd"}, got.AMR)
}

func passkeyFactor(w *world) {
	u := w.add("alice", nil)
	p, _, _ := w.addPasskey(u, "one")
	since, err := w.db().ProofSince(w.Context(), u.ID)
	w.must(err)
	begin := func(use authcore.PasskeyUse, first authcore.FirstProof) error {
		s, token := w.session(u)
		return w.db().CreateProvenSession(w.Context(), s, token, first, authcore.FactorUse{Passkey: &use}, w.event(authcore.UserLogin, ""))
	}
	use := authcore.PasskeyUse{Passkey: p, Once: w.challenge()}
	w.must(begin(use, authcore.FirstProof{Since: since}))
	w.is("the challenge again", begin(use, authcore.FirstProof{Since: since}), authcore.ErrCodeInvalid)
	w.is("after another password", begin(authcore.PasskeyUse{Passkey: p, Once: w.challenge()}, authcore.FirstProof{Since: since.Add(time.Second)}), authcore.ErrLoginFailed)
	theirs, _, _ := w.addPasskey(w.add("bob", nil), "two")
	w.is("of another", begin(authcore.PasskeyUse{Passkey: theirs, Once: w.challenge()}, authcore.FirstProof{Since: since}), authcore.ErrPasskeyWrong)
}

func withoutPassword(w *world) {
	u := w.add("alice", nil)
	s, token := w.signIn(u, nil)
	drop := func(of authcore.User, keep authcore.SessionID) error {
		return w.db().RemovePassword(w.Context(), of.ID, keep, w.event(authcore.PasswordRemove, ""))
	}
	w.is("with nothing else", drop(u, s.Root), authcore.ErrLastWayIn)
	p, _, elsewhere := w.addPasskey(u, "one")
	theirs, _ := w.signIn(w.add("bob", nil), nil)
	w.is("in a session of another", drop(u, theirs.Root), authcore.ErrSessionNotFound)
	w.must(drop(u, s.Root))
	w.alive("this one", true, token)
	w.alive("another", false, elsewhere)
	_, hash := w.read(u.ID)
	w.same("the password", "", string(hash))
	w.is("again", drop(u, s.Root), authcore.ErrNoPassword)
	w.is("then the passkey", w.db().RemovePasskey(w.Context(), p.ID, u.ID, s.Root, authcore.Ways{Passwords: true, Passkeys: true}, w.event(authcore.PasskeyRemove, "")), authcore.ErrLastWayIn)
	w.passkeysOf("still there", u, p)
	_, err := w.usePasskey(p, w.challenge())
	w.must(err)
	w.must(w.db().SetPassword(w.Context(), u.ID, hashOf("new"), s.Root, w.event(authcore.PasswordChange, "")))
	w.is("where passwords are off", w.db().RemovePasskey(w.Context(), p.ID, u.ID, s.Root, authcore.Ways{Passwords: false, Passkeys: true}, w.event(authcore.PasskeyRemove, "")), authcore.ErrLastWayIn)
	w.must(w.db().RemovePasskey(w.Context(), p.ID, u.ID, s.Root, authcore.Ways{Passwords: true, Passkeys: true}, w.event(authcore.PasskeyRemove, "")))
}

// raceForChallenge: of many who show one answer at once, one gets in; and of many who
// show different answers with one counter, one.
func raceForChallenge(w *world) {
	u := w.add("alice", nil)
	p, _, _ := w.addPasskey(u, "one")
	once := w.challenge()
	try := func(count uint32, once func() authcore.Code) []error {
		return w.atOnce(16, func(_ int, db Store) error {
			q := p
			q.SignCount = count
			s, token := w.session(u)
			return db.SignInWithPasskey(w.Context(), authcore.PasskeyUse{Passkey: q, Once: once()}, s, token, w.event(authcore.UserLogin, ""))
		})
	}
	w.oneWon(try(0, func() authcore.Code { return once }), authcore.ErrCodeInvalid)
	w.oneWon(try(3, w.challenge), authcore.ErrPasskeyWrong)
}
