package store_test

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/store"
)

// hookWorld is the services of webhooks on a database, with an organization and people.
type hookWorld struct {
	*testing.T
	*authcore.Accounts
	db                                  *store.DB
	ada, boss, admin, member, elsewhere authcore.Actor
}

func newHookWorld(t *testing.T) *hookWorld {
	db := openConfig(t, kinds["SQLite"](t))
	key := authcore.NewSecretKey()
	db.UseKey(key)
	w := &hookWorld{T: t, db: db, Accounts: &authcore.Accounts{Store: db, Sessions: authcore.NewSessions(db, time.Now, nil), Now: time.Now,
		Mail:       &authcore.Mailing{Sealer: key.NewSealer("mail", time.Now)},
		Webhooking: authcore.Webhooking{Sealer: key.NewSealer("webhook", time.Now), CheckURL: func(*url.URL) error { return nil }, Wake: func() {}}}}
	person := func(name string, owner bool) authcore.Actor {
		u, ev := aUser(name)
		u.Owner, u.Email, u.EmailVerified = owner, name+"@example.com", true
		must(t, db.CreateUser(t.Context(), u, "hash", nil, ev))
		return authcore.Actor{Kind: authcore.ActorUser, User: u.ID}
	}
	w.ada, w.boss, w.admin, w.member, w.elsewhere = person("ada", true), person("boss", false), person("admin", false), person("member", false), person("elsewhere", false)
	_, err := w.RegisterOrganization(t.Context(), authcore.CommandLine(), "acme", "", w.boss.User, true)
	must(t, err)
	must(t, w.SetMember(t.Context(), authcore.CommandLine(), "acme", w.admin.User, authcore.RoleAdmin))
	must(t, w.SetMember(t.Context(), authcore.CommandLine(), "acme", w.member.User, authcore.RoleMember))
	_, err = w.RegisterOrganization(t.Context(), authcore.CommandLine(), "beta", "", w.elsewhere.User, true)
	must(t, err)
	return w
}

var example = authcore.NewWebhook{URL: "https://hooks.example.com/x", Events: []string{"*"}}

// Who may do what to a webhook of an organization: nobody of another one, whose ids are not
// found either.
func TestWebhooksAreOfTheirOrganization(t *testing.T) {
	t.Parallel()
	w := newHookWorld(t)
	ctx := t.Context()
	hook, secret, err := w.CreateWebhook(ctx, w.admin, "acme", example)
	must(t, err)
	if hook.Name != "hooks.example.com" || !strings.HasPrefix(secret.Reveal(), "whsec_") || strings.Contains(hook.Sealed, secret.Reveal()) {
		t.Errorf("%+v", hook)
	}
	must(t, w.db.SealEvents(ctx, true))
	_, _, err = w.db.FollowChain(ctx, time.Now())
	must(t, err)
	log, err := w.Deliveries(ctx, w.boss, "acme", hook.ID, authcore.ListQuery{Limit: 10})
	if err != nil || len(log) != 1 || log[0].Type != "webhook.create" {
		t.Fatalf("%+v, %v", log, err)
	}
	name := "other"
	all := map[string]func(actor authcore.Actor, slug string) error{
		"create": func(a authcore.Actor, slug string) error {
			_, _, err := w.CreateWebhook(ctx, a, slug, example)
			return err
		},
		"update": func(a authcore.Actor, slug string) error {
			_, err := w.UpdateWebhook(ctx, a, slug, hook.ID, authcore.WebhookChange{Name: &name})
			return err
		},
		"rotate": func(a authcore.Actor, slug string) error {
			_, err := w.RotateWebhookSecret(ctx, a, slug, hook.ID)
			return err
		},
		"delete": func(a authcore.Actor, slug string) error { return w.DeleteWebhook(ctx, a, slug, hook.ID) },
		"list": func(a authcore.Actor, slug string) error {
			_, err := w.Webhooks(ctx, a, slug, authcore.ListQuery{Limit: 10})
			return err
		},
		"deliveries": func(a authcore.Actor, slug string) error {
			_, err := w.Deliveries(ctx, a, slug, hook.ID, authcore.ListQuery{Limit: 10})
			return err
		},
		"resend": func(a authcore.Actor, slug string) error { return w.ResendDelivery(ctx, a, slug, log[0].ID) },
		"test":   func(a authcore.Actor, slug string) error { _, err := w.TestWebhook(ctx, a, slug, hook.ID); return err },
	}
	for name, do := range all {
		own := name == "create" || name == "list"
		for _, c := range []struct {
			who   string
			actor authcore.Actor
			slug  string
			want  error
		}{
			{"a member", w.member, "acme", authcore.ErrNotAllowed},
			{"somebody else", w.elsewhere, "acme", authcore.ErrOrganizationNotFound},
			{"nobody", authcore.Anonymous(authcore.Client{}), "acme", authcore.ErrOrganizationNotFound},
			{"an owner, of the platform", w.boss, "", authcore.ErrNotOwner},
		} {
			if err := do(c.actor, c.slug); !errors.Is(err, c.want) {
				t.Errorf("%s by %s: %v, want %v", name, c.who, err, c.want)
			}
		}
		if own {
			continue
		}
		for who, at := range map[string]struct {
			actor authcore.Actor
			slug  string
		}{"by the owner of another organization": {w.elsewhere, "beta"}, "by a platform owner as of another": {w.ada, "beta"}, "by a platform owner as of the platform": {w.ada, ""}} {
			want := authcore.ErrWebhookNotFound
			if name == "resend" {
				want = authcore.ErrDeliveryNotFound
			}
			if err := do(at.actor, at.slug); !errors.Is(err, want) {
				t.Errorf("%s %s: %v, want %v", name, who, err, want)
			}
		}
	}
	for _, name := range []string{"update", "rotate", "list", "deliveries", "resend", "test", "delete"} {
		if err := all[name](w.admin, "acme"); err != nil {
			t.Errorf("%s by an admin: %v", name, err)
		}
	}
	acme, err := w.db.OrganizationBySlug(ctx, "acme")
	must(t, err)
	page, err := w.db.FindEvents(ctx, authcore.EventQuery{Organization: acme.ID, Limit: 100})
	events := page.Events
	must(t, err)
	var got []string
	for _, e := range events {
		got = append(got, string(e.Action))
	}
	if want := []string{"webhook.delete", "webhook.rotate", "webhook.update", "webhook.create", "member.set", "member.set", "organization.create"}; !slices.Equal(got, want) {
		t.Errorf("events %v, want %v", got, want)
	}
}

