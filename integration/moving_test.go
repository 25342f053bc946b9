package integration

import (
	"database/sql"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/store/storetest/dbserver"
)

// urlOf is a new database on the server of a kind that all tests share, as the
// command line writes it.
func urlOf(t *testing.T, kind dbserver.Kind) string {
	t.Helper()
	s, name := dbserver.Fresh(t, kind)
	scheme, options := "postgres", "?sslmode=disable"
	if kind == dbserver.MariaDB {
		scheme, options = "mysql", ""
	}
	return fmt.Sprintf("%s://%s:%s@%s/%s%s", scheme, dbserver.User, s.Password(), s.Addr(), name, options)
}

// crowd makes so many users, with the password of one that is there: as many as
// GATE_USERS says, or a few.
func crowd(t *testing.T, of person) (n int, make option) {
	t.Helper()
	n = times(t, "GATE_USERS", 700)
	return n, in("gate.db",
		fmt.Sprintf("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)"+
			" INSERT INTO users (id, username, username_key, email, email_key, email_verified, name, status, owner, created_at, updated_at) SELECT printf('0190a000-0000-7000-8000-%%012d', i), 'User' || i, 'user' || i, 'User' || i || '@example.com', 'user' || i || '@example.com',"+
			" 1, 'Ü ' || i, 'active', 0, 1767323045678901 + i, 1767323045678901 FROM n", n),
		"INSERT INTO passwords SELECT n.id, p.hash, 1767323045678901 FROM users n, passwords p JOIN users u ON u.id = p.user_id"+
			" WHERE u.username = '"+of.Username+"' AND n.id <> u.id")
}

// Users move from SQLite to PostgreSQL, MariaDB and back: who was signed in stays
// so, and everybody signs in as before.
func TestMovingHouse(t *testing.T) {
	t.Parallel()
	s := start(t, cottage)
	b := s.createOwner(t, alice)
	s.Stop(t)
	n, fill := crowd(t, alice)
	fill(s)
	key, err := os.ReadFile(filepath.Join(s.Dir, "gate.db.key"))
	if err != nil {
		t.Fatal(err)
	}
	put("key", key)(s)
	last := alice
	last.Username = fmt.Sprint("user", n)
	from, sums := "", ""
	for _, to := range []string{urlOf(t, dbserver.PostgreSQL), urlOf(t, dbserver.MariaDB), "sqlite:" + filepath.Join(s.Dir, "moved.db")} {
		s.Env = append(s.Env, "GATE_FROM="+from, "GATE_TO="+to)
		args := []string{"copy", "--to", "{env.GATE_TO}"}
		if from != "" {
			args = append(args, "--from", "{env.GATE_FROM}")
		}
		out, errs, exit := s.CLI(t, "", args...)
		keyGoes := "name it with secret_key"
		if file, ok := strings.CutPrefix(to, "sqlite:"); ok {
			keyGoes = "put the key into " + file + ".key"
		}
		if exit != 0 || !strings.Contains(out, "and compared. It belongs to the same secret key: "+keyGoes) || errs != "" {
			t.Fatalf("copy to %s: exit %d\n%s%s", to, exit, out, errs)
		}
		if !regexp.MustCompile(fmt.Sprintf(`(?m)^users +%d +[0-9a-f]{16}$`, n+1)).MatchString(out) {
			t.Errorf("copied\n%s", out)
		}
		// The same sums wherever it goes, but for what happened in between: the end of
		// the audit chain is among the settings.
		same := regexp.MustCompile(`(?m)^(users|passwords|user_groups) .*$`).FindAllString(out, -1)
		if now := strings.Join(same, "\n"); sums == "" {
			sums = now
			t.Logf("%d users:\n%s", n, out)
		} else if now != sums {
			t.Errorf("copied\n%s\nand before\n%s", now, sums)
		}
		kind, place, _ := strings.Cut(to, ":")
		if kind != "sqlite" {
			place = "{env.GATE_TO}"
		}
		s.text = strings.Replace(cottage, "{{.Gate}}", "database "+kind+" "+place+"\n\t\tsecret_key {file.{{.Dir}}/key}\n\t\thashing {\n\t\t\targon2id 64KiB 1 1\n\t\t}", 1)
		s.Restart(t)
		if got := b.fetch(s.at("app.localhost", "/page")); got.StatusCode != http.StatusOK {
			t.Errorf("on %s, who was signed in gets %s", kind, got.Status)
		}
		s.Client(t).signIn(s.at("app.localhost", ""), last)
		if out, errs, exit := s.CLI(t, "", "doctor"); exit != 0 {
			t.Errorf("on %s the doctor says\n%s%s", kind, out, errs)
		}
		s.copyWhileCaddyRuns(t, kind, to)
		if kind != "sqlite" {
			if _, errs, exit := s.CLI(t, "", "restore", "gate.db"); exit == 0 || !strings.Contains(errs, "is restored by its own tools") {
				t.Errorf("a restore into %s: exit %d\n%s", kind, exit, errs)
			}
		}
		s.Stop(t)
		if out, errs, exit := s.CLI(t, "", "copy", "--to", "{env.GATE_TO}", "--from", "sqlite:"+filepath.Join(s.Dir, "gate.db")); exit == 0 || !strings.Contains(errs, "is not empty") {
			t.Errorf("a copy into %s once more: exit %d\n%s%s", kind, exit, out, errs)
		}
		from = to
		if _, password, ok := strings.Cut(to, dbserver.User+":"); ok {
			password, _, _ = strings.Cut(password, "@")
			if strings.Contains(s.Log()+out+errs, password) {
				t.Errorf("the password of %s shows", kind)
			}
		}
	}
}

