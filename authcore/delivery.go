package authcore

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"
)

// DeliveryID is a UUIDv7 in its text form: the webhook-id of all tries.
type DeliveryID string

// DeliveryStatus is how far a delivery came.
type DeliveryStatus string

// The statuses.
const (
	DeliveryWaiting DeliveryStatus = "waiting" // for its time, or for an answer
	DeliveryDone    DeliveryStatus = "delivered"
	DeliveryLost    DeliveryStatus = "lost" // given up
)

// DeliveryKept is how long the log of deliveries is kept.
const DeliveryKept = 30 * 24 * time.Hour

// WebhookTest is the type of a delivery that somebody asked for, to try.
const WebhookTest = "webhook.test"

// Delivery is one event on its way to one webhook, and how the last try ended.
type Delivery struct {
	ID      DeliveryID
	Webhook WebhookID
	EventID string // empty for a test
	Type    string
	Status  DeliveryStatus
	Tries   int

	CreatedAt, DueAt time.Time
	TriedAt          time.Time // zero: never
	Took             time.Duration
	AnswerStatus     int    // of HTTP; 0 where none came
	Answer           string // what it said, cut
	Failure          string // why it did not work; empty where it did

	// Event is what it tells of; nil for a test, and for an event that was deleted since.
	// What is personal in it goes when the audit log forgets it.
	Event *Event
	Slug  string // of the event's organization
}

// message is what a webhook is sent: Standard Webhooks, "Payload structure".
type message struct {
	Type      string    `json:"type"`
	Timestamp time.Time `json:"timestamp"`
	Data      any       `json:"data"`
}

// EventData is an event as it is told to others.
type EventData struct {
	ID    string `json:"id"`
	Type  Action `json:"type,omitempty"` // where the message around it has none
	Time  string `json:"time,omitempty"`
	Actor struct {
		Kind ActorKind `json:"kind"`
		User UserID    `json:"user_id,omitempty"`
		Act  UserID    `json:"act,omitempty"` // the platform owner who acts as the user
	} `json:"actor"`
	Target       string             `json:"target"`
	Organization *EventOrganization `json:"organization"`
	Outcome      Outcome            `json:"outcome"`
	Details      string             `json:"details"`
	Address      string             `json:"address"`
}

// EventOrganization names the organization of an event. The slug is that of now, and empty
// where the organization was deleted.
type EventOrganization struct {
	ID   OrganizationID `json:"id"`
	Slug string         `json:"slug"`
}

// DataOf makes what is told of an event.
func DataOf(e *Event, slug string) EventData {
	d := EventData{ID: e.ID, Target: e.Target, Outcome: e.Outcome, Details: e.Details, Address: e.Actor.Client.Address}
	d.Actor.Kind, d.Actor.User, d.Actor.Act = e.Actor.Kind, e.Actor.User, e.Actor.Act
	if e.Organization != "" {
		d.Organization = &EventOrganization{e.Organization, slug}
	}
	return d
}

// Body is what the delivery sends, in JSON: the same at every try, unless what is personal
// was taken from the event between them. ok is false where the event was deleted.
func (d *Delivery) Body() (body []byte, ok bool, err error) {
	m := message{Type: d.Type, Timestamp: d.CreatedAt.UTC()}
	switch {
	case d.Event != nil:
		data := DataOf(d.Event, d.Slug)
		if d.Event.Organization != "" { // which is not told whence people of the platform act
			data.Address = ""
		}
		m.Timestamp, m.Data = d.Event.Time.UTC(), data
	case d.EventID == "":
		m.Data = map[string]string{"webhook": string(d.Webhook)}
	default:
		return nil, false, nil
	}
	body, err = json.Marshal(m)
	return body, true, err
}

// MessageOf makes the body of a message of another type.
func MessageOf(kind string, at time.Time, data any) ([]byte, error) {
	return json.Marshal(message{kind, at.UTC(), data})
}

// NewDelivery makes one that is due at once.
func NewDelivery(w WebhookID, event, kind string, now time.Time) Delivery {
	return Delivery{ID: DeliveryID(uuid.Must(uuid.NewV7()).String()), Webhook: w, EventID: event, Type: kind, Status: DeliveryWaiting, CreatedAt: now, DueAt: now}
}

// Deliveries lists what was delivered to a webhook.
func (a *Accounts) Deliveries(ctx context.Context, actor Actor, slug string, id WebhookID, q ListQuery) ([]Delivery, error) {
	if _, err := a.Webhook(ctx, actor, slug, id); err != nil {
		return nil, err
	}
	return a.Store.Deliveries(ctx, id, q)
}

// ResendDelivery sends a delivery again, with the same id, whether it worked or not.
func (a *Accounts) ResendDelivery(ctx context.Context, actor Actor, slug string, id DeliveryID) error {
	o, err := a.webhookPlace(ctx, actor, slug)
	if err != nil {
		return err
	}
	d, err := a.Store.DeliveryByID(ctx, id)
	if err != nil {
		return err
	}
	w, err := a.Store.WebhookByID(ctx, d.Webhook)
	switch {
	case ErrWebhookNotFound.is(err), err == nil && w.Organization != o:
		return ErrDeliveryNotFound
	case err != nil:
		return err
	case w.Status != WebhookActive:
		return ErrWebhookOff
	}
	if err = a.mayTry(o); err == nil {
		err = a.Store.ResendDelivery(ctx, id, a.Now())
	}
	if err == nil {
		a.Webhooking.Wake()
	}
	return err
}

// mayTry bounds what somebody has sent by hand: each is a request to another server.
func (a *Accounts) mayTry(o OrganizationID) error {
	if a.Webhooking.Tries == nil {
		return nil
	}
	if ok, after := a.Webhooking.Tries.Take(string(o)); !ok {
		return ErrTooManyAttempts.After(after)
	}
	return nil
}

// TestWebhook sends a webhook an event of the type WebhookTest.
func (a *Accounts) TestWebhook(ctx context.Context, actor Actor, slug string, id WebhookID) (DeliveryID, error) {
	w, err := a.Webhook(ctx, actor, slug, id)
	if err != nil {
		return "", err
	}
	if w.Status != WebhookActive {
		return "", ErrWebhookOff
	}
	d := NewDelivery(w.ID, "", WebhookTest, a.Now())
	if err = a.mayTry(w.Organization); err == nil {
		err = a.Store.CreateDelivery(ctx, d)
	}
	if err == nil {
		a.Webhooking.Wake()
	}
	return d.ID, err
}

// Waiting is what waits for one webhook.
type Waiting struct {
	Count int
	Due   time.Time // the first of it
}
