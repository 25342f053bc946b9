package integration

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-auth/gatehouse/store/storetest/dbserver"
)

// silent are global options as {{.Global}} has them, without an admin endpoint.
const silent = "admin off\n\tdefault_bind 127.0.0.1\n\tpersist_config off\n\tgrace_period 3s"

// reach is a way of reaching a database by the command line.
type reach struct {
	caddyfile string
	begin     func(t *testing.T, s *server)
	server    string // what the doctor says of the server
}

var reaches = map[string]reach{
	"server":               {cottage, func(*testing.T, *server) {}, "runs on this database"},
	"server without admin": {strings.Replace(cottage, "{{.Global}}", silent, 1), func(*testing.T, *server) {}, "none answers"},
	"no server":            {cottage, func(t *testing.T, s *server) { s.Stop(t) }, "none answers"},
}

// start makes a server with alice as its owner, to be reached this way.
func (r reach) start(t *testing.T) *server {
	t.Helper()
	s := start(t, r.caddyfile)
	s.createOwner(t, alice)
	r.begin(t, s)
	return s
}

// step is a command, with what it must say as a regular expression for all of its
// output: on standard output when it works, else on standard error.
type step struct {
	stdin string
	args  string // split at spaces; _ stands for one
	exit  int
	says  string
}

const long = "a-long-password-of-somebody\n"

