package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

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
	log := withoutCaddysRaces(s.Log())
	if code := cmd.ProcessState.ExitCode(); sig == syscall.SIGTERM && code != 0 && (code != raceExit || crash.MatchString(log)) {
		return fmt.Errorf("caddy ended with %d:\n%s", code, tail(log, 40))
	}
	return nil
}

// raceExit is what a process ends with in which the race detector found something.
const raceExit = 66

// caddysRaces are pairs of functions of Caddy's own that race, with any handler. The
// access log of a request whose answer broke off (panic ErrAbortHandler) tells how much
// of the body was read, while the transport may still be reading it. The event of a
// certificate copies the TLS app, which is still being started.
var caddysRaces = [][2]string{
	{"caddyhttp.(*Server).logRequest", "caddyhttp.(*lengthReader).Read"},
	{"caddytls.(*TLS).CaddyModule", "caddytls.(*TLS).Start"},
}

// withoutCaddysRaces leaves the reports of those out.
func withoutCaddysRaces(log string) string {
	parts := strings.Split(log, raceRule)
	return strings.Join(slices.DeleteFunc(parts, func(report string) bool {
		if !strings.HasPrefix(report, "WARNING: DATA RACE\n") {
			return false
		}
		at := raceAccess.FindAllStringSubmatch(report, -1)
		return len(at) == 2 && (slices.Contains(caddysRaces, [2]string{at[0][1], at[1][1]}) || slices.Contains(caddysRaces, [2]string{at[1][1], at[0][1]}))
	}), raceRule)
}

const raceRule = "==================\n"

var raceAccess = regexp.MustCompile(`(?m)^(?:Previous )?(?i:read|write) at .*:\n  github\.com/caddyserver/caddy/v2/modules/(.+)\(\)$`)

func TestCaddysRaces(t *testing.T) {
	t.Parallel()
	report := func(first, second string) string {
		return raceRule + "WARNING: DATA RACE\nRead at 0x00c0 by goroutine 7:\n  " + first + "()\n      server.go:1295 +0x774\n" +
			"\nPrevious write at 0x00c0 by goroutine 8:\n  " + second + "()\n      server.go:1607 +0xaa\n\nGoroutine 7 (running) created at:\n" + raceRule
	}
	const caddy = "github.com/caddyserver/caddy/v2/modules/"
	theirs := report(caddy+"caddyhttp.(*Server).logRequest", caddy+"caddyhttp.(*lengthReader).Read") + report(caddy+"caddytls.(*TLS).Start", caddy+"caddytls.(*TLS).CaddyModule")
	if got := withoutCaddysRaces("one\n" + theirs + "two\n"); crash.MatchString(got) || !strings.Contains(got, "one\n") || !strings.Contains(got, "two\n") {
		t.Errorf("left of a log with Caddy's own race: %q", got)
	}
	for _, ours := range []string{report(caddy+"caddyhttp.(*Server).logRequest", "github.com/gatehouse-auth/gatehouse/caddymodule.(*Gate).pass"),
		report(caddy+"caddyhttp.(*Server).logRequest", caddy+"caddyhttp.(*Server).logRequest")} {
		if got := withoutCaddysRaces(theirs + ours); !crash.MatchString(got) {
			t.Errorf("a race is overlooked: %q", ours)
		}
	}
}

