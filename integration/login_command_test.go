package integration

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// farGate is a portal to which command lines sign in.
const farGate = `{
	{{.Global}}
	gate {
		{{.Gate}}
		portal https://auth.localhost:{{.HTTPS}}
		organizations {
			register on
		}
		limits {
			address off
			account off
		}
	}
}
https://auth.localhost:{{.HTTPS}} {
	gate_portal
}
`

// laptop is a machine of somebody's, with the command line and no Caddyfile.
type laptop struct {
	t    *testing.T
	home string
	env  []string
}

func newLaptop(t *testing.T, env ...string) *laptop {
	home := t.TempDir()
	return &laptop{t: t, home: home, env: append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "XDG_CONFIG_HOME=" + filepath.Join(home, "config"), "XDG_DATA_HOME=" + filepath.Join(home, "data")}, env...)}
}

// laptop is one that knows the server's certificates.
func (s *server) laptop(t *testing.T) *laptop {
	return newLaptop(t, "SSL_CERT_FILE="+filepath.Join(s.Dir, "data", "caddy", "pki", "authorities", "local", "root.crt"))
}

// of is the laptop in a part of a test.
func (l *laptop) of(t *testing.T) *laptop { return &laptop{t: t, home: l.home, env: l.env} }

func (l *laptop) command(args ...string) *exec.Cmd {
	l.t.Helper()
	binary, err := caddyBinary()
	must(l.t, err)
	cmd := exec.CommandContext(l.t.Context(), binary, append([]string{"gate"}, args...)...)
	cmd.Dir, cmd.Env = l.home, l.env
	return cmd
}

