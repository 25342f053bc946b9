package integration

import (
	"net/http"
	"strings"
	"testing"
)

// twoSites is a portal with two gated hosts of different domains, over HTTPS.
const twoSites = `{
	{{.Global}}
	gate {
		{{.Gate}}
		portal https://auth.example.com:{{.HTTPS}}
		limits {
			address off
			account off
		}
	}
}
https://auth.example.com:{{.HTTPS}} {
	gate_portal
}
https://app.example.com:{{.HTTPS}}, https://wiki.example.net:{{.HTTPS}} {
	gate
	reverse_proxy {{.Upstream}}
}
`

// TestHarness shows that the harness does what other tests count on.
func TestHarness(t *testing.T) {
	t.Parallel()
	s := start(t, twoSites)
	alice := someone("alice")
	b := s.createOwner(t, alice)
	if got := b.open(s.URL("HTTPS", "app.example.com") + "/hello?x=1"); got.StatusCode != http.StatusOK || !strings.Contains(got.Body, `"/hello?x=1"`) {
		t.Fatalf("after setup: %s\n%s", got.Status, got.Body)
	}
	other := s.Client(t)
	if got := other.arrive(s.URL("HTTPS", "wiki.example.net")+"/page", alice); got.StatusCode != http.StatusOK || !strings.Contains(got.Body, `"/page"`) {
		t.Fatalf("after sign-in: %s %s\n%s", got.Status, got.Request.URL, got.Body)
	}
	seen := s.Upstream.received("/page")
	if len(seen) != 1 || seen[0].get("Remote-User") != "alice" {
		t.Errorf("the upstream received %+v", seen)
	}
	s.Restart(t)
	if got := b.fetch(s.URL("HTTPS", "app.example.com") + "/again"); got.StatusCode != http.StatusOK {
		t.Errorf("after a restart: %s", got.Status)
	}
	if err := s.Reload(t, "{\n\t{{.Global}}\n\tgate {\n\t\tnonsense\n\t}\n}\n"); err == nil {
		t.Error("a reload with nonsense worked")
	}
	if err := s.Reload(t, twoSites); err != nil {
		t.Error(err)
	}
	if got := s.raw(t, "HTTPS", "app.example.com", "GET / HTTP/1.1\r\nHost: app.example.com\r\nConnection: close\r\n\r\n"); got.StatusCode != http.StatusUnauthorized {
		t.Errorf("raw: %s", got.Status)
	}
}
