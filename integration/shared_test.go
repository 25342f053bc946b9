package integration

import (
	"os"
	"sync"
	"testing"
)

// sharing is a server that several tests use. It lives until all tests are done,
// so those tests must not stop it, reload it or count on being alone.
type sharing struct {
	caddyfile string
	opts      []option
	ready     func(t testing.TB, s *server) // once, before the first test gets it
	once      sync.Once
	server    *server
	err       error
}

var shared struct {
	sync.Mutex
	all []*server
}

// get gives the server, starting it the first time.
func (sh *sharing) get(t testing.TB) *server {
	t.Helper()
	sh.once.Do(func() {
		var dir string
		if dir, sh.err = os.MkdirTemp(workDir, "shared-"); sh.err != nil {
			return
		}
		s := newServer(dir, startUpstream(), sh.caddyfile, sh.opts)
		shared.Lock()
		shared.all = append(shared.all, s)
		shared.Unlock()
		if sh.err = s.firstRun(); sh.err != nil {
			return
		}
		if sh.ready != nil {
			sh.ready(t, s)
		}
		sh.server = s
	})
	if sh.server == nil {
		t.Fatalf("the shared server does not run: %v", sh.err)
	}
	return sh.server
}

// stopShared ends the shared servers and gives their complaints.
func stopShared() []string {
	shared.Lock()
	defer shared.Unlock()
	var complaints []string
	for _, s := range shared.all {
		complaints = append(complaints, s.finish()...)
		s.Upstream.Close()
	}
	return complaints
}
