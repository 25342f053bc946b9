package integration

import (
	"database/sql"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/store/storetest/dbserver"
)

// servers are the databases that several nodes can share, by the word of the
// Caddyfile for them.
var servers = map[string]dbserver.Kind{"postgres": dbserver.PostgreSQL, "mysql": dbserver.MariaDB}

// eachServer runs a test on every database that is a server. One follows the
// other: these tests put load on a machine that may be small.
func eachServer(t *testing.T, test func(t *testing.T, driver string)) {
	t.Parallel()
	for driver := range servers {
		t.Run(driver, func(t *testing.T) { test(t, driver) })
	}
}

// cluster is a database, and the nodes that share it.
type cluster struct {
	Driver string
	DB     *dbserver.Server // nil for SQLite
	Name   string           // of the database in it
	Words  []string         // in the block of database
	Env    []string         // GATE_DSN and GATE_KEY, which the Caddyfile names
	// Unwatched: its nodes run without the race detector.
	Unwatched bool

	t *testing.T
}

// newCluster makes an empty database. With alone, the server is the test's own, to
// be stopped or killed.
func newCluster(t *testing.T, driver string, alone bool, words ...string) *cluster {
	t.Helper()
	c := &cluster{Driver: driver, Words: words, t: t}
	if driver == "sqlite" {
		return c
	}
	if alone {
		c.newServer()
	} else {
		c.DB, c.Name = dbserver.Fresh(t, servers[driver])
	}
	c.Env = []string{"GATE_DSN=" + c.DB.DSN(c.Name, dbserver.User), "GATE_KEY=" + authcore.NewSecretKey().Text().Reveal()}
	return c
}

// newServer makes a server with an empty database, for this test alone.
func (c *cluster) newServer() {
	c.t.Helper()
	var err error
	c.DB, err = dbserver.New(servers[c.Driver])
	must(c.t, err)
	c.t.Cleanup(func() {
		if err := c.DB.Close(); err != nil {
			c.t.Error(err)
		}
	})
	c.Name, err = c.DB.NewDatabase(c.t.Context())
	must(c.t, err)
}

// chalet is the cottage on any database, with a second site for a group.
const chalet = `{
	{{.Global}}
	gate {
		{{.Store}}
		hashing {
			argon2id 64KiB 1 1
			permits off
		}
		limits {
			address off
			account off
		}
		policy staff {
			allow group:staff
		}
	}
}
http://app.localhost:{{.HTTP}} {
	gate
	reverse_proxy {{.Upstream}}
}
http://staff.localhost:{{.HTTP}} {
	gate staff
	reverse_proxy {{.Upstream}}
}
`

// node is an option for a server that uses the cluster's database.
func (c *cluster) node(s *server) {
	s.Unwatched = c.Unwatched
	s.Env = append(s.Env, c.Env...)
	if c.Driver == "sqlite" {
		s.Vars["Store"] = fmt.Sprintf("database sqlite %q", s.Dir+"/gate.db")
		return
	}
	s.Vars["Store"] = fmt.Sprintf("database %s {env.GATE_DSN} {\n\t\t\t%s\n\t\t}\n\t\tsecret_key {env.GATE_KEY}", c.Driver, strings.Join(c.Words, "\n\t\t\t"))
}

// gate makes {{.Gate}} name the cluster's database.
func (c *cluster) gate(s *server) {
	s.cluster, s.Env, s.Unwatched = c, append(s.Env, c.Env...), c.Unwatched
	s.newPorts()
}

// numbered puts PostgreSQL's placeholders in the place of ?.
func numbered(query string) string {
	n := 0
	return regexp.MustCompile(`\?`).ReplaceAllStringFunc(query, func(string) string { n++; return fmt.Sprint("$", n) })
}

// start starts a node.
func (c *cluster) start() *server {
	c.t.Helper()
	return start(c.t, chalet, c.node)
}

// startAll starts nodes at once.
func (c *cluster) startAll(n int) []*server {
	c.t.Helper()
	nodes, errs := make([]*server, n), make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { nodes[i], errs[i] = tryStart(c.t, chalet, c.node) })
	}
	wg.Wait()
	for i, err := range errs {
		if err != nil {
			c.t.Fatalf("node %d: %v", i, err)
		}
	}
	return nodes
}

// admin runs a statement on the server as its administrator, in the cluster's
// database.
func (c *cluster) admin(statement string) {
	c.t.Helper()
	if _, err := c.open(dbserver.Admin).Exec(statement); err != nil {
		c.t.Fatalf("%s: %v", statement, err)
	}
}

// open opens the database in a user's name, to look at it.
func (c *cluster) open(user string) *sql.DB {
	c.t.Helper()
	db, err := sql.Open(c.DB.Kind.Driver(), c.DB.DSN(c.Name, user))
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { db.Close() })
	return db
}
