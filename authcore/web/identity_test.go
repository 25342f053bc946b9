package web

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/access"
)

// managedModel is isManaged said simply.
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
			if !isManaged(spelling) {
				t.Errorf("%s is not managed", spelling)
			}
		}
		for _, other := range []string{name + "-", "-" + name, name[1:], name[:len(name)-1], name + "s-", " " + name, name + "\x00"} {
			if isManaged(other) != managedModel(other) {
				t.Errorf("%q: %v", other, isManaged(other))
			}
		}
		if len(name) > longestManaged {
			t.Errorf("%s is longer than longestManaged", name)
		}
	}
	for _, p := range Presets {
		for _, name := range p.Headers {
			if name != "" && (!isManaged(name) || http.CanonicalHeaderKey(name) != name) {
				t.Errorf("%s of preset %s is not managed, or not canonical", name, p.Name)
			}
		}
	}
	for _, name := range []string{"", "X", "Cookie", "Authorization", "X-Forwarded-For", "X-Forwarded-Proto", "Remote-Addr", "X-Remote-Ip", "Remote-Users", "Gate", "User"} {
		if isManaged(name) {
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
		if got, want := isManaged(name), managedModel(name); got != want {
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
	Strip(r)
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
		Strip(r)
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
	var store [4]string
	h := http.Header{"Accept": {"*/*"}}
	known.Tell(h, RemotePreset, &store)
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
	var other [4]string
	known.Tell(again, RemotePreset, &other)
	delete(want, "Accept")
	if diff := cmp.Diff(want, again); diff != "" {
		t.Errorf("headers of another request (-want +got):\n%s", diff)
	}
	if Untell(h, RemotePreset); len(h) != 1 {
		t.Errorf("left: %v", h)
	}
	h = http.Header{}
	if known.Tell(h, NonePreset, &store); len(h) != 0 {
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
	var store [4]string
	known.Tell(h, RemotePreset, &store)
	if diff := cmp.Diff(http.Header{"Remote-User": {"bob"}}, h); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Every request goes this way.
func TestRequestPathDoesNotAllocate(t *testing.T) {
	known := Prepare(&authcore.User{ID: "1", Username: "alice", Groups: []string{"staff"}}).(*Known)
	h := http.Header{"Cookie": {"a=1; b=2; __Host-gate=token"}, "Accept-Encoding": {"gzip"}, "Connection": {"keep-alive, upgrade"}}
	r := &http.Request{Header: h}
	var store [4]string
	for what, f := range map[string]func(){
		"Strip":        func() { Strip(r) },
		"isManaged":    func() { isManaged("X_Auth_Request_Preferred_Username") },
		"SessionToken": func() { SessionToken(h, true) },
		"Hostname":     func() { Hostname("app.example.com:8443"); Hostname("[::1]:80") },
		"Ours":         func() { Ours("/an/ordinary/page"); Ours("/.gate/login") },
		"Tell":         func() { known.Tell(h, RemotePreset, &store); Untell(h, RemotePreset) },
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
		if got, ok := known.Placeholders("http.auth.user." + key); !ok || got != want {
			t.Errorf("%s: %v, %v", key, got, ok)
		}
	}
	for _, key := range []string{"http.auth.user.", "http.auth.user.password", "http.auth.user", "id", "", "http.request.host"} {
		if got, ok := known.Placeholders(key); ok {
			t.Errorf("%s: %v", key, got)
		}
	}
}
