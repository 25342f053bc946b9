package web

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/access"
)

// Field is something that an identity header can say.
type Field uint8

// The fields.
const (
	FieldUsername Field = iota
	FieldGroups         // separated by commas
	FieldGroupsBySpace
	FieldGroupsByPipe
	FieldName
	FieldEmail // empty unless verified
	FieldID
	FieldOrganization // slug of the one for which the user is there, see Active
	FieldOrganizationRole
	FieldAssertion     // signed, see Assertion
	FieldProviderToken // see ProviderToken
	fields
)

// Preset is a set of identity headers that upstreams understand.
type Preset struct {
	Name    string
	Headers []IdentityHeader
	// Answer is what a verifier answers with, where that has other names than the
	// headers to an upstream.
	Answer *Preset
	// Signed says that one of the headers is an assertion.
	Signed bool
}

// IdentityHeader is a header, by its canonical name, and what it says.
type IdentityHeader struct {
	Name string
	Says Field
}

// maxHeaders is the most headers that a preset has.
const maxHeaders = 8

// Values keeps the values of a preset's headers while a request runs.
type Values [maxHeaders]string

// The presets that everybody has; see docs/guide.md, "What the app is told".
var (
	RemotePreset = &Preset{Name: "remote", Headers: []IdentityHeader{{"Remote-User", FieldUsername}, {"Remote-Groups", FieldGroups},
		{"Remote-Name", FieldName}, {"Remote-Email", FieldEmail}, {"Remote-Organization", FieldOrganization}, {"Remote-Organization-Role", FieldOrganizationRole}}}
	NonePreset = &Preset{Name: "none"}
	oauth2     = &Preset{Name: "oauth2-proxy", Headers: []IdentityHeader{{"X-Forwarded-User", FieldUsername}, {"X-Forwarded-Groups", FieldGroups},
		{"X-Forwarded-Preferred-Username", FieldUsername}, {"X-Forwarded-Email", FieldEmail}},
		Answer: &Preset{Name: "oauth2-proxy", Headers: []IdentityHeader{{"X-Auth-Request-User", FieldUsername}, {"X-Auth-Request-Groups", FieldGroups},
			{"X-Auth-Request-Preferred-Username", FieldUsername}, {"X-Auth-Request-Email", FieldEmail}}}}
	authentik = &Preset{Name: "authentik", Headers: []IdentityHeader{{"X-Authentik-Username", FieldUsername}, {"X-Authentik-Groups", FieldGroupsByPipe},
		{"X-Authentik-Name", FieldName}, {"X-Authentik-Email", FieldEmail}, {"X-Authentik-Uid", FieldID},
		{"X-Authentik-Meta-Organization", FieldOrganization}, {"X-Authentik-Meta-Organization-Role", FieldOrganizationRole}}}
	xToken = &Preset{Name: "x-token", Headers: []IdentityHeader{{"X-Token-Subject", FieldUsername}, {"X-Token-User-Roles", FieldGroupsBySpace},
		{"X-Token-User-Name", FieldName}, {"X-Token-User-Email", FieldEmail},
		{"X-Token-Organization", FieldOrganization}, {"X-Token-Organization-Role", FieldOrganizationRole}}}
	jwtPreset = &Preset{Name: "jwt", Headers: []IdentityHeader{{"Gate-Assertion", FieldAssertion}}, Signed: true}
)

// Presets finds a preset by its name.
var Presets = byName(RemotePreset, NonePreset, oauth2, authentik, xToken, jwtPreset)

func byName(all ...*Preset) map[string]*Preset {
	m := make(map[string]*Preset, len(all))
	for _, p := range all {
		m[p.Name] = p
	}
	return m
}

// ToProxy gives the preset that a verifier answers with.
func (p *Preset) ToProxy() *Preset {
	if p.Answer != nil {
		return p.Answer
	}
	return p
}

// NewPreset makes a preset of names of one's own. A name must not be one that
// requests or connections have for something else.
func NewPreset(headers []IdentityHeader) (*Preset, error) {
	p := &Preset{Name: "own"}
	seen := make(map[string]bool)
	for _, h := range headers {
		name := http.CanonicalHeaderKey(h.Name)
		switch key := foldName(name); {
		case !isToken(h.Name) || len(h.Name) > maxManaged:
			return nil, fmt.Errorf("%q is not the name of a header of at most %d bytes", h.Name, maxManaged)
		case slices.Contains(reserved, key) || strings.HasPrefix(key, "sec-") || strings.HasPrefix(key, "proxy-") || strings.HasPrefix(key, "access-control-"):
			return nil, fmt.Errorf("%s means something else; take a name such as X-App-User", name)
		case seen[key]:
			return nil, fmt.Errorf("header %s is there twice", name)
		default:
			seen[key] = true
		}
		p.Headers = append(p.Headers, IdentityHeader{name, h.Says})
	}
	return p, nil
}

