package oidcop

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

const (
	notifyEvery    = time.Second
	notifyEach     = 20  // of one service at a time
	notifyAtOnce   = 500 // read at a time
	notifyTimeout  = 10 * time.Second
	notifyTries    = 8
	notifyFirst    = 5 * time.Second // doubled after each failure
	logoutTokenFor = 2 * time.Minute
)

// logoutClaims are those of a logout token (OpenID Connect Back-Channel Logout 1.0 section
// 2.4).
type logoutClaims struct {
	Issuer   string                    `json:"iss"`
	Subject  authcore.UserID           `json:"sub"`
	Audience string                    `json:"aud"`
	IssuedAt int64                     `json:"iat"`
	Expires  int64                     `json:"exp"`
	ID       string                    `json:"jti"`
	Session  authcore.SessionID        `json:"sid"`
	Events   map[string]map[string]any `json:"events"`
}

// logoutEvent is what a logout token tells.
const logoutEvent = "http://schemas.openid.net/event/backchannel-logout"

// Notifier tells services of sign-outs. A service that is slow to answer keeps no other one
// waiting.
type Notifier struct {
	Provider *Provider
	Client   *http.Client // that reaches no private address

	told   sync.WaitGroup
	mu     sync.Mutex
	busy   map[authcore.ServiceID]bool // those that are told at present
	failed error                       // of the database, not reported yet
}

// Run tells services of sign-outs until ctx ends. One node at a time does: while holds gives
// true. report is told when the database fails, and with nil when it works again.
func (n *Notifier) Run(ctx context.Context, holds func(context.Context) bool, report func(error)) {
	defer n.told.Wait()
	tick := time.NewTicker(notifyEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if holds(ctx) {
				report(n.tell(ctx))
			}
		}
	}
}

// tell begins to tell of what is due the services that are not being told. It gives the
// error of those before, too.
func (n *Notifier) tell(ctx context.Context) error {
	p := n.Provider
	due, err := p.Accounts.Store.LogoutNotices(ctx, p.now(), notifyEach, notifyAtOnce)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.busy == nil {
		n.busy = make(map[authcore.ServiceID]bool)
	}
	for s, notices := range ofServices(due) {
		if !n.busy[s] {
			n.busy[s] = true
			n.told.Go(func() { n.service(ctx, s, notices) })
		}
	}
	err = cmp.Or(err, n.failed)
	n.failed = nil
	return err
}

func ofServices(all []authcore.LogoutNotice) map[authcore.ServiceID][]authcore.LogoutNotice {
	of := make(map[authcore.ServiceID][]authcore.LogoutNotice)
	for _, n := range all {
		of[n.Service.ID] = append(of[n.Service.ID], n)
	}
	return of
}

// service tells one service of some sign-outs.
func (n *Notifier) service(ctx context.Context, s authcore.ServiceID, notices []authcore.LogoutNotice) {
	var all sync.WaitGroup
	failed := make([]error, len(notices))
	for i, notice := range notices {
		all.Go(func() { failed[i] = n.one(ctx, notice) })
	}
	all.Wait()
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.busy, s)
	n.failed = cmp.Or(n.failed, errors.Join(failed...))
}

// one tells of one sign-out, and writes down how it went. Where the service cannot be
// reached, all that it is to be told has to wait.
func (n *Notifier) one(ctx context.Context, notice authcore.LogoutNotice) error {
	p := n.Provider
	err := n.send(ctx, notice)
	switch {
	case err == nil:
		return p.Accounts.Store.LogoutNoticeDone(ctx, notice.ID, nil)
	case ctx.Err() != nil:
		return nil // the next who tells goes on
	case notice.Tries+1 >= notifyTries:
		ev := authcore.NewEvent(p.now(), authcore.Actor{Kind: authcore.ActorSystem}, authcore.ServiceUntold, authcore.TargetService(notice.Service.ID), authcore.Failure, why(err)).In(notice.Service.Organization)
		return p.Accounts.Store.LogoutNoticeDone(ctx, notice.ID, &ev)
	}
	if notice.Tries == 0 {
		p.Log.Warn("a service was not told of a sign-out, and will be told again", "service", notice.Service.Name, "address", notice.Service.LogoutURI, "error", err)
	}
	unreachable := !errors.As(err, new(errStatus))
	return p.Accounts.Store.LogoutNoticeLater(ctx, notice, p.now().Add(notifyFirst<<notice.Tries), unreachable)
}

func (n *Notifier) send(ctx context.Context, notice authcore.LogoutNotice) error {
	p, now, s := n.Provider, n.Provider.now(), notice.Service
	c := &client{Service: s}
	by, err := p.Keys.SignerOf(ctx, c.algorithm(), now)
	if err != nil {
		return err
	}
	token, err := by.SignAs(authcore.TypeLogoutToken, logoutClaims{Issuer: p.Issuer, Subject: notice.User, Audience: s.ClientID, IssuedAt: now.Unix(), Expires: now.Add(logoutTokenFor).Unix(),
		ID: uuid.NewString(), Session: notice.Session, Events: map[string]map[string]any{logoutEvent: {}}})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, notifyTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.LogoutURI, strings.NewReader(url.Values{"logout_token": {token}}.Encode()))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, err := n.Client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	_, _ = io.CopyN(io.Discard, answer.Body, maxForm)
	if answer.StatusCode != http.StatusOK && answer.StatusCode != http.StatusNoContent {
		return errStatus(answer.StatusCode)
	}
	return nil
}

// errStatus is the status with which a service refused a logout token.
type errStatus int

func (e errStatus) Error() string { return fmt.Sprintf("the service answered with status %d", int(e)) }

// why is what the organization reads of a failure: nothing of addresses in our network.
func why(err error) string {
	if status := errStatus(0); errors.As(err, &status) {
		return status.Error()
	}
	return "the service could not be reached"
}
