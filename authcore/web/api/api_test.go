package api_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/access"
	"github.com/gatehouse-auth/gatehouse/authcore/web/api"
	"github.com/gatehouse-auth/gatehouse/store"
)

// office is a server of the API on a database of its own.
type office struct {
	*testing.T
	*api.Server
	db    *store.DB
	now   time.Time
	actor authcore.Actor // who asks
}

func newOffice(t *testing.T) *office {
	t.Helper()
	db, err := store.Open(t.Context(), store.Config{Driver: store.SQLite, Path: filepath.Join(t.TempDir(), "gate.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	o := &office{T: t, db: db, now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	clock := func() time.Time { return o.now }
	key := authcore.NewSecretKey()
	o.Server = &api.Server{Answers: key.NewSealer("api answers", clock), Cursors: key.NewSealer("api cursors", clock), Accounts: &authcore.Accounts{Store: db, Now: clock,
		Sessions: authcore.NewSessions(db, clock, func(*authcore.User) any { return nil }), Lifetime: authcore.Lifetime{Idle: time.Hour, Max: 24 * time.Hour}}}
	return o
}

// user adds a user, acting.
func (o *office) user(name string, owner bool) authcore.Actor {
	o.Helper()
	u := authcore.User{ID: authcore.NewUserID(), Username: name, Email: name + "@example.com", Name: name, Status: authcore.Active, Owner: owner, CreatedAt: o.now, UpdatedAt: o.now}
	if err := o.db.CreateUser(o.Context(), u, "hash", nil, authcore.NewEvent(o.now, authcore.CommandLine(), authcore.UserCreate, authcore.TargetUser(u.ID), authcore.Success, "")); err != nil {
		o.Fatal(err)
	}
	return authcore.Actor{Kind: authcore.ActorUser, User: u.ID, Session: authcore.NewSessionID()}
}

// ask sends a request as the actor: "GET /me", a body or none, and headers in pairs.
func (o *office) ask(request, body string, headers ...string) (api.Answer, error) {
	method, target, _ := strings.Cut(request, " ")
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header[headers[i]] = []string{headers[i+1]}
	}
	return o.Serve(r, r.URL.Path, "https://auth.example.org", func(*api.Route) (authcore.Actor, error) { return o.actor, nil })
}

// code is that of an error, with the field at fault.
func code(err error) string {
	var refusal *api.Refusal
	var e *authcore.Error
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &refusal):
		return refusal.Code
	case errors.As(err, &e) && e.Field != "":
		return e.Code + " " + e.Field
	case errors.As(err, &e):
		return e.Code
	}
	return err.Error()
}