// The bounds, and a webhook that is switched off with mail to who owns it.
func TestWebhookBounds(t *testing.T) {
	t.Parallel()
	w := newHookWorld(t)
	ctx := t.Context()
	for _, bad := range []authcore.NewWebhook{{URL: "", Events: []string{"*"}}, {URL: "ftp://x", Events: []string{"*"}}, {URL: example.URL}, {URL: example.URL, Events: []string{"x"}},
		{URL: example.URL, Events: []string{"*"}, Name: strings.Repeat("x", 200)}, {URL: "https://u:p@hooks.example.com", Events: []string{"*"}}} {
		if _, _, err := w.CreateWebhook(ctx, w.boss, "acme", bad); err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
	var last authcore.Webhook
	for range authcore.MaxWebhooks {
		var err error
		last, _, err = w.CreateWebhook(ctx, w.boss, "acme", example)
		must(t, err)
	}
	if _, _, err := w.CreateWebhook(ctx, w.boss, "acme", example); !errors.Is(err, authcore.ErrWebhookLimit) {
		t.Errorf("one more: %v", err)
	}
	must(t, w.DisableWebhook(ctx, last.ID, "it is gone"))
	must(t, w.DisableWebhook(ctx, last.ID, "again"))
	mails, err := w.db.MailsDue(ctx, time.Now(), 10)
	if err != nil || len(mails) != 1 || mails[0].User != w.boss.User {
		t.Fatalf("mails %+v, %v", mails, err)
	}
	l, err := authcore.OpenLetter(w.Mail.Sealer, mails[0])
	if err != nil || l.Kind != authcore.MailWebhook || l.Reason != "it is gone" || l.To != "boss@example.com" {
		t.Errorf("%+v, %v", l, err)
	}
	if _, err := w.TestWebhook(ctx, w.boss, "acme", last.ID); !errors.Is(err, authcore.ErrWebhookOff) {
		t.Errorf("a test: %v", err)
	}
	on := true
	now, err := w.UpdateWebhook(ctx, w.boss, "acme", last.ID, authcore.WebhookChange{On: &on})
	if err != nil || now.Status != authcore.WebhookActive || now.Reason != "" {
		t.Errorf("%+v, %v", now, err)
	}
}
