package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// The variants of a proxy in front of an app.
const (
	unasked  variant = "no auth"   // nobody is asked
	limit200 variant = "limit"     // it asks a server that only says 200, with an empty body
	caddy200 variant = "caddy 200" // it asks a Caddy that only says 200
	asksGate variant = "gate"      // it asks the verifier
)

// frontKind is a kind of proxy that asks.
type frontKind struct {
	name, title string
	config      func(f frontPlan) string
	command     func(b *bench, config string) *exec.Cmd
}

// frontPlan is what a proxy's configuration is made of. Each variant has a port.
type frontPlan struct {
	dir      string
	ports    map[variant]int
	upstream string
	asked    map[variant]string // address and path of who is asked
	verifier string
}

var forwardVariants = []variant{limit200, unasked, caddy200, asksGate}

// forward is a comparison between the variants of one kind of proxy.
type forward struct {
	name string
	kind frontKind
	over variant // what the others are compared with
	target
}

// The targets: of the limit, and of no auth through Caddy, where oauth2-proxy
// reaches 0.44 and Authelia 0.35 (docs/scoreboard.md).
var forwards = []forward{
	{"forward-caddy", frontCaddy, limit200, target{byLimit, 0.9}},
	{"forward-caddy-bare", frontCaddy, unasked, target{byUnasked, 0.55}},
	{"forward-nginx", frontNginx, limit200, target{byLimit, 0.9}},
}

var frontCaddy = frontKind{"caddy", "Caddy's forward_auth, 64 connections, closed loop",
	func(f frontPlan) string {
		var b strings.Builder
		b.WriteString("{\n\tadmin off\n\tauto_https off\n\tpersist_config off\n\tgrace_period 2s\n}\n")
		transport := "\t\ttransport http {\n\t\t\tkeepalive_idle_conns_per_host 512\n\t\t}\n"
		for _, v := range forwardVariants {
			fmt.Fprintf(&b, "http://localhost:%d {\n\tbind 127.0.0.1\n\thandle /.gate/* {\n\t\treverse_proxy %s\n\t}\n\thandle {\n", f.ports[v], f.verifier)
			if addr, path, ok := strings.Cut(f.asked[v], "/"); ok {
				fmt.Fprintf(&b, "\trequest_header -Remote_*\n\trequest_header -Remote-Organization_*\n\tforward_auth %s {\n\t\turi /%s\n\t\tcopy_headers Remote-User Remote-Groups Remote-Name Remote-Email Remote-Organization Remote-Organization-Role\n%s\t}\n", addr, path, transport)
			}
			fmt.Fprintf(&b, "\treverse_proxy %s {\n%s\t}\n\t}\n}\n", f.upstream, transport)
		}
		return b.String()
	},
	func(b *bench, config string) *exec.Cmd {
		return exec.Command(b.caddy, "run", "--config", config, "--adapter", "caddyfile")
	}}

