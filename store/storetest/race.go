package storetest

import (
	"errors"
	"fmt"
	"sync"
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
