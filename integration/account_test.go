package integration

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"
)

// ownGate has two apps without a portal: each is its own.
var ownGate = sharing{ready: withOwner, caddyfile: `{
	{{.Global}}
	gate {
		{{.Gate}}
		limits {
			address off
			account off
		}
	}
}
https://app.example.com:{{.HTTPS}}, https://wiki.example.net:{{.HTTPS}} {
	gate
	reverse_proxy {{.Upstream}}
}
`}

const phoneAgent = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1"

// memberTab adds a user to the portal's installation and signs in at its account
// page.
func memberTab(t *testing.T, username string, prepare ...tabStep) (s *server, portal string, p person, w *tab) {
	t.Helper()
	world, p := httpsWorld(t, username)
	return world.server, world.portal, p, signedInTab(t, world.portal, p, prepare...)
}

// signedInTab opens the account page at an origin in a new browser.
func signedInTab(t *testing.T, origin string, p person, prepare ...tabStep) *tab {
	t.Helper()
	w := newBrowser(t, prepare...)
	w.open(origin + "/.gate/account")
	w.atPage(origin + "/.gate/login")
	w.signIn(p)
	w.at(origin + "/.gate/account")
	return w
}

// wrong fails the test unless the page shows an error at a field: said in words,
// tied to the field for screen readers, and with the focus there.
func (w *tab) wrong(field, message string) {
	w.t.Helper()
	w.painted()
	got := eval[map[string]string](w, fmt.Sprintf(`(field => ({
		invalid: field.getAttribute("aria-invalid"), focus: document.activeElement.id, title: document.title,
		message: (field.getAttribute("aria-describedby") ?? "").split(" ").map(id => document.getElementById(id)?.textContent).join(" ")
	}))(document.querySelector(%q))`, field))
	if got["invalid"] != "true" || "#"+got["focus"] != field || !strings.Contains(got["message"], message) || !strings.HasPrefix(got["title"], "Error: ") {
		w.t.Errorf("%s, wrong as %q, shows %q", field, message, got)
	}
}

// value is what stands in a field.
func (w *tab) value(field string) string {
	w.t.Helper()
	return eval[string](w, fmt.Sprintf(`document.querySelector(%q).value`, field))
}

// TestProfile: name and email can be changed, and apps are told the new name at once;
// not the new address, which nobody has verified. What is wrong is said where it is
// wrong.
func TestProfile(t *testing.T) {
	t.Parallel()
	s, portal, gina, w := memberTab(t, "gina")
	hal := someone("hal")
	s.addUser(t, hal)
	w.fill("#name", "Gina Example")
	w.fill("#email", "HAL@example.com")
	w.press("Save profile")
	w.wrong("#email", "another account")
	if name, email := w.value("#name"), w.value("#email"); name != "Gina Example" || email != "HAL@example.com" {
		t.Errorf("what was typed is gone: %q, %q", name, email)
	}
	w.fill("#email", "gina@example.net")
	w.press("Save profile")
	w.at(portal + "/.gate/account?done=profile")
	w.says("Your profile was saved.", "Gina Example")
	w.open(portal + "/.gate/account")
	if name, email := w.value("#name"), w.value("#email"); name != "Gina Example" || email != "gina@example.net" {
		t.Errorf("the profile is %q, %q", name, email)
	}
	app := s.URL("HTTPS", "app.example.com") + "/?mark=profile-of-gina"
	w.open(app)
	w.at(app)
	seen := s.Upstream.received("mark=profile-of-gina")
	if len(seen) != 1 || seen[0].get("Remote-Name") != "Gina Example" || seen[0].get("Remote-Email") != "" {
		t.Errorf("the app received %+v", seen)
	}
	gina.Username = "gina@example.net" // signs in by the new address
	signedInTab(t, portal, gina)
}

// TestPassword: it takes the old one to set a new one, which ends the sessions of
// all other devices.
func TestPassword(t *testing.T) {
	t.Parallel()
	_, portal, ivan, w := memberTab(t, "ivan")
	other := signedInTab(t, portal, ivan)
	change := func(current, fresh string) {
		t.Helper()
		w.fill("#password-current", current)
		w.fill("#new-password", fresh)
		w.press("Change password")
	}
	change("not the password", "a new long password")
	w.wrong("#password-current", "password")
	change(ivan.Password, "password")
	w.wrong("#new-password", "common")
	change(ivan.Password, "short")
	w.wrong("#new-password", "15 characters")
	change(ivan.Password, "a new long password")
	w.at(portal + "/.gate/account?done=password")
	w.says("Your password was changed. Your other sessions have ended.", "This device")
	other.open(portal + "/.gate/account")
	other.atPage(portal + "/.gate/login")
	other.signIn(ivan)
	other.says("username or password")
	ivan.Password = "a new long password"
	other.signIn(ivan)
	other.at(portal + "/.gate/account")
}

