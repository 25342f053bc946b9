//go:build unix && !race

package caddymodule

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// TestGateAllocatesNothing guards the way of a signed-in request. The race
// detector allocates by itself, so that `make test` runs this without it.
func TestGateAllocatesNothing(t *testing.T) {
	g, tokens := gateWith(t, 100)
	next := caddyhttp.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) error {
		if r.Header.Get("Remote-User") != "alice" {
			t.Error("the upstream is not told who is there")
		}
		return nil
	})
	w, r := signedIn(t, tokens[0])
	repl := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	start := *repl
	cookie := []string{""}
	line := "__Host-gate-device=" + strings.Repeat("x", 91) + "; __Host-gate=" + tokens[42] + "; theme=dark"
	allocs := testing.AllocsPerRun(1000, func() {
		cookie[0] = line
		r.Header["Cookie"] = cookie
		*repl = start
		if err := g.ServeHTTP(w, r, next); err != nil {
			t.Fatal(err)
		}
	})
	if allocs != 0 {
		t.Errorf("a signed-in request allocates %v times in the gate", allocs)
	}
	if got := r.Header["Cookie"]; len(got) != 1 || got[0] != "theme=dark" {
		t.Errorf("the upstream gets the cookies %q", got)
	}
}
