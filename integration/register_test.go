package integration

import (
	"strings"
	"testing"
)

// registerGate is a portal where anybody may register; the option may differ.
func registerGate(register string) sharing {
	return sharing{ready: withOwner, caddyfile: `{
	{{.Global}}
	gate {
		{{.Gate}}
		portal auth.localhost:{{.HTTP}}
		register ` + register + `
		limits {
			address off
			account off
		}
		policy anybody {
			allow everyone
		}
		policy colleagues {
			allow domain:example.com
		}
	}
}
http://auth.localhost:{{.HTTP}} {
	gate_portal
}
http://app.localhost:{{.HTTP}} {
	gate anybody
	reverse_proxy {{.Upstream}}
}
http://staff.localhost:{{.HTTP}} {
	gate colleagues
	reverse_proxy {{.Upstream}}
}
`}
}

var (
	openGate   = registerGate("open")
	inviteGate = registerGate("invite")
)

// TestRegisterOpen: somebody new comes to an app, makes an account and arrives
// there; what is wrong is said where it is wrong.
func TestRegisterOpen(t *testing.T) {
	t.Parallel()
	s, mia := openGate.get(t), someone("mia")
	s.addUser(t, someone("taken"))
	portal, app := s.URL("HTTP", "auth.localhost"), s.URL("HTTP", "app.localhost")
	w := newBrowser(t)
	w.open(app + "/welcome?mark=register-open")
	w.atPage(portal + "/.gate/login")
	w.press("Create an account")
	w.atPage(portal + "/.gate/register")
	w.fill("#name", mia.Name)
	for _, c := range []struct{ field, typed, message string }{
		{"#username", "Taken", "taken"},
		{"#username", "mia example", "letters, digits"},
		{"#email", "taken@EXAMPLE.com", "another account"},
		{"#password", "short", "15 characters"},
		{"#password", "password", "common"},
	} {
		w.fillAccount(mia)
		w.fill(c.field, c.typed)
		w.press("Create account")
		w.wrong(c.field, c.message)
		if name, password := w.value("#name"), w.value("#password"); name != mia.Name || password != "" {
			t.Errorf("after %q the form holds %q and %q", c.typed, name, password)
		}
	}
	w.fillAccount(mia)
	w.press("Create account")
	w.at(app + "/welcome?mark=register-open")
	seen := s.Upstream.received("mark=register-open")
	if len(seen) != 1 || seen[0].get("Remote-User") != "mia" {
		t.Errorf("the app received %+v", seen)
	}
	staff := s.URL("HTTP", "staff.localhost") + "/"
	w.open(staff) // an address that anybody can type proves nothing
	w.at(staff)
	w.says("Not allowed", "signed in as mia")
}

// TestRegisterInvite: a link lets one person register, once.
func TestRegisterInvite(t *testing.T) {
	t.Parallel()
	s, nora := inviteGate.get(t), someone("nora")
	portal := s.URL("HTTP", "auth.localhost")
	out, errs, exit := s.CLI(t, "", "user", "invite")
	link, _, _ := strings.Cut(out, "\n")
	if exit != 0 || !strings.HasPrefix(link, portal+"/.gate/register?") {
		t.Fatalf("user invite: exit %d\n%s%s", exit, out, errs)
	}
	w := newBrowser(t)
	w.open(portal + "/.gate/register")
	w.says("invitation")
	w.open(portal + "/.gate/login")
	if strings.Contains(w.text(), "Create an account") {
		t.Error("the sign-in page offers an account to everybody")
	}
	w.open(link) // looking at it does not use it up
	w.open(link)
	w.says("You have been invited")
	w.fill("#name", nora.Name)
	w.fillAccount(nora)
	w.fill("#password", "short")
	w.press("Create account")
	w.wrong("#password", "15 characters")
	w.fill("#password", nora.Password)
	w.press("Create account")
	w.at(portal + "/.gate/account")
	w.says("Nora", "nora")

	again := newBrowser(t)
	again.open(link)
	again.says("invitation")
	if strings.Contains(again.text(), "Create account") {
		t.Errorf("the link still works:\n%s", again.text())
	}
}
