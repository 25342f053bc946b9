package integration

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/web/api"
)

// apiGate has a portal with the API, a site under it, and users who register organizations.
const apiGate = `{
	{{.Global}}
	gate {
		{{.Gate}}
		portal https://auth.example.org:{{.HTTPS}}
		organizations {
			register on
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
`

// caller is somebody who asks the API, with a session or an access token, or nobody.
type caller struct {
	name     string
	b        *browser
	token    string
	scopes   string                   // of the token
	user     string                   // the username; empty for nobody
	id       string                   // of the user
	owner    bool                     // a platform owner …
	factor   bool                     // … who has proven a second factor, where it is a session
	roleIn   map[string]authcore.Role // by the slug of the organization
	loggedIn bool
}

// apiWorld is a server with organizations, and all kinds of callers.
type apiWorld struct {
	*server
	t       *testing.T
	at      string // of the API
	callers []*caller
	ids     map[string]string // of users, by username
	doc     apiDocument
	checked int // answers that were held against the document
}

// call sends a request as a caller. Changes are JSON from the portal's own pages.
func (w *apiWorld) call(c *caller, method, path, body string, more ...header) page {
	w.t.Helper()
	var headers []header
	if c.token != "" {
		headers = append(headers, header{"Authorization", "Bearer " + c.token})
	} else if method != http.MethodGet {
		headers = append(headers, header{"Sec-Fetch-Site", "same-origin"}, header{"Origin", strings.TrimSuffix(w.at, "/.gate/api/v1")})
	}
	if method != http.MethodGet && method != http.MethodDelete {
		headers = append(headers, header{"Content-Type", "application/json"})
	}
	return c.b.do(method, w.at+path, body, append(headers, more...)...)
}

// does is call for what has to work.
func (w *apiWorld) does(c *caller, method, path, body string, more ...header) page {
	w.t.Helper()
	got := w.call(c, method, path, body, more...)
	if got.StatusCode >= 300 {
		w.t.Fatalf("%s: %s %s: %s\n%s", c.name, method, path, got.Status, got.Body)
	}
	return got
}

// session makes a caller who signs in.
func (w *apiWorld) session(name, user string, factor bool) *caller {
	w.t.Helper()
	portal := strings.TrimSuffix(w.at, "/.gate/api/v1")
	c := &caller{name: name, user: user, b: w.Client(w.t), factor: factor, loggedIn: true, roleIn: map[string]authcore.Role{}}
	c.b.signIn(portal, someone(user))
	if factor {
		c.b.enrol(portal)
	}
	var me api.UserDetails
	must(w.t, json.Unmarshal([]byte(w.does(c, "GET", "/me", "").Body), &me))
	c.id, c.owner = string(me.ID), me.Owner
	w.ids[user] = c.id
	w.callers = append(w.callers, c)
	return c
}

// withToken makes a caller with an access token of somebody.
func (w *apiWorld) withToken(name string, of *caller, scopes ...string) *caller {
	w.t.Helper()
	args := []string{"token", "add", "api", "--user", of.user, "--host", "auth.example.org", "--expires", "1d"}
	for _, scope := range scopes {
		args = append(args, "--scope", scope)
	}
	c := &caller{name: name, b: w.Client(w.t), token: tokenText.FindString(w.must(w.t, "", args...)), scopes: strings.Join(scopes, " "), user: of.user, id: of.id, owner: of.owner, roleIn: of.roleIn}
	w.callers = append(w.callers, c)
	return c
}

