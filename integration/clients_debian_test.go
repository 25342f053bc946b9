package integration

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore/web/api"
)

// apacheFile has mod_auth_openidc sign people in under /orders, and take access tokens under
// /api, about which it asks the issuer. The second address is for the issuer alone.
const apacheFile = `ServerRoot {{.Folder}}
DefaultRuntimeDir {{.Folder}}
ServerName orders.example.com
PidFile {{.Folder}}/pid
ErrorLog {{.Folder}}/log
Mutex sem
LoadModule mpm_event_module {{.Modules}}/mod_mpm_event.so
LoadModule authn_core_module {{.Modules}}/mod_authn_core.so
LoadModule authz_core_module {{.Modules}}/mod_authz_core.so
LoadModule authz_user_module {{.Modules}}/mod_authz_user.so
LoadModule headers_module {{.Modules}}/mod_headers.so
LoadModule alias_module {{.Modules}}/mod_alias.so
LoadModule ssl_module {{.Modules}}/mod_ssl.so
LoadModule auth_openidc_module {{.Modules}}/mod_auth_openidc.so
User nobody
Group nogroup
StartServers 1
AcceptFilter http none
AcceptFilter https none
Listen 127.0.0.1:{{.HTTP2}}
Listen 127.0.0.1:{{.HTTPS2}}
Alias /orders {{.Folder}}/page
Alias /api {{.Folder}}/page
OIDCProviderMetadataURL {{.Issuer}}/.well-known/openid-configuration
OIDCCABundlePath {{.Folder}}/authority.pem
OIDCClientID {{.ClientID}}
OIDCClientSecret {{.Secret}}
OIDCRedirectURI /orders/callback
OIDCCryptoPassphrase a-passphrase-of-this-test
OIDCScope "openid profile email offline_access"
OIDCPKCEMethod S256
OIDCRemoteUserClaim preferred_username
OIDCInfoHook access_token id_token userinfo
OIDCOAuthIntrospectionEndpoint {{.Issuer}}/.gate/oauth/introspect
OIDCOAuthClientID {{.ClientID}}
OIDCOAuthClientSecret {{.Secret}}
OIDCOAuthRemoteUserClaim username
OIDCOAuthTokenIntrospectionInterval -1
<Directory {{.Folder}}>
	AllowOverride None
	Header always set X-Name expr=%{REMOTE_USER}
	Require all granted
</Directory>
<Location /orders>
	AuthType openid-connect
	Require valid-user
</Location>
<Location /api>
	AuthType oauth20
	Require claim client_id:{{.ClientID}}
</Location>
<VirtualHost 127.0.0.1:{{.HTTPS2}}>
	SSLEngine on
	SSLCertificateFile {{.Folder}}/cert.pem
	SSLCertificateKeyFile {{.Folder}}/cert.pem
</VirtualHost>
`

// apacheAt runs Apache with it as a client of the issuer, and gives the origin of its site.
func (i *issuer) apacheAt(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "gatehouse-apache") // whose processes are another user's
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	must(t, os.Chmod(folder, 0o755))
	modules, _ := filepath.Glob("/usr/lib*/*/modules/mod_auth_openidc.so")
	if len(modules) == 0 {
		t.Fatal("mod_auth_openidc is not installed: run integration/setup.sh")
	}
	at := fmt.Sprintf("https://orders.example.com:%v", i.Vars["HTTPS2"])
	made := i.service(t, api.NewService{Name: "Orders", RedirectURIs: []string{at + "/orders/callback"}, LogoutURIs: []string{at + "/orders/bye"},
		LogoutURI: fmt.Sprintf("http://127.0.0.1:%v/orders/callback?logout=backchannel", i.Vars["HTTP2"])})
	for k, v := range map[string]any{"Folder": folder, "Modules": filepath.Dir(modules[0]), "Issuer": i.at, "ClientID": made.ClientID, "Secret": made.Secret} {
		i.Vars[k] = v
	}
	text, err := i.render(apacheFile)
	must(t, err)
	authority, err := os.ReadFile(i.authority())
	must(t, err)
	must(t, os.Mkdir(filepath.Join(folder, "page"), 0o755))
	for name, content := range map[string][]byte{"httpd.conf": []byte(text), "authority.pem": authority, "page/list": []byte("the orders"), "page/bye": []byte("bye")} {
		must(t, os.WriteFile(filepath.Join(folder, name), content, 0o644))
	}
	certify(t, filepath.Join(folder, "cert.pem"), "orders.example.com")
	binary, err := exec.LookPath("apache2")
	if err != nil {
		binary = "/usr/sbin/apache2"
	}
	cmd := exec.Command(binary, "-D", "FOREGROUND", "-f", filepath.Join(folder, "httpd.conf"))
	runs(t, cmd, filepath.Join(folder, "log"))
	eventually(t, "Apache listens", func() bool {
		r, err := i.Client(t).Client.Get(at + "/")
		if err == nil {
			r.Body.Close()
		}
		return err == nil
	})
	return at
}

