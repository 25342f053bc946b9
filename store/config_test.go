package store_test

import (
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/store"
)

func TestConfigShowsNoSecret(t *testing.T) {
	t.Parallel()
	for _, c := range []store.Config{
		{Driver: store.Postgres, DSN: "postgres://gatehouse:hunter2@db.example.com:5433/gate?sslmode=require"},
		{Driver: store.Postgres, DSN: "host=db.example.com port=5433 user=gatehouse password=hunter2 dbname=gate"},
		{Driver: store.MySQL, DSN: "mysql://gatehouse:hunter2@db.example.com:5433/gate"},
		{Driver: store.MySQL, DSN: "gatehouse:hunter2@tcp(db.example.com:5433)/gate"},
	} {
		if got := c.String(); got != c.Driver+" db.example.com:5433/gate" {
			t.Errorf("shown as %s", got)
		}
		if key := c.Key(); strings.Contains(key, "hunter2") || strings.Contains(key, "gatehouse") {
			t.Errorf("the key is %s", key)
		}
		same, other := c, c
		same.Connections, same.Wait = 7, time.Second
		other.TLS.Mode = "on"
		if c.Local() || other.Key() == c.Key() || same.Key() != c.Key() {
			t.Errorf("%s: local, or a wrong key", c)
		}
	}
	for dsn, local := range map[string]bool{"postgres://u:p@localhost/db": true, "postgres://u:p@127.0.0.1:1/db": true, "postgres://u:p@[::1]/db": true,
		"host=/run/postgresql user=u dbname=db": true, "postgres://u:p@192.0.2.1/db": false, "postgres://u:p@localhost,db.example.com/db": false, "postgres://u:p@localhost.example.com/db": false} {
		if c := (store.Config{Driver: store.Postgres, DSN: authcore.Secret(dsn)}); c.Local() != local {
			t.Errorf("%s: local %v", dsn, !local)
		}
	}
}

// What is made of a database that somebody wrote never panics, and no error
// repeats it, for it may hold a password.
func FuzzParseConfig(f *testing.F) {
	for _, text := range []string{"sqlite:gate.db", "postgres://u:p@h:1/db?sslmode=disable", "postgresql://h/db", "mysql://u:p%40@[::1]:3306/db?tls=skip-verify&x=y",
		"mysql://u@h/db?", "postgres://u:p@h1,h2/db?target_session_attrs=read-write", "sqlite:", "mysql://u:p@h/d%2fb", "postgres://%zz"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, secret string) {
		c, err := store.ParseConfig(secret)
		if err == nil {
			_, _ = c.String(), c.Key()
			return
		}
		if _, rest, ok := strings.Cut(secret, "://"); ok && len(rest) > 12 && strings.Contains(err.Error(), rest) {
			t.Errorf("%v", err)
		}
	})
}

func TestParseConfig(t *testing.T) {
	t.Parallel()
	for text, driver := range map[string]string{"sqlite:gate.db": store.SQLite, "sqlite:/var/lib/gate.db": store.SQLite, "postgres://u:p@h/db": store.Postgres,
		"postgresql://u:p@h:1/db?sslmode=disable": store.Postgres, "mysql://u:p@h/db": store.MySQL, "mysql://u:p@[::1]:1/db?tls=skip-verify": store.MySQL} {
		if c, err := store.ParseConfig(text); err != nil || c.Driver != driver {
			t.Errorf("%s: %+v, %v", text, c, err)
		}
	}
	for _, text := range []string{"", "gate.db", "sqlite:", "sqlite", ":", "oracle://u:secret@h/db", "postgres://u:secret%zz@h/db", "mysql://", "mysql://u:secret@h", "mysql:u:secret@tcp(h)/db",
		"http://u:secret@h/db", "postgres://u:/secret@h/db", "postgres://u:12/secret@h/db", "postgres://u:p@secret/w#rd@h/db", "mysql://u:/secret@h/db", "mysql://u:se#secret@h/db"} {
		if _, err := store.ParseConfig(text); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", text, err)
		}
	}
}
