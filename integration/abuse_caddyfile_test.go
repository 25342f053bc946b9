package integration

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// adaptCommand runs `caddy adapt` on a Caddyfile and gives what it says and
// whether it took it.
func adaptCommand(t *testing.T, text string) (said string, taken bool) {
	t.Helper()
	binary, err := caddyBinary()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "Caddyfile")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "adapt", "--config", file, "--adapter", "caddyfile")
	cmd.Dir = dir
	cmd.Env = []string{"HOME=" + dir, "XDG_DATA_HOME=" + dir, "XDG_CONFIG_HOME=" + dir}
	out, err := cmd.CombinedOutput()
	if exitErr := new(exec.ExitError); err != nil && !errors.As(err, &exitErr) {
		t.Fatal(err)
	}
	return string(out), err == nil
}

// adapt does the same in a Caddy that runs, through its admin endpoint: for
// hundreds of Caddyfiles that saves the time of as many processes.
func adapt(t *testing.T, text string) (said string, taken bool) {
	t.Helper()
	s := lodge.get(t)
	resp, err := http.Post(fmt.Sprintf("http://127.0.0.1:%d/adapt", s.Vars["Admin"]), "text/caddyfile", strings.NewReader(text))
	if err != nil {
		t.Fatalf("does Caddy still run? %v\n%s", err, tail(s.Log(), 20))
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body), resp.StatusCode == http.StatusOK
}

// inOption puts lines into the global option gate, and in a site that is fine.
func inOption(lines string) string {
	return "{\n\tgate {\n" + lines + "\n\t}\n}\nhttp://app.localhost:8080 {\n\tgate\n\trespond ok\n}\n"
}

func inPolicy(lines string) string { return inOption("policy p {\n" + lines + "\n}") }

func inBlock(word string) func(string) string {
	return func(lines string) string { return inOption(word + " {\n" + lines + "\n}") }
}

// inSite puts lines into a site, with a portal and a policy to speak of.
func inSite(lines string) string {
	return "{\n\tgate {\n\t\tportal http://auth.localhost:8080\n\t\tpolicy p {\n\t\t\tallow everyone\n\t\t}\n\t}\n}\nhttp://app.localhost:8080 {\n" + lines + "\n\trespond ok\n}\n"
}

