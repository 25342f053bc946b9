package web

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/access"
	"github.com/gatehouse-auth/gatehouse/authcore/web/console"
)

// flow is a sign-in under way: where it began and where it is to end. It
// travels sealed in the address of the sign-in page, so that an anonymous request
// writes nothing.
type flow struct {
	Origin  string `json:"o"` // of the gated host
	Path    string `json:"p"` // path and query to return to
	Browser string `json:"b"` // hash of the flow cookie on the gated host; empty where host and portal are one
	// Within is the greatest age in seconds that the proof of the session may have
	// at the end; 0 means any.
	Within int `json:"f,omitempty"`
	// Factor says that a second factor must have been proven at the end.
	Factor bool `json:"m,omitempty"`
	// Of an authorization request: when it came, in microseconds; the name of the app; and
	// what it says that the user may be called. A proof that is asked for with Within is new
	// from then on.
	Since int64  `json:"s,omitempty"`
	App   string `json:"a,omitempty"`
	Login string `json:"l,omitempty"`
	// Organization is the slug of the one that the app or the site is of; empty for none. Its
	// own clients at providers are used.
	Organization string `json:"g,omitempty"`
}

// target is the host that the flow leads to, with the port where it has one.
func (f flow) target() string {
	_, host, _ := strings.Cut(f.Origin, "://")
	return host
}

const (
	// flowLife is how long a sign-in may take before the flow starts anew, which
	// it does by itself.
	flowLife = time.Hour
	// maxReturn is the longest path and query that is kept to come back to.
	maxReturn = 4096
)

// sealFlow seals a flow. Its path is a localPath already.
func (h *Handler) sealFlow(f flow) string {
	text, err := json.Marshal(f)
	if err != nil {
		return ""
	}
	return h.Flows.Seal(text)
}

// openFlow reads a flow. One that is too old still tells where it began; one
// that was not sealed here, or that does not lead to a host of ours, is nothing.
func (h *Handler) openFlow(sealed string) (f flow, fresh, ok bool) {
	if sealed == "" {
		return flow{}, false, false
	}
	text, err := h.Flows.Open(sealed, flowLife)
	if text == nil {
		return flow{}, false, false
	}
	if json.Unmarshal(text, &f) != nil || !h.KnownOrigin(f.Origin) {
		return flow{}, false, false
	}
	f.Path = localPath(f.Path)
	return f, err == nil, true
}

// localPath gives a path and query on this host that is safe to redirect to, or
// "/". It accepts what every browser reads as a path alone: one leading slash,
// no backslash, no control character, nothing that could name a host.
func localPath(s string) string {
	if len(s) == 0 || len(s) > maxReturn || s[0] != '/' || strings.HasPrefix(s, "//") {
		return "/"
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] == '\\' || s[i] == 0x7f {
			return "/"
		}
	}
	u, err := url.Parse(s)
	if err != nil || !utf8.ValidString(s) || u.Scheme != "" || u.Host != "" || u.User != nil || strings.HasPrefix(u.Path, "//") ||
		strings.ContainsFunc(u.Path, func(r rune) bool { return unicode.IsControl(r) || r == '\\' }) {
		return "/"
	}
	if ours, _ := Ours(u.Path); ours && !comesBack(strings.TrimPrefix(u.Path, Prefix)) {
		return "/" // coming back to the sign-in page would be a circle
	}
	return s
}

// comesBack tells whether a page of ours is one to come back to after a sign-in.
func comesBack(path string) bool {
	known, _ := console.Known(path)
	return known || path == "account" || path == "admin/explain" || path == "oauth/authorize" || path == "device"
}

// browserHash binds a flow to the browser that holds its cookie.
func browserHash(cookie string) string {
	sum := sha256.Sum256([]byte(cookie))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// SignInURL is where a browser goes to sign in, with the flow that brings it
// back to path, and sets the cookie that binds the flow to the browser.
func (h *Handler) SignInURL(w http.ResponseWriter, r *http.Request, p Place, path string) string {
	if p.SignInHere {
		return p.Origin + Prefix + "login?return_to=" + url.QueryEscape(localPath(path))
	}
	f := h.newFlow(w, r, p, path)
	if f.Path == "/" && p.Mode != ModeSite {
		return pagesBase(p) + "login"
	}
	return pagesBase(p) + "login?flow=" + h.sealFlow(f)
}

// ConfirmURL is where a browser goes to prove again who its user is, and comes back to
// path with a proof as it is needed.
func (h *Handler) ConfirmURL(w http.ResponseWriter, r *http.Request, p Place, path string, need access.Need) string {
	seconds := int(need.Within.Seconds())
	if p.SignInHere {
		q := url.Values{"max_age": {strconv.Itoa(seconds)}, "return_to": {localPath(path)}}
		if need.SecondFactor {
			q.Set("factor", "1")
		}
		return p.Origin + Prefix + "confirm?" + q.Encode()
	}
	f := h.newFlow(w, r, p, path)
	f.Within, f.Factor = seconds, need.SecondFactor
	return pagesBase(p) + "confirm?flow=" + h.sealFlow(f)
}

// newFlow begins a flow that leads back to path.
func (h *Handler) newFlow(w http.ResponseWriter, r *http.Request, p Place, path string) flow {
	f := flow{Origin: p.Origin, Path: localPath(path), Organization: p.Organization}
	if p.Mode == ModeSite {
		f.Browser = browserHash(h.flowCookie(w, r, p))
	}
	return f
}

// pagesBase is where the pages are that a host sends its browsers to.
func pagesBase(p Place) string {
	if p.Mode == ModeSite || p.Asked {
		return p.Portal + Prefix
	}
	return Prefix
}

// flowCookie gives the browser's flow cookie, making one where there is none.
// Tabs share it, so that none of them spoils another's sign-in.
func (h *Handler) flowCookie(w http.ResponseWriter, r *http.Request, p Place) string {
	name := cookieName(flowCookie, p.Secure)
	for _, line := range w.Header()["Set-Cookie"] { // this answer sets it already
		if value, ok := strings.CutPrefix(line, name+"="); ok {
			value, _, _ = strings.Cut(value, ";")
			if token, _ := splitFlowCookie(value); authcore.PlausibleToken(token) {
				return token
			}
		}
	}
	value := readCookie(r.Header, name)
	token, _ := splitFlowCookie(value)
	if !authcore.PlausibleToken(token) {
		fresh, _ := authcore.NewToken()
		token, value = fresh.Reveal(), fresh.Reveal()
	}
	setCookie(w, p, flowCookie, value, flowLife)
	return token
}

// FlowToken is the flow cookie that a request carries, or empty.
func FlowToken(h http.Header, secure bool) string {
	token, _ := splitFlowCookie(readCookie(h, cookieName(flowCookie, secure)))
	return token
}
