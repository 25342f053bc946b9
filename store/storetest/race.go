package storetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

var raceTests = map[string]func(*world){
	"race: one hand-off code":            raceForHandoff,
	"race: one invitation":               raceForInvitation,
	"race: one username":                 raceForUsername,
	"race: the first owner":              raceForOwner,
	"race: the last owner":               raceForLastOwner,
	"race: sign-ins of one user":         manySignIns,
	"race: sign-in and new password":     signInAndPassword,
	"race: sign-in and disabled user":    signInAndDisable,
	"race: hand-off and revocation":      handoffAndRevoke,
	"race: readers beside writers":       readersAndWriters,
	"race: profile and address":          profileAndEmail,
	"race: groups of one user":           groupsAtOnce,
	"race: rehash and password":          rehashAndPassword,
	"race: key of a new database":        raceForKey,
	"race: last seen, revoked meanwhile": touchAndRevoke,
	"race: one visit to a provider":      raceForVisit,
	"race: one new account":              raceForAccount,
	"race: one identity to renew":        raceForRenewal,
	"race: one word of a sign-out":       raceForSignOut,
	"race: sign-in and unlinked":         signInAndUnlink,
	"race: hand-off and sign-out":        handoffAndSignOut,
	"race: address taken and verified":   takenAndVerified,
	"race: groups of two who give":       groupsOfTwo,
}

func raceForHandoff(w *world) {
	u := w.add("alice", nil)
	root, _ := w.signIn(u, nil)
	h := w.handoff(root.ID, "app.example.com")
	var mu sync.Mutex
	var tokens []authcore.TokenHash
	w.oneWon(w.atOnce(50, func(_ int, db Store) error {
		_, token, err := w.redeem(db, h)
		mu.Lock()
		tokens = append(tokens, token)
		mu.Unlock()
		return err
	}), authcore.ErrCodeInvalid)
	live := 0
	for _, token := range tokens {
		if w.lives(token) {
			live++
		}
	}
	w.same("site sessions", 1, live)
	w.happened("user.create alice", "user.login alice", "session.create app.example.com")
}

func raceForInvitation(w *world) {
	_, invite := authcore.NewToken()
	w.must(w.db().CreateCode(w.Context(), authcore.Code{Hash: invite, Purpose: authcore.PurposeInvite, CreatedAt: w.now, ExpiresAt: w.now.Add(time.Hour)}, nil))
	w.oneWon(w.atOnce(20, func(i int, db Store) error {
		return db.CreateUser(w.Context(), w.user(fmt.Sprint("user", i)), hashOf("old"), &invite, w.event(authcore.UserCreate, "invited"))
	}), authcore.ErrInviteInvalid)
	w.happened("user.create invited")
}

func raceForUsername(w *world) {
	w.oneWon(w.atOnce(20, func(i int, db Store) error {
		u := w.user([]string{"alice", "ALICE", "Alice"}[i%3])
		u.Email = fmt.Sprintf("alice%d@example.com", i)
		return db.CreateUser(w.Context(), u, hashOf("old"), nil, w.event(authcore.UserCreate, "alice"))
	}), authcore.ErrUsernameTaken)
	w.happened("user.create alice")
}

func raceForOwner(w *world) {
	codes := []authcore.TokenHash{w.setupCode(time.Hour), w.setupCode(time.Hour)}
	w.oneWon(w.atOnce(10, func(i int, db Store) error {
		return w.setup(db, fmt.Sprint("owner", i), codes[i/5])
	}), authcore.ErrSetupClosed, authcore.ErrSetupToken)
	w.setupIs(true, true)
	users, err := w.db().Users(w.Context(), "", 100)
	w.must(err)
	w.same("users", 1, len(users))
}

