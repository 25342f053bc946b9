package integration

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// cottage is one gated host with pages of its own, on plain-HTTP loopback.
const cottage = `{
	{{.Global}}
	gate {
		{{.Gate}}
		limits {
			address off
			account off
		}
	}
}
http://app.localhost:{{.HTTP}} {
	gate
	reverse_proxy {{.Upstream}}
}
`

// SIGTERM in the middle of a burst: whatever was answered is in the database,
// audit and all, and the process ends well.
func TestStopLosesNothing(t *testing.T) {
	t.Parallel()
	s := start(t, cottage)
	b := s.createOwner(t, alice)
	for range 3 {
		l := newLoad(t, s)
		l.signIns(6, alice, true)
		l.signIns(2, alice, false)
		l.busy(60)
		s.Stop(t) // checks the exit code
		answers, errs := l.quiet()
		if len(errs) == 0 {
			t.Error("the load had ended before the server")
		}
		s.recorded(t, answers)
		s.Restart(t)
		s.usable(t, answers, alice)
		if got := b.fetch(s.at("app.localhost", "/page")); got.StatusCode != http.StatusOK {
			t.Errorf("after a restart: %s", got.Status)
		}
	}
	if strings.Contains(s.Log(), "events were lost") {
		t.Error("the log says that audit events were lost")
	}
}

// The process is killed in the middle of a burst: who was told that they are
// signed in is, and the database is whole.
func TestKillLosesNoSession(t *testing.T) {
	t.Parallel()
	s := start(t, cottage)
	s.createOwner(t, alice)
	for range 3 {
		l := newLoad(t, s)
		l.signIns(4, alice, true)
		l.busy(20)
		s.Kill(t)
		answers, _ := l.quiet()
		s.Restart(t)
		s.recorded(t, answers)
		s.usable(t, answers, alice)
		var found string
		if err := s.database(t).QueryRow("PRAGMA integrity_check").Scan(&found); err != nil || found != "ok" {
			t.Errorf("integrity: %s, %v", found, err)
		}
	}
	s.must(t, "", "doctor")
}

// A restart signs nobody out, neither at the portal nor on the hosts under it.
func TestRestartSignsNobodyOut(t *testing.T) {
	t.Parallel()
	s := start(t, twoSites)
	s.createOwner(t, alice)
	b := s.Client(t)
	hosts := []string{"app.example.com", "wiki.example.net"}
	for _, host := range hosts {
		if got := b.arrive(s.URL("HTTPS", host)+"/in", alice); got.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s", host, got.Status)
		}
	}
	for _, how := range []func(testing.TB){s.Stop, s.Kill} {
		how(t)
		s.Restart(t)
		for _, host := range append(hosts, "auth.example.com") {
			if got := b.fetch(s.URL("HTTPS", host) + "/.gate/whoami"); got.StatusCode != http.StatusOK || !strings.Contains(got.Body, `"alice"`) {
				t.Errorf("%s: %s\n%s", host, got.Status, got.Body)
			}
		}
	}
	// What links the hosts is there still: signing out on one ends the others.
	mustGo(t, b.post(s.URL("HTTPS", hosts[0])+"/.gate/logout", nil))
	for _, host := range append(hosts, "auth.example.com") {
		if got := b.fetch(s.URL("HTTPS", host) + "/.gate/whoami"); got.StatusCode != http.StatusUnauthorized {
			t.Errorf("after signing out, %s: %s", host, got.Status)
		}
	}
}

