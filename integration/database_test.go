package integration

import (
	"crypto/rand"
	"database/sql"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// shack is the cottage with what the test names as its database.
func shack(database string) string {
	return strings.Replace(cottage, "{{.Gate}}", "database sqlite "+database, 1)
}

// put writes a file into the server's folder before it starts.
func put(name string, body []byte) option {
	return func(s *server) { _ = os.WriteFile(filepath.Join(s.Dir, name), body, 0o600) }
}

// in runs statements on a SQLite file in the server's folder, as another program
// would; it waits for a server that is writing.
func in(name string, statements ...string) option {
	return func(s *server) {
		db, err := sql.Open("sqlite", "file:"+filepath.ToSlash(filepath.Join(s.Dir, name))+"?_pragma=busy_timeout(60000)")
		if err != nil {
			panic(err)
		}
		defer db.Close()
		for _, statement := range statements {
			if _, err := db.Exec(statement); err != nil {
				panic(err)
			}
		}
	}
}

// complains checks that Caddy did not start, and that the last of what it wrote
// says all of the texts.
func complains(t *testing.T, s *server, err error, texts ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("Caddy starts")
	}
	last := tail(s.Log(), 1)
	for _, text := range texts {
		if !strings.Contains(strings.ReplaceAll(last, `\"`, `"`), text) {
			t.Errorf("Caddy does not say %q, but:\n%s", text, last)
		}
	}
	if !strings.Contains(last, "gate app module") {
		t.Errorf("Caddy does not say who complains:\n%s", last)
	}
	s.mu.Lock()
	code := s.cmd.ProcessState.ExitCode()
	s.mu.Unlock()
	if code == 0 {
		t.Error("and exits with 0")
	}
	s.Kill(t) // it has ended; now the harness knows
}

// unwritable is a folder in which nobody can make a file, root neither.
func unwritable(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		dir := filepath.Join(t.TempDir(), "folder")
		if err := os.Mkdir(dir, 0o500); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	for _, dir := range []string{"/sys", "/System", "/proc"} {
		if f, err := os.CreateTemp(dir, ""); err == nil {
			f.Close()
			os.Remove(f.Name())
		} else if _, err := os.Stat(dir); err == nil {
			return dir
		}
	}
	t.Fatalf("on %s this test needs to run as somebody else than root", runtime.GOOS)
	return ""
}

func TestDatabaseThatCannotBe(t *testing.T) {
	t.Parallel()
	noise := make([]byte, 8192)
	_, _ = rand.Read(noise)
	writable := []string{"make the folder writable for the user Caddy runs as", `or choose another with "database sqlite FILE"`}
	foreign := []string{"the file belongs to another program", "choose another file"}
	text := []string{"the file is not a SQLite database", "choose another file, or restore this one from a backup"}
	tests := []struct {
		name     string
		database string
		opts     []option
		says     []string
	}{
		{"below a file", "{{.Dir}}/file/gate.db", []option{put("file", nil)}, append([]string{"/file/gate.db cannot be opened", "not a directory"}, writable...)},
		{"a folder", "{{.Dir}}", nil, []string{"cannot be opened", "is a directory", `choose another`}},
		{"a folder that nobody can write", unwritable(t) + "/gate.db", nil, append([]string{"gate.db cannot be opened"}, writable...)},
		{"a text", "{{.Dir}}/notes.txt", []option{put("notes.txt", []byte("Dear diary,\nthis is a text.\n"))}, text},
		{"noise", "{{.Dir}}/noise", []option{put("noise", noise)}, text},
		{"another program's", "{{.Dir}}/notes.db", []option{in("notes.db", "CREATE TABLE notes (text TEXT)")}, foreign},
		{"another program's, like ours", "{{.Dir}}/like.db", []option{in("like.db", "PRAGMA application_id = 7", "CREATE TABLE users (id TEXT)", "CREATE TABLE sessions (id TEXT)")}, foreign},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var before []string
			s, err := tryStart(t, shack(test.database), append(test.opts, func(s *server) { before = files(t, s.Dir) })...)
			complains(t, s, err, test.says...)
			left := make(map[string]bool)
			for _, f := range files(t, s.Dir) {
				left[f] = !strings.Contains(f, "/config") && !strings.Contains(f, "/data") && !strings.HasSuffix(f, "/Caddyfile") // Caddy's own
			}
			for _, f := range before {
				delete(left, f)
			}
			for f, ours := range left {
				if ours {
					t.Errorf("%s was left behind", f)
				}
			}
			path, _ := s.render(test.database)
			if _, err := os.Stat(path); os.IsNotExist(err) {
				return // and the command line makes none
			}
			out, errs, exit := s.CLI(t, "", "user", "list")
			if exit == 0 || !strings.Contains(errs, test.says[0]) {
				t.Errorf("the command line exits with %d and says %s%s", exit, out, errs)
			}
			if out, _, exit := s.CLI(t, "", "doctor"); exit == 0 || !strings.Contains(out, "error") {
				t.Errorf("the doctor exits with %d and says\n%s", exit, out)
			}
		})
	}
}

