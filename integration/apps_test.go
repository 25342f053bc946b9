package integration

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// apps are the sites of docs/apps.md, with a server that records what it is told in
// the place of each app.
var apps = &sharing{ready: people, caddyfile: appSites()}

var (
	globalBlock = regexp.MustCompile(`(?s)^\{\n\tgate \{\n(.*?)\n\t\}\n\}\n`)
	siteLine    = regexp.MustCompile(`(?m)^([a-z]+\.example\.com) \{$`)
	appUpstream = regexp.MustCompile(`127\.0\.0\.1:[0-9]+`)
)

// appSites makes one Caddyfile of the blocks in the document.
func appSites() string {
	body, err := os.ReadFile("../docs/apps.md")
	if err != nil {
		return err.Error()
	}
	var global, sites strings.Builder
	for _, block := range fence.FindAllStringSubmatch(string(body), -1) {
		text := block[2]
		if block[1] != "caddyfile" {
			continue
		}
		if g := globalBlock.FindStringSubmatch(text); g != nil {
			global.WriteString(g[1] + "\n")
			text = strings.TrimPrefix(text, g[0])
		}
		sites.WriteString(appUpstream.ReplaceAllString(siteLine.ReplaceAllString(text, "https://$1:{{.HTTPS}} {"), "{{.Upstream}}"))
	}
	return "{\n\t{{.Global}}\n\tgate {\n\t\t{{.Gate}}\n\t\tlimits {\n\t\t\taddress off\n\t\t\taccount off\n\t\t}\n" + global.String() + "\t}\n}\n" + sites.String()
}

// Each app is told what its documentation asks for, and nothing that a client says.
func TestAppHeaders(t *testing.T) {
	t.Parallel()
	s := apps.get(t)
	for host, want := range map[string]map[string]string{
		"grafana.example.com": {"X-WEBAUTH-USER": "carol", "X-WEBAUTH-NAME": "Carol", "X-WEBAUTH-EMAIL": "carol@example.com", "X-WEBAUTH-GROUPS": "staff"},
		"git.example.com":     {"X-WEBAUTH-USER": "carol", "X-WEBAUTH-FULLNAME": "Carol", "X-WEBAUTH-EMAIL": "carol@example.com"},
		"music.example.com":   {"Remote-User": "carol"},
	} {
		b := s.Client(t)
		mustGo(t, b.login(s.at(host, ""), carol))
		got := b.get(s.at(host, "/"), header{"X-WEBAUTH-USER", "alice"}, header{"X_WEBAUTH_ROLE", "Admin"}, header{"remote_user", "alice"})
		passes(t, got)
		e := got.echo(t)
		for name, value := range want {
			if e.get(name) != value {
				t.Errorf("%s: %s is %q, want %q", host, name, e.get(name), value)
			}
		}
	}
	got := s.Client(t).fetch(s.at("music.example.com", "/rest/ping"), header{"Remote-User", "alice"})
	passes(t, got)
	if e := got.echo(t); e.get("Remote-User") != "" {
		t.Errorf("an app that signs in by itself is told to be %q", e.get("Remote-User"))
	}
	token := tokenText.FindString(s.must(t, "", "token", "add", "git", "--user", "carol", "--host", "git.example.com"))
	got = s.Client(t).fetch(s.at("git.example.com", "/info/refs"), header{"Authorization", "Bearer " + token})
	passes(t, got)
	if e := got.echo(t); e.get("X-WEBAUTH-USER") != "carol" || e.get("Authorization") != "" {
		t.Errorf("git's app is told %v", e.Header)
	}
}
