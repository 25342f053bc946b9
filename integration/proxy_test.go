package integration

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	mathrand "math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// verifying is a Caddy whose verifier answers for an app behind each proxy.
var verifying = &sharing{ready: withMember, caddyfile: `{
	{{.Global}}
	gate {
		{{.Gate}}
		portal https://auth.example.com:{{.HTTPS}}
		trusted_proxies 127.0.0.1
		limits {
			address off
			account off
		}
		policy staff {
			allow group:staff
			public /healthz
			path /vault/* {
				require fresh 10m
			}
			method DELETE {
				allow owner
			}
		}
	}
}
https://auth.example.com:{{.HTTPS}} {
	gate_portal
}
https://direct.example.com:{{.HTTPS}} {
	gate staff
	reverse_proxy {{.Upstream}}
}
http://:{{.HTTP}} {
	gate_verify {
		host nginx.example.com:{{.HTTPS2}} staff
		host haproxy.example.com:{{.HTTPS3}} staff
		host caddy.example.com:{{.HTTP2}} staff
		host traefik.example.com staff
		host envoy.example.com staff
		host *.lab.example.com staff
	}
}
`}

// tess is a member of an organization, and of the group that the policy names.
var tess = someone("tess")

func withMember(t testing.TB, s *server) {
	people(t, s)
	s.addUser(t, tess, "--group", "staff")
	s.must(t, "", "org", "add", "acme", "--owner", tess.Username)
}

// proxies are the real proxies, each with the files of the documents and how it is
// run.
var proxies = map[string]struct {
	port  string   // under which name the server has a port for it
	files []string // the first is the one that is run
	begin string   // put before the first
	end   string   // put behind it
	run   func(dir, file string) *exec.Cmd
	alone *sync.Mutex // they share their port politely, so that two would answer in turn
}{
	"nginx": {"HTTPS2", []string{"nginx.conf"},
		"daemon off;\nmaster_process off;\npid DIR/pid;\nerror_log DIR/log;\nevents {\n}\nhttp {\naccess_log off;\nclient_body_temp_path DIR;\nproxy_temp_path DIR;\nfastcgi_temp_path DIR;\nuwsgi_temp_path DIR;\nscgi_temp_path DIR;\n", "}\n",
		func(dir, file string) *exec.Cmd {
			return exec.Command("nginx", "-p", dir, "-c", file, "-e", filepath.Join(dir, "log"))
		}, new(sync.Mutex)},
	"haproxy": {"HTTPS3", []string{"haproxy.cfg", "gate.lua"}, "", "",
		func(_, file string) *exec.Cmd { return exec.Command("haproxy", "-db", "-f", file) }, new(sync.Mutex)},
	"caddy": {"HTTP2", []string{"caddy.Caddyfile"}, "{\nadmin off\ndefault_bind 127.0.0.1\nskip_install_trust\nlocal_certs\nauto_https disable_redirects\npersist_config off\n}\n", "",
		func(_, file string) *exec.Cmd {
			binary, _ := caddyBinary()
			return exec.Command(binary, "run", "--config", file, "--adapter", "caddyfile")
		}, new(sync.Mutex)},
}

