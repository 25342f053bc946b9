package store_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/store"
	"github.com/gatehouse-auth/gatehouse/store/storetest/dbserver"
)

// servers are the databases that one talks to over a network.
var servers = map[dbserver.Kind]string{dbserver.PostgreSQL: store.Postgres, dbserver.MariaDB: store.MySQL}

// With tls on, the connection is encrypted and the server is who it says; else
// there is none.
func TestTLS(t *testing.T) {
	t.Parallel()
	for kind, driver := range servers {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			server, name := ownServer(t, kind, dbserver.TLS)
			dsn, _, _ := strings.Cut(server.DSN(name, dbserver.User), "?")
			c := store.Config{Driver: driver, DSN: authcore.Secret(dsn), Wait: patience}
			encrypted := func(what string, tls store.TLS, want bool) {
				t.Helper()
				c.TLS = tls
				if on, err := openConfig(t, c).Encrypted(t.Context()); err != nil || on != want {
					t.Errorf("%s: encrypted: %v, %v", what, on, err)
				}
			}
			encrypted("as the DSN says", store.TLS{}, true)
			encrypted("off", store.TLS{Mode: "off"}, false)
			encrypted("on", store.TLS{Mode: "on", CA: server.CAFile()}, true)
			refused := func(what string, c store.Config, tls store.TLS, texts ...string) {
				t.Helper()
				c.TLS = tls
				db, err := store.Open(t.Context(), c)
				if err == nil {
					db.Close()
				} else if strings.Contains(err.Error(), server.Password()) {
					t.Errorf("%s: the error holds the password: %v", what, err)
				}
				says(t, what, err, texts...)
			}
			refused("an authority that nobody knows", c, store.TLS{Mode: "on"}, "certificate")
			byName := c
			byName.DSN = authcore.Secret(strings.Replace(dsn, "127.0.0.1", "localhost", 1))
			refused("a name that is not in the certificate", byName, store.TLS{CA: server.CAFile()}, "certificate", "localhost")
			refused("no file", c, store.TLS{CA: filepath.Join(t.TempDir(), "missing")}, "cannot be read")
			plain := kinds[map[dbserver.Kind]string{dbserver.PostgreSQL: "PostgreSQL", dbserver.MariaDB: "MariaDB"}[kind]](t)
			refused("a server without TLS", plain, store.TLS{Mode: "on"}, "TLS")
		})
	}
}