// absurd are lines that mean nothing, by where they stand. The error must name the
// line that has the marker, or the first.
var absurd = []struct {
	in    func(string) string
	lines []string
}{
	{inOption, []string{
		"nonsense", "Database sqlite", "gate", "\"\"", "\"\" x", "{env.X}", "\u00e4\u00f6\u00fc", "allow everyone", "idle 1h", "portal\n portal",
		"database", "database \"\"", "database sqlite \"\"", "database oracle", "database SQLITE", "database sqlite a b", "database sqlite a {\n x\n}", "database postgres",
		"database mysql x", "database {\n sqlite\n}", "database sqlite :memory:", "database sqlite\ndatabase sqlite",
		"database postgres \"\"", "database postgres x y", "database postgres postgres://u:p@h/", "database postgres postgres://u:p%zz@h/db", "database postgres postgres://u:p@h:port/db",
		"database mysql u:p@tcp(h:1)/", "database mysql mysql://", "database mysql mysql://u:p@h", "database mysql \"u:p@tcp(h:1)/db?nonsense=%zz\"",
		"database postgres postgres://u:p@h/db", "database mysql mysql://u:p@h/db", "database mysql {env.DSN}",
		"portal", "portal \"\"", "portal a b", "portal \" \"", "portal *", "portal *.example.com", "portal http://auth.example.com", "portal ftp://auth.example.com",
		"portal https://", "portal https://auth.example.com/path", "portal https://auth.example.com?x", "portal https://auth.example.com#x",
		"portal https://a@auth.example.com", "portal auth.example.com:0", "portal auth.example.com:65536", "portal auth.example.com:x", "portal auth.example.com:-1",
		"portal auth_example", "portal //auth.example.com", "portal javascript:alert(1)", "portal auth.example.com {\n x\n}", "portal [::1",
		"portal ..", "portal .", "portal -", "portal auth..example.com", "portal https://auth.example.com:443:443", "portal \"auth.example.com evil.test\"",
		"trusted_proxies", "trusted_proxies \"\"", "trusted_proxies x", "trusted_proxies 10.0.0.0/33", "trusted_proxies 10.0.0.0/-1", "trusted_proxies 300.0.0.1",
		"trusted_proxies 10.0.0.0/8 x", "trusted_proxies 10.0.0.0/8 {\n x\n}", "trusted_proxies ::/129", "trusted_proxies 10.0.0.0/8,10.1.0.0/16", "trusted_proxies example.com", "trusted_proxies 10.0.0.1:80",
		"trusted_proxies 10.0.0.1/8", "trusted_proxies ::ffff:10.0.0.1", "trusted_proxies ::ffff:10.0.0.0/104", "trusted_proxies fe80::1%eth0",
		"secret_key", "secret_key \"\"", "secret_key x", "secret_key a b", "secret_key AAAA", "secret_key " + strings.Repeat("A", 44), "secret_key " + strings.Repeat("A", 43) + "= x",
		"secret_key " + strings.Repeat("A", 1000), "secret_key x {\n x\n}",
		"register", "register \"\"", "register yes", "register OPEN", "register open off", "register open {\n x\n}", "register on",
		"session", "session {\n}\nsession {\n}", "session 1h", "session idle 1h", "session {\n nonsense\n}", "hashing 2", "hashing {\n {\n }\n}", "limits 3", "activity 5m", "policy",
	}},
	{inBlock("organizations"), []string{"register", "register yes", "register on on", "register on {\n}", "nonsense", "register on\nregister off"}},
	{inBlock("session"), []string{
		"idle", "idle \"\"", "idle x", "idle 0", "idle 0s", "idle -1h", "idle 1", "idle 1h 2h", "idle 1h {\n x\n}", "idle 999999999999999h", "idle 1e9h", "idle NaN", "idle 1y", "idle 31d",
		"max", "max \"\"", "max x", "max 0s", "max -5m", "idle 2h\nmax 1h", "idle 1h\nidle 1h", "nonsense 1h", "\"\"", "max 106752d",
	}},
	{inBlock("hashing"), []string{
		"argon2id", "argon2id \"\"", "argon2id 19MiB", "argon2id 19MiB 2", "argon2id 19MiB 2 1 1", "argon2id x 2 1", "argon2id 19 2 1", "argon2id 19MB 2 1", "argon2id 19MiB x 1",
		"argon2id 19MiB 2 x", "argon2id 0MiB 2 1", "argon2id 19MiB 0 1", "argon2id 19MiB 2 0", "argon2id -19MiB 2 1", "argon2id 19MiB -2 1", "argon2id 19MiB 2 -1", "argon2id 2GiB 2 1",
		"argon2id 99999999999999999999MiB 2 1", "argon2id 4194304GiB 2 1", "argon2id 4096GiB 1 1", "argon2id 19MiB 65 1", "argon2id 19MiB 2 65", "argon2id 19MiB 2 256", "argon2id 19MiB 4294967297 1", "argon2id 8KiB 1 2",
		"argon2id 19.5MiB 2 1", "argon2id 19MiB 2 1 {\n x\n}", "argon2id MiB 2 1",
		"permits", "permits \"\"", "permits 0", "permits -1", "permits x", "permits 1025", "permits 1 2", "permits 99999999999999999999", "permits OFF", "permits 1.5", "permits 2 {\n x\n}",
		"when_full", "when_full \"\"", "when_full x", "when_full reject 1s", "when_full wait", "when_full wait x", "when_full wait 0s", "when_full wait -1s", "when_full wait 61s", "when_full wait 1h",
		"when_full wait 1s 2s", "when_full reject {\n x\n}", "permits 1\npermits 2", "nonsense",
	}},
	{inBlock("database postgres postgres://u:p@h/db"), []string{
		"nonsense", "\"\"", "connections", "connections 0", "connections -1", "connections x", "connections 10001", "connections 1 2", "connections 5 {\n x\n}",
		"wait", "wait 0s", "wait x", "wait -1s", "wait 1s 2s", "silence", "silence 0s", "silence x", "tls", "tls maybe", "tls on off", "tls_ca", "tls_ca a b",
		"tls off\ntls_ca x", "tls_client", "tls_client a", "tls_client a b c", "tls on\ntls on", "wait 1s {\n x\n}",
	}},
	{inBlock("database sqlite gate.db"), []string{"connections 5", "tls on", "wait 0s", "silence 0s"}},
	{inBlock("webhooks"), []string{"allow", "allow \"\"", "allow x", "allow 10.0.0.0/33", "allow 10.0.0.1/8", "allow example.com", "allow 10.0.0.0/8\nallow 10.0.0.0/8", "allow 10.0.0.0/8 {\n x\n}", "deny 10.0.0.0/8", "nonsense"}},
	{inBlock("siem"), []string{
		"file", "file \"\"", "file a b", "file a {\n x\n}", "file a\nfile b", "nonsense", "webhook", "webhook https://siem.example.com", "webhook https://siem.example.com x", "webhook https://siem.example.com whsec_AAAA",
		"webhook http://siem.example.com whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "webhook ftp://siem.example.com whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "webhook https://a:b@siem.example.com whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
		"webhook \"\" whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "webhook https://siem.example.com whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw x", "syslog", "syslog udp", "syslog quic siem.example.com:514", "syslog tcp siem.example.com",
		"syslog tcp siem.example.com:0", "syslog tcp siem.example.com:x", "syslog tcp :514", "syslog tls \"\"", "syslog tcp siem.example.com:514 x",
	}},
	{inOption, []string{"webhooks", "webhooks x", "webhooks {\n}\nwebhooks {\n}", "siem", "siem x", "siem file", "siem file a b", "siem file a {\n x\n}", "siem file a\nsiem file b", "siem webhook x y", "siem syslog udp x"}},
	{inBlock("activity"), []string{"write_every", "write_every \"\"", "write_every x", "write_every -1s", "write_every 5", "write_every 1m 2m", "nonsense", "write_every 5m {\n x\n}"}},
	{inBlock("limits"), []string{
		"address", "address \"\"", "address 1", "address x 1s", "address 0 1s", "address -1 1s", "address 1 0s", "address 1 -1s", "address 1 x", "address 1 2s 1s", "address 1 1s x", "address 1 1s 2s 3s", "address 1000001 1s", "address 1.5 1s",
		"address on", "address off 1s", "account", "account \"\"", "account 5", "account 5 \"\"", "account 99999999999999999999 1s", "account 1 1s {\n x\n}", "nonsense 1 1s", "address 1 1s\naddress 1 1s",
	}},
	{inOption, []string{
		"policy", "policy \"\" {\n allow everyone\n}", "policy a b {\n allow everyone\n}", "policy p", "policy p {\n}", "policy \"a b\" {\n allow everyone\n}", "policy {\n allow everyone\n}",
		"policy p {\n allow everyone\n}\npolicy p {\n allow everyone\n}", "policy \"{x}\" {\n allow everyone\n}",
	}},
	{inPolicy, []string{
		"allow", "allow \"\"", "allow nonsense", "allow user", "allow user:", "allow user:a@example.com", "allow \"user:a b\"", "allow group:", "allow group:Staff", "allow \"group:a,b\"", "allow domain:", "allow domain:example..com",
		"allow domain:@example.com", "allow domain:*.example.com", "allow owner:x", "allow everyone:x", "allow :", "allow :x", "allow everyone everyone", "allow user:a user:A", "allow everyone {\n x\n}", "allow ALL", "allow *",
		"deny everyone", "deny", "allow user:a\ndeny user:a", "deny nonsense\nallow everyone", "deny group:\nallow everyone", "deny owner",
		"network", "network \"\"", "network x\nallow everyone", "network 10.0.0.0/33\nallow everyone", "network 10.0.0.0/8", "network 10.0.0.0/8 10.0.0.0/8x\nallow everyone", "network example.com\nallow everyone",
		"public", "public \"\"", "public x\nallow everyone", "public /*\nallow everyone", "public *\nallow everyone", "public /a*\nallow everyone", "public /*/b\nallow everyone", "public /a/../b\nallow everyone", "public //a\nallow everyone",
		"public /a;b\nallow everyone", "public /%61\nallow everyone", "public /a?b\nallow everyone", "public \"/a#b\"\nallow everyone", "public /a\\b\nallow everyone", "public /a /a\nallow everyone", "public /a/* /a/*\nallow everyone",
		"public /", "require 3fa\nallow everyone", "tokens api\nallow everyone", "nonsense\nallow everyone", "\"\"\nallow everyone", "ALLOW everyone", "allow {env.NOT_SET_ANYWHERE", "public {path}\nallow everyone",
	}},
	{inSite, []string{
		"gate nobody", "gate \"\" x", "gate p p", "gate p {\n nonsense\n}", "gate p {\n headers\n}", "gate p {\n headers \"\"\n}", "gate p {\n headers nonsense\n}", "gate p {\n headers remote none\n}",
		"gate p {\n headers remote\n headers remote\n}", "gate p {\n headers Remote\n}", "gate @missing p", "gate p {\n headers remote {\n }\n}", "gate /a /b p", "gate P", "gate {env.POLICY}", "gate p {\n policy p\n}",
		"gate_portal p", "gate_portal *", "gate_portal {\n x\n}", "gate_portal {\n x\n}", "gate_portal /x", "gate_portal \"\"", "gate_verify", "gate p\n@x gate", "gate p\n@x gate nonsense", "gate p\n@x gate group:", "gate p\n@x gate everyone {\n x\n}", "gate_verify x", "gate_verify {\n}", "gate_verify {\n host\n}", "gate_verify {\n host a b c\n}", "gate_verify {\n host app.example.com nobody\n}", "gate_verify {\n host app.example.com p\n}", "gate_verify {\n nonsense\n}", "gate_verify {\n host a/b p\n}", "gate_verify {\n host a.*.example.com p\n}", "gate_verify {\n headers remote\n}", "gate p {\n headers {\n }\n}", "gate p {\n headers {\n nonsense X-A\n }\n}", "gate p {\n headers {\n user\n }\n}", "gate p {\n headers {\n user Cookie\n }\n}", "gate p {\n headers {\n user X-A\n name x_a\n }\n}", "gate p {\n headers {\n user X-A\n user X-B\n }\n}", "gate p {\n headers {\n groups X-A ;\n }\n}", "gate_", "gate p {", "gate {\n headers jwt2\n}",
	}},
	{func(lines string) string { return lines }, []string{
		"{\n\tgate\n\tgate\n}\n", "{\n\tgate x\n}\n", "{\n\tgate {\n\t}\n\tgate {\n\t}\n}\n", "{\n\tgate x {\n\t}\n}\n", "{\n\tgate {\n", "{\n\tgate \"\"\n}\n",
		"{\n\tgate {\n\t\tregister open\n\t}\n}\nhttp://app.localhost:8080 {\n\tgate\n}\n", "http://app.localhost:8080 {\n\tgate nobody\n}\n", "http://app.localhost:8080 {\n\tgate_portal\n}\n",
	}},
}

