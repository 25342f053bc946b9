package storetest

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// WebhookStore is what delivers to webhooks, and to collectors, uses of a database.
type WebhookStore interface {
	HasWebhooks(ctx context.Context) (bool, error)
	FollowChain(ctx context.Context, now time.Time) (made int, more bool, err error)
	ActiveWebhooks(ctx context.Context) ([]authcore.Webhook, error)
	WaitingDeliveries(ctx context.Context) (map[authcore.WebhookID]authcore.Waiting, error)
	DeliveriesDue(ctx context.Context, w authcore.WebhookID, now time.Time, limit int) ([]authcore.Delivery, error)
	FinishDeliveries(ctx context.Context, all []authcore.Delivery, failing map[authcore.WebhookID]time.Time) error
	GiveUpDeliveries(ctx context.Context, w authcore.WebhookID, why string) (n int, err error)
	Followed(ctx context.Context, name string) (batch int64, err error)
	Follow(ctx context.Context, name string, batch int64) error
	SealedBatches(ctx context.Context, after int64, events int) ([]authcore.EventBatch, error)
	SlugsOf(ctx context.Context, ids []authcore.OrganizationID) (map[authcore.OrganizationID]string, error)
	SealEvents(ctx context.Context, all bool) error
}

var webhookTests = map[string]func(*world){
	"webhook: its life":                       webhookLife,
	"webhook: what is delivered":              webhookDeliveries,
	"webhook: tries":                          webhookTries,
	"webhook: deletion":                       webhookDeletion,
	"webhook: many events":                    webhookMany,
	"webhook: a place in the chain":           followed,
	"webhook: events of an organization":      eventsIn,
	"webhook: race: two follow":               raceToFollow,
	"webhook: race: the last place":           raceForWebhook,
	"webhook: race: two change it":            raceToChange,
	"webhook: race: follow, make, and switch": raceOfAll,
}

// hook makes a webhook of an organization, or of the platform for "".
func (w *world) hook(o authcore.OrganizationID, types ...string) authcore.Webhook {
	w.Helper()
	h := w.newHook(o, types...)
	w.must(w.db().CreateWebhook(w.Context(), h, 20, w.event(authcore.WebhookCreate, "hook")))
	return h
}

func (w *world) newHook(o authcore.OrganizationID, types ...string) authcore.Webhook {
	return authcore.Webhook{ID: authcore.WebhookID(authcore.NewUserID()), Organization: o, Name: "Hook É. 😀", URL: "https://hooks.example.com/x?y=ü", Events: types,
		Status: authcore.WebhookActive, Sealed: "sealed", CreatedAt: w.now, UpdatedAt: w.now}
}

// record writes events that are about an organization, or none.
func (w *world) record(o authcore.OrganizationID, actions ...authcore.Action) {
	w.Helper()
	var events []authcore.Event
	for _, a := range actions {
		events = append(events, w.event(a, "target").In(o))
	}
	w.must(w.db().InsertEvents(w.Context(), events, false))
}

// follow follows the chain to its end.
func (w *world) follow() (made int) {
	w.Helper()
	w.must(w.db().SealEvents(w.Context(), true))
	for more := true; more; {
		var n int
		var err error
		n, more, err = w.db().FollowChain(w.Context(), w.now)
		w.must(err)
		made += n
	}
	return made
}

// told gives the types that were delivered to a webhook, newest first.
func (w *world) told(h authcore.Webhook) (types []string) {
	w.Helper()
	all, err := w.db().Deliveries(w.Context(), h.ID, authcore.ListQuery{Limit: 1000})
	w.must(err)
	for _, d := range all {
		types = append(types, d.Type)
	}
	return types
}