// Owners who remove one another at once: one is left.
func raceForLastOwner(w *world) {
	var owners []authcore.User
	for i := range 6 {
		owners = append(owners, w.add(fmt.Sprint("owner", i), func(u *authcore.User) { u.Owner = true }))
	}
	errs := w.atOnce(6, func(i int, db Store) error {
		if i%3 == 0 {
			return db.SetOwner(w.Context(), owners[i].ID, false, w.event(authcore.UserOwner, ""))
		}
		return db.SetStatus(w.Context(), owners[i].ID, authcore.Disabled, w.event(authcore.UserDisable, ""))
	})
	stayed := 0
	for _, err := range errs {
		if errors.Is(err, authcore.ErrLastOwner) {
			stayed++
		} else if err != nil {
			w.Error(err)
		}
	}
	w.same("owners left", 1, stayed)
	w.setupIs(true, true)
}

func manySignIns(w *world) {
	u := w.add("alice", nil)
	const n = 50
	tokens := make([]authcore.TokenHash, n)
	for _, err := range w.atOnce(n, func(i int, db Store) error {
		s, token := w.session(u)
		tokens[i] = token
		return db.CreateSession(w.Context(), s, token, hashOf("old"), w.event(authcore.UserLogin, "alice"))
	}) {
		w.must(err)
	}
	w.alive("signed in", true, tokens...)
	all, err := w.db().SessionsOf(w.Context(), u.ID, w.now)
	w.must(err)
	w.same("sessions", n, len(all))
	events, err := w.db().EventsAfter(w.Context(), "", 1000)
	w.must(err)
	w.same("events", n+1, len(events))
}

// Once a password has changed, no session that the old one opened is left,
// however the two overlapped.
func signInAndPassword(w *world) {
	u := w.add("alice", nil)
	old := "old"
	for round := range 10 {
		fresh := fmt.Sprint("new", round)
		var tokens [8]authcore.TokenHash
		for i, err := range w.atOnce(8, func(i int, db Store) error {
			s, token := w.session(u)
			if tokens[i] = token; i == 4 {
				return db.SetPassword(w.Context(), u.ID, hashOf(fresh), "", w.event(authcore.PasswordChange, ""))
			}
			return db.CreateSession(w.Context(), s, token, hashOf(old), w.event(authcore.UserLogin, ""))
		}) {
			if err != nil && (i == 4 || !errors.Is(err, authcore.ErrLoginFailed)) {
				w.Fatal(err)
			}
		}
		w.alive("opened by the old password", false, tokens[:]...)
		old = fresh
	}
}

func signInAndDisable(w *world) {
	u := w.add("alice", nil)
	for range 10 {
		var tokens [8]authcore.TokenHash
		for i, err := range w.atOnce(8, func(i int, db Store) error {
			s, token := w.session(u)
			if tokens[i] = token; i == 3 {
				return db.SetStatus(w.Context(), u.ID, authcore.Disabled, w.event(authcore.UserDisable, ""))
			}
			return db.CreateSession(w.Context(), s, token, hashOf("old"), w.event(authcore.UserLogin, ""))
		}) {
			if err != nil && (i == 3 || !errors.Is(err, authcore.ErrLoginFailed)) {
				w.Fatal(err)
			}
		}
		w.alive("of a disabled user", false, tokens[:]...)
		w.must(w.db().SetStatus(w.Context(), u.ID, authcore.Active, w.event(authcore.UserEnable, "")))
	}
}

// Once a portal session was revoked, no site session under it is left.
func handoffAndRevoke(w *world) {
	u := w.add("alice", nil)
	for range 10 {
		root, token := w.signIn(u, nil)
		var codes [6]authcore.Handoff
		for i := range codes {
			codes[i] = w.handoff(root.ID, "app.example.com")
		}
		tokens := [6]authcore.TokenHash{5: token}
		for i, err := range w.atOnce(6, func(i int, db Store) (err error) {
			if i == 2 {
				return db.RevokeSession(w.Context(), root.ID, u.ID, w.event(authcore.SessionRevoke, ""))
			}
			if i < 5 {
				_, tokens[i], err = w.redeem(db, codes[i])
			}
			return err
		}) {
			if err != nil && (i == 2 || !errors.Is(err, authcore.ErrCodeInvalid)) {
				w.Fatal(err)
			}
		}
		w.alive("under a revoked session", false, tokens[:]...)
	}
}