// apiStart runs a server with two organizations and everybody who may ask.
func apiStart(t *testing.T, c *cluster) *apiWorld {
	s := start(t, apiGate, c.gate)
	withOwner(t, s)
	w := &apiWorld{server: s, t: t, at: s.URL("HTTPS", "auth.example.org") + "/.gate/api/v1", ids: map[string]string{}}
	for _, name := range []string{"stranger", "member", "admin", "boss", "rival", "plain"} {
		s.addUser(t, someone(name))
	}
	s.must(t, "", "user", "owner", "plain")
	w.callers = []*caller{{name: "nobody", b: s.Client(t)}}
	owner := w.session("platform owner", "owner", true)
	w.session("platform owner without a second factor", "plain", false)
	w.session("stranger", "stranger", false)
	member, admin, boss, rival := w.session("member", "member", false), w.session("admin", "admin", false), w.session("owner of the organization", "boss", false), w.session("owner of another", "rival", false)
	for slug, who := range map[string]*caller{"acme": boss, "other": rival} {
		w.does(who, "POST", "/organizations", `{"slug":"`+slug+`"}`)
		w.does(owner, "POST", "/platform/organizations/"+slug+"/approve", "")
		w.does(owner, "PUT", "/platform/organizations/"+slug+"/tier", `{"tier":"pro"}`)
		who.roleIn[slug] = authcore.RoleOwner
	}
	for who, role := range map[*caller]authcore.Role{member: authcore.RoleMember, admin: authcore.RoleAdmin} {
		w.does(owner, "PUT", "/organizations/acme/members/"+who.id, `{"role":"`+string(role)+`"}`)
		who.roleIn["acme"] = role
	}
	var all []string
	for _, rt := range api.Routes {
		if scope := rt.NeedsScope(); !strings.Contains(" "+strings.Join(all, " ")+" ", " "+scope+" ") {
			all = append(all, scope)
		}
	}
	w.withToken("token of the organization's owner, all scopes", boss, all...)
	w.withToken("token of the organization's owner, no scope", boss)
	w.withToken("token of the organization's owner, another scope", boss, "services.view")
	w.withToken("token of a platform owner, all scopes", owner, all...)
	w.withToken("token of a platform owner, for users", owner, api.ScopeUsersView)
	w.withToken("token of a platform owner, for members", owner, string(authcore.MembersManage), string(authcore.MembersView), string(authcore.SettingsManage), api.ScopeAccountView)
	got := w.Client(t).fetch(w.at + "/openapi.json")
	if err := json.Unmarshal([]byte(got.Body), &w.doc); err != nil {
		t.Fatalf("%s: %v", got.Status, err)
	}
	return w
}

func (c *caller) has(scope string) bool { return strings.Contains(" "+c.scopes+" ", " "+scope+" ") }

// expected is the one rule of who may do what: the status that a caller gets for a route in
// an organization, and 0 where the caller may, whatever comes of it.
func (c *caller) expected(rt *api.Route, slug string) int {
	runs := c.owner && (c.factor || c.token != "" && (rt.Realm == api.Platform || c.has(api.ScopeOrganizationsManage)))
	switch {
	case c.user == "":
		return http.StatusUnauthorized
	case c.token != "" && !c.has(rt.NeedsScope()):
		return http.StatusForbidden
	case rt.Realm == api.Platform && !c.owner:
		return http.StatusForbidden
	case rt.Realm == api.Platform && !runs:
		return http.StatusUnauthorized // asks for the second factor
	case rt.Realm != api.Organization || runs:
		return 0
	case c.roleIn[slug] == "":
		return http.StatusNotFound
	case rt.Need == "":
		return 0
	}
	for _, may := range map[authcore.Role][]authcore.Capability{authcore.RoleOwner: authcore.Capabilities, authcore.RoleAdmin: {authcore.SettingsManage, authcore.MembersView, authcore.MembersManage}, authcore.RoleMember: {authcore.MembersView}}[c.roleIn[slug]] {
		if may == rt.Need {
			return 0
		}
	}
	return http.StatusForbidden
}

// apiBodies are bodies that are good, by the operation.
var apiBodies = map[string]string{"changeOrganization": `{"name":"Changed"}`, "setMember": `{"role":"member"}`, "rejectOrganization": `{"reason":"walk"}`, "suspendOrganization": `{"reason":"walk"}`,
	"setOrganizationTier": `{"tier":"pro"}`, "setUserOwner": `{"owner":false}`, "setUserFactorRequired": `{"required":false}`, "registerOrganization": `{"slug":"walk"}`}