// run runs a command.
func (l *laptop) run(stdin string, args ...string) (out, errs string, exit int) {
	l.t.Helper()
	var o, e bytes.Buffer
	cmd := l.command(args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &o, &e
	if err := cmd.Run(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		l.t.Fatal(err)
	}
	return o.String(), e.String(), cmd.ProcessState.ExitCode()
}

// says runs a command that must work and say what a regular expression does.
func (l *laptop) says(want string, args ...string) string {
	l.t.Helper()
	out, errs, exit := l.run("", args...)
	if exit != 0 || errs != "" || !regexp.MustCompile(want).MatchString(out) {
		l.t.Errorf("%q: exit %d\n%s%s\nwant %s", args, exit, out, errs, want)
	}
	return out
}

// fails runs a command that must fail and say so.
func (l *laptop) fails(want string, args ...string) {
	l.t.Helper()
	out, errs, exit := l.run("", args...)
	if exit != 1 || out != "" || !regexp.MustCompile(`^Error: `+want+`\n$`).MatchString(errs) {
		l.t.Errorf("%q: exit %d\n%s%s\nwant Error: %s", args, exit, out, errs, want)
	}
}

// signingIn is a sign-in under way.
type signingIn struct {
	*laptop
	cmd  *exec.Cmd
	out  logBuffer
	code string
}

var shownCode = regexp.MustCompile(`(?m)^  ([B-Z]{4}-[B-Z]{4})\r?$`)

// begin starts to sign in, and waits for the code.
func (l *laptop) begin(args ...string) *signingIn {
	l.t.Helper()
	return l.beginBy(l.command(append([]string{"login"}, args...)...))
}

func (l *laptop) beginBy(cmd *exec.Cmd) *signingIn {
	l.t.Helper()
	in := &signingIn{laptop: l, cmd: cmd}
	cmd.Stdout, cmd.Stderr = &in.out, &in.out
	must(l.t, cmd.Start())
	eventually(l.t, "a code", func() bool {
		m := shownCode.FindStringSubmatch(in.out.String())
		if m != nil {
			in.code = m[1]
		}
		return m != nil && strings.Contains(in.out.String(), "Waiting.")
	})
	return in
}

// ends waits for the end of it, with what it says.
func (in *signingIn) ends(exit int, want string) {
	in.t.Helper()
	_ = in.cmd.Wait()
	if got := in.cmd.ProcessState.ExitCode(); got != exit || !regexp.MustCompile(want).MatchString(in.out.String()) {
		in.t.Fatalf("exit %d, want %d and %s:\n%s", got, exit, want, in.out.String())
	}
}

// answers says yes or no to a code on the page for it, as a browser that is signed in.
func (b *browser) answers(portal, code, do, says string) {
	b.t.Helper()
	page := b.open(portal + "/.gate/device?user_code=" + code)
	if !strings.Contains(page.Body, `value="`+code+`"`) {
		b.t.Fatalf("the page does not have the code: %s\n%s", page.Status, page.Body)
	}
	form := url.Values{"user_code": {code}}
	if page = b.post(portal+"/.gate/device", form); !strings.Contains(page.Body, "Gatehouse on the command line") || !strings.Contains(page.Body, "Command line on ") {
		b.t.Fatalf("the page shows: %s\n%s", page.Status, page.Body)
	}
	form.Set("do", do)
	if page = b.post(portal+"/.gate/device", form); page.StatusCode != http.StatusOK || !strings.Contains(page.Body, says) {
		b.t.Fatalf("%s: %s\n%s", do, page.Status, page.Body)
	}
}

// login signs a laptop in by a browser.
func (l *laptop) login(portal string, b *browser, name string) {
	l.t.Helper()
	in := l.begin(portal)
	b.answers(portal, in.code, "approve", "Your device is signed in")
	in.ends(0, `To sign in to `+portal+`, open\n\n  `+portal+`/\.gate/device\n\n.*\n\n  `+in.code+`\n\nWaiting\. The code is good for 15 minutes; .*\nSigned in to `+portal+` as `+name+`, until \d{4}-\d\d-\d\d\.\n$`)
}

// tokens is the file of sign-ins, by its name and text.
func (l *laptop) tokens() (name, text string) {
	l.t.Helper()
	name = filepath.Join(l.home, "config", "gatehouse", "tokens.json")
	if _, err := os.Stat(filepath.Join(l.home, "config")); err != nil { // on other systems
		found, _ := filepath.Glob(filepath.Join(l.home, "*", "*", "gatehouse", "tokens.json"))
		name = strings.Join(found, "")
	}
	body, err := os.ReadFile(name)
	must(l.t, err)
	return name, string(body)
}

func (l *laptop) token() string {
	l.t.Helper()
	_, text := l.tokens()
	token := tokenText.FindString(text)
	if token == "" {
		l.t.Fatalf("no token in\n%s", text)
	}
	return token
}

// Somebody signs in with a code, works through the API as far as they may, and signs out.
func TestLoginCommand(t *testing.T) {
	t.Parallel()
	s := start(t, farGate)
	portal := s.URL("HTTPS", "auth.localhost")
	owner := s.createOwner(t, alice)
	owner.enrol(portal)
	s.addUser(t, bob, "--group", "staff", "--group", "ops")
	s.addUser(t, carol)
	ordinary := s.Client(t)
	ordinary.signIn(portal, bob)

	desk, travel := s.laptop(t), s.laptop(t)
	desk.fails(`you are not signed in: caddy gate login https://auth\.example\.com`, "api", "me")
	desk.fails(`you are not signed in to `+portal+`: caddy gate login `+portal, "org", "list", "--at", portal)
	desk.fails("you are not signed in.*", "logout")
	desk.login(portal, owner, "alice")
	travel.login(portal, ordinary, "bob")
	if name, _ := desk.tokens(); true {
		for path, mode := range map[string]os.FileMode{name: 0o600, filepath.Dir(name): 0o700 | os.ModeDir} {
			if info, err := os.Stat(path); err != nil || info.Mode() != mode {
				t.Errorf("%s: %v, %v", path, info.Mode(), err)
			}
		}
		if left, _ := filepath.Glob(filepath.Join(filepath.Dir(name), "*")); len(left) != 1 {
			t.Errorf("files: %v", left)
		}
	}
	t.Run("api", func(t *testing.T) { apiByCommand(t, s, desk.of(t), travel.of(t)) })
	t.Run("at", func(t *testing.T) { workElsewhere(t, s, desk.of(t), travel.of(t), portal) })

	// Who signs in again has one token, not two; who signs out none.
	count := func() int { return s.count(t, "SELECT count(*) FROM access_tokens") }
	before := desk.token()
	desk.login(portal, owner, "alice")
	if n := count(); n != 2 || desk.token() == before {
		t.Errorf("%d tokens of two people", n)
	}
	gone := desk.token()
	desk.says(`^Signed out of `+portal+`\.\n$`, "logout")
	if n := count(); n != 1 {
		t.Errorf("%d tokens when one of two has signed out", n)
	}
	if got := s.Client(t).fetch(portal+"/.gate/api/v1/me", header{"Authorization", "Bearer " + gone}); got.StatusCode != http.StatusUnauthorized {
		t.Errorf("signed out: %s", got.Status)
	}
	if _, text := desk.tokens(); tokenText.MatchString(text) {
		t.Errorf("signed out, the file has\n%s", text)
	}
	desk.fails("you are not signed in.*", "api", "me")

	ordinary.signIn(portal, bob) // whose sessions were revoked
	// The account page revokes it too, and the command line says what to do.
	account := ordinary.get(portal + "/.gate/account")
	id := regexp.MustCompile(`account/tokens/revoke">\s*<input type="hidden" name="id" value="([0-9a-f-]{36})"`).FindStringSubmatch(account.Body)
	if id == nil || !strings.Contains(account.Body, "Command line at 127.0.0.1") || !strings.Contains(account.Body, "Good for all that you may do on this site</p>") {
		t.Fatal("the account page does not show the sign-in")
	}
	mustGo(t, ordinary.post(portal+"/.gate/account/tokens/revoke", url.Values{"id": {id[1]}, "current_password": {bob.Password}}))
	again := `you are not signed in to ` + portal + ` any more: .* Sign in again with: caddy gate login ` + portal
	travel.fails(again, "api", "me")
	travel.fails(again, "org", "list", "--at", portal)
	travel.says("Signed out", "logout", portal) // what is revoked need not be

	// Who says no signs nobody in.
	in := travel.begin(portal)
	ordinary.answers(portal, in.code, "refuse", "not signed in")
	in.ends(1, `\nError: the sign-in was refused: .*\n$`)
	in = travel.begin(portal)
	must(t, in.cmd.Process.Signal(os.Interrupt))
	in.ends(1, `\nError: stopped: nothing was signed in\n$`)

	// Where the server is away, the token goes here, and the words say that it is good there.
	travel.login(portal, ordinary, "bob")
	token := travel.token()
	s.Stop(t)
	travel.fails(portal+` cannot be reached: .*connection refused`, "api", "me")
	travel.fails(`signed out here, but the token is good there until \d{4}-\d\d-\d\d, unless you revoke it at `+portal+`/\.gate/account: `+portal+` cannot be reached: .*`, "logout")
	if _, text := travel.tokens(); tokenText.MatchString(text) {
		t.Errorf("signed out, the file has\n%s", text)
	}
	if log := s.Log(); strings.Contains(log, token) || strings.Contains(log, before) {
		t.Error("a token is in the log")
	}
}

// apiByCommand tries what `caddy gate api` takes and says.
func apiByCommand(t *testing.T, s *server, desk, travel *laptop) {
	var me struct {
		Username string
		Owner    bool
	}
	if err := json.Unmarshal([]byte(desk.says("", "api", "me")), &me); err != nil || me.Username != "alice" || !me.Owner {
		t.Errorf("me: %+v, %v", me, err)
	}
	for _, path := range []string{"/me", "/.gate/api/v1/me", ".gate/api/v1/me"} {
		if path[0] == '/' {
			travel.says(`(?s)^\{\n  "id": .*"username": "bob",`, "api", path)
		}
	}
	travel.says(`"openapi": "3\.1`, "api", "openapi.json")
	desk.says(`"username": "bob"`, "api", "platform/users?q=bo&limit=1")
	travel.says(`"slug": "globex"`, "api", "organizations", "--data", `{"slug": "globex"}`)
	travel.fails(`slug: Another organization has this short name, .*`, "api", "organizations", "-X", "post", "--data", `{"slug": "globex"}`)
	must(t, os.WriteFile(filepath.Join(travel.home, "new.json"), []byte(`{"slug": "initech"}`), 0o600))
	travel.says(`"slug": "initech"`, "api", "organizations", "-d", "@new.json")
	if out, errs, exit := travel.run(`{"slug": "hooli"}`, "api", "/organizations", "-d", "-"); exit != 0 || !strings.Contains(out, `"hooli"`) {
		t.Errorf("from standard input: exit %d\n%s%s", exit, out, errs)
	}
	if n := s.count(t, "SELECT count(*) FROM idempotency_keys"); n != 3 {
		t.Errorf("%d requests had an idempotency key, want 3", n)
	}
	travel.says(`^$`, "api", "-X", "HEAD", "me")
	travel.fails(`Only platform owners may do this\.`, "api", "platform/users")
	travel.fails(`An access token is not good for that\. .*`, "api", "invitations/look", "--data", `{"token": "x"}`)
	travel.fails(`There is nothing at this address\.`, "api", "nothing")
	travel.fails(`nothing: There is no such parameter here\.`, "api", "me?nothing=1")
	travel.fails(`This address takes GET, HEAD only\.`, "api", "-X", "DELETE", "me")
	travel.fails(`--data is no JSON`, "api", "organizations", "--data", `{slug`)
	travel.fails(`open nowhere\.json: .*`, "api", "organizations", "--data", `@nowhere.json`)
	for _, path := range []string{"https://example.com/me", "", "/", "//example.com/me"} {
		travel.fails(`".*" is no path of the API, .*`, "api", path)
	}
	travel.fails(`"http://example\.com": plain http is for loopback hosts only, .*`, "api", "me", "--at", "http://example.com")
}

// workElsewhere tries commands with --at.
func workElsewhere(t *testing.T, s *server, desk, travel *laptop, portal string) {
	at := []string{"--at", portal}
	far := func(args ...string) []string { return append(args, at...) }
	desk.says(`^SLUG +NAME +STATUS +TIER +SINCE +REASON\nglobex +globex +pending +free +\S+ *\nhooli .*\ninitech .*\n$`, far("org", "list")...)
	travel.fails(`Only platform owners may do this\.`, far("org", "list")...)
	travel.fails(`Only platform owners may do this\.`, far("org", "approve", "globex")...)
	desk.says(`^Organization globex is active now\.\n$`, far("org", "approve", "globex")...)
	desk.fails(`That cannot be done with the organization as it is now\.`, far("org", "approve", "globex")...)
	desk.fails(`There is no such organization.*`, far("org", "approve", "nothing")...)
	desk.says(`^Organization hooli is rejected now\.\n$`, far("org", "reject", "hooli", "--reason", "no")...)
	desk.says(`^Organization globex is suspended now\.\n$`, far("org", "suspend", "globex", "--reason", "unpaid")...)
	desk.says(`^Organization globex is active now\.\n$`, far("org", "activate", "globex")...)
	desk.says(`^Organization globex has the tier pro now\.\n$`, far("org", "tier", "globex", "pro")...)
	desk.says(`^\{"id":"[^"]+","slug":"hooli","name":"hooli","status":"rejected","reason":"no",.*\}\n$`, far("org", "list", "--status", "rejected", "--json")...)
	travel.says(`(?s)^Organization: +globex\n.*Status: +active\n.*Tier: +pro\n`, far("org", "show", "globex")...)
	travel.says(`(?m)^bob +Bob +owner +`, far("org", "members", "globex")...)
	s.must(t, "", "org", "show", "globex")

	desk.says(`^USERNAME .*\nalice +alice@example.com +Alice +active +yes *\nbob +bob@example.com +Bob +active +ops,staff\ncarol .*\n$`, far("user", "list")...)
	for _, name := range []string{"alice", "BOB@example.com"} { // as on the machine itself
		if here, there := s.must(t, "", "user", "show", name), desk.says("", far("user", "show", name)...); here != there || !strings.Contains(here, "Second factor:") {
			t.Errorf("here\n%s\nand from elsewhere\n%s", here, there)
		}
	}
	desk.fails(`There is no such user\.`, far("user", "show", "nobody")...)
	travel.fails(`Only platform owners may do this\.`, far("user", "disable", "alice")...)
	desk.fails(`The organization would be left without an owner who is active\. .*`, far("user", "disable", "bob")...)
	desk.says(`^User carol is disabled now\.\n$`, far("user", "disable", "carol@example.com")...)
	desk.says(`^User carol is active now\.\n$`, far("user", "enable", "CAROL")...)
	desk.says(`^User bob needs a second factor from now on\.\n$`, far("user", "require-factor", "bob")...)
	travel.fails(`this needs a second factor: set one up at `+portal+`/\.gate/account, and sign in again with: caddy gate login `+portal, far("org", "show", "globex")...)
	desk.says(`^User bob needs a second factor only where a policy asks for one\.\n$`, far("user", "require-factor", "bob", "--off")...)

	one := s.Client(t)
	one.signIn(portal, bob)
	list := desk.says(`^ID +USERNAME .*\n[0-9a-f-]{36} +bob +auth\.localhost:?\d* +A program +127\.0\.0\.1 `, far("session", "list", "--user", "bob")...)
	id := regexp.MustCompile(`[0-9a-f-]{36}`).FindString(list)
	desk.says(`^Revoked: 1\.\n$`, far("session", "revoke", id)...)
	desk.fails(`There is no such session\.`, far("session", "revoke", id)...)
	desk.says(`^Revoked: \d\.\n$`, far("session", "revoke", "--user", "bob")...)
	desk.fails(`--all works only on the machine of the server`, far("session", "revoke", "--all")...)
	desk.says(`^ID +USERNAME .*\n[0-9a-f-]{36} +alice `, far("session", "list")...)

	s.must(t, "", "webhook", "add", "https://hooks.example.com/x", "--name", "everything")
	desk.says(`(?m)^[0-9a-f-]{36} +everything +https://hooks\.example\.com/x +\* +active`, far("webhook", "list")...)
	desk.says(`^ID .*\n$`, far("webhook", "list", "--org", "globex")...)
	travel.fails(`Only platform owners may do this\.`, far("webhook", "list")...)

	eventually(t, "events", func() bool {
		out, _, _ := desk.run("", far("audit", "--since", "1h", "--action", "organization.*", "--actor", "alice")...)
		return strings.Contains(out, "organization.activate")
	})
	desk.says(`(?s)^TIME .*\n\S+ \S+ +alice +user\.disable +user:carol +success .*alice +user\.enable +user:carol +success `, far("audit", "--since", "1h", "--target", "carol")...)
	desk.says(`^(\{"id":.*"actor":"alice","session_id":"[^"]+","action":"user.disable","target":"user:[^"]+",.*"target_name":"carol"\}\n)$`, far("audit", "--since", "1h", "--action", "user.disable", "--json")...)
	desk.fails(`say from when on, with --since: .*`, far("audit")...)
	desk.fails(`--follow works only on the machine of the server`, far("audit", "--since", "1h", "--follow")...)

	only := `this command works only on the machine of the server, .*`
	for _, args := range []string{"backup x.db", "restore x.db", "copy --to sqlite:x.db", "doctor", "user password bob --password-stdin", "key list", "explain " + portal, "token list", "audit verify"} {
		if out, errs, exit := desk.run(long, far(strings.Fields(args)...)...); exit != 1 || out != "" || !regexp.MustCompile(`^Error: `+only+`\n$`).MatchString(errs) {
			t.Errorf("%s: exit %d\n%s%s", args, exit, out, errs)
		}
	}
	desk.fails(`--at is empty: .*`, "org", "list", "--at", "")
	desk.fails(`.*\[at config\].*`, far("org", "list", "--config", "Caddyfile")...)
	desk.fails(`the configuration cannot be read: .*`, "org", "list")

	// The environment says it too, unless a configuration is named.
	desk.env = append(desk.env, "GATE_AT="+portal)
	desk.says(`^SLUG `, "org", "list")
	desk.fails(`the configuration cannot be read: open nowhere: .*`, "org", "list", "--config", "nowhere")
}

// A long list comes to its end, page after page.
func TestLongListElsewhere(t *testing.T) {
	t.Parallel()
	s := start(t, farGate)
	portal := s.URL("HTTPS", "auth.localhost")
	owner := s.createOwner(t, alice)
	owner.enrol(portal)
	const rows = 1203
	_, err := s.writing(t).Exec(fmt.Sprintf("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) "+
		"INSERT INTO users (id, username, username_key, email, email_key, email_verified, name, status, owner, created_at, updated_at) "+
		"SELECT printf('0190a000-0000-7000-8000-%%012x', i), 'u' || printf('%%05d', i), 'u' || printf('%%05d', i), '', NULL, 0, '', 'active', 0, 0, 0 FROM n", rows))
	must(t, err)
	l := s.laptop(t)
	l.login(portal, owner, "alice")
	here, there := s.must(t, "", "user", "list"), l.says("", "user", "list", "--at", portal)
	if here != there || strings.Count(here, "\n") != rows+2 {
		t.Errorf("%d lines here, %d from elsewhere", strings.Count(here, "\n"), strings.Count(there, "\n"))
	}
}

// What a server says that is no Gatehouse, or a bad one, is refused in words, and steers no
// terminal.
func TestLoginCommandDistrusts(t *testing.T) {
	t.Parallel()
	l := newLaptop(t)
	l.fails(`say where: caddy gate login https://auth\.example\.com`, "login")
	l.fails(`"http://auth\.example\.com": plain http is for loopback hosts only, .*: write https`, "login", "http://auth.example.com")
	l.fails(`"https://auth\.example\.com/x": it must be a host name .*`, "login", "https://auth.example.com/x")
	l.fails(`name the installation once: leave out --at`, "login", "https://auth.example.com", "--at", "https://auth.example.com")
	l.fails(`http://127\.0\.0\.1:1 cannot be reached: .*`, "login", "http://127.0.0.1:1")

	const found = `{"issuer":"AT","device_authorization_endpoint":"AT/device","token_endpoint":"AT/token","revocation_endpoint":"AT/revoke"}`
	const code = `{"device_code":"d","user_code":"BCDF-GHJK","verification_uri":"AT/here","expires_in":60,"interval":1}`
	const no = `: what it answers makes no sense`
	for name, tt := range map[string]struct {
		discovery, device, token string // a number is a status
		says                     string
	}{
		"a page":                {"<html>", "", "", `there is no portal of Gatehouse at AT: what it answers at /\.well-known/openid-configuration \(200 OK\) makes no sense`},
		"nothing":               {"404", "", "", `there is no portal of Gatehouse at AT: .*404 Not Found.*`},
		"a redirect":            {"302", "", "", `there is no portal of Gatehouse at AT: .*302 Found.*`},
		"another issuer":        {`{"issuer":"https://evil.example.com\u001b[2J"}`, "", "", `AT says that it is "https://evil\.example\.com\[2J": give the address of the portal itself`},
		"endpoints elsewhere":   {strings.Replace(found, "AT/token", "https://evil.example.com/token", 1), "", "", `AT does not let the command line in: .*`},
		"no endpoints":          {`{"issuer":"AT"}`, "", "", `AT does not let the command line in: .*`},
		"another provider":      {found, `401 {"error":"invalid_client"}`, "", `AT does not know the command line: .*`},
		"no device":             {found, `429 {"error":"temporarily_unavailable","error_description":"Too\u0007 many."}`, "", `AT refuses: Too many\.`},
		"garbage for a code":    {found, `[1,2]`, "", `AT gives no code` + no},
		"a code that steers":    {found, strings.Replace(code, "BCDF", `\u001b[2J`, 1), "", `AT gives no code` + no},
		"a page elsewhere":      {found, strings.Replace(code, "AT/here", "https://evil.example.com/", 1), "", `AT gives no code` + no},
		"garbage for a token":   {found, code, "hello", `AT gives no access token` + no},
		"no token":              {found, code, `{"access_token":"x","token_type":"Bearer","expires_in":60}`, `AT gives no access token` + no},
		"a refusal":             {found, code, `400 {"error":"access_denied","error_description":"No."}`, `the sign-in was refused: No\.`},
		"too late":              {found, code, `400 {"error":"expired_token"}`, `nobody entered the code in time: sign in again`},
		"an error":              {found, code, `400 {"error":"invalid_grant","error_description":"Used."}`, `AT refuses: Used\.`},
		"an error that is mute": {found, code, `400 x`, `AT answers with 400 Bad Request , and does not say why`},
		"a code that ends":      {found, strings.Replace(code, ":60", ":1", 1), `400 {"error":"authorization_pending"}`, `nobody entered the code in time: sign in again`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				text := map[string]string{"/.well-known/openid-configuration": tt.discovery, "/device": tt.device, "/token": tt.token}[r.URL.Path]
				status := http.StatusOK
				if n, err := fmt.Sscanf(text, "%d", &status); n == 1 && err == nil {
					text = strings.TrimSpace(text[3:])
				}
				if status == http.StatusFound {
					w.Header().Set("Location", "https://evil.example.com/")
				}
				w.WriteHeader(status)
				fmt.Fprint(w, strings.ReplaceAll(text, "AT", "http://"+r.Host))
			}))
			defer srv.Close()
			l := newLaptop(t)
			out, errs, exit := l.run("", "login", srv.URL)
			if want := `^Error: ` + strings.ReplaceAll(tt.says, "AT", srv.URL) + `\n$`; exit != 1 || !regexp.MustCompile(want).MatchString(errs) || strings.ContainsAny(out+errs, "\x1b\a") {
				t.Errorf("exit %d\n%s%s\nwant %s", exit, out, errs, want)
			}
			if left, _ := filepath.Glob(filepath.Join(l.home, "*", "*", "gatehouse")); len(left) > 0 {
				t.Errorf("files: %v", left)
			}
		})
	}
}