// reserved are headers that must not be taken for an identity.
var reserved = []string{"accept", "accept-encoding", "accept-language", "authorization", "cache-control", "connection", "content-encoding", "content-length",
	"content-type", "cookie", "date", "expect", "forwarded", "host", "if-match", "if-modified-since", "if-none-match", "if-range", "keep-alive", "location", "origin",
	"range", "referer", "set-cookie", "te", "trailer", "transfer-encoding", "upgrade", "user-agent", "vary", "via", "www-authenticate",
	"x-forwarded-for", "x-forwarded-host", "x-forwarded-method", "x-forwarded-proto", "x-forwarded-uri", "x-original-method", "x-original-url", "x-requested-with"}

// Managed is a set of header names that sites have besides those that are always
// managed.
type Managed map[string]bool

// Add adds the names of a preset.
func (m Managed) Add(p *Preset) {
	for _, h := range p.Headers {
		m[foldName(h.Name)] = true
	}
}

// managed holds the names that upstreams are known to believe, in lower case
// with dashes. A client never gets one of them through a gated site, whatever
// preset the site uses.
var managed = map[string]struct{}{
	"remote-user": {}, "remote-groups": {}, "remote-name": {}, "remote-email": {},
	"remote-organization": {}, "remote-organization-role": {}, "x-remote-organization": {}, "x-remote-organization-role": {},
	"x-token-organization": {}, "x-token-organization-role": {}, "x-authentik-meta-organization": {}, "x-authentik-meta-organization-role": {},
	"x-remote-user": {}, "x-remote-groups": {}, "x-remote-name": {}, "x-remote-email": {}, "x-remote-group": {},
	"x-forwarded-user": {}, "x-forwarded-email": {}, "x-forwarded-groups": {}, "x-forwarded-preferred-username": {},
	"x-auth-request-user": {}, "x-auth-request-email": {}, "x-auth-request-groups": {}, "x-auth-request-preferred-username": {},
	"x-token-subject": {}, "x-token-user-name": {}, "x-token-user-email": {}, "x-token-user-roles": {},
	"x-authentik-username": {}, "x-authentik-email": {}, "x-authentik-name": {}, "x-authentik-uid": {}, "x-authentik-groups": {},
	"gate-assertion": {}, "x-forwarded-access-token": {},
}

// maxManaged is the greatest length of a managed name.
const maxManaged = 64

// fold brings a header's name into the form that servers behind us may take it for:
// case, and whatever is no letter or digit, make no difference. It is nil for what
// is no managed name, by its length or because it is no header name at all (RFC 9110
// section 5.1).
func fold(name string, to *[maxManaged]byte) []byte {
	if len(name) > maxManaged {
		return nil
	}
	for i := range len(name) {
		switch c := name[i]; {
		case 'A' <= c && c <= 'Z':
			to[i] = c + 'a' - 'A'
		case 'a' <= c && c <= 'z' || '0' <= c && c <= '9':
			to[i] = c
		case c >= 0x80:
			return nil
		default:
			to[i] = '-'
		}
	}
	return to[:len(name)]
}

func foldName(name string) string {
	var buf [maxManaged]byte
	return string(fold(name, &buf))
}

// has tells whether a header name is a managed one in any spelling that a server
// behind us may fold together.
func (m Managed) has(name string) bool {
	var buf [maxManaged]byte
	if len(m) > 0 {
		if folded := fold(name, &buf); m[string(folded)] {
			return true
		}
	}
	if len(name) < len("remote-user") {
		return false
	}
	switch name[0] {
	case 'R', 'r', 'X', 'x', 'G', 'g':
		_, found := managed[string(fold(name, &buf))]
		return found
	}
	return false
}

// Strip deletes what a client may not say: managed identity headers in any
// spelling, and their names in Connection, which would make the proxy behind us
// drop what we set. Trailers arrive after we have looked, announced or not, so that
// none are passed on; nor is the offer to speak HTTP/2 in the clear (h2c), after
// which nobody would look at what is asked.
func (m Managed) Strip(r *http.Request) {
	for name := range r.Header {
		if m.has(name) {
			delete(r.Header, name)
		}
	}
	if r.Trailer != nil {
		r.Trailer = nil
		delete(r.Header, "Trailer")
	}
	if upgrade := r.Header["Upgrade"]; upgrade != nil && offersH2C(upgrade) {
		delete(r.Header, "Upgrade")
		delete(r.Header, "Http2-Settings")
	}
	if lines := r.Header["Connection"]; lines != nil && m.named(lines) {
		m.cleanConnection(r.Header, lines)
	}
}

func offersH2C(upgrade []string) bool {
	return strings.Contains(strings.ToLower(strings.Join(upgrade, ",")), "h2c")
}

// named tells whether lines of Connection name a managed header.
func (m Managed) named(lines []string) bool {
	for _, line := range lines {
		for rest := line; rest != ""; {
			var token string
			token, rest, _ = strings.Cut(rest, ",")
			if m.has(strings.Trim(token, " \t")) {
				return true
			}
		}
	}
	return false
}