// state is all that a request without the right to may not change.
func (w *apiWorld) state() string {
	w.t.Helper()
	var all strings.Builder
	for _, query := range []string{"SELECT slug, name, status, tier FROM organizations ORDER BY slug", "SELECT organization_id, user_id, role, '' FROM members ORDER BY organization_id, user_id",
		"SELECT username, status, CAST(owner AS CHAR(1)), CAST(factor_required AS CHAR(1)) FROM users ORDER BY username", "SELECT id, '', '', '' FROM sessions ORDER BY id", "SELECT user_id, '', '', '' FROM totps ORDER BY user_id"} {
		rows, err := w.database(w.t).Query(query)
		must(w.t, err)
		for rows.Next() {
			var v [4]string
			must(w.t, rows.Scan(&v[0], &v[1], &v[2], &v[3]))
			fmt.Fprintln(&all, v)
		}
		must(w.t, rows.Close())
	}
	return all.String()
}

// TestAPIRoles walks every route with every kind of caller, for an organization of some of
// them and for another, and holds the answers against one rule and against the document.
// First those who may not, and nothing changes; then those who may.
func TestAPIRoles(t *testing.T) {
	everyDatabase(t, func(t *testing.T, c *cluster) {
		w := apiStart(t, c)
		some := authcore.NewSessionID()
		refused, allowed := 0, 0
		before := w.state()
		walk := func(may bool) (n int) {
			for i := range api.Routes {
				rt := &api.Routes[i]
				for _, slug := range []string{"acme", "other"} {
					if !strings.Contains(rt.Path, "{slug}") && slug == "other" {
						continue
					}
					for _, who := range w.callers {
						want := who.expected(rt, slug)
						if may != (want == 0) || may && rt.Changes() && rt.Realm == api.Platform { // which TestAPIPlatform does, one after the other
							continue
						}
						id := w.ids["member"]
						if who.user == "member" {
							id = w.ids["admin"] // members may take themselves out
						}
						if strings.Contains(rt.Path, "sessions/{id}") {
							id = string(some)
						}
						path := strings.NewReplacer("{slug}", slug, "{id}", id).Replace(rt.Path)
						if may && rt.ID == "removeMember" {
							path = strings.Replace(path, id, string(some), 1) // who is none
						}
						got := w.call(who, rt.Method, path, apiBodies[rt.ID])
						w.conforms(rt, got)
						n++
						switch {
						case !may && got.StatusCode != want:
							t.Errorf("%s: %s %s: %s, want %d\n%s", who.name, rt.Method, path, got.Status, want, got.Body)
						case may && (got.StatusCode == 401 || got.StatusCode == 403 || got.StatusCode >= 500):
							t.Errorf("%s may: %s %s: %s\n%s", who.name, rt.Method, path, got.Status, got.Body)
						}
					}
				}
			}
			return n
		}
		refused = walk(false)
		if after := w.state(); after != before {
			t.Errorf("those who may not changed something:\n%s\nwas\n%s", after, before)
		}
		allowed = walk(true)
		t.Logf("%d routes, %d callers: %d requests refused and %d allowed, as the rule says; %d answers as the document says", len(api.Routes), len(w.callers), refused, allowed, w.checked)
	})
}

