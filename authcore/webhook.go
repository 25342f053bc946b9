package authcore

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/gatehouse-auth/gatehouse/authcore/limit"
)

// WebhookID is a UUIDv7 in its text form.
type WebhookID string

// WebhookStatus tells whether a webhook is told of events.
type WebhookStatus string

// The statuses. Only an active webhook is told of anything.
const (
	WebhookActive WebhookStatus = "active"
	WebhookOff    WebhookStatus = "off"    // by somebody's choice
	WebhookFailed WebhookStatus = "failed" // it had failed for too long, or was gone
)

// Webhook is an address that is told of events, by the Standard Webhooks specification.
type Webhook struct {
	ID           WebhookID
	Organization OrganizationID // empty: of the platform, and told of all events
	Name         string         // to show
	URL          string
	Events       EventTypes
	Status       WebhookStatus
	Reason       string    // of the status failed
	Sealed       string    // its secrets; see SealWebhookSecrets
	FailingSince time.Time // of the first failure after the last success; zero while it works
	CreatedAt    time.Time
	UpdatedAt    time.Time
}

// Wants tells whether a webhook is to be told of an event: one that it chose, of its
// organization, that is not from before it.
func (w *Webhook) Wants(e *Event) bool {
	return w.Status == WebhookActive && (w.Organization == "" || w.Organization == e.Organization) && !e.Time.Before(w.CreatedAt) && w.Events.Want(e.Action)
}

// TargetWebhook is the target text for a webhook.
func TargetWebhook(id WebhookID) string { return "webhook:" + string(id) }

// WebhookOverlap is how long deliveries are signed with the secret before too, after it
// was changed.
const WebhookOverlap = 24 * time.Hour

// WebhookSecrets sign deliveries. Each is "whsec_" and base64 of 24 to 64 bytes.
type WebhookSecrets struct {
	Current  Secret
	Previous Secret    // signs as well
	Until    time.Time // when Previous ends
}

// At gives the secrets to sign with at a time, the current one first.
func (s WebhookSecrets) At(now time.Time) []Secret {
	if s.Previous != "" && now.Before(s.Until) {
		return []Secret{s.Current, s.Previous}
	}
	return []Secret{s.Current}
}

// The parts of a secret: Standard Webhooks, "Secret format".
const (
	webhookSecretPrefix = "whsec_"
	webhookSecretBytes  = 32
)

// NewWebhookSecret makes a secret of 256 bits.
func NewWebhookSecret() Secret {
	var raw [webhookSecretBytes]byte
	rand.Read(raw[:])
	return Secret(webhookSecretPrefix + base64.StdEncoding.EncodeToString(raw[:]))
}

// ErrWebhookSecret says that a text is no secret of a webhook.
var ErrWebhookSecret = &Error{Kind: Invalid, Code: "webhook_secret_invalid", Message: "A secret is whsec_ and base64 of 24 to 64 bytes."}

// ParseWebhookSecret gives the key that a secret stands for: ErrWebhookSecret.
func ParseWebhookSecret(s Secret) ([]byte, error) {
	text, ok := strings.CutPrefix(s.Reveal(), webhookSecretPrefix)
	key, err := base64.StdEncoding.DecodeString(text)
	if !ok || err != nil || len(key) < 24 || len(key) > 64 {
		return nil, ErrWebhookSecret
	}
	return key, nil
}

// sealedSecrets are secrets as they are sealed, with whose they are: those of one webhook
// do not open for another.
type sealedSecrets struct {
	Webhook           WebhookID
	Current, Previous string
	Until             time.Time
}

// SealWebhookSecrets makes the form in which secrets are stored.
func SealWebhookSecrets(sealer *Sealer, id WebhookID, s WebhookSecrets) (string, error) {
	text, err := json.Marshal(sealedSecrets{id, s.Current.Reveal(), s.Previous.Reveal(), s.Until})
	return sealer.Seal(text), err
}

