package integration

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// Two nodes on one database: a token that has expired is renewed once by both together, and
// a sign-out that one is told of counts at the other.
func TestConnectNodes(t *testing.T) {
	eachServer(t, func(t *testing.T, driver string) {
		cl := newCluster(t, driver, false)
		corp, mock := startOpenID(t, oidcProvider, openIDSettings{Rotate: true}), startOpenID(t, mockProvider, openIDSettings{})
		vars := connectVars{"Gates": "pass_token corp"}
		node := func() *server {
			return start(t, connectFile, func(s *server) {
				cl.node(s)
				vars["Database"] = s.Vars["Store"].(string) + "\n\t\thashing {\n\t\t\targon2id 64KiB 1 1\n\t\t\tpermits off\n\t\t}"
				vars.fill(s, corp, mock)
			})
		}
		one, two := node(), node()
		withOwner(t, one)
		portal := one.URL("HTTPS", "auth.example.org")
		c := &connected{server: one, corp: corp, mock: mock, portal: portal, app: one.URL("HTTPS", "app.example.com")}
		c.introduce(t)

		corp.set(t, "accessTokenLife", 29) // less than what a token must have left
		b := c.Client(t)
		c.visit(b, "", "xenia")
		if got := b.open(c.app + "/?mark=begin"); got.StatusCode != http.StatusOK {
			t.Fatalf("%s\n%s", got.Status, got.Body)
		}
		cookie := header{"Cookie", "__Host-gate=" + b.cookie(c.app+"/", "__Host-gate")}
		corp.set(t, "accessTokenLife", 3600)
		before := corp.count(t, "token")
		var all sync.WaitGroup
		for n := range 100 {
			for _, s := range []*server{one, two} {
				all.Go(func() {
					if got := s.Client(t).fetch(fmt.Sprintf("%s/?mark=node-%d", s.URL("HTTPS", "app.example.com"), n), cookie); got.StatusCode != http.StatusOK {
						t.Errorf("%s\n%s", got.Status, got.Body)
					}
				})
			}
		}
		all.Wait()
		if n := corp.count(t, "token") - before; n != 1 {
			t.Errorf("the provider was asked %d times", n)
		}
		seen := make(map[string]int)
		for _, s := range []*server{one, two} {
			for n := range 100 {
				for _, e := range s.Upstream.received(fmt.Sprintf("mark=node-%d", n)) {
					seen[e.get("X-Forwarded-Access-Token")]++
				}
			}
		}
		if len(seen) != 1 || seen[""] != 0 {
			t.Errorf("the apps got %d tokens, and none %d times", len(seen), seen[""])
		}
		corp.signOut(t, "xenia")
		at := two.URL("HTTPS", "app.example.com") + "/"
		eventually(t, "signed out at the other node", func() bool {
			return two.Client(t).fetch(at, cookie).StatusCode == http.StatusUnauthorized
		})
	})
}

// Whatever goes wrong at a provider signs nobody in, says so on a page that offers the
// other ways, and leaves one event.
func TestConnectTrouble(t *testing.T) {
	t.Parallel()
	c := startConnected(t, nil)
	n := c.count(t, "SELECT count(*) FROM sessions")
	for _, tt := range []struct {
		endpoint, mode string
		status         int
		code           string
	}{
		{"token", "503", http.StatusServiceUnavailable, "provider_unavailable"},
		{"token", "garbage", http.StatusServiceUnavailable, "provider_unavailable"},
		{"token", "drop", http.StatusServiceUnavailable, "provider_unavailable"},
		{"token", "invalid_grant", http.StatusUnauthorized, "provider_answer_invalid"},
		{"token", "invalid_client", http.StatusServiceUnavailable, "provider_misconfigured"},
		{"jwks", "503", http.StatusUnauthorized, "provider_answer_invalid"},
	} {
		what := tt.endpoint + " " + tt.mode
		c.corp.replaceKeys(t)
		c.corp.fail(t, tt.endpoint, tt.mode)
		b := c.Client(t)
		before := len(c.audit(t, "user.login"))
		got := b.handOver(b.atProvider(b.get(c.portal+"/.gate/connect/corp"), "yuri"))
		if got.StatusCode != tt.status || !strings.Contains(got.Body, "Continue with Mock") || !strings.Contains(got.Body, `role="alert"`) {
			t.Errorf("%s: %s\n%s", what, got.Status, got.Body)
		}
		eventually(t, "the event", func() bool {
			all := c.audit(t, "user.login")
			return len(all) == before+1 && strings.Contains(strings.Join(all, "\n"), tt.code)
		})
		c.corp.fail(t, tt.endpoint, "")
		c.signedInAs(t, b, "")
	}
	if after := c.count(t, "SELECT count(*) FROM sessions"); after != n {
		t.Errorf("%d sessions were made", after-n)
	}
	b := c.Client(t)
	c.visit(b, "", "yuri")
	c.signedInAs(t, b, "yuri")
	c.corp.rotateKeys(t) // which nobody notices
	again := c.Client(t)
	c.visit(again, "", "yuri")
	c.signedInAs(t, again, "yuri")
}
