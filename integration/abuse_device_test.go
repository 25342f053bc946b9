package integration

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// fort has limits that an attack uses up for the length of a test. The test is the
// proxy that says where each request comes from.
var fort = &sharing{ready: func(t testing.TB, s *server) { s.addUser(t, alice, "--owner") }, caddyfile: `{
	{{.Global}}
	gate {
		{{.Gate}}
		register open
		trusted_proxies 127.0.0.1/32
		limits {
			account 60 1h
		}
		policy anyone {
			allow everyone
		}
	}
}
http://app.localhost:{{.HTTP}} {
	gate anyone
	reverse_proxy {{.Upstream}}
}
`}

// from says that a request comes from an address.
func from(address string) header { return header{"X-Forwarded-For", address} }

// loginFrom sends the sign-in form from an address.
func (b *browser) loginFrom(s *server, address string, p person) page {
	b.t.Helper()
	return b.post(s.at("app.localhost", "/.gate/login"), url.Values{"username": {p.Username}, "password": {p.Password}}, from(address))
}

// guessed makes up a person of this name who does not know the password.
func guessed(p person) person {
	p.Password = "not-" + p.Password
	return p
}

// attack sends wrong passwords for an account from many addresses.
func (s *server) attack(t *testing.T, p person, n int) {
	t.Helper()
	b := s.Client(t)
	refused := 0
	for i := range n {
		if got := b.loginFrom(s, fmt.Sprintf("198.51.%d.%d", i/200, i%200), guessed(p)); got.StatusCode == http.StatusTooManyRequests {
			refused++
		}
	}
	if refused == 0 {
		t.Fatalf("%d wrong passwords for %s do not use up the limit", n, p.Username)
	}
}

// member registers somebody and gives the browser, which knows them from then on.
func (s *server) member(t *testing.T, name string) (*browser, person) {
	t.Helper()
	p := someone(name)
	return s.register(t, s.at("app.localhost", ""), p), p
}

// withDevice is a new browser that has the device cookie and nothing else.
func (s *server) withDevice(t *testing.T, value string) *browser {
	t.Helper()
	b := s.Client(t)
	at, err := url.Parse(s.at("app.localhost", "/"))
	must(t, err)
	b.Jar.SetCookies(at, []*http.Cookie{{Name: "gate-device", Value: value, Path: "/"}})
	return b
}

func TestL4_KnownDeviceSignsInUnderAttack(t *testing.T) {
	t.Parallel()
	s := fort.get(t)
	home, victim := s.member(t, "l4victim")
	if got := home.post(s.at("app.localhost", "/.gate/logout"), url.Values{}); got.StatusCode != http.StatusSeeOther {
		t.Fatal(got.Status)
	}
	s.attack(t, victim, 1000)

	stranger := s.Client(t)
	got := stranger.loginFrom(s, "203.0.113.1", victim)
	if got.StatusCode != http.StatusTooManyRequests || got.Header.Get("Retry-After") == "" || !strings.Contains(got.Body, "signed in with before") {
		t.Errorf("the victim from a new device: %s, Retry-After %q\n%s", got.Status, got.Header.Get("Retry-After"), got.Body)
	}
	body := fmt.Sprintf(`{"username":%q,"password":%q}`, victim.Username, victim.Password)
	got = stranger.do("POST", s.at("app.localhost", "/.gate/login"), body, header{"Content-Type", "application/json"}, from("203.0.113.1"))
	if got.StatusCode != http.StatusTooManyRequests || !strings.Contains(got.Body, `"too_many_attempts"`) || !strings.Contains(got.Body, "signed in with before") {
		t.Errorf("the same as a program: %s\n%s", got.Status, got.Body)
	}

	before := home.cookie(s.at("app.localhost", "/"), "gate-device")
	for _, login := range []string{victim.Username, strings.ToUpper(victim.Email)} {
		p := victim
		p.Username = login
		if got := home.loginFrom(s, "203.0.113.2", p); got.StatusCode != http.StatusSeeOther {
			t.Fatalf("the victim's known device as %s: %s\n%s", login, got.Status, got.Body)
		}
	}
	if after := home.cookie(s.at("app.localhost", "/"), "gate-device"); after == before || after == "" {
		t.Errorf("the device cookie was %q and is %q after a sign-in", before, after)
	}
	if got := home.fetch(s.at("app.localhost", "/.gate/whoami")); !strings.Contains(got.Body, victim.Username) {
		t.Errorf("whoami: %s %s", got.Status, got.Body)
	}
}

