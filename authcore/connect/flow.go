package connect

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
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
	if p.Kind == Apple {
		var err error
		if secret, err = p.AppleKey.secret(p.ClientID, p.now()); err != nil {
			return oauth2.Config{}, err
		}
	}
	return oauth2.Config{ClientID: p.ClientID, ClientSecret: secret, Endpoint: m.endpoint, RedirectURL: f.Redirect, Scopes: p.Scopes}, nil
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
	if m.verifier != nil {
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
// in. The errors are ErrCancelled, ErrAnswer, ErrAway and ErrNotAllowed; with the last,
// the person is told too.
func (p *Provider) Finish(ctx context.Context, f Flow, answer url.Values) (*Person, *Tokens, error) {
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
		return nil, nil, exchangeError(err)
	}
	t := p.tokensOf(issued)
	who := &Person{Issuer: p.identityIssuer(), Claims: make(map[string]any)}
	if m.verifier != nil {
		if err := p.readIDToken(ctx, m, t, f.Nonce, who); err != nil {
			return nil, nil, ErrAnswer.With(brief(err))
		}
	}
	if err := p.checkFresh(&f, who); err != nil {
		return nil, nil, err
	}
	err = p.complete(ctx, m, who, t, answer)
	if err != nil && !errors.Is(err, ErrNotAllowed) {
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
	case issuer != "" && m.verifier != nil && p.anyTenant() == "" && issuer != p.Issuer:
		return ErrAnswer.With(fmt.Errorf("the answer is of issuer %q, not %q", issuer, p.Issuer))
	case answer.Get("error") != "":
		return ErrCancelled.With(fmt.Errorf("it says %q: %q", answer.Get("error"), answer.Get("error_description")))
	case answer.Get("code") == "":
		return ErrAnswer.With(errors.New("the answer has no code"))
	}
	return nil
}

// exchangeError tells a provider that refuses the code from one that is away.
func exchangeError(err error) error {
	var refused *oauth2.RetrieveError
	if errors.As(err, &refused) && refused.Response != nil && refused.Response.StatusCode < 500 && refused.ErrorCode != "" {
		return ErrAnswer.With(fmt.Errorf("the code is refused: %q: %q", refused.ErrorCode, refused.ErrorDescription))
	}
	return ErrAway.With(withoutBody(err))
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
		return fmt.Errorf("the token endpoint answers with %d", refused.Response.StatusCode)
	}
	return err
}