// runs runs a program until the test ends, and shows what it said, and wrote into a file, where
// that fails. It gives what is closed when the program has ended.
func runs(t *testing.T, cmd *exec.Cmd, log string) <-chan struct{} {
	t.Helper()
	var said logBuffer
	cmd.Stdout, cmd.Stderr = &said, &said
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
			more, _ := os.ReadFile(log)
			t.Logf("%s said:\n%s%s", filepath.Base(cmd.Path), tail(said.String(), 30), tail(string(more), 30))
		}
	})
	return done
}

// TestApache is Apache's mod_auth_openidc: a site behind it, and an API.
func TestApache(t *testing.T) {
	everyDatabase(t, func(t *testing.T, c *cluster) {
		i := startIssuer(t, c)
		at := i.apacheAt(t)
		b := i.Client(t)
		signIn := func() page {
			t.Helper()
			back := i.answerOf(i.agree(b, b.get(at+"/orders/list").location(), ann))
			if !strings.HasPrefix(back.At, at+"/orders/callback?") {
				t.Fatalf("signed in, and led to %s", back.At)
			}
			return b.follow(b.get(back.At))
		}
		page := signIn()
		if page.StatusCode != http.StatusOK || page.Body != "the orders" || page.Header.Get("X-Name") != "ann" {
			t.Fatalf("%s: %s, as %q\n%s", page.Request.URL, page.Status, page.Header.Get("X-Name"), page.Body)
		}
		type told struct {
			Token    string         `json:"access_token"`
			ID       map[string]any `json:"id_token"`
			Userinfo map[string]any `json:"userinfo"`
		}
		info := func() (in told) {
			t.Helper()
			got := b.fetch(at + "/orders/callback?info=json")
			if err := json.Unmarshal([]byte(got.Body), &in); err != nil {
				t.Fatalf("%s: %v\n%s", got.Status, err, got.Body)
			}
			return in
		}
		first := info()
		says(t, "the ID token", first.ID, map[string]any{"iss": i.at, "preferred_username": "ann"})
		says(t, "userinfo", first.Userinfo, map[string]any{"sub": first.ID["sub"], "email": "ann@example.com"})

		asks := func(token string) apacheSaid {
			got := i.Client(t).fetch(at+"/api/list", header{"Authorization", "Bearer " + token})
			return apacheSaid{got.StatusCode, got.Header.Get("X-Name")}
		}
		if got := asks(first.Token); got != (apacheSaid{200, "ann"}) {
			t.Errorf("the API: %v", got)
		}
		if got := asks(first.Token + "x"); got.status != http.StatusUnauthorized {
			t.Errorf("the API, with a token that is none: %v", got)
		}
		refreshed := b.follow(b.get(at + "/orders/callback?refresh=" + url.QueryEscape(at+"/orders/list") + "&access_token=" + url.QueryEscape(first.Token)))
		if second := info(); refreshed.Body != "the orders" || second.Token == first.Token || asks(second.Token) != (apacheSaid{200, "ann"}) {
			t.Errorf("refreshed: %s %s\n%s", refreshed.Request.URL, refreshed.Status, refreshed.Body)
		}

		// A sign-out at the portal ends the session of the app, and its tokens.
		i.must(t, "", "session", "revoke", "--user", "ann")
		eventually(t, "signed out by the back channel", func() bool { return b.get(at+"/orders/list").StatusCode == http.StatusFound })

		// And one at the app that at the portal.
		page = signIn()
		out := i.agree(b, b.get(at+"/orders/callback?logout="+url.QueryEscape(at+"/orders/bye")).location(), ann)
		if to := leadsTo(out); to != at+"/orders/bye" {
			t.Errorf("signed out, and led to %q: %s %s", to, out.Request.URL, out.Status)
		}
		if got := b.fetch(i.at + "/.gate/whoami"); got.StatusCode != http.StatusUnauthorized {
			t.Errorf("after the sign-out: %s", got.Status)
		}
		t.Log("mod_auth_openidc: signed in, claims, userinfo, introspection, refreshed, signed out by the back channel and by itself")
	})
}

