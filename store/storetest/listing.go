package storetest

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

var listingTests = map[string]func(*world){
	"listing: users":             pageUsers,
	"listing: users by a prefix": listPrefixes,
	"listing: sessions":          listSessions,
	"listing: events":            listEvents,
	"listing: organizations":     listOrganizations,
	"claim: once":                claimOnce,
	"claim: at once":             claimAtOnce,
}

// users reads all pages of a query, and checks that none is missing or there twice.
func (w *world) users(q authcore.UserQuery) (names []string) {
	w.Helper()
	for range 1000 {
		page, err := w.db().FindUsers(w.Context(), q)
		w.must(err)
		if len(page.Users) > q.Limit {
			w.Errorf("%d users on a page of %d", len(page.Users), q.Limit)
		}
		for _, u := range page.Users {
			names = append(names, u.Username)
		}
		if q.After = page.Next; q.After == "" {
			return names
		}
	}
	w.Fatal("a list without end")
	return nil
}

func pageUsers(w *world) {
	for i := range 7 {
		u := w.add(fmt.Sprintf("user%d", i), nil)
		if i%3 == 0 {
			w.must(w.db().SetStatus(w.Context(), u.ID, authcore.Disabled, w.event(authcore.UserDisable, "")))
		}
		if i%2 == 1 {
			w.must(w.db().ChangeGroups(w.Context(), u.ID, []string{"odd", fmt.Sprint("group", i)}, nil, w.event(authcore.UserGroups, "")))
		}
		if i == 4 {
			w.must(w.db().SetOwner(w.Context(), u.ID, true, w.event(authcore.UserOwner, "")))
		}
	}
	for limit := 1; limit < 9; limit++ {
		w.same("all", []string{"user0", "user1", "user2", "user3", "user4", "user5", "user6"}, w.users(authcore.UserQuery{Limit: limit}))
		w.same("disabled", []string{"user0", "user3", "user6"}, w.users(authcore.UserQuery{Status: authcore.Disabled, Limit: limit}))
		w.same("owners", []string{"user4"}, w.users(authcore.UserQuery{Owners: true, Limit: limit}))
		for _, prefix := range []string{"", "user"} {
			page, err := w.db().FindUsers(w.Context(), authcore.UserQuery{Prefix: prefix, Limit: limit})
			w.must(err)
			for i, u := range page.Users {
				want := []string{"ops", "staff"}
				if i%2 == 1 {
					want = append([]string{fmt.Sprint("group", i), "odd"}, want...)
				}
				w.same("groups of "+u.Username, want, u.Groups)
			}
		}
		w.same("disabled owners", []string(nil), w.users(authcore.UserQuery{Owners: true, Status: authcore.Disabled, Limit: limit}))
	}
}

func listPrefixes(w *world) {
	for _, p := range [][2]string{{"ada", "zoe@example.com"}, {"Adam", "adam@example.com"}, {"bea", "ADELE@example.com"}, {"cleo", "cleo@example.com"}, {"adz", ""}, {"äda", "x@example.com"}} {
		u := w.user(p[0])
		u.Email, u.EmailVerified = p[1], p[1] != ""
		w.must(w.db().CreateUser(w.Context(), u, hashOf("x"), nil, w.event(authcore.UserCreate, "")))
	}
	for limit := 1; limit < 7; limit++ {
		for prefix, want := range map[string][]string{"ad": {"ada", "Adam", "bea", "adz"}, "AD": {"ada", "Adam", "bea", "adz"}, "adam": {"Adam"}, "adele@": {"bea"}, "zoe": {"ada"}, "adaz": nil,
			"%": nil, "ad%": nil, "ad_m": nil, "Ä": {"äda"}, "@": nil} {
			w.same(fmt.Sprintf("%s by %d", prefix, limit), want, w.users(authcore.UserQuery{Prefix: prefix, Limit: limit}))
		}
	}
	// More than one page looks at, of which hardly any is wanted.
	for i := range 450 {
		u := w.user(fmt.Sprintf("many%03d", i))
		if i == 449 {
			u.Status = authcore.Disabled
		}
		w.must(w.db().CreateUser(w.Context(), u, hashOf("x"), nil, w.event(authcore.UserCreate, "")))
	}
	w.same("one of many", []string{"many449"}, w.users(authcore.UserQuery{Prefix: "many", Status: authcore.Disabled, Limit: 10}))
	if all := w.users(authcore.UserQuery{Prefix: "many", Limit: 60}); len(all) != 450 || !slices.IsSorted(all) {
		w.Errorf("%d of 450", len(all))
	}
}