// Who is told to slow down does, and who cannot reach the server goes on.
func TestLoginCommandWaits(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	var last atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/.well-known/openid-configuration":
			fmt.Fprintf(w, `{"issuer":"%[1]s","device_authorization_endpoint":"%[1]s/device","token_endpoint":"%[1]s/token","revocation_endpoint":"%[1]s/revoke"}`, "http://"+r.Host)
		case "/device":
			fmt.Fprintf(w, `{"device_code":"d","user_code":"BCDF-GHJK","verification_uri":"http://%s/here","expires_in":60,"interval":1}`, r.Host)
		case "/token":
			now := time.Now().UnixMilli()
			waited := now - last.Swap(now)
			switch n := asked.Add(1); {
			case n == 1: // the connection breaks
				conn, _, err := w.(http.Hijacker).Hijack()
				if err == nil {
					conn.Close()
				}
			case n == 2:
				w.WriteHeader(http.StatusBadGateway)
			case n == 3:
				w.WriteHeader(http.StatusBadRequest)
				fmt.Fprint(w, `{"error":"slow_down"}`)
			case waited < 5900:
				w.WriteHeader(http.StatusBadRequest)
				fmt.Fprintf(w, `{"error":"invalid_grant","error_description":"It waited %d ms."}`, waited)
			default:
				w.WriteHeader(http.StatusBadRequest)
				fmt.Fprint(w, `{"error":"access_denied","error_description":"It waited."}`)
			}
		}
	}))
	defer srv.Close()
	out, errs, exit := newLaptop(t).run("", "login", srv.URL)
	if exit != 1 || errs != "Error: the sign-in was refused: It waited.\n" || strings.Count(out, "Waiting on: "+srv.URL+" cannot be reached: ") != 1 {
		t.Errorf("exit %d\n%s%s", exit, out, errs)
	}
}