// steps is every command, right and wrong, in an order that makes sense. Alice is
// the owner and has one session.
var steps = []step{
	{long, "user add bob --email bob@example.com --name Bob_B. --group staff --group ops --password-stdin", 0, `Added user bob\.\n`},
	{long, "user add BOB --password-stdin", 1, `Error: This username is taken\.\n`},
	{long, "user add carl --email BOB@example.com --password-stdin", 1, `Error: This email address belongs to another account\.\n`},
	{long, "user add car_l --password-stdin", 1, `Error: A username can have letters, digits and \. _ - \+ only, and begins with a letter or a digit\.\n`},
	{long, "user add carl --email nonsense --password-stdin", 1, `Error: This does not look like an email address\.\n`},
	{long, "user add carl --group Bad --password-stdin", 1, `Error: A group name can have .*\n`},
	{"short\n", "user add carl --password-stdin", 1, `Error: .*at least \d+ characters.*\n`},
	{"\n", "user add carl --password-stdin", 1, `Error: there is no password on standard input\n`},
	{"", "user add carl --password-stdin", 1, `Error: there is no password on standard input\n`},
	{long, "user add carl", 1, `Error: give the password on standard input, with --password-stdin\n`},
	{long, "user add", 1, `Error: accepts 1 arg\(s\), received 0\n`},
	{long, "user add carol --owner --password-stdin", 0, `Added platform owner carol\.\n`},
	{"", "user list", 0, `USERNAME +EMAIL +NAME +STATUS +OWNER +ORG ONLY +GROUPS\nalice +alice@example.com +Alice +active +yes *\nbob +bob@example.com +Bob B\. +active +ops,staff\ncarol +active +yes *\n`},
	{"", "user list --json", 0, `(\{"id":"[^"]+","username":"[a-z]+".*\}\n){3}`},
	{"", "user list more", 1, `Error: .*\n`},
	{"", "user disable bob@example.com", 0, `User bob is disabled now\.\n`},
	{"", "user disable nobody", 1, `Error: There is no such user\.\n`},
	{"", "user enable BOB", 0, `User bob is active now\.\n`},
	{"", "user group bob --add x --add staff --remove ops", 0, `User bob is in: staff, x\.\n`},
	{"", "user group bob --remove ops", 1, `Error: bob is not in the group ops\n`},
	{"", "user group bob --add Bad", 1, `Error: A group name can have .*\n`},
	{"", "user group bob", 1, `Error: say which groups, with --add GROUP or --remove GROUP\n`},
	{"", "user group bob --remove staff --remove x", 0, `User bob is in: no group\.\n`},
	{"", "user email bob bob@example.net", 0, `The email address of bob was changed\.\n`},
	{"", "user email bob@example.net bob@example.org", 0, `The email address of bob was changed\.\n`},
	{"", "user email bob alice@example.com", 1, `Error: This email address belongs to another account\.\n`},
	{"", "user owner bob", 0, `User bob is a platform owner now\.\n`},
	{"", "user owner bob --remove", 0, `User bob is no platform owner any more\.\n`},
	{long, "user password bob --password-stdin", 0, `The password of bob was changed\.\n`},
	{"short\n", "user password bob --password-stdin", 1, `Error: .*at least \d+ characters.*\n`},
	{long, "user password nobody --password-stdin", 1, `Error: There is no such user\.\n`},
	{"", "user invite", 1, `Error: Invitations need "register invite", or a provider with "new_users invite", in the gate's configuration\.\n`},
	{"", "user invite --valid nonsense", 1, `Error: "nonsense" is not a duration such as 12h or 7d\n`},
	{"", "session list", 0, `ID +USERNAME +HOST +DEVICE +ADDRESS +SIGNED IN +LAST SEEN\n[0-9a-f-]{36} +alice +app\.localhost +A program +127\.0\.0\.1 +\S+ \S+ +\S+ \S+\n`},
	{"", "session list --user bob", 0, `ID +USERNAME +HOST +DEVICE +ADDRESS +SIGNED IN +LAST SEEN\n`},
	{"", "session list --user nobody", 1, `Error: There is no such user\.\n`},
	{"", "session list --user alice --json", 0, `\{"id":"[^"]+","username":"alice",.*\}\n`},
	{"", "session revoke", 1, `Error: give the id of a session .*--user NAME for all of a user.*\n`},
	{"", "session revoke x --user alice", 1, `Error: give the id of a session .*--user NAME for all of a user.*\n`},
	{"", "session revoke 0198c0de-0000-7000-8000-000000000000", 1, `Error: There is no such session\.\n`},
	{"", "session revoke --user alice", 0, `Revoked: 1\.\n`},
	{"", "session revoke --user alice", 0, `Revoked: 0\.\n`},
	{"", "session revoke --user nobody", 1, `Error: There is no such user\.\n`},
	{"", "explain", 1, `Error: accepts 1 arg\(s\), received 0\n`},
	{"", "explain nonsense", 1, `Error: Write the whole address, .*\n`},
	{"", "explain --user nobody http://app.localhost/", 1, `Error: There is no such user\.\n`},
	{"", "explain --from nonsense http://app.localhost/", 1, `Error: Write an IP address, .*\n`},
	{"", "explain --age nonsense http://app.localhost/", 1, `Error: --age "nonsense" is not a duration such as 30m or 2d\n`},
	{"", "explain http://nowhere.example/", 0, `no gate\n  No gate stands on the way .*\n`},
	{"", "copy", 1, `Error: --to is missing: name a database as in the Caddyfile, .*\n`},
	{"", "copy --to gate.db", 1, `Error: --to: name a database as in the Caddyfile, .*\n`},
	{"", "copy --to sqlite_x.db --from sqlite:missing.db", 1, `Error: .*missing\.db.*\n`},
	{"", "backup nofolder/x.db", 1, `Error: the folder nofolder does not exist\n`},
	{"", "nonsense", 1, `Error: unknown command "nonsense"; see: \S+ gate --help\n`},
	{"", "user nonsense", 1, `Error: unknown command "nonsense"; see: \S+ gate user --help\n`},
	{"", "session list --nonsense", 1, `Error: unknown flag: --nonsense\n`},
}

// take carries a step out.
func (s *server) take(t *testing.T, st step) {
	t.Helper()
	args := strings.Fields(st.args)
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], "_", " ")
	}
	out, errs, exit := s.CLI(t, st.stdin, args...)
	said := out
	if st.exit != 0 {
		said = errs
	}
	if exit != st.exit || !regexp.MustCompile(`^`+st.says+`$`).MatchString(said) || st.exit != 0 && out != "" {
		t.Errorf("%s: exit %d\n%s%s\nwant exit %d and %s", st.args, exit, out, errs, st.exit, st.says)
	}
	if strings.Contains(out+errs, strings.TrimSpace(long)) {
		t.Errorf("%s shows the password", st.args)
	}
}

