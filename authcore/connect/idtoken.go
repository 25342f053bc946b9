package connect

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// readIDToken checks an ID token (OpenID Connect Core section 3.1.3.7) and takes over
// what it says. An empty nonce is not compared: a token that was refreshed may have
// none (section 12.2).
func (p *Provider) readIDToken(ctx context.Context, m *metadata, t *authcore.ProviderTokens, nonce string, who *Person) error {
	if t.ID == "" {
		return errors.New("the provider issued no ID token")
	}
	token, err := p.verifier(m).Verify(ctx, t.ID.Reveal())
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
	if at, err := strconv.ParseInt(text(who.Claims, "auth_time"), 10, 64); err == nil && at > 0 && at <= p.now().Add(skew).Unix() {
		who.AuthTime = time.Unix(at, 0)
	}
	who.SecondFactor = slices.Contains(values(who.Claims, "amr"), "mfa")
	return nil
}

// maxSubject is the longest subject, in bytes (OpenID Connect Core section 2).
const maxSubject = 255
