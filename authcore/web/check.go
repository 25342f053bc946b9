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
	"github.com/gatehouse-auth/gatehouse/authcore/oidcop"
)

// Check answers who sends a request and whether they may: steps three to five
// of a request's way. For a session in memory it allocates nothing.
type Check struct {
	Sessions *authcore.Sessions
	Idle     time.Duration
	Provider *oidcop.Provider // whose access tokens count; nil for none
}

var ruleAway = &access.Rule{Text: "the database is away"}

// Verdict is the answer of a Check.
type Verdict struct {
	access.Decision
	Live *authcore.Live // nil where nobody is signed in
	// Token says why an access token was not taken; nil where none was sent, or all
	// is well.
	Token *authcore.Error
	// Tokens says, for somebody who is to sign in, that an access token would do.
	Tokens bool
	// Issued is the token of the provider that was taken, or refused: it is ours, and not for
	// whoever is behind us. Empty for none.
	Issued string
}

// Door is what a request wants to pass.
type Door struct {
	Host   string
	Policy *access.Policy
	Gate   any // one of oidcop.Site.Gates; nil where tokens of the provider are not taken
}

// Judge decides a request by a policy. An error means that it cannot be known now,
// and the request must not pass; a public path needs no knowledge and gives none.
func (c *Check) Judge(ctx context.Context, by Credentials, at Door, now time.Time, req *access.Request) (Verdict, error) {
	policy := at.Policy
	live, issued, refusal, err := c.who(ctx, by, &at, now, req)
	if live == nil || refusal != nil {
		v := Verdict{Decision: policy.Decide(req, nil), Issued: issued}
		switch {
		case v.Public:
			return v, nil
		case err != nil:
			return Verdict{Issued: issued, Decision: access.Decision{Outcome: access.Deny, Rule: ruleAway}}, err
		case refusal != nil && v.Outcome == access.SignIn:
			v.Token, v.Rule = refusal.err, refusal.rule
			if v.Token.Kind == authcore.Forbidden {
				v.Outcome, v.Live = access.Deny, live
			}
		case v.Outcome == access.SignIn:
			v.Tokens = policy.TokenRule(req) != nil
		}
		return v, nil
	}
	id := &live.Prepared().(*Known).Identity
	if policy.NeedsProof() || id.NeedsFactor {
		req.Proof = ProofOf(&live.Session, now)
	}
	d := policy.Decide(req, id)
	return Verdict{Decision: d, Live: live, Issued: issued}, c.Sessions.Touch(ctx, live, now)
}

// Still tells whether a request that was let in would be let in again. It does not
// count as activity. What cannot be known now is a no.
func (c *Check) Still(ctx context.Context, by Credentials, at Door, now time.Time, req access.Request) bool {
	live, _, refusal, err := c.who(ctx, by, &at, now, &req)
	if err != nil || live == nil || refusal != nil {
		return false
	}
	req.Proof = ProofOf(&live.Session, now)
	d := at.Policy.Decide(&req, &live.Prepared().(*Known).Identity)
	return d.Outcome == access.Allow || d.Outcome == access.StepUp // a proof was good when it began
}

// who finds whose request it is; nil where it is nobody's. A token of the provider that was
// looked at is given too.
func (c *Check) who(ctx context.Context, by Credentials, at *Door, now time.Time, req *access.Request) (live *authcore.Live, issued string, no *refusal, err error) {
	if by.Access == "" && by.Issued == "" {
		live, err = c.session(ctx, by.Session, at.Host, now)
		return live, "", nil, err
	}
	rule := at.Policy.TokenRule(req)
	if by.Access != "" {
		if rule == nil {
			return nil, "", notHere, nil
		}
		live, err = c.Sessions.LookupAccessToken(ctx, by.Access, now)
		if errors.Is(err, authcore.ErrNoSession) {
			return nil, "", notGood, nil
		}
		if err != nil {
			return nil, "", nil, err
		}
		return live, "", granted(live, live.Session.Access.Grant.Holds(at.Host, req.Path), rule), nil
	}
	if rule != nil && c.Provider != nil {
		live, err = c.Provider.Lookup(ctx, by.Issued)
		switch {
		case errors.Is(err, authcore.ErrNoSession) && c.Provider.Ours(by.Issued):
			return nil, by.Issued, notGood, nil
		case err != nil && !errors.Is(err, authcore.ErrNoSession):
			return nil, by.Issued, nil, err
		case err == nil && (live.Session.Issued.KeyHash != "" || live.Session.UserID == ""): // for who shows a key, or nobody's
			return nil, by.Issued, notGood, nil
		case err == nil:
			return live, by.Issued, granted(live, c.Provider.GoodAt(live.Session.Issued, at.Host, at.Gate), rule), nil
		}
	}
	live, err = c.session(ctx, by.Session, at.Host, now) // the token is somebody else's
	return live, "", nil, err
}

// HideIssued takes access tokens of the provider out of the Authorization headers, wherever
// they are good, so that no upstream ever sees one. known is one that Judge gave.
func (c *Check) HideIssued(h http.Header, known string) {
	if c.Provider == nil {
		return
	}
	lines := h["Authorization"]
	kept := slices.DeleteFunc(lines, func(line string) bool {
		token := issuedToken(line)
		return token != "" && (token == known || c.Provider.Ours(token))
	})
	if len(kept) == 0 && lines != nil {
		delete(h, "Authorization")
	} else if len(kept) < len(lines) {
		h["Authorization"] = kept
	}
}

// granted tells why a token is not good, which is for this place or is not; nil where it is
// good.
func granted(live *authcore.Live, here bool, rule *access.TokenRule) *refusal {
	switch {
	case !here:
		return notGranted
	case !live.Session.Access.Grant.Has(rule.Scopes):
		return &refusal{lacksScope("access token", rule.Scopes...), rule.Rule}
	}
	return nil
}

// refusal is why an access token is not taken.
type refusal struct {
	err  *authcore.Error
	rule *access.Rule
}

var (
	notHere = &refusal{&authcore.Error{Kind: authcore.Unauthenticated, Code: "token_not_accepted",
		Message: "Access tokens are not accepted at this address."}, &access.Rule{Text: "no tokens line holds the path"}}
	notGood = &refusal{&authcore.Error{Kind: authcore.Unauthenticated, Code: "token_invalid",
		Message: "This access token is not valid: it was revoked, it has expired, or it never was one. Make a new one."}, &access.Rule{Text: "the access token is not valid"}}
	notGranted = &refusal{&authcore.Error{Kind: authcore.Forbidden, Code: "token_not_granted",
		Message: "This access token is not good for this host or this path."}, &access.Rule{Text: "the access token is not good for the host or the path"}}
)

// lacksScope says that something has not all scopes that are needed.
func lacksScope(what string, needed ...string) *authcore.Error {
	return &authcore.Error{Kind: authcore.Forbidden, Code: "insufficient_scope", Message: "This " + what + " has not all scopes that are needed here: " + strings.Join(needed, ", ") + "."}
}

// ProofOf says how a session was proven (RFC 8176).
func ProofOf(s *authcore.Session, now time.Time) access.Proof {
	return access.Proof{Age: now.Sub(s.AuthTime), SecondFactor: slices.Contains(s.AMR, "mfa"), Remembered: authcore.OnTrustedDevice(s.AMR), Provider: s.Provider, Token: s.Access != nil}
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