// startProxy starts a proxy with the files of the documents, in which addresses,
// ports and certificates are replaced, and gives the origin of the app behind it.
func startProxy(t *testing.T, s *server, kind string) (at string) {
	t.Helper()
	p := proxies[kind]
	p.alone.Lock()
	t.Cleanup(p.alone.Unlock)
	dir, port := t.TempDir(), fmt.Sprint(s.Vars[p.port])
	host := kind + ".example.com"
	certify(t, filepath.Join(dir, "cert.pem"), host)
	replace := strings.NewReplacer(
		"app.example.com {", host+":"+port+" {", "server_name app.example.com", "server_name "+host,
		"listen 443", "listen 127.0.0.1:"+port, "bind :443", "bind 127.0.0.1:"+port,
		"127.0.0.1:9091", fmt.Sprintf("127.0.0.1:%v", s.Vars["HTTP"]), "127.0.0.1:3000", s.Upstream.addr(),
		"/etc/ssl/app.example.com.pem", filepath.Join(dir, "cert.pem"), "/etc/ssl/app.example.com.key", filepath.Join(dir, "cert.pem"))
	for i, name := range p.files {
		text, err := os.ReadFile(filepath.Join("..", "docs", "forward-auth", name))
		must(t, err)
		whole := replace.Replace(string(text))
		if i == 0 {
			whole = strings.ReplaceAll(p.begin, "DIR", dir) + whole + p.end
		}
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(whole), 0o600))
	}
	cmd := p.run(dir, filepath.Join(dir, p.files[0]))
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir, "PATH="+os.Getenv("PATH")+":/usr/sbin:/usr/local/sbin")
	if cmd.Err != nil { // not in PATH of everybody
		cmd.Path, cmd.Err = filepath.Join("/usr/sbin", kind), nil
	}
	done := runs(t, cmd, filepath.Join(dir, "log"))
	eventually(t, kind+" listens", func() bool {
		c, err := tls.Dial("tcp", "127.0.0.1:"+port, &tls.Config{InsecureSkipVerify: true, ServerName: host})
		if err == nil {
			c.Close()
		}
		return err == nil || ended(done)
	})
	return "https://" + host + ":" + port
}

// certify makes a certificate of its own for a host, with its key in one file.
func certify(t *testing.T, file, host string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	var out bytes.Buffer
	must(t, pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: cert}))
	must(t, pem.Encode(&out, &pem.Block{Type: "PRIVATE KEY", Bytes: private}))
	must(t, os.WriteFile(file, out.Bytes(), 0o600))
}

// What a verifier answers for is explained as what a gate lets through.
func TestExplainVerified(t *testing.T) {
	t.Parallel()
	s := verifying.get(t)
	for _, tt := range []struct{ args, want string }{
		{"https://traefik.example.com/x --user bob", "deny: no allow rule matched"},
		{"https://traefik.example.com/x --user carol", "allow: allow group:staff"},
		{"https://traefik.example.com/healthz", "allow: public /healthz"},
		{"https://any.lab.example.com/x", "sign in: nobody is signed in"},
		{"https://lab.example.com/x", "no gate"},
		{"https://traefik.example.com:8443/x --user carol", "no gate"},
		{fmt.Sprintf("https://nginx.example.com:%v/vault/x --age 1h --user carol", s.Vars["HTTPS2"]), "step up: require fresh 10m, in path /vault/*"},
	} {
		got := s.must(t, "", append([]string{"explain"}, strings.Fields(tt.args)...)...)
		if first, _, _ := strings.Cut(got, "\n"); first != tt.want {
			t.Errorf("%s: got %q, want %q", tt.args, first, tt.want)
		}
	}
}