// The database of a newer Gatehouse is left alone.
func TestNewerDatabase(t *testing.T) {
	t.Parallel()
	s := start(t, cottage)
	s.createOwner(t, alice)
	s.Stop(t)
	in("gate.db", "INSERT INTO gate_schema (version_id, is_applied) VALUES (20990101, 1)")(s)
	err := s.run()
	complains(t, s, err, "was made by a newer Gatehouse", "version 20990101", "install that version again, or restore a backup made before the upgrade")
	if _, errs, exit := s.CLI(t, "", "user", "list"); exit == 0 || !strings.Contains(errs, "newer Gatehouse") {
		t.Errorf("the command line exits with %d and says %s", exit, errs)
	}
	in("gate.db", "DELETE FROM gate_schema WHERE version_id = 20990101")(s)
	s.Restart(t)
	s.Client(t).signIn(s.at("app.localhost", ""), alice)
}

// The secret key belongs to the database: with another, or none, Caddy does not
// start, and makes none up.
func TestSecretKeyThatIsWrong(t *testing.T) {
	t.Parallel()
	s := start(t, cottage)
	b := s.createOwner(t, alice)
	s.Stop(t)
	path := filepath.Join(s.Dir, "gate.db.key")
	right, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key file has mode %v, %v", info.Mode(), err)
	}
	fails := func(texts ...string) {
		t.Helper()
		complains(t, s, s.run(), texts...)
	}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	other := authcore.NewSecretKey().Text().Reveal()
	write(other + "\n")
	fails("the secret key is not the one this database was made with", "restore that key")
	write("garbage\n")
	fails("gate.db.key", "the secret key must be 32 random bytes in base64")
	write("")
	fails("gate.db.key", "the secret key must be 32 random bytes in base64")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	fails("gate.db.key", "no such file", "restore the file from your backup", `"secret_key"`)
	if _, errs, exit := s.CLI(t, "", "user", "list"); exit == 0 || !strings.Contains(errs, "restore the file") {
		t.Errorf("the command line exits with %d and says %s", exit, errs)
	}
	if out, _, exit := s.CLI(t, "", "doctor"); exit == 0 || !strings.Contains(out, "restore the file") {
		t.Errorf("the doctor exits with %d and says\n%s", exit, out)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("a new key was made for a database that has one")
	}

	// The right key may come by the configuration.
	text := s.text
	s.text = strings.Replace(text, "{{.Gate}}", "{{.Gate}}\n\t\tsecret_key {file.{{.Dir}}/moved.key}", 1)
	fails("moved.key")
	put("moved.key", []byte(other))(s)
	fails("the secret key is not the one this database was made with", "secret_key")
	put("moved.key", right)(s)
	s.Restart(t)
	if got := b.fetch(s.at("app.localhost", "/page")); got.StatusCode != http.StatusOK {
		t.Errorf("with the right key: %s", got.Status)
	}
	s.Stop(t)
	s.text = text
	write(string(right))
	s.Restart(t)
	if strings.Contains(s.Log(), strings.TrimSpace(string(right))) || strings.Contains(s.Log(), other) {
		t.Error("a key is in the log")
	}
}