// copyWhileCaddyRuns makes copies of the database that the server runs on: without
// sessions, and warned of what stays behind.
func (s *server) copyWhileCaddyRuns(t *testing.T, kind, at string) {
	t.Helper()
	for i, more := range [][]string{nil, {"--from", at}} {
		file := filepath.Join(s.Dir, fmt.Sprintf("trial-%s-%d.db", kind, i))
		out, errs, exit := s.CLI(t, "", append([]string{"copy", "--without-sessions", "--to", "sqlite " + file}, more...)...)
		if exit != 0 || errs != "Caddy runs on the source: what changes from now on stays behind.\n" || !strings.Contains(out, "put the key into "+file+".key") {
			t.Errorf("a copy of %s while Caddy runs: exit %d\n%s%s", kind, exit, out, errs)
		}
		db, err := sql.Open("sqlite", file)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		var users, sessions int
		if err := db.QueryRow("SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM sessions)").Scan(&users, &sessions); err != nil || users == 0 || sessions != 0 {
			t.Errorf("a copy of %s without sessions has %d users and %d sessions: %v", kind, users, sessions, err)
		}
	}
}

func TestBackupCommand(t *testing.T) {
	t.Parallel()
	s := start(t, cottage)
	b := s.createOwner(t, alice)
	if out := s.must(t, "", "backup", "backup.db"); !strings.Contains(out, "Wrote backup.db.") || !strings.Contains(out, "gate.db.key) is not part of it") {
		t.Errorf("backup says %s", out)
	}
	s.addUser(t, someone("bob"))
	refused := func(what string, says string, args ...string) {
		t.Helper()
		if out, errs, exit := s.CLI(t, "", args...); exit == 0 || !strings.Contains(errs, says) {
			t.Errorf("%s: exit %d\n%s%s", what, exit, out, errs)
		}
	}
	refused("a backup into a file that is there", "is there already", "backup", "backup.db")
	refused("a restore while Caddy runs", "stop Caddy first", "restore", "backup.db")
	s.Stop(t)
	key := filepath.Join(s.Dir, "gate.db.key")
	right, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	put("gate.db.key", []byte(strings.Repeat("A", 43)+"=\n"))(s)
	refused("a restore with another key", "made with another secret key", "restore", "backup.db")
	put("gate.db.key", right)(s)
	refused("a restore of nothing", "no such file", "restore", "missing.db")
	if out := s.must(t, "", "restore", "backup.db"); !strings.Contains(out, "Everybody has to sign in again") || !strings.Contains(out, "gate.db.before-") {
		t.Errorf("restore says %s", out)
	}
	s.Restart(t)
	if got := b.fetch(s.at("app.localhost", "/page")); got.StatusCode != http.StatusUnauthorized {
		t.Errorf("a session from before the restore gets %s", got.Status)
	}
	s.Client(t).signIn(s.at("app.localhost", ""), alice)
	if users := s.must(t, "", "user", "list"); strings.Contains(users, "bob") {
		t.Errorf("there is who was not in the backup:\n%s", users)
	}
}
