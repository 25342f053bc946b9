package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// The person whose requests are measured. The password protects nothing but a
// database in a temporary directory.
const (
	userName     = "alice"
	userEmail    = "alice@example.com"
	userPassword = "tidal-lantern-47-orchard"
)

// instance is one running Caddy.
type instance struct {
	*process
	variant  variant
	pinned   bool
	ports    map[site]int
	requests map[site][]byte // ready to be sent, credentials included
}

// caddyPlan is what a Caddyfile is made of.
type caddyPlan struct {
	variant      variant
	ports        map[site]int
	upstream     string
	database     string // file of the gate's database
	passwordHash string // bcrypt, for basic_auth
}

// caddyfile writes the configuration. The variants differ in their login and
// nothing else.
func (p caddyPlan) caddyfile() string {
	var b strings.Builder
	b.WriteString("{\n\tadmin off\n\tauto_https off\n\tpersist_config off\n\tgrace_period 2s\n")
	if p.variant == gated {
		fmt.Fprintf(&b, "\tgate {\n\t\tdatabase sqlite %q\n\t}\n", p.database)
	}
	b.WriteString("}\n")
	p.writeSite(&b, proxySite, "\treverse_proxy "+p.upstream+" {\n"+
		"\t\ttransport http {\n\t\t\tkeepalive_idle_conns_per_host 512\n\t\t}\n\t}\n")
	p.writeSite(&b, respondSite, fmt.Sprintf("\trespond %q\n", respondBody))
	return b.String()
}

// writeSite writes one site block with the variant's login.
func (p caddyPlan) writeSite(b *strings.Builder, s site, handler string) {
	fmt.Fprintf(b, "\nhttp://%s {\n\tbind 127.0.0.1\n", authority(s, p.ports[s]))
	switch p.variant {
	case gated:
		b.WriteString("\tgate\n")
	case basicAuth:
		fmt.Fprintf(b, "\tbasic_auth {\n\t\t%s %s\n\t}\n", userName, p.passwordHash)
	}
	b.WriteString(handler + "}\n")
}

// authority is host and port of a site, as in the Host header.
func authority(s site, port int) string { return s.host() + ":" + strconv.Itoa(port) }

// address is where a site is dialled.
func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// startCaddy starts a variant in a directory of its own, signs in where that
// is called for, and checks that both sites do what the variant promises.
func (b *bench) startCaddy(ctx context.Context, v variant, pinned bool) (*instance, error) {
	name := string(v)
	upstream, cores := b.upstream, []int(nil)
	if pinned {
		name += "-pinned"
		upstream, cores = b.pinnedUpstream, b.layout.caddy
	}
	dir := filepath.Join(b.dir, name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	plan := caddyPlan{
		variant:      v,
		ports:        map[site]int{proxySite: ports[0], respondSite: ports[1]},
		upstream:     upstream.addr,
		database:     filepath.Join(dir, "gate.db"),
		passwordHash: b.passwordHash,
	}
	config := filepath.Join(dir, "Caddyfile")
	if err := os.WriteFile(config, []byte(plan.caddyfile()), 0o600); err != nil {
		return nil, err
	}
	env := append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	if v == gated {
		if err := addUser(ctx, b.caddy, config, env); err != nil {
			return nil, err
		}
	}
	cmd := exec.Command(b.caddy, "run", "--config", config, "--adapter", "caddyfile")
	cmd.Env = env
	p, err := startProcess("caddy "+name, cmd, filepath.Join(dir, "log"), cores, b.cores)
	if err != nil {
		return nil, err
	}
	in := &instance{process: p, variant: v, pinned: pinned, ports: plan.ports, requests: map[site][]byte{}}
	b.running = append(b.running, p)
	if err := in.prepare(ctx); err != nil {
		return nil, fmt.Errorf("%s: %w; the last words of its log:\n%s", p.name, err, p.lastWords())
	}
	return in, nil
}

// prepare waits for both sites, signs in and checks them.
func (in *instance) prepare(ctx context.Context) error {
	for _, s := range []site{proxySite, respondSite} {
		if err := in.awaitPort(ctx, address(in.ports[s])); err != nil {
			return err
		}
		v := visitor{addr: address(in.ports[s]), authority: authority(s, in.ports[s])}
		if in.variant == gated {
			cookie, err := v.signIn(ctx)
			if err != nil {
				return fmt.Errorf("sign in at the %s site: %w", s, err)
			}
			v.credential = "Cookie: " + cookie
		}
		if in.variant == basicAuth {
			v.credential = basicCredential()
		}
		if err := v.check(ctx, in.variant, s); err != nil {
			return fmt.Errorf("check the %s site: %w", s, err)
		}
		in.requests[s] = v.request("/")
	}
	return nil
}

// upstream is the running app behind the proxies.
type upstream struct {
	*process
	addr string
}

// startUpstream starts this binary as the upstream.
func (b *bench) startUpstream(ctx context.Context, name string, cores []int) (*upstream, error) {
	return b.startAnswering(ctx, name, upstreamMode, cores)
}

// startAnswering starts this binary in a mode in which it answers.
func (b *bench) startAnswering(ctx context.Context, name, mode string, cores []int) (*upstream, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, mode)
	if _, err := cmd.StdinPipe(); err != nil { // open as long as we are: that is how it notices our end
		return nil, err
	}
	said, says, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer said.Close()
	cmd.Stdout = says
	p, err := startProcess(name, cmd, filepath.Join(b.dir, name+".log"), cores, b.cores)
	says.Close() // the child has its own
	if err != nil {
		return nil, err
	}
	b.running = append(b.running, p)
	u := &upstream{process: p}
	if _, err := fmt.Fscanln(said, &u.addr); err != nil {
		return nil, fmt.Errorf("%s tells no address: %w; its last words:\n%s", name, err, p.lastWords())
	}
	return u, p.awaitPort(ctx, u.addr)
}