// TestAPIPlatform does what platform owners do, once each, and what roles of an
// organization may do to one another.
func TestAPIPlatform(t *testing.T) {
	everyDatabase(t, func(t *testing.T, c *cluster) {
		w := apiStart(t, c)
		who := map[string]*caller{}
		for _, c := range w.callers {
			who[c.name] = c
		}
		owner, member, admin, boss, stranger := who["platform owner"], who["member"], who["admin"], who["owner of the organization"], who["stranger"]
		is := func(c *caller, method, path, body string, status int, says string) page {
			t.Helper()
			got := w.call(c, method, path, body)
			if got.StatusCode != status || !strings.Contains(got.Body, says) {
				t.Errorf("%s: %s %s %s: %s, want %d %s\n%s", c.name, method, path, body, got.Status, status, says, got.Body)
			}
			if rt, _, _ := api.Find(method, strings.SplitN(path, "?", 2)[0]); rt != nil {
				w.conforms(rt, got)
			}
			return got
		}
		members := "/organizations/acme/members/"
		is(admin, "PUT", members+admin.id, `{"role":"owner"}`, 403, "beyond_own_role")
		is(admin, "PUT", members+boss.id, `{"role":"member"}`, 403, "beyond_own_role")
		is(admin, "DELETE", members+boss.id, "", 403, "beyond_own_role")
		is(admin, "PUT", members+member.id, `{"role":"admin"}`, 200, `"role":"admin"`)
		is(admin, "PUT", members+member.id, `{"role":"king"}`, 404, "role_not_found")
		is(admin, "PUT", members+member.id, `{"role":"K"}`, 400, "role_invalid")
		is(admin, "PUT", members+stranger.id, `{"role":"member"}`, 404, "member_not_found")
		is(boss, "PUT", members+stranger.id, `{"role":"member"}`, 404, "member_not_found")
		is(owner, "PUT", members+stranger.id, `{"role":"member"}`, 200, `"role":"member"`)
		is(stranger, "DELETE", members+stranger.id, "", 403, "not_allowed")
		is(stranger, "POST", "/organizations/acme/leave", "", 204, "")
		is(boss, "POST", "/organizations/acme/leave", "", 409, "last_organization_owner")
		is(boss, "PATCH", "/organizations/acme", `{"name":"Acme É."}`, 200, "Acme É.")
		is(stranger, "POST", "/organizations", `{"slug":"mine-1"}`, 201, `"status":"pending"`)
		is(stranger, "POST", "/organizations", `{"slug":"mine-2"}`, 201, "")
		is(stranger, "POST", "/organizations", `{"slug":"mine-3"}`, 201, "")
		is(stranger, "POST", "/organizations", `{"slug":"mine-4"}`, 409, "too_many_organizations")
		is(who["token of a platform owner, for members"], "GET", "/organizations/acme/members", "", 404, "organization_not_found")

		org := "/platform/organizations/"
		is(owner, "POST", org+"mine-1/reject", `{"reason":""}`, 400, "reason_required")
		is(owner, "POST", org+"mine-1/reject", `{"reason":"who are you?"}`, 200, `"status":"rejected"`)
		is(owner, "POST", org+"mine-1/approve", "", 200, `"status":"active"`)
		is(owner, "POST", org+"mine-1/approve", "", 409, "organization_state")
		is(owner, "POST", org+"acme/suspend", `{"reason":"not paid"}`, 200, `"status":"suspended"`)
		is(boss, "PATCH", "/organizations/acme", `{"name":"X"}`, 409, "organization_state")
		is(boss, "GET", "/organizations/acme", "", 200, "not paid")
		is(owner, "POST", org+"acme/activate", "", 200, `"status":"active"`)
		is(owner, "PUT", org+"acme/tier", `{"tier":"gold"}`, 400, "tier_invalid")
		is(owner, "PUT", org+"acme/tier", `{"tier":"enterprise"}`, 200, "enterprise")
		is(owner, "GET", org+"?status=pending&q=mine", "", 404, "not_found")
		is(owner, "GET", "/platform/organizations?status=pending&q=mine", "", 200, "mine-3")
		is(owner, "DELETE", org+"mine-3", "", 204, "")
		is(owner, "GET", org+"mine-3", "", 404, "organization_not_found")

		user := "/platform/users/"
		is(owner, "GET", "/platform/users?q=MEMB", "", 200, `"username":"member"`)
		is(owner, "PUT", user+member.id+"/factor-required", `{"required":true}`, 200, `"factor_required":true`)
		is(member, "GET", "/me", "", 401, "login_required") // the session ended
		is(owner, "PUT", user+member.id+"/factor-required", `{"required":false}`, 200, `"factor_required":false`)
		is(owner, "POST", user+member.id+"/reset-factor", "", 404, "factor_not_found")
		is(owner, "POST", user+owner.id+"/reset-factor", "", 403, "own_factor")
		is(owner, "POST", user+stranger.id+"/sign-out", "", 200, `"revoked":1`)
		is(stranger, "GET", "/me", "", 401, "login_required")
		is(owner, "POST", user+admin.id+"/disable", "", 200, `"status":"disabled"`)
		is(admin, "GET", "/me", "", 401, "login_required")
		is(owner, "POST", user+admin.id+"/enable", "", 200, `"status":"active"`)
		is(owner, "PUT", user+boss.id+"/owner", `{"owner":true}`, 200, `"owner":true`)
		is(boss, "GET", "/platform/users", "", 401, "insufficient_user_authentication")
		is(owner, "PUT", user+boss.id+"/owner", `{"owner":false}`, 200, `"owner":false`)
		is(boss, "GET", "/platform/users", "", 403, "not_owner")

		var mine struct{ Items []api.UserSession }
		must(t, json.Unmarshal([]byte(is(owner, "GET", "/platform/sessions?user="+boss.id, "", 200, "boss").Body), &mine))
		is(owner, "DELETE", "/platform/sessions/"+string(mine.Items[0].ID), "", 204, "")
		is(boss, "GET", "/me", "", 401, "login_required")
		is(owner, "GET", "/platform/audit?action=user.disable&target=user:"+admin.id, "", 200, admin.id)
		is(owner, "GET", "/platform/audit?action=user.disable&actor="+boss.id, "", 200, `"items":[]`)
		is(owner, "PUT", user+owner.id+"/owner", `{"owner":false}`, 200, `"owner":false`)
		is(owner, "GET", "/platform/users", "", 403, "not_owner")
		t.Logf("%d answers as the document says", w.checked)
	})
}