var position = regexp.MustCompile(`Caddyfile:(\d+)`)

func TestA1_AbsurdLinesAreErrorsWithTheirPlace(t *testing.T) {
	t.Parallel()
	for _, group := range absurd {
		for _, line := range group.lines {
			text := group.in(line)
			said, taken := adapt(t, text)
			checkRefused(t, text, line, said, taken)
		}
	}
}

// TestA1_FromTheCommandLine has one line of each kind in `caddy adapt` itself.
func TestA1_FromTheCommandLine(t *testing.T) {
	t.Parallel()
	for _, group := range absurd {
		line := group.lines[0]
		text := group.in(line)
		said, taken := adaptCommand(t, text)
		checkRefused(t, text, line, said, taken)
	}
}

// checkRefused wants an error that names the file and one of the lines at fault.
func checkRefused(t *testing.T, text, line, said string, taken bool) {
	t.Helper()
	if taken {
		t.Errorf("%q is taken in\n%s", line, text)
		return
	}
	if strings.Contains(said, "panic") || strings.Contains(said, "goroutine ") || strings.Contains(said, "DATA RACE") {
		t.Errorf("%q makes it panic:\n%s", line, said)
		return
	}
	at := position.FindStringSubmatch(said)
	if at == nil {
		t.Errorf("%q: no file and line in: %s", line, said)
		return
	}
	first := strings.Count(text[:strings.Index(text, line)], "\n") + 1
	last := first + strings.Count(line, "\n") + 2 // what only the whole block tells is said at its end
	if n, err := strconv.Atoi(at[1]); err != nil || n < first-1 || n > last {
		t.Errorf("%q stands in lines %d to %d, the error says %s: %s", line, first, last, at[1], said)
	}
}

