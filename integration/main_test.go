package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	_ "github.com/gatehouse-auth/gatehouse" // what changes there makes cached results of these tests old
	"github.com/gatehouse-auth/gatehouse/store/storetest/dbserver"
)

// workDir holds what all tests share: the binary and the folders of shared
// servers. TestMain makes and removes it.
var workDir string

func TestMain(m *testing.M) {
	var err error
	if workDir, err = os.MkdirTemp("", "gate-integration-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	for _, complaint := range stopShared() {
		fmt.Fprintln(os.Stderr, complaint)
		code = 1
	}
	if err := dbserver.CloseShared(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	killLeftovers()
	if err := dbserver.CloseShared(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	_ = os.RemoveAll(workDir)
	os.Exit(code)
}

// caddyBinary builds Caddy with the gate, the first time that a test asks for it.
var caddyBinary = sync.OnceValues(func() (string, error) {
	path := filepath.Join(workDir, "caddy")
	args := []string{"build", "-o", path}
	if raceEnabled {
		args = append(args, "-race", "-gcflags=modernc.org/sqlite/lib=-race=false -d=checkptr=0", "-gcflags=modernc.org/libc=-race=false -d=checkptr=0") // as in the Makefile
	}
	out, err := exec.Command("go", append(args, "../cmd/caddy")...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("caddy cannot be built: %w\n%s", err, out)
	}
	return path, nil
})

// plainBinary is the same without the race detector, with which every process takes a second
// to start: for the many commands that prepare tests, and for servers that run what another
// one ran with it. The flags are those of `make check`, whose results can be had from Go's
// cache.
var plainBinary = sync.OnceValues(func() (string, error) {
	if !raceEnabled {
		return caddyBinary()
	}
	path := filepath.Join(workDir, "caddy-plain")
	cmd := exec.Command("go", "build", "-trimpath", "-tags=nobadger,nomysql,nopgx", "-o", path, "../cmd/caddy")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("caddy cannot be built: %w\n%s", err, out)
	}
	return path, nil
})

// launches hands processes to one thread that lives as long as the tests: where
// the system can tie a child to the thread that made it, a test binary that is
// killed leaves no Caddy behind.
var launches = sync.OnceValue(func() chan<- func() {
	work := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range work {
			f()
		}
	}()
	return work
})

// launch starts a process that dies with the tests.
func launch(cmd *exec.Cmd) error {
	dieWithParent(cmd)
	result := make(chan error)
	launches() <- func() { result <- cmd.Start() }
	return <-result
}

var leftovers struct {
	sync.Mutex
	all map[*os.Process]bool
}

// watch notes a running process, or that it ended.
func watch(p *os.Process, running bool) {
	leftovers.Lock()
	defer leftovers.Unlock()
	if leftovers.all == nil {
		leftovers.all = make(map[*os.Process]bool)
	}
	if running {
		leftovers.all[p] = true
	} else {
		delete(leftovers.all, p)
	}
}

func killLeftovers() {
	leftovers.Lock()
	defer leftovers.Unlock()
	for p := range leftovers.all {
		_ = p.Kill()
	}
}