// Behind each proxy: sign in, reach the app, who one is, sign out, refused; by the
// files of the documents.
func TestProxies(t *testing.T) {
	t.Parallel()
	for kind := range proxies {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := verifying.get(t)
			at := startProxy(t, s, kind)
			b := s.Client(t)

			got := b.fetch(at + "/data")
			if got.StatusCode != 401 || !strings.Contains(got.Body, "login_required") || got.Header.Get("Location") != "" && kind != "nginx" {
				t.Errorf("a program: %s, to %q, %s", got.Status, got.Header.Get("Location"), got.Body)
			}
			if got := b.do("GET", at+"/data", "", header{"Accept", "text/html"}, header{"Sec-Fetch-Mode", "cors"}); got.StatusCode != 401 || got.Header.Get("Location") != "" {
				t.Errorf("a script in a page: %s, to %q", got.Status, got.Header.Get("Location"))
			}
			in := b.arrive(at+"/page?x=1", carol)
			passes(t, in)
			if in.Request.URL.String() != at+"/page?x=1" {
				t.Errorf("after signing in: at %s", in.Request.URL)
			}
			sameIdentity(t, kind, *in.echo(t), map[string]string{"Remote-User": "carol", "Remote-Name": "Carol", "Remote-Email": "carol@example.com", "Remote-Groups": "staff"})
			spoofed := b.get(at+"/page", header{"Remote-User", "alice"}, header{"Remote_User", "alice"}, header{"remote-groups", "owners"})
			sameIdentity(t, kind+", spoofed", *spoofed.echo(t), map[string]string{"Remote-User": "carol", "Remote-Name": "Carol", "Remote-Email": "carol@example.com", "Remote-Groups": "staff"})
			member := s.Client(t)
			passes(t, member.arrive(at+"/page", tess))
			lied := []header{{"Remote-Organization", "evil"}, {"Remote_Organization", "evil"}, {"Remote_Organization_Role", "evil"}, {"Remote-Organization_Role", "evil"}, {"Remote-Organization-Role", "evil"}}
			theirs := member.get(at+"/page", lied...)
			sameIdentity(t, kind+", a member", *theirs.echo(t), map[string]string{"Remote-User": "tess", "Remote-Name": "Tess", "Remote-Email": "tess@example.com", "Remote-Groups": "staff", "Remote-Organization": "acme", "Remote-Organization-Role": "owner"})
			none := b.get(at+"/page", lied...)
			sameIdentity(t, kind+", in no organization", *none.echo(t), map[string]string{"Remote-User": "carol", "Remote-Name": "Carol", "Remote-Email": "carol@example.com", "Remote-Groups": "staff"})
			open := s.Client(t).get(at+"/healthz", header{"Remote-User", "alice"}, header{"Remote_Groups", "owners"}, header{"X-Forwarded-Uri", "/private"})
			passes(t, open)
			sameIdentity(t, kind+", nobody", *open.echo(t), map[string]string{})
			for _, h := range []header{{"X-Forwarded-Uri", "/healthz"}, {"X-Original-Url", "https://" + kind + ".example.com/healthz"}, {"X-Original-Method", "HEAD"},
				{"X-Forwarded-Host", "other.example.com"}, {"X-Forwarded-Method", "OPTIONS"}, {"X-Forwarded-Proto", "http"}, {"X-Original-Uri", "/healthz"}} {
				if got := s.Client(t).fetch(at+"/private", h); got.StatusCode != 401 {
					t.Errorf("with %s: %s: %s", h.name, h.value, got.Status)
				}
			}
			if got := b.do("DELETE", at+"/page", ""); got.StatusCode != 403 {
				t.Errorf("a method that is not allowed: %s", got.Status)
			}
			if got := b.get(at + "/vault/x"); got.StatusCode != 200 {
				t.Errorf("a fresh proof: %s", got.Status)
			}
			outsider := s.Client(t)
			if got := outsider.arrive(at+"/page", bob); got.StatusCode != 403 {
				t.Errorf("who may not: %s at %s\n%.300s", got.Status, got.Request.URL, got.Body)
			}
			if got := b.get(at + "/.gate/whoami"); got.StatusCode != 200 || !strings.Contains(got.Body, "carol") {
				t.Errorf("whoami: %s %s", got.Status, got.Body)
			}
			if got := b.post(at+"/.gate/logout", url.Values{}); got.StatusCode != http.StatusSeeOther {
				t.Errorf("sign-out: %s\n%s", got.Status, got.Body)
			}
			if got := b.fetch(at + "/page"); got.StatusCode != 401 {
				t.Errorf("after signing out: %s", got.Status)
			}
			if got := b.open(at + "/page"); !strings.Contains(got.Request.URL.Path, "/.gate/login") {
				t.Errorf("after signing out a browser is at %s", got.Request.URL)
			}
		})
	}
}

