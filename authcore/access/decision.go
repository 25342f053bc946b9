package access

import (
	"net/netip"
	"time"
)

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
	// Proof is that of the session that the request belongs to.
	Proof Proof
}

// Proof says how a session proved who its user is.
type Proof struct {
	// Age is the time since then.
	Age time.Duration
	// SecondFactor says that two factors were asked for.
	SecondFactor bool
	// Provider is the name of the outside provider that was asked, if one was.
	Provider string
	// Remembered says that the second factor was not shown, but its device trusted.
	Remembered bool
	// Token says that it is an access token, which has no second factor.
	Token bool
}

// Identity holds the facts of a signed-in user that a policy looks at.
type Identity struct {
	// Username is the key of the name (PRECIS UsernameCaseMapped), lower-case.
	Username string
	Groups   []string
	// EmailDomain is case-folded, and empty unless the address is verified.
	EmailDomain string
	// Organizations are the slugs of those that the user is a member of, and
	// Roles the user's roles in them, as "acme/admin".
	Organizations []string
	Roles         []string
	// OrganizationOnly says that the user belongs to organizations only, and not to the
	// installation: allow terms let in that name an organization, and no other ones.
	OrganizationOnly bool
	// Owner says that the user is a platform owner.
	Owner bool
	// NeedsFactor says that nothing opens to the user without a second factor, whatever
	// the policy requires; but to access tokens, which have none.
	NeedsFactor bool
}

// Outcome is what happens with a request.
type Outcome uint8

// The outcomes, from the strictest.
const (
	// Deny refuses. It is the zero value, so that what was forgotten is shut.
	Deny Outcome = iota
	// SignIn sends to the sign-in page: who it is may change the outcome.
	SignIn
	// StepUp asks a signed-in user who may pass for a better proof.
	StepUp
	// Allow lets in.
	Allow
)

// String returns the outcome in the words of the documentation.
func (o Outcome) String() string {
	switch o {
	case Allow:
		return "allow"
	case StepUp:
		return "step up"
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
	// Ambiguous says that servers may take the path for another one, so that
	// all places of the policy had to agree.
	Ambiguous bool
	// Rule is the one that decided.
	Rule *Rule
	// Need is what a StepUp asks for.
	Need Need
	// Organization is the slug of the one for which the user is there: that which the
	// rule that let in names, else the only one of the user. It is empty for none.
	Organization string
}

// Rules that no line of a policy states.
var (
	ruleNoPolicy = &Rule{Text: "no policy"}
	ruleNobody   = &Rule{Text: "nobody is signed in"}
	// RuleOrganizationOnly decides where an allow rule matches, but names no organization
	// of a user who belongs to organizations only.
	RuleOrganizationOnly = &Rule{Text: "the user belongs to an organization only"}
)

// ruleNoMatch is where a block has allow lines, and none of them matches.
const ruleNoMatch = "no allow rule matched"

// Decide says what happens with req. The identity is that of the signed-in
// user, nil when nobody is signed in. A nil policy or request is refused.
//
// It looks for the most specific place of the policy that holds the request: the
// longest path, and there a block for its method before what holds for all. The
// most specific place with an allow or a public rule says who may pass; the
// deny, network and require rules of all places around it hold as well.
//
// With nobody signed in the outcome outside public paths is SignIn, but Deny
// where a network line does not hold, because signing in would not help.
func (p *Policy) Decide(req *Request, id *Identity) Decision {
	if p == nil || req == nil {
		return Decision{Rule: ruleNoPolicy}
	}
	at, certain := p.find(req)
	if certain || !p.divided {
		return decide(at.chain(req.Method), req, id)
	}
	// Nobody knows which place the request is for, so that the strictest decides.
	worst := decide(p.root.chain(req.Method), req, id)
	agreed := true
	for i := 0; i < len(p.places) && worst.Outcome != Deny; i++ {
		d := decide(p.places[i].chain(req.Method), req, id)
		agreed = agreed && d.Organization == worst.Organization
		if d.Outcome < worst.Outcome {
			worst = d
		}
	}
	if !agreed {
		worst.Organization = "" // the app may take the path for one of another organization
	}
	worst.Ambiguous = true
	return worst
}

// decide is Decide by the blocks that hold a request, the most specific first.
func decide(blocks []*block, req *Request, id *Identity) Decision {
	d, allowed := judge(blocks, req, id)
	switch {
	case allowed != nil && allowed.Organization != "":
		d.Organization = allowed.Organization
	case id != nil && len(id.Organizations) == 1:
		d.Organization = id.Organizations[0]
	}
	return d
}

// judge is decide but for the organization: it gives the rule that lets in, if one does.
func judge(blocks []*block, req *Request, id *Identity) (d Decision, allowed *Rule) {
	from, public := permission(blocks, req.Path)
	if public != nil {
		d = public.decide(Allow)
		d.Public = true
		return d, nil
	}
	if id != nil {
		for _, b := range blocks {
			if r := b.deny.match(id, &req.Proof); r != nil {
				return r.decide(Deny), nil
			}
		}
	}
	for _, b := range blocks {
		for i := range b.networks {
			if n := &b.networks[i]; !n.holds(req.Address) {
				return n.rule.decide(Deny), nil
			}
		}
	}
	if id == nil {
		return Decision{Outcome: SignIn, Rule: ruleNobody}, nil
	}
	if allowed = from.allow.match(id, &req.Proof); allowed == nil {
		return from.noMatch.decide(Deny), nil
	}
	if id.OrganizationOnly {
		if allowed = from.allow.matchOrganization(id); allowed == nil {
			return RuleOrganizationOnly.decide(Deny), nil
		}
	}
	for _, b := range blocks {
		for i := range b.requires {
			if r := &b.requires[i]; !r.need.holds(&req.Proof) {
				d = r.rule.decide(StepUp)
				d.Need = need(blocks)
				return d, allowed
			}
		}
	}
	if req.Proof.Remembered {
		if all := need(blocks); !all.holds(&req.Proof) {
			d = ruleShown.decide(StepUp)
			d.Need = all
			return d, allowed
		}
	}
	if id.NeedsFactor && !req.Proof.SecondFactor && !req.Proof.Token {
		d = ruleFactor.decide(StepUp)
		d.Need = need(blocks)
		d.Need.SecondFactor = true
		return d, allowed
	}
	return allowed.decide(Allow), allowed
}

// ruleShown decides where a block asks for two factors and another one for a young proof.
var ruleShown = &Rule{Text: "the second factor has to be shown, on a trusted device too"}

// ruleFactor decides for users who need a second factor whatever a policy says.
var ruleFactor = &Rule{Text: "the user needs a second factor"}

// decide makes the decision of a rule.
func (r *Rule) decide(o Outcome) Decision { return Decision{Outcome: o, Rule: r} }

// permission finds who says who may pass: the first block with allow lines, or the
// rule of a public path before it.
func permission(blocks []*block, path string) (from *block, public *Rule) {
	for _, b := range blocks {
		for i := range b.public {
			if b.public[i].holds(path) {
				return nil, b.public[i].rule
			}
		}
		if !b.allow.empty() {
			return b, nil
		}
	}
	return &nobody, nil
}

// nobody is the block of the zero Policy.
var nobody = block{noMatch: &Rule{Text: ruleNoMatch}}