func webhookLife(w *world) {
	any, err := w.db().HasWebhooks(w.Context())
	w.must(err)
	w.same("none", false, any)
	o := w.active("acme", w.add("alice", nil))
	h := w.hook(o.ID, "member.*", "organization.tier")
	w.is("an organization that is not there", w.db().CreateWebhook(w.Context(), w.newHook("nowhere", "*"), 20, w.event(authcore.WebhookCreate, "")), authcore.ErrOrganizationNotFound)
	w.is("too many", w.db().CreateWebhook(w.Context(), w.newHook(o.ID, "*"), 1, w.event(authcore.WebhookCreate, "")), authcore.ErrWebhookLimit)
	p := w.hook("", "*")
	got, err := w.db().WebhookByID(w.Context(), h.ID)
	w.must(err)
	w.same("as it was made", h, got)
	_, err = w.db().WebhookByID(w.Context(), "nobody")
	w.is("another", err, authcore.ErrWebhookNotFound)
	list := func(what string, o authcore.OrganizationID, after authcore.WebhookID, want ...authcore.Webhook) {
		w.Helper()
		got, err := w.db().Webhooks(w.Context(), o, authcore.ListQuery{After: string(after), Limit: 10})
		w.must(err)
		w.same(what, want, got)
	}
	list("of the organization", o.ID, "", h)
	list("of the platform", "", "", p)
	list("after one", "", p.ID)
	was := h.UpdatedAt
	h.Name, h.URL, h.Events, h.Status, h.Reason, h.Sealed = "other", "https://other.example.com", []string{"*"}, authcore.WebhookOff, "why", "sealed anew"
	h.UpdatedAt = was.Add(time.Second)
	w.must(w.db().UpdateWebhook(w.Context(), h, was, w.event(authcore.WebhookUpdate, "hook")))
	w.is("as it was not any more", w.db().UpdateWebhook(w.Context(), h, was, w.event(authcore.WebhookUpdate, "hook")), authcore.ErrWebhookMoved)
	list("changed", o.ID, "", h)
	active, err := w.db().ActiveWebhooks(w.Context())
	w.must(err)
	w.same("active", []authcore.Webhook{p}, active)
	owners, err := w.db().OwnersOf(w.Context(), o.ID)
	w.must(err)
	w.same("owners", 1, len(owners))
	w.same("their name", "alice", owners[0].Username)
	w.must(w.db().DeleteWebhook(w.Context(), h.ID, w.event(authcore.WebhookDelete, "hook")))
	w.is("again", w.db().DeleteWebhook(w.Context(), h.ID, w.event(authcore.WebhookDelete, "hook")), authcore.ErrWebhookNotFound)
}

func webhookDeliveries(w *world) {
	a, b := w.active("acme", w.add("alice", nil)), w.organization("beta", w.add("bob", nil))
	w.record(a.ID, authcore.MemberSet) // before there is any
	w.must(w.db().SealEvents(w.Context(), true))
	ofA, platform := w.hook(a.ID, "member.*"), w.hook("", "member.set", "user.login")
	w.same("what was before the first", 0, w.follow())
	w.record(a.ID, authcore.MemberSet, authcore.MemberRemove, authcore.OrganizationTier)
	w.record(b.ID, authcore.MemberSet)
	w.record("", authcore.UserLogin, authcore.UserLogout)
	w.same("made", 5, w.follow())
	w.same("again", 0, w.follow())
	w.same("of the organization", []string{"member.remove", "member.set"}, w.told(ofA))
	w.same("of the platform", []string{"user.login", "member.set", "member.set"}, w.told(platform))
	late := w.hook(b.ID, "*")
	w.same("what was before the last, but its own", []string(nil), func() []string { w.follow(); return w.told(late) }())
	due, err := w.db().DeliveriesDue(w.Context(), ofA.ID, w.now, 1)
	w.must(err)
	w.same("due", 1, len(due))
	w.same("its event", []any{authcore.MemberSet, a.ID, "acme", "target", authcore.UserID("actor"), "2001:db8::1"},
		[]any{due[0].Event.Action, due[0].Event.Organization, due[0].Slug, due[0].Event.Target, due[0].Event.Actor.User, due[0].Event.Actor.Client.Address})
	none, err := w.db().DeliveriesDue(w.Context(), ofA.ID, w.now.Add(-time.Microsecond), 10)
	w.must(err)
	w.same("too early", 0, len(none))
	waiting, err := w.db().WaitingDeliveries(w.Context())
	w.must(err)
	w.same("waiting", map[authcore.WebhookID]authcore.Waiting{ofA.ID: {Count: 2, Due: w.now}, platform.ID: {Count: 3, Due: w.now}}, waiting)
	slugs, err := w.db().SlugsOf(w.Context(), []authcore.OrganizationID{a.ID, "nowhere"})
	w.must(err)
	w.same("slugs", map[authcore.OrganizationID]string{a.ID: "acme"}, slugs)
}