// asks sends a request with a path exactly as it is written.
func (b *browser) asks(method, at, path string) page {
	b.t.Helper()
	r, err := http.NewRequest(method, at, nil)
	must(b.t, err)
	r.URL.Opaque = path
	r.Header["Accept"] = []string{"*/*"}
	resp, err := b.Do(r)
	must(b.t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	must(b.t, err)
	return page{resp, string(text)}
}

// Random requests through the real proxies and directly get the same decision; at the
// most a proxy refuses by itself what the gate would take (P10).
func TestProxiesDecideAlike(t *testing.T) {
	t.Parallel()
	s := verifying.get(t)
	direct := s.at("direct.example.com", "")
	segments := []string{"a", "healthz", "HEALTHZ", "vault", "Vault", "..", ".", "%2e%2e", "%2E", "", "x%2fvault", "..%2fvault", "..;", ";a=b", "%5c..", "%252e%252e", "caf%c3%a9", "%00", "%7e", "healthz%20", "a+b", "a%3fb"}
	methods := []string{"GET", "GET", "HEAD", "POST", "DELETE", "delete", "PROPFIND", "OPTIONS"}
	for kind := range proxies {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			at := startProxy(t, s, kind)
			people := map[string][2]*browser{"nobody": {s.Client(t), s.Client(t)}}
			for _, p := range []person{bob, carol, alice} {
				behind, ahead := s.Client(t), s.Client(t)
				behind.arrive(at+"/page", p)
				ahead.arrive(direct+"/page", p)
				people[p.Username] = [2]*browser{behind, ahead}
			}
			rng := mathrand.New(mathrand.NewPCG(7, uint64(len(kind))))
			tried, same, stricter := 0, 0, 0
			for range times(t, "GATE_TRIES", 150) {
				path := ""
				for range 1 + rng.IntN(4) {
					path += "/" + segments[rng.IntN(len(segments))]
				}
				if strings.HasPrefix(path, "//") {
					path = "/a" + path
				}
				if rng.IntN(3) == 0 {
					path += "?x=/healthz"
				}
				method := methods[rng.IntN(len(methods))]
				for who, b := range people {
					through, plain := b[0].asks(method, at, path).StatusCode, b[1].asks(method, direct, path).StatusCode
					tried++
					switch {
					case through == plain:
						same++
					case through == 400: // by the proxy itself
						stricter++
					default:
						t.Errorf("%s %s as %s: %d behind the proxy, %d directly", method, path, who, through, plain)
					}
				}
			}
			t.Logf("%s: %d requests, %d decided alike, %d refused by the proxy itself", kind, tried, same, stricter)
			if same < tried/2 {
				t.Errorf("only %d of %d are decided alike, %d refused", same, tried, stricter)
			}
		})
	}
}

// exchange is a request of Traefik or Envoy to the verifier as it is on the wire.
func (s *server) exchange(t testing.TB, cookie, line, host string, lines ...string) page {
	t.Helper()
	text := line + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n"
	if cookie != "" {
		text += "Cookie: " + cookie + "\r\n"
	}
	for _, l := range lines {
		text += l + "\r\n"
	}
	return s.raw(t, "HTTP", "", text+"\r\n")
}