// Whoever reads sees a user as it was or as it is, never half of a change.
func readersAndWriters(w *world) {
	u := w.add("alice", nil)
	_, token := w.signIn(u, nil)
	for _, err := range w.atOnce(8, func(i int, db Store) error {
		for round := range 30 {
			if i == 0 {
				name := fmt.Sprint("name", round)
				if err := db.UpdateProfile(w.Context(), u.ID, name, name+"@example.com", w.event(authcore.UserUpdate, "")); err != nil {
					return err
				}
				continue
			}
			_, got, err := db.SessionByToken(w.Context(), token)
			if err != nil {
				return err
			}
			if got.Name != u.Name && got.Email != got.Name+"@example.com" {
				return fmt.Errorf("%s has the address %s", got.Name, got.Email)
			}
		}
		return nil
	}) {
		w.must(err)
	}
}

// A profile written at the same time as a verified address takes nothing of it
// away but the whole, and never makes an address verified.
func profileAndEmail(w *world) {
	u := w.add("alice", nil)
	for range 10 {
		for _, err := range w.atOnce(2, func(i int, db Store) error {
			if i == 0 {
				return db.SetEmail(w.Context(), u.ID, "vouched@example.net", w.event(authcore.UserUpdate, ""))
			}
			return db.UpdateProfile(w.Context(), u.ID, "Name", "claimed@example.net", w.event(authcore.UserUpdate, ""))
		}) {
			w.must(err)
		}
		got, _ := w.read(u.ID)
		w.same("name", "Name", got.Name)
		w.same(got.Email+" is verified", got.Email == "vouched@example.net", got.EmailVerified)
	}
}

// Who changes one group undoes nobody else's change.
func groupsAtOnce(w *world) {
	u := w.add("alice", func(u *authcore.User) { u.Groups = []string{"old0", "old1", "old2", "old3"} })
	for _, err := range w.atOnce(8, func(i int, db Store) error {
		if i < 4 {
			return db.ChangeGroups(w.Context(), u.ID, nil, []string{fmt.Sprint("old", i)}, w.event(authcore.UserGroups, ""))
		}
		return db.ChangeGroups(w.Context(), u.ID, []string{fmt.Sprint("new", i)}, nil, w.event(authcore.UserGroups, ""))
	}) {
		w.must(err)
	}
	got, _ := w.read(u.ID)
	w.same("groups", []string{"new4", "new5", "new6", "new7"}, got.Groups)
}

// A rehash at sign-in never brings an old password back.
func rehashAndPassword(w *world) {
	u := w.add("alice", nil)
	for round := range 10 {
		_, old := w.read(u.ID)
		fresh := hashOf(fmt.Sprint("new", round))
		errs := w.atOnce(4, func(i int, db Store) error {
			if i == 1 {
				return db.SetPassword(w.Context(), u.ID, fresh, "", w.event(authcore.PasswordChange, ""))
			}
			_ = db.Rehash(w.Context(), u.ID, old, hashOf("rehashed")) // refused when it comes late
			return nil
		})
		w.must(errs[1])
		_, hash := w.read(u.ID)
		w.same("hash", fresh, hash)
	}
}

func raceForKey(w *world) {
	errs := w.atOnce(6, func(i int, db Store) error { return db.BindKey(w.Context(), fmt.Sprint("key", i%3)) })
	bound := map[int]bool{}
	for i, err := range errs {
		if err == nil {
			bound[i%3] = true
		}
	}
	w.same("keys that were taken", 1, len(bound))
}

func touchAndRevoke(w *world) {
	u := w.add("alice", nil)
	for range 5 {
		s, token := w.signIn(u, nil)
		for _, err := range w.atOnce(4, func(i int, db Store) error {
			if i == 1 {
				return db.RevokeSession(w.Context(), s.ID, u.ID, w.event(authcore.SessionRevoke, ""))
			}
			return db.TouchSessions(w.Context(), []authcore.Seen{{Session: s.ID, At: w.now.Add(time.Minute)}})
		}) {
			w.must(err)
		}
		w.alive("revoked", false, token)
	}
}

