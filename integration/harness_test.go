package integration

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"text/template"
	"time"
)

// patience is how long a condition may take to come true.
const patience = time.Minute

// server is a Caddy process of its own, with its own folder and ports.
type server struct {
	Dir      string         // working folder; gate.db is in it where {{.Gate}} is used
	Vars     map[string]any // what the Caddyfile's template can use
	Upstream *upstream
	Env      []string // added to the process's environment
	Within   []string // a command that runs Caddy's, if any
	Address  string   // on the loopback, where it listens and clients reach it
	// Unwatched: it runs without the race detector, because another one runs the same with it.
	Unwatched bool

	cluster *cluster // whose database {{.Gate}} names; nil for SQLite in Dir

	text string // of the Caddyfile, as a template
	log  logBuffer
	mu   sync.Mutex
	cmd  *exec.Cmd
	done chan struct{} // closed when cmd has ended
}

// logBuffer gathers what a process writes, of all its runs.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// option changes a server before it starts; Dir and Vars are there already.
type option func(*server)

// withEnv adds NAME=value to the environment.
func withEnv(env ...string) option { return func(s *server) { s.Env = append(s.Env, env...) } }

// start runs a Caddy process with a Caddyfile, waits until it serves, and stops
// it when the test ends. In the text these stand for something:
//
//	{{.Global}}   what every test's global options begin with: admin, loopback only, own certificates
//	{{.Gate}}     a database in the server's folder, or that of a cluster, and cheap password hashes, for the option gate
//	{{.HTTP}} {{.HTTP2}} {{.HTTP3}} {{.HTTPS}} {{.HTTPS2}} {{.HTTPS3}} {{.Admin}}   free ports
//	{{.Upstream}} host:port of an app that tells what it received
//	{{.Dir}}      the server's folder
func start(t testing.TB, caddyfile string, opts ...option) *server {
	t.Helper()
	s, err := tryStart(t, caddyfile, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// tryStart is start for Caddyfiles that may not work: the error holds the log.
func tryStart(t testing.TB, caddyfile string, opts ...option) (*server, error) {
	t.Helper()
	s := newServer(t.TempDir(), newUpstream(t), caddyfile, opts)
	t.Cleanup(func() {
		for _, complaint := range s.finish() {
			t.Error(complaint)
		}
		if t.Failed() {
			t.Logf("end of Caddy's log:\n%s", tail(s.Log(), 40))
		}
	})
	return s, s.firstRun()
}

func newServer(dir string, up *upstream, caddyfile string, opts []option) *server {
	s := &server{Dir: dir, Upstream: up, Address: "127.0.0.1", text: caddyfile, Vars: map[string]any{"Dir": dir, "Upstream": up.addr()}}
	s.newPorts()
	for _, o := range opts {
		o(s)
	}
	return s
}

// newPorts chooses ports below those that systems give to outgoing connections,
// so that they are free again when the server restarts.
func (s *server) newPorts() {
	for _, name := range []string{"HTTP", "HTTP2", "HTTP3", "HTTPS", "HTTPS2", "HTTPS3", "Admin"} {
		s.Vars[name] = freePort()
	}
	s.Vars["Global"] = fmt.Sprintf("admin 127.0.0.1:%d\n\tdefault_bind %s\n\tskip_install_trust\n\tlocal_certs\n"+
		"\tauto_https disable_redirects\n\tpersist_config off\n\tgrace_period 3s", s.Vars["Admin"], s.Address)
	database := fmt.Sprintf("database sqlite %q", filepath.ToSlash(filepath.Join(s.Dir, "gate.db")))
	if s.cluster != nil && s.cluster.DB != nil {
		database = fmt.Sprintf("database %s {env.GATE_DSN}\n\t\tsecret_key {env.GATE_KEY}", s.cluster.Driver)
	}
	s.Vars["Gate"] = database + "\n\t\thashing {\n\t\t\targon2id 64KiB 1 1\n\t\t\tpermits off\n\t\t}"
}

var givenPorts sync.Map

// freePort gives a port that no program has, and above 10080, the last of those that
// browsers and fetch refuse to talk to (Fetch standard, section 2.9, "port blocking").
func freePort() int {
	for {
		port := 10081 + rand.IntN(20000)
		if _, given := givenPorts.LoadOrStore(port, true); given {
			continue
		}
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		_ = l.Close()
		return port
	}
}

// firstRun starts the process; where another program took a port in between, it
// tries others.
func (s *server) firstRun() error {
	var err error
	for range 3 {
		if err = s.run(); err == nil || !strings.Contains(err.Error(), "address already in use") {
			return err
		}
		s.newPorts()
	}
	return err
}

// render fills the template in.
func (s *server) render(text string) (string, error) {
	tmpl, err := template.New("Caddyfile").Option("missingkey=error").Parse(text)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	err = tmpl.Execute(&out, s.Vars)
	return out.String(), err
}

func (s *server) config() string { return filepath.Join(s.Dir, "Caddyfile") }

func (s *server) environment() []string {
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.Dir, "TMPDIR=" + os.TempDir(),
		"XDG_CONFIG_HOME=" + filepath.Join(s.Dir, "config"), "XDG_DATA_HOME=" + filepath.Join(s.Dir, "data")}
	return append(env, s.Env...)
}

// run starts the process and waits until it serves.
func (s *server) run() error {
	build := caddyBinary
	if s.Unwatched {
		build = plainBinary
	}
	binary, err := build()
	if err != nil {
		return err
	}
	text, err := s.render(s.text)
	if err != nil {
		return err
	}
	if err := os.WriteFile(s.config(), []byte(text), 0o600); err != nil {
		return err
	}
	command := append(slices.Clone(s.Within), binary, "run", "--config", s.config(), "--adapter", "caddyfile")
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = s.Dir, s.environment(), &s.log, &s.log
	from := len(s.Log())
	if err := launch(cmd); err != nil {
		return err
	}
	watch(cmd.Process, true)
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		watch(cmd.Process, false)
		close(done)
	}()
	s.mu.Lock()
	s.cmd, s.done = cmd, done
	s.mu.Unlock()
	if err := await(func() bool {
		return strings.Contains(s.Log()[from:], `"serving initial configuration"`) || ended(done)
	}); err != nil || ended(done) {
		return fmt.Errorf("caddy does not serve (%v):\n%s", err, s.Log()[from:])
	}
	return s.awaitTLS(text)
}

