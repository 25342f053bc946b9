package integration

import (
	"encoding/json"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore/web/api"
)

// owned is a gate with two organizations, acme and beta, each with an app that speaks OpenID
// Connect. acme has a client of its own at corp, "acme-client".
type owned struct {
	*connected
	ann, bea *browser // who own acme and beta
	shop     string   // address of an authorization request of acme's app
	store    string   // and of beta's
}

const acmeSecret = "acme-secret"

func startOwned(t testing.TB, corpBlock string) *owned {
	t.Helper()
	c := startConnected(t, connectVars{"CorpBlock": corpBlock, "Policy": "acme", "More": "policy acme {\nallow org:acme\n}"})
	w := &owned{connected: c, ann: c.Client(t), bea: c.Client(t)}
	for slug, b := range map[string]*browser{"acme": w.ann, "beta": w.bea} {
		boss := someone("boss-" + slug)
		c.addUser(t, boss)
		c.must(t, "", "org", "add", slug, "--name", strings.ToUpper(slug[:1])+slug[1:]+" Inc.", "--owner", boss.Username)
		b.signIn(c.portal, boss)
	}
	w.shop, w.store = w.app(t, w.ann, "acme", "Shop"), w.app(t, w.bea, "beta", "Store")
	c.corp.register(t, openIDClient{ID: "acme-client", Secret: acmeSecret, Redirects: []string{c.portal + "/.gate/connect/corp/callback"}, AfterLogout: []string{c.portal + "/.gate/logout"},
		BackChannel: c.portal + "/.gate/connect/corp/backchannel-logout?organization=acme", BackChannelSession: true})
	w.has(t, acmeSecret)
	return w
}

// call asks the API as who is signed in.
func (w *owned) call(t testing.TB, b *browser, method, path, body string) page {
	t.Helper()
	got := b.do(method, w.portal+"/.gate/api/v1/organizations/"+path, body, header{"Content-Type", "application/json"}, header{"Sec-Fetch-Site", "same-origin"})
	if got.StatusCode >= 300 {
		t.Fatalf("%s %s: %s\n%s", method, path, got.Status, got.Body)
	}
	return got
}

// app makes a service of an organization, and gives the address of a request of it.
func (w *owned) app(t testing.TB, b *browser, slug, name string) string {
	t.Helper()
	var made api.ServiceMade
	got := w.call(t, b, "POST", slug+"/services", `{"type":"web","name":"`+name+`","access":"everyone","redirect_uris":["http://127.0.0.1/callback"]}`)
	must(t, json.Unmarshal([]byte(got.Body), &made))
	q := url.Values{"client_id": {made.ClientID}, "redirect_uri": {"http://127.0.0.1/callback"}, "response_type": {"code"}, "scope": {"openid"},
		"code_challenge": {s256(verifier)}, "code_challenge_method": {"S256"}}
	return w.portal + "/.gate/oauth/authorize?" + q.Encode()
}

// has gives acme its client at corp, with a secret.
func (w *owned) has(t testing.TB, secret string) page {
	t.Helper()
	return w.call(t, w.ann, "PUT", "acme/providers/corp", `{"client_id":"acme-client","secret":"`+secret+`"}`)
}

var corpLink = regexp.MustCompile(`href="(/\.gate/connect/corp[^"]*)"`)

// toCorp opens an address, and gives the sign-in page that it leads to with where corp's
// button leads.
func (w *owned) toCorp(b *browser, address string) (page, string) {
	b.t.Helper()
	got := b.open(address)
	m := corpLink.FindStringSubmatch(got.Body)
	if m == nil {
		b.t.Fatalf("%s leads to %s, without corp: %s\n%s", address, got.Request.URL, got.Status, got.Body)
	}
	return got, w.portal + html.UnescapeString(m[1])
}

// client is the client by which an address leads to corp.
func (w *owned) client(b *browser, address string) string {
	b.t.Helper()
	u, err := url.Parse(b.get(address).location())
	must(b.t, err)
	if back := u.Query().Get("redirect_uri"); back != w.portal+"/.gate/connect/corp/callback" {
		b.t.Errorf("%s comes back to %q", address, back)
	}
	return u.Query().Get("client_id")
}

// enters signs somebody in at corp, for an address, and comes to rest.
func (w *owned) enters(b *browser, address, login string) page {
	b.t.Helper()
	_, to := w.toCorp(b, address)
	return w.visit(b, to, login)
}

// clients are those that have a refresh token of somebody.
func (w *owned) clients(t testing.TB, login string) (all []string) {
	t.Helper()
	for _, g := range w.corp.grants(t) {
		if g.Login == login && !slices.Contains(all, g.Client) {
			all = append(all, g.Client)
		}
	}
	slices.Sort(all)
	return all
}