func TestBadInput(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.actor = o.user("owner", true)
	for i := range 3 {
		o.user(fmt.Sprint("user", i), false)
	}
	got, err := o.ask("GET /platform/users?limit=1", "")
	var page struct{ Next string }
	if json.Unmarshal(got.Body, &page); err != nil || page.Next == "" {
		t.Fatalf("%s, %v", got.Body, err)
	}
	const some = "0190a000-0000-7000-8000-000000000001"
	for _, test := range []struct{ request, body, want string }{
		{"GET /platform/users?limit=1&after=" + page.Next, "", "ok"},
		{"GET /platform/users?after=", "", "ok"},
		{"GET /platform/users?after=" + page.Next[1:], "", "cursor_invalid after"},
		{"GET /platform/users?after=user1", "", "cursor_invalid after"},
		{"GET /platform/sessions?after=" + page.Next, "", "cursor_invalid after"},
		{"GET /platform/users?limit=0", "", "limit_invalid limit"},
		{"GET /platform/users?limit=201", "", "limit_invalid limit"},
		{"GET /platform/users?limit=200", "", "ok"},
		{"GET /platform/users?limit=ten", "", "limit_invalid limit"},
		{"GET /platform/users?limit=", "", "limit_invalid limit"},
		{"GET /platform/users?limit=1&limit=2", "", "parameter_invalid limit"},
		{"GET /platform/users?colour=red", "", "parameter_unknown colour"},
		{"GET /me?limit=1", "", "parameter_unknown limit"},
		{"GET /platform/users?status=idle", "", "parameter_invalid status"},
		{"GET /platform/users?sort=newest", "", "ok"},
		{"GET /platform/users?sort=name&after=" + page.Next, "", "ok"},
		{"GET /platform/users?sort=newest&after=" + page.Next, "", "cursor_invalid after"},
		{"GET /platform/users?sort=", "", "parameter_invalid sort"},
		{"GET /platform/users?sort=nonsense", "", "parameter_invalid sort"},
		{"GET /platform/users?sort=status", "", "parameter_invalid sort"},
		{"GET /me/sessions?sort=newest", "", "parameter_unknown sort"},
		{"GET /platform/users?q=%00", "", "parameter_invalid q"},
		{"GET /platform/users?q=%ff", "", "parameter_invalid q"},
		{"GET /platform/users?q=" + strings.Repeat("x", 255), "", "parameter_invalid q"},
		{"GET /platform/users?q=%25", "", "ok"},
		{"GET /platform/users?q=%zz", "", "parameter_invalid"},
		{"GET /platform/sessions?user=bob", "", "parameter_invalid user"},
		{"GET /platform/audit?since=yesterday", "", "parameter_invalid since"},
		{"GET /platform/audit?since=2026-01-01T00:00:00Z&until=9999-12-31T00:00:00Z", "", "ok"},
		{"GET /platform/audit?until=0001-01-01T00:00:00Z", "", "ok"},
		{"GET /platform/audit?outcome=success&action=%27--", "", "ok"},
		{"GET /nothing", "", "not_found"},
		{"GET /", "", "not_found"},
		{"GET /platform/users/", "", "not_found"},
		{"GET /platform/users/bob", "", "not_found"},
		{"GET /platform/users/" + some, "", "user_not_found"},
		{"GET /organizations/Nothing", "", "organization_not_found"},
		{"GET /organizations/nothing", "", "organization_not_found"},
		{"POST /me", "", "method_not_allowed"},
		{"POST /openapi.json", "", "method_not_allowed"},
		{"BREW /me", "", "method_not_allowed"},
		{"POST /organizations", "", "bad_body"},
		{"POST /organizations", "[]", "bad_body"},
		{"POST /organizations", "null", "bad_body"},
		{"POST /organizations", `{"slug":"a1"`, "bad_body"},
		{"POST /organizations", `{"slug":"a1"} {}`, "bad_body"},
		{"POST /organizations", `{}`, "field_required slug"},
		{"POST /organizations", `{"slug":7}`, "field_type slug"},
		{"POST /organizations", `{"slug":null}`, "field_type slug"},
		{"POST /organizations", `{"slug":"a1","slug":"b1"}`, "field_twice slug"},
		{"POST /organizations", `{"slug":"a1","Name":"x"}`, "field_unknown Name"},
		{"POST /organizations", `{"slug":"a1","status":"active"}`, "field_unknown status"},
		{"POST /organizations", `{"slug":"A"}`, "slug_invalid slug"},
		{"POST /organizations", `{"slug":"a1","name":"\u0007"}`, "name_invalid name"},
		{"POST /organizations", `{"slug":"` + strings.Repeat("x", api.MaxBody) + `"}`, "body_too_large"},
		{"PUT /platform/users/" + some + "/owner", `{"owner":"yes"}`, "field_type owner"},
		{"PUT /platform/users/" + some + "/owner", `{"owner":true}`, "user_not_found"},
		{"POST /platform/users/" + some + "/disable", `{"x":1}`, "field_unknown x"},
		{"POST /platform/users/" + some + "/disable", `{}`, "user_not_found"},
		{"DELETE /platform/sessions/" + some, "", "session_not_found"},
		{"DELETE /me/sessions/" + some, "", "session_not_found"},
		{"PATCH /organizations/nothing", `{`, "organization_not_found"},
	} {
		if _, err := o.ask(test.request, test.body); code(err) != test.want {
			t.Errorf("%.80s %.60s: %s, want %s", test.request, test.body, code(err), test.want)
		}
	}
	if _, err := o.ask("POST /organizations", `{"slug":"a1"}`, "Content-Type", "text/plain"); code(err) != "content_type" {
		t.Error(err)
	}
	if _, err := o.ask("POST /platform/users/"+some+"/disable", "", "Content-Type", ""); code(err) != "content_type" {
		t.Error("with a session, a change without a body need not be JSON:", err)
	}
	_, err = o.ask("DELETE /me", "")
	if refusal := new(api.Refusal); !errors.As(err, &refusal) || refusal.Allow != "GET, HEAD" {
		t.Errorf("allowed: %+v", err)
	}
}

