package oidcop

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// revoke ends a token before its time (RFC 7009). A refresh token ends the session at the
// service with all its tokens, an access token itself alone. What is not good, or is another
// client's, needs no revoking; what the database cannot end now is not said to have ended.
func (p *Provider) revoke(w http.ResponseWriter, r *http.Request, from authcore.Client) {
	if err := p.end(w, r, from); err != nil {
		p.fail(w, r, from, err)
		return
	}
	answerJSON(w, http.StatusOK, []byte("{}"))
}

func (p *Provider) end(w http.ResponseWriter, r *http.Request, from authcore.Client) error {
	c, form, err := p.asked(w, r, from)
	if err != nil {
		return err
	}
	text := form.Get("token")
	if text == "" {
		return invalid("The token is missing.")
	}
	if c.own() {
		return p.Accounts.EndCommandLineToken(r.Context(), text, from)
	}
	if authcore.KindRefresh.Plausible(text) {
		return p.endRefresh(r.Context(), c, text, from)
	}
	live, err := p.Lookup(r.Context(), text)
	if errors.Is(err, authcore.ErrNoSession) || err == nil && live.Session.Issued.Service != c.Service.ID {
		return nil
	}
	if err != nil {
		return err
	}
	ev := authcore.NewEvent(p.now(), actor(from), authcore.TokenRevoke, authcore.TargetService(c.Service.ID), authcore.Success, "an access token, by the service").In(c.Service.Organization)
	if err := p.Accounts.Store.RevokeGrantToken(r.Context(), revocable(text), live.Session.ExpiresAt, live.Session.UserID, ev); err != nil {
		return err
	}
	p.ended(live.Session.UserID)
	return nil
}

func (p *Provider) endRefresh(ctx context.Context, c *client, text string, from authcore.Client) error {
	now := p.now()
	_, g, err := p.Accounts.Store.GrantByRefresh(ctx, authcore.HashToken(text), now, p.idleSince(now))
	if errors.Is(err, authcore.ErrGrantInvalid) || err == nil && g.Service.ID != c.Service.ID {
		return nil
	}
	if err != nil {
		return err
	}
	ev := authcore.NewEvent(now, actor(from), authcore.TokenRevoke, authcore.TargetService(c.Service.ID), authcore.Success, "the session of a user, by the service").In(c.Service.Organization)
	err = p.Accounts.Store.EndGrant(ctx, c.Service.ID, g.Session.ID, ev)
	if errors.Is(err, authcore.ErrSessionNotFound) {
		err = nil
	}
	if err == nil {
		p.ended(g.Session.User)
	}
	return err
}

// revocable is the hash by which a token is revoked. Of a JWT it is that of what is signed: a
// signature can be written in other ways and hold.
func revocable(text string) authcore.TokenHash {
	if at := strings.LastIndexByte(text, '.'); at >= 0 {
		text = text[:at]
	}
	return authcore.HashToken(text)
}
