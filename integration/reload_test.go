package integration

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

func TestReloadUnderLoad(t *testing.T) {
	t.Parallel()
	s := start(t, cottage)
	b := s.createOwner(t, alice)
	token := s.token(t, b, "app.localhost")
	l := newLoad(t, s)
	l.again = 5
	l.readers(3, token, alice)
	l.signIns(1, alice, true)
	l.signIns(1, alice, false)
	for i := range 30 {
		l.busy(1)
		changed := strings.Replace(cottage, "limits {", fmt.Sprintf("session {\n\t\t\tidle %dh\n\t\t}\n\t\tactivity {\n\t\t\twrite_every %ds\n\t\t}\n\t\tlimits {", 20+i%2, i), 1)
		changed = strings.Replace(changed, "\tgate\n", fmt.Sprintf("\theader X-Round %d\n\tgate\n", i), 1)
		if err := s.Reload(t, changed); err != nil {
			t.Fatal(err)
		}
		if got := b.fetch(s.at("app.localhost", "/page")); got.StatusCode != http.StatusOK || got.Header.Get("X-Round") != fmt.Sprint(i) {
			t.Fatalf("after reload %d: %s, round %q", i, got.Status, got.Header.Get("X-Round"))
		}
	}
	answers, errs := l.quiet()
	for _, err := range errs {
		t.Errorf("no answer: %v", err)
	}
	t.Logf("%d pages read; %d of all requests sent again", l.pages, l.resent)
	if l.pages < 30 {
		t.Errorf("only %d pages were read", l.pages)
	}
	eventually(t, "the last audit events", func() bool {
		return s.count(t, "SELECT count(*) FROM events WHERE action = 'user.login' AND agent LIKE 'member-%'") >= len(answers)
	})
	s.recorded(t, answers)
	s.usable(t, answers, alice)
	if n := s.count(t, "SELECT count(*) FROM events WHERE agent LIKE 'member-%'"); n != len(answers) {
		t.Errorf("%d audit rows for %d sign-ins", n, len(answers))
	}
	if strings.Contains(s.Log(), "events were lost") {
		t.Error("the log says that audit events were lost")
	}
}

// settle waits until new connections are served. Around a reload one may be
// reset, with the gate or without: the kernel shares them out between the old
// listener and the new one, and of the one that closes it drops what nobody has
// accepted yet. Connections that are open already know nothing of that.
func (s *server) settle(t *testing.T) {
	t.Helper()
	inARow := 0
	eventually(t, "new connections after a reload", func() bool {
		c := s.Client(t).Client
		defer c.CloseIdleConnections()
		r, err := http.NewRequest("GET", s.at("app.localhost", "/.gate/health/live"), nil)
		if err != nil {
			t.Fatal(err)
		}
		if status, _, _, err := send(c, r); err == nil && status == http.StatusOK {
			inARow++
		} else {
			inARow = 0
		}
		return inARow == 5
	})
}