// Every list gives all rows once, whatever the size of a page, and in each of its orders.
func TestPaging(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.actor = o.user("owner", true)
	o.Accounts.OrganizationsOpen = true
	for i := range 23 {
		by := o.user(fmt.Sprintf("user%02d", i), false)
		s := authcore.Session{ID: authcore.NewSessionID(), UserID: o.actor.User, Host: "h", AMR: []string{"pwd"}, AuthTime: o.now, CreatedAt: o.now, LastSeen: o.now, ExpiresAt: o.now.Add(time.Hour)}
		s.Root = s.ID
		_, token := authcore.NewToken()
		if err := o.db.CreateSession(t.Context(), s, token, "hash", authcore.NewEvent(o.now, by, authcore.UserLogin, "", authcore.Success, "")); err != nil {
			t.Fatal(err)
		}
		if _, err := o.ask("POST /organizations", fmt.Sprintf(`{"slug":"org-%02d"}`, i)); err != nil {
			t.Fatal(err)
		}
		if err := o.Accounts.SetMember(t.Context(), authcore.CommandLine(), "org-00", by.User, authcore.RoleMember); err != nil && i < 2 {
			t.Fatal(err)
		}
	}
	shop := o.furnish("org-00", 23)
	for path, want := range map[string]int{"/platform/users": 24, "/platform/users?q=USER": 23, "/platform/users?owner=true": 1, "/platform/sessions": 23, "/me/sessions": 23,
		"/platform/organizations": 23, "/platform/organizations?q=org-1": 10, "/organizations": 23, "/organizations/org-00/members": 3, "/organizations/org-00/members?q=USER": 2,
		"/organizations/org-00/services": 24, "/organizations/org-00/services?q=SAME": 23, shop + "/keys": 23, shop + "/access": 3, "/organizations/org-00/invitations": 23,
		"/organizations/org-00/end-users": 23, "/organizations/org-00/end-users?q=user1": 10, "/organizations/org-00/barred": 5, "/platform/audit?action=user.login": 23, "/platform/audit?action=user.login&outcome=failure": 0} {
		name, _, query := strings.Cut(path, "?")
		sep := "?"
		if query {
			sep = "&"
		}
		rt, _, _ := api.Find("GET", name)
		orders, lists := append(authcore.Orders{""}, rt.Orders...), make(map[authcore.Order][]string)
		for _, order := range orders {
			limits := []int{1, 2, 7, 23, 24, 200}
			sort := ""
			if order != "" {
				limits, sort = []int{7}, "&sort="+string(order)
			}
			for _, limit := range limits {
				var all []string
				after := ""
				for pages := 0; ; pages++ {
					got, err := o.ask(fmt.Sprintf("GET %s%slimit=%d&after=%s%s", path, sep, limit, after, sort), "")
					var page struct {
						Items []map[string]any
						Next  *string
					}
					if err := errors.Join(err, json.Unmarshal(got.Body, &page)); err != nil || pages > 50 {
						t.Fatalf("%s%s: %v", path, sort, err)
					}
					if page.Items == nil || len(page.Items) > limit {
						t.Errorf("%s%s by %d: %s", path, sort, limit, got.Body)
					}
					for _, item := range page.Items {
						id := fmt.Sprint(item["id"], item["user_id"])
						if slices.Contains(all, id) {
							t.Errorf("%s%s by %d: %s twice", path, sort, limit, id)
						}
						all = append(all, id)
					}
					if page.Next == nil {
						break
					}
					after = *page.Next
				}
				if len(all) != want {
					t.Errorf("%s%s by %d: %d rows, want %d", path, sort, limit, len(all), want)
				}
				lists[order] = all
			}
		}
		for down, up := range map[authcore.Order]authcore.Order{authcore.ByNameDown: authcore.ByName, authcore.Newest: authcore.Oldest, authcore.ByStatusDown: authcore.ByStatus} {
			if slices.Reverse(lists[down]); !slices.Equal(lists[down], lists[up]) {
				t.Errorf("%s: %s is not %s from behind", path, down, up)
			}
		}
	}
}