func ended(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}

// await waits for a condition.
func await(condition func() bool) error {
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		if condition() {
			return nil
		}
		if time.Now().After(end) {
			return errors.New("waited too long")
		}
	}
}

// eventually fails the test where a condition does not come true.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	if err := await(condition); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

var httpsSite = regexp.MustCompile(`https://([^\s,:{}]+):(\d+)`)

// awaitTLS waits until every HTTPS site of a Caddyfile has its certificate.
func (s *server) awaitTLS(caddyfile string) error {
	for _, site := range httpsSite.FindAllStringSubmatch(caddyfile, -1) {
		name := strings.Replace(site[1], "*", "wild", 1)
		if err := await(func() bool {
			c, err := tls.Dial("tcp", s.Address+":"+site[2], &tls.Config{ServerName: name, InsecureSkipVerify: true})
			if err == nil {
				_ = c.Close()
			}
			return err == nil
		}); err != nil {
			return fmt.Errorf("no certificate for %s: %w", name, err)
		}
	}
	return nil
}

// Log is all that the process has written, of all its runs.
func (s *server) Log() string { return s.log.String() }

// must fails the test where something that it needs went wrong.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// times is how often a test does what it measures: the number in an environment
// variable, where somebody wants to know more exactly, or the usual one.
func times(t testing.TB, variable string, usual int) int {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return usual
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s=%q is no count", variable, text)
	}
	return n
}

// measures tells whether somebody wants figures, on a machine that does nothing
// else. Elsewhere tests are about what happens, not about how soon.
func measures() bool { return os.Getenv("GATE_TRIES") != "" }

// bounded runs f, and fails where it takes longer than inTime allows.
func bounded(t *testing.T, what string, promised time.Duration, f func()) {
	t.Helper()
	began := time.Now()
	f()
	inTime(t, what, promised, time.Since(began))
}

// inTime fails the test where something took longer than patience or, where
// somebody measures, than what is promised and a margin.
func inTime(t *testing.T, what string, promised, took time.Duration) {
	t.Helper()
	limit := patience
	if measures() {
		limit = promised + time.Second // requests take some time too
	}
	if took > limit {
		t.Errorf("%s: after %s, %s is promised", what, took, promised)
	} else {
		t.Logf("%s: after %s", what, took.Round(time.Millisecond))
	}
}
