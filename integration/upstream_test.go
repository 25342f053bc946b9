package integration

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
)

// upstream is the app behind the gate. It answers every request with what it
// received, as JSON, and remembers it.
type upstream struct {
	*httptest.Server
	mu   sync.Mutex
	seen []echo
}

// echo is a request as the upstream received it.
type echo struct {
	Method, URI, Host string
	Header, Trailer   http.Header
	Body              string
}

// get gives a header's values joined by "|", looking at names in any spelling
// that a server might fold together: case, and - _ . alike.
func (e *echo) get(name string) string {
	var all []string
	for key, values := range e.Header {
		if folded(key) == folded(name) {
			all = append(all, values...)
		}
	}
	return strings.Join(all, "|")
}

func folded(name string) string {
	return strings.Map(func(r rune) rune {
		if r == '_' || r == '.' {
			return '-'
		}
		return r
	}, strings.ToLower(name))
}

// startUpstream starts an upstream. A request may ask it for more: each value of
// the query parameter "answer" is a header line of the answer ("Name: value"). With
// "hints" these come in an informational answer too, with "upgrade" in one that
// switches protocols.
func startUpstream() *upstream {
	u := new(upstream)
	u.Server = httptest.NewServer(http.HandlerFunc(u.serve))
	return u
}

func newUpstream(t testing.TB) *upstream {
	u := startUpstream()
	t.Cleanup(u.Close)
	return u
}

func (u *upstream) serve(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body) // before the trailers are looked at
	e := echo{Method: r.Method, URI: r.RequestURI, Host: r.Host, Header: r.Header.Clone(), Trailer: r.Trailer.Clone(), Body: string(body)}
	u.mu.Lock()
	u.seen = append(u.seen, e)
	u.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	for _, line := range r.URL.Query()["answer"] {
		name, value, _ := strings.Cut(line, ":")
		w.Header()[strings.TrimSpace(name)] = append(w.Header()[strings.TrimSpace(name)], strings.TrimSpace(value))
	}
	if r.URL.Query().Has("hints") {
		w.WriteHeader(http.StatusEarlyHints)
	}
	if r.URL.Query().Has("upgrade") {
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", r.Header.Get("Upgrade"))
		w.WriteHeader(http.StatusSwitchingProtocols)
		return
	}
	_ = json.NewEncoder(w).Encode(e)
}

// requests gives all that was received so far.
func (u *upstream) requests() []echo {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.seen)
}

// received finds the requests whose URI contains a mark that the test chose.
func (u *upstream) received(mark string) []echo {
	var found []echo
	for _, e := range u.requests() {
		if strings.Contains(e.URI, mark) {
			found = append(found, e)
		}
	}
	return found
}

// addr is host and port.
func (u *upstream) addr() string { return strings.TrimPrefix(u.URL, "http://") }