// Changes come from our own pages, or from a program that is no browser (X4): anything
// else is refused, and so is what is not there or in a wrong form.
func TestAPIForeign(t *testing.T) {
	everyDatabase(t, func(t *testing.T, c *cluster) {
		w := apiStart(t, c)
		var boss *caller
		for _, c := range w.callers {
			if c.name == "owner of the organization" {
				boss = c
			}
		}
		portal := strings.TrimSuffix(w.at, "/.gate/api/v1")
		foreign, n := [][]header{{{"Sec-Fetch-Site", "cross-site"}}, {{"Sec-Fetch-Site", "same-site"}}, {{"Origin", "https://evil.example"}}, {{"Origin", "null"}}, {{"Origin", w.URL("HTTPS", "app.example.com")}}}, 0
		before := w.state()
		for i := range api.Routes {
			rt := &api.Routes[i]
			if !rt.Changes() {
				continue
			}
			path := strings.NewReplacer("{slug}", "acme", "{id}", w.ids["member"]).Replace(rt.Path)
			for _, from := range foreign {
				for _, kind := range []string{"application/json", "text/plain", "application/x-www-form-urlencoded"} {
					got := boss.b.do(rt.Method, w.at+path, apiBodies[rt.ID], append([]header{{"Content-Type", kind}}, from...)...)
					if n++; got.StatusCode != 403 || !strings.Contains(got.Body, "cross_site") {
						t.Errorf("%s %s from %v: %s\n%s", rt.Method, path, from, got.Status, got.Body)
					}
				}
			}
			if rt.Realm != api.Platform && rt.Method != http.MethodDelete {
				got := boss.b.do(rt.Method, w.at+path, apiBodies[rt.ID], header{"Content-Type", "text/plain"}, header{"Sec-Fetch-Site", "same-origin"})
				if n++; got.StatusCode != 415 {
					t.Errorf("%s %s as text: %s\n%s", rt.Method, path, got.Status, got.Body)
				}
			}
		}
		if after := w.state(); after != before {
			t.Errorf("another site changed something:\n%s\nwas\n%s", after, before)
		}
		t.Logf("%d requests of other sites refused", n)

		app := w.URL("HTTPS", "app.example.com")
		boss.b.arrive(app+"/", someone("boss"))
		for _, to := range []string{app + "/.gate/api/v1/me", app + "/.gate/api/v1/openapi.json", w.at, w.at + "/", w.at + "/nothing", w.at + "me", portal + "/.gate/api/v2/me"} {
			if got := boss.b.fetch(to); got.StatusCode != 404 || to != portal+"/.gate/api/v2/me" && !strings.Contains(got.Body, `"code":"not_found"`) {
				t.Errorf("%s: %s\n%s", to, got.Status, got.Body)
			}
		}
		if got := boss.b.do("PUT", w.at+"/me", ""); got.StatusCode != 405 || got.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("PUT /me: %s, %q", got.Status, got.Header.Get("Allow"))
		}
		if got := w.call(boss, "POST", "/organizations", `{"slug":"`+strings.Repeat("x", 70<<10)+`"}`); got.StatusCode != 413 {
			t.Errorf("a large body: %s", got.Status)
		}
		if got := boss.b.get(w.at + "/me"); got.StatusCode != 200 || got.Header.Get("Content-Type") != "application/json; charset=utf-8" || got.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("as a page: %s, %v", got.Status, got.Header)
		}

		// Sixteen of the same at once make one.
		body := `{"slug":"once"}`
		var wg sync.WaitGroup
		var mu sync.Mutex
		codes := map[int]int{}
		for range 16 {
			wg.Go(func() {
				got := w.call(boss, "POST", "/organizations", body, header{"Idempotency-Key", "deploy-1"})
				mu.Lock()
				defer mu.Unlock()
				if codes[got.StatusCode]++; got.StatusCode == 409 && !strings.Contains(got.Body, "idempotency_in_progress") {
					t.Error(got.Body)
				}
			})
		}
		wg.Wait()
		t.Logf("sixteen at once with one key: %v", codes)
		if codes[201]+codes[409] != 16 || codes[201] == 0 {
			t.Errorf("answers %v", codes)
		}
		if got := w.call(boss, "POST", "/organizations", body, header{"Idempotency-Key", "deploy-1"}); got.StatusCode != 201 || got.Header.Get("Idempotency-Replayed") != "true" {
			t.Errorf("again: %s\n%s", got.Status, got.Body)
		}
		if got := w.call(boss, "POST", "/organizations", `{"slug":"twice"}`, header{"Idempotency-Key", "deploy-1"}); got.StatusCode != 409 || !strings.Contains(got.Body, "idempotency_key_reused") {
			t.Errorf("with another body: %s\n%s", got.Status, got.Body)
		}
		if made, plain := w.count(t, "SELECT count(*) FROM events WHERE action = 'organization.create' AND details LIKE 'once%'"), w.count(t, "SELECT count(*) FROM idempotency_keys WHERE answer LIKE '%slug%'"); made != 1 || plain != 0 {
			t.Errorf("%d made, %d answers in the clear", made, plain)
		}
	})
}

