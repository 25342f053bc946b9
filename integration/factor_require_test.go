package integration

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// What an organization asks of its members counts with the next request, while it is active.
func TestFactorRequiredByOrganization(t *testing.T) {
	everyDatabase(t, func(t *testing.T, c *cluster) {
		s := start(t, factorGate, c.gate)
		withOwner(t, s)
		ann, hal := someone("ann"), someone("hal")
		s.addUser(t, ann)
		s.addUser(t, hal)
		portal, app := s.URL("HTTPS", "auth.example.org"), s.URL("HTTPS", "app.example.com")+"/"
		run := func(args ...string) string { return s.must(t, "", append([]string{"org"}, args...)...) }
		run("add", "acme", "--owner", "ann")
		run("member", "acme", "hal")
		b := s.Client(t)
		b.arrive(app, hal)
		opens := func(when string, want int) {
			t.Helper()
			var got page
			eventually(t, when, func() bool { got = b.fetch(app); return got.StatusCode == want })
		}
		opens("before", http.StatusOK)
		if said := run("require-factor", "acme"); !strings.Contains(said, "acme need a second factor") {
			t.Errorf("%q", said)
		}
		opens("required", http.StatusUnauthorized)
		if got := b.open(app); !strings.HasPrefix(got.Request.URL.String(), portal+"/.gate/confirm") || !strings.Contains(got.Body, "Set up an app") {
			t.Fatalf("without one: %s %s\n%s", got.Status, got.Request.URL, got.Body)
		}
		run("suspend", "acme", "--reason", "holidays")
		opens("suspended", http.StatusOK)
		run("activate", "acme")
		opens("active again", http.StatusUnauthorized)
		// A sign-in that leads nowhere else asks for it.
		if got := s.Client(t).login(portal, hal); got.StatusCode != http.StatusSeeOther || !strings.HasSuffix(got.location(), "/.gate/account/factor?asked=1") {
			t.Errorf("the next sign-in leads to %s", got.location())
		}
		b.enrol(portal)
		opens("with one", http.StatusOK)
		if got := s.Client(t).login(portal, hal); got.StatusCode != http.StatusOK || !strings.Contains(got.Body, `name="code"`) {
			t.Errorf("the password alone: %s\n%s", got.Status, got.Body)
		}
		// A passkey alone would do too, and is asked for then.
		s.must(t, "", "user", "reset-factor", "hal")
		again := s.Client(t)
		again.signIn(portal, hal)
		again.newBearer(portal)
		if got := s.Client(t).login(portal, hal); got.StatusCode != http.StatusOK || !strings.Contains(got.Body, "Use your passkey") {
			t.Errorf("with a passkey: %s\n%s", got.Status, got.Body)
		}
		run("require-factor", "acme", "--off")
		if got := s.Client(t).login(portal, hal); got.StatusCode != http.StatusSeeOther {
			t.Errorf("not required any more: %s", got.Status)
		}
	})
}

// An owner without a second factor is asked for one where a sign-in leads to no app, and may
// leave it for now.
func TestOwnerIsAskedForFactor(t *testing.T) {
	t.Parallel()
	s := start(t, factorGate)
	owner := someone("owner")
	s.addUser(t, owner, "--owner")
	portal, app := s.URL("HTTPS", "auth.example.org"), s.URL("HTTPS", "app.example.com")+"/page"
	w := newBrowser(t)
	w.open(portal + "/.gate/login")
	w.signIn(owner)
	w.at(portal + "/.gate/account/factor?asked=1")
	w.says("You run this site", "passkey")
	w.look("factor-asked")
	w.press("Not now")
	w.at(portal + "/.gate/account")
	w.open(portal + "/.gate/logout")
	w.press("Sign out")
	w.open(app)
	w.signIn(owner)
	w.at(app) // nobody is kept from an app
}

