package integration

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/web/api"
	"github.com/gatehouse-auth/gatehouse/store/storetest/dbserver"
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
	scopes   string                   // of the token, or of the API key
	key      string                   // an API key of a service
	user     string                   // the username; empty for nobody
	id       string                   // of the user
	owner    bool                     // a platform owner …
	factor   bool                     // … who has proven a second factor, where it is a session
	roleIn   map[string]authcore.Role // by the slug of the organization
	may      []authcore.Capability    // of a role that is an organization's own
	loggedIn bool
}

// apiWorld is a server with organizations, and all kinds of callers.
type apiWorld struct {
	*server
	t       *testing.T
	at      string // of the API
	callers []*caller
	ids     map[string]string // of users by username, and of what stands in places of paths
	bodies  map[string]string // that are good, by the operation
	worked  map[string]bool   // operations that did
	doc     apiDocument
	checked int // answers that were held against the document
}

// call sends a request as a caller. Changes are JSON from the portal's own pages.
func (w *apiWorld) call(c *caller, method, path, body string, more ...header) page {
	w.t.Helper()
	var headers []header
	switch {
	case c.key != "" && len(path)%2 == 0: // both ways do
		headers = append(headers, header{"X-Api-Key", c.key})
	case c.key != "":
		headers = append(headers, header{"Authorization", "Bearer " + c.key})
	case c.token != "":
		headers = append(headers, header{"Authorization", "Bearer " + c.token})
	case method != http.MethodGet:
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
	if rt, _, _ := api.Find(method, strings.SplitN(path, "?", 2)[0]); rt != nil {
		w.conforms(rt, got)
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
	w := &apiWorld{server: s, t: t, at: s.URL("HTTPS", "auth.example.org") + "/.gate/api/v1", ids: map[string]string{}, bodies: maps.Clone(apiBodies), worked: map[string]bool{}}
	got := w.Client(t).fetch(w.at + "/openapi.json")
	if err := json.Unmarshal([]byte(got.Body), &w.doc); err != nil {
		t.Fatalf("%s: %v", got.Status, err)
	}
	for _, name := range []string{"stranger", "member", "admin", "boss", "rival", "plain", "keeper", "viewer", "roler", "customer", "client"} {
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
	for name, can := range map[string]authcore.Capability{"keeper": authcore.ServicesManage, "viewer": authcore.EndUsersView, "roler": authcore.RolesManage} {
		who := w.session("own role, "+string(can), name, false)
		w.does(owner, "POST", "/organizations/acme/roles", `{"slug":"only-`+name+`","capabilities":["`+string(can)+`"]}`)
		w.does(owner, "PUT", "/organizations/acme/members/"+who.id, `{"role":"only-`+name+`"}`)
		who.roleIn["acme"], who.may = authcore.Role("only-"+name), []authcore.Capability{can}
	}
	w.furnish(owner)
	var all []string
	for _, rt := range api.Routes {
		if rt.Realm == api.Service {
			continue
		}
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
	return w
}

// furnish gives each organization a service with users and keys, and what else there is to
// be named in paths and bodies; those of acme are the ones that are asked for.
func (w *apiWorld) furnish(owner *caller) {
	w.t.Helper()
	read := func(got page, into any) { w.t.Helper(); must(w.t, json.Unmarshal([]byte(got.Body), into)) }
	for _, slug := range []string{"other", "acme"} {
		at := "/organizations/" + slug
		var s api.ServiceMade
		read(w.does(owner, "POST", at+"/services", `{"type":"web","name":"Shop","access":"everyone"}`), &s)
		w.ids["service"] = string(s.ID)
		var i api.InvitationMade
		read(w.does(owner, "POST", at+"/invitations", `{"role":"member"}`), &i)
		w.ids["invitation"], w.bodies["lookAtInvitation"] = string(i.ID), `{"token":"`+i.Link[strings.Index(i.Link, "=")+1:]+`"}`
		w.does(owner, "PUT", at+"/providers/google", `{"client_id":"id","secret":"s"}`)
		for _, under := range []string{at, "/platform"} {
			var made, sent struct{ ID string }
			read(w.does(owner, "POST", under+"/webhooks", `{"url":"https://hooks.example.com/x","events":["key.create"]}`), &made)
			read(w.does(owner, "POST", under+"/webhooks/"+made.ID+"/test", ""), &sent)
			w.ids["hook"+under], w.ids["delivery"+under] = made.ID, sent.ID
		}
		w.does(owner, "POST", at+"/roles", `{"slug":"walked","capabilities":[]}`)
		for _, k := range []struct{ name, scopes string }{{"all scopes", `"users.read","users.manage","sessions.read","sessions.revoke","tokens.read"`}, {"users.read", `"users.read"`}} {
			var made api.ServiceKeyMade
			read(w.does(owner, "POST", at+"/services/"+string(s.ID)+"/keys", `{"name":"`+k.name+`","scopes":[`+k.scopes+`]}`), &made)
			w.ids["key"] = string(made.ID)
			c := &caller{name: "API key of " + slug + ", " + k.name, b: w.Client(w.t), key: made.Key}
			for _, scope := range made.Scopes {
				c.scopes += " " + string(scope)
			}
			if slug == "acme" || k.name == "all scopes" {
				w.callers = append(w.callers, c)
			}
		}
		var o api.OrganizationView
		read(w.does(owner, "GET", "/platform"+at, ""), &o)
		customer := map[string]string{"acme": "customer", "other": "client"}[slug]
		var found struct{ Items []api.User }
		read(w.does(owner, "GET", "/platform/users?q="+customer, ""), &found)
		user, session := string(found.Items[0].ID), string(authcore.NewSessionID())
		w.ids[customer], w.ids["session"] = user, session
		db := w.writable()
		for _, insert := range []string{
			fmt.Sprintf("INSERT INTO end_users (service_id, user_id, organization_id, first_at, last_at) VALUES ('%s', '%s', '%s', 1, 2)", s.ID, user, o.ID),
			fmt.Sprintf("INSERT INTO service_sessions (id, organization_id, service_id, user_id, root_id, offline, address, agent, created_at, expires_at) VALUES ('%s', '%s', '%s', '%s', '', 1, '192.0.2.1', 'x', 1, 9000000000000000)", session, o.ID, s.ID, user),
		} {
			_, err := db.Exec(insert)
			must(w.t, err)
		}
	}
	w.bodies["acceptInvitation"], w.bodies["declineInvitation"] = w.bodies["lookAtInvitation"], w.bodies["lookAtInvitation"]
	w.bodies["transferOwnership"] = `{"user_id":"` + w.ids["member"] + `"}`
}

// writable is the database, for what only a provider of tokens can do: to sign users in.
func (w *apiWorld) writable() *sql.DB {
	w.t.Helper()
	if w.cluster != nil && w.cluster.DB != nil {
		return w.cluster.open(dbserver.User)
	}
	db, err := sql.Open("sqlite", "file:"+filepath.ToSlash(filepath.Join(w.Dir, "gate.db"))+"?_pragma=busy_timeout(5000)")
	must(w.t, err)
	w.t.Cleanup(func() { db.Close() })
	return db
}

// path fills in the places of a route's path: what there is of acme.
func (w *apiWorld) path(rt *api.Route, slug, user string) string {
	id := user
	switch {
	case strings.Contains(rt.Path, "/sessions/{id}"):
		id = string(authcore.NewSessionID())
	case strings.Contains(rt.Path, "/services/{id}"):
		id = w.ids["service"]
	case strings.Contains(rt.Path, "/webhooks/{id}"):
		id = w.ids["hook"+w.under(rt)]
	case strings.Contains(rt.Path, "/invitations/{id}"):
		id = w.ids["invitation"]
	case strings.Contains(rt.Path, "/end-users/{id}"), strings.Contains(rt.Path, "/service/users/{id}"):
		id = w.ids["customer"]
	}
	return strings.NewReplacer("{slug}", slug, "{id}", id, "{user}", w.ids["member"], "{key}", w.ids["key"], "{session}", w.ids["session"], "{role}", "walked", "{provider}", "google", "{tier}", "free", "{delivery}", w.ids["delivery"+w.under(rt)]).Replace(rt.Path)
}

// under is where the webhooks of a route are.
func (w *apiWorld) under(rt *api.Route) string {
	if rt.Realm == api.Platform {
		return "/platform"
	}
	return "/organizations/acme"
}

func (c *caller) has(scope string) bool { return strings.Contains(" "+c.scopes+" ", " "+scope+" ") }

// expected is the one rule of who may do what: the status that a caller gets for a route in
// an organization, and 0 where the caller may, whatever comes of it.
func (c *caller) expected(rt *api.Route, slug string) int {
	runs := c.owner && (c.factor || c.token != "" && (rt.Realm == api.Platform || c.has(api.ScopeOrganizationsManage)))
	switch {
	case rt.Realm == api.Service && c.key != "" && rt.Scope != "" && !c.has(rt.Scope):
		return http.StatusForbidden
	case rt.Realm == api.Service && c.key != "":
		return 0
	case c.user == "" || rt.Realm == api.Service:
		return http.StatusUnauthorized
	case c.token != "" && (rt.InPerson || !c.has(rt.NeedsScope())):
		return http.StatusForbidden
	case rt.Realm == api.Platform && !c.owner:
		return http.StatusForbidden
	case rt.Realm == api.Platform && !runs:
		return http.StatusUnauthorized // asks for the second factor
	case rt.Realm != api.Organization:
		return 0
	case c.roleIn[slug] == "" && !runs:
		return http.StatusNotFound
	case rt.ID == "transferOwnership" && c.roleIn[slug] != authcore.RoleOwner: // even for those who may all else
		return http.StatusForbidden
	case runs || rt.Owners && c.roleIn[slug] == authcore.RoleOwner:
		return 0
	case rt.Owners:
		return http.StatusForbidden
	case rt.Need == "":
		return 0
	}
	may := c.may
	switch c.roleIn[slug] {
	case authcore.RoleOwner:
		may = authcore.Capabilities
	case authcore.RoleAdmin:
		may = slices.DeleteFunc(slices.Clone(authcore.Capabilities), func(c authcore.Capability) bool { return c == authcore.BillingManage })
	case authcore.RoleMember:
		may = []authcore.Capability{authcore.MembersView, authcore.ServicesView}
	}
	if slices.Contains(may, rt.Need) {
		return 0
	}
	return http.StatusForbidden
}

const apiService = `"name":"Shop","status":"active","redirect_uris":["https://shop.example.com/back"],"logout_uris":[],"device":false,"access":"everyone","token_format":"jwt","access_life":600,"refresh_life":3600` +
	`,"algorithm":"ES256","scopes":[],"keys":null,"backchannel_logout_uri":"","no_pkce":false,"pushed_only":false,"dpop":false`

// apiBodies are bodies that are good, by the operation.
var apiBodies = map[string]string{"changeOrganization": `{"name":"Changed"}`, "setMember": `{"role":"member"}`, "rejectOrganization": `{"reason":"walk"}`, "suspendOrganization": `{"reason":"walk"}`,
	"setOrganizationTier": `{"tier":"pro"}`, "setUserOwner": `{"owner":false}`, "setUserFactorRequired": `{"required":false}`, "setUserOrganizationOnly": `{"organization_only":false}`, "registerOrganization": `{"slug":"walk"}`,
	"createRole": `{"slug":"walk","capabilities":[]}`, "changeRole": `{"name":"Walked","capabilities":[]}`, "createInvitation": `{"role":"member"}`, "setTier": `{"services":2,"members":3,"features":[]}`,
	"setLimits": `{}`, "createService": `{"type":"api","name":"Walk"}`, "changeService": "{" + apiService + "}", "rotateServiceSecret": `{"overlap":60}`, "setServiceTrust": `{"first_party":false}`,
	"createServiceKey": `{"name":"walk","scopes":["tokens.read"]}`, "barEndUser": `{"reason":"walk"}`, "barMyUser": `{}`, "createWebhook": `{"url":"https://hooks.example.com/walk","events":["key.create"]}`, "changeWebhook": `{"on":true}`, "createPlatformWebhook": `{"url":"https://hooks.example.com/walk","events":["key.create"]}`, "changePlatformWebhook": `{"on":true}`, "setProvider": `{"client_id":"walk","secret":"walk"}`, "createUser": `{"username":"walk"}`}

// apart are what changes who is who, or can be done once only: TestAPIPlatform and
// TestAPIGovernance do them.
var apart = []string{"leaveOrganization", "transferOwnership", "deleteMyOrganization", "acceptInvitation", "declineInvitation"}

// state is all that a request without the right to may not change.
func (w *apiWorld) state() string {
	w.t.Helper()
	var all strings.Builder
	for _, query := range []string{"SELECT slug, name, status, tier FROM organizations ORDER BY slug", "SELECT slug, CAST(factor_required AS CHAR(1)), '', '' FROM organizations ORDER BY slug",
		"SELECT organization_id, slug, name, capabilities FROM roles ORDER BY organization_id, slug", "SELECT id, email, role, '' FROM invitations ORDER BY id", "SELECT organization_id, name, client_id, sealed FROM organization_providers ORDER BY organization_id, name",
		"SELECT id, name, status, secret_hash FROM services ORDER BY id", "SELECT id, redirect_uris, access, CAST(first_party AS CHAR(1)) FROM services ORDER BY id", "SELECT algorithm, scopes, COALESCE(jwks, ''), logout_uri FROM services ORDER BY id", "SELECT service_id, user_id, '', '' FROM service_access ORDER BY service_id, user_id",
		"SELECT id, name, scopes, '' FROM api_keys ORDER BY id", "SELECT service_id, user_id, '', '' FROM end_users ORDER BY service_id, user_id", "SELECT id, user_id, '', '' FROM service_sessions ORDER BY id", "SELECT organization_id, user_id, reason, '' FROM barred ORDER BY organization_id, user_id",
		"SELECT organization_id, features, CAST(services AS CHAR(9)), CAST(members AS CHAR(9)) FROM overrides ORDER BY organization_id", "SELECT name, features, CAST(services AS CHAR(9)), CAST(members AS CHAR(9)) FROM tiers ORDER BY name", "SELECT organization_id, user_id, role, '' FROM members ORDER BY organization_id, user_id",
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
		some := string(authcore.NewSessionID())
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
						user := w.ids["member"]
						if who.user == "member" {
							user = w.ids["admin"]
						}
						path := w.path(rt, slug, user)
						if may && slices.Contains(apart, rt.ID) {
							continue
						}
						if may && rt.Method == http.MethodDelete { // what is not there: others are to find the rest
							path = strings.NewReplacer(w.ids["service"], some, w.ids["invitation"], some, w.ids["customer"], some, user, some, "walked", "nothing", "google", "nothing").Replace(path)
						}
						got := w.call(who, rt.Method, path, w.bodies[rt.ID])
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

// is sends a request as a caller and expects a status and a text in the answer.
func (w *apiWorld) is(c *caller, method, path, body string, status int, says string) page {
	w.t.Helper()
	got := w.call(c, method, path, body)
	if got.StatusCode != status || !strings.Contains(got.Body, says) {
		w.t.Errorf("%s: %s %s %s: %s, want %d %s\n%s", c.name, method, path, body, got.Status, status, says, got.Body)
	}
	if rt, _, _ := api.Find(method, strings.SplitN(path, "?", 2)[0]); rt != nil {
		w.conforms(rt, got)
	}
	return got
}

func (w *apiWorld) byName() map[string]*caller {
	who := map[string]*caller{}
	for _, c := range w.callers {
		who[c.name] = c
	}
	return who
}

// allWorked checks that each operation of some realms worked at least once.
func (w *apiWorld) allWorked(realms ...api.Realm) {
	w.t.Helper()
	n := 0
	for i := range api.Routes {
		if rt := &api.Routes[i]; slices.Contains(realms, rt.Realm) {
			if n++; !w.worked[rt.ID] {
				w.t.Errorf("%s never worked", rt.ID)
			}
		}
	}
	w.t.Logf("%d operations worked, %d answers as the document says", n, w.checked)
}

// TestAPIPlatform does what platform owners do, once each, and what roles of an
// organization may do to one another.
func TestAPIPlatform(t *testing.T) {
	everyDatabase(t, func(t *testing.T, c *cluster) {
		w := apiStart(t, c)
		who := w.byName()
		owner, member, admin, boss, stranger := who["platform owner"], who["member"], who["admin"], who["owner of the organization"], who["stranger"]
		is := w.is
		var hook struct{ ID string }
		must(t, json.Unmarshal([]byte(is(owner, "POST", "/platform/webhooks", `{"url":"https://hooks.example.com/y","events":["user.*"]}`, 201, `"secret":"whsec_`).Body), &hook))
		w.webhookWorks(owner, "/platform/webhooks", hook.ID)
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
		is(owner, "GET", user+owner.id+"/credentials", "", 200, `{"password":true,"passkeys":0,"app_since":"`)
		is(owner, "GET", user+w.ids["member"]+"/credentials", "", 200, `{"password":true,"passkeys":0,"recovery_codes":0,"identities":[]}`)
		is(owner, "GET", user+string(authcore.NewUserID())+"/credentials", "", 404, "user_not_found")
		is(owner, "PUT", user+member.id+"/factor-required", `{"required":true}`, 200, `"factor_required":true`)
		is(member, "GET", "/me", "", 401, "login_required") // the session ended
		is(owner, "PUT", user+member.id+"/factor-required", `{"required":false}`, 200, `"factor_required":false`)
		is(owner, "PUT", user+member.id+"/organization-only", `{"organization_only":true}`, 200, `"organization_only":true`)
		is(owner, "PUT", user+member.id+"/organization-only", `{"organization_only":false}`, 200, "")
		is(owner, "POST", user+member.id+"/reset-factor", "", 404, "factor_not_found")
		is(owner, "POST", user+owner.id+"/reset-factor", "", 403, "own_factor")
		rival := who["owner of another"]
		rival.b.enrol(strings.TrimSuffix(w.at, "/.gate/api/v1"))
		is(owner, "POST", user+rival.id+"/reset-factor", "", 200, `"username":"rival"`)
		is(owner, "GET", user+rival.id, "", 200, `"slug":"other"`)
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

		is(owner, "PUT", "/platform/tiers/gold", `{"services":7,"members":8,"features":["sso"]}`, 204, "")
		is(owner, "PUT", "/platform/tiers/gold", `{"services":-1,"members":8,"features":[]}`, 400, "limit_invalid")
		is(owner, "GET", "/platform/tiers", "", 200, `{"tier":"gold","services":7,"members":8,"features":["sso"]}`)
		is(owner, "PUT", org+"acme/tier", `{"tier":"gold"}`, 200, "gold")
		is(owner, "PUT", org+"acme/limits", `{"members":0}`, 200, `"overrides":{"members":0}`)
		is(owner, "PUT", org+"nothing/limits", `{}`, 404, "organization_not_found")
		is(owner, "PUT", org+"acme/services/"+w.ids["service"]+"/first-party", `{"first_party":true}`, 200, `"first_party":true`)
		is(owner, "PUT", org+"other/services/"+w.ids["service"]+"/first-party", `{"first_party":true}`, 404, "service_not_found")
		var made api.UserDetails
		must(t, json.Unmarshal([]byte(is(owner, "POST", "/platform/users", `{"username":"made","email":"made@example.com","email_verified":true,"groups":["ops"]}`, 201, `"groups":["ops"]`).Body), &made))
		is(owner, "POST", "/platform/users", `{"username":"made"}`, 409, "username_taken")
		is(owner, "POST", "/platform/users", `{"username":"weak","password":"short"}`, 400, "password")
		is(who["token of a platform owner, for users"], "POST", "/platform/users", `{"username":"more"}`, 403, "insufficient_scope")
		is(owner, "DELETE", user+string(made.ID), "", 204, "")
		is(owner, "GET", user+string(made.ID), "", 404, "user_not_found")
		is(owner, "DELETE", user+owner.id, "", 403, "own_account")
		is(owner, "PUT", user+owner.id+"/owner", `{"owner":false}`, 200, `"owner":false`)
		is(owner, "GET", "/platform/users", "", 403, "not_owner")
		w.allWorked(api.Platform)
	})
}

// protocol changes how a service speaks OAuth, makes another one that does from the start,
// and finds what it said.
func (w *apiWorld) protocol(boss *caller, organization, at string) {
	w.t.Helper()
	const key = `{"kty":"EC","kid":"a","crv":"P-256","alg":"ES256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}`
	said := strings.NewReplacer(`"algorithm":"ES256"`, `"algorithm":"RS256"`, `"scopes":[]`, `"scopes":["orders:read","orders:write"]`, `"keys":null`, `"keys":{"keys":[`+key+`]}`,
		`_uri":""`, `_uri":"https://shop.example.com/out"`, `"no_pkce":false`, `"no_pkce":true`, `"pushed_only":false`, `"pushed_only":true`, `"dpop":false`, `"dpop":true`).Replace(apiService)
	how := said[strings.Index(said, `"algorithm"`):]
	w.is(boss, "PUT", at, "{"+said+"}", 200, how)
	w.is(boss, "GET", at, "", 200, how)
	var made api.ServiceMade
	must(w.t, json.Unmarshal([]byte(w.is(boss, "POST", organization+"/services", `{"type":"api","name":"Strict",`+how+`}`, 201, how).Body), &made))
	w.is(boss, "GET", organization+"/services?q=Strict", "", 200, how)
	w.is(boss, "DELETE", organization+"/services/"+string(made.ID), "", 204, "")
	for field, bad := range map[string]string{"algorithm": `"HS256"`, "scopes": `["openid"]`, "backchannel_logout_uri": `"http://shop.example.com/out"`, "keys": `{"keys":[{"d":"AA",` + key[1:] + `]}`} {
		w.is(boss, "POST", organization+"/services", `{"type":"api","name":"Bad","`+field+`":`+bad+`}`, 400, "service_"+field+"_invalid")
	}
	w.is(boss, "POST", organization+"/services", `{"type":"desktop","name":"Bad","no_pkce":true}`, 400, "service_no_pkce_invalid")
	w.is(boss, "POST", organization+"/services", `{"type":"api","name":"Bad","keys":"x"}`, 400, "field_type")
	w.is(boss, "PUT", at, strings.Replace("{"+apiService+"}", `,"dpop":false`, "", 1), 400, "field_required")
	w.is(boss, "PUT", at, "{"+apiService+"}", 200, `"keys":null`)
	w.is(boss, "GET", at, "", 200, apiService[strings.Index(apiService, `"algorithm"`):])
}

// TestAPIGovernance does what organizations do, once each: with roles, invitations, services,
// their keys and users; and what the rules of the services refuse.
func TestAPIGovernance(t *testing.T) {
	everyDatabase(t, func(t *testing.T, c *cluster) {
		w := apiStart(t, c)
		who, is := w.byName(), w.is
		owner, member, admin, boss, rival, stranger := who["platform owner"], who["member"], who["admin"], who["owner of the organization"], who["owner of another"], who["stranger"]
		read := func(got page, into any) { t.Helper(); must(t, json.Unmarshal([]byte(got.Body), into)) }
		const acme = "/organizations/acme"

		is(boss, "GET", "/capabilities", "", 200, `{"capability":"billing.manage","roles":["owner"]}`)
		is(boss, "POST", acme+"/roles", `{"slug":"support","name":"Support","capabilities":["end_users.view"]}`, 201, `"built_in":false`)
		is(boss, "POST", acme+"/roles", `{"slug":"support","capabilities":[]}`, 409, "role_taken")
		is(boss, "POST", acme+"/roles", `{"slug":"fly","capabilities":["fly"]}`, 400, "capability_invalid")
		is(admin, "POST", acme+"/roles", `{"slug":"rich","capabilities":["billing.manage"]}`, 403, "beyond_own_role")
		is(who["own role, org.roles.manage"], "PUT", acme+"/roles/support", `{"name":"Mine","capabilities":[]}`, 403, "beyond_own_role")
		is(boss, "PUT", acme+"/roles/support", `{"name":"Helpers","capabilities":["org.members.view"]}`, 200, "Helpers")
		is(boss, "PUT", acme+"/roles/owner", `{"name":"X","capabilities":[]}`, 409, "role_built_in")
		is(boss, "GET", acme+"/roles", "", 200, "Helpers")
		is(boss, "DELETE", acme+"/roles/walked", "", 204, "")
		is(boss, "DELETE", acme+"/roles/walked", "", 404, "role_not_found")
		is(boss, "DELETE", acme+"/roles/%00", "", 404, "not_found")

		invite := func(role string) (i api.InvitationMade, token string) {
			t.Helper()
			read(is(boss, "POST", acme+"/invitations", `{"role":"`+role+`"}`, 201, "/.gate/invitation?token="), &i)
			return i, `{"token":"` + i.Link[strings.Index(i.Link, "=")+1:] + `"}`
		}
		_, token := invite("support")
		is(boss, "POST", acme+"/invitations", `{"role":"member","email":"x@example.com"}`, 409, "mail_disabled")
		is(admin, "POST", acme+"/invitations", `{"role":"owner"}`, 403, "beyond_own_role")
		is(stranger, "POST", "/invitations/look", token, 200, `"role_name":"Helpers"`)
		is(who["token of the organization's owner, all scopes"], "POST", "/invitations/accept", token, 403, "session_required")
		is(stranger, "POST", "/invitations/accept", token, 200, `"organization":"acme"`)
		is(stranger, "POST", "/invitations/accept", token, 403, "invitation_invalid")
		is(stranger, "GET", acme+"/members?q=STR", "", 200, `"role":"support"`)
		is(boss, "DELETE", acme+"/roles/support", "", 409, "role_in_use")
		_, token = invite("member")
		is(rival, "POST", "/invitations/decline", token, 204, "")
		is(rival, "POST", "/invitations/decline", token, 403, "invitation_invalid")
		i, token := invite("member")
		is(boss, "GET", acme+"/invitations", "", 200, string(i.ID))
		is(rival, "DELETE", "/organizations/other/invitations/"+string(i.ID), "", 404, "invitation_not_found")
		is(boss, "DELETE", acme+"/invitations/"+string(i.ID), "", 204, "")
		is(stranger, "POST", "/invitations/look", token, 403, "invitation_invalid")

		is(boss, "POST", acme+"/transfer", `{"user_id":"`+rival.id+`"}`, 404, "member_not_found")
		is(boss, "POST", acme+"/transfer", `{"user_id":"`+admin.id+`"}`, 204, "")
		is(boss, "POST", acme+"/transfer", `{"user_id":"`+admin.id+`"}`, 403, "not_allowed")
		is(boss, "DELETE", acme, "", 403, "not_allowed")
		is(admin, "POST", acme+"/transfer", `{"user_id":"`+boss.id+`"}`, 204, "")
		is(stranger, "POST", acme+"/leave", "", 204, "")
		is(stranger, "GET", acme, "", 404, "organization_not_found")
		is(boss, "PUT", acme+"/members/"+admin.id, `{"role":"admin"}`, 200, "admin")
		is(boss, "DELETE", acme+"/members/"+who["own role, org.roles.manage"].id, "", 204, "")
		is(member, "GET", acme+"/limits", "", 200, `"used_services":1`)

		first := w.call(boss, "POST", acme+"/services", `{"type":"web","name":"Twice"}`, header{"Idempotency-Key", "s1"})
		again := w.call(boss, "POST", acme+"/services", `{"type":"web","name":"Twice"}`, header{"Idempotency-Key", "s1"})
		var s, shop api.ServiceMade
		read(first, &s)
		if first.StatusCode != 201 || !strings.HasPrefix(s.Secret, "gate_cs_") || again.Body != first.Body || again.Header.Get("Idempotency-Replayed") != "true" {
			t.Errorf("a service, twice: %s, %s\n%s\n%s", first.Status, again.Status, first.Body, again.Body)
		}
		if n := w.count(t, "SELECT count(*) FROM services WHERE name = 'Twice'"); n != 1 {
			t.Errorf("%d services", n)
		}
		is(boss, "DELETE", acme+"/services/"+string(s.ID), "", 204, "")
		if got := w.call(who["own role, services.manage"], "POST", acme+"/services", `{"type":"web","name":"Twice"}`, header{"Idempotency-Key", "s1"}); got.StatusCode != 403 {
			t.Errorf("the key of somebody else: %s", got.Status)
		}
		is(boss, "POST", acme+"/services", `{"type":"mobile","name":"App","redirect_uris":["http://example.com/"]}`, 400, "redirect_uri")
		read(is(boss, "POST", acme+"/services", `{"type":"mobile","name":"App","redirect_uris":["com.example.app:/back"]}`, 201, "com.example.app:/back"), &s)
		is(boss, "POST", acme+"/services/"+string(s.ID)+"/secret", `{}`, 409, "service_without_secret")
		is(boss, "GET", acme+"/services?q=SHO", "", 200, `"name":"Shop"`)
		at := acme + "/services/" + w.ids["service"]
		read(is(boss, "GET", at, "", 200, `"access":"everyone"`), &shop)
		is(boss, "PUT", at, "{"+apiService+"}", 200, "https://shop.example.com/back")
		is(boss, "PUT", at, `{"name":"Shop"}`, 400, "field_required")
		w.protocol(boss, acme, at)
		is(boss, "POST", at+"/secret", `{"overlap":604801}`, 400, "overlap_invalid")
		is(boss, "POST", at+"/secret", `{"overlap":60}`, 201, `"secret":"gate_cs_`)
		is(boss, "GET", at, "", 200, "old_secret_until")
		is(boss, "PUT", at+"/access/"+member.id, "", 204, "")
		is(boss, "PUT", at+"/access/"+rival.id, "", 404, "member_not_found")
		is(boss, "GET", at+"/access", "", 200, `"username":"member"`)
		is(boss, "DELETE", at+"/access/"+member.id, "", 204, "")
		is(boss, "DELETE", at+"/access/"+member.id, "", 404, "member_not_found")
		is(rival, "GET", "/organizations/other/services/"+w.ids["service"], "", 404, "service_not_found")

		var key api.ServiceKeyMade
		is(who["own role, services.manage"], "POST", at+"/keys", `{"name":"x","scopes":["users.read"]}`, 403, "beyond_own_role")
		is(boss, "POST", at+"/keys", `{"name":"x","scopes":["users.read"],"expires_at":"2020-01-01T00:00:00Z"}`, 400, "api_key_end_invalid")
		is(boss, "POST", at+"/keys", `{"name":"x","scopes":["users.read"],"expires_at":"tomorrow"}`, 400, "field_type")
		read(is(boss, "POST", at+"/keys", `{"name":"x","scopes":["users.read"],"expires_at":"2100-01-01T00:00:00Z"}`, 201, `"key":"gate_sk_`), &key)
		if got := is(boss, "GET", at+"/keys", "", 200, string(key.ID)); strings.Contains(got.Body, "gate_sk_") {
			t.Error("a key is shown again")
		}
		short := &caller{name: "key to be revoked", b: w.Client(t), key: key.Key}
		is(short, "GET", "/service/users", "", 200, `"username":"customer"`)
		is(boss, "DELETE", at+"/keys/"+string(key.ID), "", 204, "")
		is(short, "GET", "/service/users", "", 401, "api_key_invalid")

		users, customer := acme+"/end-users", w.ids["customer"]
		is(boss, "GET", users+"?q=CUST&service="+w.ids["service"], "", 200, `"username":"customer"`)
		is(boss, "GET", users+"?q=client", "", 200, `"items":[]`)
		is(boss, "GET", users+"/"+customer, "", 200, `"barred":false`)
		is(boss, "GET", users+"/"+w.ids["client"], "", 404, "end_user_not_found")
		is(boss, "GET", users+"/"+customer+"/sessions", "", 200, w.ids["session"])
		is(rival, "DELETE", "/organizations/other/end-users/"+customer+"/sessions/"+w.ids["session"], "", 404, "end_user_not_found")

		ours, few, foreign := who["API key of acme, all scopes"], who["API key of acme, users.read"], who["API key of other, all scopes"]
		is(ours, "GET", "/service", "", 200, shop.ClientID)
		is(few, "GET", "/service", "", 200, shop.ClientID)
		if got := is(ours, "GET", "/service/users?q=c", "", 200, `"username":"customer"`); strings.Contains(got.Body, "client") {
			t.Errorf("users of another: %s", got.Body)
		}
		is(ours, "GET", "/service/users/"+customer, "", 200, `"username":"customer"`)
		is(ours, "GET", "/service/users/"+w.ids["client"], "", 404, "end_user_not_found")
		is(few, "GET", "/service/users/"+customer+"/sessions", "", 403, "insufficient_scope")
		is(ours, "GET", "/service/users/"+customer+"/sessions", "", 200, w.ids["session"])
		for _, path := range []string{"", "/sessions", "/sessions/" + w.ids["session"], "/barred"} {
			method := map[bool]string{true: "GET", false: "DELETE"}[path == ""]
			is(foreign, method, "/service/users/"+customer+path, "", 404, "not_")
		}
		is(ours, "DELETE", "/service/users/"+customer+"/sessions/"+w.ids["session"], "", 204, "")
		is(ours, "DELETE", "/service/users/"+customer+"/sessions/"+w.ids["session"], "", 404, "session_not_found")
		is(ours, "DELETE", "/service/users/"+customer+"/sessions", "", 200, `"revoked":0`)
		is(ours, "PUT", "/service/users/"+customer+"/barred", `{"reason":"fraud"}`, 204, "")
		is(boss, "GET", acme+"/barred", "", 200, "fraud")
		is(ours, "DELETE", "/service/users/"+customer+"/barred", "", 204, "")
		is(&caller{name: "no key", b: w.Client(t), key: "gate_sk_nonsense"}, "GET", "/service", "", 401, "api_key_invalid")
		is(ours, "GET", acme, "", 401, "login_required")
		is(boss, "PUT", at, strings.Replace("{"+apiService+"}", "active", "disabled", 1), 200, "disabled")
		is(ours, "GET", "/service", "", 403, "service_disabled")
		is(boss, "PUT", at, "{"+apiService+"}", 200, "active")
		is(ours, "GET", "/service", "", 200, "active")

		_, err := w.writable().Exec("INSERT INTO service_sessions (id, organization_id, service_id, user_id, root_id, offline, address, agent, created_at, expires_at) SELECT '" + w.ids["session"] + "', organization_id, id, '" + customer + "', '', 1, '', '', 1, 9000000000000000 FROM services WHERE id = '" + w.ids["service"] + "'")
		must(t, err)
		is(boss, "DELETE", users+"/"+customer+"/sessions/"+w.ids["session"], "", 204, "")
		is(boss, "DELETE", users+"/"+customer+"/sessions", "", 200, `"revoked":0`)
		is(boss, "PUT", users+"/"+customer+"/barred", `{"reason":"spam"}`, 204, "")
		is(boss, "PUT", users+"/"+w.ids["client"]+"/barred", `{}`, 404, "end_user_not_found")
		is(boss, "DELETE", users+"/"+customer+"/barred", "", 204, "")
		is(boss, "DELETE", users+"/"+customer+"/barred", "", 404, "not_barred")

		if got := is(boss, "PUT", acme+"/providers/google", `{"client_id":"other","secret":"hush"}`, 200, `"client_id":"other"`); strings.Contains(got.Body, "hush") {
			t.Error("a secret is shown again")
		}
		is(boss, "PUT", acme+"/providers/google", `{"client_id":"other","secret":""}`, 400, "provider_client_invalid")
		is(boss, "GET", acme+"/providers", "", 200, "google")
		is(boss, "DELETE", acme+"/providers/google", "", 204, "")
		is(boss, "DELETE", acme+"/providers/google", "", 404, "provider_not_found")

		hooks := acme + "/webhooks"
		var hook struct{ ID string }
		read(is(boss, "POST", hooks, `{"url":"https://hooks.example.com/y","events":["member.*"]}`, 201, `"secret":"whsec_`), &hook)
		is(boss, "POST", hooks, `{"url":"http://127.0.0.1/","events":["*"]}`, 400, "webhook_url_invalid")
		is(boss, "POST", hooks, `{"url":"https://hooks.example.com/y","events":["nothing"]}`, 400, "event_type_unknown")
		is(boss, "PATCH", hooks+"/"+hook.ID, `{"events":["member.set"],"name":"Ours"}`, 200, `"events":["member.set"]`)
		is(boss, "PATCH", hooks+"/"+hook.ID, `{}`, 400, "nothing_to_change")
		w.webhookWorks(boss, hooks, hook.ID)

		if got := is(boss, "GET", acme+"/audit?action=provider.delete&limit=1", "", 200, `"details":"google"`); strings.Contains(got.Body, "127.0.0.1") {
			t.Errorf("an address is told: %s", got.Body)
		}
		is(boss, "GET", acme+"/audit?actor="+rival.id, "", 200, `"action":"invitation.decline"`)
		is(boss, "GET", acme+"/audit?actor="+customer, "", 200, `"items":[]`)
		is(boss, "GET", acme+"/audit?target=user:"+customer, "", 200, `"items":[]`)
		is(rival, "GET", "/organizations/other/audit?action=provider.delete", "", 200, `"items":[]`)
		is(rival, "GET", "/organizations/other/audit?organization="+rival.id, "", 400, "parameter_unknown")
		is(boss, "PATCH", acme, `{}`, 400, "nothing_to_change")
		is(owner, "PATCH", acme, `{"name":"Acme","factor_required":true}`, 200, `"factor_required":true`)
		is(boss, "GET", acme, "", 401, "insufficient_user_authentication")
		is(owner, "PATCH", acme, `{"factor_required":false}`, 200, `"factor_required":false`)
		is(boss, "GET", acme, "", 200, "Acme")
		is(boss, "GET", "/organizations", "", 200, "acme")
		is(owner, "POST", "/platform/organizations/acme/suspend", `{"reason":"why"}`, 200, "suspended")
		is(ours, "GET", "/service", "", 403, "service_disabled")
		is(boss, "DELETE", acme, "", 409, "organization_state")
		is(rival, "DELETE", "/organizations/other", "", 204, "")
		is(foreign, "GET", "/service", "", 401, "api_key_invalid")
		w.allWorked(api.Organization, api.Everybody, api.Service)
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
			path := w.path(rt, "acme", w.ids["member"])
			for _, from := range foreign {
				for _, kind := range []string{"application/json", "text/plain", "application/x-www-form-urlencoded"} {
					got := boss.b.do(rt.Method, w.at+path, w.bodies[rt.ID], append([]header{{"Content-Type", kind}}, from...)...)
					if n++; got.StatusCode != 403 || !strings.Contains(got.Body, "cross_site") {
						t.Errorf("%s %s from %v: %s\n%s", rt.Method, path, from, got.Status, got.Body)
					}
				}
			}
			if rt.Realm != api.Platform && rt.Realm != api.Service && rt.Method != http.MethodDelete {
				got := boss.b.do(rt.Method, w.at+path, w.bodies[rt.ID], header{"Content-Type", "text/plain"}, header{"Sec-Fetch-Site", "same-origin"})
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

// webhookWorks does all that can be done with a webhook, and deletes it.
func (w *apiWorld) webhookWorks(who *caller, hooks, id string) {
	w.t.Helper()
	var sent struct{ ID string }
	w.is(who, "GET", hooks, "", 200, id)
	w.is(who, "GET", hooks+"/"+id, "", 200, `"status":"active"`)
	w.is(who, "POST", hooks+"/"+id+"/secret", "", 201, `"secret":"whsec_`)
	must(w.t, json.Unmarshal([]byte(w.is(who, "POST", hooks+"/"+id+"/test", "", 201, `"id"`).Body), &sent))
	w.is(who, "GET", hooks+"/"+id+"/deliveries?limit=1", "", 200, sent.ID)
	w.is(who, "POST", hooks+"/"+id+"/deliveries/"+string(authcore.NewSessionID())+"/resend", "", 404, "delivery_not_found")
	eventually(w.t, "a test that has failed", func() bool {
		return w.does(who, "GET", hooks+"/"+id+"/deliveries", "").Body != "" && !strings.Contains(w.does(who, "GET", hooks+"/"+id+"/deliveries", "").Body, `"tries":0`)
	})
	w.is(who, "POST", hooks+"/"+id+"/deliveries/"+sent.ID+"/resend", "", 204, "")
	w.is(who, "PATCH", hooks+"/"+id, `{"on":false}`, 200, `"status":"off"`)
	w.is(who, "DELETE", hooks+"/"+id, "", 204, "")
	w.is(who, "GET", hooks+"/"+id, "", 404, "webhook_not_found")
}