// furnish gives an organization a service with n keys, n more services, n invitations and
// its user00 … as end users, five of them barred; and access to its members. It gives the
// path of the service.
func (o *office) furnish(slug string, n int) string {
	o.Helper()
	by, none := authcore.CommandLine(), 0
	must := func(err error) {
		o.Helper()
		if err != nil {
			o.Fatal(err)
		}
	}
	must(o.Accounts.SetOverrides(o.Context(), by, slug, authcore.Overrides{Services: &none, Members: &none}))
	_, shop, err := o.Accounts.CreateService(o.Context(), by, slug, authcore.ServiceAPI, authcore.ServiceSettings{Name: "Shop", Access: authcore.ReachEveryone})
	must(err)
	for i := range n {
		_, _, err := o.Accounts.CreateService(o.Context(), by, slug, authcore.ServiceAPI, authcore.ServiceSettings{Name: "Same"})
		must(err)
		_, _, err = o.Accounts.CreateServiceKey(o.Context(), by, slug, shop.ID, authcore.NewServiceKey{Name: "Same", Scopes: authcore.ServiceScopes})
		must(err)
		_, _, err = o.Accounts.InviteMember(o.Context(), by, slug, authcore.NewInvitation{Role: authcore.RoleMember})
		must(err)
		u, err := o.Accounts.FindUser(o.Context(), fmt.Sprintf("user%02d", i))
		must(err)
		must(o.Accounts.NoteEndUser(o.Context(), shop, u.ID))
		if i > 17 {
			must(o.Accounts.BarEndUser(o.Context(), by, slug, u.ID, ""))
		}
	}
	members, err := o.Accounts.Members(o.Context(), by, slug, authcore.MemberQuery{Limit: 200})
	must(err)
	for _, m := range members {
		must(o.Accounts.GrantService(o.Context(), by, slug, shop.ID, m.User))
	}
	return "/organizations/" + slug + "/services/" + string(shop.ID)
}

func TestIdempotency(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	owner, other := o.user("owner", true), o.user("second", true)
	o.actor = owner
	create := func(slug, key string) (api.Answer, error) {
		return o.ask("POST /organizations", `{"slug":"`+slug+`"}`, "Idempotency-Key", key)
	}
	first, err := create("acme", "k1")
	if err != nil || first.Status != http.StatusCreated || first.Replayed {
		t.Fatalf("%+v, %v", first, err)
	}
	again, err := create("acme", "k1")
	if err != nil || !again.Replayed || string(again.Body) != string(first.Body) || again.Status != http.StatusCreated {
		t.Errorf("again: %+v, %v", again, err)
	}
	is := func(what string, err error, want string) {
		t.Helper()
		if code(err) != want {
			t.Errorf("%s: %v, want %s", what, err, want)
		}
	}
	_, err = create("beta", "k1")
	is("another body", err, "idempotency_key_reused")
	_, err = create("acme", "k2")
	is("another key", err, "slug_taken slug")
	for _, bad := range []string{"", "é", strings.Repeat("x", 129), "a\x01"} {
		_, err = create("bad", bad)
		is("a key that is none", err, "idempotency_key_invalid")
	}
	_, err = create("gamma", "k2")
	is("a key whose request made nothing", err, "ok")
	o.actor = other
	_, err = create("acme", "k1")
	is("of somebody else", err, "slug_taken slug")
	o.actor = authcore.Actor{Kind: authcore.ActorToken, User: owner.User, Session: authcore.NewSessionID()}
	_, err = create("acme", "k1")
	is("of a token of the same user", err, "slug_taken slug")
	o.actor = owner
	o.now = o.now.Add(authcore.ClaimLife)
	_, err = create("acme", "k1")
	is("a day later", err, "slug_taken slug")

	var wg sync.WaitGroup
	var mu sync.Mutex
	codes := map[string]int{}
	for range 16 {
		wg.Go(func() {
			got, err := create("delta", "k3")
			mu.Lock()
			defer mu.Unlock()
			if what := code(err); what != "ok" {
				codes[what]++
			} else if got.Replayed {
				codes["replayed"]++
			} else {
				codes["created"]++
			}
		})
	}
	wg.Wait()
	t.Logf("sixteen at once: %v", codes)
	if codes["created"] != 1 || codes["created"]+codes["replayed"]+codes["idempotency_in_progress"] != 16 {
		t.Errorf("%v", codes)
	}
}

