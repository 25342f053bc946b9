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
	"math/big"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// verifying is a Caddy whose verifier answers for an app behind each proxy.
var verifying = &sharing{ready: people, caddyfile: `{
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

// proxies are the real proxies, each with the files of the documents and how it is
// run.
var proxies = map[string]struct {
	port  string   // under which name the server has a port for it
	files []string // the first is the one that is run
	begin string   // put before the first
	end   string   // put behind it
	run   func(dir, file string) *exec.Cmd
}{
	"nginx": {"HTTPS2", []string{"nginx.conf"},
		"daemon off;\nmaster_process off;\npid DIR/pid;\nerror_log DIR/log;\nevents {\n}\nhttp {\naccess_log off;\nclient_body_temp_path DIR;\nproxy_temp_path DIR;\nfastcgi_temp_path DIR;\nuwsgi_temp_path DIR;\nscgi_temp_path DIR;\n", "}\n",
		func(dir, file string) *exec.Cmd {
			return exec.Command("nginx", "-p", dir, "-c", file, "-e", filepath.Join(dir, "log"))
		}},
	"haproxy": {"HTTPS3", []string{"haproxy.cfg", "gate.lua"}, "", "",
		func(_, file string) *exec.Cmd { return exec.Command("haproxy", "-db", "-f", file) }},
	"caddy": {"HTTP2", []string{"caddy.Caddyfile"}, "{\nadmin off\ndefault_bind 127.0.0.1\nskip_install_trust\nlocal_certs\nauto_https disable_redirects\npersist_config off\n}\n", "",
		func(_, file string) *exec.Cmd {
			binary, _ := caddyBinary()
			return exec.Command(binary, "run", "--config", file, "--adapter", "caddyfile")
		}},
}

// startProxy starts a proxy with the files of the documents, in which addresses,
// ports and certificates are replaced, and gives the origin of the app behind it.
func startProxy(t *testing.T, s *server, kind string) (at string) {
	t.Helper()
	p := proxies[kind]
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
	var log logBuffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &log, &log
	cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir, "PATH="+os.Getenv("PATH")+":/usr/sbin:/usr/local/sbin")
	if cmd.Err != nil { // not in PATH of everybody
		cmd.Path, cmd.Err = filepath.Join("/usr/sbin", kind), nil
	}
	must(t, cmd.Start())
	done := make(chan struct{})
	go func() { _ = cmd.Wait(); close(done) }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-done:
		case <-time.After(patience):
			_ = cmd.Process.Kill()
		}
		if t.Failed() {
			more, _ := os.ReadFile(filepath.Join(dir, "log"))
			t.Logf("%s said:\n%s%s", kind, tail(log.String(), 30), tail(string(more), 30))
		}
	})
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
