package integration

import (
	"strings"
	"testing"
)

// ssoGate is a portal for apps of other domains, over HTTPS with Caddy's own
// certificates.
var ssoGate = sharing{ready: withOwner, caddyfile: `{
	{{.Global}}
	gate {
		{{.Gate}}
		portal https://auth.example.org:{{.HTTPS}}
		limits {
			address off
			account off
		}
		policy staff {
			allow group:staff
		}
	}
}
https://auth.example.org:{{.HTTPS}} {
	gate_portal
}
https://app.example.com:{{.HTTPS}}, https://wiki.example.net:{{.HTTPS}} {
	gate
	reverse_proxy {{.Upstream}}
}
https://ops.example.com:{{.HTTPS}} {
	gate staff
	reverse_proxy {{.Upstream}}
}
`}

// withOwner gives a server its owner, so that its pages do not ask for one.
func withOwner(t testing.TB, s *server) {
	s.addUser(t, someone("owner"), "--owner")
}

// localGate is the same on plain HTTP, on this machine's own names.
var localGate = sharing{ready: withOwner, caddyfile: `{
	{{.Global}}
	gate {
		{{.Gate}}
		portal auth.localhost:{{.HTTP}}
		limits {
			address off
			account off
		}
		policy staff {
			allow group:staff
		}
	}
}
http://auth.localhost:{{.HTTP}} {
	gate_portal
}
http://app.localhost:{{.HTTP}}, http://wiki.localhost:{{.HTTP}} {
	gate
	reverse_proxy {{.Upstream}}
}
http://ops.localhost:{{.HTTP}} {
	gate staff
	reverse_proxy {{.Upstream}}
}
`}

// ssoWorld is a portal with its apps, as origins.
type ssoWorld struct {
	*server
	portal, app, wiki, ops string
}

// httpsWorld is the one with three domains, with a new user in it.
func httpsWorld(t *testing.T, username string) (ssoWorld, person) {
	t.Helper()
	s, p := ssoGate.get(t), someone(username)
	s.addUser(t, p)
	return ssoWorld{s, s.URL("HTTPS", "auth.example.org"), s.URL("HTTPS", "app.example.com"),
		s.URL("HTTPS", "wiki.example.net"), s.URL("HTTPS", "ops.example.com")}, p
}

// localWorld is the one on loopback names.
func localWorld(t *testing.T, username string) (ssoWorld, person) {
	t.Helper()
	s, p := localGate.get(t), someone(username)
	s.addUser(t, p)
	return ssoWorld{s, s.URL("HTTP", "auth.localhost"), s.URL("HTTP", "app.localhost"),
		s.URL("HTTP", "wiki.localhost"), s.URL("HTTP", "ops.localhost")}, p
}

// eachWorld runs a test in both.
func eachWorld(t *testing.T, username string, test func(*testing.T, ssoWorld, person)) {
	t.Parallel()
	for name, world := range map[string]func(*testing.T, string) (ssoWorld, person){"https": httpsWorld, "localhost": localWorld} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, p := world(t, username)
			test(t, w, p)
		})
	}
}

// enter opens an address behind the gate as somebody who is not signed in, signs
// in at the portal and arrives.
func (w ssoWorld) enter(b *tab, url string, p person) {
	b.t.Helper()
	b.open(url)
	b.atPage(w.portal + "/.gate/login")
	b.signIn(p)
	b.at(url)
}

// asksToSignIn fails the test unless every one of the addresses does.
func (w ssoWorld) asksToSignIn(b *tab, urls ...string) {
	b.t.Helper()
	for _, url := range urls {
		b.open(url)
		b.atPage(w.portal + "/.gate/login")
	}
}

// signOutTab signs out by the page of a host.
func signOutTab(b *tab, origin, button string) {
	b.t.Helper()
	b.open(origin + "/.gate/logout")
	b.press(button)
	b.atPage(origin + "/.gate/logout")
	b.says("You are signed out")
}

