package storetest

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

var orderTests = map[string]func(*world){
	"order: users":                   orderUsers,
	"order: sessions":                orderSessions,
	"order: events":                  orderEvents,
	"order: organizations":           orderOrganizations,
	"order: members":                 orderMembers,
	"order: services":                orderServices,
	"order: end users":               orderEndUsers,
	"order: webhooks and deliveries": orderWebhooks,
	"order: invitations and keys":    orderInvitations,
}

// row is a row of a list, with what the orders go by.
type row struct {
	id, name string
	at       time.Time
	status   int
}

// sorted gives the ids of rows in an order.
func sorted(rows []row, order authcore.Order) (ids []string) {
	rows = slices.Clone(rows)
	slices.SortFunc(rows, func(a, b row) int {
		if order.Down() {
			a, b = b, a
		}
		switch {
		case order.ByTime():
			return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.id, b.id))
		case order == authcore.ByStatus || order == authcore.ByStatusDown:
			return cmp.Or(a.status-b.status, cmp.Compare(a.name, b.name))
		}
		return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.id, b.id))
	})
	for _, r := range rows {
		ids = append(ids, r.id)
	}
	return ids
}

// inOrder reads a list in each of its orders, by pages of all lengths, and checks that no
// row is missing, or there twice. A word that is no order stands for the first.
func (w *world) inOrder(what string, all authcore.Orders, rows []row, read func(q authcore.ListQuery) (ids []string, next string, err error)) {
	w.Helper()
	for _, order := range append(slices.Clone(all), "", "nonsense") {
		want := sorted(rows, order)
		if !slices.Contains(all, order) {
			want = sorted(rows, all[0])
		}
		for limit := 1; limit < len(rows)+2; limit++ {
			var got []string
			q := authcore.ListQuery{Order: order, Limit: limit}
			for pages := 0; ; pages++ {
				ids, next, err := read(q)
				w.must(err)
				got = append(got, ids...)
				if q.After = next; next == "" {
					break
				}
				if pages > len(rows) {
					w.Fatalf("%s by %s: a list without end", what, order)
				}
			}
			w.same(fmt.Sprintf("%s by %s, pages of %d", what, order, limit), want, got)
		}
	}
}

// pageOf makes a page of what was read, of which one more was asked for.
func pageOf[T any](found []T, limit int, id, place func(T) string) (ids []string, next string) {
	if len(found) > limit {
		found = found[:limit]
		next = place(found[limit-1])
	}
	for _, one := range found {
		ids = append(ids, id(one))
	}
	return ids, next
}

// byID is pageOf for a list whose places are ids.
func byID[T any](id func(T) string, read func(q authcore.ListQuery) ([]T, error)) func(q authcore.ListQuery) ([]string, string, error) {
	return func(q authcore.ListQuery) ([]string, string, error) {
		limit := q.Limit
		q.Limit++
		found, err := read(q)
		ids, next := pageOf(found, limit, id, id)
		return ids, next, err
	}
}

func orderUsers(w *world) {
	var rows, disabled, owners, matching []row
	for i, name := range []string{"mia", "zoe", "ada", "Mio", "bea", "mim", "äda"} {
		u := w.add(name, func(u *authcore.User) {
			if name == "zoe" || name == "mia" { // who matches with both
				u.Email = "m-" + u.Email
			}
			if i%2 == 0 {
				u.Status = authcore.Disabled
			}
			u.Owner = i == 1 || i == 4
		})
		r := row{id: string(u.ID), name: authcore.UsernameKey(name)}
		rows = append(rows, r)
		if u.Status == authcore.Disabled {
			disabled = append(disabled, r)
		}
		if u.Owner {
			owners = append(owners, r)
		}
		switch name {
		case "zoe":
			r.name = "m-zoe@example.com"
			matching = append(matching, r)
		case "mia":
			// Of two names that match, that counts which comes first.
			r.name = "m-mia@example.com"
			matching = append(matching, r)
		case "Mio", "mim":
			matching = append(matching, r)
		}
	}
	for what, test := range map[string]struct {
		q    authcore.UserQuery
		rows []row
	}{"users": {rows: rows}, "disabled users": {authcore.UserQuery{Status: authcore.Disabled}, disabled}, "owners": {authcore.UserQuery{Owners: true}, owners}} {
		w.inOrder(what, authcore.UserOrders, test.rows, w.userPages(test.q))
	}
	for _, order := range []authcore.Order{authcore.Newest, authcore.Oldest} {
		w.inOrder("users of a prefix", authcore.Orders{order}, matching, func(q authcore.ListQuery) ([]string, string, error) {
			q.Order = order
			return w.userPages(authcore.UserQuery{Prefix: "m"})(q)
		})
	}
	w.inOrder("users of a prefix", authcore.Orders{authcore.ByName}, matching, w.userPages(authcore.UserQuery{Prefix: "m"}))
	matching[0].name = "mia" // from the other end
	w.inOrder("users of a prefix, backwards", authcore.Orders{authcore.ByNameDown}, matching, func(q authcore.ListQuery) ([]string, string, error) {
		q.Order = authcore.ByNameDown
		return w.userPages(authcore.UserQuery{Prefix: "M"})(q)
	})
	w.inOrder("nobody", authcore.UserOrders, nil, w.userPages(authcore.UserQuery{Prefix: "%"}))
	w.inOrder("disabled users of a prefix", authcore.Orders{authcore.Newest}, matching[:1], func(q authcore.ListQuery) ([]string, string, error) {
		q.Order = authcore.Newest
		return w.userPages(authcore.UserQuery{Prefix: "mia", Status: authcore.Disabled})(q)
	})
}

