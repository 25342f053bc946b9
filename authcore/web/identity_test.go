package web

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/access"
)

// managedModel is Managed.has said simply, for the names that are always managed.
func managedModel(name string) bool {
	if strings.ContainsFunc(name, func(r rune) bool { return r >= 0x80 }) {
		return false
	}
	folded := strings.Map(func(r rune) rune {
		switch {
		case 'A' <= r && r <= 'Z':
			return r + 'a' - 'A'
		case 'a' <= r && r <= 'z' || '0' <= r && r <= '9':
			return r
		}
		return '-'
	}, name)
	_, found := managed[folded]
	return found
}

// spellings of a header name that servers are known to fold together.
func spellings(name string) []string {
	return []string{name, strings.ToUpper(name), http.CanonicalHeaderKey(name), strings.ReplaceAll(name, "-", "_"),
		strings.ReplaceAll(name, "-", "."), strings.ToUpper(strings.ReplaceAll(name, "-", "_")), strings.Replace(name, "-", "_", 1)}
}

func TestIsManaged(t *testing.T) {
	t.Parallel()
	for name := range managed {
		for _, spelling := range spellings(name) {
			if !Managed(nil).has(spelling) {
				t.Errorf("%s is not managed", spelling)
			}
		}
		for _, other := range []string{name + "-", "-" + name, name[1:], name[:len(name)-1], name + "s-", " " + name, name + "\x00"} {
			if Managed(nil).has(other) != managedModel(other) {
				t.Errorf("%q: %v", other, Managed(nil).has(other))
			}
		}
		if len(name) > maxManaged {
			t.Errorf("%s is longer than maxManaged", name)
		}
	}
	for _, p := range Presets {
		for _, h := range append(slices.Clone(p.Headers), p.ToProxy().Headers...) {
			if !Managed(nil).has(h.Name) || http.CanonicalHeaderKey(h.Name) != h.Name {
				t.Errorf("%s of preset %s is not managed, or not canonical", h.Name, p.Name)
			}
		}
		if len(p.Headers) > maxHeaders || len(p.ToProxy().Headers) > maxHeaders {
			t.Errorf("preset %s has too many headers", p.Name)
		}
	}
	for _, name := range []string{"", "X", "Cookie", "Authorization", "X-Forwarded-For", "X-Forwarded-Proto", "Remote-Addr", "X-Remote-Ip", "Remote-Users", "Gate", "User"} {
		if Managed(nil).has(name) {
			t.Errorf("%s is managed", name)
		}
	}
}

func FuzzIsManaged(f *testing.F) {
	for name := range managed {
		f.Add(name)
		f.Add(strings.ToUpper(strings.ReplaceAll(name, "-", "_")))
	}
	f.Add("remote user")
	f.Fuzz(func(t *testing.T, name string) {
		if got, want := Managed(nil).has(name), managedModel(name); got != want {
			t.Errorf("%q: %v, want %v", name, got, want)
		}
	})
}

func TestStrip(t *testing.T) {
	t.Parallel()
	header := http.Header{"Accept": {"*/*"}, "X-Forwarded-For": {"192.0.2.1"}, "X-User": {"kept: an app's own"}}
	r := &http.Request{Header: header.Clone(), Trailer: http.Header{"Checksum": {"1"}}}
	r.Header.Set("Trailer", "Checksum")
	r.Header.Set("Upgrade", "websocket, H2C")
	r.Header.Set("Http2-Settings", "AAMAAABkAAQ")
	for name := range managed {
		for _, spelling := range spellings(name) {
			r.Header[spelling] = []string{"evil"}
			r.Trailer[spelling] = []string{"evil"}
		}
	}
	Managed(nil).Strip(r)
	if diff := cmp.Diff(header, r.Header); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
	if r.Trailer != nil {
		t.Errorf("trailer: %v", r.Trailer)
	}
}

