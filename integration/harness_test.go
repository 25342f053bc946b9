package integration

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
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
//	{{.Gate}}     a database in the server's folder and cheap password hashes, for the option gate
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
	s := &server{Dir: dir, Upstream: up, text: caddyfile, Vars: map[string]any{"Dir": dir, "Upstream": up.addr()}}
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
	s.Vars["Global"] = fmt.Sprintf("admin 127.0.0.1:%d\n\tdefault_bind 127.0.0.1\n\tskip_install_trust\n\tlocal_certs\n"+
		"\tauto_https disable_redirects\n\tpersist_config off\n\tgrace_period 3s", s.Vars["Admin"])
	s.Vars["Gate"] = fmt.Sprintf("database sqlite %q\n\t\thashing {\n\t\t\targon2id 64KiB 1 1\n\t\t\tpermits off\n\t\t}",
		filepath.ToSlash(filepath.Join(s.Dir, "gate.db")))
}

var givenPorts sync.Map

func freePort() int {
	for {
		port := 10000 + rand.IntN(20000)
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
	binary, err := caddyBinary()
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
	cmd := exec.Command(binary, "run", "--config", s.config(), "--adapter", "caddyfile")
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
	return awaitTLS(text)
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
func awaitTLS(caddyfile string) error {
	for _, site := range httpsSite.FindAllStringSubmatch(caddyfile, -1) {
		name := strings.Replace(site[1], "*", "wild", 1)
		if err := await(func() bool {
			c, err := tls.Dial("tcp", "127.0.0.1:"+site[2], &tls.Config{ServerName: name, InsecureSkipVerify: true})
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

// Stop ends the process as a service manager would, by SIGTERM, and fails the
// test unless it ends well.
func (s *server) Stop(t testing.TB) {
	t.Helper()
	if err := s.end(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
}

// Kill ends the process without a chance to write anything.
func (s *server) Kill(t testing.TB) {
	t.Helper()
	_ = s.end(syscall.SIGKILL)
}

// Restart stops the process, if it runs, and starts it again with the same
// folder, ports and Caddyfile.
func (s *server) Restart(t testing.TB) {
	t.Helper()
	s.Stop(t)
	if err := s.run(); err != nil {
		t.Fatal(err)
	}
}

// end sends a signal and waits for the end. A process that ended before is fine.
func (s *server) end(sig syscall.Signal) error {
	s.mu.Lock()
	cmd, done := s.cmd, s.done
	s.cmd = nil
	s.mu.Unlock()
	if cmd == nil {
		return nil
	}
	_ = cmd.Process.Signal(sig)
	select {
	case <-done:
	case <-time.After(patience):
		_ = cmd.Process.Kill()
		<-done
		return fmt.Errorf("caddy did not end within %s of %s", patience, sig)
	}
	if code := cmd.ProcessState.ExitCode(); sig == syscall.SIGTERM && code != 0 {
		return fmt.Errorf("caddy ended with %d:\n%s", code, tail(s.Log(), 40))
	}
	return nil
}

// finish ends the process and says what its log holds that no run may have.
func (s *server) finish() []string {
	var complaints []string
	running := s.running()
	if err := s.end(syscall.SIGTERM); err != nil && running {
		complaints = append(complaints, err.Error())
	}
	if at := crash.FindStringIndex(s.Log()); at != nil {
		complaints = append(complaints, "Caddy's log:\n"+s.Log()[at[0]:min(len(s.Log()), at[0]+6000)])
	}
	return complaints
}

var crash = regexp.MustCompile(`(?m)WARNING: DATA RACE|^panic: |^fatal error: |panic serving|^SIG[A-Z]+: `)

func (s *server) running() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cmd != nil && !ended(s.done)
}

// tail is the last lines of a log, the long ones cut.
func tail(text string, lines int) string {
	all := strings.Split(strings.TrimRight(text, "\n"), "\n")
	all = all[max(0, len(all)-lines):]
	for i, line := range all {
		all[i] = line[:min(len(line), 400)]
	}
	return strings.Join(all, "\n")
}

// Reload gives the running process another Caddyfile through its admin endpoint.
// After an error the old one still runs.
func (s *server) Reload(t testing.TB, caddyfile string) error {
	t.Helper()
	text, err := s.render(caddyfile)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Post(fmt.Sprintf("http://127.0.0.1:%d/load", s.Vars["Admin"]), "text/caddyfile", strings.NewReader(text))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(resp.Body)
		return fmt.Errorf("reload: %s: %s", resp.Status, body)
	}
	s.text = caddyfile
	if err := os.WriteFile(s.config(), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return awaitTLS(text)
}

// CLI runs `caddy gate ARGS --config` with the server's Caddyfile, environment
// and folder.
func (s *server) CLI(t testing.TB, stdin string, args ...string) (stdout, stderr string, exit int) {
	t.Helper()
	return s.caddy(t, stdin, append(append([]string{"gate"}, args...), "--config", s.config())...)
}

// caddy runs any command of the binary in the server's folder and environment.
func (s *server) caddy(t testing.TB, stdin string, args ...string) (stdout, stderr string, exit int) {
	t.Helper()
	binary, err := caddyBinary()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	var out, errs bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = s.Dir, s.environment(), strings.NewReader(stdin), &out, &errs
	if err := cmd.Run(); err != nil {
		if exitErr := new(exec.ExitError); !errors.As(err, &exitErr) {
			t.Fatal(err)
		}
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// SetupLink is the newest setup link in the log, waiting for one.
func (s *server) SetupLink(t testing.TB) string {
	t.Helper()
	var link string
	eventually(t, "a setup link in the log", func() bool {
		for _, line := range s.logLines() {
			if l, ok := line["setup_link"].(string); ok {
				link = l
			}
		}
		return link != ""
	})
	return link
}

// logLines are the lines of the log that are JSON, as Caddy's are.
func (s *server) logLines() []map[string]any {
	var lines []map[string]any
	for text := range strings.Lines(s.Log()) {
		var line map[string]any
		if json.Unmarshal([]byte(text), &line) == nil {
			lines = append(lines, line)
		}
	}
	return lines
}

// URL is the origin of a host on one of the server's ports: URL("HTTPS",
// "app.example.com").
func (s *server) URL(port, host string) string {
	scheme := "http://"
	if strings.HasPrefix(port, "HTTPS") {
		scheme = "https://"
	}
	return fmt.Sprintf("%s%s:%d", scheme, host, s.Vars[port])
}
