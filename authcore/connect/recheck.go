package connect

import (
	"context"
	"errors"
	"fmt"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/gatehouse-auth/gatehouse/authcore"
	"golang.org/x/oauth2"
)

// Mute tells, once for each provider, that tokens are of no use to ask again about
// somebody, although that is wanted.
func (p *Provider) Mute(t *authcore.ProviderTokens) bool {
	mute := p.RecheckEvery > 0 && t.Refresh == "" && (p.Issuer != "" || !t.Expires.IsZero())
	return mute && p.mute.CompareAndSwap(false, true)
}

// Recheck renews tokens (RFC 6749 section 6) and looks again who the person is and
// whether a rule lets them in. Tokens that do not end are used as they are. The tokens
// that it gives are to be kept whatever the error, where there are some.
//
// The errors are errGone, ErrNotAllowed, ErrAnswer, ErrAway, errUnknowable where nobody can
// be asked, and ErrMisconfigured where the provider refuses an organization's client.
func (p *Provider) Recheck(ctx context.Context, old *authcore.ProviderTokens, subject string) (*Person, *authcore.ProviderTokens, error) {
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
	case m.oidc != nil || !old.Expires.IsZero() || old.Access == "":
		return nil, nil, errUnknowable
	}
	switch {
	case m.oidc == nil:
	case t.ID != "":
		if err := p.readIDToken(ctx, m, t, "", who); err != nil {
			return nil, t, ErrAnswer.With(brief(err))
		}
	case m.document.UserInfo == "": // as with Apple: the tokens are good, and that is all that is known
		return nil, t, errUnknowable
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
func (p *Provider) refresh(ctx context.Context, m *metadata, old *authcore.ProviderTokens) (*authcore.ProviderTokens, error) {
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
		t.Others = old.Others
		return t, nil
	}
	var refused *oauth2.RetrieveError
	if errors.As(err, &refused) && (refused.ErrorCode == "invalid_grant" || refused.ErrorCode == "bad_refresh_token") { // the latter is GitHub's
		return nil, fmt.Errorf("%w: it says %s", errGone, refused.ErrorCode)
	}
	if p.Own != nil && refused != nil && refusesClient(refused.ErrorCode) {
		return nil, p.misconfigured(refused)
	}
	return nil, ErrAway.With(withoutBody(err))
}