// TestOneSignIn: one sign-in serves apps of different domains, and one sign-out
// ends it all.
func TestOneSignIn(t *testing.T) {
	eachWorld(t, "alice", func(t *testing.T, w ssoWorld, alice person) {
		b := newBrowser(t)
		w.enter(b, w.app+"/start?mark=one-sign-in&q=a%26b", alice)
		b.open(w.wiki + "/page?mark=one-sign-in")
		b.at(w.wiki + "/page?mark=one-sign-in")
		b.open(w.portal + "/")
		b.at(w.portal + "/.gate/account")
		b.says("Alice", "alice")
		seen := w.Upstream.received("mark=one-sign-in")
		if len(seen) != 2 {
			t.Fatalf("the apps received %d requests: %+v", len(seen), seen)
		}
		for _, e := range seen {
			if e.get("Remote-User") != "alice" || strings.Contains(e.get("Cookie"), "gate") {
				t.Errorf("%s received %+v", e.Host, e.Header)
			}
		}
		signOutTab(b, w.wiki, "Sign out")
		w.asksToSignIn(b, w.app+"/", w.wiki+"/", w.portal+"/.gate/account")
	})
}

// TestTwoTabs: sign-ins under way at once do not spoil one another.
func TestTwoTabs(t *testing.T) {
	eachWorld(t, "bob", func(t *testing.T, w ssoWorld, bob person) {
		first := newBrowser(t)
		second, third := first.another(), first.another()
		tabs := []struct {
			*tab
			url string
		}{{first, w.app + "/first?n=1"}, {second, w.wiki + "/second?n=2"}, {third, w.app + "/third?n=3"}}
		for _, b := range tabs {
			b.open(b.url)
			b.atPage(w.portal + "/.gate/login")
		}
		for _, b := range tabs { // the last two are signed in by then, and do not know
			b.signIn(bob)
			b.at(b.url)
		}
		for _, b := range tabs {
			b.open(b.url)
			b.at(b.url)
		}
	})
}

// TestSignOutEverywhere: it ends the sign-ins of other devices too.
func TestSignOutEverywhere(t *testing.T) {
	t.Parallel()
	w, carol := httpsWorld(t, "carol")
	desk, phone := newBrowser(t), newBrowser(t)
	w.enter(desk, w.app+"/", carol)
	w.enter(phone, w.wiki+"/", carol)
	desk.open(w.portal + "/.gate/account")
	desk.press("Sign out everywhere")
	desk.atPage(w.portal + "/.gate/logout")
	desk.says("You are signed out")
	w.asksToSignIn(phone, w.wiki+"/", w.portal+"/.gate/account")
	w.asksToSignIn(desk, w.app+"/")
}

// TestBackAfterSignOut: on a shared computer, the back button shows no account
// page after one has signed out, nor a page of the app on whose host that was.
func TestBackAfterSignOut(t *testing.T) {
	eachWorld(t, "dave", func(t *testing.T, w ssoWorld, dave person) {
		b := newBrowser(t)
		w.enter(b, w.app+"/", dave)
		b.open(w.portal + "/.gate/account")
		b.says("dave")
		signOutTab(b, w.portal, "Sign out")
		b.backTo(w.portal + "/.gate/account")
		if text := b.text(); strings.Contains(strings.ToLower(text), "dave") {
			t.Errorf("going back shows %s:\n%s", b.address(), text)
		}
		page := w.app + "/?mark=back-of-dave&answer=Cache-Control:+max-age=3600"
		w.enter(b, page, dave)
		signOutTab(b, w.app, "Sign out")
		b.backTo(page)
		b.atPage(w.portal + "/.gate/login")
	})
}

// TestRefusedByPolicy: the page says who one is, and leads to another account.
func TestRefusedByPolicy(t *testing.T) {
	t.Parallel()
	w, erin := httpsWorld(t, "erin")
	frank := someone("frank")
	w.addUser(t, frank, "--group", "staff")
	b := newBrowser(t)
	w.enter(b, w.app+"/", erin)
	b.open(w.ops + "/secret?mark=refused")
	b.at(w.ops + "/secret?mark=refused")
	b.says("Not allowed", "signed in as erin")
	if seen := w.Upstream.received("mark=refused"); len(seen) != 0 {
		t.Errorf("the app received %+v", seen)
	}
	b.press("Sign out to use another account")
	b.press("Sign in again")
	b.atPage(w.portal + "/.gate/login")
	b.signIn(frank)
	b.at(w.ops + "/")
}
