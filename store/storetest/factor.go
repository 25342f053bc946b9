package storetest

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

var factorTests = map[string]func(*world){
	"factor: set, use, replace, remove": factors,
	"factor: a session by two":          provenSessions,
	"factor: proven later":              proveFactor,
	"factor: one code, many hands":      raceForCode,
	"factor: taken by an owner":         factorOfAnother,
}

// sealed is the TOTP that the tests use.
const sealed = "sealed ✓"

func atStep(step int64) authcore.FactorUse { return authcore.FactorUse{Step: step, Sealed: sealed} }

// setTOTP is SetTOTP in a session.
func (w *world) setTOTP(s authcore.Session, t authcore.TOTP, replaces string, codes ...authcore.TokenHash) error {
	return w.db().SetTOTP(w.Context(), s.UserID, t, replaces, codes, s.Root, []string{"pwd", "otp", "mfa"}, w.event(authcore.FactorSet, string(s.UserID)))
}

// factor gives a user a TOTP and recovery codes, in a session that there is then.
func (w *world) factor(u authcore.User, step int64, codes ...string) (authcore.Session, authcore.TokenHash) {
	w.Helper()
	s, token := w.signIn(u, nil)
	t := authcore.TOTP{Sealed: sealed, LastStep: step, CreatedAt: w.now}
	var hashes []authcore.TokenHash
	for _, c := range codes {
		hashes = append(hashes, authcore.HashToken(c))
	}
	w.must(w.setTOTP(s, t, "", hashes...))
	return s, token
}

func byCode(code string) authcore.FactorUse {
	hash := authcore.HashToken(code)
	return authcore.FactorUse{Code: &hash}
}

// has checks what second factors a user has.
func (w *world) has(what string, u authcore.User, step int64, codes int) {
	w.Helper()
	f, err := w.db().Factors(w.Context(), u.ID)
	w.must(err)
	if step == 0 {
		w.same(what, authcore.Factors{}, f)
		return
	}
	w.same(what, authcore.Factors{TOTP: &authcore.TOTP{Sealed: sealed, LastStep: step, CreatedAt: w.now}, Codes: codes}, f)
}

