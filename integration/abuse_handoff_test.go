package integration

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// handoff brings a browser to the point where it has a code for a host.
func handoff(t *testing.T, s *server, host string, p person) (b *browser, callback string) {
	t.Helper()
	b = s.Client(t)
	b.signIn(s.at("auth.example.com", ""), p)
	first := b.get(s.at(host, "/page"))
	callback = b.get(first.location()).location()
	if !strings.HasPrefix(callback, s.at(host, "/.gate/callback?code=")) {
		t.Fatalf("the portal sends the browser to %q", callback)
	}
	return b, callback
}

// TestR3_HandoffCode tries a code in other hands, on another host, again, and
// many times at once.
func TestR3_HandoffCode(t *testing.T) {
	t.Parallel()
	s := house.get(t)
	const host = "app.example.com"
	refused := func(what string, p page) {
		t.Helper()
		if p.StatusCode != http.StatusBadRequest || p.setCookies()["__Host-gate"] != nil || p.location() != "" {
			t.Errorf("%s: %s to %q with cookies %q", what, p.Status, p.location(), p.Header["Set-Cookie"])
		}
	}
	b, callback := handoff(t, s, host, carol)
	_, code, _ := strings.Cut(callback, "code=")
	refused("no flow cookie", s.Client(t).get(callback))
	stranger := s.Client(t)
	stranger.get(s.at(host, "/page")) // a flow cookie of its own
	refused("another browser", stranger.get(callback))
	refused("another browser, both cookies", stranger.get(callback, header{"Cookie", "__Host-gate-flow=x"}))
	mine := b.cookie(s.at(host, "/"), "__Host-gate-flow")
	for name, to := range map[string]string{
		"another host": s.at("wiki.example.net", "/.gate/callback?code="+code), "cut": callback[:len(callback)-1], "longer": callback + "A",
		"empty": s.at(host, "/.gate/callback?code="), "two codes": s.at(host, "/.gate/callback?code=x&code="+code), "the session's id": s.at(host, "/.gate/callback?code="+mine),
	} {
		refused(name, s.Client(t).get(to, header{"Cookie", "__Host-gate-flow=" + mine}))
	}
	if got := b.post(callback, nil); got.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %s", got.Status)
	}
	if got := b.get(callback); got.StatusCode != http.StatusSeeOther || got.Header.Get("Location") != "/page" || got.setCookies()["__Host-gate"] == nil {
		t.Errorf("after all that the code must still work for its browser: %s to %q", got.Status, got.location())
	}
	refused("again, in another browser with the flow cookie", s.Client(t).get(callback, header{"Cookie", "__Host-gate-flow=" + mine}))
	if got := b.get(callback); got.setCookies()["__Host-gate"] != nil {
		t.Error("the code works twice")
	}
	if got := b.get(s.at(host, "/r3-after")); got.StatusCode != http.StatusOK {
		t.Errorf("after the code was tried again: %s", got.Status)
	}
}

func TestR3_HandoffCodeOnce(t *testing.T) {
	t.Parallel()
	s := house.get(t)
	b, callback := handoff(t, s, "app.example.com", carol)
	mine := b.cookie(s.at("app.example.com", "/"), "__Host-gate-flow")
	var all sync.WaitGroup
	var mu sync.Mutex
	worked := 0
	client := s.Client(t)
	client.Jar = nil
	for range 50 {
		all.Go(func() {
			r, err := http.NewRequest("GET", callback, nil)
			if err != nil {
				t.Error(err)
				return
			}
			r.Header.Set("Cookie", "__Host-gate-flow="+mine)
			resp, err := client.Do(r)
			if err != nil {
				t.Error(err)
				return
			}
			resp.Body.Close()
			mu.Lock()
			defer mu.Unlock()
			if strings.Contains(fmt.Sprint(resp.Header["Set-Cookie"]), "__Host-gate=") {
				worked++
			}
		})
	}
	all.Wait()
	if worked != 1 {
		t.Errorf("one code made %d sessions", worked)
	}
}

// TestR3_HandoffAfterSignOut: a code dies with the session that made it.
func TestR3_HandoffAfterSignOut(t *testing.T) {
	t.Parallel()
	s := house.get(t)
	b, callback := handoff(t, s, "app.example.com", carol)
	if got := b.post(s.at("auth.example.com", "/.gate/logout"), nil); got.StatusCode != http.StatusSeeOther {
		t.Fatal(got.Status)
	}
	if got := b.get(callback); got.StatusCode != http.StatusBadRequest || got.setCookies()["__Host-gate"] != nil {
		t.Errorf("%s with cookies %q", got.Status, got.Header["Set-Cookie"])
	}
}