// frontNginx runs in one process, so that its processor time is known.
var frontNginx = frontKind{"nginx", "nginx auth_request, 64 connections, closed loop",
	func(f frontPlan) string {
		var b strings.Builder
		fmt.Fprintf(&b, "daemon off;\nmaster_process off;\npid %s/pid;\nerror_log stderr;\nevents {\n\tworker_connections 4096;\n}\nhttp {\n\taccess_log off;\n", f.dir)
		for _, path := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
			fmt.Fprintf(&b, "\t%s_temp_path %s/%s;\n", path, f.dir, path)
		}
		b.WriteString("\tkeepalive_requests 1000000000;\n\tproxy_http_version 1.1;\n\tproxy_set_header Connection \"\";\n")
		upstream := func(name, addr string) {
			fmt.Fprintf(&b, "\tupstream %s {\n\t\tserver %s;\n\t\tkeepalive 512;\n\t\tkeepalive_requests 1000000000;\n\t}\n", name, addr)
		}
		upstream("app", f.upstream)
		upstream("verifier", f.verifier)
		for i, v := range forwardVariants {
			asked, path, asks := strings.Cut(f.asked[v], "/")
			if asks {
				upstream(fmt.Sprint("asked", i), asked)
			}
			fmt.Fprintf(&b, "\tserver {\n\t\tlisten 127.0.0.1:%d;\n\t\tserver_name localhost;\n\t\tlocation / {\n", f.ports[v])
			if asks {
				b.WriteString("\t\t\tauth_request /gate-verify;\n")
				for _, h := range []string{"user", "groups", "name", "email"} {
					fmt.Fprintf(&b, "\t\t\tauth_request_set $gate_%s $upstream_http_remote_%s;\n\t\t\tproxy_set_header Remote-%s $gate_%s;\n", h, h, h, h)
				}
			}
			b.WriteString("\t\t\tproxy_set_header Host $http_host;\n\t\t\tproxy_set_header Connection \"\";\n\t\t\tproxy_pass http://app;\n\t\t}\n")
			b.WriteString("\t\tlocation /.gate/ {\n\t\t\tproxy_set_header Host $http_host;\n\t\t\tproxy_set_header X-Forwarded-For $remote_addr;\n\t\t\tproxy_set_header X-Forwarded-Proto $scheme;\n\t\t\tproxy_set_header Connection \"\";\n\t\t\tproxy_pass http://verifier;\n\t\t}\n")
			if asks {
				fmt.Fprintf(&b, "\t\tlocation = /gate-verify {\n\t\t\tinternal;\n\t\t\tproxy_pass http://asked%d/%s;\n\t\t\tproxy_pass_request_body off;\n", i, path)
				for _, h := range []string{"Content-Length \"\"", "Connection \"\"", "Host $http_host", "X-Original-URL $scheme://$http_host$request_uri", "X-Original-Method $request_method", "X-Forwarded-For $remote_addr"} {
					fmt.Fprintf(&b, "\t\t\tproxy_set_header %s;\n", h)
				}
				b.WriteString("\t\t}\n")
			}
			b.WriteString("\t}\n")
		}
		return b.String() + "}\n"
	},
	func(_ *bench, config string) *exec.Cmd {
		name, err := exec.LookPath("nginx")
		if err != nil {
			name = "/usr/sbin/nginx" // not in everybody's PATH
		}
		return exec.Command(name, "-p", filepath.Dir(config), "-c", config)
	}}

// front is a running proxy with a site for each variant.
type front struct {
	*process
	plan     frontPlan
	requests map[variant][]byte
}

// measureForward measures proxies that ask the verifier, those that ask a server that
// only says 200, and those that ask nobody.
func measureForward(ctx context.Context, b *bench, opts options, progress io.Writer) ([]scenarioReport, error) {
	var reports []scenarioReport
	for _, kind := range []frontKind{frontCaddy, frontNginx} {
		var mine []scenarioReport
		for _, f := range opts.forwards {
			if f.kind.name == kind.name {
				sc := scenario{name: f.name, title: kind.title, conns: 64, slice: shortSlice, ramp: shortRamp, stretch: 1, target: f.target}
				order := append([]variant{f.over}, slices.DeleteFunc(slices.Clone(forwardVariants), func(v variant) bool { return v == f.over })...)
				r := newScenarioReports(options{scenarios: []scenario{sc}, variants: order, duration: opts.duration})[0]
				r.RatioOf = f.Kind
				mine = append(mine, r)
			}
		}
		if len(mine) == 0 {
			continue
		}
		f, err := b.startFront(ctx, kind)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", mine[0].Name, err)
		}
		for round := range opts.rounds {
			parts, err := b.forwardRound(ctx, f, opts, round)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", mine[0].Name, err)
			}
			for i := range mine {
				mine[i].add(parts)
			}
			for v, all := range parts {
				for _, s := range all {
					if s.failure != nil {
						return nil, fmt.Errorf("%s, %s: %w", mine[0].Name, v, s.failure)
					}
				}
			}
			fmt.Fprintf(progress, "round %d/%d  %s\n", round+1, opts.rounds, mine[0].lastRound())
		}
		f.stop()
		reports = append(reports, mine...)
	}
	return reports, nil
}

// forwardRound measures all variants of one proxy in turns of short slices.
func (b *bench) forwardRound(ctx context.Context, f *front, opts options, round int) (map[variant][]slice, error) {
	clients := make(map[variant][]*client)
	jobs := make(map[variant]job)
	for _, v := range forwardVariants {
		j := job{addr: address(f.plan.ports[v]), request: f.requests[v], want: []byte(upstreamBody), conns: 64, ramp: shortRamp, measure: shortSlice}
		all, err := dialAll(ctx, j.addr, j.conns)
		if err != nil {
			return nil, err
		}
		defer closeAll(all)
		clients[v], jobs[v] = all, j
	}
	parts := make(map[variant][]slice)
	turns := max(1, int(opts.duration/shortSlice))
	for t := -1; t < turns; t++ {
		for _, v := range turn(forwardVariants, round*turns+max(t, 0)) {
			s, err := measureSlice(ctx, jobs[v], clients[v], pids{caddy: f.pid(), upstream: b.upstream.pid()})
			if err != nil {
				return nil, fmt.Errorf("%s: %w", v, err)
			}
			if t >= 0 || s.failed > 0 {
				parts[v] = append(parts[v], s)
			}
			if s.failed > 0 {
				return parts, nil
			}
		}
	}
	return parts, nil
}