func factors(w *world) {
	u, other := w.add("alice", nil), w.add("bob", nil)
	use := func(of authcore.User, by authcore.FactorUse) error {
		return w.db().UseFactor(w.Context(), of.ID, by, w.event(authcore.UserConfirm, of.Username))
	}
	w.has("none", u, 0, 0)
	w.is("none to use", use(u, atStep(7)), authcore.ErrFactorWrong)
	w.is("none to remove", w.db().RemoveFactors(w.Context(), u.ID, "", w.event(authcore.FactorRemove, "")), authcore.ErrNoFactor)
	w.is("no codes without", w.db().ReplaceRecoveryCodes(w.Context(), u.ID, nil, w.event(authcore.FactorCodes, "")), authcore.ErrNoFactor)
	w.is("of nobody", w.setTOTP(authcore.Session{UserID: authcore.NewUserID()}, authcore.TOTP{}, ""), authcore.ErrSessionNotFound)
	gone, _ := w.session(u)
	w.is("in a session that is over", w.setTOTP(gone, authcore.TOTP{Sealed: sealed}, ""), authcore.ErrSessionNotFound)
	w.is("in place of one that is not there", w.setTOTP(gone, authcore.TOTP{Sealed: sealed}, "another"), authcore.ErrFactorExists)
	w.has("refused", u, 0, 0)

	_, before := w.signIn(u, nil)
	s, token := w.factor(u, 5, "one", "two")
	w.factor(other, 5, "three")
	_, _, err := w.db().SessionByToken(w.Context(), before)
	w.is("a session of before", err, authcore.ErrNoSession)
	_, hash := authcore.NewToken()
	late, _ := w.session(u)
	late.AMR = []string{"pwd"}
	w.is("a sign-in that did not know of it", w.db().CreateSession(w.Context(), late, hash, hashOf("old"), w.event(authcore.UserLogin, "")), authcore.ErrFactorRequired)
	w.is("one more beside it", w.setTOTP(s, authcore.TOTP{Sealed: "another"}, ""), authcore.ErrFactorExists)
	w.is("in place of another", w.setTOTP(s, authcore.TOTP{Sealed: "new"}, "another"), authcore.ErrFactorExists)
	w.is("a step of another app", use(u, authcore.FactorUse{Step: 6, Sealed: "another"}), authcore.ErrFactorWrong)
	w.has("set", u, 5, 2)
	w.must(use(u, atStep(6)))
	for _, step := range []int64{6, 5, 1} {
		w.is("a step that is over", use(u, atStep(step)), authcore.ErrFactorWrong)
	}
	w.must(use(u, byCode("one")))
	w.is("a code again", use(u, byCode("one")), authcore.ErrFactorWrong)
	w.is("a code of another", use(u, byCode("three")), authcore.ErrFactorWrong)
	w.has("used", u, 6, 1)
	w.has("of the other", other, 5, 1)

	four := authcore.HashToken("four")
	w.must(w.db().ReplaceRecoveryCodes(w.Context(), u.ID, []authcore.TokenHash{four}, w.event(authcore.FactorCodes, u.Username)))
	w.is("an old code", use(u, byCode("two")), authcore.ErrFactorWrong)
	w.must(use(u, byCode("four")))
	w.must(w.setTOTP(s, authcore.TOTP{Sealed: sealed, LastStep: 9, CreatedAt: w.now}, sealed, authcore.HashToken("five")))
	w.has("another app", u, 9, 1)
	amr := func(what string, want ...string) {
		w.Helper()
		got, _, err := w.db().SessionByToken(w.Context(), token)
		w.must(err)
		w.same(what, want, got.AMR)
	}
	amr("with it", "pwd", "otp", "mfa")
	w.must(w.db().RemoveFactors(w.Context(), u.ID, s.Root, w.event(authcore.FactorRemove, u.Username)))
	w.has("removed", u, 0, 0)
	w.is("its code", use(u, byCode("five")), authcore.ErrFactorWrong)
	w.has("of the other, still", other, 5, 1)
	amr("without it", "pwd")
	w.must(w.setTOTP(s, authcore.TOTP{Sealed: sealed, LastStep: 9, CreatedAt: w.now}, ""))
	w.must(w.db().RemoveFactors(w.Context(), u.ID, "", w.event(authcore.FactorRemove, u.Username)))
	_, _, err = w.db().SessionByToken(w.Context(), token)
	w.is("after somebody else removed it", err, authcore.ErrNoSession)
	w.changed("user "+string(u.ID), "user "+string(u.ID), "user "+string(u.ID), "user "+string(other.ID), "user "+string(u.ID), "user "+string(u.ID))
}

