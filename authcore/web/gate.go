package web

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/access"
)

// Check answers who sends a request and whether they may: steps three to five
// of a request's way. For a session in memory it allocates nothing.
type Check struct {
	Sessions *authcore.Sessions
	Idle     time.Duration
}

var ruleAway = &access.Rule{Text: "the database is away"}

// Verdict is the answer of a Check.
type Verdict struct {
	access.Decision
	Live *authcore.Live // nil where nobody is signed in
}

// Judge decides a request by a policy. token is what the request carries, or
// empty. An error means that it cannot be known now, and the request must not
// pass; a public path needs no knowledge and gives none.
func (c *Check) Judge(ctx context.Context, token, host string, now time.Time, policy *access.Policy, req *access.Request) (Verdict, error) {
	live, err := c.session(ctx, token, host, now)
	if err != nil {
		if d := policy.Decide(req, nil); d.Public {
			return Verdict{Decision: d}, nil
		}
		return Verdict{Decision: access.Decision{Outcome: access.Deny, Rule: ruleAway}}, err
	}
	if live == nil {
		return Verdict{Decision: policy.Decide(req, nil)}, nil
	}
	if policy.NeedsProof() {
		req.Proof = ProofOf(&live.Session, now)
	}
	d := policy.Decide(req, &live.Prepared().(*Known).Identity)
	return Verdict{Decision: d, Live: live}, c.Sessions.Touch(ctx, live, now)
}

// Still tells whether a request that was let in would be let in again. It does not
// count as activity. What cannot be known now is a no.
func (c *Check) Still(ctx context.Context, token, host string, now time.Time, policy *access.Policy, req access.Request) bool {
	live, err := c.session(ctx, token, host, now)
	if err != nil || live == nil {
		return false
	}
	req.Proof = ProofOf(&live.Session, now)
	d := policy.Decide(&req, &live.Prepared().(*Known).Identity)
	return d.Outcome == access.Allow || d.Outcome == access.StepUp // a proof was good when it began
}

// ProofOf says how a session was proven (RFC 8176).
func ProofOf(s *authcore.Session, now time.Time) access.Proof {
	return access.Proof{Age: now.Sub(s.AuthTime), SecondFactor: slices.Contains(s.AMR, "mfa")}
}

// session finds the session of a token on a host; nil where there is none. A
// token is good on the host it was made for alone.
func (c *Check) session(ctx context.Context, token, host string, now time.Time) (*authcore.Live, error) {
	if token == "" {
		return nil, nil
	}
	live, err := c.Sessions.Lookup(ctx, token, now, c.Idle)
	if err != nil {
		if errors.Is(err, authcore.ErrNoSession) {
			return nil, nil
		}
		return nil, err
	}
	if !strings.EqualFold(live.Host(), host) {
		return nil, nil
	}
	return live, nil
}

// SessionToken is the session token that a request carries, or empty.
func SessionToken(h http.Header, secure bool) string {
	return readCookie(h, cookieName(sessionCookie, secure))
}

// Address parses the client's address; the zero value for what is none.
func Address(text string) netip.Addr {
	a, _ := netip.ParseAddr(text)
	return a.Unmap()
}
