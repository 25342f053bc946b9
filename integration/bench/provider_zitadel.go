package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// zitadel is the example of zitadel's provider, in Go with its storage in memory.
type zitadel struct {
	*process
	endpoints
	refresh []string
}

// zitadelModule is a module of its own, beside this package.
const zitadelModule = "integration/bench/zitadel"

// startZitadel builds it and starts it.
func (b *bench) startZitadel(ctx context.Context) (*zitadel, error) {
	binary, err := filepath.Abs(filepath.Join(b.dir, "zitadel"))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", binary, ".")
	build.Dir, build.SysProcAttr = zitadelModule, childAttributes()
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build in %s: %w: %.500s", zitadelModule, err, out)
	}
	cmd := exec.Command(binary)
	if _, err := cmd.StdinPipe(); err != nil { // open as long as we are: that is how it notices our end
		return nil, err
	}
	said, says, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer said.Close()
	cmd.Stdout = says
	p, err := startProcess("zitadel's example", cmd, filepath.Join(b.dir, "zitadel.log"), nil, b.cores)
	says.Close() // the child has its own
	if err != nil {
		return nil, err
	}
	b.running = append(b.running, p)
	var told struct {
		Addr    string   `json:"addr"`
		Refresh []string `json:"refresh"`
	}
	if err := json.NewDecoder(said).Decode(&told); err != nil {
		return nil, fmt.Errorf("zitadel's example tells no address: %w; its last words:\n%s", err, p.lastWords())
	}
	z := &zitadel{p, endpoints{addr: told.Addr, authority: told.Addr, token: "/oauth/token", introspect: "/oauth/introspect", device: "/device_authorization"}, told.Refresh}
	return z, p.awaitPort(ctx, z.addr)
}