// OpenWebhookSecrets gives the secrets of a webhook.
func OpenWebhookSecrets(sealer *Sealer, w *Webhook) (WebhookSecrets, error) {
	text, err := sealer.OpenKept(w.Sealed)
	var s sealedSecrets
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	if err == nil && s.Webhook != w.ID {
		err = ErrSealBroken
	}
	if err != nil {
		return WebhookSecrets{}, fmt.Errorf("the secret of webhook %s: %w", w.ID, err)
	}
	return WebhookSecrets{Secret(s.Current), Secret(s.Previous), s.Until}, nil
}

// WebhookStore keeps webhooks and what they are told. Every method is one transaction.
type WebhookStore interface {
	// CreateWebhook adds one: ErrWebhookLimit where there are most already,
	// ErrOrganizationNotFound. It is told of what happens from now on.
	CreateWebhook(ctx context.Context, w Webhook, most int, ev Event) error
	// WebhookByID finds one, or returns ErrWebhookNotFound.
	WebhookByID(ctx context.Context, id WebhookID) (Webhook, error)
	// Webhooks lists those of an organization, or of the platform for "".
	Webhooks(ctx context.Context, o OrganizationID, q ListQuery) ([]Webhook, error)
	// UpdateWebhook writes what may change of one, if it is as it was at a time
	// (UpdatedAt); else ErrWebhookMoved. What waits for one that is not active is given up.
	UpdateWebhook(ctx context.Context, w Webhook, was time.Time, ev Event, mail ...Post) error
	// DeleteWebhook deletes one with its deliveries: ErrWebhookNotFound.
	DeleteWebhook(ctx context.Context, id WebhookID, ev Event) error
	// OwnersOf lists the active users who own an organization, or the platform for "".
	OwnersOf(ctx context.Context, o OrganizationID) ([]User, error)
	// CreateDelivery adds one that no event has caused.
	CreateDelivery(ctx context.Context, d Delivery) error
	// DeliveryByID finds one, or returns ErrDeliveryNotFound.
	DeliveryByID(ctx context.Context, id DeliveryID) (Delivery, error)
	// Deliveries lists those of a webhook.
	Deliveries(ctx context.Context, w WebhookID, q ListQuery) ([]Delivery, error)
	// ResendDelivery makes one due at a time, with all its tries before it:
	// ErrDeliveryNotFound.
	ResendDelivery(ctx context.Context, id DeliveryID, at time.Time) error
}

// The errors of webhooks.
var (
	ErrWebhookNotFound  = &Error{Kind: NotFound, Code: "webhook_not_found", Message: "There is no such webhook."}
	ErrDeliveryNotFound = &Error{Kind: NotFound, Code: "delivery_not_found", Message: "There is no such delivery."}
	ErrWebhookLimit     = &Error{Kind: Conflict, Code: "webhook_limit_exceeded", Message: "There are as many webhooks as there may be."}
	ErrWebhookMoved     = &Error{Kind: Conflict, Code: "webhook_moved", Message: "Somebody else has changed the webhook meanwhile. Look at it and try again."}
	ErrWebhookOff       = &Error{Kind: Conflict, Code: "webhook_off", Message: "The webhook is off. Switch it on first."}
	ErrWebhookURL       = &Error{Kind: Invalid, Code: "webhook_url_invalid", Field: "url", Message: "Give an address that begins with https://, without a name and password in it."}
)

// The bounds of webhooks.
const (
	maxWebhookURL = 2048 // bytes
	// MaxWebhooks is how many there are
	MaxWebhooks = 20 // of one organization, and of the platform
)

// Webhooking is what the accounts need to look after webhooks.
type Webhooking struct {
	Sealer *Sealer // of secrets
	// CheckURL refuses an address that could never be reached, with a sentence for people.
	CheckURL func(*url.URL) error
	// Wake is called when something is due.
	Wake func()
	// Tries bounds the tests and the deliveries that are sent again, by organization; nil for
	// no bound.
	Tries *limit.Limiter
}

// checkWebhookURL refuses what no webhook can be at.
func (a *Accounts) checkWebhookURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || len(text) > maxWebhookURL || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil ||
		u.Fragment != "" || clean(text, maxWebhookURL) != text || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' }) {
		return ErrWebhookURL
	}
	if err := a.Webhooking.CheckURL(u); err != nil {
		return &Error{Kind: Invalid, Code: ErrWebhookURL.Code, Field: ErrWebhookURL.Field, Message: err.Error()}
	}
	return nil
}