// TestA1_SensibleLinesAreTaken has lines that look odd and mean something.
func TestA1_SensibleLinesAreTaken(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"{\n\tgate\n}\nhttp://app.localhost:8080 {\n\tgate\n}\n",
		"{\n\tgate {\n\t}\n}\nhttp://app.localhost:8080 {\n\tgate\n}\n",
		"http://app.localhost:8080 {\n\tgate\n}\n",
		inOption("database sqlite {env.GATE_DB}\nportal {env.GATE_PORTAL}\nsecret_key {file./run/secrets/key}\nregister {env.GATE_REGISTER}"),
		inOption("session {\n idle {env.IDLE}\n max {env.MAX}\n}\nhashing {\n argon2id {env.M} {env.P} {env.L}\n permits {env.N}\n when_full wait {env.W}\n}\nlimits {\n address {env.A} {env.B}\n}"),
		inOption("portal HTTPS://Auth.Example.COM:8443/"),
		inOption("database sqlite gate.db {\n wait 5s\n silence 20s\n}"),
		inOption("database {env.KIND} {env.DSN}\nsecret_key {env.KEY}"),
		inOption("secret_key {env.KEY}\ndatabase postgres {file./run/secrets/dsn} {\n connections 50\n tls on\n tls_ca /etc/ssl/db.pem\n tls_client c.pem k.pem\n}"),
		inOption("database postgres \"host=/run/postgresql dbname=gate\"\nsecret_key {env.KEY}"),
		inOption("database mysql gate:pw@unix(/run/mysqld/mysqld.sock)/gate\nsecret_key {env.KEY}"),
		inOption("database mysql mysql://gate:p%40ss@[::1]:3306/gate?tls=skip-verify\nsecret_key {env.KEY}"),
		inOption("portal auth.example.com/"),
		inBlock("session")("max 1h"),
		inOption("trusted_proxies private_ranges ::1 10.0.0.1"),
		inOption("hashing {\n permits off\n when_full wait 1m\n argon2id 8KiB 1 1\n}\nactivity {\n write_every 0s\n}"),
		inPolicy("allow group:a/b owner user:J\u00f6rg domain:EXAMPLE.com\ndeny user:mallory\nnetwork 10.0.0.0/8 ::1\npublic / /a/* /b/c"),
		inSite("gate /private/* p {\n headers none\n}"),
		inSite("@api path /api/*\n gate @api p"),
		inSite("gate * p"),
	} {
		if said, taken := adapt(t, text); !taken {
			t.Errorf("%s\nis refused: %s", text, said)
		}
	}
}