// The document is of the routes, each of which is found where it says.
func TestDocument(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	got, err := o.ask("GET /openapi.json", "")
	if err != nil {
		t.Fatal(err)
	}
	type operation struct {
		OperationID string `json:"operationId"`
		Scope       string `json:"x-scope"`
		Capability  string `json:"x-capability"`
		Parameters  []struct{ Name, In string }
		RequestBody any
		Responses   map[string]struct {
			Content map[string]struct{ Schema any }
		}
	}
	var doc struct {
		OpenAPI    string
		Paths      map[string]map[string]operation
		Components struct{ Schemas map[string]any }
	}
	if err := json.Unmarshal(got.Body, &doc); err != nil || doc.OpenAPI != "3.1.0" {
		t.Fatal(doc.OpenAPI, err)
	}
	for _, ref := range strings.Split(string(got.Body), `"$ref":"#/components/schemas/`)[1:] {
		name, _, _ := strings.Cut(ref, `"`)
		if doc.Components.Schemas[name] == nil {
			t.Errorf("no schema %s", name)
		}
	}
	ids, operations := map[string]bool{}, 0
	for _, path := range doc.Paths {
		operations += len(path)
	}
	for i := range api.Routes {
		rt := &api.Routes[i]
		op, ok := doc.Paths[rt.Path][strings.ToLower(rt.Method)]
		if !ok || op.OperationID != rt.ID || ids[rt.ID] || rt.Summary == "" {
			t.Errorf("%s %s is not in the document as it is", rt.Method, rt.Path)
		}
		ids[rt.ID] = true
		if !access.ValidScope(rt.NeedsScope()) && rt.Realm != api.Service || op.Scope != rt.NeedsScope() {
			t.Errorf("%s: scope %q", rt.ID, rt.NeedsScope())
		}
		if rt.Need != "" && !slices.Contains(authcore.Capabilities, rt.Need) {
			t.Errorf("%s: capability %q", rt.ID, rt.Need)
		}
		if slices.Contains(op.Parameters, struct{ Name, In string }{"sort", "query"}) != (rt.Orders != nil) {
			t.Errorf("%s: the orders are not in the document", rt.ID)
		}
		if inOrganization := strings.HasPrefix(rt.Path, "/organizations/{slug}"); inOrganization != (rt.Realm == api.Organization) || strings.HasPrefix(rt.Path, "/platform/") != (rt.Realm == api.Platform) ||
			strings.HasPrefix(rt.Path, "/me") != (rt.Realm == api.Account) || strings.HasPrefix(rt.Path+"/", "/service/") != (rt.Realm == api.Service) {
			t.Errorf("%s: its path is of another realm", rt.ID)
		}
		path := rt.Path
		for place := range strings.SplitSeq(rt.Path, "/") {
			if strings.HasPrefix(place, "{") {
				path = strings.Replace(path, place, "some", 1)
				if !slices.Contains(op.Parameters, struct{ Name, In string }{strings.Trim(place, "{}"), "path"}) {
					t.Errorf("%s: %s is no parameter", rt.ID, place)
				}
			}
		}
		if found, _, _ := api.Find(rt.Method, path); found != rt {
			t.Errorf("%s %s is another route", rt.Method, path)
		}
		want := "200"
		if rt.Creates {
			want = "201"
		}
		if _, empty := op.Responses["204"]; empty {
			want = "204"
		}
		if answer, ok := op.Responses[want]; !ok || (answer.Content == nil) != (want == "204") {
			t.Errorf("%s: answers %v", rt.ID, op.Responses)
		}
	}
	if operations != len(api.Routes) {
		t.Errorf("%d operations, %d routes", operations, len(api.Routes))
	}
	t.Logf("%d routes, %d schemas", operations, len(doc.Components.Schemas))
}