func (w *world) userPages(query authcore.UserQuery) func(q authcore.ListQuery) ([]string, string, error) {
	return func(q authcore.ListQuery) (ids []string, next string, err error) {
		query.Order, query.After, query.Limit = q.Order, q.After, q.Limit
		page, err := w.db().FindUsers(w.Context(), query)
		for _, u := range page.Users {
			ids = append(ids, string(u.ID))
		}
		return ids, page.Next, err
	}
}

func orderSessions(w *world) {
	var rows []row
	u := w.add("alice", nil)
	for range 5 {
		s, _ := w.signIn(u, nil)
		w.child(s.ID, "app.example.com")
		rows = append(rows, row{id: string(s.ID)})
	}
	w.inOrder("sessions", authcore.SessionOrders, rows, byID(func(s authcore.UserSession) string { return string(s.ID) }, func(q authcore.ListQuery) ([]authcore.UserSession, error) {
		return w.db().FindSessions(w.Context(), authcore.SessionQuery{User: u.ID, Order: q.Order, After: q.After, Limit: q.Limit, Now: w.now, IdleBefore: w.now.Add(-time.Hour)})
	}))
}

func orderEvents(w *world) {
	var rows, some []row
	var events []authcore.Event
	for i := range 9 {
		e := w.event(authcore.UserLogin, "user:a")
		e.Time = w.now.Add(time.Duration(i/3) * time.Minute) // three at a time
		e.ID = fmt.Sprintf("%08x-%04x-7%03x-8000-000000000000", e.Time.UnixMilli()>>16, e.Time.UnixMilli()&0xffff, i)
		if i%3 != 0 {
			e.Target = "user:b"
		}
		if i%2 == 0 {
			e.Outcome = authcore.Failure
		}
		rows = append(rows, row{id: e.ID})
		if i%3 != 0 && i%2 == 0 && i > 2 {
			some = append(some, row{id: e.ID})
		}
		events = append(events, e)
	}
	w.must(w.db().InsertEvents(w.Context(), events, true))
	read := func(query authcore.EventQuery) func(q authcore.ListQuery) ([]string, string, error) {
		return func(q authcore.ListQuery) (ids []string, next string, err error) {
			query.Order, query.After, query.Limit = q.Order, q.After, q.Limit
			page, err := w.db().FindEvents(w.Context(), query)
			for _, e := range page.Events {
				ids = append(ids, e.ID)
			}
			return ids, page.Next, err
		}
	}
	w.inOrder("events", authcore.EventOrders, rows, read(authcore.EventQuery{}))
	w.inOrder("events of a time", authcore.EventOrders, rows[3:6], read(authcore.EventQuery{Since: w.now.Add(time.Minute), Until: w.now.Add(2 * time.Minute)}))
	w.inOrder("some events", authcore.EventOrders, some, read(authcore.EventQuery{Target: "user:b", Outcome: authcore.Failure, Since: w.now.Add(time.Minute)}))
}