// What Traefik 3 and Envoy 1.3x send to the verifier, replayed from their documents.
func TestReplayedProxies(t *testing.T) {
	t.Parallel()
	s := verifying.get(t)
	token := map[string]string{"traefik.example.com": s.siteCookie(t, "traefik.example.com", carol), "envoy.example.com": s.siteCookie(t, "envoy.example.com", carol)}
	ask := func(kind, method, uri, cookie string, more ...string) page {
		host := kind + ".example.com"
		if kind == "envoy" {
			return s.exchange(t, cookie, method+" /verify/envoy"+uri, host, append([]string{"X-Forwarded-Proto: https", "X-Forwarded-For: 192.0.2.7", "X-Envoy-Internal: true"}, more...)...)
		}
		return s.exchange(t, cookie, "GET /verify/traefik", "verifier:9091", append([]string{"X-Forwarded-Method: " + method, "X-Forwarded-Proto: https", "X-Forwarded-Host: " + host,
			"X-Forwarded-Uri: " + uri, "X-Forwarded-For: 192.0.2.7", "X-Forwarded-Server: edge", "X-Forwarded-Port: 443"}, more...)...)
	}
	for _, kind := range []string{"traefik", "envoy"} {
		cookie := token[kind+".example.com"]
		got := ask(kind, "GET", "/page?x=1", cookie)
		if got.StatusCode != 200 || got.Body != "" || got.Header.Get("Remote-User") != "carol" || got.Header.Get("Remote-Groups") != "staff" || got.Header.Get("Cache-Control") != "no-store" || got.Header.Get("Set-Cookie") != "" {
			t.Errorf("%s: somebody: %s, %v, %q", kind, got.Status, got.Header, got.Body)
		}
		got = ask(kind, "GET", "/healthz", "", "Remote-User: alice")
		if got.StatusCode != 200 || got.Body != "" || got.Header.Get("Remote-User") != "" {
			t.Errorf("%s: public: %s, %v", kind, got.Status, got.Header)
		}
		if got = ask(kind, "DELETE", "/page", cookie); got.StatusCode != 403 {
			t.Errorf("%s: a method that is not allowed: %s", kind, got.Status)
		}
		if got = ask(kind, "GET", "/page", ""); got.StatusCode != 401 || !strings.Contains(got.Body, "login_required") {
			t.Errorf("%s: a program: %s", kind, got.Status)
		}
		got = ask(kind, "GET", "/page?x=1", "", "Accept: text/html", "Sec-Fetch-Mode: navigate")
		to := got.Header.Get("Location")
		if got.StatusCode != 302 || kind == "traefik" && (!strings.HasPrefix(to, s.at("auth.example.com", "/.gate/login?flow=")) || !strings.Contains(got.Header.Get("Set-Cookie"), "__Host-gate-flow=")) ||
			kind == "envoy" && to != "https://envoy.example.com/.gate/login?return_to=%2Fpage%3Fx%3D1" {
			t.Errorf("%s: a browser: %s to %s, %v", kind, got.Status, to, got.Header)
		}
		if got = ask(kind, "POST", "/page", "", "Accept: text/html", "Sec-Fetch-Mode: navigate"); got.StatusCode != 303 {
			t.Errorf("%s: a browser's form: %s", kind, got.Status)
		}
		// A page of ours never becomes a yes.
		for _, path := range []string{"/.gate/whoami", "/.gate/login", "/.gate/health", "/.gate/assets/gate.css", "/.gate/logout", "/x/../.gate/whoami", "/.gate", "/.gate/nonsense"} {
			if got := ask(kind, "GET", path, cookie); got.StatusCode < 300 {
				t.Errorf("%s: %s: %s", kind, path, got.Status)
			}
		}
		if got := ask(kind, "GET", "/%zz", cookie); got.StatusCode/100 != 4 { // P11
			t.Errorf("%s: a malformed address: %s", kind, got.Status)
		}
	}
	// The hand-off comes back through Traefik's verifier.
	got := ask("traefik", "GET", "/.gate/callback?code=made-up", "__Host-gate-flow=made-up")
	if got.StatusCode < 300 || got.StatusCode == 404 {
		t.Errorf("a made-up hand-off: %s", got.Status)
	}
	for _, host := range []string{"other.example.com", "lab.example.com", "a.b.lab.example.com", "auth.example.com", "direct.example.com", "traefik.example.com.", "127.0.0.1"} {
		if got := s.exchange(t, "", "GET /verify/traefik", "v", "X-Forwarded-Method: GET", "X-Forwarded-Proto: https", "X-Forwarded-Host: "+host, "X-Forwarded-Uri: /healthz"); got.StatusCode != 403 {
			t.Errorf("a host that no line names, %s: %s", host, got.Status)
		}
	}
	if got := s.exchange(t, "", "GET /verify/traefik", "v", "X-Forwarded-Method: GET", "X-Forwarded-Proto: https", "X-Forwarded-Host: one.lab.example.com", "X-Forwarded-Uri: /healthz"); got.StatusCode != 200 {
		t.Errorf("a host below the domain: %s", got.Status)
	}
	if got := s.exchange(t, token["traefik.example.com"], "GET /verify/traefik", "v", "X-Forwarded-Method: GET", "X-Forwarded-Proto: https", "X-Forwarded-Host: one.lab.example.com", "X-Forwarded-Uri: /page"); got.StatusCode != 401 {
		t.Errorf("with the cookie of another host: %s", got.Status)
	}
}