// A database that was cut off is not taken for a new one.
func TestTruncatedDatabase(t *testing.T) {
	t.Parallel()
	s := start(t, cottage)
	s.createOwner(t, alice)
	s.Stop(t)
	path := filepath.Join(s.Dir, "gate.db")
	body, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{50, 100, 1000, 4096, 3 * 4096} {
		if err := os.WriteFile(path, body[:size], 0o600); err != nil {
			t.Fatal(err)
		}
		complains(t, s, s.run(), "gate.db", "restore")
	}
	if err := os.WriteFile(path, body, 0o600); err != nil {
		t.Fatal(err)
	}
	s.Restart(t)
	s.Client(t).signIn(s.at("app.localhost", ""), alice)
}

// A database whose pages were overwritten gives errors that say so, and no wrong
// answers; the process stays up.
func TestDamagedDatabase(t *testing.T) {
	t.Parallel()
	s := start(t, cottage)
	s.createOwner(t, alice)
	for i := range 40 {
		p := someone(fmt.Sprintf("user%d", i))
		p.Name = strings.Repeat(p.Name+" ", 15)
		in("gate.db", "INSERT INTO users (id, username, username_key, email, email_key, email_verified, name, status, owner, created_at, updated_at) SELECT 'id-"+p.Username+"', '"+p.Username+"', '"+p.Username+"', '', NULL, 0, '"+p.Name+"', 'active', 0, 1, 1")(s)
	}
	s.Stop(t)
	path := filepath.Join(s.Dir, "gate.db")
	body, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var root int
	if err := s.database(t).QueryRow("SELECT rootpage FROM sqlite_master WHERE name = 'users_username_key'").Scan(&root); err != nil {
		t.Fatal(err)
	}
	const page = 4096
	copy(body[(root-1)*page:root*page], strings.Repeat("damage! ", page/8))
	if err := os.WriteFile(path, body, 0o600); err != nil {
		t.Fatal(err)
	}
	s.Restart(t)
	for range 3 {
		got := s.Client(t).login(s.at("app.localhost", ""), alice)
		if got.StatusCode < 500 || !strings.Contains(got.Body, "<html") || strings.Contains(got.Body, "malformed") {
			t.Errorf("a sign-in: %s\n%s", got.Status, got.Body)
		}
	}
	eventually(t, "an error in the log", func() bool { return strings.Contains(s.Log(), "malformed") })
	if got := s.Client(t).fetch(s.at("app.localhost", "/page")); got.StatusCode != http.StatusUnauthorized {
		t.Errorf("somebody who is not signed in: %s", got.Status)
	}
	out, _, exit := s.CLI(t, "", "doctor")
	if exit == 0 || !regexp.MustCompile(`error +integrity +.*damaged.*restore a backup`).MatchString(out) {
		t.Errorf("the doctor exits with %d and says\n%s", exit, out)
	}
}