func webhookTries(w *world) {
	h := w.hook("", "user.*")
	w.record("", authcore.UserLogin)
	w.follow()
	one := func() authcore.Delivery {
		w.Helper()
		all, err := w.db().Deliveries(w.Context(), h.ID, authcore.ListQuery{Limit: 10})
		w.must(err)
		w.same("there is one", 1, len(all))
		d := all[0]
		d.Event = nil
		return d
	}
	d := one()
	d.Tries, d.TriedAt, d.DueAt, d.Took = 1, w.now.Add(time.Second), w.now.Add(time.Minute), 1500*time.Microsecond
	d.AnswerStatus, d.Answer, d.Failure = 500, "é 😀", "answered 500"
	w.must(w.db().FinishDeliveries(w.Context(), []authcore.Delivery{d}, map[authcore.WebhookID]time.Time{h.ID: w.now}))
	w.same("tried", d, one())
	got, err := w.db().WebhookByID(w.Context(), h.ID)
	w.must(err)
	w.same("fails", w.now, got.FailingSince)
	w.must(w.db().FinishDeliveries(w.Context(), nil, map[authcore.WebhookID]time.Time{h.ID: w.now.Add(time.Hour)}))
	got, err = w.db().WebhookByID(w.Context(), h.ID)
	w.must(err)
	w.same("fails still", w.now, got.FailingSince)
	lost := d
	lost.Status = authcore.DeliveryLost // of the first try, written late
	w.must(w.db().FinishDeliveries(w.Context(), []authcore.Delivery{lost}, map[authcore.WebhookID]time.Time{h.ID: {}}))
	w.same("not twice", d, one())
	d.Tries, d.Status, d.AnswerStatus, d.Answer, d.Failure = 2, authcore.DeliveryDone, 204, "", ""
	w.must(w.db().FinishDeliveries(w.Context(), []authcore.Delivery{d}, nil))
	w.same("delivered", d, one())
	w.must(w.db().ResendDelivery(w.Context(), d.ID, w.now.Add(time.Hour)))
	d.Tries, d.Status, d.DueAt = 0, authcore.DeliveryWaiting, w.now.Add(time.Hour)
	w.same("again", d, one())
	w.is("another again", w.db().ResendDelivery(w.Context(), "nothing", w.now), authcore.ErrDeliveryNotFound)
	_, err = w.db().DeliveryByID(w.Context(), "nothing")
	w.is("another", err, authcore.ErrDeliveryNotFound)
	test := authcore.NewDelivery(h.ID, "", authcore.WebhookTest, w.now)
	w.must(w.db().CreateDelivery(w.Context(), test))
	there, err := w.db().DeliveryByID(w.Context(), test.ID)
	w.must(err)
	w.same("a test", test, there)
	page, err := w.db().Deliveries(w.Context(), h.ID, authcore.ListQuery{After: string(test.ID), Limit: 10})
	w.must(err)
	w.same("before it", d.ID, page[0].ID)
	n, err := w.db().GiveUpDeliveries(w.Context(), h.ID, "off")
	w.must(err)
	w.same("given up", 2, n)
	n, err = w.db().GiveUpDeliveries(w.Context(), h.ID, "off")
	w.must(err)
	w.same("none is left", 0, n)
	w.same("why", "off", one2(w, test.ID).Failure)
	deleteOld := func(now time.Time) {
		w.Helper()
		_, _, err := w.db().DeleteEnded(w.Context(), now, now.Add(-time.Hour), "")
		w.must(err)
	}
	deleteOld(time.Now())
	w.same("kept", 2, len(w.told(h)))
	deleteOld(time.Now().Add(authcore.DeliveryKept + time.Hour))
	w.same("old", 0, len(w.told(h)))
}

func one2(w *world, id authcore.DeliveryID) authcore.Delivery {
	w.Helper()
	d, err := w.db().DeliveryByID(w.Context(), id)
	w.must(err)
	return d
}

func webhookDeletion(w *world) {
	o := w.active("acme", w.add("alice", nil))
	a, b := w.hook(o.ID, "*"), w.hook("", "*")
	w.record(o.ID, authcore.MemberSet, authcore.MemberSet)
	w.follow()
	w.must(w.db().DeleteOrganization(w.Context(), o.ID, w.event(authcore.OrganizationDelete, "acme").In(o.ID)))
	_, err := w.db().WebhookByID(w.Context(), a.ID)
	w.is("of the organization", err, authcore.ErrWebhookNotFound)
	w.same("its deliveries", 0, len(w.told(a)))
	w.same("those of others", true, len(w.told(b)) > 2)
	w.must(w.db().DeleteWebhook(w.Context(), b.ID, w.event(authcore.WebhookDelete, "b")))
	w.same("its deliveries", 0, len(w.told(b)))
	any, err := w.db().HasWebhooks(w.Context())
	w.must(err)
	w.same("none is left", false, any)
}

// webhookMany: a batch that makes more deliveries than one step is cut in its middle.
func webhookMany(w *world) {
	var hooks []authcore.Webhook
	for range 7 {
		hooks = append(hooks, w.hook("", "user.*"))
	}
	for range 3 {
		actions := make([]authcore.Action, 150)
		for i := range actions {
			actions[i] = authcore.UserLogin
		}
		w.record("", actions...)
	}
	w.same("made", 7*450, w.follow())
	for _, h := range hooks {
		all, err := w.db().Deliveries(w.Context(), h.ID, authcore.ListQuery{Limit: 1000})
		w.must(err)
		events := make(map[string]bool)
		for _, d := range all {
			events[d.EventID] = true
		}
		w.same("each once", []int{450, 450}, []int{len(all), len(events)})
	}
}