func (m Managed) cleanConnection(h http.Header, lines []string) {
	var kept []string
	for _, line := range lines {
		for token := range strings.SplitSeq(line, ",") {
			if token = strings.Trim(token, " \t"); token != "" && !m.has(token) {
				kept = append(kept, token)
			}
		}
	}
	if len(kept) == 0 {
		delete(h, "Connection")
		return
	}
	h["Connection"] = []string{strings.Join(kept, ", ")}
}

// Known is what is made ready of a user once, so that each request finds it.
type Known struct {
	values   [fields]string
	Identity access.Identity
	claims   claims
	nowhere  Active
	places   []Active                 // one for each organization of the Identity
	passed   atomic.Pointer[[]passed] // tokens of providers
}

// Active is what is told of a user who is there for one organization, or for none. It is
// made ready with the Known that it is of.
type Active struct {
	Organization string // slug; empty for none
	Role         string // in it
	Placeholders func(key string) (any, bool)
	assertion    atomic.Pointer[assertion] // the last one that was signed
}

// In gives what is told of the user in an organization, by its slug: that of a decision.
// Where it is none of the user's it is as with none.
func (k *Known) In(organization string) *Active {
	for i := range k.places {
		if k.places[i].Organization == organization {
			return &k.places[i]
		}
	}
	return &k.nowhere
}

// Prepare makes a Known of a user: it is the prepare function of
// authcore.NewSessions. An address that nobody has verified is not passed on: an
// app that knows people by it would take its user for somebody else.
func Prepare(u *authcore.User) any {
	email := ""
	if u.EmailVerified {
		email = u.Email
	}
	places := placesOf(u)
	var orgs, roles []string
	for i := range places {
		orgs, roles = append(orgs, places[i].Organization), append(roles, places[i].Organization+"/"+places[i].Role)
	}
	k := &Known{
		Identity: access.Identity{Username: authcore.UsernameKey(u.Username), Groups: u.Groups,
			EmailDomain: u.EmailDomain(), Owner: u.Owner, NeedsFactor: u.NeedsFactor(), Organizations: orgs, Roles: roles, OrganizationOnly: u.InOrganizationsOnly()},
		places: places,
		values: [fields]string{FieldUsername: u.Username, FieldGroups: strings.Join(u.Groups, ","), FieldGroupsBySpace: strings.Join(u.Groups, " "),
			FieldGroupsByPipe: strings.Join(u.Groups, "|"), FieldName: u.Name, FieldEmail: email, FieldID: string(u.ID)},
	}
	k.claims = claims{Subject: u.ID, Username: u.Username, Name: u.Name, Email: email, EmailVerified: email != "", Groups: u.Groups}
	values := map[string]any{"id": string(u.ID), "username": u.Username, "name": u.DisplayName(), "email": email,
		"groups": strings.Join(u.Groups, ",")}
	k.nowhere.prepare(values)
	for i := range k.places {
		k.places[i].prepare(values)
	}
	return k
}

// prepare makes the placeholders, of the values that are the same in every organization.
func (a *Active) prepare(values map[string]any) {
	var organization, role any = a.Organization, a.Role
	a.Placeholders = func(key string) (any, bool) {
		rest, ok := strings.CutPrefix(key, placeholders)
		if !ok {
			return nil, false
		}
		switch rest {
		case "organization":
			return organization, true
		case "organization_role":
			return role, true
		}
		v, ok := values[rest]
		return v, ok
	}
}

// placesOf gives the organizations of a user that are active, and the roles there.
func placesOf(u *authcore.User) []Active {
	if len(u.Memberships) == 0 {
		return nil
	}
	places := make([]Active, len(u.Memberships))
	n := 0
	for _, m := range u.Memberships {
		if m.Status == authcore.OrganizationActive {
			places[n].Organization, places[n].Role = m.Slug, string(m.Role)
			n++
		}
	}
	return places[:n]
}

const placeholders = "http.auth.user."

// The placeholders that differ from one organization to another.
const (
	PlaceholderOrganization     = placeholders + "organization"
	PlaceholderOrganizationRole = placeholders + "organization_role"
)

// Nobody gives empty placeholders where nobody is signed in, or else their names
// would be what an upstream is told.
func Nobody(key string) (any, bool) { return "", strings.HasPrefix(key, placeholders) }

// Tell sets the identity headers of a user in an organization, see In. store keeps the values for as long as the
// request runs: each header's slice is one element of it, so that nothing is
// allocated and nothing that is shared can be changed downstream. A preset that is
// signed needs an assertion.
func (k *Known) Tell(h http.Header, preset *Preset, active *Active, store *Values, made PerRequest) {
	for i, header := range preset.Headers {
		value := k.values[header.Says]
		switch header.Says {
		case FieldOrganization:
			value = active.Organization
		case FieldOrganizationRole:
			value = active.Role
		case FieldAssertion:
			value = made.Assertion
		case FieldProviderToken:
			value = made.Token
		}
		if value == "" {
			continue
		}
		store[i] = value
		h[header.Name] = store[i : i+1 : i+1]
	}
}

// Untell removes what Tell set, before store serves another request.
func Untell(h http.Header, preset *Preset) {
	for _, header := range preset.Headers {
		delete(h, header.Name)
	}
}