// TestL4_DeviceCookieThatCountsForNothing: what is forged, cut, somebody else's or
// ended leaves a browser unknown, and does no harm.
func TestL4_DeviceCookieThatCountsForNothing(t *testing.T) {
	t.Parallel()
	s := fort.get(t)
	at := s.at("app.localhost", "")
	b, victim := s.member(t, "l4cookie")
	value := b.cookie(at+"/", "gate-device")
	other, _ := s.member(t, "l4other")
	flow := s.Client(t).open(at + "/page").Request.URL.Query().Get("flow")
	if flow == "" {
		t.Fatal("no flow")
	}
	s.attack(t, victim, 100)
	flipped := []byte(value)
	flipped[len(flipped)/2] ^= 1
	for what, cookie := range map[string]string{
		"forged": strings.Repeat("A", len(value)), "cut": value[:len(value)-4], "cut at the front": value[4:], "with one bit changed": string(flipped), "twice": value + value,
		"another user's": other.cookie(at+"/", "gate-device"), "a session": b.cookie(at+"/", "gate"), "a flow": flow, "text": "l4cookie", "long": strings.Repeat("x", 3000),
	} {
		got := s.withDevice(t, cookie).loginFrom(s, "203.0.113.3", victim)
		if got.StatusCode != http.StatusTooManyRequests || strings.Contains(fmt.Sprint(got.Header["Set-Cookie"]), "gate-device") {
			t.Errorf("%s: %s, sets %q", what, got.Status, got.Header["Set-Cookie"])
		}
	}
	if got := s.withDevice(t, value).loginFrom(s, "203.0.113.3", victim); got.StatusCode != http.StatusSeeOther {
		t.Errorf("the device's own: %s", got.Status)
	}
}

// TestL4_WhatEndsADevice: after a new password and after signing out everywhere
// nothing that a device has kept counts; a plain sign-out leaves it known.
func TestL4_WhatEndsADevice(t *testing.T) {
	t.Parallel()
	s := fort.get(t)
	at := s.at("app.localhost", "")
	for i, test := range []struct {
		what  string
		known bool
		do    func(b *browser, p *person) page
	}{
		{"signing out", true, func(b *browser, _ *person) page { return b.post(at+"/.gate/logout", url.Values{}) }},
		{"signing out everywhere", false, func(b *browser, _ *person) page {
			return b.post(at+"/.gate/logout", url.Values{"everywhere": {"1"}})
		}},
		{"a new password", false, func(b *browser, p *person) page {
			old := p.Password
			p.Password = "another-" + old
			return b.post(at+"/.gate/account/password", url.Values{"current_password": {old}, "new_password": {p.Password}})
		}},
		{"a new password from the command line", false, func(b *browser, p *person) page {
			p.Password = "another-" + p.Password
			s.must(t, p.Password+"\n", "user", "password", p.Username, "--password-stdin")
			return b.post(at+"/.gate/logout", url.Values{})
		}},
	} {
		b, p := s.member(t, fmt.Sprintf("l4end%d", i))
		value := b.cookie(at+"/", "gate-device")
		if got := test.do(b, &p); got.StatusCode != http.StatusSeeOther {
			t.Errorf("%s: %s\n%s", test.what, got.Status, got.Body)
			continue
		}
		s.attack(t, p, 100)
		got := s.withDevice(t, value).loginFrom(s, "203.0.113.4", p)
		if known := got.StatusCode == http.StatusSeeOther; known != test.known || !known && got.StatusCode != http.StatusTooManyRequests {
			t.Errorf("after %s: %s, want the device known: %t", test.what, got.Status, test.known)
		}
		// The browser in which the password was changed has proven it.
		if test.what == "a new password" {
			if got := b.loginFrom(s, "203.0.113.4", p); got.StatusCode != http.StatusSeeOther {
				t.Errorf("the browser that changed the password: %s", got.Status)
			}
		}
	}
}