// While another process holds the database's writer, sign-in says to come back,
// who is signed in notices nothing, and afterwards all is well by itself.
func TestLockedDatabase(t *testing.T) {
	t.Parallel()
	s := start(t, cottage)
	b := s.createOwner(t, alice)
	token := s.token(t, b, "app.localhost")
	at := s.at("app.localhost", "")
	if got := b.fetch(at + "/page"); got.StatusCode != http.StatusOK {
		t.Fatal(got.Status)
	}
	holder := s.holder(t)
	command(t, holder, "BEGIN EXCLUSIVE")
	waiting := make(chan page, 3)
	for range 3 {
		go func() {
			var got page
			defer func() { waiting <- got }() // also when there is no answer, which ends this goroutine
			got = s.Client(t).login(at, alice)
		}()
	}
	for range 3 {
		for answered := false; !answered; {
			select {
			case got := <-waiting:
				if answered = true; got.Response == nil {
					continue
				}
				after, err := strconv.Atoi(got.Header.Get("Retry-After"))
				if got.StatusCode != http.StatusServiceUnavailable || err != nil || after < 1 || after > 60 || !strings.Contains(got.Body, "<html") {
					t.Errorf("a sign-in: %s, Retry-After %q", got.Status, got.Header.Get("Retry-After"))
				}
				if len(got.Header["Set-Cookie"]) > 0 {
					t.Errorf("a cookie for a session that is not there: %v", got.Header["Set-Cookie"])
				}
			default:
				if got := b.fetch(at + "/page"); got.StatusCode != http.StatusOK {
					t.Fatalf("who is signed in: %s", got.Status)
				}
			}
		}
	}
	// As JSON, for programs.
	got := s.Client(t).do("POST", at+"/.gate/login", fmt.Sprintf(`{"username":"alice","password":%q}`, alice.Password), header{"Content-Type", "application/json"})
	if got.StatusCode != http.StatusServiceUnavailable || !strings.Contains(got.Body, `"database_unavailable"`) {
		t.Errorf("by JSON: %s %s", got.Status, got.Body)
	}
	// A wrong password needs no writer; its audit event waits.
	if got := s.Client(t).login(at, person{Username: "alice", Password: "wrong"}); got.StatusCode != http.StatusUnauthorized {
		t.Errorf("a wrong password: %s", got.Status)
	}
	// Nor does a session that is not in memory.
	if got := s.Client(t).fetch(at+"/page", header{"Cookie", "gate=" + token}); got.StatusCode != http.StatusOK {
		t.Errorf("another connection: %s", got.Status)
	}
	command(t, holder, "ROLLBACK")
	eventually(t, "sign-in afterwards", func() bool { return s.Client(t).login(at, alice).StatusCode == http.StatusSeeOther })
	eventually(t, "the audit of what failed meanwhile", func() bool {
		return s.count(t, "SELECT count(*) FROM events WHERE details = 'wrong password'") == 1
	})
	if n := s.count(t, "SELECT count(*) FROM sessions") - s.count(t, "SELECT count(*) FROM events WHERE action = 'user.login' AND outcome = 'success'"); n != 0 {
		t.Errorf("%d sessions more than sign-ins that worked", n)
	}
}

// holder opens the server's database to write, as another process does.
func (s *server) holder(t *testing.T) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.ToSlash(filepath.Join(s.Dir, "gate.db"))+"?_pragma=busy_timeout(60000)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	db.SetMaxOpenConns(1)
	return db
}

func command(t *testing.T, db *sql.DB, statement string) {
	t.Helper()
	if _, err := db.Exec(statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// A stop does not hang on a database that does, and leaves what that did not take to
// the next start.
func TestStopWithLockedDatabase(t *testing.T) {
	t.Parallel()
	s := start(t, cottage)
	s.createOwner(t, alice)
	holder := s.holder(t)
	command(t, holder, "BEGIN IMMEDIATE")
	for range 3 {
		if got := s.Client(t).login(s.at("app.localhost", ""), person{Username: "alice", Password: "wrong"}); got.StatusCode != http.StatusUnauthorized {
			t.Errorf("a wrong password: %s", got.Status)
		}
	}
	s.Stop(t)
	if len(s.spills(t)) != 1 || strings.Contains(s.Log(), "audit events were lost") {
		t.Errorf("there is no spill file, or the log says that audit events were lost: %v", s.spills(t))
	}
	command(t, holder, "COMMIT")
	s.Restart(t)
	s.Client(t).signIn(s.at("app.localhost", ""), alice)
	s.settled(t)
	if n := s.count(t, "SELECT count(*) FROM events WHERE details = 'wrong password'"); n != 3 {
		t.Errorf("%d of 3 wrong passwords are in the log", n)
	}
}
