package connect

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// EndSession gives the address at which a browser ends its session at the provider, and
// comes back to one of ours (OpenID Connect RP-Initiated Logout 1.0 section 2); empty
// where the provider offers none, or is away. id is the ID token of the session.
func (p *Provider) EndSession(id authcore.Secret, back string) string {
	m := p.known.Load()
	if !p.SignOut || m == nil || m.document.EndSession == "" || id == "" {
		return ""
	}
	u, err := url.Parse(m.document.EndSession)
	if err != nil {
		return ""
	}
	q := u.Query()
	q.Set("id_token_hint", id.Reveal())
	q.Set("client_id", p.ClientID)
	q.Set("post_logout_redirect_uri", back)
	u.RawQuery = q.Encode()
	return u.String()
}

// signOutEvent is the claim that makes a logout token one.
const signOutEvent = "http://schemas.openid.net/event/backchannel-logout"

// signOutLife is how old a logout token may be, and for how long it is known that one
// was used.
const signOutLife = 10 * time.Minute

// SignedOut reads a logout token (OpenID Connect Back-Channel Logout 1.0 section 2.6).
// The errors are ErrAnswer and ErrAway.
func (p *Provider) SignedOut(ctx context.Context, token authcore.Secret) (authcore.SignOut, error) {
	m, err := p.discover(ctx)
	if err != nil {
		return authcore.SignOut{}, err
	}
	if m.oidc == nil || p.anyTenant() != "" {
		return authcore.SignOut{}, ErrAnswer.With(errors.New("this provider tells of no sign-outs"))
	}
	if err := p.plausible(token.Reveal()); err != nil {
		return authcore.SignOut{}, ErrAnswer.With(err)
	}
	verifier := m.oidc.Verifier(&oidc.Config{ClientID: p.ClientID, SkipExpiryCheck: true}) // checkSignOut looks at the times
	verified, err := verifier.Verify(oidc.ClientContext(ctx, p.client), token.Reveal())
	if err != nil {
		return authcore.SignOut{}, ErrAnswer.With(err)
	}
	claims := make(map[string]any)
	if err := decode(verified.Claims, &claims); err != nil {
		return authcore.SignOut{}, ErrAnswer.With(err)
	}
	if err := p.checkSignOut(verified, claims); err != nil {
		return authcore.SignOut{}, ErrAnswer.With(err)
	}
	return authcore.SignOut{Provider: p.Name, Issuer: verified.Issuer, Subject: verified.Subject, Session: text(claims, "sid"),
		Once: authcore.OnceOf(authcore.PurposeSignOut, verified.Issuer+" "+text(claims, "jti"), p.now(), 2*signOutLife)}, nil
}

// plausible looks into a logout token that nobody has verified yet: for one that cannot be
// meant for us, the provider is not asked for its keys.
func (p *Provider) plausible(token string) error {
	parts := strings.Split(token, ".")
	if len(parts) != 3 || len(token) > maxLogoutToken {
		return errors.New("it is no logout token")
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims map[string]any
	if err != nil || json.Unmarshal(text, &claims) != nil {
		return errors.New("it is no logout token")
	}
	if claims["iss"] != p.Issuer || !slices.Contains(values(claims, "aud"), p.ClientID) {
		return errors.New("the logout token is of another provider, or for another client")
	}
	return nil
}

// maxLogoutToken is the longest logout token, in bytes.
const maxLogoutToken = 16 << 10

// checkSignOut checks what makes a logout token more than a signed text.
func (p *Provider) checkSignOut(t *oidc.IDToken, claims map[string]any) error {
	events, _ := claims["events"].(map[string]any)
	_, event := events[signOutEvent].(map[string]any)
	_, nonce := claims["nonce"]
	session := text(claims, "sid")
	switch age := p.now().Sub(t.IssuedAt); {
	case !event:
		return errors.New("the logout token has no event of a sign-out")
	case nonce:
		return errors.New("the logout token has a nonce, as an ID token has")
	case text(claims, "jti") == "":
		return errors.New("the logout token has no jti")
	case t.Subject == "" && session == "":
		return errors.New("the logout token names neither subject nor session")
	case len(t.Subject) > maxSubject || len(session) > maxSubject:
		return errors.New("the logout token names something of more than 255 bytes")
	case age > signOutLife || age < -skew:
		return fmt.Errorf("the logout token was made %s ago", age.Round(time.Second))
	case !t.Expiry.IsZero() && t.Expiry.Before(p.now().Add(-skew)):
		return errors.New("the logout token has expired")
	}
	return nil
}
