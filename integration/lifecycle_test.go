package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-auth/gatehouse/authcore"
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

// load is a crowd that uses a server without a pause. Nobody in it ends the test:
// what went wrong is told by quiet.
type load struct {
	t    *testing.T
	s    *server
	stop chan struct{}
	wg   sync.WaitGroup

	mu      sync.Mutex
	again   int // how often a request that got no answer is sent again
	resent  int
	answers []answered
	errs    []error // of requests that got no answer
	pages   int     // answers for people who were signed in
	wrong   []string
}

// members counts the sign-ins of all crowds.
var members atomic.Int64

// answered is a sign-in that got its answer.
type answered struct {
	agent  string // tells its row in the audit from all others
	status int
	token  string
}

func newLoad(t *testing.T, s *server) *load { return &load{t: t, s: s, stop: make(chan struct{})} }

// crowd runs n members, each until the load ends or one of its requests gets no
// answer.
func (l *load) crowd(n int, member func(c *http.Client) error) {
	for range n {
		c := l.s.Client(l.t).Client
		c.Jar = nil
		l.wg.Go(func() {
			for {
				select {
				case <-l.stop:
					return
				default:
				}
				if err := member(c); err != nil {
					l.mu.Lock()
					l.errs = append(l.errs, err)
					l.mu.Unlock()
					return
				}
			}
		})
	}
}

// readers are signed in and read pages behind the gate.
func (l *load) readers(n int, token string, p person) {
	l.crowd(n, func(c *http.Client) error {
		r, err := http.NewRequest("GET", l.s.at("app.localhost", "/page"), nil)
		if err != nil {
			return err
		}
		r.Header.Set("Cookie", "gate="+token)
		status, _, body, err := l.send(c, r)
		if err != nil {
			return err
		}
		var seen echo
		_ = json.Unmarshal([]byte(body), &seen)
		l.mu.Lock()
		defer l.mu.Unlock()
		l.pages++
		if got := seen.get("Remote-User"); status != http.StatusOK || got != p.Username {
			l.wrong = append(l.wrong, fmt.Sprintf("a page: %d, for %q\n%.200s", status, got, body))
		}
		return nil
	})
}

// signIns send the sign-in form, with the right password or a wrong one.
func (l *load) signIns(n int, p person, right bool) {
	form, want := url.Values{"username": {p.Username}, "password": {p.Password}}, http.StatusSeeOther
	if !right {
		form.Set("password", "not-"+p.Password)
		want = http.StatusUnauthorized
	}
	l.crowd(n, func(c *http.Client) error {
		r, err := http.NewRequest("POST", l.s.at("app.localhost", "/.gate/login"), strings.NewReader(form.Encode()))
		if err != nil {
			return err
		}
		a := answered{agent: fmt.Sprint("member-", members.Add(1))}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Accept", "text/html")
		r.Header.Set("User-Agent", a.agent)
		status, header, body, err := l.send(c, r)
		if err != nil {
			return err
		}
		a.status = status
		for _, cookie := range (&http.Response{Header: header}).Cookies() {
			if cookie.Name == "gate" {
				a.token = cookie.Value
			}
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		l.answers = append(l.answers, a)
		if status != want || right == (a.token == "") {
			l.wrong = append(l.wrong, fmt.Sprintf("a sign-in: %d, want %d\n%.200s", status, want, body))
		}
		return nil
	})
}

// send is send, again where the connection broke before an answer came: see settle.
// A request that was carried out and then not answered would have an audit row too
// many.
func (l *load) send(c *http.Client, r *http.Request) (status int, h http.Header, body string, err error) {
	for range l.again + 1 {
		if r.GetBody != nil {
			if r.Body, err = r.GetBody(); err != nil {
				return 0, nil, "", err
			}
		}
		if status, h, body, err = send(c, r); err == nil {
			break
		}
		l.mu.Lock()
		l.resent++
		l.mu.Unlock()
	}
	return status, h, body, err
}

func send(c *http.Client, r *http.Request) (status int, h http.Header, body string, err error) {
	resp, err := c.Do(r)
	if err != nil {
		return 0, nil, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, resp.Header, string(text), err
}

// busy waits until so many sign-ins and pages more were answered.
func (l *load) busy(n int) {
	l.t.Helper()
	have := func() (int, int) {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.answers), len(l.errs)
	}
	from, _ := have()
	eventually(l.t, "answers under load", func() bool {
		answers, errs := have()
		return answers >= from+n || errs > 0
	})
}

// quiet ends the load and tells what was answered and what went wrong.
func (l *load) quiet() (answers []answered, errs []error) {
	l.t.Helper()
	select {
	case <-l.stop:
	default:
		close(l.stop)
	}
	l.wg.Wait()
	for _, w := range l.wrong[:min(len(l.wrong), 5)] {
		l.t.Error(w)
	}
	if len(l.wrong) > 5 {
		l.t.Errorf("and %d more wrong answers", len(l.wrong)-5)
	}
	return l.answers, l.errs
}

// recorded checks that each answered sign-in has one audit row, with its outcome,
// and each that was good its session.
func (s *server) recorded(t *testing.T, answers []answered) {
	t.Helper()
	if len(answers) == 0 {
		t.Fatal("nothing was answered")
	}
	db := s.database(t)
	rows, err := db.Query("SELECT agent, outcome FROM events WHERE action = 'user.login' AND agent LIKE 'member-%'")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	found := make(map[string]string)
	for rows.Next() {
		var agent, outcome string
		if err := rows.Scan(&agent, &outcome); err != nil {
			t.Fatal(err)
		}
		found[agent] += outcome + "."
	}
	missing, good := 0, 0
	for _, a := range answers {
		want := "failure."
		if a.status == http.StatusSeeOther {
			want = "success."
			good++
			var n int
			if err := db.QueryRow("SELECT count(*) FROM sessions WHERE token_hash = ?", authcore.HashToken(a.token).Hex()).Scan(&n); err != nil || n != 1 {
				t.Errorf("%s was signed in and has %d sessions in the database, %v", a.agent, n, err)
			}
		}
		if found[a.agent] != want {
			if missing++; missing <= 5 {
				t.Errorf("%s was answered %d and has the audit rows %q", a.agent, a.status, found[a.agent])
			}
		}
	}
	t.Logf("%d sign-ins answered, %d of them good; %d without their audit row", len(answers), good, missing)
}

// usable checks that sessions sign somebody in.
func (s *server) usable(t *testing.T, answers []answered, p person) {
	t.Helper()
	b := s.Client(t)
	for _, a := range answers {
		if a.token == "" {
			continue
		}
		if got := b.fetch(s.at("app.localhost", "/.gate/whoami"), header{"Cookie", "gate=" + a.token}); got.StatusCode != http.StatusOK ||
			!strings.Contains(got.Body, p.Username) {
			t.Fatalf("%s is not signed in any more: %s", a.agent, got.Status)
		}
	}
}

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