// startFront starts the verifier, those that only say 200, and a proxy, and signs in.
func (b *bench) startFront(ctx context.Context, kind frontKind) (*front, error) {
	dir := filepath.Join(b.dir, "forward-"+kind.name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	ports, err := freePorts(len(forwardVariants) + 2)
	if err != nil {
		return nil, err
	}
	yes, err := b.startAnswering(ctx, "says-200-"+kind.name, limitMode, nil)
	if err != nil {
		return nil, err
	}
	p := frontPlan{dir: dir, ports: make(map[variant]int), upstream: b.upstream.addr, verifier: address(ports[0])}
	p.asked = map[variant]string{limit200: yes.addr + "/verify", caddy200: address(ports[1]) + "/verify", asksGate: p.verifier + "/verify/" + kind.name}
	for i, v := range forwardVariants {
		p.ports[v] = ports[2+i]
	}
	verifier := filepath.Join(dir, "verifier.Caddyfile")
	text := fmt.Sprintf("{\n\tadmin off\n\tauto_https off\n\tpersist_config off\n\tgrace_period 2s\n\tgate {\n\t\tdatabase sqlite %q\n\t\ttrusted_proxies 127.0.0.1\n\t}\n}\n"+
		"http://:%d {\n\tbind 127.0.0.1\n\tgate_verify {\n\t\thost http://localhost:%d\n\t}\n}\nhttp://:%d {\n\tbind 127.0.0.1\n\trespond 200\n}\n",
		filepath.Join(dir, "gate.db"), ports[0], p.ports[asksGate], ports[1])
	config := filepath.Join(dir, "front.conf")
	for name, text := range map[string]string{verifier: text, config: kind.config(p)} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	env := append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	if err := addUser(ctx, b.caddy, verifier, env); err != nil {
		return nil, err
	}
	for _, one := range []struct {
		name string
		cmd  *exec.Cmd
		port int
	}{{"verifier-" + kind.name, exec.Command(b.caddy, "run", "--config", verifier, "--adapter", "caddyfile"), ports[0]}, {"front-" + kind.name, kind.command(b, config), p.ports[asksGate]}} {
		one.cmd.Env = env
		started, err := startProcess(one.name, one.cmd, filepath.Join(dir, one.name+".log"), nil, b.cores)
		if err != nil {
			return nil, err
		}
		b.running = append(b.running, started)
		if err := started.awaitPort(ctx, address(one.port)); err != nil {
			return nil, fmt.Errorf("%w; the last words of its log:\n%s", err, started.lastWords())
		}
	}
	f := &front{process: b.running[len(b.running)-1], plan: p, requests: make(map[variant][]byte)}
	return f, f.signIn(ctx)
}

// signIn signs in behind the proxy, and checks that each variant does what it is
// measured as.
func (f *front) signIn(ctx context.Context) error {
	at := func(v variant) visitor {
		return visitor{addr: address(f.plan.ports[v]), authority: fmt.Sprintf("localhost:%d", f.plan.ports[v])}
	}
	cookie, err := at(asksGate).signIn(ctx)
	if err != nil {
		return err
	}
	for _, v := range forwardVariants {
		who := at(v)
		who.credential = "Cookie: " + cookie
		f.requests[v] = who.request("/")
		resp, body, err := who.get(ctx, echoPath, true)
		if err != nil {
			return err
		}
		if told := strings.Contains(strings.ToLower(body), "remote-user: "+userName); resp.StatusCode != http.StatusOK || told != (v == asksGate) {
			return fmt.Errorf("%s: %s, and the app is told %q", v, resp.Status, body)
		}
		want := http.StatusOK
		if v == asksGate {
			want = http.StatusUnauthorized
		}
		if resp, _, err := who.get(ctx, "/", false); err != nil || resp.StatusCode != want {
			return fmt.Errorf("%s: who has not signed in gets %v, %w", v, resp, err)
		}
	}
	return nil
}

// planForward is how long that takes.
func (o options) planForward() time.Duration {
	kinds := make(map[string]bool)
	for _, f := range o.forwards {
		kinds[f.kind.name] = true
	}
	sc := scenario{conns: 64, slice: shortSlice, ramp: shortRamp, stretch: 1}
	return time.Duration(len(kinds)*len(forwardVariants)) * sc.planned(o.duration)
}
