package oidcop

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// grace is for how long a refresh token that was used brings the same next one again, where
// the answer was lost on its way.
const grace = 10 * time.Second

// newRefresh makes the first refresh token of a session.
func newRefresh(s *authcore.ServiceSession, c *client, now time.Time) (authcore.Secret, *authcore.RefreshToken) {
	text, hash := authcore.KindRefresh.New()
	return text, &authcore.RefreshToken{Hash: hash, Session: s.ID, CreatedAt: now, ExpiresAt: now.Add(c.RefreshLife)}
}

// nextRefresh makes the refresh token that comes after one. With the same salt it is the same
// again; who has only one of the two cannot make it.
func nextRefresh(before, salt string) (authcore.Secret, authcore.TokenHash) {
	mac := hmac.New(sha256.New, []byte(before))
	mac.Write([]byte(salt))
	return authcore.KindRefresh.Of([32]byte(mac.Sum(nil)))
}

// byRefresh issues tokens for a refresh token, and the next one (RFC 6749 section 6, RFC 9700
// section 4.14.2). One that was used before ends the session; but for a while after its use it
// brings the same next one again, unless that was used already: there is never more than one
// that counts.
func (p *Provider) byRefresh(ctx context.Context, ask *asking) (*tokens, error) {
	text := ask.form.Get("refresh_token")
	if text == "" {
		return nil, invalid("The refresh_token is missing.")
	}
	if !authcore.KindRefresh.Plausible(text) {
		return nil, errGrant
	}
	for try := 0; ; try++ {
		out, err := p.rotate(ctx, ask, text)
		if try == 0 && errors.Is(err, authcore.ErrGrantUsed) { // by a request at the same time
			continue
		}
		return out, err
	}
}

// rotate is byRefresh; ErrGrantUsed where the token was used since it was read.
func (p *Provider) rotate(ctx context.Context, ask *asking, text string) (*tokens, error) {
	c, now, store := ask.client, p.now(), p.Accounts.Store
	used, g, err := store.GrantByRefresh(ctx, authcore.HashToken(text), now, p.idleSince(now))
	if err != nil {
		return nil, err
	}
	if g.Service.ID != c.Service.ID {
		return nil, errGrant
	}
	if g.Session.KeyHash != "" && g.Session.KeyHash != ask.key {
		return nil, errProof
	}
	scopes, resources, err := p.less(ctx, ask, &g.Session)
	if err != nil {
		return nil, err
	}
	again := !used.UsedAt.IsZero()
	salt := used.Salt
	if !again {
		salt = newSalt()
	}
	next, hash := nextRefresh(text, salt)
	if again {
		after, _, err := store.GrantByRefresh(ctx, hash, now, p.idleSince(now))
		if err != nil {
			return nil, err
		}
		if now.Sub(used.UsedAt) > grace || !after.UsedAt.IsZero() {
			err := store.EndGrant(ctx, c.Service.ID, g.Session.ID, p.replayed(ask, "a refresh token"))
			if err == nil || errors.Is(err, authcore.ErrSessionNotFound) {
				p.ended(g.Session.User)
				err = errGrant
			}
			return nil, err
		}
	}
	i := p.begin(c, &g, scopes, resources, ask.key)
	if err := p.make(ctx, i); err != nil {
		return nil, err
	}
	switch {
	case !again:
		used.Salt, used.UsedAt = salt, now
		until := now.Add(c.RefreshLife)
		err = store.RotateRefresh(ctx, used, until, authcore.RefreshToken{Hash: hash, Session: g.Session.ID, CreatedAt: now, ExpiresAt: until}, i.stored)
	case i.stored != nil:
		err = store.AddGrantToken(ctx, *i.stored)
	}
	if err != nil {
		return nil, err
	}
	p.touch(&g)
	return p.answerTo(ctx, i, next, "")
}

func newSalt() string {
	var raw [16]byte
	rand.Read(raw[:])
	return hex.EncodeToString(raw[:])
}

// idleSince is the time after which a portal session must have been used.
func (p *Provider) idleSince(now time.Time) time.Time { return now.Add(-p.Accounts.Lifetime.Idle) }

// touch counts a refresh as a use of the portal session that it hangs on.
func (p *Provider) touch(g *authcore.Granted) {
	if !g.Session.Offline {
		p.Accounts.Sessions.TouchRoot(g.Session.Root, g.RootSeen, p.now())
	}
}