// A short password goes with a second factor only.
func TestShortPasswordNeedsFactor(t *testing.T) {
	t.Parallel()
	s := start(t, factorGate)
	withOwner(t, s)
	eve := someone("eve")
	s.addUser(t, eve)
	portal := s.URL("HTTPS", "auth.example.org")
	b := s.Client(t)
	b.signIn(portal, eve)
	app, _ := b.enrol(portal)
	short := "Tr0ub4dor&"
	if got := b.post(portal+"/.gate/account/password", url.Values{"current_password": {eve.Password}, "new_password": {short}}); got.StatusCode != http.StatusSeeOther {
		t.Fatalf("a short one beside a second factor: %s\n%s", got.Status, got.Body)
	}
	remove := func(password string) page {
		return b.post(portal+"/.gate/account/factor/remove", url.Values{"current_password": {password}, "code": {app.code(t)}})
	}
	if got := remove(""); got.StatusCode != http.StatusForbidden {
		t.Errorf("removed without the password: %s", got.Status)
	}
	if got := remove(short); got.StatusCode != http.StatusConflict || !strings.Contains(got.Body, "Choose a longer password first") {
		t.Errorf("removed beside a short password: %s\n%s", got.Status, got.Body)
	}
	// Where an operator takes it away, the next sign-in asks for another one.
	s.must(t, "", "user", "reset-factor", "eve")
	eve.Password = short
	fresh := s.Client(t)
	got := fresh.login(portal, eve)
	if got.StatusCode != http.StatusSeeOther || !strings.Contains(fresh.get(got.location()).Body, "shorter than one should be") {
		t.Errorf("the next sign-in: %s to %s", got.Status, got.location())
	}
	long := "a much longer password of eve's"
	if got := fresh.post(portal+"/.gate/account/password", url.Values{"current_password": {short}, "new_password": {long}}); got.StatusCode != http.StatusSeeOther {
		t.Fatalf("a longer one: %s", got.Status)
	}
	b, eve.Password = fresh, long
	app, _ = b.enrol(portal)
	if got := remove(long); got.StatusCode != http.StatusSeeOther {
		t.Errorf("removed beside a long password: %s\n%s", got.Status, got.Body)
	}
}

// An owner takes somebody's app away on the page of the user: the name has to be typed, the
// user is told, and the audit log has it. Nobody but an owner with two factors gets there.
func TestOwnerResetsFactor(t *testing.T) {
	t.Parallel()
	m := startMailed(t)
	owner, yan := someone("boss"), someone("yan")
	m.addUser(t, owner, "--owner")
	m.addUser(t, yan)
	b := m.Client(t)
	b.signIn(m.portal, yan)
	b.enrol(m.portal)
	m.box.next(t, yan.Email, 1)
	var id string
	must(t, m.database(t).QueryRow("SELECT id FROM users WHERE username = 'yan'").Scan(&id))
	page := m.portal + "/.gate/admin/users/" + id
	form := url.Values{"do": {"factor"}, "confirm": {"yan"}}
	if got := b.post(page, form); got.StatusCode != http.StatusForbidden {
		t.Errorf("by the user: %s", got.Status)
	}
	o := m.Client(t)
	o.signIn(m.portal, owner)
	if got := o.get(page); got.StatusCode == http.StatusOK {
		t.Error("the page opens to an owner with one factor")
	}
	if got := o.post(page, form); got.StatusCode == http.StatusSeeOther && strings.Contains(got.location(), "done=factor") {
		t.Error("an owner with one factor resets one")
	}
	o.enrol(m.portal)
	if got := o.open(page); got.StatusCode != http.StatusOK || !strings.Contains(got.Body, "an app") {
		t.Fatalf("the page of the user: %s\n%s", got.Status, got.Body)
	}
	if got := o.post(page, url.Values{"do": {"factor"}, "confirm": {"jan"}}); got.StatusCode != http.StatusBadRequest || !strings.Contains(got.Body, "Type the name") {
		t.Errorf("another name: %s", got.Status)
	}
	if got := o.post(page, form); got.StatusCode != http.StatusSeeOther || !strings.HasSuffix(got.location(), "done=factor") {
		t.Fatalf("reset: %s\n%s", got.Status, got.Body)
	}
	if told := m.box.next(t, yan.Email, 2); told.Subject != "Your second factor was removed" {
		t.Errorf("%+v", told)
	}
	if said := m.must(t, "", "audit", "--action", "factor.remove", "--json"); !strings.Contains(said, `"success"`) || !strings.Contains(said, id) {
		t.Errorf("the audit log: %s", said)
	}
	if got := b.open(m.portal + "/.gate/account"); !strings.Contains(got.Request.URL.Path, "login") {
		t.Error("a session that was proven with it goes on")
	}
	if got := m.Client(t).login(m.portal, yan); got.StatusCode != http.StatusSeeOther {
		t.Errorf("the password alone again: %s", got.Status)
	}
}