// TestOIDCAgent is oidc-agent, which signs in as a device and gives other programs access
// tokens.
func TestOIDCAgent(t *testing.T) {
	everyDatabase(t, func(t *testing.T, c *cluster) {
		i := startIssuer(t, c)
		made := i.service(t, api.NewService{Type: "desktop", Name: "Laptop", RedirectURIs: []string{"http://127.0.0.1/back"}, Device: true})
		home := t.TempDir()
		socket, password := filepath.Join(home, "socket"), filepath.Join(home, "password")
		must(t, os.WriteFile(password, []byte("a-password-of-this-test\n"), 0o600))
		command := func(name string, args ...string) *exec.Cmd {
			cmd := exec.CommandContext(t.Context(), name, args...)
			cmd.Env = append(os.Environ(), "HOME="+home, "OIDC_CONFIG_DIR="+home, "OIDC_SOCK="+socket)
			return cmd
		}
		runs(t, command("oidc-agent", "--console", "--socket-path="+socket), "")
		eventually(t, "the agent listens", func() bool { _, err := os.Stat(socket); return err == nil })
		run := func(name string, args ...string) string {
			t.Helper()
			out, err := command(name, args...).CombinedOutput()
			if err != nil {
				t.Fatalf("%s: %v\n%s", name, err, out)
			}
			return strings.TrimSpace(string(out))
		}

		var said logBuffer
		setup := command("oidc-gen", "--flow=device", "--iss="+i.at, "--client-id="+made.ClientID, "--client-secret=", "--scope=openid profile offline_access", "--redirect-uri=http://localhost:8080",
			"--cp="+i.authority(), "--pw-file="+password, "--prompt=none", "--no-url-call", "laptop")
		setup.Stdout, setup.Stderr = &said, &said
		must(t, setup.Start())
		code := ""
		eventually(t, "a code", func() bool { code = userCode.FindString(said.String()); return code != "" })
		i.approve(i.Client(t), code, ann)
		if err := setup.Wait(); err != nil {
			t.Fatalf("oidc-gen: %v\n%s", err, said.String())
		}
		first, second := run("oidc-token", "--force-new", "laptop"), run("oidc-token", "--force-new", "laptop")
		if first == second {
			t.Error("not refreshed")
		}
		for _, one := range []string{first, second} {
			if got := i.Client(t).fetch(i.at+"/.gate/oauth/userinfo", header{"Authorization", "Bearer " + one}); !strings.Contains(got.Body, `"preferred_username":"ann"`) {
				t.Errorf("userinfo: %s\n%s", got.Status, got.Body)
			}
		}
		t.Log("oidc-agent: signed in as a device, refreshed twice; deleted: ", run("oidc-gen", "--delete", "--pw-file="+password, "--confirm-yes", "laptop"))
		if got := i.Client(t).fetch(i.at+"/.gate/oauth/userinfo", header{"Authorization", "Bearer " + second}); got.StatusCode != http.StatusUnauthorized {
			t.Errorf("after its grant was revoked: %s", got.Status)
		}
	})
}

// userCode is the code of a device.
var userCode = regexp.MustCompile(`[A-Z]{4}-[A-Z]{4}`)

// apacheSaid is what it answered, and to whom.
type apacheSaid struct {
	status int
	name   string
}