// webhookPlace finds the organization that a slug names, or the platform for "", where the
// actor may manage webhooks.
func (a *Accounts) webhookPlace(ctx context.Context, actor Actor, slug string) (OrganizationID, error) {
	if slug == "" {
		return "", a.platform(ctx, actor)
	}
	o, err := a.authorize(ctx, actor, slug, WebhooksManage)
	return o.ID, err
}

// Webhook finds a webhook in the place that a slug names.
func (a *Accounts) Webhook(ctx context.Context, actor Actor, slug string, id WebhookID) (Webhook, error) {
	o, err := a.webhookPlace(ctx, actor, slug)
	if err != nil {
		return Webhook{}, err
	}
	w, err := a.Store.WebhookByID(ctx, id)
	if err == nil && w.Organization != o {
		err = ErrWebhookNotFound
	}
	if err != nil {
		return Webhook{}, err
	}
	return w, nil
}

// webhookEvent makes an event about a webhook.
func (a *Accounts) webhookEvent(actor Actor, action Action, w *Webhook, details string) Event {
	return a.event(actor, action, TargetWebhook(w.ID), Success, details).In(w.Organization)
}

// NewWebhook is what a webhook is made of.
type NewWebhook struct {
	Name   string // empty: the host of the URL
	URL    string
	Events []string
}

// CreateWebhook makes a webhook of the organization with a slug, or of the platform for "".
// The secret is shown this once.
func (a *Accounts) CreateWebhook(ctx context.Context, actor Actor, slug string, n NewWebhook) (Webhook, Secret, error) {
	if err := actor.inPerson(); err != nil {
		return Webhook{}, "", err
	}
	o, err := a.webhookPlace(ctx, actor, slug)
	if err != nil {
		return Webhook{}, "", err
	}
	now := a.Now()
	w := Webhook{ID: WebhookID(uuid.Must(uuid.NewV7()).String()), Organization: o, Status: WebhookActive, CreatedAt: now, UpdatedAt: now}
	if err := a.describeWebhook(&w, &n.Name, &n.URL, n.Events); err != nil {
		return Webhook{}, "", err
	}
	secrets := WebhookSecrets{Current: NewWebhookSecret()}
	if w.Sealed, err = SealWebhookSecrets(a.Webhooking.Sealer, w.ID, secrets); err != nil {
		return Webhook{}, "", err
	}
	if err := a.Store.CreateWebhook(ctx, w, MaxWebhooks, a.webhookEvent(actor, WebhookCreate, &w, w.Name+": "+w.Events.String())); err != nil {
		return Webhook{}, "", err
	}
	return w, secrets.Current, nil
}

// describeWebhook sets what is given of name, URL and events.
func (a *Accounts) describeWebhook(w *Webhook, name, address *string, events []string) (err error) {
	if address != nil {
		w.URL = strings.TrimSpace(*address)
		if err := a.checkWebhookURL(w.URL); err != nil {
			return err
		}
	}
	if name != nil {
		if w.Name = strings.TrimSpace(*name); w.Name == "" {
			if u, err := url.Parse(w.URL); err == nil {
				w.Name = clean(u.Hostname(), 64)
			}
		}
		if err := CheckName(w.Name); err != nil {
			return err
		}
	}
	if events != nil || w.Events == nil {
		w.Events, err = ParseEventTypes(events)
	}
	return err
}

// WebhookChange says what is to change of a webhook; nil leaves as it is.
type WebhookChange struct {
	Name, URL *string
	Events    []string
	On        *bool
}

// UpdateWebhook changes a webhook. One that is switched on again is told of what happens
// from then on, and has all its time to work.
func (a *Accounts) UpdateWebhook(ctx context.Context, actor Actor, slug string, id WebhookID, c WebhookChange) (Webhook, error) {
	w, err := a.Webhook(ctx, actor, slug, id)
	if err != nil {
		return Webhook{}, err
	}
	if err := a.describeWebhook(&w, c.Name, c.URL, c.Events); err != nil {
		return Webhook{}, err
	}
	if c.On != nil && *c.On != (w.Status == WebhookActive) {
		w.Status, w.Reason, w.FailingSince = WebhookOff, "", time.Time{}
		if *c.On {
			w.Status = WebhookActive
		}
	}
	err = a.writeWebhook(ctx, &w, a.webhookEvent(actor, WebhookUpdate, &w, w.Name+", "+string(w.Status)+": "+w.Events.String()))
	return w, err
}