func listSessions(w *world) {
	alice, bob := w.add("alice", nil), w.add("bob", nil)
	var want, bobs []string
	for i := range 9 {
		u := alice
		if i%3 == 0 {
			u = bob
		}
		s, token := w.session(u)
		if i == 8 {
			s.ExpiresAt = w.now
		}
		w.must(w.db().CreateSession(w.Context(), s, token, hashOf("old"), w.event(authcore.UserLogin, "")))
		if i == 8 {
			continue
		}
		want = append(want, string(s.ID))
		if u.ID == bob.ID {
			bobs = append(bobs, string(s.ID))
		}
	}
	slices.Reverse(want)
	slices.Reverse(bobs)
	for limit := 1; limit < 10; limit++ {
		for of, want := range map[authcore.UserID][]string{"": want, bob.ID: bobs} {
			var got []string
			q := authcore.SessionQuery{User: of, Limit: limit, Now: w.now, IdleBefore: w.now.Add(-time.Hour)}
			for {
				page, err := w.db().FindSessions(w.Context(), q)
				w.must(err)
				for _, s := range page {
					got = append(got, string(s.ID))
					if s.Username != "alice" && s.Username != "bob" {
						w.Errorf("of %q", s.Username)
					}
				}
				if len(page) < limit {
					break
				}
				q.After = string(page[limit-1].ID)
			}
			w.same("sessions", want, got)
		}
	}
	found, err := w.db().FindSessions(w.Context(), authcore.SessionQuery{Limit: 10, Now: w.now, IdleBefore: w.now})
	w.must(err)
	w.same("idle ones", 0, len(found))
}

// events reads all pages of a query.
func (w *world) events(q authcore.EventQuery) (ids []string) {
	w.Helper()
	for range 1000 {
		page, err := w.db().FindEvents(w.Context(), q)
		w.must(err)
		for _, e := range page.Events {
			ids = append(ids, e.Details)
		}
		if q.After = page.Next; q.After == "" {
			return ids
		}
	}
	w.Fatal("a list without end")
	return nil
}

func listEvents(w *world) {
	var all []authcore.Event
	for i := range 30 {
		e := w.event(authcore.UserLogin, "user:a")
		e.Details = fmt.Sprintf("%02d", i)
		e.Time = w.now.Add(time.Duration(i/3) * time.Minute) // three at a time
		e.ID = fmt.Sprintf("%08x-%04x-7%03x-8000-000000000000", e.Time.UnixMilli()>>16, e.Time.UnixMilli()&0xffff, i)
		if i%2 == 0 {
			e.Action = authcore.UserLogout
		}
		if i%5 == 0 {
			e.Target, e.Actor.User = "user:b", "other"
		}
		if i == 7 || i == 20 {
			e.Outcome = authcore.Failure
		}
		if i%4 == 0 {
			e.Organization = "acme"
		}
		all = append(all, e)
	}
	w.must(w.db().InsertEvents(w.Context(), all, true))
	slices.Reverse(all)
	for name, test := range map[string]struct {
		query authcore.EventQuery
		keep  func(e *authcore.Event) bool
	}{
		"all":          {authcore.EventQuery{}, func(*authcore.Event) bool { return true }},
		"action":       {authcore.EventQuery{Action: authcore.UserLogout}, func(e *authcore.Event) bool { return e.Action == authcore.UserLogout }},
		"actor":        {authcore.EventQuery{Actor: "other"}, func(e *authcore.Event) bool { return e.Actor.User == "other" }},
		"target":       {authcore.EventQuery{Target: "user:b"}, func(e *authcore.Event) bool { return e.Target == "user:b" }},
		"organization": {authcore.EventQuery{Organization: "acme"}, func(e *authcore.Event) bool { return e.Organization == "acme" }},
		"of an organization, by one": {authcore.EventQuery{Organization: "acme", Actor: "other"}, func(e *authcore.Event) bool {
			return e.Organization == "acme" && e.Actor.User == "other"
		}},
		"another organization": {authcore.EventQuery{Organization: "beta", Target: "user:b"}, func(e *authcore.Event) bool { return false }},
		"outcome":              {authcore.EventQuery{Outcome: authcore.Failure}, func(e *authcore.Event) bool { return e.Outcome == authcore.Failure }},
		"time": {authcore.EventQuery{Since: w.now.Add(2 * time.Minute), Until: w.now.Add(5 * time.Minute)}, func(e *authcore.Event) bool {
			return !e.Time.Before(w.now.Add(2*time.Minute)) && e.Time.Before(w.now.Add(5*time.Minute))
		}},
		"several": {authcore.EventQuery{Target: "user:b", Actor: "other", Action: authcore.UserLogout, Outcome: authcore.Failure, Since: w.now}, func(e *authcore.Event) bool { return e.Details == "20" }},
		"none":    {authcore.EventQuery{Action: "x", Until: w.now}, func(e *authcore.Event) bool { return false }},
	} {
		var want []string
		for i := range all {
			if test.keep(&all[i]) {
				want = append(want, all[i].Details)
			}
		}
		for _, limit := range []int{1, 2, 3, 7, 29, 30, 31} {
			test.query.Limit = limit
			w.same(fmt.Sprintf("%s by %d", name, limit), want, w.events(test.query))
		}
	}
}