// finish ends the process and says what its log holds that no run may have.
func (s *server) finish() []string {
	var complaints []string
	running := s.running()
	if err := s.end(syscall.SIGTERM); err != nil && running {
		complaints = append(complaints, err.Error())
	}
	log := withoutCaddysRaces(s.Log())
	if at := crash.FindStringIndex(log); at != nil {
		complaints = append(complaints, "Caddy's log:\n"+log[at[0]:min(len(log), at[0]+6000)])
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
		all[i] = line[:min(len(line), 2000)]
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
	return s.awaitTLS(text)
}

// CLI runs `caddy gate ARGS --config` with the server's Caddyfile, environment
// and folder. It is not watched by the race detector, with which it would take most of a
// test's time.
func (s *server) CLI(t testing.TB, stdin string, args ...string) (stdout, stderr string, exit int) {
	t.Helper()
	binary, err := plainBinary()
	must(t, err)
	return s.execute(t, binary, stdin, append(append([]string{"gate"}, args...), "--config", s.config()))
}

// must runs a command of the gate that has to work.
func (s *server) must(t testing.TB, stdin string, args ...string) string {
	t.Helper()
	out, errs, exit := s.CLI(t, stdin, args...)
	if exit != 0 {
		t.Fatalf("%q: exit %d\n%s%s", args, exit, out, errs)
	}
	return out
}

// caddy runs any command of the binary in the server's folder and environment.
func (s *server) caddy(t testing.TB, stdin string, args ...string) (stdout, stderr string, exit int) {
	t.Helper()
	binary, err := caddyBinary()
	must(t, err)
	return s.execute(t, binary, stdin, args)
}

func (s *server) execute(t testing.TB, binary, stdin string, args []string) (stdout, stderr string, exit int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*patience)
	defer cancel()
	command := append(append(slices.Clone(s.Within), binary), args...)
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
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

// asks is how a node answers a GET with a session, or without where token is empty.
func (s *server) asks(t testing.TB, host, path, token string, more ...header) page {
	t.Helper()
	if token != "" {
		more = append(more, header{"Cookie", "gate=" + token})
	}
	return s.Client(t).fetch(s.at(host, path), more...)
}

// becomes waits until a node answers a session on a host with a status.
func (s *server) becomes(t testing.TB, what, host, token string, status int) {
	t.Helper()
	b := s.Client(t)
	eventually(t, what, func() bool {
		return b.fetch(s.at(host, "/page"), header{"Cookie", "gate=" + token}).StatusCode == status
	})
}

// signsIn waits until a node signs somebody in, and gives the token.
func (s *server) signsIn(t testing.TB, host string, p person) (token string) {
	t.Helper()
	eventually(t, "a sign-in", func() bool {
		b := s.Client(t)
		got := b.login(s.at(host, ""), p)
		token = b.cookie(s.at(host, "/"), "gate")
		return got.StatusCode == http.StatusSeeOther
	})
	return token
}

// unavailable checks an answer that says that the database is away, as a page or as
// JSON.
func unavailable(t testing.TB, got page, html bool) {
	t.Helper()
	after, err := strconv.Atoi(got.Header.Get("Retry-After"))
	want := `"code":"database_unavailable"`
	if html {
		want = "cannot reach its database"
	}
	if got.StatusCode != http.StatusServiceUnavailable || err != nil || after < 1 || after > 60 || !strings.Contains(got.Body, want) ||
		strings.Contains(got.Body, "<html") != html {
		t.Errorf("%s, Retry-After %q, not a 503 with %q:\n%.600s", got.Status, got.Header.Get("Retry-After"), want, got.Body)
	}
	if len(got.Header["Set-Cookie"]) > 0 {
		t.Errorf("with a cookie: %v", got.Header["Set-Cookie"])
	}
}

// allGood checks that sessions which were acknowledged sign somebody in.
func (s *server) allGood(t testing.TB, host string, tokens []string, p person) {
	t.Helper()
	b := s.Client(t)
	lost := 0
	for _, token := range tokens {
		if got := b.fetch(s.at(host, "/.gate/whoami"), header{"Cookie", "gate=" + token}); got.StatusCode != http.StatusOK {
			if lost++; lost <= 3 {
				t.Errorf("a session that was acknowledged: %s\n%.300s", got.Status, got.Body)
			}
		}
	}
	if lost > 0 {
		t.Errorf("%d of %d acknowledged sign-ins of %s are lost", lost, len(tokens), p.Username)
	}
}
