package connect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// metadata is what a provider says of itself (OpenID Connect Discovery 1.0 section 3).
type metadata struct {
	endpoint oauth2.Endpoint
	oidc     *oidc.Provider // nil where the provider has no OpenID Connect
	document document
	at       time.Time
}

// document is what go-oidc does not tell of the document.
type document struct {
	UserInfo    string   `json:"userinfo_endpoint"`
	EndSession  string   `json:"end_session_endpoint"`
	TellsIssuer bool     `json:"authorization_response_iss_parameter_supported"`
	Keys        string   `json:"jwks_uri"`
	ClientAuth  []string `json:"token_endpoint_auth_methods_supported"`
}

type failure struct {
	err error
	at  time.Time
}

const (
	// retryAfter is for how long a provider that failed is not asked again.
	retryAfter = 5 * time.Second
	// metadataLife is for how long what it says of itself is used; after that it is
	// asked again, and the old stays in use until it answers.
	metadataLife = 24 * time.Hour
)

// Away tells why the provider cannot be used, as far as is known.
func (p *Provider) Away() error {
	if f := p.failed.Load(); f != nil && p.known.Load() == nil {
		return f.err
	}
	return nil
}

// discover gives what the provider says of itself. One of several callers asks it;
// those who come soon after a failure get the same.
func (p *Provider) discover(ctx context.Context) (*metadata, error) {
	known := p.known.Load()
	if known != nil && p.now().Sub(known.at) < metadataLife {
		return known, nil
	}
	p.asking.Lock()
	defer p.asking.Unlock()
	if now := p.known.Load(); now != known {
		return now, nil
	}
	f := p.failed.Load()
	if f == nil || p.now().Sub(f.at) >= retryAfter {
		fresh, err := p.fetchMetadata(ctx)
		if err == nil {
			p.known.Store(fresh)
			p.failed.Store(nil)
			return fresh, nil
		}
		f = &failure{ErrAway.With(brief(err)), p.now()}
		if ctx.Err() == nil { // or else it is who asked that went away
			p.failed.Store(f)
		}
	}
	if known != nil {
		return known, nil
	}
	return nil, f.err
}

func (p *Provider) fetchMetadata(ctx context.Context) (*metadata, error) {
	if p.Issuer == "" {
		return &metadata{endpoint: p.kind.endpoint, at: p.now()}, nil
	}
	ctx = oidc.ClientContext(ctx, p.client)
	if tenant := p.anyTenant(); tenant != "" {
		ctx = oidc.InsecureIssuerURLContext(ctx, tenant)
	}
	found, err := oidc.NewProvider(ctx, p.Issuer)
	if err != nil {
		return nil, fmt.Errorf("%s%s: %w", strings.TrimSuffix(p.Issuer, "/"), wellKnown, err)
	}
	m := &metadata{endpoint: found.Endpoint(), oidc: found, at: p.now()}
	if err := found.Claims(&m.document); err != nil {
		return nil, err
	}
	for _, address := range []string{m.endpoint.AuthURL, m.endpoint.TokenURL, m.document.Keys, cmp.Or(m.document.UserInfo, p.Issuer), cmp.Or(m.document.EndSession, p.Issuer)} {
		address, _, _ = strings.Cut(address, "?")
		if err := checkAddress(address); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// endpointOf is where a provider is asked, and how the client proves there who it is:
// trying one way after the other could use up a code (OpenID Connect Core section 9).
func (p *Provider) endpointOf(m *metadata) oauth2.Endpoint {
	e := m.endpoint
	if m.oidc == nil {
		return e
	}
	e.AuthStyle = oauth2.AuthStyleInHeader
	methods := m.document.ClientAuth
	if p.ClientSecret == "" || len(methods) > 0 && !slices.Contains(methods, "client_secret_basic") && slices.Contains(methods, "client_secret_post") {
		e.AuthStyle = oauth2.AuthStyleInParams
	}
	return e
}

// verifier checks ID tokens that are issued to the client.
func (p *Provider) verifier(m *metadata) *oidc.IDTokenVerifier {
	return m.oidc.Verifier(&oidc.Config{ClientID: p.ClientID, Now: p.now,
		SkipIssuerCheck: p.anyTenant() != ""}) // microsoftPerson checks it
}

// PostsAnswer tells whether the provider sends browsers back with a form.
func (p *Provider) PostsAnswer() bool { return slices.Contains(p.kind.options, formPost) }

// MayEndSessions tells whether the provider offers to end sessions, or is not known not
// to.
func (p *Provider) MayEndSessions() bool {
	m := p.known.Load()
	return p.Issuer != "" && (m == nil || m.document.EndSession != "")
}

// wellKnown is what stands behind an issuer at the address of its document.
const wellKnown = "/.well-known/openid-configuration"

// Discover asks for the provider's metadata, unless it is known.
func (p *Provider) Discover(ctx context.Context) error {
	_, err := p.discover(ctx)
	return err
}

// Run asks for the provider's metadata until it has answered once, so that the first
// person does not wait for it, and then daily. report is told how each try ended.
func (p *Provider) Run(ctx context.Context, report func(error)) {
	for wait := time.Second; ; {
		err := p.Discover(ctx)
		if ctx.Err() == nil {
			report(err)
		}
		next := metadataLife
		if err != nil {
			next, wait = wait, min(2*wait, time.Minute)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(next):
		}
	}
}

var errNoToken = errors.New("the provider issued no access token")
