package web

import (
	"net/http"
	"strings"
	"unicode"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// Mode says what the host of a request is to us.
type Mode uint8

// The modes of a host.
const (
	// ModeOwn is a gated host that is its own portal: sign-in and account pages
	// share the origin with the app, so every change asks for a fresh proof.
	ModeOwn Mode = iota
	// ModeSite is a gated host under a portal: it has no pages of its own.
	ModeSite
	// ModePortal is the portal's host.
	ModePortal
)

// Place is where a request stands. Configuration and the connection make it,
// never a header that a client can choose.
type Place struct {
	Mode   Mode
	Origin string // of this host, e.g. "https://app.example.com"; empty where no site names the host
	Host   string // its host name without port, in lower case: what a session is bound to
	Secure bool   // the browser's connection is HTTPS
	Portal string // origin of the portal; that of this host where Mode is ModeOwn
	Client authcore.Client
	// Organization is the slug of the only one whose members the site lets in; empty for none.
	Organization string
	// Asked says that another proxy asks about the request: addresses that the
	// answer leads to are whole.
	Asked bool
	// SignInHere says that the way to the portal begins on this host, under
	// Prefix, because cookies of the answer may not reach the browser.
	SignInHere bool
}

// Hostname cuts the port and the brackets off a Host header, without
// allocating. It does not change case.
func Hostname(hostport string) string {
	if strings.HasPrefix(hostport, "[") {
		if end := strings.IndexByte(hostport, ']'); end > 0 {
			return hostport[1:end]
		}
		return ""
	}
	if colon := strings.IndexByte(hostport, ':'); colon >= 0 {
		return hostport[:colon]
	}
	return hostport
}

// Prefix is the path under which everything of ours lives.
const Prefix = "/.gate/"

// Ours tells whether a path is ours, and whether it is written plainly. A path
// that could be read as ours in any other spelling is ours too, but is not plain:
// it is never served and never reaches an upstream.
func Ours(path string) (ours, plain bool) {
	if strings.HasPrefix(path, Prefix) || path == "/.gate" {
		return true, !strings.Contains(path, "//") && !strings.Contains(path, "..") && !strings.ContainsAny(path, "\\;")
	}
	if !strings.Contains(path, ".") && !strings.Contains(path, "%") {
		return false, true
	}
	return looksOurs(path), false
}

// looksOurs undoes the spellings that servers and proxies are known to undo:
// case, backslashes, doubled slashes, dot segments, path parameters and one more
// layer of percent-encoding.
func looksOurs(path string) bool {
	if !strings.Contains(strings.ToLower(path), "gate") {
		return false
	}
	p := strings.ToLower(path)
	for range 3 {
		p = percent.Replace(p)
	}
	var segments []string
	for seg := range strings.SplitSeq(strings.ReplaceAll(p, "\\", "/"), "/") {
		seg, _, _ = strings.Cut(seg, ";")
		if end := strings.IndexFunc(seg, unicode.IsControl); end >= 0 {
			seg = seg[:end]
		}
		switch seg {
		case "", ".":
		case "..":
			segments = segments[:max(0, len(segments)-1)]
		default:
			segments = append(segments, seg)
		}
	}
	return len(segments) > 0 && segments[0] == ".gate"
}

// percent undoes the escapes that matter for looksOurs.
var percent = strings.NewReplacer("%25", "%", "%2e", ".", "%2f", "/", "%5c", "\\", "%3b", ";")

// Navigation tells whether a browser's user is going to a page, so that a
// redirect to sign-in makes sense. Anything else wants an answer that a program
// can read.
func Navigation(r *http.Request) bool {
	h := r.Header
	if len(h["X-Requested-With"]) > 0 || len(h["Upgrade"]) > 0 || r.Method == http.MethodConnect || r.Method == http.MethodOptions {
		return false
	}
	if mode := h.Get("Sec-Fetch-Mode"); mode != "" {
		return mode == "navigate"
	}
	return strings.Contains(h.Get("Accept"), "text/html")
}

// wantsJSON tells whether the answer should be JSON rather than a page.
func wantsJSON(r *http.Request) bool {
	return isJSON(r) || !Navigation(r) && !strings.Contains(r.Header.Get("Accept"), "text/html")
}
