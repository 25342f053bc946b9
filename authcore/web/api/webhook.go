package api

import (
	"net/http"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// Webhook is an address that is told of events.
type Webhook struct {
	ID           authcore.WebhookID     `json:"id"`
	Name         string                 `json:"name"`
	URL          string                 `json:"url"`
	Events       []string               `json:"events" doc:"actions such as member.set, all of one noun such as member.*, or *"`
	Status       authcore.WebhookStatus `json:"status" doc:"active, off or failed"`
	Reason       string                 `json:"reason,omitempty" doc:"why it failed"`
	FailingSince *time.Time             `json:"failing_since,omitempty"`
	CreatedAt    time.Time              `json:"created_at"`
	UpdatedAt    time.Time              `json:"updated_at"`
}

// NewWebhook is what a webhook is made of.
type NewWebhook struct {
	Name   string   `json:"name,omitempty" doc:"the host of the address, where it is missing"`
	URL    string   `json:"url"`
	Events []string `json:"events"`
}

// WebhookMade is a webhook just made.
type WebhookMade struct {
	Webhook
	Secret string `json:"secret" doc:"it is not shown again"`
}

// WebhookChange changes what is there of a webhook.
type WebhookChange struct {
	Name   *string   `json:"name,omitempty"`
	URL    *string   `json:"url,omitempty"`
	Events *[]string `json:"events,omitempty"`
	On     *bool     `json:"on,omitempty"`
}

// WebhookSecret is another secret of a webhook.
type WebhookSecret struct {
	Secret string `json:"secret" doc:"it is not shown again; for a day, deliveries are signed with the one before too"`
}

// Delivery is one event on its way to a webhook.
type Delivery struct {
	ID        authcore.DeliveryID     `json:"id"`
	Event     string                  `json:"event_id,omitempty" doc:"missing for a test"`
	Type      string                  `json:"type"`
	Status    authcore.DeliveryStatus `json:"status" doc:"waiting, delivered or lost"`
	Tries     int                     `json:"tries"`
	CreatedAt time.Time               `json:"created_at"`
	TriedAt   *time.Time              `json:"tried_at,omitempty"`
	TookMS    int64                   `json:"took_ms"`
	Answer    int                     `json:"answer_status" doc:"of HTTP; 0 where none came"`
	Body      string                  `json:"answer" doc:"its beginning"`
	Failure   string                  `json:"failure"`
	Request   string                  `json:"request" doc:"the body that is sent; empty where the event was deleted"`
}

// DeliveryMade is a delivery that was asked for.
type DeliveryMade struct {
	ID authcore.DeliveryID `json:"id"`
}

func webhookOf(w *authcore.Webhook) Webhook {
	return Webhook{ID: w.ID, Name: w.Name, URL: w.URL, Events: append([]string{}, w.Events...), Status: w.Status, Reason: w.Reason, FailingSince: when(w.FailingSince), CreatedAt: w.CreatedAt, UpdatedAt: w.UpdatedAt}
}

func deliveryOf(d *authcore.Delivery) Delivery {
	body, _, _ := d.Body() // none where the event was deleted
	return Delivery{ID: d.ID, Event: d.EventID, Type: d.Type, Status: d.Status, Tries: d.Tries, CreatedAt: d.CreatedAt, TriedAt: when(d.TriedAt), TookMS: d.Took.Milliseconds(),
		Answer: d.AnswerStatus, Body: d.Answer, Failure: d.Failure, Request: string(body)}
}

// webhook is the one that the path names.
func (c *Call) webhook() authcore.WebhookID { return authcore.WebhookID(c.Place("id")) }

// webhookRoutes are about the webhooks of organizations, and those of the platform.
var webhookRoutes = append(webhooksOf(Route{Path: "/organizations/{slug}", Realm: Organization, Need: authcore.WebhooksManage}, "", "of an organization", (*Call).Slug),
	webhooksOf(Route{Path: "/platform", Realm: Platform, Scope: ScopeWebhooksManage}, "Platform", "of the platform", func(*Call) string { return "" })...)

// sortable is a route whose list has orders.
func sortable(all authcore.Orders, rt Route) Route {
	rt.Orders = all
	return rt
}

// webhooksOf makes the routes for the webhooks that are under a path, with a word in the
// names of their operations. of tells whose they are.
func webhooksOf(under Route, word, whose string, of func(*Call) string) []Route {
	at := func(method, path, id, summary string, creates bool, do Handler) Route {
		rt := under
		rt.Method, rt.Path, rt.ID, rt.Summary, rt.Creates, rt.Do = method, under.Path+"/webhooks"+path, id, summary, creates, do
		return rt
	}
	return []Route{
		sortable(authcore.WebhookOrders, at(http.MethodGet, "", "list"+word+"Webhooks", "Webhooks "+whose, false, list(func(c *Call) (Page[Webhook], error) {
			found, err := c.Accounts.Webhooks(c.Ctx, c.Actor, of(c), c.page())
			return cut(c, found, func(w authcore.Webhook) string { return string(w.ID) }, webhookOf), err
		}))),
		at(http.MethodPost, "", "create"+word+"Webhook", "Make a webhook "+whose, true, with(func(c *Call, in NewWebhook) (WebhookMade, error) {
			w, secret, err := c.Accounts.CreateWebhook(c.Ctx, c.Actor, of(c), authcore.NewWebhook{Name: in.Name, URL: in.URL, Events: in.Events})
			return WebhookMade{Webhook: webhookOf(&w), Secret: secret.Reveal()}, err
		})),
		at(http.MethodGet, "/{id}", "get"+word+"Webhook", "One webhook "+whose, false, give(func(c *Call) (Webhook, error) {
			w, err := c.Accounts.Webhook(c.Ctx, c.Actor, of(c), c.webhook())
			return webhookOf(&w), err
		})),
		at(http.MethodPatch, "/{id}", "change"+word+"Webhook", "Change a webhook "+whose, false, with(func(c *Call, in WebhookChange) (Webhook, error) {
			if in == (WebhookChange{}) {
				return Webhook{}, invalid("nothing_to_change", "", "Say what is to change: name, url, events or on.")
			}
			change := authcore.WebhookChange{Name: in.Name, URL: in.URL, On: in.On}
			if in.Events != nil {
				change.Events = append([]string{}, *in.Events...)
			}
			w, err := c.Accounts.UpdateWebhook(c.Ctx, c.Actor, of(c), c.webhook(), change)
			return webhookOf(&w), err
		})),
		at(http.MethodDelete, "/{id}", "delete"+word+"Webhook", "Delete a webhook "+whose, false, do(func(c *Call) error {
			return c.Accounts.DeleteWebhook(c.Ctx, c.Actor, of(c), c.webhook())
		})),
		at(http.MethodPost, "/{id}/secret", "rotate"+word+"WebhookSecret", "Give a webhook "+whose+" another secret", true, give(func(c *Call) (WebhookSecret, error) {
			secret, err := c.Accounts.RotateWebhookSecret(c.Ctx, c.Actor, of(c), c.webhook())
			return WebhookSecret{secret.Reveal()}, err
		})),
		at(http.MethodPost, "/{id}/test", "test"+word+"Webhook", "Send a test to a webhook "+whose, true, give(func(c *Call) (DeliveryMade, error) {
			id, err := c.Accounts.TestWebhook(c.Ctx, c.Actor, of(c), c.webhook())
			return DeliveryMade{id}, err
		})),
		sortable(authcore.DeliveryOrders, at(http.MethodGet, "/{id}/deliveries", "list"+word+"Deliveries", "What was sent to a webhook "+whose, false, list(func(c *Call) (Page[Delivery], error) {
			found, err := c.Accounts.Deliveries(c.Ctx, c.Actor, of(c), c.webhook(), c.page())
			return cut(c, found, func(d authcore.Delivery) string { return string(d.ID) }, deliveryOf), err
		}))),
		at(http.MethodPost, "/{id}/deliveries/{delivery}/resend", "resend"+word+"Delivery", "Send a delivery "+whose+" again", false, do(func(c *Call) error {
			return c.Accounts.ResendDelivery(c.Ctx, c.Actor, of(c), authcore.DeliveryID(c.Place("delivery")))
		})),
	}
}
