package importer

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-auth/gatehouse/authcore/access"
)

// Each folder of testdata is one system: the file (input.*), those beside it that it
// names, and what becomes of them.
func TestReadFile(t *testing.T) {
	t.Parallel()
	inputs, err := filepath.Glob("testdata/*/input.*")
	if err != nil || len(inputs) == 0 {
		t.Fatal(inputs, err)
	}
	for _, input := range inputs {
		dir := filepath.Dir(input)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			t.Parallel()
			kind := regexp.MustCompile(`-\d$`).ReplaceAllString(filepath.Base(dir), "")
			res, err := ReadFile(kind, input)
			if err != nil {
				t.Fatal(err)
			}
			same(t, filepath.Join(dir, "want.txt"), describe(res))
		})
	}
}

// same compares with a file; with UPDATE=1 in the environment it writes the file.
func same(t *testing.T, name, got string) {
	t.Helper()
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// describe writes a result down; of hashes only their beginning.
func describe(res *Result) string {
	var b strings.Builder
	for _, u := range res.Users {
		hash := "no password"
		if u.Hash != "" {
			hash = string(u.Hash)[:4] + "…"
		}
		state := ""
		if u.Disabled {
			state = " disabled"
		}
		b.WriteString(strings.Join([]string{u.Username, u.Email, u.Name, strings.Join(u.Groups, ","), hash}, " | ") + state + "\n")
	}
	for _, p := range res.Policies {
		b.WriteString("for " + p.For + ":\n" + p.Text)
	}
	for _, l := range res.Left {
		b.WriteString("- " + l + "\n")
	}
	return b.String()
}

func TestReadFileRefuses(t *testing.T) {
	t.Parallel()
	none := func(string) ([]byte, error) { return nil, os.ErrNotExist }
	for _, tt := range []struct{ kind, body, want string }{
		{"htpasswd", "alice\n", "line 1"}, {"htpasswd", "# x\n\n:$2y$\n", "line 3"}, {"htpasswd", "\xff:x", "UTF-8"},
		{"authelia", "users: [", "yaml"}, {"authelia", "theme: dark\n", "users_database.yml"}, {"authelia", "users: 7\n", "line 1"},
		{"oauth2-proxy", "alice:$2y$05$x\n", "line 1"}, {"caddy-security", "{}", "users.json"}, {"caddy-security", "x", "Caddyfile"},
		{"keycloak", "", "htpasswd"},
	} {
		if _, err := parse(tt.kind, []byte(tt.body), none); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s %q: %v, want %q", tt.kind, tt.body, err, tt.want)
		}
	}
	if _, err := ReadFile("htpasswd", "testdata/none"); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func TestCaddySecurity(t *testing.T) {
	t.Parallel()
	d := func(line int, text string, block ...Directive) Directive {
		return Directive{Words: strings.Fields(text), Line: line, Block: block}
	}
	res := CaddySecurity([]Directive{d(1, "http_port 80"), d(2, "security",
		d(3, "authentication portal p", d(4, "crypto default token lifetime 3600")),
		d(6, "authorization policy users", d(7, "set auth url /auth"), d(8, "allow roles authp/admin authp/User"),
			d(9, "bypass uri prefix /assets/"), d(10, "bypass uri exact /healthz"), d(11, "bypass uri regex ^/x.*y$")),
		d(20, "authorization policy rules", d(21, "acl rule", d(22, "comment x"), d(23, "match role editors"), d(24, "allow stop log info")), d(25, "acl rule", d(26, "match role guests"), d(27, "deny")), d(28, "acl default deny")),
		d(30, "authorization policy by-path", d(31, "acl rule", d(32, "match role a"), d(33, "match path /x"), d(34, "allow")), d(35, "acl default allow")))})
	same(t, "testdata/caddy-security-caddyfile.txt", describe(res))
}

func TestPathsOf(t *testing.T) {
	t.Parallel()
	for expr, want := range map[string]string{
		"^/a$": "/a", "^/a/": "/a/*", "^/a/.*": "/a/*", "^/a/.*$": "/a/*", "^/a(/.*)?$": "/a /a/*", `^/a([/?].*)?$`: "/a /a/*", "^/a": "/a /a/* (fewer)",
		"^/a.*$": "/a /a/* (fewer)", `^/robots\.txt$`: "/robots.txt", `^\/a\/b$`: "/a/b", "^/a/?$": "/a /a/", "^/.*$": "/*", "^/": "/*", "^/a/$": "/a/",
		"/a": "", "^a": "", "": "", "^": "", "^/robots.txt$": "", "^/a|b$": "", "^/(a|b)$": "", "^/a+$": "", "^/[a]$": "", "^//a$": "", `^/a/\.\./b$`: "", "^/a$b": "", "^/..$": "", "^/a//$": "",
	} {
		paths, exact := pathsOf(expr)
		got := strings.Join(paths, " ")
		if got != "" && !exact {
			got += " (fewer)"
		}
		if got != want {
			t.Errorf("%s: %q, want %q", expr, got, want)
		}
	}
}

// Whatever a file holds, it is read or refused, no user has a name that breaks a
// line, and every policy is one.
func FuzzParse(f *testing.F) {
	inputs, err := filepath.Glob("testdata/*/input.*")
	if err != nil {
		f.Fatal(err)
	}
	for _, input := range inputs {
		body, err := os.ReadFile(input)
		if err != nil {
			f.Fatal(err)
		}
		for i := range Kinds {
			f.Add(uint(i), body)
		}
	}
	f.Fuzz(func(t *testing.T, kind uint, body []byte) {
		res, err := parse(Kinds[kind%uint(len(Kinds))], body, func(string) ([]byte, error) { return nil, os.ErrNotExist })
		if err != nil {
			return
		}
		for _, p := range res.Policies {
			if _, err := access.Parse(p.Lines); err != nil {
				t.Errorf("%v:\n%s", err, p.Text)
			}
		}
		for _, u := range res.Users {
			if len(u.Hash) > 255 {
				t.Errorf("%s: a hash of %d bytes", u.Username, len(u.Hash))
			}
		}
	})
}