func (p *Provider) tokensOf(issued *oauth2.Token) *Tokens {
	t := &Tokens{Access: authcore.Secret(issued.AccessToken), Refresh: authcore.Secret(issued.RefreshToken), Expires: issued.Expiry}
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

// readIDToken checks an ID token (OpenID Connect Core section 3.1.3.7) and takes over
// what it says. An empty nonce is not compared: a token that was refreshed may have
// none (section 12.2).
func (p *Provider) readIDToken(ctx context.Context, m *metadata, t *Tokens, nonce string, who *Person) error {
	if t.ID == "" {
		return errors.New("the provider issued no ID token")
	}
	token, err := m.verifier.Verify(ctx, t.ID.Reveal())
	if err != nil {
		return err
	}
	if nonce != "" && subtle.ConstantTimeCompare([]byte(token.Nonce), []byte(nonce)) != 1 {
		return errors.New("the ID token is for another sign-in: its nonce is not ours")
	}
	if token.AccessTokenHash != "" {
		if err := token.VerifyAccessToken(t.Access.Reveal()); err != nil {
			return err
		}
	}
	if err := decode(token.Claims, &who.Claims); err != nil {
		return err
	}
	if party := text(who.Claims, "azp"); party != "" && party != p.ClientID || party == "" && len(token.Audience) > 1 {
		return fmt.Errorf("the ID token is for another client: azp %q, aud %q", party, token.Audience)
	}
	if token.Subject == "" || len(token.Subject) > maxSubject {
		return errors.New("the ID token names no subject, or one of more than 255 bytes")
	}
	who.Subject, who.SessionID = token.Subject, text(who.Claims, "sid")
	if p.anyTenant() != "" {
		who.Issuer = token.Issuer
	}
	if len(who.SessionID) > maxSubject {
		return errors.New("the ID token has a sid of more than 255 bytes")
	}
	if at, err := strconv.ParseInt(text(who.Claims, "auth_time"), 10, 64); err == nil {
		who.AuthTime = time.Unix(at, 0)
	}
	who.SecondFactor = slices.Contains(values(who.Claims, "amr"), "mfa")
	return nil
}

// maxSubject is the longest subject, in bytes (OpenID Connect Core section 2).
const maxSubject = 255

// complete asks for what the tokens do not say. It returns ErrNotAllowed where no rule
// lets the person in, and the person is complete all the same.
func (p *Provider) complete(ctx context.Context, m *metadata, who *Person, t *Tokens, answer url.Values) error {
	if m.verifier != nil {
		if err := p.userInfo(ctx, m, who, t); err != nil {
			return err
		}
		who.Username = text(who.Claims, "preferred_username")
		who.Name, who.Email = text(who.Claims, "name"), text(who.Claims, "email")
		who.EmailVerified = truth(who.Claims, "email_verified")
	}
	if p.kind.person != nil {
		if err := p.kind.person(ctx, p, who, t, answer); err != nil {
			return err
		}
	}
	if who.Subject == "" || len(who.Subject) > maxSubject {
		return ErrAnswer.With(errors.New("the provider names no subject"))
	}
	if authcore.CheckEmail(who.Email) != nil {
		who.Email, who.EmailVerified = "", false
	}
	if authcore.CheckName(who.Name) != nil {
		who.Name = ""
	}
	who.EmailVerified = who.EmailVerified && who.Email != ""
	if !slices.ContainsFunc(p.Allow, func(r Rule) bool { return r.Holds(who) }) {
		return ErrNotAllowed.With(fmt.Errorf("no allow rule holds for %q (%q)", who.Username, who.Email))
	}
	return nil
}

// userInfo adds the claims of the UserInfo endpoint, where there is one and it is asked
// for anything that the ID token does not hold (OpenID Connect Core section 5.3).
func (p *Provider) userInfo(ctx context.Context, m *metadata, who *Person, t *Tokens) error {
	_, named := who.Claims["email"]
	if !named { // what is verified, by the ID token, is then no address that it tells
		delete(who.Claims, "email_verified")
		delete(who.Claims, "xms_edov")
	}
	if m.document.UserInfo == "" || named && !p.asksForMore(who) {
		return nil
	}
	if t.Access == "" {
		return ErrAnswer.With(errNoToken)
	}
	info, err := m.oidc.UserInfo(oidc.ClientContext(ctx, p.client), oauth2.StaticTokenSource(&oauth2.Token{AccessToken: t.Access.Reveal()}))
	if err != nil {
		return ErrAway.With(errors.New("its UserInfo endpoint does not answer as it should")) // the error may hold what it sent
	}
	if info.Subject != who.Subject {
		return ErrAnswer.With(fmt.Errorf("UserInfo is of subject %q, the ID token of %q", info.Subject, who.Subject))
	}
	more := make(map[string]any)
	if err := decode(info.Claims, &more); err != nil {
		return ErrAnswer.With(err)
	}
	if named && text(more, "email") != text(who.Claims, "email") {
		delete(more, "email_verified") // of the address beside it
	}
	maps.DeleteFunc(more, func(name string, _ any) bool { _, known := who.Claims[name]; return known })
	maps.Copy(who.Claims, more)
	return nil
}

// asksForMore tells whether some rule looks at claims that a UserInfo endpoint may have
// besides. Those of Google and Microsoft have none.
func (p *Provider) asksForMore(who *Person) bool {
	switch {
	case p.Kind == Google || p.Kind == Microsoft:
		return false
	case len(p.GroupsFrom) > 0 || p.asksFor("group") || p.asksFor("claim"):
		return true
	}
	return p.asksFor("user") && text(who.Claims, "preferred_username") == ""
}

// Recheck renews tokens (RFC 6749 section 6) and looks again who the person is and
// whether a rule lets them in. Tokens that do not end are used as they are. The tokens
// that it gives are to be kept whatever the error, where there are some.
//
// The errors are ErrGone where the provider does not know the tokens any more,
// ErrNotAllowed, ErrAnswer, ErrAway, and ErrUnknowable where nobody can be asked.
func (p *Provider) Recheck(ctx context.Context, old *Tokens, subject string) (*Person, *Tokens, error) {
	m, err := p.discover(ctx)
	if err != nil {
		return nil, nil, err
	}
	ctx = oidc.ClientContext(ctx, p.client)
	t, who := old, &Person{Issuer: p.identityIssuer(), Claims: make(map[string]any)}
	switch {
	case old.Refresh != "":
		if t, err = p.refresh(ctx, m, old); err != nil {
			return nil, nil, err
		}
	case m.verifier != nil || !old.Expires.IsZero() || old.Access == "":
		return nil, nil, ErrUnknowable
	}
	switch {
	case m.verifier == nil:
	case t.ID != "":
		if err := p.readIDToken(ctx, m, t, "", who); err != nil {
			return nil, t, ErrAnswer.With(brief(err))
		}
	case m.document.UserInfo == "": // as with Apple: the tokens are good, and that is all that is known
		return nil, t, ErrUnknowable.With(errors.New("renewed tokens came without an ID token"))
	default:
		who.Subject, t.ID = subject, old.ID
	}
	if err := p.complete(ctx, m, who, t, nil); err != nil && !errors.Is(err, ErrNotAllowed) {
		return nil, t, err
	} else if who.Subject != subject {
		return nil, t, ErrAnswer.With(fmt.Errorf("the tokens of %q were renewed as those of %q", subject, who.Subject))
	} else {
		return who, t, err
	}
}

// refresh asks for new tokens.
func (p *Provider) refresh(ctx context.Context, m *metadata, old *Tokens) (*Tokens, error) {
	c, err := p.config(m, &Flow{})
	if err != nil {
		return nil, err
	}
	issued, err := c.TokenSource(ctx, &oauth2.Token{RefreshToken: old.Refresh.Reveal()}).Token()
	if err == nil {
		t := p.tokensOf(issued)
		if t.Scopes == nil {
			t.Scopes = old.Scopes // RFC 6749 section 6: as before
		}
		return t, nil
	}
	var refused *oauth2.RetrieveError
	if errors.As(err, &refused) && (refused.ErrorCode == "invalid_grant" || refused.ErrorCode == "bad_refresh_token") { // the latter is GitHub's
		return nil, ErrGone.With(fmt.Errorf("the provider says %s", refused.ErrorCode))
	}
	return nil, ErrAway.With(withoutBody(err))
}
