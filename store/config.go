package store

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// The databases there are.
const (
	SQLite   = "sqlite"
	Postgres = "postgres"
	MySQL    = "mysql"
)

// Config names a database and says how to use it.
type Config struct {
	Driver string          // SQLite, Postgres or MySQL
	Path   string          // SQLite: the file
	DSN    authcore.Secret // the others: a URL, or what the driver reads; it holds a password

	// Connections is how many there may be at once; 0 means 20. SQLite has one
	// writer and as many readers as the processors can feed.
	Connections int
	// Wait is how long one command may take, with waiting for a connection, for
	// locks and for its commit; 0 means 3 s.
	Wait time.Duration
	// TLS to PostgreSQL or MySQL, where the DSN is not to decide.
	TLS TLS
}

// TLS says how the connection to the database is encrypted.
type TLS struct {
	Mode string // "on": encrypted, and the server's name is verified; "off"; empty: as the DSN says
	CA   string // file of the certificates to verify with; empty: the system's
	Cert string // file of the client's certificate
	Key  string // and its key
}

const (
	// DefaultWait is how long a command may take.
	DefaultWait = 3 * time.Second
	// DefaultConnections is how many connections there may be.
	DefaultConnections = 20
)

// Validate finds what is missing or cannot work. Its errors never hold the DSN.
func (c Config) Validate() error {
	switch {
	case c.Connections < 0 || c.Connections > 10_000:
		return errors.New("the database can have 1 to 10000 connections")
	case c.Wait < 0:
		return errors.New("the database cannot be waited for less than no time")
	}
	switch c.Driver {
	case SQLite:
		return c.validateSQLite()
	case Postgres:
		_, err := c.postgres()
		return err
	case MySQL:
		_, err := c.mysql()
		return err
	}
	return fmt.Errorf("unknown database %q: it is %s, %s or %s", c.Driver, SQLite, Postgres, MySQL)
}

func (c Config) validateSQLite() error {
	switch {
	case c.Path == "":
		return errors.New("the database needs a file")
	case strings.ContainsAny(c.Path, "?#\x00") || strings.HasPrefix(c.Path, "file:") || c.Path == ":memory:":
		return errors.New("the database must be a plain file path, without ? and #")
	case c.TLS != (TLS{}) || c.Connections != 0:
		return errors.New("connections and tls are for postgres and mysql: sqlite is a file")
	}
	return nil
}

func (t TLS) validate() error {
	switch {
	case t.Mode != "" && t.Mode != "on" && t.Mode != "off":
		return errors.New("tls is on or off")
	case t.Mode == "off" && (t.CA != "" || t.Cert != ""):
		return errors.New("tls is off, so that its certificates are of no use")
	case (t.Cert == "") != (t.Key == ""):
		return errors.New("a client certificate needs its key as well")
	}
	return nil
}

// on tells whether TLS is asked for, whatever the DSN says.
func (t TLS) on() bool { return t.Mode == "on" || t.CA != "" || t.Cert != "" }

// Key identifies the database and the way to it: two configurations with one key
// mean the same, whatever their Wait and Connections. It gives no secret away.
func (c Config) Key() string {
	if c.Driver != SQLite {
		sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%q", c.Driver, c.DSN.Reveal(), c.TLS))
		return c.Driver + ":" + hex.EncodeToString(sum[:16])
	}
	path, err := filepath.Abs(c.Path)
	if err != nil {
		path = filepath.Clean(c.Path)
	}
	return c.Driver + ":" + path
}

// String is the database in a form that can be shown: without user and password.
func (c Config) String() string {
	place := "(cannot be read)"
	switch c.Driver {
	case SQLite:
		place = c.Path
	case Postgres:
		if p, err := c.postgres(); err == nil {
			place = fmt.Sprintf("%s:%d/%s", p.Host, p.Port, p.Database)
		}
	case MySQL:
		if m, err := c.mysql(); err == nil {
			place = m.Addr + "/" + m.DBName
		}
	}
	return c.Driver + " " + place
}

// Local tells whether the database is on this machine, so that there is no way to
// it on which somebody could listen.
func (c Config) Local() bool {
	var hosts []string
	switch c.Driver {
	case Postgres:
		if p, err := c.postgres(); err == nil {
			hosts = append(hosts, p.Host)
			for _, f := range p.Fallbacks {
				hosts = append(hosts, f.Host)
			}
		}
	case MySQL:
		if m, err := c.mysql(); err == nil {
			host, _, err := net.SplitHostPort(m.Addr)
			if err != nil {
				host = m.Addr
			}
			hosts = append(hosts, host)
		}
	}
	return !slices.ContainsFunc(hosts, func(host string) bool {
		ip, err := netip.ParseAddr(host)
		return !strings.HasPrefix(host, "/") && host != "localhost" && (err != nil || !ip.IsLoopback())
	})
}

// ParseConfig reads a database from one text: sqlite:FILE, postgres://… or
// mysql://….
func ParseConfig(text string) (Config, error) {
	c := Config{}
	kind, rest, _ := strings.Cut(text, ":")
	isURL := strings.HasPrefix(rest, "//")
	switch {
	case kind == SQLite && rest != "":
		c.Driver, c.Path = SQLite, rest
	case isURL && (kind == Postgres || kind == "postgresql"):
		c.Driver, c.DSN = Postgres, authcore.Secret(text)
	case isURL && kind == MySQL:
		c.Driver, c.DSN = MySQL, authcore.Secret(text)
	default:
		return c, errors.New("a database is written sqlite:FILE, postgres://user:password@host:5432/database or mysql://user:password@host:3306/database")
	}
	return c, c.Validate()
}