// files lists everything below a folder.
func files(t *testing.T, dir string) []string {
	t.Helper()
	var all []string
	if err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		all = append(all, path)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

// To look at a configuration leaves nothing behind.
func TestValidateLeavesNoFile(t *testing.T) {
	t.Parallel()
	for name, lines := range map[string]string{"default database": "", "named database": "database sqlite {{.Dir}}/new/gate.db"} {
		s := newServer(t.TempDir(), newUpstream(t), "", nil)
		text, err := s.render("{\n\tadmin off\n\tgate {\n\t\t" + lines + "\n\t}\n}\nhttp://app.localhost:{{.HTTP}} {\n\tgate\n\treverse_proxy {{.Upstream}}\n}\n")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(s.config(), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		before := files(t, s.Dir)
		for _, command := range []string{"validate", "adapt"} {
			if out, errs, exit := s.caddy(t, "", command, "--config", s.config(), "--adapter", "caddyfile"); exit != 0 {
				t.Errorf("%s: %s exits with %d\n%s%s", name, command, exit, out, errs)
			}
			if diff := cmp.Diff(before, files(t, s.Dir)); diff != "" {
				t.Errorf("%s: files after %s (-before +after):\n%s", name, command, diff)
			}
		}
	}
}

// Without an admin endpoint the command line works on the database, and the
// server sees it by itself.
func TestChangesReachARunningServer(t *testing.T) {
	t.Parallel()
	s := start(t, `{
	admin off
	default_bind 127.0.0.1
	persist_config off
	grace_period 3s
	gate {
		{{.Gate}}
	}
}
http://app.localhost:{{.HTTP}} {
	gate
	reverse_proxy {{.Upstream}}
}
`)
	s.createOwner(t, alice)
	at := s.at("app.localhost", "")
	tests := []struct {
		name  string
		stdin string
		args  []string
	}{
		{"revoked", "", []string{"session", "revoke", "--user", "bob"}},
		{"new password", "another-long-password\n", []string{"user", "password", "bob", "--password-stdin"}},
		{"disabled", "", []string{"user", "disable", "bob"}},
	}
	s.addUser(t, bob)
	for _, test := range tests {
		b, p := s.Client(t), bob
		b.signIn(at, p) // a new user can, at once
		if got := b.fetch(at + "/page"); got.StatusCode != http.StatusOK {
			t.Fatalf("%s: before: %s", test.name, got.Status)
		}
		s.must(t, test.stdin, test.args...)
		eventually(t, test.name, func() bool { return b.fetch(at+"/page").StatusCode == http.StatusUnauthorized })
		if test.stdin != "" {
			s.must(t, bob.Password+"\n", "user", "password", "bob", "--password-stdin")
		}
	}
	b := s.Client(t)
	b.signIn(at, alice)
	if got := b.fetch(at + "/page"); got.StatusCode != http.StatusOK {
		t.Errorf("somebody else: %s", got.Status)
	}
}

// Requests that are under way when a reload or a stop comes are answered.
func TestRequestsUnderWayAreFinished(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	arrived := make(chan struct{}, 2)
	slow := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		select {
		case <-release:
		case <-r.Context().Done():
		}
		_, _ = io.WriteString(w, "for "+r.Header.Get("Remote-User"))
	})}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = slow.Serve(listener) }()
	defer slow.Shutdown(context.Background())
	s := start(t, cottage+"http://slow.localhost:{{.HTTP}} {\n\tgate\n\treverse_proxy "+listener.Addr().String()+"\n}\n")
	s.createOwner(t, alice)
	b := s.Client(t)
	b.signIn(s.at("slow.localhost", ""), alice)
	token := s.token(t, b, "slow.localhost")
	type result struct {
		status int
		body   string
		err    error
	}
	results := make(chan result)
	ask := func() {
		c := s.Client(t).Client
		r, _ := http.NewRequest("GET", s.at("slow.localhost", "/slow"), nil)
		r.Header.Set("Cookie", "gate="+token)
		status, _, body, err := send(c, r)
		results <- result{status, body, err}
	}
	check := func(when string) {
		t.Helper()
		if got := <-results; got.err != nil || got.status != http.StatusOK || got.body != "for alice" {
			t.Errorf("%s: %+v", when, got)
		}
	}
	go ask()
	<-arrived
	if err := s.Reload(t, s.text+"\n# changed"); err != nil {
		t.Fatal(err)
	}
	go ask()
	<-arrived
	close(release)
	check("over a reload")
	check("after it")

	release = make(chan struct{})
	go ask()
	<-arrived
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		s.Stop(t)
	}()
	eventually(t, "the server takes nobody new", func() bool {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", s.Vars["HTTP"]))
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	close(release)
	check("over a stop")
	<-stopped
}
