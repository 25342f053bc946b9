package integration

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/store/storetest/dbserver"
)

// stranger is a user of the database server that a test makes and may ruin.
func (c *cluster) stranger() string { return "stranger_" + c.Name }

// strangerPass is the stranger's password: such as a URL has to quote, and nothing
// that appears elsewhere.
const strangerPass = "Str4nger p@ss/w:rd#1"

// as changes the DSN: another user, password, database or address, where they are
// not empty.
func (c *cluster) as(user, password, database, addr string) {
	c.t.Helper()
	dsn := c.DB.DSN(c.Name, dbserver.User)
	if c.Driver == "mysql" {
		dsn = fmt.Sprintf("mysql://%s:%s@%s/%s", dbserver.User, c.DB.Password(), c.DB.Addr(), c.Name)
	}
	u, err := url.Parse(dsn)
	if err != nil {
		c.t.Fatal(err)
	}
	if user != "" || password != "" {
		name, pass := u.User.Username(), c.DB.Password()
		if user != "" {
			name = user
		}
		if password != "" {
			pass = password
		}
		u.User = url.UserPassword(name, pass)
	}
	if database != "" {
		u.Path = "/" + database
	}
	if addr != "" {
		u.Host = addr
	}
	c.Env[0] = "GATE_DSN=" + u.String()
}

// byDriver is what the administrator says on PostgreSQL and on MySQL.
type byDriver map[string][]string

// say says it, with the names for {db} and {user}, and the password for {pass}.
func (c *cluster) say(all byDriver) {
	c.t.Helper()
	for _, statement := range all[c.Driver] {
		c.admin(strings.NewReplacer("{db}", c.Name, "{user}", c.stranger(), "{pass}", strangerPass).Replace(statement))
	}
}

// makeStranger makes a user who may work in tables and make none, unless all.
func (c *cluster) makeStranger(all bool) {
	c.t.Helper()
	rights := byDriver{
		"postgres": {`CREATE USER "{user}" PASSWORD '{pass}'`, `REVOKE CREATE ON SCHEMA public FROM PUBLIC`},
		"mysql":    {"CREATE USER '{user}'@'%' IDENTIFIED BY '{pass}'", "GRANT SELECT, INSERT, UPDATE, DELETE ON `{db}`.* TO '{user}'@'%'"},
	}
	if all {
		rights["postgres"][1] = `ALTER DATABASE "{db}" OWNER TO "{user}"`
		rights["mysql"][1] = "GRANT ALL ON `{db}`.* TO '{user}'@'%'"
	}
	c.say(rights)
	c.as(c.stranger(), strangerPass, "", "")
}

// keepsSecret checks that nothing which a node says holds a password of the
// database: its log, what it showed otherwise and, while it runs, the configuration
// that its admin endpoint gives, and the doctor.
func (c *cluster) keepsSecret(t testing.TB, s *server, more ...string) {
	t.Helper()
	told := map[string]string{"the log": s.Log(), "what was shown": strings.Join(more, "\n")}
	if s.running() {
		out, errs, _ := s.CLI(t, "", "doctor")
		told["the doctor"] = out + errs
		resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/config/", s.Vars["Admin"]))
		must(t, err)
		defer resp.Body.Close()
		config, err := io.ReadAll(resp.Body)
		must(t, err)
		if !strings.Contains(string(config), `"database"`) {
			t.Errorf("the admin endpoint does not give the configuration: %s", config)
		}
		told["the admin endpoint"] = string(config)
	}
	for where, text := range told {
		for _, secret := range []string{c.DB.Password(), strangerPass, url.QueryEscape(strangerPass), url.PathEscape(strangerPass),
			url.UserPassword("", strangerPass).String(), strings.TrimPrefix(c.Env[1], "GATE_KEY=")} {
			if strings.Contains(text, secret) {
				t.Errorf("%s holds a secret, %.4s…", where, secret)
			}
		}
	}
}

// unheard is an address where nobody listens, and nobody else can until the test
// ends: the near end of a connection.
func unheard(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { l.Close() })
	conn, err := net.Dial("tcp", l.Addr().String())
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	return conn.LocalAddr().String()
}