func orderOrganizations(w *world) {
	alice, bob := w.add("alice", nil), w.add("bob", nil)
	statuses := []authcore.OrganizationStatus{authcore.OrganizationPending, authcore.OrganizationActive, authcore.OrganizationSuspended, authcore.OrganizationRejected}
	var rows, active, prefixed, bobs []row
	for i, slug := range []string{"mill", "zeta", "alfa", "mine", "mint", "beta", "moon", "acme"} {
		u := alice
		if i%3 == 0 {
			u = bob
		}
		o := w.organization(slug, u)
		r := row{id: string(o.ID), name: slug, status: i % 3}
		for s := range r.status {
			w.must(w.status(o, statuses[s], statuses[s+1]))
		}
		if slug == "moon" {
			r.status = 3
			w.must(w.status(o, statuses[0], statuses[3]))
		}
		rows = append(rows, r)
		if r.status == 1 {
			active = append(active, r)
		}
		if slug[:2] == "mi" {
			prefixed = append(prefixed, r)
		}
		if i%3 == 0 {
			bobs = append(bobs, r)
		}
	}
	for what, test := range map[string]struct {
		query authcore.OrganizationQuery
		rows  []row
	}{"organizations": {rows: rows}, "active organizations": {authcore.OrganizationQuery{Status: authcore.OrganizationActive}, active},
		"organizations of a prefix": {authcore.OrganizationQuery{Prefix: "mi"}, prefixed}, "organizations of a member": {authcore.OrganizationQuery{Member: bob.ID}, bobs},
		"active ones of a prefix": {authcore.OrganizationQuery{Prefix: "mi", Status: authcore.OrganizationActive}, prefixed[2:]}} {
		w.inOrder(what, authcore.OrganizationOrders, test.rows, func(q authcore.ListQuery) (ids []string, next string, err error) {
			test.query.Order, test.query.After, test.query.Limit = q.Order, q.After, q.Limit
			page, err := w.db().FindOrganizations(w.Context(), test.query)
			for _, o := range page.Organizations {
				ids = append(ids, string(o.ID))
			}
			return ids, page.Next, err
		})
	}
	for _, after := range []string{"nonsense", "nonsense acme", "active"} { // such as nobody was given
		_, err := w.db().FindOrganizations(w.Context(), authcore.OrganizationQuery{Order: authcore.ByStatus, After: after, Limit: 1})
		w.must(err)
	}
}

func orderMembers(w *world) {
	owner := w.add("owner", nil)
	o := w.active("acme", owner)
	w.most(o, 0, 0)
	rows := []row{{id: string(owner.ID), name: "owner", at: w.now}}
	var prefixed []row
	for i, name := range []string{"mia", "zoe", "ada", "mio", "bea", "mim"} {
		u := w.add(name, nil)
		at := w.now
		w.now = at.Add(time.Duration(-i/3) * time.Minute) // several at a time, and not in the order of their ids
		w.must(w.setMember(w.db(), o, u, authcore.RoleMember))
		r := row{id: string(u.ID), name: name, at: w.now}
		w.now = at
		rows = append(rows, r)
		if name[0] == 'm' {
			prefixed = append(prefixed, r)
		}
	}
	for prefix, rows := range map[string][]row{"": rows, "M": prefixed, "%": nil} {
		w.inOrder("members of "+prefix, authcore.MemberOrders, rows, func(q authcore.ListQuery) ([]string, string, error) {
			query := authcore.MemberQuery{Prefix: prefix, Order: q.Order, After: q.After, Limit: q.Limit + 1}
			found, err := w.db().Members(w.Context(), o.ID, query)
			ids, next := pageOf(found, q.Limit, func(m authcore.Member) string { return string(m.User) }, query.Place)
			return ids, next, err
		})
	}
	_, err := w.db().Members(w.Context(), o.ID, authcore.MemberQuery{Order: authcore.Newest, After: "nonsense", Limit: 1})
	w.must(err)
}