func TestCommands(t *testing.T) {
	t.Parallel()
	for name, reach := range reaches {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := reach.start(t)
			for _, st := range steps {
				if st.exit == 0 || name != "server without admin" { // there it fails as it does with no server
					s.take(t, st)
				}
			}
			out, errs, exit := s.CLI(t, "", "doctor")
			for _, line := range []string{`ok +configuration +.*gate\.db`, `ok +server +` + reach.server, `ok +database +opens, schema version \d+`,
				`ok +connection `, `ok +integrity `, `ok +owner `, `ok +clock `, `ok +hashing `, `ok +files `, `ok +sites +[a-z]`} {
				if !regexp.MustCompile(`(?m)^` + line).MatchString(out) {
					t.Errorf("the doctor exits with %d and does not say %s but\n%s%s", exit, line, out, errs)
				}
			}
			if exit != 0 || strings.Contains(out, "error") {
				t.Errorf("the doctor exits with %d and says\n%s%s", exit, out, errs)
			}
			for line := range strings.Lines(s.must(t, "", "doctor", "--json")) {
				var found struct{ Check, State, Text string }
				if err := json.Unmarshal([]byte(line), &found); err != nil || found.Check == "" || found.State != "ok" || found.Text == "" {
					t.Errorf("the doctor, in JSON: %v: %s", err, line)
				}
			}
			s.commandsAudited(t)
		})
	}
}

// commandsAudited checks that each change of TestCommands has its audit row, by
// the command line.
func (s *server) commandsAudited(t *testing.T) {
	t.Helper()
	want := map[string]int{"user.create": 2, "user.disable": 1, "user.enable": 1, "user.groups": 2, "user.update": 2, "user.owner": 2,
		"password.change": 1, "session.revoke": 2}
	rows, err := s.database(t).Query("SELECT action, count(*) FROM events WHERE actor_kind = 'command' AND outcome = 'success' GROUP BY action")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	got := make(map[string]int)
	for rows.Next() {
		var action string
		var n int
		if err := rows.Scan(&action, &n); err != nil {
			t.Fatal(err)
		}
		got[action] = n
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("audit rows by the command line (-want +got):\n%s", diff)
	}
}

// A link that the command line makes lets one person in.
func TestInviteCommand(t *testing.T) {
	t.Parallel()
	s := start(t, strings.Replace(cottage, "{{.Gate}}", "{{.Gate}}\n\t\tregister invite", 1))
	s.createOwner(t, alice)
	s.take(t, step{"", "user invite --valid 91d", 1, `Error: an invitation is good for up to 90 days\n`})
	link, _, _ := strings.Cut(s.must(t, "", "user", "invite", "--valid", "1h"), "\n")
	at, token, found := strings.Cut(link, "?invite=")
	if !found || at != s.at("app.localhost", "/.gate/register") {
		t.Fatalf("the link is %s", link)
	}
	for _, try := range []struct {
		p    person
		want int
	}{{bob, http.StatusSeeOther}, {carol, http.StatusForbidden}} { // it is good for one
		form := try.p.form()
		form.Set("invite", token)
		if got := s.Client(t).post(at, form); got.StatusCode != try.want {
			t.Errorf("%s registers: %s, want %d", try.p.Username, got.Status, try.want)
		}
	}
	// With no server and no portal nothing tells the host, so the reader is told.
	s.Stop(t)
	s.take(t, step{"", "user invite", 0, `/\.gate/register\?invite=\S+\nPut a host of yours that has gate before it, e\.g\. \S+\nGood for one account until .*\n`})
}