func followed(w *world) {
	w.record("", authcore.UserLogin)
	at, err := w.db().Followed(w.Context(), "someone")
	w.must(err)
	again, err := w.db().Followed(w.Context(), "someone")
	w.must(err)
	w.same("it stays", at, again)
	w.record("", authcore.UserLogout)
	batches, err := w.db().SealedBatches(w.Context(), at, 100)
	w.must(err)
	w.same("what is new", []int{1, 1}, []int{len(batches), len(batches[0].Events)})
	w.must(w.db().Follow(w.Context(), "someone", batches[0].Number))
	again, err = w.db().Followed(w.Context(), "someone")
	w.must(err)
	w.same("moved", batches[0].Number, again)
}

func eventsIn(w *world) {
	o := w.active("acme", w.add("alice", nil))
	w.record(o.ID, authcore.MemberSet)
	w.record("", authcore.UserLogin)
	w.record(o.ID, authcore.MemberRemove)
	page, err := w.db().FindEvents(w.Context(), authcore.EventQuery{Organization: o.ID, Limit: 10})
	all := page.Events
	w.must(err)
	w.same("how many", 2, len(all))
	w.same("newest first", []authcore.Action{authcore.MemberRemove, authcore.MemberSet}, []authcore.Action{all[0].Action, all[1].Action})
	w.same("of which", o.ID, all[0].Organization)
	page, err = w.db().FindEvents(w.Context(), authcore.EventQuery{Organization: o.ID, After: all[0].ID, Limit: 10})
	all = page.Events
	w.must(err)
	w.same("before one", 1, len(all))
}

// raceToFollow: of several who follow the chain at once, each event is told once.
func raceToFollow(w *world) {
	h := w.hook("", "user.*")
	for range 10 {
		w.record("", authcore.UserLogin, authcore.UserLogout)
	}
	w.must(w.db().SealEvents(w.Context(), true))
	var made atomic.Int64
	for _, err := range w.atOnce(6, func(_ int, db Store) error {
		n, _, err := db.FollowChain(w.Context(), w.now)
		made.Add(int64(n))
		return err
	}) {
		w.must(err)
	}
	w.same("made", int64(20), made.Load())
	w.same("told", 20, len(w.told(h)))
}

// raceForWebhook: of many who make the last one at once, one does.
func raceForWebhook(w *world) {
	o := w.active("acme", w.add("alice", nil))
	w.hook(o.ID, "*")
	w.oneWon(w.atOnce(6, func(_ int, db Store) error {
		return db.CreateWebhook(w.Context(), w.newHook(o.ID, "*"), 2, w.event(authcore.WebhookCreate, ""))
	}), authcore.ErrWebhookLimit)
}

// raceToChange: of many who change what they read, one does.
func raceToChange(w *world) {
	h := w.hook("", "*")
	w.oneWon(w.atOnce(6, func(i int, db Store) error {
		c := h
		c.Sealed, c.UpdatedAt = fmt.Sprint("sealed ", i), h.UpdatedAt.Add(time.Second)
		return db.UpdateWebhook(w.Context(), c, h.UpdatedAt, w.event(authcore.WebhookRotate, ""))
	}), authcore.ErrWebhookMoved)
}

// raceOfAll: events are written, sealed and followed while webhooks are made; what is told
// of each event is told once.
func raceOfAll(w *world) {
	h := w.hook("", "user.login")
	const each = 20
	for _, err := range w.atOnce(8, func(i int, db Store) error {
		for n := range each {
			var err error
			switch i {
			case 0, 1:
				_, _, err = db.FollowChain(w.Context(), w.now)
			case 2, 3:
				if n < 3 {
					err = db.CreateWebhook(w.Context(), w.newHook("", "user.login"), 20, w.event(authcore.WebhookCreate, ""))
				}
			default:
				err = db.InsertEvents(w.Context(), []authcore.Event{w.event(authcore.UserLogin, "")}, false)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}) {
		w.must(err)
	}
	w.follow()
	all, err := w.db().Deliveries(w.Context(), h.ID, authcore.ListQuery{Limit: 1000})
	w.must(err)
	events := make(map[string]bool)
	for _, d := range all {
		events[d.EventID] = true
	}
	w.same("each once", []int{4 * each, 4 * each}, []int{len(all), len(events)})
}
