package authcore

import (
	"context"
	"time"
)

// handoffLife is how long a browser may take from the portal to the host.
const handoffLife = time.Minute

// Handoff is what a browser brings to a gated host: the code, and the host and
// flow cookie to which the code must be bound.
type Handoff struct {
	Code    TokenHash
	Host    string
	Browser string
	Now     time.Time
}

// StartHandoff makes the one-time code that carries a portal session to a gated
// host. returnTo is the path and query to land on there.
func (a *Accounts) StartHandoff(ctx context.Context, portal *Live, host, browser, returnTo string) (Secret, error) {
	token, hash := NewToken()
	now := a.Now()
	return token, a.Store.CreateCode(ctx, Code{Hash: hash, Purpose: PurposeHandoff, Session: portal.Session.Root,
		Host: host, Browser: browser, Data: returnTo, CreatedAt: now, ExpiresAt: now.Add(handoffLife)}, nil)
}

// FinishHandoff redeems the code at the gated host and makes the site session.
// It returns the session's token and where to return to, or ErrCodeInvalid.
func (a *Accounts) FinishHandoff(ctx context.Context, actor Actor, code Secret, host, browser string) (Secret, Session, string, error) {
	token, hash := NewToken()
	now := a.Now()
	s := Session{ID: NewSessionID(), Host: host, CreatedAt: now, LastSeen: now,
		Address: actor.Client.Address, Agent: actor.Client.Agent}
	ev := a.event(actor, SessionCreate, TargetSession(s.ID), Success, host)
	s, used, err := a.Store.RedeemHandoff(ctx, Handoff{Code: HashToken(code.Reveal()), Host: host, Browser: browser, Now: now}, s, hash, ev)
	if err != nil {
		return "", Session{}, "", err
	}
	return token, s, used.Data, nil
}