// Whoever signs in to an app or a site of an organization is sent to the provider by its own
// client, where it has one; everybody else by the platform's. Nothing in an address changes
// that.
func TestOwnClient(t *testing.T) {
	t.Parallel()
	w := startOwned(t, "")
	for address, want := range map[string]string{
		w.shop: "acme-client", w.app(t, w.ann, "acme", "Other"): "acme-client", w.connected.app + "/": "acme-client",
		w.store: "gate", w.URL("HTTPS", "fresh.example.com") + "/": "gate", w.portal + "/.gate/login": "gate",
	} {
		b := w.Client(t)
		got, to := w.toCorp(b, address)
		if by := w.client(b, to); by != want {
			t.Errorf("%s: the client is %q, want %q", address, by, want)
		}
		if !strings.Contains(to, "?") {
			to += "?"
		}
		if by := w.client(b, to+"&organization=acme&g=acme"); want == "gate" && by != want {
			t.Errorf("%s, with more in the address: the client is %q", address, by)
		}
		if address == w.shop && !strings.Contains(got.Body, "to continue to <strong>Shop</strong>, of <strong>Acme Inc.</strong>") {
			t.Errorf("the sign-in page does not say whose app it is:\n%s", got.Body)
		}
	}
	b := w.Client(t)
	if got := w.enters(b, w.shop, "alice"); got.Request.URL.Path != "/.gate/oauth/consent" || !strings.Contains(got.Body, "Acme Inc.") {
		t.Fatalf("after the sign-in: %s, %s\n%s", got.Request.URL, got.Status, got.Body)
	}
	w.signedInAs(t, b, "alice")
	if got := w.clients(t, "alice"); !slices.Equal(got, []string{"acme-client"}) {
		t.Errorf("tokens are of %q", got)
	}
	if by := w.client(b, w.portal+"/.gate/connect/corp?for=change"); by != "acme-client" {
		t.Errorf("who proves again to be somebody is sent by %q", by)
	}
	_, to := w.toCorp(w.Client(t), w.shop)
	if by := w.client(w.Client(t), to+"&setup=x"); by != "gate" {
		t.Errorf("a setup goes by %q", by)
	}

	// The same person, by the platform's client, is the same user.
	again := w.Client(t)
	w.visit(again, "", "alice")
	w.signedInAs(t, again, "alice")
	if got := w.clients(t, "alice"); !slices.Equal(got, []string{"acme-client", "gate"}) {
		t.Errorf("tokens are of %q", got)
	}
	w.enters(w.Client(t), w.shop, "alice")

	// Who shows that an account is theirs comes to the provider as they did before.
	w.visit(w.Client(t), "", "dora")
	w.corp.setClaims(t, "dora-elsewhere", map[string]any{"email": "dora@example.com"})
	other := w.Client(t)
	page := w.enters(other, w.shop, "dora-elsewhere")
	if m := corpLink.FindStringSubmatch(page.Body); !strings.Contains(page.Body, "You have an account here already") || m == nil {
		t.Errorf("the address of somebody else: %s\n%s", page.Status, page.Body)
	} else if by := w.client(other, w.portal+html.UnescapeString(m[1])); by != "gate" {
		t.Errorf("the proof goes by %q", by)
	}

	// The session at the provider ends by the same client.
	end := b.follow(b.post(w.portal+"/.gate/logout", url.Values{})).Request.URL
	if end.Query().Get("client_id") != "acme-client" || end.Query().Get("id_token_hint") == "" {
		t.Errorf("the sign-out at the provider: %s", end)
	}
}

// A visit is made by one client from its beginning to its end.
func TestOwnClientMoved(t *testing.T) {
	t.Parallel()
	w := startOwned(t, "")
	b := w.Client(t)
	_, toShop := w.toCorp(b, w.shop)
	_, toStore := w.toCorp(b, w.store)
	flow := func(to string) string {
		u, err := url.Parse(to)
		must(t, err)
		return u.Query().Get("flow")
	}
	one, other := flow(toShop), flow(toStore)
	for _, forged := range []string{one[:len(one)-2] + "xx", one[:len(one)/2] + other[len(other)/2:], other[:20] + one[20:]} {
		if by := w.client(b, w.portal+"/.gate/connect/corp?flow="+url.QueryEscape(forged)); by != "gate" {
			t.Errorf("a flow that was changed leads by %q", by)
		}
	}
	answers := make(map[string]url.Values)
	for name, to := range map[string]string{"shop": toShop, "store": toStore} {
		u, err := url.Parse(b.atProvider(b.get(to), "mallory").location())
		must(t, err)
		if answers[name] = u.Query(); u.Query().Get("code") == "" {
			t.Fatalf("%s: %s", name, u)
		}
	}
	for name, of := range map[string]string{"shop": "store", "store": "shop"} {
		q := url.Values{"state": answers[name]["state"], "code": answers[of]["code"], "iss": answers[of]["iss"]}
		if got := b.get(w.portal + "/.gate/connect/corp/callback?" + q.Encode()); got.StatusCode != http.StatusUnauthorized || !strings.Contains(got.Body, "could not be used") {
			t.Errorf("the code of %s with the state of %s: %s to %s\n%s", of, name, got.Status, got.location(), got.Body)
		}
		w.signedInAs(t, b, "")
	}

	// Nor does a visit outlive its client.
	to := b.atProvider(b.get(toShop), "mallory").location()
	w.call(t, w.ann, "DELETE", "acme/providers/corp", "")
	if got := b.get(to); !strings.Contains(got.location(), "notice=again") {
		t.Errorf("without the client: %s to %s\n%s", got.Status, got.location(), got.Body)
	}
	w.signedInAs(t, b, "")
	if by := w.client(b, toShop); by != "gate" {
		t.Errorf("after that, it leads by %q", by)
	}
}

