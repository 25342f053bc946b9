package connect

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// Flow is what a sign-in under way must remember to end. It is secret: who knows it can
// put a code of their own in.
type Flow struct {
	Nonce    string `json:"n"`           // OpenID Connect Core section 3.1.2.1
	Verifier string `json:"v"`           // RFC 7636 section 4.1
	Redirect string `json:"r"`           // where the provider sends the browser back to
	Fresh    int64  `json:"f,omitempty"` // the provider is to ask for a proof after this time, in Unix seconds; 0: it need not
}

// NewFlow begins a flow that comes back to the redirect address.
func NewFlow(redirect string) Flow {
	nonce, _ := authcore.NewToken()
	return Flow{Nonce: nonce.Reveal(), Verifier: oauth2.GenerateVerifier(), Redirect: redirect}
}

func (p *Provider) config(m *metadata, f *Flow) (oauth2.Config, error) {
	secret := p.ClientSecret.Reveal()
	if p.Kind == Apple && p.Own == nil { // an organization gives what such a key made
		var err error
		if secret, err = p.AppleKey.secret(p.ClientID, p.now()); err != nil {
			return oauth2.Config{}, err
		}
	}
	return oauth2.Config{ClientID: p.ClientID, ClientSecret: secret, Endpoint: p.endpointOf(m), RedirectURL: f.Redirect, Scopes: p.Scopes}, nil
}

// Begin gives the address that the browser is sent to. state comes back with it. The
// error is ErrAway.
func (p *Provider) Begin(ctx context.Context, f Flow, state string) (string, error) {
	m, err := p.discover(ctx)
	if err != nil {
		return "", err
	}
	c, err := p.config(m, &f)
	if err != nil {
		return "", err
	}
	options := append(slices.Clone(p.kind.options), oauth2.S256ChallengeOption(f.Verifier))
	if m.oidc != nil {
		options = append(options, oidc.Nonce(f.Nonce))
	}
	if f.Fresh != 0 {
		if p.kind.fresh != nil {
			options = append(options, p.kind.fresh...)
		} else {
			options = append(options, proveAgain...)
		}
	}
	return c.AuthCodeURL(state, options...), nil
}

// Finish takes what the provider sent the browser back with, and gives who has signed
// in. The errors are ErrRefused, ErrAnswer, ErrAway and ErrNotAllowed; with the last,
// the person is told too.
func (p *Provider) Finish(ctx context.Context, f Flow, answer url.Values) (*Person, *authcore.ProviderTokens, error) {
	m, err := p.discover(ctx)
	if err != nil {
		return nil, nil, err
	}
	if err := p.checkAnswer(m, answer); err != nil {
		return nil, nil, err
	}
	c, err := p.config(m, &f)
	if err != nil {
		return nil, nil, err
	}
	ctx = oidc.ClientContext(ctx, p.client)
	issued, err := c.Exchange(ctx, answer.Get("code"), oauth2.VerifierOption(f.Verifier))
	if err != nil {
		return nil, nil, p.exchangeError(err)
	}
	t := p.tokensOf(issued)
	who := &Person{Issuer: p.identityIssuer(), Claims: make(map[string]any)}
	if m.oidc != nil {
		if err := p.readIDToken(ctx, m, t, f.Nonce, who); err != nil {
			return nil, nil, ErrAnswer.With(brief(err))
		}
	}
	if err := p.checkFresh(&f, who); err != nil {
		return nil, nil, err
	}
	switch err = p.complete(ctx, m, who, t, answer); {
	case errors.Is(err, errGone): // of a moment ago
		return nil, nil, ErrAnswer.With(err)
	case err != nil && !errors.Is(err, ErrNotAllowed):
		return nil, nil, err
	}
	return who, t, err
}

// skew is by how much the clocks of others may be off.
const skew = time.Minute

// checkFresh looks whether the provider asked for a proof, where it was told to
// (OpenID Connect Core section 3.1.2.1, max_age). Of some kinds it is known that they
// do not say.
func (p *Provider) checkFresh(f *Flow, who *Person) error {
	switch {
	case f.Fresh == 0:
		return nil
	case who.AuthTime.IsZero() && slices.Contains([]string{OIDC, GitLab, Apple}, p.Kind):
		return ErrNotFresh.With(errors.New("the ID token has no auth_time, although max_age was asked for"))
	case !who.AuthTime.IsZero() && who.AuthTime.Before(time.Unix(f.Fresh, 0).Add(-skew)):
		return ErrNotFresh.With(fmt.Errorf("the proof is of %s", who.AuthTime.UTC().Format(time.RFC3339)))
	}
	return nil
}