func listOrganizations(w *world) {
	alice, bob := w.add("alice", nil), w.add("bob", nil)
	for i, slug := range []string{"acme", "acorn", "beta", "gamma"} {
		u := alice
		if i%2 == 1 {
			u = bob
		}
		o := w.organization(slug, u)
		if slug == "beta" {
			w.must(w.status(o, authcore.OrganizationPending, authcore.OrganizationActive))
			w.must(w.db().RenameOrganization(w.Context(), o.ID, "Another", w.event(authcore.OrganizationUpdate, "")))
			w.must(w.setMember(w.db(), o, bob, authcore.RoleMember))
		}
	}
	for _, test := range []struct {
		query authcore.OrganizationQuery
		want  []string
	}{
		{authcore.OrganizationQuery{}, []string{"acme", "acorn", "beta", "gamma"}},
		{authcore.OrganizationQuery{Prefix: "ac"}, []string{"acme", "acorn"}},
		{authcore.OrganizationQuery{Prefix: "ac", After: "acme"}, []string{"acorn"}},
		{authcore.OrganizationQuery{After: "acorn"}, []string{"beta", "gamma"}},
		{authcore.OrganizationQuery{Status: authcore.OrganizationPending, Prefix: "g"}, []string{"gamma"}},
		{authcore.OrganizationQuery{Member: bob.ID}, []string{"acorn", "beta", "gamma"}},
		{authcore.OrganizationQuery{Member: bob.ID, After: "beta"}, []string{"gamma"}},
	} {
		test.query.Limit = 10
		page, err := w.db().FindOrganizations(w.Context(), test.query)
		w.must(err)
		var got []string
		for _, o := range page.Organizations {
			got = append(got, o.Slug)
		}
		w.same(fmt.Sprintf("%+v", test.query), test.want, got)
	}
	found, err := w.db().OrganizationBySlug(w.Context(), "beta")
	w.must(err)
	w.same("its name", "Another", found.Name)
}

func claimOnce(w *world) {
	id, body := authcore.HashToken("key"), authcore.HashToken("body")
	first, second := authcore.NewClaim(id, body, w.now), authcore.NewClaim(id, authcore.HashToken("other"), w.now)
	take := func(c authcore.Claim) authcore.Claim {
		w.Helper()
		kept, err := w.db().TakeClaim(w.Context(), c)
		w.must(err)
		return kept
	}
	w.same("the first", first, take(first))
	w.same("the second finds the first", first, take(second))
	second.Answer = "not its own"
	w.must(w.db().AnswerClaim(w.Context(), second))
	w.must(w.db().DropClaim(w.Context(), second))
	first.Answer = "answer 😀"
	w.must(w.db().AnswerClaim(w.Context(), first))
	second.Answer = ""
	w.same("with its answer", first, take(second))
	w.must(w.db().DropClaim(w.Context(), first))
	w.same("dropped", second, take(second))
	later := authcore.NewClaim(id, body, w.now.Add(authcore.ClaimLife))
	w.same("a day later", later, take(later))
	if _, _, err := w.db().DeleteEnded(w.Context(), w.now.Add(3*authcore.ClaimLife), w.now, ""); err != nil {
		w.Error(err)
	}
	w.same("cleaned up", first.Holder, func() string { first.Answer = ""; return take(first).Holder }())
}

func claimAtOnce(w *world) {
	id, body := authcore.HashToken("key"), authcore.HashToken("body")
	for round := range 5 {
		now := w.now.Add(time.Duration(round) * authcore.ClaimLife)
		var wg sync.WaitGroup
		var mu sync.Mutex
		won := 0
		for i := range 8 {
			db := w.nodes[i%2]
			wg.Go(func() {
				c := authcore.NewClaim(id, body, now)
				kept, err := db.TakeClaim(w.Context(), c)
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					w.Error(err)
				} else if kept.Holder == c.Holder {
					won++
				}
			})
		}
		wg.Wait()
		w.same("winners", 1, won)
	}
}