// What is wrong with an organization's client is said to who can mend it, and concerns nobody
// else.
func TestOwnClientRefused(t *testing.T) {
	t.Parallel()
	w := startOwned(t, "")
	w.has(t, "wrong")
	b := w.Client(t)
	got := w.enters(b, w.shop, "nina")
	if got.StatusCode != http.StatusServiceUnavailable || !strings.Contains(got.Body, "Tell an owner or admin of the organization") || !strings.Contains(got.Body, "<strong>Acme Inc.</strong>") {
		t.Errorf("a wrong secret: %s\n%s", got.Status, got.Body)
	}
	w.signedInAs(t, b, "")
	eventually(t, "the organization's audit log says so", func() bool {
		return strings.Contains(w.call(t, w.ann, "GET", "acme/audit", "").Body, "of organization acme: the provider refuses the client (invalid_client)")
	})
	if said := w.call(t, w.bea, "GET", "beta/audit", "").Body; strings.Contains(said, "refuses the client") {
		t.Errorf("another organization is told: %s", said)
	}
	for address, who := range map[string]string{"": "oscar", w.store: "paul"} {
		other := w.Client(t)
		if address == "" {
			w.visit(other, "", who)
		} else {
			w.enters(other, address, who)
		}
		w.signedInAs(t, other, who)
	}
	w.has(t, acmeSecret)
	w.enters(b, w.shop, "nina")
	w.signedInAs(t, b, "nina")
	page := w.ann.open(w.portal + "/.gate/org/acme/providers")
	for _, want := range []string{w.portal + "/.gate/connect/corp/callback", w.portal + "/.gate/connect/NAME/callback", w.portal + "/.gate/connect/corp/backchannel-logout?organization=acme"} {
		if !strings.Contains(html.UnescapeString(page.Body), want) {
			t.Errorf("the organization's page does not show %s:\n%s", want, page.Body)
		}
	}
}