// Where Caddy cannot have its database, it does not start, and says why and what to
// do. The commands say the same, or that the database is empty where they could only
// look at it, and nobody tells the password.
func TestDatabaseThatLetsNobodyIn(t *testing.T) {
	in := []string{"does not let us in", "see whether it runs, and check the host, port, user, password and database of the DSN"}
	create := []string{"denied", "its user must be allowed to create and alter tables"}
	tests := []struct {
		name    string
		prepare func(c *cluster)
		says    []string
		alone   bool
	}{
		{"wrong password", func(c *cluster) { c.as("", strangerPass, "", "") }, in, false},
		{"unknown user", func(c *cluster) { c.as("nobody", "", "", "") }, in, false},
		{"unknown database", func(c *cluster) { c.as("", "", "nothing", "") }, in, false},
		{"nobody listens", func(c *cluster) { c.as("", "", "", unheard(c.t)) }, in, false},
		{"a host that is not there", func(c *cluster) { c.as("", "", "", "nowhere.invalid:1") }, in, false},
		{"may not make tables", func(c *cluster) { c.makeStranger(false) }, create, false},
		{"read-only", func(c *cluster) {
			c.makeStranger(true)
			c.say(readOnly)
		}, []string{"read-only", "must not be read-only"}, true},
		{"no connection left", func(c *cluster) {
			c.makeStranger(true)
			c.say(noConnections)
		}, in, false},
		{"tables of another program", func(c *cluster) { c.admin("CREATE TABLE wp_posts (id INT)") },
			[]string{"belongs to another program: it has a table wp_posts", "give Gatehouse a database of its own"}, false},
	}
	eachServer(t, func(t *testing.T, driver string) {
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				c := newCluster(t, driver, test.alone, "wait 2s")
				test.prepare(c)
				s, err := tryStart(t, chalet, c.node)
				complains(t, s, err, test.says...)
				t.Log(message(tail(s.Log(), 1)))
				says, state, ends := test.says[0], "error", 1
				if test.name == "may not make tables" || test.name == "read-only" {
					says, state, ends = "is empty", "warning", 0
				}
				list, errs, exit := s.CLI(t, "", "user", "list")
				if exit == 0 || !strings.Contains(errs, says) {
					t.Errorf("the command line exits with %d and says %s", exit, errs)
				}
				out, complaint, exit := s.CLI(t, "", "doctor")
				if exit != ends || !strings.Contains(out, state) || !strings.Contains(out, says) {
					t.Errorf("the doctor exits with %d and says\n%s", exit, out)
				}
				c.keepsSecret(t, s, list, errs, out, complaint)
			})
		}
	})
}

// message is the part of a log line that matters.
func message(line string) string {
	_, rest, found := strings.Cut(line, "gate app module")
	if !found {
		return line
	}
	return rest
}

// What an administrator, or an accident, does to a database while it is used.
var (
	readOnly = byDriver{
		"postgres": {`ALTER DATABASE "{db}" SET default_transaction_read_only = on`, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{db}' AND pid <> pg_backend_pid()`},
		"mysql":    {"SET GLOBAL read_only = 1"},
	}
	writable = byDriver{
		"postgres": {`BEGIN READ WRITE; ALTER DATABASE "{db}" RESET default_transaction_read_only; COMMIT`, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{db}' AND pid <> pg_backend_pid()`},
		"mysql":    {"SET GLOBAL read_only = 0"},
	}
	disconnect = byDriver{
		"postgres": {`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{user}'`},
		"mysql":    {"KILL USER '{user}'"},
	}
	noConnections = byDriver{
		"postgres": {`ALTER USER "{user}" CONNECTION LIMIT 0`},
		"mysql":    {"ALTER USER '{user}'@'%' ACCOUNT LOCK"},
	}
	connections = byDriver{
		"postgres": {`ALTER USER "{user}" CONNECTION LIMIT -1`},
		"mysql":    {"ALTER USER '{user}'@'%' ACCOUNT UNLOCK"},
	}
	otherPassword = byDriver{
		"postgres": {`ALTER USER "{user}" PASSWORD 'another'`},
		"mysql":    {"ALTER USER '{user}'@'%' IDENTIFIED BY 'another'"},
	}
	thePassword = byDriver{
		"postgres": {`ALTER USER "{user}" PASSWORD '{pass}'`},
		"mysql":    {"ALTER USER '{user}'@'%' IDENTIFIED BY '{pass}'"},
	}
)

func join(all ...byDriver) byDriver {
	out := byDriver{}
	for _, b := range all {
		for driver, statements := range b {
			out[driver] = append(out[driver], statements...)
		}
	}
	return out
}

// What happens to a database while Caddy runs ends no session, and is over when it
// is over.
func TestDatabaseThatTurnsAway(t *testing.T) {
	tests := []struct {
		name        string
		begin, over byDriver
		reads       bool // sessions that are not in memory can be read
		deaf        bool // and the changes of others cannot
		alone       bool
	}{
		{"read-only", readOnly, writable, true, false, true},
		{"password changed", join(otherPassword, disconnect), thePassword, false, true, false},
		{"no connection left", join(noConnections, disconnect), connections, false, true, false},
		{"connections cut", disconnect, nil, true, false, false},
	}
	eachServer(t, func(t *testing.T, driver string) {
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				c := newCluster(t, driver, test.alone, "wait 1s", "silence 2s")
				c.makeStranger(true)
				s := c.start()
				s.createOwner(t, alice)
				const host = "app.localhost"
				known := s.signsIn(t, host, alice)
				s.becomes(t, "signed in", host, known, http.StatusOK)
				unknown := s.signsIn(t, host, alice)

				c.say(test.begin)
				if test.over == nil { // all is well at once
					s.Client(t).signIn(s.at(host, ""), alice)
				} else {
					got := s.Client(t).login(s.at(host, ""), alice)
					unavailable(t, got, true)
					c.keepsSecret(t, s, got.Body)
				}
				if test.deaf {
					s.becomes(t, "nobody is let through", host, known, http.StatusServiceUnavailable)
				} else if got := s.asks(t, host, "/page", known); got.StatusCode != http.StatusOK {
					t.Errorf("somebody who is signed in: %s", got.Status)
				}
				if got := s.asks(t, host, "/page", unknown); test.reads && got.StatusCode != http.StatusOK {
					t.Errorf("a session that is not in memory: %s", got.Status)
				} else if !test.reads {
					unavailable(t, got, false)
				}

				c.say(test.over)
				s.becomes(t, "afterwards", host, known, http.StatusOK)
				s.becomes(t, "afterwards", host, unknown, http.StatusOK)
				s.signsIn(t, host, alice)
				s.addUser(t, bob)
				s.Client(t).signIn(s.at(host, ""), bob)
				c.keepsSecret(t, s)
			})
		}
	})
}

