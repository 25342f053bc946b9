package integration

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// organizationGate has an app for an organization, and one for those who run it.
const organizationGate = `{
	{{.Global}}
	gate {
		{{.Gate}}
		limits {
			address off
			account off
		}
		policy acme {
			allow org:acme
		}
		policy bosses {
			allow role:acme/owner role:acme/admin role:acme/helper
		}
	}
}
https://acme.example.com:{{.HTTPS}} {
	gate acme
	reverse_proxy {{.Upstream}}
}
https://boss.example.com:{{.HTTPS}} {
	gate bosses
	reverse_proxy {{.Upstream}}
}
`

// Policies know organizations: whoever is a member of one that is active gets in, with the
// role that it takes; what the command line changes counts with the next request.
func TestOrganizations(t *testing.T) {
	everyDatabase(t, func(t *testing.T, c *cluster) {
		s := start(t, organizationGate, c.gate)
		withOwner(t, s)
		ann, bob := someone("ann"), someone("bob")
		s.addUser(t, ann)
		s.addUser(t, bob)
		browsers := make(map[string]*browser)
		for _, p := range []person{ann, bob} {
			b := s.Client(t)
			b.signIn(s.URL("HTTPS", "acme.example.com"), p)
			b.signIn(s.URL("HTTPS", "boss.example.com"), p)
			browsers[p.Username] = b
		}
		opens := func(when, who, site string, want int) {
			t.Helper()
			url := s.URL("HTTPS", site+".example.com") + "/"
			began := time.Now()
			for got := browsers[who].fetch(url); got.StatusCode != want; got = browsers[who].fetch(url) {
				if time.Since(began) > 5*time.Second { // a change reaches every node within one
					t.Errorf("%s, %s at %s: %s", when, who, site, got.Status)
					return
				}
			}
		}
		run := func(args ...string) string {
			t.Helper()
			return s.must(t, "", append([]string{"org"}, args...)...)
		}
		fails := func(says string, args ...string) {
			t.Helper()
			if out, errs, exit := s.CLI(t, "", append([]string{"org"}, args...)...); exit == 0 || !strings.Contains(errs, says) {
				t.Errorf("%q: exit %d\n%s%s", args, exit, out, errs)
			}
		}
		opens("without an organization", "ann", "acme", http.StatusForbidden)
		if said := run("add", "acme", "--name", "Acme Inc.", "--owner", "ann", "--pending"); !strings.Contains(said, "acme is pending") {
			t.Errorf("%s", said)
		}
		opens("while it waits", "ann", "acme", http.StatusForbidden)
		fails("reason", "reject", "acme")
		fails("is pending", "suspend", "acme", "--reason", "x")
		run("approve", "acme")
		opens("approved", "ann", "acme", http.StatusOK)
		opens("approved", "ann", "boss", http.StatusOK)
		opens("approved", "bob", "acme", http.StatusForbidden)
		run("member", "acme", "bob")
		opens("a member", "bob", "acme", http.StatusOK)
		opens("a member", "bob", "boss", http.StatusForbidden)
		run("member", "acme", "bob", "--role", "admin")
		opens("an admin", "bob", "boss", http.StatusOK)
		if said := s.must(t, "", "explain", "--user", "bob", s.URL("HTTPS", "boss.example.com")+"/"); !strings.Contains(said, "allow") || !strings.Contains(said, "role:acme/admin") {
			t.Errorf("explained: %s", said)
		}
		run("role", "add", "acme", "helper", "org.members.view", "--name", "Helping hand")
		fails("no such capability", "role", "add", "acme", "other", "fly")
		run("member", "acme", "bob")
		opens("a member again", "bob", "boss", http.StatusForbidden)
		run("member", "acme", "bob", "--role", "helper")
		opens("a helper", "bob", "boss", http.StatusOK)
		fails("have this role", "role", "delete", "acme", "helper")
		if said := run("role", "list", "acme"); !strings.Contains(said, "Helping hand") || !strings.Contains(said, "billing.manage") {
			t.Errorf("%s", said)
		}
		if said := run("invite", "acme", "--role", "helper"); !strings.Contains(said, "/.gate/invitation?token=") {
			t.Errorf("%s", said)
		}
		if said := run("invitations", "acme"); !strings.Contains(said, "whoever has the link  helper") {
			t.Errorf("%s", said)
		}
		if _, errs, exit := s.CLI(t, "", "user", "disable", "ann"); exit == 0 || !strings.Contains(errs, "without an owner") {
			t.Errorf("the last owner of an organization is disabled: %d, %s", exit, errs)
		}
		run("suspend", "acme", "--reason", "not paid")
		opens("suspended", "ann", "acme", http.StatusForbidden)
		opens("suspended", "bob", "boss", http.StatusForbidden)
		if said := run("list", "--status", "suspended"); !strings.Contains(said, "not paid") {
			t.Errorf("%s", said)
		}
		run("activate", "acme")
		opens("active again", "ann", "acme", http.StatusOK)
		run("member", "acme", "owner")
		fails("as its tier allows", "member", "acme", func() string { s.addUser(t, someone("cat")); return "cat" }())
		run("tier", "acme", "starter")
		run("member", "acme", "cat")
		fails("without an owner who is active", "expel", "acme", "ann")
		run("expel", "acme", "bob")
		opens("expelled", "bob", "acme", http.StatusForbidden)
		if said := run("members", "acme"); !strings.Contains(said, "ann") || strings.Contains(said, "bob") {
			t.Errorf("%s", said)
		}
		fails("short name", "add", "Acme!", "--owner", "ann")
		fails("Another organization", "add", "acme", "--owner", "ann")
		run("delete", "acme")
		opens("deleted", "ann", "acme", http.StatusForbidden)
	})
}
