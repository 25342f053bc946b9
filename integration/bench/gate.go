package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// gatePlan says how a Caddy with the gate is to run.
type gatePlan struct {
	caddy  string   // binary; empty: the run's
	gate   []string // lines in the global option gate
	site   []string // lines in the site, in the place of a bare gate
	env    []string
	people int
}

// gate is a running Caddy with the gate, and where it serves.
type gate struct {
	*process
	addr, authority string
	database        string
}

// startGate starts a Caddy of its own with people in its database.
func (b *bench) startGate(ctx context.Context, plan gatePlan) (*gate, []person, error) {
	if plan.caddy == "" {
		plan.caddy = b.caddy
	}
	dir, err := os.MkdirTemp(b.dir, "gate-")
	if err != nil {
		return nil, nil, err
	}
	ports, err := freePorts(1)
	if err != nil {
		return nil, nil, err
	}
	g := &gate{addr: address(ports[0]), authority: authority(proxySite, ports[0]), database: filepath.Join(dir, "gate.db")}
	config := filepath.Join(dir, "Caddyfile")
	if err := os.WriteFile(config, []byte(plan.caddyfile(g, b.upstream.addr)), 0o600); err != nil {
		return nil, nil, err
	}
	env := append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	if err := addUser(ctx, plan.caddy, config, env); err != nil {
		return nil, nil, err
	}
	people, err := settle(ctx, g.database, plan.people, time.Now())
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.Command(plan.caddy, "run", "--config", config, "--adapter", "caddyfile")
	cmd.Env = append(env, plan.env...)
	if g.process, err = startProcess("caddy", cmd, filepath.Join(dir, "log"), nil, b.cores); err != nil {
		return nil, nil, err
	}
	b.running = append(b.running, g.process)
	v := visitor{addr: g.addr, authority: g.authority, credential: "Cookie: " + people[0].cookie}
	if err = g.awaitPort(ctx, g.addr); err == nil {
		err = v.awaitGate(ctx)
	}
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("%w; the last words of its log:\n%s", err, g.lastWords()))
	}
	return g, people, nil
}

// awaitGate waits until the gate is ready, and checks that it does its work.
func (v visitor) awaitGate(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		err := v.check(ctx, stormy, proxySite)
		if err == nil || !strings.Contains(err.Error(), "503") {
			return err
		}
		if wait(ctx, 50*time.Millisecond) != nil {
			return err
		}
	}
}

// caddyfile writes the configuration.
func (p gatePlan) caddyfile(g *gate, upstream string) string {
	site := strings.Join(p.site, "\n\t")
	if site == "" {
		site = "gate"
	}
	return "{\n\tadmin off\n\tauto_https off\n\tpersist_config off\n\tgrace_period 2s\n\tgate {\n\t\tdatabase sqlite " + strconv.Quote(g.database) +
		"\n\t\t" + strings.Join(p.gate, "\n\t\t") + "\n\t}\n}\n\nhttp://" + g.authority + " {\n\tbind 127.0.0.1\n\t" + site +
		"\n\treverse_proxy " + upstream + " {\n\t\ttransport http {\n\t\t\tkeepalive_idle_conns_per_host 512\n\t\t}\n\t}\n}\n"
}