// writeWebhook writes a webhook that was read, unless somebody else has meanwhile.
func (a *Accounts) writeWebhook(ctx context.Context, w *Webhook, ev Event, mail ...Post) error {
	was := w.UpdatedAt
	if w.UpdatedAt = ev.Time; !w.UpdatedAt.After(was) {
		w.UpdatedAt = was.Add(time.Microsecond)
	}
	return a.Store.UpdateWebhook(ctx, *w, was, ev, mail...)
}

// RotateWebhookSecret gives a webhook a new secret, which is shown this once. Deliveries are
// signed with both for WebhookOverlap.
func (a *Accounts) RotateWebhookSecret(ctx context.Context, actor Actor, slug string, id WebhookID) (Secret, error) {
	if err := actor.inPerson(); err != nil {
		return "", err
	}
	w, err := a.Webhook(ctx, actor, slug, id)
	if err != nil {
		return "", err
	}
	was, err := OpenWebhookSecrets(a.Webhooking.Sealer, &w)
	if err != nil {
		return "", err
	}
	secrets := WebhookSecrets{Current: NewWebhookSecret(), Previous: was.Current, Until: a.Now().Add(WebhookOverlap)}
	if w.Sealed, err = SealWebhookSecrets(a.Webhooking.Sealer, w.ID, secrets); err != nil {
		return "", err
	}
	if err := a.writeWebhook(ctx, &w, a.webhookEvent(actor, WebhookRotate, &w, w.Name)); err != nil {
		return "", err
	}
	return secrets.Current, nil
}

// DeleteWebhook deletes a webhook with all that was to be delivered.
func (a *Accounts) DeleteWebhook(ctx context.Context, actor Actor, slug string, id WebhookID) error {
	w, err := a.Webhook(ctx, actor, slug, id)
	if err != nil {
		return err
	}
	return a.Store.DeleteWebhook(ctx, id, a.webhookEvent(actor, WebhookDelete, &w, w.Name))
}

// Webhooks lists the webhooks of the organization with a slug, or of the platform for "".
func (a *Accounts) Webhooks(ctx context.Context, actor Actor, slug string, q ListQuery) ([]Webhook, error) {
	o, err := a.webhookPlace(ctx, actor, slug)
	if err != nil {
		return nil, err
	}
	return a.Store.Webhooks(ctx, o, q)
}

// DisableWebhook stops a webhook that does not work, and tells its owners by mail. It is
// done by Gatehouse itself; one that is not active any more stays as it is.
func (a *Accounts) DisableWebhook(ctx context.Context, id WebhookID, reason string) error {
	w, err := a.Store.WebhookByID(ctx, id)
	if err != nil || w.Status != WebhookActive {
		return err
	}
	w.Status, w.Reason = WebhookFailed, clean(reason, maxReason)
	mail, err := a.tellOwners(ctx, &w)
	if err != nil {
		return err
	}
	return a.writeWebhook(ctx, &w, a.webhookEvent(Actor{Kind: ActorSystem}, WebhookDisable, &w, w.Name+": "+w.Reason), mail...)
}

// tellOwners makes a message to each owner of a webhook that was disabled.
func (a *Accounts) tellOwners(ctx context.Context, w *Webhook) (mail []Post, err error) {
	if a.Mail == nil {
		return nil, nil
	}
	owners, err := a.Store.OwnersOf(ctx, w.Organization)
	owners = slices.DeleteFunc(owners, func(u User) bool { return !u.EmailVerified || u.Email == "" })
	for _, u := range owners {
		p, err := a.letter(u.ID, Letter{Kind: MailWebhook, To: u.Email, Username: u.Username, Origin: a.Mail.Origin, Webhook: w.Name, Address: w.URL, Reason: w.Reason})
		if err != nil {
			return nil, err
		}
		mail = append(mail, p)
	}
	return mail, err
}