func orderServices(w *world) {
	owner := w.add("owner", nil)
	o, other := w.active("acme", owner), w.active("beta", owner)
	w.most(o, 0, 0)
	w.addService(other, "Same", authcore.ReachMembers)
	var rows, same []row
	for _, name := range []string{"Same", "zeta", "Same", "Alfa É. 😀", "Same", "same"} {
		s := w.addService(o, name, authcore.ReachMembers)
		r := row{id: string(s.ID), name: name}
		rows = append(rows, r)
		if name == "Same" || name == "same" {
			same = append(same, r)
		}
	}
	for search, rows := range map[string][]row{"": rows, "AM": same} {
		w.inOrder("services with "+search, authcore.ServiceOrders, rows, func(q authcore.ListQuery) ([]string, string, error) {
			query := authcore.ServiceQuery{Search: search, Order: q.Order, After: q.After, Limit: q.Limit + 1}
			found, err := w.db().Services(w.Context(), o.ID, query)
			ids, next := pageOf(found, q.Limit, func(s authcore.Service) string { return string(s.ID) }, query.Place)
			return ids, next, err
		})
	}
}

func orderEndUsers(w *world) {
	o := w.active("acme", w.add("owner", nil))
	s, other := w.addService(o, "a", authcore.ReachEveryone), w.addService(o, "b", authcore.ReachEveryone)
	var rows []row
	for _, name := range []string{"mia", "zoe", "Ada", "bea"} {
		u := w.add(name, nil)
		w.must(w.signsIn(s, u))
		w.must(w.signsIn(other, u))
		rows = append(rows, row{id: string(u.ID), name: authcore.UsernameKey(name)})
	}
	w.inOrder("end users", authcore.EndUserOrders, rows, func(q authcore.ListQuery) ([]string, string, error) {
		query := authcore.EndUserQuery{Order: q.Order, After: q.After, Limit: q.Limit + 1}
		found, err := w.db().EndUsers(w.Context(), o.ID, query)
		ids, next := pageOf(found, q.Limit, func(u authcore.EndUser) string { return string(u.User) }, query.Place)
		return ids, next, err
	})
}

func orderWebhooks(w *world) {
	o := w.active("acme", w.add("owner", nil))
	var hooks, deliveries []row
	w.hook("", "*")
	for range 4 {
		hooks = append(hooks, row{id: string(w.hook(o.ID, "*").ID)})
	}
	w.inOrder("webhooks", authcore.WebhookOrders, hooks, byID(func(h authcore.Webhook) string { return string(h.ID) }, func(q authcore.ListQuery) ([]authcore.Webhook, error) {
		return w.db().Webhooks(w.Context(), o.ID, q)
	}))
	one := authcore.WebhookID(hooks[0].id)
	for range 5 {
		d := authcore.NewDelivery(one, "", "user.login", w.now)
		w.must(w.db().CreateDelivery(w.Context(), d))
		deliveries = append(deliveries, row{id: string(d.ID)})
	}
	w.inOrder("deliveries", authcore.DeliveryOrders, deliveries, byID(func(d authcore.Delivery) string { return string(d.ID) }, func(q authcore.ListQuery) ([]authcore.Delivery, error) {
		return w.db().Deliveries(w.Context(), one, q)
	}))
}

func orderInvitations(w *world) {
	owner := w.add("owner", nil)
	o := w.active("acme", owner)
	s := w.addService(o, "a", authcore.ReachMembers)
	var invitations, keys []row
	for i := range 4 {
		invitation, _ := w.invite(o, owner, fmt.Sprintf("x%d@example.com", i), authcore.RoleMember)
		invitations = append(invitations, row{id: string(invitation.ID)})
		_, hash := authcore.NewToken()
		k := authcore.ServiceKey{ID: authcore.ServiceKeyID(authcore.NewUserID()), Organization: o.ID, Service: s.ID, Name: "Key", Scopes: authcore.ServiceScopes, CreatedBy: owner.ID, CreatedAt: w.now}
		w.must(w.db().CreateServiceKey(w.Context(), k, hash, w.event(authcore.APIKeyCreate, "")))
		keys = append(keys, row{id: string(k.ID)})
	}
	w.inOrder("invitations", authcore.InvitationOrders, invitations, byID(func(i authcore.Invitation) string { return string(i.ID) }, func(q authcore.ListQuery) ([]authcore.Invitation, error) {
		return w.db().Invitations(w.Context(), o.ID, w.now, q)
	}))
	w.inOrder("API keys", authcore.ServiceKeyOrders, keys, byID(func(k authcore.ServiceKey) string { return string(k.ID) }, func(q authcore.ListQuery) ([]authcore.ServiceKey, error) {
		return w.db().ServiceKeys(w.Context(), s, q)
	}))
}
