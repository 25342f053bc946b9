package caddymodule

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/password"
	"github.com/gatehouse-auth/gatehouse/store"
)

// A database is written for a flag as in the Caddyfile or in one word, and a
// placeholder may stand for a part or for all of it.
func TestDatabaseOf(t *testing.T) {
	const postgres, mysql = "postgres://u:hunter2@h:5432/d", "u:hunter2@tcp(h:3306)/d"
	for name, text := range map[string]string{"DSN": postgres + "\n", "KIND_DSN": "mysql " + mysql + "\n", "FILE": "my gate.db"} {
		t.Setenv("GATE_TEST_"+name, text)
	}
	for text, want := range map[string]store.Config{
		"sqlite gate.db":                {Driver: store.SQLite, Path: "gate.db"},
		"sqlite my gate.db":             {Driver: store.SQLite, Path: "my gate.db"},
		"sqlite {env.GATE_TEST_FILE}":   {Driver: store.SQLite, Path: "my gate.db"},
		"sqlite:gate.db":                {Driver: store.SQLite, Path: "gate.db"},
		"sqlite:{env.GATE_TEST_FILE}":   {Driver: store.SQLite, Path: "my gate.db"},
		postgres:                        {Driver: store.Postgres, DSN: postgres},
		"postgres " + postgres:          {Driver: store.Postgres, DSN: postgres},
		"postgres host=h dbname=d":      {Driver: store.Postgres, DSN: "host=h dbname=d"},
		"postgres  {env.GATE_TEST_DSN}": {Driver: store.Postgres, DSN: postgres},
		"{env.GATE_TEST_DSN}":           {Driver: store.Postgres, DSN: postgres},
		"mysql://u:hunter2@h:3306/d":    {Driver: store.MySQL, DSN: "mysql://u:hunter2@h:3306/d"},
		"mysql " + mysql:                {Driver: store.MySQL, DSN: mysql},
		"{env.GATE_TEST_KIND_DSN}":      {Driver: store.MySQL, DSN: mysql},
	} {
		got, err := databaseOf("--to", text)
		want.Wait = store.DefaultWait
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", text, err, diff)
		}
		// A server that runs with it in its Caddyfile is found by the same key.
		r := resolver{expand: expandHere}
		if c := r.database(DatabaseSettings{Driver: want.Driver, At: want.Path + want.DSN.Reveal()}); c.Key() != got.Key() {
			t.Errorf("%s is another database in the Caddyfile", text)
		}
	}
	for text, says := range map[string]string{
		"gate.db":                    "as in the Caddyfile",
		mysql:                        "as in the Caddyfile",
		"oracle hunter2":             "as in the Caddyfile",
		"sqlite":                     "needs a file",
		"postgres":                   "cannot be read",
		"postgres postgres://h:x":    "cannot be read",
		"mysql hunter2":              "cannot be read",
		"{env.GATE_TEST_UNSET}":      "commands need the same environment as the service",
		"postgres {file./nowhere/x}": "be able to read the same files",
	} {
		_, err := databaseOf("--to", text)
		if err == nil || !strings.HasPrefix(err.Error(), "--to: ") || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v, want %q", text, err, says)
		}
	}
}

// A placeholder that stands for nothing is named with the word it stands behind.
func TestUnsetPlaceholders(t *testing.T) {
	t.Parallel()
	const unset = "{env.GATE_TEST_UNSET}"
	for word, s := range map[string]Settings{
		"database":        {Database: DatabaseSettings{Driver: "postgres", At: unset}},
		"tls_ca":          {Database: DatabaseSettings{TLSCA: unset}},
		"secret_key":      {SecretKey: unset},
		"portal":          {Portal: unset},
		"register":        {Register: unset},
		"trusted_proxies": {TrustedProxies: []string{"10.0.0.0/8", unset}},
		"session idle":    {Session: SessionSettings{Idle: unset}},
		"argon2id":        {Hashing: HashingSettings{Argon2id: []string{unset, "1", "1"}}},
		"limits account":  {Limits: LimitSettings{Account: []string{unset, "1s"}}},
	} {
		_, err := s.resolve(expandHere)
		if err == nil || !strings.HasPrefix(err.Error(), word+": ") || !strings.Contains(err.Error(), "env.GATE_TEST_UNSET") ||
			!strings.Contains(err.Error(), "commands need the same environment as the service") {
			t.Errorf("%s: %v", word, err)
		}
		if _, err := s.resolve(expander()); err == nil || strings.Contains(err.Error(), "commands") {
			t.Errorf("%s, to the server: %v", word, err)
		}
	}
}

// Of a database that does not answer, the doctor says so once, and looks at the
// rest.
func TestDoctorWithoutDatabase(t *testing.T) {
	t.Parallel()
	c := testCore(t, t.TempDir()+"/gate.db")
	accounts, err := c.accounts(values{params: password.Params{Memory: 64, Passes: 1, Lanes: 1}, lifetime: authcore.Lifetime{}})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.audit.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.db.Close(); err != nil {
		t.Fatal(err)
	}
	found, err := examine(t.Context(), &console{accounts: accounts, db: c.db}, struct{}{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range found.([]finding) {
		got = append(got, f.State+" "+f.Check)
	}
	if diff := cmp.Diff([]string{"error database", "warning database", "ok hashing"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if text := found.([]finding)[1].Text; !strings.Contains(text, "not looked at: the database does not answer") {
		t.Error(text)
	}
}