// identityIssuer is what stands for the issuer of identities where there is no OpenID
// Connect.
func (p *Provider) identityIssuer() string {
	if p.Issuer != "" {
		return p.Issuer
	}
	if p.Kind == OAuth2 {
		return p.UserInfo // which names the subjects: one host may have several
	}
	u, err := url.Parse(p.kind.endpoint.AuthURL)
	if err != nil {
		return p.kind.endpoint.AuthURL
	}
	return u.Scheme + "://" + u.Host
}

// checkAnswer looks at the parameters of the redirect (RFC 6749 section 4.1.2, RFC
// 9207 section 2.4).
func (p *Provider) checkAnswer(m *metadata, answer url.Values) error {
	for name, all := range answer {
		if len(all) > 1 {
			return ErrAnswer.With(fmt.Errorf("%s is there more than once", name))
		}
	}
	issuer := answer.Get("iss")
	switch {
	case issuer == "" && m.document.TellsIssuer:
		return ErrAnswer.With(errors.New("the answer does not say its issuer, as this provider always does"))
	case issuer != "" && m.oidc != nil && p.anyTenant() == "" && issuer != p.Issuer:
		return ErrAnswer.With(fmt.Errorf("the answer is of issuer %q, not %q", issuer, p.Issuer))
	case answer.Get("error") != "":
		return ErrRefused.With(fmt.Errorf("it says %q: %q", answer.Get("error"), answer.Get("error_description")))
	case len(answer.Get("code")) > maxCode:
		return ErrAnswer.With(fmt.Errorf("the code is longer than %d bytes", maxCode))
	case answer.Get("code") == "":
		return ErrAnswer.With(errors.New("the answer has no code"))
	}
	return nil
}

// maxCode is the longest code that is taken to a provider, in bytes. Microsoft's have
// some 1,500.
const maxCode = 4096

// exchangeError tells a provider that refuses the code from one that is away.
func (p *Provider) exchangeError(err error) error {
	var refused *oauth2.RetrieveError
	if errors.As(err, &refused) && refused.Response != nil {
		switch status := refused.Response.StatusCode; {
		case refusesClient(refused.ErrorCode):
			return p.misconfigured(refused)
		case refused.ErrorCode != "" && status < 500:
			return ErrAnswer.With(fmt.Errorf("the code is refused: %q: %q", refused.ErrorCode, refused.ErrorDescription))
		case status >= 400 && status < 500 && status != http.StatusRequestTimeout && status != http.StatusTooManyRequests:
			return ErrAnswer.With(withoutBody(err))
		}
	}
	return ErrAway.With(withoutBody(err))
}

// refusesClient tells whether an error of a token endpoint is about the client, and not
// about what it sent.
// Source: RFC 6749 section 5.2; GitHub Docs, "Troubleshooting OAuth app access token
// request errors".
func refusesClient(code string) bool {
	return slices.Contains([]string{"invalid_client", "unauthorized_client", "incorrect_client_credentials"}, code)
}

// misconfigured says who can mend a client that the provider refuses.
func (p *Provider) misconfigured(refused *oauth2.RetrieveError) error {
	cause := fmt.Errorf("the provider refuses the client (%s): check client id and secret: %q", refused.ErrorCode, refused.ErrorDescription)
	if p.Own == nil {
		return ErrMisconfigured.With(cause)
	}
	return errOwnMisconfigured.With(fmt.Errorf("of organization %s: %w", p.Own.Slug, cause))
}

// brief cuts an error off that shows all that a provider sent.
func brief(err error) error {
	const most = 300 // bytes
	if text := err.Error(); len(text) > most {
		return errors.New(strings.ToValidUTF8(text[:most], "") + " ...")
	}
	return err
}

// withoutBody takes what a provider sent from an error: nobody knows what is in it.
func withoutBody(err error) error {
	var refused *oauth2.RetrieveError
	if errors.As(err, &refused) && refused.Response != nil {
		return fmt.Errorf("the token endpoint answers with %d %q", refused.Response.StatusCode, refused.ErrorCode)
	}
	return err
}

func (p *Provider) tokensOf(issued *oauth2.Token) *authcore.ProviderTokens {
	t := &authcore.ProviderTokens{Access: authcore.Secret(issued.AccessToken), Refresh: authcore.Secret(issued.RefreshToken), Expires: issued.Expiry, To: p.IssuedTo()}
	if id, ok := issued.Extra("id_token").(string); ok {
		t.ID = authcore.Secret(id)
	}
	if scope, ok := issued.Extra("scope").(string); ok {
		if p.Kind == GitHub {
			scope = strings.ReplaceAll(scope, ",", " ")
		}
		t.Scopes = strings.Fields(scope)
	}
	return t
}