func provenSessions(w *world) {
	u := w.add("alice", nil)
	w.factor(u, 5, "one")
	since, err := w.db().ProofSince(w.Context(), u.ID)
	w.must(err)
	create := func(since time.Time, by authcore.FactorUse, edit func(*authcore.Session)) (authcore.TokenHash, error) {
		_, hash := authcore.NewToken()
		s := authcore.Session{ID: authcore.NewSessionID(), UserID: u.ID, Host: "auth.example.com", AMR: []string{"pwd", "otp", "mfa"},
			AuthTime: w.now, CreatedAt: w.now, LastSeen: w.now, ExpiresAt: w.now.Add(time.Hour)}
		s.Root = s.ID
		if edit != nil {
			edit(&s)
		}
		return hash, w.db().CreateProvenSession(w.Context(), s, hash, authcore.FirstProof{Since: since, Tokens: s.Identity != ""}, by, w.event(authcore.UserLogin, u.Username))
	}
	_, err = create(since.Add(-time.Second), atStep(6), nil)
	w.is("a password of before", err, authcore.ErrLoginFailed)
	_, err = create(since, atStep(5), nil)
	w.is("a code of before", err, authcore.ErrFactorWrong)
	_, err = create(since, atStep(6), func(s *authcore.Session) { s.Identity = authcore.NewIdentityID() })
	w.is("an identity that is not there", err, authcore.ErrLoginFailed)
	i := w.link(u, "a")
	w.is("by a provider alone", w.db().SignInIdentity(w.Context(), w.arrival(u, i)), authcore.ErrFactorRequired)
	_, err = w.db().ExpelIdentity(w.Context(), i.ID, i.Version, authcore.Ways{Passwords: true, Passkeys: true}, w.event(authcore.IdentityExpel, u.Username))
	w.must(err)
	_, err = create(since, atStep(6), func(s *authcore.Session) { s.Identity = i.ID })
	w.is("an identity that the provider does not vouch for any more", err, authcore.ErrLoginFailed)
	w.has("refused, nothing is used", u, 5, 1)
	hash, err := create(since, atStep(6), nil)
	w.must(err)
	s, _, err := w.db().SessionByToken(w.Context(), hash)
	w.must(err)
	w.same("how it was proven", []string{"pwd", "otp", "mfa"}, s.AMR)
	_, err = create(since, byCode("one"), nil)
	w.must(err)
	w.must(w.db().SetStatus(w.Context(), u.ID, authcore.Disabled, w.event(authcore.UserDisable, u.Username)))
	_, err = create(since, atStep(7), nil)
	w.is("disabled", err, authcore.ErrLoginFailed)
}

func proveFactor(w *world) {
	u := w.add("alice", nil)
	s, token := w.factor(u, 5, "one")
	foreign, _ := w.signIn(w.add("bob", nil), nil)
	amr := []string{"pwd", "otp", "mfa"}
	prove := func(root authcore.SessionID, by authcore.FactorUse) error {
		return w.db().ProveFactor(w.Context(), root, u.ID, amr, by, w.event(authcore.UserConfirm, u.Username))
	}
	w.is("a session of another", prove(foreign.Root, atStep(6)), authcore.ErrSessionNotFound)
	w.is("a code of before", prove(s.Root, atStep(5)), authcore.ErrFactorWrong)
	w.has("nothing is used", u, 5, 1)
	w.changed("user " + string(u.ID))
	w.must(prove(s.Root, byCode("one")))
	got, _, err := w.db().SessionByToken(w.Context(), token)
	w.must(err)
	w.same("proven", amr, got.AMR)
	w.changed("user "+string(u.ID), "session "+string(s.Root))
}

func raceForCode(w *world) {
	u := w.add("alice", nil)
	w.factor(u, 5, "one")
	for what, by := range map[string]authcore.FactorUse{"step": atStep(6), "code": byCode("one")} {
		var won atomic.Int64
		var all sync.WaitGroup
		for n := range 20 {
			db := w.nodes[n%2]
			all.Go(func() {
				if err := db.UseFactor(w.Context(), u.ID, by, w.event(authcore.UserConfirm, u.Username)); err == nil {
					won.Add(1)
				}
			})
		}
		all.Wait()
		if won.Load() != 1 {
			w.Errorf("%s: %d of 20 used it", what, won.Load())
		}
	}
}

// An owner who takes another's factors away has proven their own as before.
func factorOfAnother(w *world) {
	ann, bob := w.add("ann", nil), w.add("bob", nil)
	owner, token := w.factor(ann, 1)
	w.factor(bob, 1)
	w.must(w.db().RemoveFactors(w.Context(), bob.ID, owner.Root, w.event(authcore.FactorRemove, "")))
	s, _, err := w.db().SessionByToken(w.Context(), token)
	w.must(err)
	w.same("how the owner has proven it", []string{"pwd", "otp", "mfa"}, s.AMR)
}
