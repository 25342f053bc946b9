package access

import "net/netip"

// Request holds the facts of a request that a policy looks at.
type Request struct {
	// Method is the HTTP method.
	Method string
	// Path is the decoded path of the URI as the client sent it.
	Path string
	// RawPath is url.URL.RawPath: the encoded path, set only where it is not
	// the default encoding of Path.
	RawPath string
	// Address is the client's. The zero Addr means unknown and is in no network.
	Address netip.Addr
}

// Identity holds the facts of a signed-in user that a policy looks at.
type Identity struct {
	// Username is the key of the name (PRECIS UsernameCaseMapped), lower-case.
	Username string
	Groups   []string
	// EmailDomain is case-folded, and empty unless the address is verified.
	EmailDomain string
	// Owner says that the user is a platform owner.
	Owner bool
}

// Outcome is what happens with a request.
type Outcome uint8

const (
	// Deny refuses. It is the zero value, so that what was forgotten is shut.
	Deny Outcome = iota
	// SignIn sends to the sign-in page: who it is may change the outcome.
	SignIn
	// Allow lets in.
	Allow
)

// String returns the outcome in the words of the documentation.
func (o Outcome) String() string {
	switch o {
	case Allow:
		return "allow"
	case SignIn:
		return "sign in"
	default:
		return "deny"
	}
}

// Decision is an outcome and what led to it.
type Decision struct {
	Outcome Outcome
	// Public says that the path is public: the request passes whoever sent it.
	Public bool
	// Rule names the rule that decided, as "allow group:staff" or
	// "no allow rule matched". It is for people and logs.
	Rule string
}

// Rules that no line of a policy states.
const (
	ruleNoPolicy = "no policy"
	ruleNobody   = "nobody is signed in"
	ruleNoMatch  = "no allow rule matched"
)

// Decide says what happens with req. The identity is that of the signed-in
// user, nil when nobody is signed in. A nil policy or request is refused.
//
// With nobody signed in the outcome outside public paths is SignIn, but Deny
// where a network line does not hold, because signing in would not help.
func (p *Policy) Decide(req *Request, id *Identity) Decision {
	if p == nil || req == nil {
		return Decision{Rule: ruleNoPolicy}
	}
	if rule, found := p.public.match(req); found {
		return Decision{Outcome: Allow, Public: true, Rule: rule}
	}
	if id != nil {
		if rule, found := p.deny.match(id); found {
			return Decision{Rule: rule}
		}
	}
	for i := range p.networks {
		if !p.networks[i].holds(req.Address) {
			return Decision{Rule: p.networks[i].rule}
		}
	}
	if id == nil {
		return Decision{Outcome: SignIn, Rule: ruleNobody}
	}
	if rule, found := p.allow.match(id); found {
		return Decision{Outcome: Allow, Rule: rule}
	}
	return Decision{Rule: ruleNoMatch}
}