// siteCookie is the cookie of somebody on a host that a verifier answers for.
func (s *server) siteCookie(t testing.TB, host string, p person) string {
	t.Helper()
	b := s.Client(t)
	b.login(s.at("auth.example.com", ""), p)
	lines := []string{"X-Forwarded-Proto: https", "Sec-Fetch-Mode: navigate", "Accept: text/html"}
	begin := s.exchange(t, "", "GET /.gate/login?return_to=/x", host, lines...)
	flow, _, _ := strings.Cut(begin.Header.Get("Set-Cookie"), ";")
	back := b.get(begin.location())
	to, err := url.Parse(back.location())
	must(t, err)
	if to.Host != host {
		t.Fatalf("the portal leads to %s, not to %s", to, host)
	}
	end := s.exchange(t, flow, "GET "+to.RequestURI(), host, lines...)
	for _, set := range end.Header.Values("Set-Cookie") {
		if cookie, _, _ := strings.Cut(set, ";"); strings.HasPrefix(cookie, "__Host-gate=") {
			return cookie
		}
	}
	t.Fatalf("the hand-off: %s, %v", end.Status, end.Header)
	return ""
}

// P4: who is not in trusted_proxies is not heard, whatever it says of itself.
func TestP4_StrangersMayNotAsk(t *testing.T) {
	t.Parallel()
	s := start(t, `{
	{{.Global}}
	gate {
		{{.Gate}}
		portal http://auth.localhost:{{.HTTP}}
		trusted_proxies 192.0.2.0/24
		policy staff {
			allow everyone
			public /healthz
		}
	}
}
http://auth.localhost:{{.HTTP}} {
	gate_portal
}
http://:{{.HTTP2}} {
	gate_verify {
		host app.example.com staff
	}
}
`)
	for _, path := range []string{"/verify/traefik", "/verify/nginx", "/verify/caddy", "/verify/haproxy", "/verify/envoy/healthz", "/.gate/login", "/.gate/whoami"} {
		got := s.Client(t).do("GET", s.URL("HTTP2", "app.example.com")+path, "", header{"X-Forwarded-For", "192.0.2.7"}, header{"X-Forwarded-Method", "GET"}, header{"X-Forwarded-Proto", "https"},
			header{"X-Forwarded-Host", "app.example.com"}, header{"X-Forwarded-Uri", "/healthz"}, header{"X-Original-Url", "https://app.example.com/healthz"}, header{"X-Original-Method", "GET"})
		if got.StatusCode != 403 || !strings.Contains(got.Body, "not_trusted") {
			t.Errorf("%s: %s %s", path, got.Status, got.Body)
		}
	}
	if _, err := tryStart(t, "{\n\t{{.Global}}\n\tgate {\n\t\t{{.Gate}}\n\t}\n}\nhttp://:{{.HTTP}} {\n\tgate_verify {\n\t\thost app.example.com\n\t}\n}\n"); err == nil || !strings.Contains(err.Error(), "trusted_proxies") {
		t.Errorf("without trusted_proxies: %v", err)
	}
}
