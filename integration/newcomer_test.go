package integration

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// exampleCaddyfile is Caddyfile.example for the harness, with its ports free ones.
func exampleCaddyfile(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../Caddyfile.example")
	if err != nil {
		t.Fatal(err)
	}
	caddyfile := strings.ReplaceAll(string(text), "{{", "{{`{{`}}") // those are the demo app's
	for port, name := range map[string]string{":2019": "Admin", ":8080": "HTTP", ":8081": "HTTP2"} {
		if !strings.Contains(caddyfile, port) {
			t.Fatalf("Caddyfile.example has no port %s any more", port)
		}
		caddyfile = strings.ReplaceAll(caddyfile, port, ":{{."+name+"}}")
	}
	return caddyfile
}

// TestNewcomer does what somebody does who has just cloned the repository and
// run it. None of the pages needs JavaScript.
func TestNewcomer(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string][]tabStep{"with scripts": nil, "without scripts": {withoutScripts()}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, exampleCaddyfile(t))
			app, portal := s.URL("HTTP", "localhost"), s.URL("HTTP", "auth.localhost")
			alice := someone("alice")
			w := newBrowser(t, prepare...)
			w.open(s.SetupLink(t))
			w.says("Create the owner")
			w.fill("#name", alice.Name)
			w.fillAccount(alice)
			w.press("Create owner")
			w.at(app + "/")
			w.says("Hello, Alice", "alice@example.com", "the session cookie stays with the gate")

			w.press("Sign out")
			w.at(app + "/.gate/logout")
			w.says("You are signed out")
			page := app + "/reports?q=a%26b&year=2026"
			w.open(page)
			w.atPage(portal + "/.gate/login")
			w.says("to continue to " + strings.TrimPrefix(app, "http://"))
			w.signIn(alice)
			w.at(page)
			w.says("Hello, Alice")
		})
	}
}

// toldMachine is what a program gets.
type toldMachine struct {
	Status         int
	Redirected     bool
	Type, Code, To string // To is the path of login_url
}

// wantedByMachines is the answer of the gate to programs without a session.
var wantedByMachines = toldMachine{Status: http.StatusUnauthorized, Type: "application/json; charset=utf-8", Code: "login_required", To: "/.gate/login"}

// askThePage has the page that a tab shows send requests of its own, each an
// expression that gives a promise of [status, redirected, content type, body].
const askThePage = `Promise.all([
	fetch("/data?from=fetch"), fetch("/data", {method: "OPTIONS"}), fetch("/data", {method: "POST", body: "x=1"}),
	fetch("/data", {headers: {Accept: "text/html"}})
].map(sent => sent.then(async r => [r.status, r.redirected, r.headers.get("Content-Type"), await r.text()])).concat([
	new Promise(done => {
		const r = new XMLHttpRequest();
		r.onloadend = () => done([r.status, r.responseURL !== location.origin + "/data", r.getResponseHeader("Content-Type"), r.responseText]);
		r.open("GET", "/data");
		r.send();
	})
])).then(all => JSON.stringify(all))`

// TestMachines: programs get an answer that they can read, and no redirect; those
// of a page that was left open after sign-out too.
func TestMachines(t *testing.T) {
	t.Parallel()
	s := start(t, exampleCaddyfile(t))
	app, portal := s.URL("HTTP", "localhost"), s.URL("HTTP", "auth.localhost")
	alice := someone("alice")
	s.addUser(t, alice, "--owner")

	curl := s.Client(t).fetch(app + "/reports?q=1")
	if got := readMachine(t, portal, curl.StatusCode, false, curl.Header.Get("Content-Type"), curl.Body); got != wantedByMachines {
		t.Errorf("curl (-got +want):\n%s", cmp.Diff(got, wantedByMachines))
	}

	w := newBrowser(t)
	w.open(app + "/left-open")
	w.atPage(portal + "/.gate/login")
	w.signIn(alice)
	w.at(app + "/left-open")
	other := w.another()
	other.open(app + "/.gate/logout")
	other.press("Sign out")
	w.expect("401")
	var all [][4]any
	if err := json.Unmarshal([]byte(eval[string](w, askThePage)), &all); err != nil {
		t.Fatal(err)
	}
	for i, got := range all {
		if got := readMachine(t, portal, int(got[0].(float64)), got[1].(bool), fmt.Sprint(got[2]), fmt.Sprint(got[3])); got != wantedByMachines {
			t.Errorf("request %d of the page (-got +want):\n%s", i, cmp.Diff(got, wantedByMachines))
		}
	}
	socket := strings.Replace(app, "http", "ws", 1) + "/socket"
	if eval[bool](w, fmt.Sprintf(`new Promise(done => {
		const s = new WebSocket(%q);
		s.onopen = () => done(true);
		s.onerror = () => done(false);
	})`, socket)) {
		t.Error("the WebSocket opened")
	}
	w.troubled("HTTP Authentication failed") // that is what it says of 401
	got := s.raw(t, "HTTP", "", "GET /socket HTTP/1.1\r\nHost: "+strings.TrimPrefix(app, "http://")+
		"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
	if got := readMachine(t, portal, got.StatusCode, false, got.Header.Get("Content-Type"), got.Body); got != wantedByMachines {
		t.Errorf("WebSocket (-got +want):\n%s", cmp.Diff(got, wantedByMachines))
	}
}

// readMachine reads the gate's answer to a program.
func readMachine(t *testing.T, portal string, status int, redirected bool, kind, body string) toldMachine {
	t.Helper()
	var problem struct {
		Error    struct{ Code string }
		LoginURL string `json:"login_url"`
	}
	if err := json.Unmarshal([]byte(body), &problem); err != nil {
		t.Errorf("%d: %v: %.200s", status, err, body)
	}
	to, _, _ := strings.Cut(strings.TrimPrefix(problem.LoginURL, portal), "?")
	return toldMachine{status, redirected, kind, problem.Error.Code, to}
}