// TestL4_StolenDeviceCookie: it gives as many guesses as one address has, and
// then none that a stranger would not have.
func TestL4_StolenDeviceCookie(t *testing.T) {
	t.Parallel()
	s := fort.get(t)
	b, p := s.member(t, "l4stolen")
	s.attack(t, p, 100)
	thief := s.withDevice(t, b.cookie(s.at("app.localhost", "/"), "gate-device"))
	guesses := 0
	for i := range 100 {
		if got := thief.loginFrom(s, fmt.Sprintf("192.0.2.%d", i), guessed(p)); got.StatusCode == http.StatusUnauthorized {
			guesses++
		}
	}
	if guesses < 20 || guesses > 40 { // the bucket of an address, and what comes back every ten seconds
		t.Errorf("%d guesses with a stolen device cookie", guesses)
	}
}

// TestL4_DeviceTellsNoNames: with a device of one's own, names that exist and
// names that do not look the same, before the limit and after it.
func TestL4_DeviceTellsNoNames(t *testing.T) {
	t.Parallel()
	s := fort.get(t)
	mine, _ := s.member(t, "l4nosy")
	_, there := s.member(t, "l4there")
	value := mine.cookie(s.at("app.localhost", "/"), "gate-device")
	for range 2 {
		var want string
		for _, p := range []person{there, someone("l4nobod")} {
			got := s.withDevice(t, value).loginFrom(s, "203.0.113.6", guessed(p))
			got.Header.Del("Retry-After") // as the bucket's time has it
			if text := answer(got, p.Username); want == "" {
				want = text
			} else if text != want {
				t.Errorf("a name that nobody has can be told:\n%s\n--- instead of\n%s", text, want)
			}
		}
		s.attack(t, there, 100)
		s.attack(t, someone("l4nobod"), 100)
	}
}

func TestDeviceCookie(t *testing.T) {
	t.Parallel()
	s := house.get(t)
	b := s.Client(t)
	got := b.login(s.at("auth.example.com", ""), bob)
	c := got.setCookies()["__Host-gate-device"]
	if c == nil || !c.HttpOnly || !c.Secure || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" || c.MaxAge != 400*24*60*60 {
		t.Fatalf("the portal sets %+v", c)
	}
	if got := s.Client(t).login(s.at("auth.example.com", ""), guessed(bob)); got.setCookies()["__Host-gate-device"] != nil {
		t.Error("a sign-in that failed is remembered")
	}
	b.arrive(s.at("app.example.com", "/page"), bob)
	if b.cookie(s.at("app.example.com", "/"), "__Host-gate-device") != "" {
		t.Error("a gated host under a portal has the device cookie")
	}
	if b.cookie(s.at("app.example.com", "/"), "__Host-gate") == "" {
		t.Error("nobody is signed in there")
	}
	// Where the app shares the host, it sees nothing of it.
	plain := lodge.get(t)
	own := plain.visitor(t, "app.localhost", bob)
	value := own.cookie(plain.at("app.localhost", "/"), "gate-device")
	own.get(plain.at("app.localhost", "/device-hidden"))
	if e := plain.lastReceived(t, "/device-hidden"); value == "" || strings.Contains(fmt.Sprint(e), value) || strings.Contains(fmt.Sprint(e), "gate-device") {
		t.Errorf("the device cookie is %q, and the upstream sees %+v", value, e)
	}
}
