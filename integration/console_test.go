package integration

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// consoleGate has a portal, and lets everybody register organizations.
const consoleGate = `{
	{{.Global}}
	gate {
		{{.Gate}}
		portal https://auth.example.org:{{.HTTPS}}
		organizations {
			register on
		}
		second_factor {
			owners off
		}
		webhooks {
			allow 127.0.0.0/8
		}
		limits {
			address off
			account off
		}
	}
}
https://auth.example.org:{{.HTTPS}} {
	gate_portal
}
https://app.example.com:{{.HTTPS}} {
	gate
	reverse_proxy {{.Upstream}}
}
https://shop.example.com:{{.HTTPS}} {
	reverse_proxy {{.Upstream}}
}
`

// The pages for organizations and for the installation, in Chromium: registered, approved,
// an admin invited, who makes a service and a webhook; a customer signs in to the service;
// what happens is delivered, and verified by the library of Standard Webhooks. What is on every page is looked at.
func TestConsole(t *testing.T) {
	everyDatabase(t, func(t *testing.T, c *cluster) {
		s := start(t, consoleGate, c.gate)
		r := startReceiver(t)
		owner, ann, bob, carol := someone("owner"), someone("ann"), someone("bob"), someone("carol")
		s.addUser(t, owner, "--owner")
		s.addUser(t, ann)
		s.addUser(t, bob)
		portal := s.URL("HTTPS", "auth.example.org")
		w := newBrowser(t)
		w.open(portal + "/.gate/org")
		w.signIn(ann)
		w.at(portal + "/.gate/org")
		w.says("None yet")
		w.look("console-organizations")
		w.fill("input[name=name]", "Acme Inc.")
		w.fill("input[name=slug]", "acme")
		w.press("Register it")
		w.at(portal + "/.gate/org/acme?done=registered")
		w.says("waits until somebody")
		w.look("console-pending")

		run := newBrowser(t)
		run.open(portal + "/.gate/admin")
		run.signIn(owner)
		run.at(portal + "/.gate/admin")
		run.says("acme", "Sign-ins")
		run.look("console-platform")
		run.press("acme")
		run.look("console-platform-organization")
		run.press("Approve")
		run.says("The organization is active.")
		run.open(portal + "/.gate/admin/users?q=an")
		run.says("ann@example.com")
		run.look("console-users")
		run.press("Since")
		run.at(portal + "/.gate/admin/users?q=an&sort=newest")
		run.says("ann@example.com")
		sorted := func(now string, want ...string) {
			t.Helper()
			if got := eval[[]string](run, `[...document.querySelectorAll("[data-of=Username]")].map(e => e.textContent)`); !slices.Equal(got, want) {
				t.Errorf("the users are %q, want %q", got, want)
			}
			if got := eval[string](run, `[...document.querySelectorAll("th[aria-sort]")].map(e => e.textContent + " " + e.ariaSort).join()`); got != now {
				t.Errorf("sorted by %q, want %q", got, now)
			}
		}
		run.open(portal + "/.gate/admin/users")
		sorted("Username ascending", "ann", "bob", "owner")
		run.press("Since")
		sorted("Since descending", "bob", "ann", "owner")
		run.look("console-users-newest")
		run.press("Since")
		sorted("Since ascending", "owner", "ann", "bob")
		run.size(390, 844) // where a row of buttons stands for the headings
		run.press("Username")
		run.press("Username")
		sorted("Username descending", "owner", "bob", "ann")
		run.do(chromedp.ResetViewport())
		run.fill("input[name=q]", "an")
		run.press("Show")
		run.at(portal + "/.gate/admin/users?q=an&sort=-name&status=")
		run.press("ann")
		run.look("console-user")
		run.open(portal + "/.gate/admin/audit?action=organization.approve")
		run.says("organization.approve", "success")
		run.look("console-audit")
		for _, page := range []string{"organizations", "sessions", "webhooks", "tiers"} {
			run.open(portal + "/.gate/admin/" + page)
			run.look("console-platform-" + page)
		}

		w.open(portal + "/.gate/org/acme")
		w.says("At a glance", "1 of 3")
		w.look("console-overview")
		w.press("Members")
		eval[bool](w, `(e => { e.value = "admin"; return true })(document.querySelector("form:has([value=invite]) select"))`)
		w.press("Invite")
		w.says("Link to hand on")
		w.look("console-invited")
		link := strings.TrimSpace(eval[string](w, `document.querySelector(".paste").textContent`))
		guest := newBrowser(t)
		guest.open(link)
		guest.signIn(bob)
		guest.says("Join Acme Inc.")
		guest.look("console-invitation")
		guest.press("Accept")
		guest.at(portal + "/.gate/org/acme?done=joined")
		guest.says("admin")
		guest.press("Webhooks")
		guest.look("console-webhooks")
		guest.fill("input[name=url]", r.Issuer+"/acme")
		guest.click("member.*")
		guest.click("service.*")
		guest.press("Make the webhook")
		guest.says("Secret of the webhook")
		guest.look("console-webhook-made")
		r.knows(t, "acme", strings.TrimSpace(eval[string](guest, `document.querySelector(".paste").textContent`)))
		w.open(portal + "/.gate/org/acme/members")
		w.says("bob")
		w.look("console-members")
		w.press("Roles")
		w.look("console-roles")
		w.fill("input[name=name]", "Support")
		w.fill("input[name=slug]", "support")
		w.click("See who uses the services")
		w.press("Make the role")
		w.press("Support")
		w.look("console-role")
		guest.press("Services")
		guest.look("console-services")
		callback := s.URL("HTTPS", "shop.example.com") + "/callback"
		guest.fill("input[name=name]", "Shop")
		guest.fill("textarea[name=redirect_uris]", callback)
		guest.press("Make the service")
		guest.says("Secret of Shop")
		guest.look("console-service-made")
		secret := strings.TrimSpace(eval[string](guest, `document.querySelector(".paste").textContent`))
		client := regexp.MustCompile(`client id ([^)]+)\)`).FindStringSubmatch(guest.text())[1]
		eventually(t, "the delivery of the service", func() bool { return slices.Contains(r.types(t, "acme"), "service.create") })
		guest.press("Shop")
		eval[bool](guest, `(e => { e.value = "everyone"; return true })(document.querySelector("select[name=access]"))`)
		guest.press("Save")

		s.addUser(t, carol)
		buyer := newBrowser(t)
		buyer.open(portal + "/.gate/oauth/authorize?" + url.Values{"client_id": {client}, "redirect_uri": {callback}, "response_type": {"code"}, "scope": {"openid"},
			"code_challenge": {s256(verifier)}, "code_challenge_method": {"S256"}}.Encode())
		buyer.signIn(carol)
		buyer.says("Shop", "Acme Inc.")
		buyer.look("console-consent")
		buyer.press("Allow")
		buyer.atPage(callback)
		back, err := url.Parse(buyer.address())
		must(t, err)
		got := s.Client(t).do("POST", portal+"/.gate/oauth/token", url.Values{"grant_type": {"authorization_code"}, "code": {back.Query().Get("code")}, "redirect_uri": {callback}, "code_verifier": {verifier}}.Encode(),
			header{"Content-Type", "application/x-www-form-urlencoded"}, basic(client, secret))
		if got.StatusCode != http.StatusOK || !strings.Contains(got.Body, `"id_token"`) {
			t.Errorf("the code is redeemed: %s\n%s", got.Status, got.Body)
		}
		eventually(t, "the delivery of the sign-in", func() bool { return slices.Contains(r.types(t, "acme"), "service.login") })

		w.press("Services")
		w.press("Shop")
		w.says("For the app", portal+"/.well-known/openid-configuration")
		w.look("console-service")
		at := w.address()
		w.fill("textarea[name=scopes]", "orders:read\norders:write")
		w.press("Save")
		w.at(at + "?done=saved")
		w.click("Advanced…")
		w.fill("textarea[name=keys]", `{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}`)
		w.fill("input[name=backchannel_logout_uri]", "https://shop.example.com/out")
		w.click("Tokens are bound to a key")
		w.press("Save the advanced settings")
		w.says("send the public part only")
		w.look("console-service-advanced")
		w.fill("textarea[name=keys]", `{"keys":[{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}`)
		w.press("Save the advanced settings")
		w.at(at + "?done=saved")
		if n := s.count(t, "SELECT count(*) FROM services WHERE scopes = 'orders:read orders:write' AND jwks LIKE '%MKBCTNIc%' AND logout_uri = 'https://shop.example.com/out' AND dpop = 1 AND no_pkce = 0 AND algorithm = 'ES256'"); n != 1 {
			t.Error("the settings are not kept as they were said")
		}
		run.open(at)
		run.press("Ask nobody for consent")
		run.says("nobody is asked")
		run.press("Ask people for consent")
		guest.open(portal + "/.gate/org/acme/webhooks")
		guest.press("127.0.0.1")
		eventually(t, "the delivery in the log", func() bool {
			guest.open(guest.address())
			return strings.Contains(guest.text(), "delivered")
		})
		guest.look("console-webhook")
		guest.press("Send a test")
		guest.says("A test is on its way")
		eventually(t, "the test", func() bool { return slices.Contains(r.types(t, "acme"), "webhook.test") })
		w.open(portal + "/.gate/org/acme/services")
		w.press("Shop")
		for _, page := range []string{"users", "providers", "settings", "audit"} {
			w.open(portal + "/.gate/org/acme/" + page)
			w.look("console-organization-" + page)
		}
		w.open(portal + "/.gate/org/acme/users")
		w.press("carol")
		w.says("carol@example.com", "None at present") // the app has not redeemed the code
		w.look("console-end-user")
		// A mistake is said where it was made, and nothing that was typed is lost.
		w.open(portal + "/.gate/org/acme/services")
		w.fill("input[name=name]", "Bad")
		w.fill("textarea[name=redirect_uris]", "http://shop.example.com/callback")
		w.press("Make the service")
		w.says("good on the loopback only")
		w.look("console-error")
		if got := eval[string](w, `document.querySelector("input[name=name]").value`); got != "Bad" {
			t.Errorf("what was typed is %q now", got)
		}
		guest.open(portal + "/.gate/admin")
		guest.says("Only platform owners")

		run.open(portal + "/.gate/admin/users?q=an")
		run.press("ann")
		run.do(chromedp.Evaluate[chromedp.Void](`document.querySelector("form:has([value=act])").closest("details").open = true`))
		run.fill("input[name=reason]", "ticket 12")
		run.press("Sign in as ann")
		run.at(portal + "/.gate/account")
		run.says("You act as ann")
		run.look("acting")
		run.open(portal + "/.gate/org/acme")
		run.look("acting-wide")
		run.open(portal + "/.gate/admin")
		run.says("You act as somebody else", "You act as ann")
		run.press("Stop")
		run.says("You are signed out")
	})
}