func raceForVisit(w *world) {
	u := w.add("alice", nil)
	i := w.link(u, "alice")
	once := w.once(authcore.PurposeConnect)
	var tokens [20]authcore.TokenHash
	w.oneWon(w.atOnce(20, func(n int, db Store) error {
		in := w.arrival(u, i)
		in.Once, tokens[n] = once, in.Token
		return db.SignInIdentity(w.Context(), in)
	}), authcore.ErrCodeInvalid)
	live := 0
	for _, token := range tokens {
		if w.lives(token) {
			live++
		}
	}
	w.same("sessions", 1, live)
	i.Version = 2
	w.hasIdentity("updated once", i)
	w.happened("user.create alice", "identity.link alice", "user.login alice")
}

// One person at a provider, in several windows: some take the same name, some another.
func raceForAccount(w *world) {
	w.oneWon(w.atOnce(20, func(n int, db Store) error {
		in := w.newcomer("alice", "given")
		if n%4 != 0 {
			in.NewUser.Username, in.NewUser.Email = fmt.Sprint("alice", n%5), ""
		}
		return db.SignInIdentity(w.Context(), in)
	}), authcore.ErrIdentityTaken, authcore.ErrUsernameTaken, authcore.ErrEmailTaken)
	users, err := w.db().Users(w.Context(), "", 100)
	w.must(err)
	w.same("users", 1, len(users))
	all, err := w.db().IdentitiesOf(w.Context(), users[0].ID)
	w.must(err)
	w.same("identities", 1, len(all))
	w.inGroups("groups", users[0], "given")
	w.happened(append(gave(users[0], 1), "user.create alice", "user.login alice")...)
}

// Of those who would renew the same tokens one may; and if others do so all the same,
// the tokens change once.
func raceForRenewal(w *world) {
	u := w.add("alice", nil)
	i := w.link(u, "alice")
	for round := range 5 {
		var leased, renewed atomic.Int32
		for _, err := range w.atOnce(20, func(n int, db Store) error {
			got, ok, err := db.LeaseIdentity(w.Context(), i.ID, fmt.Sprint("node", n), time.Hour)
			if ok {
				leased.Add(1)
			}
			if err == nil && got.Version != i.Version {
				err = fmt.Errorf("version %d, want %d", got.Version, i.Version)
			}
			return err
		}) {
			w.must(err)
		}
		w.same("holders", int32(1), leased.Load())
		for _, err := range w.atOnce(10, func(n int, db Store) error {
			fresh := i
			fresh.Tokens, fresh.Groups = fmt.Sprint("fresh", n), []string{fmt.Sprint("round", round)}
			ok, err := db.RenewIdentity(w.Context(), fresh, w.event(authcore.UserGroups, ""))
			if ok {
				renewed.Add(1)
			}
			return err
		}) {
			w.must(err)
		}
		w.same("renewed", int32(1), renewed.Load())
		i.Version++
	}
	w.inGroups("groups", u, "ops", "round4", "staff")
	w.happened(append(gave(u, 5), "user.create alice", "identity.link alice")...)
}

// A word that comes twice counts once, and so does a session that two words end.
func raceForSignOut(w *world) {
	u := w.add("alice", nil)
	i := w.link(u, "alice")
	for range 5 {
		_, token := w.arrive(u, i, nil)
		var ended atomic.Int32
		words := []authcore.Code{w.once(authcore.PurposeSignOut), w.once(authcore.PurposeSignOut)}
		errs := w.atOnce(12, func(n int, db Store) error {
			out := authcore.SignOut{Provider: "corp", Issuer: issuer, Subject: "alice", Once: words[n/6]}
			if n%2 == 0 {
				out.Session = "session of alice"
			}
			of, err := db.SignOutIdentity(w.Context(), out, w.event(authcore.UserLogout, ""))
			ended.Add(int32(len(of)))
			return err
		})
		w.oneWon(errs[:6], authcore.ErrCodeInvalid)
		w.oneWon(errs[6:], authcore.ErrCodeInvalid)
		w.same("words that ended it", int32(1), ended.Load())
		w.alive("signed out", false, token)
	}
	// In each round, one word ended it and the other found nobody.
	w.happened(append(slices.Repeat([]string{"user.login alice", "user.logout ", "user.logout " + authcore.TargetUser(u.ID)}, 5), "user.create alice", "identity.link alice")...)
}

