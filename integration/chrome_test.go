package integration

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/remote"
)

// chromium is the one Chromium of all browser tests. The first of them starts
// it, and it ends with the shared servers.
var chromium = sync.OnceValues(startChromium)

// chromiumNames are what it is called; setup.sh looks for the same.
var chromiumNames = []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "headless-shell", "headless_shell",
	"/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"}

// chromiumFlags make it run without a screen, without talking to anybody else,
// and reach every host on this machine.
var chromiumFlags = []string{"--headless", "--remote-debugging-port=0", "--no-first-run", "--no-default-browser-check", "--lang=en-US",
	"--host-resolver-rules=MAP * 127.0.0.1", "--ignore-certificate-errors", "--disable-quic", "--disable-gpu", "--disable-dev-shm-usage",
	"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions", "--disable-default-apps",
	"--disable-breakpad", "--disable-features=Translate,OptimizationHints,MediaRouter", "--metrics-recording-only",
	"--disable-background-timer-throttling", "--disable-backgrounding-occluded-windows", "--disable-renderer-backgrounding",
	"--password-store=basic", "--use-mock-keychain", "--force-color-profile=srgb", "--hide-scrollbars", "--mute-audio"}

// startChromium gives a context in which tabs can be opened.
func startChromium() (context.Context, error) {
	path, err := findChromium()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(workDir, "chromium")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	args := append([]string{"--user-data-dir=" + dir}, chromiumFlags...)
	if os.Geteuid() == 0 {
		args = append(args, "--no-sandbox") // it refuses to run as root otherwise
	}
	cmd := exec.Command(path, args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + os.TempDir(), "DBUS_SESSION_BUS_ADDRESS=disabled:"}
	if err := launch(cmd); err != nil {
		return nil, err
	}
	done := endsWithShared(cmd)
	var socket string
	if err := await(func() bool {
		text, err := os.ReadFile(filepath.Join(dir, "DevToolsActivePort"))
		port, path, whole := strings.Cut(string(text), "\n")
		socket = "ws://127.0.0.1:" + port + path
		return err == nil && whole && path != "" || ended(done)
	}); err != nil || ended(done) {
		return nil, fmt.Errorf("%s does not start: %v", path, err)
	}
	allocator, _ := remote.NewAllocator(context.Background(), socket, remote.NoModifyURL)
	silent := func(string, ...any) {} // events that this chromedp does not know yet
	ctx, _ := chromedp.NewContext(allocator, chromedp.WithLogf(silent), chromedp.WithErrorf(silent))
	return ctx, chromedp.Do(ctx)
}

func findChromium() (string, error) {
	for _, name := range chromiumNames {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("there is no Chromium or Chrome on this machine: `make test` installs it on Debian, " +
		"and integration/setup.sh says what to install elsewhere")
}

// endsWithShared has a process of ours stopped when all tests are done, in the
// way that shared servers are.
func endsWithShared(cmd *exec.Cmd) (done chan struct{}) {
	watch(cmd.Process, true)
	done = make(chan struct{})
	go func() {
		_ = cmd.Wait()
		watch(cmd.Process, false)
		close(done)
	}()
	shared.Lock()
	defer shared.Unlock()
	shared.all = append(shared.all, &server{cmd: cmd, done: done, Upstream: startUpstream()})
	return done
}

// TestChromium shows that browser tests notice what goes wrong on a page: here that
// the sign-in page's policy stops a script that somebody got into it.
func TestChromium(t *testing.T) {
	t.Parallel()
	s := ssoGate.get(t)
	w := newBrowser(t)
	w.open(s.URL("HTTPS", "auth.example.org") + "/.gate/login")
	eval[bool](w, `document.body.append(Object.assign(document.createElement("script"), {textContent: "document.title = 'broken into'"})) ?? true`)
	w.troubled("security: Executing inline script violates")
	w.troubled("ContentSecurityPolicyIssue: script-src-elem")
	if title := eval[string](w, "document.title"); !strings.HasPrefix(title, "Sign in") {
		t.Errorf("the script ran: %q", title)
	}
}
