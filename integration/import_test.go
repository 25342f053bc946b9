package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// People who had an account elsewhere sign in with the password they had, and the
// hash is ours afterwards; who is there already stays.
func TestImport(t *testing.T) {
	t.Parallel()
	s := start(t, `{
	{{.Global}}
	gate {
		{{.Gate}}
	}
}
http://app.localhost:{{.HTTP}} {
	gate
	reverse_proxy {{.Upstream}}
}
`)
	people(t, s)
	file := func(name, text string) string {
		at := filepath.Join(s.Dir, name)
		if err := os.WriteFile(at, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return at
	}
	// "correct horse battery", by the C library, and by openssl passwd -6.
	htpasswd := file("htpasswd", "erin:$2y$05$abcdefghijklmnopqrstuuD3mHdCr44zlIZ.VZCaYRpfQhXMYnEo.\nfrank:$apr1$9Cv/OMGj$ZomWQzuQL.3TRCS81A1g51\ncarol:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\nno one:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n")
	if out := s.must(t, "", "import", "htpasswd", htpasswd, "--dry-run"); !strings.Contains(out, "would be added: 4") || s.count(t, "SELECT count(*) FROM users WHERE username = 'erin'") != 0 {
		t.Errorf("printed\n%s", out)
	}
	out, errs, exit := s.CLI(t, "", "import", "htpasswd", htpasswd)
	for _, want := range []string{"2 added, 1 there already, 1 not added", "carol: is there already", "no one: not added: A username can have", "caddy gate user password frank"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in what is printed:\n%s", want, out)
		}
	}
	if exit == 0 || !strings.Contains(errs, "1 of 4 users were not added") {
		t.Errorf("exit %d: %s", exit, errs)
	}
	app := s.at("app.localhost", "/page")
	erin := person{Username: "erin", Password: "correct horse battery"}
	for range 2 { // the second time with the new hash
		got := s.Client(t).arrive(app, erin)
		passes(t, got)
		if e := got.echo(t); e.get("Remote-User") != "erin" {
			t.Errorf("the app is told %v", e.Header)
		}
		if n := s.count(t, "SELECT count(*) FROM passwords p JOIN users u ON u.id = p.user_id WHERE u.username = 'erin' AND p.hash LIKE '$argon2id$%'"); n != 1 {
			t.Error("the hash is not ours after a sign-in")
		}
	}
	erin.Password = "wrong horse battery"
	if got := s.Client(t).login(s.at("app.localhost", ""), erin); got.StatusCode != 401 {
		t.Errorf("a wrong password: %s", got.Status)
	}
	passes(t, s.Client(t).arrive(app, carol)) // with the password she had here

	authelia := file("users.yml", "users:\n  gina:\n    displayname: Gina\n    email: gina@example.com\n    groups: [ops]\n    password: '$6$saltsalt$G9wFFnnUFCPffgjGaIp8t6onbqx3zGbMIn93ecLfBFGJpBV3/0HPLZ17qYbjb.WJDtXbmuMlQ9NnvzVms5ZXj.'\n  hugo:\n    disabled: true\n    email: hugo@example.com\n    password: '$6$saltsalt$G9wFFnnUFCPffgjGaIp8t6onbqx3zGbMIn93ecLfBFGJpBV3/0HPLZ17qYbjb.WJDtXbmuMlQ9NnvzVms5ZXj.'\n"+
		"access_control:\n  rules:\n    - domain: app.example.com\n      resources: '^/admin([/?].*)?$'\n      subject: 'group:ops'\n      policy: one_factor\n    - domain: app.example.com\n      resources: '^/admin([/?].*)?$'\n      policy: deny\n    - domain: app.example.com\n      policy: one_factor\n")
	s.Stop(t) // without a server too
	out = s.must(t, "", "import", "authelia", authelia)
	if !strings.Contains(out, "2 added") || !strings.Contains(out, "path /admin/* {\n\t\tallow group:ops\n\t}") {
		t.Errorf("printed\n%s", out)
	}
	s.Restart(t)
	gina := person{Username: "gina", Password: "correct horse battery"}
	got := s.Client(t).arrive(app, gina)
	passes(t, got)
	if e := got.echo(t); e.get("Remote-Groups") != "ops" || e.get("Remote-Email") != "gina@example.com" || e.get("Remote-Name") != "Gina" {
		t.Errorf("the app is told %v", e.Header)
	}
	gina.Username = "hugo"
	if got := s.Client(t).login(s.at("app.localhost", ""), gina); got.StatusCode != 401 {
		t.Errorf("who is disabled: %s", got.Status)
	}
	// The policies are such as a Caddyfile takes.
	_, policies, _ := strings.Cut(out, "# gate ")
	_, policies, _ = strings.Cut(policies, "\n")
	if _, err := tryStart(t, "{\n\t{{.Global}}\n\tgate {\n\t\t{{.Gate}}\n"+policies+"\t}\n}\nhttp://app.localhost:{{.HTTP}} {\n\tgate app.example.com\n\trespond ok\n}\n"); err != nil {
		t.Errorf("%v\n%s", err, policies)
	}
	for _, bad := range [][]string{{"keycloak", authelia}, {"htpasswd", filepath.Join(s.Dir, "none")}, {"oauth2-proxy", htpasswd}, {"caddy-security", htpasswd}} {
		if out, errs, exit := s.CLI(t, "", append([]string{"import"}, bad...)...); exit == 0 || errs == "" {
			t.Errorf("%v: exit %d, %s %s", bad, exit, out, errs)
		} else {
			t.Logf("%s: %s", bad[0], strings.TrimSpace(errs))
		}
	}
}
