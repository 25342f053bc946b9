package caddymodule

import (
	"context"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

type webhookArgs struct {
	Org, ID, Name, URL string
	Events             []string
	On                 *bool
	After              string
	Limit              int
}

// webhookLine is a webhook as the command line shows it.
type webhookLine struct {
	ID      authcore.WebhookID     `json:"id"`
	Name    string                 `json:"name"`
	URL     string                 `json:"url"`
	Events  []string               `json:"events"`
	Status  authcore.WebhookStatus `json:"status"`
	Reason  string                 `json:"reason"`
	Failing *time.Time             `json:"failing_since,omitempty"`
	Created time.Time              `json:"created_at"`
	Secret  string                 `json:"secret,omitempty"` // shown once
}

func webhookLineOf(w authcore.Webhook) webhookLine {
	l := webhookLine{ID: w.ID, Name: w.Name, URL: w.URL, Events: w.Events, Status: w.Status, Reason: w.Reason, Created: w.CreatedAt}
	if !w.FailingSince.IsZero() {
		l.Failing = &w.FailingSince
	}
	return l
}

// deliveryLine is a delivery as the command line shows it.
type deliveryLine struct {
	ID      authcore.DeliveryID     `json:"id"`
	Event   string                  `json:"event_id,omitempty"`
	Type    string                  `json:"type"`
	Status  authcore.DeliveryStatus `json:"status"`
	Tries   int                     `json:"tries"`
	Created time.Time               `json:"created_at"`
	Due     *time.Time              `json:"due_at,omitempty"` // of the next try
	Tried   *time.Time              `json:"tried_at,omitempty"`
	Millis  int64                   `json:"took_ms"`
	Code    int                     `json:"answer_status"`
	Answer  string                  `json:"answer"`
	Failure string                  `json:"failure"`
	Request string                  `json:"request"`
}

func deliveryLineOf(d authcore.Delivery) deliveryLine {
	l := deliveryLine{ID: d.ID, Event: d.EventID, Type: d.Type, Status: d.Status, Tries: d.Tries, Created: d.CreatedAt, Millis: d.Took.Milliseconds(),
		Code: d.AnswerStatus, Answer: d.Answer, Failure: d.Failure}
	if d.Status == authcore.DeliveryWaiting {
		l.Due = &d.DueAt
	}
	if !d.TriedAt.IsZero() {
		l.Tried = &d.TriedAt
	}
	if body, there, err := d.Body(); err == nil && there {
		l.Request = string(body)
	}
	return l
}

func addWebhook(ctx context.Context, c *console, a webhookArgs) (any, error) {
	w, secret, err := c.accounts.CreateWebhook(ctx, authcore.CommandLine(), a.Org, authcore.NewWebhook{Name: a.Name, URL: a.URL, Events: a.Events})
	l := webhookLineOf(w)
	l.Secret = secret.Reveal()
	return l, err
}

func listWebhooks(ctx context.Context, c *console, a webhookArgs) (any, error) {
	found, err := c.accounts.Webhooks(ctx, authcore.CommandLine(), a.Org, authcore.ListQuery{After: a.After, Limit: a.Limit})
	lines := make([]webhookLine, 0, len(found))
	for _, w := range found {
		lines = append(lines, webhookLineOf(w))
	}
	return lines, err
}

func setWebhook(ctx context.Context, c *console, a webhookArgs) (any, error) {
	change := authcore.WebhookChange{Events: a.Events, On: a.On}
	if a.Name != "" {
		change.Name = &a.Name
	}
	if a.URL != "" {
		change.URL = &a.URL
	}
	w, err := c.accounts.UpdateWebhook(ctx, authcore.CommandLine(), a.Org, authcore.WebhookID(a.ID), change)
	return webhookLineOf(w), err
}

func rotateWebhook(ctx context.Context, c *console, a webhookArgs) (any, error) {
	secret, err := c.accounts.RotateWebhookSecret(ctx, authcore.CommandLine(), a.Org, authcore.WebhookID(a.ID))
	return webhookLine{ID: authcore.WebhookID(a.ID), Secret: secret.Reveal()}, err
}

func testWebhook(ctx context.Context, c *console, a webhookArgs) (any, error) {
	id, err := c.accounts.TestWebhook(ctx, authcore.CommandLine(), a.Org, authcore.WebhookID(a.ID))
	return deliveryLine{ID: id}, err
}

func deleteWebhook(ctx context.Context, c *console, a webhookArgs) (any, error) {
	return webhookLine{ID: authcore.WebhookID(a.ID)}, c.accounts.DeleteWebhook(ctx, authcore.CommandLine(), a.Org, authcore.WebhookID(a.ID))
}

func listDeliveries(ctx context.Context, c *console, a webhookArgs) (any, error) {
	found, err := c.accounts.Deliveries(ctx, authcore.CommandLine(), a.Org, authcore.WebhookID(a.ID), authcore.ListQuery{After: a.After, Limit: a.Limit})
	lines := make([]deliveryLine, 0, len(found))
	for _, d := range found {
		lines = append(lines, deliveryLineOf(d))
	}
	return lines, err
}

func resendDelivery(ctx context.Context, c *console, a webhookArgs) (any, error) {
	return deliveryLine{ID: authcore.DeliveryID(a.ID)}, c.accounts.ResendDelivery(ctx, authcore.CommandLine(), a.Org, authcore.DeliveryID(a.ID))
}