// More connections than the server gives: who gets none is told to come back, and
// who is signed in notices nothing.
func TestMoreConnectionsThanTheServerGives(t *testing.T) {
	few := byDriver{
		"postgres": {`ALTER USER "{user}" CONNECTION LIMIT 4`},
		"mysql":    {"ALTER USER '{user}'@'%' WITH MAX_USER_CONNECTIONS 4"},
	}
	eachServer(t, func(t *testing.T, driver string) {
		c := newCluster(t, driver, false, "connections 50", "wait 2s")
		c.makeStranger(true)
		c.say(few)
		s := c.start()
		s.createOwner(t, alice)
		const host = "app.localhost"
		token := s.signsIn(t, host, alice)
		s.becomes(t, "signed in", host, token, http.StatusOK)
		load := newTraffic(t)
		load.readers(s, 4, "cached page", "/page", token, 20*time.Millisecond)
		load.signIns(s, 20, alice, 5*time.Millisecond)
		eventually(t, "sign-ins", func() bool { return load.count(signInKind, 303)+load.count(signInKind, 503) > 500 })
		load.end()
		t.Logf("%s\n%s", driver, load.table())
		load.check()
		if n := load.count("cached page", http.StatusOK); n == 0 || n+load.count("cached page", 0) != load.total("cached page") {
			t.Errorf("only %d of %d pages were answered", n, load.total("cached page"))
		}
		s.allGood(t, host, load.acknowledged(), alice)
		s.signsIn(t, host, alice)
		c.keepsSecret(t, s)
	})
}

// The DSN in a file, as secrets of containers are, is told by nobody either.
func TestDSNInAFile(t *testing.T) {
	eachServer(t, func(t *testing.T, driver string) {
		c := newCluster(t, driver, false)
		dsn := strings.TrimPrefix(c.Env[0], "GATE_DSN=")
		s := start(t, strings.Replace(chalet, "{{.Store}}", "database "+driver+" {file.{{.Dir}}/dsn}\n\t\tsecret_key {env.GATE_KEY}", 1), c.node, put("dsn", []byte(dsn+"\n")))
		s.Env[0] = "GATE_DSN="
		s.createOwner(t, alice)
		c.keepsSecret(t, s)
		if out := s.must(t, "", "doctor"); !strings.Contains(out, "can be read; database: "+driver+" "+c.DB.Addr()+"/"+c.Name) {
			t.Errorf("the doctor does not name the database:\n%s", out)
		}
		// A second node with another key would not read what the first has sealed.
		c.Env[1] = "GATE_KEY=" + authcore.NewSecretKey().Text().Reveal()
		other, err := tryStart(t, chalet, c.node)
		complains(t, other, err, "the secret key is not the one this database was made with", `name it with "secret_key"`)
	})
}

// After a failover the old connections are dead without a word, new ones reach the
// database that took over. The node finds its way by itself.
func TestDatabaseThatMoves(t *testing.T) {
	eachServer(t, func(t *testing.T, driver string) {
		c := newCluster(t, driver, false, "connections 3", "wait 1s", "silence 2s")
		board := newSwitchboard(t, c.DB.Addr())
		c.as("", "", "", board.Addr().String())
		s := c.start()
		s.createOwner(t, alice)
		const host = "app.localhost"
		token := s.signsIn(t, host, alice)
		s.becomes(t, "signed in", host, token, http.StatusOK)
		load := newTraffic(t)
		load.readers(s, 2, "cached page", "/page", token, 20*time.Millisecond)
		load.signIns(s, 10, alice, 50*time.Millisecond)
		load.until(time.Second)
		for range 2 {
			board.hang()
			s.becomes(t, "nobody is let through", host, token, http.StatusServiceUnavailable)
			board.connect()
			s.becomes(t, "afterwards", host, token, http.StatusOK)
			s.signsIn(t, host, alice)
		}
		load.end()
		t.Logf("%s\n%s", driver, load.table())
		load.check()
		s.allGood(t, host, load.acknowledged(), alice)
	})
}