// Once an identity is unlinked, no session that it made is left, however the two
// overlapped.
func signInAndUnlink(w *world) {
	u := w.add("alice", nil)
	for range 10 {
		i := w.link(u, "alice", "given")
		var tokens [8]authcore.TokenHash
		for n, err := range w.atOnce(8, func(n int, db Store) error {
			in := w.arrival(u, i)
			if tokens[n] = in.Token; n == 3 {
				return db.UnlinkIdentity(w.Context(), u.ID, i.ID, "", authcore.Ways{Passwords: true, Passkeys: true}, w.event(authcore.IdentityUnlink, ""))
			}
			return db.SignInIdentity(w.Context(), in)
		}) {
			if err != nil && (n == 3 || !errors.Is(err, authcore.ErrLoginFailed)) {
				w.Fatal(err)
			}
		}
		w.alive("of an identity that is unlinked", false, tokens[:]...)
		w.inGroups("of an identity that is unlinked", u, "ops", "staff")
	}
}

// Once a provider signed somebody out, no site session is left.
func handoffAndSignOut(w *world) {
	u := w.add("alice", nil)
	i := w.link(u, "alice")
	for range 10 {
		root, token := w.arrive(u, i, nil)
		var codes [6]authcore.Handoff
		for n := range codes {
			codes[n] = w.handoff(root.ID, "app.example.com")
		}
		tokens := [6]authcore.TokenHash{5: token}
		for n, err := range w.atOnce(6, func(n int, db Store) (err error) {
			if n == 2 {
				_, err = db.SignOutIdentity(w.Context(), authcore.SignOut{Provider: "corp", Issuer: issuer, Session: "session of alice",
					Once: w.once(authcore.PurposeSignOut)}, w.event(authcore.UserLogout, ""))
			} else if n < 5 {
				_, tokens[n], err = w.redeem(db, codes[n])
			}
			return err
		}) {
			if err != nil && (n == 2 || !errors.Is(err, authcore.ErrCodeInvalid)) {
				w.Fatal(err)
			}
		}
		w.alive("signed out", false, tokens[:]...)
	}
}

// An address is either verified by who claims it or taken from them, never both.
func takenAndVerified(w *world) {
	for round := range 10 {
		u := w.add(fmt.Sprint("claims", round), func(u *authcore.User) { u.EmailVerified = false })
		in := w.newcomer(fmt.Sprint("takes", round))
		in.NewUser.Email, in.TakeEmailFrom = u.Email, u.ID
		errs := w.atOnce(2, func(n int, db Store) error {
			if n == round%2 {
				return db.SetEmail(w.Context(), u.ID, u.Email, w.event(authcore.UserUpdate, "verified"))
			}
			return db.SignInIdentity(w.Context(), in)
		})
		w.oneWon(errs, authcore.ErrEmailTaken)
		got, _ := w.read(u.ID)
		w.same("who claims it has it", errs[round%2] == nil, got.Email == u.Email && got.EmailVerified)
		w.alive("who takes it", errs[round%2] != nil, in.Token)
	}
}

// A group that an owner gives while a provider gives it is the owner's.
func groupsOfTwo(w *world) {
	u := w.add("alice", nil)
	i := w.link(u, "alice")
	for round := range 10 {
		group := fmt.Sprint("group", round)
		for _, err := range w.atOnce(4, func(n int, db Store) error {
			if n == 1 {
				return db.ChangeGroups(w.Context(), u.ID, []string{group}, []string{"ops", "staff"}, w.event(authcore.UserGroups, ""))
			}
			in := w.arrival(u, i)
			in.Identity.Groups = []string{group, "given"}
			return db.SignInIdentity(w.Context(), in)
		}) {
			w.must(err)
		}
		w.inGroups("both", u, "given", group)
		w.arrive(u, i, nil)
		w.inGroups("the owner's", u, group)
		w.must(w.db().ChangeGroups(w.Context(), u.ID, nil, []string{group}, w.event(authcore.UserGroups, "")))
	}
}