// noServer makes a folder with a Caddyfile and no database; nothing runs.
func noServer(t *testing.T, caddyfile string) *server {
	t.Helper()
	s := newServer(t.TempDir(), newUpstream(t), caddyfile, nil)
	text, err := s.render(caddyfile)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.config(), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestCommandsWithoutDatabase(t *testing.T) {
	t.Parallel()
	s := noServer(t, strings.Replace(cottage, "{{.Gate}}", "database sqlite {{.Dir}}/new/deep/gate.db", 1))
	before := files(t, s.Dir)
	for _, args := range []string{"user add bob --password-stdin", "user list", "user disable bob", "user enable bob", "user password bob --password-stdin",
		"user owner bob", "user group bob --add x", "user email bob bob@example.com", "session list", "session revoke --user bob"} {
		s.take(t, step{long, args, 1, `Error: there is no database at \S+gate\.db yet; start Caddy once, or make the first owner with: ` +
			`caddy gate user add NAME --owner --password-stdin\n`})
	}
	if out, _, exit := s.CLI(t, "", "doctor"); exit != 0 || !regexp.MustCompile(`(?m)^warning +database +.* is not there yet; Caddy makes it when it starts`).MatchString(out) {
		t.Errorf("the doctor exits with %d and says\n%s", exit, out)
	}
	if diff := cmp.Diff(before, files(t, s.Dir)); diff != "" {
		t.Fatalf("files (-before +after):\n%s", diff)
	}

	// The first owner may make it, and nobody else can read it.
	s.take(t, step{"short\n", "user add alice --owner --password-stdin", 1, `Error: .*at least \d+ characters.*\n`})
	s.take(t, step{alice.Password + "\n", "user add alice --owner --password-stdin", 0, `Added platform owner alice\.\n`})
	for name, mode := range map[string]os.FileMode{"new": 0o700 | os.ModeDir, "new/deep": 0o700 | os.ModeDir, "new/deep/gate.db": 0o600, "new/deep/gate.db.key": 0o600} {
		if info, err := os.Stat(filepath.Join(s.Dir, name)); err != nil || info.Mode() != mode {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	if left := files(t, filepath.Join(s.Dir, "new", "deep")); len(left) != 3 {
		t.Errorf("files: %v", left)
	}
	// The server takes it up: there is nothing to set up any more.
	t.Cleanup(func() {
		for _, complaint := range s.finish() {
			t.Error(complaint)
		}
	})
	if err := s.firstRun(); err != nil {
		t.Fatal(err)
	}
	s.Client(t).signIn(s.at("app.localhost", ""), alice)
	if strings.Contains(s.Log(), "setup_link") {
		t.Error("a setup link is in the log")
	}
}

// A command that only looks leaves an empty database of a server empty, so that it
// can be copied into, with whatever key; the first owner may make its tables.
func TestCommandsWithEmptyDatabase(t *testing.T) {
	t.Parallel()
	for driver, kind := range map[string]dbserver.Kind{"postgres": dbserver.PostgreSQL, "mysql": dbserver.MariaDB} {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			s := noServer(t, strings.Replace(cottage, "{{.Gate}}", "database "+driver+" {env.GATE_DSN}\n\t\tsecret_key {env.GATE_KEY}", 1))
			env := s.Env
			use := func(dsn string) {
				s.Env = append(slices.Clone(env), "GATE_DSN="+dsn, "GATE_KEY="+strings.Repeat("A", 43)+"=")
			}
			dsn := urlOf(t, kind)
			use(dsn)
			for _, args := range []string{"user add bob --password-stdin", "user list", "user disable bob", "user email bob bob@example.com", "session list", "session revoke --user bob"} {
				s.take(t, step{long, args, 1, `Error: database ` + driver + ` 127\.0\.0\.1:\d+/\w+ is empty; start Caddy once, copy into it, or make the first owner with: ` +
					`caddy gate user add NAME --owner --password-stdin\n`})
			}
			s.take(t, step{"", "copy --to sqlite:copy.db", 1, `Error: database .* is empty: there is nothing to copy\n`})
			out, _, exit := s.CLI(t, "", "doctor")
			if exit != 0 || !regexp.MustCompile(`(?m)^warning +database +`+driver+` .* is empty; Caddy, or caddy gate copy, makes its tables$`).MatchString(out) {
				t.Errorf("the doctor exits with %d and says\n%s", exit, out)
			}
			if n := tables(t, kind, dsn); n != 0 {
				t.Fatalf("%d tables were made", n)
			}

			old := noServer(t, cottage)
			old.Env = append(old.Env, "GATE_DSN="+dsn)
			old.must(t, long, "user", "add", "alice", "--owner", "--password-stdin")
			old.must(t, "", "copy", "--to", driver+" {env.GATE_DSN}")
			key, err := os.ReadFile(filepath.Join(old.Dir, "gate.db.key"))
			if err != nil {
				t.Fatal(err)
			}
			s.Env = append(slices.Clone(env), "GATE_DSN="+dsn, "GATE_KEY="+strings.TrimSpace(string(key)))
			if out := s.must(t, "", "user", "list"); !strings.Contains(out, "alice") {
				t.Errorf("after a copy:\n%s", out)
			}

			use(urlOf(t, kind))
			s.take(t, step{long, "user add carol --owner --password-stdin", 0, `Added platform owner carol\.\n`})
			if out := s.must(t, "", "user", "list"); !strings.Contains(out, "carol") {
				t.Errorf("after the first owner:\n%s", out)
			}
		})
	}
}

// tables counts those in a database that urlOf made.
func tables(t *testing.T, kind dbserver.Kind, at string) (n int) {
	t.Helper()
	u, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	s, err := dbserver.Shared(kind)
	if err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open(kind.Driver(), s.DSN(strings.TrimPrefix(u.Path, "/"), dbserver.User))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	schema := "current_schema()"
	if kind == dbserver.MariaDB {
		schema = "database()"
	}
	if err := db.QueryRow("SELECT count(*) FROM information_schema.tables WHERE table_schema = " + schema).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// The configuration decides which database is meant, and mistakes in it are
// named.
func TestCommandConfiguration(t *testing.T) {
	t.Parallel()
	s := start(t, cottage)
	s.createOwner(t, alice)
	write := func(name, text string) string {
		t.Helper()
		text, err := s.render(text)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(s.Dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	other := write("other", strings.Replace(cottage, "{{.Gate}}", "database sqlite {{.Dir}}/other.db", 1))
	unset := write("unset", strings.Replace(cottage, "{{.Gate}}", "{{.Gate}}\n\t\tsecret_key {env.GATE_NOT_SET}", 1))
	broken := write("broken", strings.Replace(cottage, "{{.Gate}}", "{{.Gate}}\n\t\tnonsense", 1))
	open := write("open", "{\n\tgate {\n\t\tdatabase sqlite {{.Dir}}/open.db\n\t}\n}\nhttp://app.example.com {\n\tgate\n}\n")
	policyWord := write("policyword", "app.example.com {\n\tgate {\n\t\tallow everyone\n\t}\n}\n")
	out, _, exit := s.caddy(t, "", "adapt", "--config", s.config(), "--adapter", "caddyfile")
	if exit != 0 {
		t.Fatal(exit)
	}
	asJSON := write("config.json", out)
	for _, test := range []struct {
		name, config, stdin, args string
		exit                      int
		says                      string
	}{
		{"another database, with the server's admin endpoint", other, long, "user add root --owner --password-stdin", 0, "Added platform owner root.\n"},
		{"which has its own users", other, "", "user list", 0, "root"},
		{"the server's, as JSON", asJSON, "", "user list", 0, "alice"},
		{"with a mistake", broken, "", "user list", 1, "broken:"},
		{"with a word of policies at a gate", policyWord, "", "user list", 1, `"allow" belongs in a policy: write "policy NAME { … }" in the global option gate, and "gate NAME" here`},
		{"with a mistake, to the doctor", broken, "", "doctor", 1, "error"},
		{"with a variable that is not set", unset, "", "user list", 1, "secret_key: "},
		{"with a variable that is not set, as to why", unset, "", "user list", 1, "commands need the same environment as the service"},
		{"with a mistake that all sites together show, to the doctor", open, "", "doctor", 1, "open:7: app.example.com is plain HTTP"},
		{"that is not there", filepath.Join(s.Dir, "missing"), "", "user list", 1, "the configuration cannot be read"},
		{"that is not there, to the doctor", filepath.Join(s.Dir, "missing"), "", "doctor", 1, "name it with --config"},
	} {
		out, errs, exit := s.caddy(t, test.stdin, append(append([]string{"gate"}, strings.Fields(test.args)...), "--config", test.config)...)
		if exit != test.exit || !strings.Contains(out+errs, test.says) {
			t.Errorf("%s: exit %d\n%s%s\nwant %q", test.name, exit, out, errs, test.says)
		}
	}
	if strings.Contains(s.must(t, "", "user", "list"), "root") {
		t.Error("the user of one database is in the other")
	}
	// Without --config it is the Caddyfile here; with no word at all, the help.
	if out, errs, exit := s.caddy(t, "", "gate", "user", "list"); exit != 0 || !strings.Contains(out, "alice") {
		t.Errorf("without --config: exit %d\n%s%s", exit, out, errs)
	}
	for _, args := range [][]string{{"gate"}, {"gate", "user"}, {"gate", "session"}, {"gate", "user", "add", "--help"}} {
		if out, errs, exit := s.caddy(t, "", args...); exit != 0 || !strings.Contains(out, "Usage:") {
			t.Errorf("%s: exit %d\n%s%s", args, exit, out, errs)
		}
	}
}

// together runs commands at the same time and counts those that worked; the
// others must say why not.
func (s *server) together(t *testing.T, stdin string, commands []string, refused string) (worked int) {
	t.Helper()
	var wg sync.WaitGroup
	var mu sync.Mutex
	for _, args := range commands {
		wg.Go(func() {
			out, errs, exit := s.CLI(t, stdin, strings.Fields(args)...)
			mu.Lock()
			defer mu.Unlock()
			if exit == 0 {
				worked++
			} else if !strings.Contains(errs, refused) {
				t.Errorf("%s: exit %d\n%s%s", args, exit, out, errs)
			}
		})
	}
	wg.Wait()
	return worked
}

// Of commands that want the same at the same time, one gets it.
func TestCommandsAtOnce(t *testing.T) {
	t.Parallel()
	for name, reach := range reaches {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := reach.start(t)
			add := []string{"user add dave --password-stdin", "user add DAVE --password-stdin", "user add Dave --password-stdin"}
			if n := s.together(t, long, add, "This username is taken."); n != 1 {
				t.Errorf("%d of them made the user", n)
			}
			// What does not collide all counts.
			groups := []string{"user group dave --add a", "user group dave --add b", "user group dave --add c --add d", "user email dave dave@example.com"}
			if n := s.together(t, "", groups, ""); n != len(groups) {
				t.Errorf("%d of %d changes were made", n, len(groups))
			}
			if out := s.must(t, "", "user", "list"); !regexp.MustCompile(`(?mi)^dave +dave@example\.com +active +a,b,c,d$`).MatchString(out) {
				t.Errorf("afterwards:\n%s", out)
			}
			// The last owner, too: two who remove one another.
			s.must(t, "", "user", "owner", "dave")
			remove := []string{"user owner dave --remove", "user disable alice"}
			if n := s.together(t, "", remove, "This is the last active platform owner. Make another user an owner first."); n != 1 {
				t.Errorf("%d of two owners could go", n)
			}
			if n := s.count(t, "SELECT count(*) FROM users WHERE owner = 1 AND status = 'active'"); n != 1 {
				t.Errorf("%d owners are left", n)
			}
		})
	}
	t.Run("no database", func(t *testing.T) {
		t.Parallel()
		s := noServer(t, cottage)
		add := []string{"user add alice --owner --password-stdin", "user add ALICE --owner --password-stdin", "user add Alice --owner --password-stdin"}
		if n := s.together(t, long, add, "This username is taken."); n != 1 {
			t.Errorf("%d of them made the owner", n)
		}
		s.must(t, "", "doctor")
	})
}

func TestLastOwnerByCommand(t *testing.T) {
	t.Parallel()
	const last = `Error: This is the last active platform owner\. Make another user an owner first\.\n`
	for _, name := range []string{"server", "no server"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := reaches[name].start(t)
			for _, st := range []step{
				{"", "user disable alice", 1, last},
				{"", "user owner alice --remove", 1, last},
				{long, "user add bob --password-stdin", 0, `Added user bob\.\n`},
				{"", "user disable alice", 1, last},
				{"", "user owner bob", 0, `User bob is a platform owner now\.\n`},
				{"", "user disable bob", 0, `User bob is disabled now\.\n`},
				{"", "user owner alice --remove", 1, last}, // one who is disabled does not count
				{"", "user enable bob", 0, `User bob is active now\.\n`},
				{"", "user disable alice", 0, `User alice is disabled now\.\n`},
				{"", "user owner alice --remove", 0, `User alice is no platform owner any more\.\n`},
				{"", "user owner bob --remove", 1, last},
			} {
				s.take(t, st)
			}
		})
	}
}