// A reload that fails, wherever on its way, leaves everything as it was.
func TestReloadThatFails(t *testing.T) {
	t.Parallel()
	s := start(t, cottage)
	b := s.createOwner(t, alice)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	if err := os.WriteFile(filepath.Join(s.Dir, "notes.txt"), []byte("This is a text, not a database.\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	port := fmt.Sprint(taken.Addr().(*net.TCPAddr).Port)
	// Settings that would show, were they to count.
	strict := strings.Replace(strings.Replace(cottage, "address off", "address 1 1h", 1), "account off", "account 1 1h", 1)
	replace := func(old, by string) string { return strings.Replace(strict, old, by, 1) }
	tests := []struct{ name, caddyfile, says string }{
		{"a word that is not known", replace("{{.Gate}}", "{{.Gate}}\n\t\tnonsense"), `unknown word "nonsense"`},
		{"no Caddyfile at all", "{", "syntax error"},
		{"a policy that is not there", replace("\tgate\n", "\tgate staff\n"), `policy "staff"`},
		{"a variable that is not there", replace("{{.Gate}}", "{{.Gate}}\n\t\tsecret_key {env.NOT_THERE}"), "NOT_THERE"},
		{"a text as the database", replace("{{.Gate}}", "database sqlite {{.Dir}}/notes.txt"), "not a SQLite database"},
		{"a folder that cannot be made", replace("{{.Gate}}", "database sqlite {{.Dir}}/notes.txt/gate.db"), "not a directory"},
		{"another secret key", replace("{{.Gate}}", "{{.Gate}}\n\t\tsecret_key "+authcore.NewSecretKey().Text().Reveal()), "the secret key cannot change in a reload"},
		{"a catch-all without a portal", strict + "http://:{{.HTTP2}} {\n\tgate\n}\n", "needs a portal"},
		{"a port that is taken", strict + "http://app.localhost:" + port + " {\n\tgate\n}\n", "address already in use"},
		{"that port again", strict + "http://app.localhost:" + port + " {\n\tgate\n}\n", "address already in use"},
		{"and again", strict + "http://app.localhost:" + port + " {\n\tgate\n}\n", "address already in use"}, // apps start in any order
	}
	for _, test := range tests {
		err := s.Reload(t, test.caddyfile)
		if err == nil || !strings.Contains(strings.ReplaceAll(err.Error(), `\"`, `"`), test.says) { // it comes as JSON
			t.Errorf("%s: %v, want %q", test.name, err, test.says)
		}
		s.settle(t)
		if got := b.fetch(s.at("app.localhost", "/page")); got.StatusCode != http.StatusOK {
			t.Errorf("%s: a page: %s", test.name, got.Status)
		}
		for range 3 { // the limits are still off
			if got := s.Client(t).login(s.at("app.localhost", ""), person{Username: "alice", Password: "wrong"}); got.StatusCode != http.StatusUnauthorized {
				t.Errorf("%s: a wrong password: %s", test.name, got.Status)
			}
		}
		s.Client(t).signIn(s.at("app.localhost", ""), alice)
		if out := s.must(t, "", "session", "list", "--user", "alice"); !strings.Contains(out, "alice") {
			t.Errorf("%s: the command line says:\n%s", test.name, out)
		}
	}
	// The next one that is right counts.
	if err := s.Reload(t, strict); err != nil {
		t.Fatal(err)
	}
	s.settle(t)
	_ = s.Client(t).login(s.at("app.localhost", ""), person{Username: "alice", Password: "wrong"})
	if got := s.Client(t).login(s.at("app.localhost", ""), person{Username: "alice", Password: "wrong"}); got.StatusCode != http.StatusTooManyRequests {
		t.Errorf("with the new limits: %s", got.Status)
	}
	if got := b.fetch(s.at("app.localhost", "/page")); got.StatusCode != http.StatusOK {
		t.Errorf("signed in before: %s", got.Status)
	}
}

// A reload to another database serves that one, and back again the first.
func TestReloadToAnotherDatabase(t *testing.T) {
	t.Parallel()
	s := start(t, cottage)
	b := s.createOwner(t, alice)
	other := strings.Replace(cottage, "{{.Gate}}", "database sqlite {{.Dir}}/other.db\n\t\thashing {\n\t\t\targon2id 64KiB 1 1\n\t\t}", 1)
	if err := s.Reload(t, other); err != nil {
		t.Fatal(err)
	}
	if got := b.fetch(s.at("app.localhost", "/page")); got.StatusCode != http.StatusUnauthorized {
		t.Errorf("on another database: %s", got.Status)
	}
	if out := s.must(t, "", "user", "list"); strings.Contains(out, "alice") {
		t.Errorf("the command line works on the first database:\n%s", out)
	}
	if err := s.Reload(t, cottage); err != nil {
		t.Fatal(err)
	}
	if got := b.fetch(s.at("app.localhost", "/page")); got.StatusCode != http.StatusOK {
		t.Errorf("back on the first: %s", got.Status)
	}
}