// TestSessions: the page lists where one is signed in, and ends one of them.
func TestSessions(t *testing.T) {
	t.Parallel()
	s, portal, judy, desk := memberTab(t, "judy")
	phone := signedInTab(t, portal, judy, withAgent(phoneAgent))
	phone.open(s.URL("HTTPS", "wiki.example.net") + "/")
	phone.at(s.URL("HTTPS", "wiki.example.net") + "/")
	desk.open(portal + "/.gate/account")
	desk.says("Chrome on Linux This device", "Safari on iPhone", "127.0.0.1", "Open at auth.example.org, wiki.example.net")
	desk.press("Sign out Safari on iPhone")
	desk.at(portal + "/.gate/account?done=session")
	desk.says("That session has ended.", "Chrome on Linux This device")
	if strings.Contains(desk.text(), "iPhone") {
		t.Errorf("the session is still listed:\n%s", desk.text())
	}
	for _, url := range []string{s.URL("HTTPS", "wiki.example.net") + "/", portal + "/.gate/account"} {
		phone.open(url)
		phone.atPage(portal + "/.gate/login")
	}
}

// TestOwnPortal: a host that is its own portal has the pages too. The app's scripts
// could send its forms, so every change asks for the password.
func TestOwnPortal(t *testing.T) {
	t.Parallel()
	s, karl := ownGate.get(t), someone("karl")
	s.addUser(t, karl)
	app, wiki := s.URL("HTTPS", "app.example.com"), s.URL("HTTPS", "wiki.example.net")
	w := newBrowser(t)
	w.open(app + "/page?q=1")
	w.atPage(app + "/.gate/login")
	w.signIn(karl)
	w.at(app + "/page?q=1")
	w.open(wiki + "/")
	w.atPage(wiki + "/.gate/login") // a host of its own
	signedInTab(t, app, karl, withAgent(phoneAgent))

	w.open(app + "/.gate/account")
	w.fill("#name", "Karl Example")
	w.fill("#profile-current", "not the password")
	w.press("Save profile")
	w.wrong("#profile-current", "password")
	w.fill("#profile-current", karl.Password)
	w.press("Save profile")
	w.at(app + "/.gate/account?done=profile")
	w.says("Karl Example")

	w.do(clickOn("Sign out… Safari on iPhone")) // unfolds the form
	w.fill(`details input[name="current_password"]`, "not the password")
	w.press("Confirm")
	w.says("password", "Safari on iPhone")
	w.do(clickOn("Sign out… Safari on iPhone"))
	w.fill(`details input[name="current_password"]`, karl.Password)
	w.press("Confirm")
	w.at(app + "/.gate/account?done=session")

	b := s.Client(t) // a program on the page's origin, that does not know the password
	b.signIn(app, karl)
	for path, form := range map[string]url.Values{
		"profile":         {"name": {"x"}, "email": {"x@example.com"}},
		"password":        {"new_password": {"another long password"}},
		"sessions/revoke": {"id": {"x"}},
	} {
		got := b.post(app+"/.gate/account/"+path, form)
		if got.StatusCode != http.StatusUnauthorized && got.StatusCode != http.StatusForbidden {
			t.Errorf("%s without the password: %s", path, got.Status)
		}
	}
}

// TestKeyboard: signing in and out takes no mouse.
func TestKeyboard(t *testing.T) {
	t.Parallel()
	world, liam := httpsWorld(t, "liam")
	w := newBrowser(t)
	w.open(world.app + "/keys?q=1")
	w.atPage(world.portal + "/.gate/login")
	w.painted()
	w.keys(liam.Username + kb.Tab + "wrong") // the focus is in the first field
	w.enter()
	w.says("The username or password is not right.")
	w.painted()
	if at := w.focus(); at != "Password" {
		t.Errorf("after a wrong password the focus is in %q", at)
	}
	w.keys(liam.Password)
	w.enter()
	w.at(world.app + "/keys?q=1")

	w.open(world.portal + "/.gate/account")
	w.painted()
	w.keys(kb.Tab)
	if at := w.focus(); at != "Skip to content" {
		t.Errorf("the first stop is %q", at)
	}
	var stops []string
	for range 40 {
		w.keys(kb.Tab)
		stops = append(stops, w.focus())
		if stops[len(stops)-1] == "Sign out everywhere" {
			break
		}
	}
	for _, want := range []string{"Sign out", "https://app.example.com", "Name", "Email", "Save profile", "Current password", "New password",
		"Change password", "Sign out Chrome on Linux, this device", "Sign out everywhere"} {
		if !strings.Contains(strings.Join(stops, "\n"), want) {
			t.Errorf("Tab does not stop at %q but at %q", want, stops)
		}
	}
	w.enter()
	w.at(world.portal + "/.gate/logout")
	w.says("You are signed out")
}