// A command makes no files where the server's user could not read them.
func TestCommandInAnotherUsersFolder(t *testing.T) {
	t.Parallel()
	s := noServer(t, strings.Replace(cottage, "{{.Gate}}", "database sqlite {{.Dir}}/theirs/gate.db", 1))
	dir, owner := filepath.Join(s.Dir, "theirs"), 12345
	if os.Geteuid() != 0 { // then a folder of root's is another user's
		s = noServer(t, strings.Replace(cottage, "{{.Gate}}", "database sqlite /usr/gate.db", 1))
		dir, owner = "/usr", 0
	} else if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	} else if err := os.Chown(dir, owner, owner); err != nil {
		t.Fatal(err)
	}
	before := files(t, s.Dir)
	s.take(t, step{long, "user add alice --owner --password-stdin", 1, fmt.Sprintf(`Error: %s belongs to user id %d, and this command runs as %d: `+
		`run it as the user that Caddy runs as, e\.g\. with sudo -u caddy\n`, regexp.QuoteMeta(dir), owner, os.Geteuid())})
	if diff := cmp.Diff(before, files(t, s.Dir)); diff != "" {
		t.Errorf("files (-before +after):\n%s", diff)
	}
}

// What root makes beside a database of another user belongs to that user. There
// is nothing to try for anybody who is not root: they could not open it.
func TestFilesOfRootBelongToTheServersUser(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		return
	}
	const owner = 12345
	s := start(t, strings.Replace(cottage, "{{.Gate}}", "database sqlite {{.Dir}}/theirs/gate.db\n\t\thashing {\n\t\t\targon2id 64KiB 1 1\n\t\t}", 1))
	s.createOwner(t, alice)
	s.Stop(t)
	dir := filepath.Join(s.Dir, "theirs")
	for _, path := range files(t, dir) {
		if err := os.Chown(path, owner, owner); err != nil {
			t.Fatal(err)
		}
	}
	belongs := func(when string, want int) {
		t.Helper()
		all := files(t, dir)
		if len(all) != want {
			t.Errorf("%s: %v", when, all)
		}
		for _, path := range all {
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			uid := reflect.ValueOf(info.Sys()).Elem().FieldByName("Uid").Uint() // a syscall.Stat_t, where there is one
			if uid != owner || info.Mode().Perm()&0o077 != 0 {
				t.Errorf("%s: %s belongs to %d, with mode %v", when, filepath.Base(path), uid, info.Mode())
			}
		}
	}
	s.must(t, long, "user", "add", "bob", "--password-stdin")
	s.must(t, "", "user", "list")
	belongs("after commands", 3) // the folder, the database and its key
	s.Restart(t)
	s.Client(t).signIn(s.at("app.localhost", ""), alice)
	s.must(t, "", "user", "disable", "bob")
	belongs("with a server that root started", 5) // and the log and index of the database
	s.Kill(t)
	belongs("after a kill", 5)
	s.must(t, "", "user", "list")
	belongs("after a command that cleaned up", 3)
}