// On a host that is its own portal, the API serves the account and no more, and a script
// of the app there can change nothing with the session.
func TestAPIOwnPortal(t *testing.T) {
	t.Parallel()
	s := start(t, chalet, newCluster(t, "sqlite", false).node)
	withOwner(t, s)
	at := s.at("app.localhost", "")
	b := s.Client(t)
	b.signIn(at, someone("owner"))
	var mine struct{ Items []api.Session }
	must(t, json.Unmarshal([]byte(b.fetch(at+"/.gate/api/v1/me/sessions").Body), &mine))
	same := []header{{"Sec-Fetch-Site", "same-origin"}, {"Content-Type", "application/json"}}
	for _, test := range []struct {
		method, path, body string
		status             int
	}{
		{"GET", "/me", "", 200}, {"GET", "/openapi.json", "", 200}, {"GET", "/organizations", "", 404}, {"GET", "/platform/users", "", 404}, {"POST", "/organizations", `{"slug":"a1"}`, 404},
		{"DELETE", "/me/sessions/" + string(mine.Items[0].ID), "", 403},
	} {
		if got := b.do(test.method, at+"/.gate/api/v1"+test.path, test.body, same...); got.StatusCode != test.status {
			t.Errorf("%s %s: %s, want %d\n%s", test.method, test.path, got.Status, test.status, got.Body)
		}
	}
	if u, _ := url.Parse(at); u == nil || len(mine.Items) != 1 || !mine.Items[0].Current {
		t.Errorf("sessions: %+v", mine)
	}
}
