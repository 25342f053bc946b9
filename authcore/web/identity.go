package web

import (
	"net/http"
	"strings"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/access"
)

// Preset is a set of identity headers that upstreams understand.
type Preset struct {
	Name    string
	Headers [4]string // canonical names for username, groups, name and email; empty ones are not sent
}

// The presets.
var (
	RemotePreset = &Preset{Name: "remote", Headers: [4]string{"Remote-User", "Remote-Groups", "Remote-Name", "Remote-Email"}}
	NonePreset   = &Preset{Name: "none"}
)

// Presets finds a preset by its name.
var Presets = map[string]*Preset{RemotePreset.Name: RemotePreset, NonePreset.Name: NonePreset}

// managed holds the names that upstreams are known to believe, in lower case
// with dashes. A client never gets one of them through a gated site, whatever
// preset the site uses.
var managed = map[string]struct{}{
	"remote-user": {}, "remote-groups": {}, "remote-name": {}, "remote-email": {},
	"x-remote-user": {}, "x-remote-groups": {}, "x-remote-name": {}, "x-remote-email": {}, "x-remote-group": {},
	"x-forwarded-user": {}, "x-forwarded-email": {}, "x-forwarded-groups": {}, "x-forwarded-preferred-username": {},
	"x-auth-request-user": {}, "x-auth-request-email": {}, "x-auth-request-groups": {}, "x-auth-request-preferred-username": {},
	"x-token-subject": {}, "x-token-user-name": {}, "x-token-user-email": {}, "x-token-user-roles": {},
	"x-authentik-username": {}, "x-authentik-email": {}, "x-authentik-name": {}, "x-authentik-uid": {}, "x-authentik-groups": {},
	"gate-assertion": {},
}

// longestManaged is the length of the longest managed name.
const longestManaged = len("x-auth-request-preferred-username")

// isManaged tells whether a header name is a managed one in any spelling that a
// server behind us may fold together: case, and whatever is no letter or digit.
func isManaged(name string) bool {
	if len(name) > longestManaged || len(name) < len("remote-user") {
		return false
	}
	switch name[0] {
	case 'R', 'r', 'X', 'x', 'G', 'g':
	default:
		return false
	}
	var buf [longestManaged]byte
	for i := range len(name) {
		switch c := name[i]; {
		case 'A' <= c && c <= 'Z':
			buf[i] = c + 'a' - 'A'
		case 'a' <= c && c <= 'z' || '0' <= c && c <= '9':
			buf[i] = c
		case c >= 0x80:
			return false // no header name (RFC 9110 section 5.1)
		default:
			buf[i] = '-'
		}
	}
	_, found := managed[string(buf[:len(name)])]
	return found
}

// Strip deletes what a client may not say: managed identity headers in any
// spelling, and their names in Connection, which would make the proxy behind us
// drop what we set. Trailers arrive after we have looked, announced or not, so that
// none are passed on; nor is the offer to speak HTTP/2 in the clear (h2c), after
// which nobody would look at what is asked.
func Strip(r *http.Request) {
	for name := range r.Header {
		if isManaged(name) {
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
	if lines := r.Header["Connection"]; lines != nil && connectionNamesManaged(lines) {
		cleanConnection(r.Header, lines)
	}
}

func offersH2C(upgrade []string) bool {
	return strings.Contains(strings.ToLower(strings.Join(upgrade, ",")), "h2c")
}

func connectionNamesManaged(lines []string) bool {
	for _, line := range lines {
		for rest := line; rest != ""; {
			var token string
			token, rest, _ = strings.Cut(rest, ",")
			if isManaged(strings.Trim(token, " \t")) {
				return true
			}
		}
	}
	return false
}

func cleanConnection(h http.Header, lines []string) {
	var kept []string
	for _, line := range lines {
		for token := range strings.SplitSeq(line, ",") {
			if token = strings.Trim(token, " \t"); token != "" && !isManaged(token) {
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
	values       [4]string
	Placeholders func(key string) (any, bool)
	Identity     access.Identity
}

// Prepare makes a Known of a user: it is the prepare function of
// authcore.NewSessions. An address that nobody has verified is not passed on: an
// app that knows people by it would take its user for somebody else.
func Prepare(u *authcore.User) any {
	email := ""
	if u.EmailVerified {
		email = u.Email
	}
	k := &Known{
		Identity: access.Identity{Username: authcore.UsernameKey(u.Username), Groups: u.Groups,
			EmailDomain: u.EmailDomain(), Owner: u.Owner},
		values: [4]string{u.Username, strings.Join(u.Groups, ","), u.Name, email},
	}
	values := map[string]any{"id": string(u.ID), "username": u.Username, "name": u.DisplayName(), "email": email,
		"groups": strings.Join(u.Groups, ",")}
	k.Placeholders = func(key string) (any, bool) {
		rest, ok := strings.CutPrefix(key, placeholders)
		if !ok {
			return nil, false
		}
		v, ok := values[rest]
		return v, ok
	}
	return k
}

const placeholders = "http.auth.user."

// Nobody gives empty placeholders where nobody is signed in, or else their names
// would be what an upstream is told.
func Nobody(key string) (any, bool) { return "", strings.HasPrefix(key, placeholders) }

// Tell sets the identity headers. store keeps the values for as long as the
// request runs: each header's slice is one element of it, so that nothing is
// allocated and nothing that is shared can be changed downstream.
func (k *Known) Tell(h http.Header, preset *Preset, store *[4]string) {
	for i, name := range preset.Headers {
		if name == "" || k.values[i] == "" {
			continue
		}
		store[i] = k.values[i]
		h[name] = store[i : i+1 : i+1]
	}
}

// Untell removes what Tell set, before store serves another request.
func Untell(h http.Header, preset *Preset) {
	for _, name := range preset.Headers {
		if name != "" {
			delete(h, name)
		}
	}
}