func TestStripConnection(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name        string
		lines, want []string
	}{
		{"none", nil, nil},
		{"ordinary", []string{"keep-alive, Upgrade"}, []string{"keep-alive, Upgrade"}},
		{"as it is when nothing of ours is in it", []string{"a,b ,c", "d"}, []string{"a,b ,c", "d"}},
		{"alone", []string{"Remote-User"}, nil},
		{"among others", []string{"close, REMOTE_USER, upgrade"}, []string{"close, upgrade"}},
		{"on lines", []string{"close", "remote.groups", "x-forwarded-user\t,upgrade"}, []string{"close, upgrade"}},
		{"empty tokens", []string{",,remote-email,,"}, nil},
	}
	for _, test := range tests {
		r := &http.Request{Header: http.Header{}}
		want := http.Header{}
		if test.lines != nil {
			r.Header["Connection"] = test.lines
		}
		if test.want != nil {
			want["Connection"] = test.want
		}
		Managed(nil).Strip(r)
		if diff := cmp.Diff(want, r.Header); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

func TestTell(t *testing.T) {
	t.Parallel()
	known := Prepare(&authcore.User{ID: "1", Username: "Alice", Name: "Alice Example", Email: "alice@example.com", EmailVerified: true,
		Groups: []string{"ops", "staff"}, Owner: true}).(*Known)
	if diff := cmp.Diff(access.Identity{Username: "alice", Groups: []string{"ops", "staff"}, EmailDomain: "example.com", Owner: true}, known.Identity); diff != "" {
		t.Errorf("identity (-want +got):\n%s", diff)
	}
	var store Values
	h := http.Header{"Accept": {"*/*"}}
	known.Tell(h, RemotePreset, known.In(""), &store, PerRequest{})
	want := http.Header{"Accept": {"*/*"}, "Remote-User": {"Alice"}, "Remote-Groups": {"ops,staff"}, "Remote-Name": {"Alice Example"}, "Remote-Email": {"alice@example.com"}}
	if diff := cmp.Diff(want, h); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	// Whoever adds to one of the headers downstream does not reach the others, or
	// another request.
	h["Remote-User"] = append(h["Remote-User"], "evil")
	if got := h.Get("Remote-Groups"); got != "ops,staff" {
		t.Errorf("Remote-Groups is %q", got)
	}
	h["Remote-Groups"][0] = "changed"
	again := http.Header{}
	var other Values
	known.Tell(again, RemotePreset, known.In(""), &other, PerRequest{})
	delete(want, "Accept")
	if diff := cmp.Diff(want, again); diff != "" {
		t.Errorf("headers of another request (-want +got):\n%s", diff)
	}
	if Untell(h, RemotePreset); len(h) != 1 {
		t.Errorf("left: %v", h)
	}
	h = http.Header{}
	if known.Tell(h, NonePreset, known.In(""), &store, PerRequest{}); len(h) != 0 {
		t.Errorf("preset none told %v", h)
	}
}

// What a user does not have is not sent, empty or otherwise.
func TestTellOfLittle(t *testing.T) {
	t.Parallel()
	known := Prepare(&authcore.User{ID: "1", Username: "bob", Email: "bob@example.com"}).(*Known)
	if known.Identity.EmailDomain != "" {
		t.Errorf("the domain of an unverified address counts: %q", known.Identity.EmailDomain)
	}
	h := http.Header{}
	var store Values
	known.Tell(h, RemotePreset, known.In(""), &store, PerRequest{})
	if diff := cmp.Diff(http.Header{"Remote-User": {"bob"}}, h); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Every request goes this way.
func TestRequestPathDoesNotAllocate(t *testing.T) {
	known := Prepare(&authcore.User{ID: "1", Username: "alice", Groups: []string{"staff"}, Memberships: inTwo}).(*Known)
	h := http.Header{"Cookie": {"a=1; b=2; __Host-gate=token"}, "Accept-Encoding": {"gzip"}, "Connection": {"keep-alive, upgrade"}}
	r := &http.Request{Header: h}
	var store Values
	for what, f := range map[string]func(){
		"Strip":        func() { Managed{"x-app-user": true}.Strip(r) },
		"has":          func() { Managed(nil).has("X_Auth_Request_Preferred_Username") },
		"SessionToken": func() { SessionToken(h, true) },
		"Hostname":     func() { Hostname("app.example.com:8443"); Hostname("[::1]:80") },
		"Ours":         func() { Ours("/an/ordinary/page"); Ours("/.gate/login") },
		"Tell":         func() { known.Tell(h, RemotePreset, known.In(""), &store, PerRequest{}); Untell(h, RemotePreset) },
		"Tell of one":  func() { known.Tell(h, RemotePreset, known.In("acme"), &store, PerRequest{}); Untell(h, RemotePreset) },
		"HideCookies":  func() { h["Cookie"][0] = "a=1; b=2; __Host-gate=token"; HideCookies(h) },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations", what, n)
		}
	}
}

func TestPlaceholders(t *testing.T) {
	t.Parallel()
	known := Prepare(&authcore.User{ID: "1", Username: "bob", Email: "bob@example.com", EmailVerified: true, Groups: []string{"a", "b"}}).(*Known)
	for key, want := range map[string]any{"id": "1", "username": "bob", "name": "bob", "email": "bob@example.com", "groups": "a,b"} {
		if got, ok := known.In("").Placeholders("http.auth.user." + key); !ok || got != want {
			t.Errorf("%s: %v, %v", key, got, ok)
		}
	}
	for _, key := range []string{"http.auth.user.", "http.auth.user.password", "http.auth.user", "id", "", "http.request.host"} {
		if got, ok := known.In("").Placeholders(key); ok {
			t.Errorf("%s: %v", key, got)
		}
	}
}

// inTwo are places in two organizations, and in one that does not count.
var inTwo = []authcore.Membership{{Slug: "acme", Role: authcore.RoleAdmin, Status: authcore.OrganizationActive},
	{Slug: "away", Role: authcore.RoleOwner, Status: authcore.OrganizationSuspended}, {Slug: "beta", Role: "helper", Status: authcore.OrganizationActive}}

// Every preset and the placeholders say for which organization a user is there.
func TestActiveOrganization(t *testing.T) {
	t.Parallel()
	known := Prepare(&authcore.User{ID: "1", Username: "alice", Memberships: inTwo, OrganizationOnly: true}).(*Known)
	if id := known.Identity; !slices.Equal(id.Organizations, []string{"acme", "beta"}) || !slices.Equal(id.Roles, []string{"acme/admin", "beta/helper"}) || !id.OrganizationOnly {
		t.Errorf("%+v", id)
	}
	own, err := NewPreset([]IdentityHeader{{"X-App-Tenant", FieldOrganization}, {"X-App-Tenant-Role", FieldOrganizationRole}})
	if err != nil {
		t.Fatal(err)
	}
	names := map[*Preset]string{RemotePreset: "Remote-Organization", xToken: "X-Token-Organization", authentik: "X-Authentik-Meta-Organization", own: "X-App-Tenant"}
	for slug, role := range map[string]string{"acme": "admin", "beta": "helper", "away": "", "other": "", "": ""} {
		active := known.In(slug)
		if role == "" {
			slug = ""
		}
		for preset, name := range names {
			h, store := make(http.Header), new(Values)
			known.Tell(h, preset, active, store, PerRequest{})
			if got, gotRole := h.Get(name), h.Get(name+"-Role"); got != slug || gotRole != role || slug == "" && h[name] != nil {
				t.Errorf("%q, %s: %q, %q", slug, name, got, gotRole)
			}
		}
		got, _ := active.Placeholders(PlaceholderOrganization)
		gotRole, known := active.Placeholders(PlaceholderOrganizationRole)
		if name, _ := active.Placeholders("http.auth.user.username"); got != slug || gotRole != role || !known || name != "alice" {
			t.Errorf("placeholders in %q: %v, %v of %v", slug, got, gotRole, name)
		}
	}
	if Prepare(&authcore.User{OrganizationOnly: true, Owner: true}).(*Known).Identity.OrganizationOnly {
		t.Error("a platform owner belongs to organizations only")
	}
}

// An assertion that is kept is told in its own organization alone.
func TestAssertionsOfOrganizations(t *testing.T) {
	t.Parallel()
	known := Prepare(&authcore.User{ID: "1", Username: "alice", Memberships: inTwo}).(*Known)
	now := time.Now()
	for _, slug := range []string{"acme", "beta", ""} {
		known.In(slug).assertion.Store(&assertion{text: slug, from: now})
	}
	for _, slug := range []string{"acme", "beta", ""} {
		if got := known.In(slug).assertion.Load().text; got != slug {
			t.Errorf("in %q the assertion of %q is told", slug, got)
		}
	}
}

func TestPresets(t *testing.T) {
	t.Parallel()
	known := Prepare(&authcore.User{ID: "id-1", Username: "alice", Name: "Alice A.", Email: "alice@example.com", EmailVerified: true, Groups: []string{"ops", "staff"}}).(*Known)
	own, err := NewPreset([]IdentityHeader{{"x-app-user", FieldUsername}, {"X-App-Roles", FieldGroupsByPipe}, {"X-App-Id", FieldID}})
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		preset *Preset
		want   map[string]string
	}{
		"remote":       {Presets["remote"], map[string]string{"Remote-User": "alice", "Remote-Groups": "ops,staff", "Remote-Name": "Alice A.", "Remote-Email": "alice@example.com"}},
		"oauth2-proxy": {Presets["oauth2-proxy"], map[string]string{"X-Forwarded-User": "alice", "X-Forwarded-Preferred-Username": "alice", "X-Forwarded-Groups": "ops,staff", "X-Forwarded-Email": "alice@example.com"}},
		"its answer":   {Presets["oauth2-proxy"].ToProxy(), map[string]string{"X-Auth-Request-User": "alice", "X-Auth-Request-Preferred-Username": "alice", "X-Auth-Request-Groups": "ops,staff", "X-Auth-Request-Email": "alice@example.com"}},
		"authentik":    {Presets["authentik"], map[string]string{"X-Authentik-Username": "alice", "X-Authentik-Groups": "ops|staff", "X-Authentik-Name": "Alice A.", "X-Authentik-Email": "alice@example.com", "X-Authentik-Uid": "id-1"}},
		"x-token":      {Presets["x-token"], map[string]string{"X-Token-Subject": "alice", "X-Token-User-Roles": "ops staff", "X-Token-User-Name": "Alice A.", "X-Token-User-Email": "alice@example.com"}},
		"none":         {Presets["none"], map[string]string{}},
		"own":          {own, map[string]string{"X-App-User": "alice", "X-App-Roles": "ops|staff", "X-App-Id": "id-1"}},
	} {
		h, store := make(http.Header), new(Values)
		known.Tell(h, tt.preset, known.In(""), store, PerRequest{})
		got := make(map[string]string)
		for k, v := range h {
			got[k] = strings.Join(v, "&")
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if Untell(h, tt.preset); len(h) != 0 {
			t.Errorf("%s: left %v", name, h)
		}
	}
	for _, name := range []string{"", "a b", "X-Ä", "Cookie", "host", "X_Forwarded_For", "Sec-Fetch-Mode", "connection", "Authorization"} {
		if _, err := NewPreset([]IdentityHeader{{name, FieldID}}); err == nil {
			t.Errorf("%q is taken", name)
		}
	}
	if _, err := NewPreset([]IdentityHeader{{"X-A", FieldID}, {"x_a", FieldName}}); err == nil {
		t.Error("one header twice is taken")
	}
	m := make(Managed)
	m.Add(own)
	r := httptest.NewRequest("GET", "/", nil)
	r.Header = http.Header{"X-App-User": {"mallory"}, "X_app.user": {"mallory"}, "X-App-Users": {"kept"}, "Connection": {"close, x-app-ID", "X_App_User"}}
	m.Strip(r)
	if diff := cmp.Diff(http.Header{"X-App-Users": {"kept"}, "Connection": {"close"}}, r.Header); diff != "" {
		t.Errorf("stripped (-want +got):\n%s", diff)
	}
}