// Who came by an organization's client is asked about by that client. One that fails
// expels nobody, and keeps nobody else from being asked about; without it, who came by it
// signs in anew.
func TestOwnClientRecheck(t *testing.T) {
	t.Parallel()
	w := startOwned(t, "recheck 2s\nbroker\nallow group:staff")
	w.corp.set(t, "accessTokenLife", 29) // less than what a token must have left
	staff := map[string]any{"groups": []string{"staff"}}
	b := make(map[string]*browser)
	// As many by the organization's client as make a provider seem away.
	own := []string{"quinn", "rosa", "sam", "tess", "uma", "vera", "will", "xena", "yves", "zoe"}
	for _, who := range append(own, "erin") {
		w.corp.setClaims(t, who, staff)
		b[who] = w.Client(t)
		if who == "erin" {
			w.visit(b[who], "", who)
		} else {
			w.enters(b[who], w.shop, who)
		}
		w.signedInAs(t, b[who], who)
	}
	in := func(who string) bool {
		return b[who].fetch(w.portal+"/.gate/whoami").StatusCode == http.StatusOK
	}
	asked := func(what string, times int) {
		t.Helper()
		before := w.corp.count(t, "token")
		eventually(t, what, func() bool { return w.corp.count(t, "token") >= before+times })
	}
	asked("everybody is asked about, twice", 2*len(b))
	for who := range b {
		if !in(who) {
			t.Errorf("%s is out", who)
		}
	}
	if got := w.clients(t, "quinn"); !slices.Equal(got, []string{"acme-client"}) {
		t.Errorf("tokens are of %q", got)
	}
	token := tokenIn(w.must(t, "", "token", "add", "service", "--user", "quinn", "--scope", "provider:corp"))
	handed := func() page {
		return w.Client(t).fetch(w.portal+"/.gate/api/v1/providers/corp/token", header{"Authorization", "Bearer " + token})
	}
	if got := handed(); got.StatusCode != http.StatusOK || !strings.Contains(got.Body, `"access_token":"`) {
		t.Errorf("the broker: %s\n%s", got.Status, got.Body)
	}

	w.has(t, "wrong")
	asked("a client that is refused asks", 3*len(own))
	w.corp.setClaims(t, "erin", map[string]any{"groups": []string{"guests"}})
	eventually(t, "who came by the platform's client is asked about", func() bool { return !in("erin") })
	for _, who := range own {
		if !in(who) {
			t.Errorf("%s is out because the client is refused", who)
		}
	}
	w.has(t, acmeSecret)
	w.corp.setClaims(t, "rosa", map[string]any{"groups": []string{"guests"}})
	w.corp.remove(t, "sam")
	eventually(t, "out of what lets in", func() bool { return !in("rosa") })
	eventually(t, "removed", func() bool { return !in("sam") })

	expelled := len(w.audit(t, "identity.expel"))
	w.call(t, w.ann, "DELETE", "acme/providers/corp", "")
	eventually(t, "without the client", func() bool { return !slices.ContainsFunc(own, in) })
	if got := w.audit(t, "identity.expel"); len(got) != expelled || expelled != 3 {
		t.Errorf("expelled: %q", got)
	}
	eventually(t, "the event", func() bool {
		return slices.Contains(w.audit(t, "user.logout"), "success provider corp: the client of acme that signed the user in is there no more; 1 sessions ended")
	})
	if got := handed(); got.StatusCode != http.StatusConflict || !strings.Contains(got.Body, "action_required") {
		t.Errorf("the broker, without the client, of who still has the access token: %s\n%s", got.Status, got.Body)
	}
	w.enters(b["quinn"], w.shop, "quinn")
	w.signedInAs(t, b["quinn"], "quinn")
	if got := w.clients(t, "quinn"); !slices.Contains(got, "gate") {
		t.Errorf("tokens are of %q", got)
	}
	if got := handed(); got.StatusCode != http.StatusOK {
		t.Errorf("the broker, after that: %s\n%s", got.Status, got.Body)
	}
}

// An owner of the platform comes by its client alone, wherever they want to go.
func TestOwnClientOfOwner(t *testing.T) {
	t.Parallel()
	w := startOwned(t, "")
	w.visit(w.Client(t), "", "olga")
	w.must(t, "", "user", "owner", "olga")
	b := w.Client(t)
	_, to := w.toCorp(b, w.shop)
	got := b.handOver(b.atProvider(b.get(to), "olga"))
	if u, err := url.Parse(got.location()); err != nil || u.Query().Get("client_id") != "gate" {
		t.Fatalf("an owner who comes by the organization's client: %s to %s\n%s", got.Status, got.location(), got.Body)
	}
	w.signedInAs(t, b, "")
	if got := b.follow(b.handOver(b.atProvider(got, "olga"))); got.Request.URL.Path != "/.gate/oauth/consent" {
		t.Errorf("at the end: %s, %s\n%s", got.Request.URL, got.Status, got.Body)
	}
	w.signedInAs(t, b, "olga")
}

// The provider tells an organization's client of a sign-out at the address that names the
// organization, and of no other client there.
func TestOwnClientSignedOut(t *testing.T) {
	t.Parallel()
	w := startOwned(t, "")
	b := w.Client(t)
	w.enters(b, w.shop, "alice")
	w.signedInAs(t, b, "alice")
	if told := w.corp.signOut(t, "alice"); len(told) != 1 || told[0].Client != "acme-client" || told[0].Error != "" {
		t.Errorf("told: %+v", told)
	}
	began := time.Now()
	eventually(t, "signed out", func() bool { return b.fetch(w.portal+"/.gate/whoami").StatusCode == http.StatusUnauthorized })
	inTime(t, "signed out there, signed out here", time.Second, time.Since(began))
	for _, slug := range []string{"acme", "beta", "nobody", "%21"} {
		w.corp.register(t, openIDClient{ID: "gate", Secret: "corp-secret", Redirects: []string{w.portal + "/.gate/connect/corp/callback"},
			BackChannel: w.portal + "/.gate/connect/corp/backchannel-logout?organization=" + slug, BackChannelSession: true})
		other := w.Client(t)
		w.visit(other, "", "bob")
		if told := w.corp.signOut(t, "bob"); len(told) != 1 || told[0].Client != "gate" || !strings.Contains(told[0].Error, "400") {
			t.Errorf("%s is told for the platform's client: %+v", slug, told)
		}
		w.signedInAs(t, other, "bob")
	}
}