// Who may register an organization; and who comes after a user who was deleted, under the
// same name, inherits nothing (T2).
func TestRegister(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	owner, alice := o.user("owner", true), o.user("alice", false)
	plain := owner
	plain.Ordinary = true
	is := func(what string, by authcore.Actor, slug, want, says string) {
		t.Helper()
		o.actor = by
		got, err := o.ask("POST /organizations", `{"slug":"`+slug+`"}`, "Idempotency-Key", "k-"+slug)
		if code(err) != want || !strings.Contains(string(got.Body), says) || got.Replayed {
			t.Errorf("%s: %s %v, want %s %s", what, got.Body, err, want, says)
		}
	}
	is("where it is off", alice, "mine", "organization_register_disabled", "")
	is("an owner without a second factor", plain, "mine", "organization_register_disabled", "")
	is("an owner", owner, "theirs", "ok", `"status":"active"`)
	o.Accounts.OrganizationsOpen = true
	is("where it is on", alice, "mine", "ok", `"status":"pending"`)
	if err := o.Accounts.RemoveMember(t.Context(), authcore.CommandLine(), "mine", alice.User); code(err) != "last_organization_owner" {
		t.Error(err)
	}
	if err := o.Accounts.SetMember(t.Context(), authcore.CommandLine(), "mine", owner.User, authcore.RoleOwner); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Accounts.DeleteUser(t.Context(), owner, alice.User, 0); err != nil {
		t.Fatal(err)
	}
	again := o.user("alice", false)
	is("the same name, the same key", again, "mine", "slug_taken slug", "")
	o.actor = again
	if got, err := o.ask("GET /organizations", ""); err != nil || string(got.Body) != `{"items":[],"next":null}` {
		t.Errorf("inherited: %s, %v", got.Body, err)
	}
	if _, err := o.ask("GET /organizations/mine", ""); code(err) != "organization_not_found" {
		t.Error(err)
	}
	if err := o.Accounts.DeleteOrganization(t.Context(), again, "mine"); code(err) != "organization_not_found" {
		t.Error(err)
	}
	// What is not asked through the API, the services refuse all the same.
	for what, err := range map[string]error{
		"disable": o.Accounts.SetStatus(t.Context(), again, owner.User, authcore.Disabled), "owner": o.Accounts.SetOwner(t.Context(), again, again.User, true),
		"tier": o.Accounts.SetOrganizationTier(t.Context(), again, "x", "pro"), "step": o.Accounts.StepOrganization(t.Context(), again, "x", "approve", ""),
		"factor":  o.Accounts.RemoveFactors(t.Context(), again, owner.User),
		"require": o.Accounts.SetFactorRequired(t.Context(), again, owner.User, true), "groups": o.Accounts.ChangeGroups(t.Context(), again, again.User, []string{"ops"}, nil),
		"email": o.Accounts.SetEmail(t.Context(), again, again.User, "x@example.com"), "plain owner": o.Accounts.SetStatus(t.Context(), plain, again.User, authcore.Disabled),
		"nobody": o.Accounts.SetStatus(t.Context(), authcore.Anonymous(authcore.Client{}), again.User, authcore.Disabled),
	} {
		if code(err) != "not_owner" {
			t.Errorf("%s: %v", what, err)
		}
	}
}
