package authcore

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gatehouse-auth/gatehouse/authcore/access"
)

// ProviderClient is an organization's own client at an outside provider, in place of the
// platform's.
type ProviderClient struct {
	Name      string // of the provider, as configuration has it
	ClientID  string
	Sealed    string // the secret, encrypted
	CreatedAt time.Time
	UpdatedAt time.Time
}

// ClientStore keeps organizations' own clients at providers. Every method that changes
// something is one transaction that writes its event along.
type ClientStore interface {
	// SetProviderClient adds or replaces one: ErrOrganizationNotFound, ErrTooManyClients.
	SetProviderClient(ctx context.Context, id OrganizationID, c ProviderClient, ev Event) error
	// ProviderClients lists those of an organization by name.
	ProviderClients(ctx context.Context, id OrganizationID) ([]ProviderClient, error)
	// ProviderClient finds one of an organization that is active, by the slug, or returns
	// ErrClientNotFound.
	ProviderClient(ctx context.Context, slug, name string) (OrganizationID, ProviderClient, error)
	// DeleteProviderClient deletes one, or returns ErrClientNotFound.
	DeleteProviderClient(ctx context.Context, id OrganizationID, name string, ev Event) error
}

// The bounds of clients.
const (
	MaxProviderClients = 20 // of an organization
	maxClientText      = 512
)

// The errors of clients.
var (
	ErrClientNotFound = &Error{Kind: NotFound, Code: "provider_not_found", Message: "The organization has no client of its own at this provider."}
	ErrClientInvalid  = &Error{Kind: Invalid, Code: "provider_client_invalid", Field: "client_id", Message: "Give the provider's name, and the client id and secret that it gave you, of 512 characters at most."}
	ErrTooManyClients = &Error{Kind: Conflict, Code: "too_many_providers", Message: "The organization has as many clients as it can have."}
	errForeignClient  = errors.New("the secret that is kept is of another client")
)

// sealedClient is a secret as it is sealed: it opens for its own client only.
type sealedClient struct {
	Organization OrganizationID `json:"o"`
	Name         string         `json:"n"`
	Client       string         `json:"c"`
	Secret       string         `json:"s"`
}

// SetOrganizationProvider gives an organization a client of its own at a provider, or
// changes it.
func (a *Accounts) SetOrganizationProvider(ctx context.Context, actor Actor, slug, name, clientID string, secret Secret) error {
	if err := actor.inPerson(); err != nil {
		return err
	}
	o, err := a.authorize(ctx, actor, slug, IntegrationsManage)
	if err != nil {
		return err
	}
	clientID, secret = strings.TrimSpace(clientID), Secret(strings.TrimSpace(secret.Reveal()))
	for _, text := range []string{clientID, secret.Reveal()} {
		if text == "" || len(text) > maxClientText || hasControl(text) || !utf8.ValidString(text) {
			return ErrClientInvalid
		}
	}
	if !access.ValidSlug(name) {
		return ErrClientInvalid
	}
	plain, _ := json.Marshal(sealedClient{o.ID, name, clientID, secret.Reveal()}) // texts always can be
	c := ProviderClient{Name: name, ClientID: clientID, Sealed: a.ClientSealer.Seal(plain), CreatedAt: a.Now(), UpdatedAt: a.Now()}
	return a.Store.SetProviderClient(ctx, o.ID, c, a.eventIn(o, actor, ProviderSet, name+", client "+clientID))
}

// OrganizationProviders lists the clients of an organization at providers, without their
// secrets.
func (a *Accounts) OrganizationProviders(ctx context.Context, actor Actor, slug string) ([]ProviderClient, error) {
	o, err := a.authorize(ctx, actor, slug, IntegrationsManage)
	if err != nil {
		return nil, err
	}
	all, err := a.Store.ProviderClients(ctx, o.ID)
	for i := range all {
		all[i].Sealed = ""
	}
	return all, err
}

// OrganizationProvider gives one of them, or ErrClientNotFound.
func (a *Accounts) OrganizationProvider(ctx context.Context, actor Actor, slug, name string) (ProviderClient, error) {
	all, err := a.OrganizationProviders(ctx, actor, slug)
	if err != nil {
		return ProviderClient{}, err
	}
	for _, c := range all {
		if c.Name == name {
			return c, nil
		}
	}
	return ProviderClient{}, ErrClientNotFound
}

// DeleteOrganizationProvider deletes a client of an organization: the platform's takes its
// place. ErrClientNotFound.
func (a *Accounts) DeleteOrganizationProvider(ctx context.Context, actor Actor, slug, name string) error {
	o, err := a.authorize(ctx, actor, slug, IntegrationsManage)
	if err != nil {
		return err
	}
	return a.Store.DeleteProviderClient(ctx, o.ID, name, a.eventIn(o, actor, ProviderDelete, name))
}

// OwnClient is an organization's own client at a provider, as it is used.
type OwnClient struct {
	Organization OrganizationID
	Slug         string
	ClientID     string
	Secret       Secret
}

// ClientOf gives the client of an active organization at a provider; nil where the
// organization has none.
func (a *Accounts) ClientOf(ctx context.Context, slug, name string) (*OwnClient, error) {
	id, c, err := a.Store.ProviderClient(ctx, slug, name)
	if ErrClientNotFound.is(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	text, err := a.ClientSealer.OpenKept(c.Sealed)
	if err != nil {
		return nil, err
	}
	var kept sealedClient
	if err := json.Unmarshal(text, &kept); err != nil || kept.Organization != id || kept.Name != name || kept.Client != c.ClientID {
		return nil, errForeignClient
	}
	return &OwnClient{Organization: id, Slug: slug, ClientID: c.ClientID, Secret: Secret(kept.Secret)}, nil
}
