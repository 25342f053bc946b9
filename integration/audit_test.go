package integration

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/store/storetest/dbserver"
)

// archive is one gated host on any database. The test is the proxy that says where
// each request comes from.
const archive = `{
	{{.Global}}
	gate {
		{{.Store}}
		trusted_proxies 127.0.0.1/32
		hashing {
			argon2id 64KiB 1 1
			permits off
		}
		limits {
			address off
			account off
		}
	}
}
http://app.localhost:{{.HTTP}} {
	gate
	reverse_proxy {{.Upstream}}
}
`

// auditing is the archive with words in the block of audit.
func auditing(words string) string {
	return strings.Replace(archive, "limits {", "audit {\n\t\t\t"+words+"\n\t\t}\n\t\tlimits {", 1)
}

// nobody is who has no account.
var nobody = person{Username: "nobody", Password: "whatever-it-is"}

// knockers are members who send the sign-in form with a password that is wrong, and
// are answered with a status. Each numbers its requests, and says in its agent who it
// is and which one this is. Where the load sends again, a knocker who gets no answer
// goes on with the next.
func (l *load) knockers(n, status int, p person, pause time.Duration) {
	form := url.Values{"username": {p.Username}, "password": {p.Password}}.Encode()
	for range n {
		id, knock := members.Add(1), 0
		l.crowd(1, func(c *http.Client) error {
			time.Sleep(pause) // the pace of the load
			knock++
			r, err := http.NewRequest("POST", l.s.at("app.localhost", "/.gate/login"), strings.NewReader(form))
			if err != nil {
				return err
			}
			a := answered{agent: fmt.Sprintf("knock-%d-%d", id, knock)}
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set("Accept", "text/html")
			r.Header.Set("User-Agent", a.agent)
			r.Header.Set("X-Forwarded-For", fmt.Sprintf("10.%d.%d.%d", id%250, knock/4/250%250, knock/4%250)) // a refusal is recorded a few times for each address
			var body string
			a.status, _, body, err = send(c, r)
			a.at = time.Now()
			return l.knocked(a, status, body, err)
		})
	}
}

// knocked notes an answer. It gives the error where the knocker is to end.
func (l *load) knocked(a answered, want int, body string, err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err != nil && l.again > 0:
		l.resent++
		return nil
	case err != nil:
		return err
	case a.status != want:
		l.wrong = append(l.wrong, fmt.Sprintf("%s: %d, want %d\n%.200s", a.agent, a.status, want, body))
	}
	l.answers = append(l.answers, a)
	return nil
}

// many waits until so many requests more were answered, however long it takes.
func (l *load) many(n int) {
	l.t.Helper()
	for ; n > 0; n -= 100 {
		l.busy(min(n, 100))
	}
}

// lasts waits until the load has gone on for so long since a time.
func (l *load) lasts(since time.Time, d time.Duration) {
	l.t.Helper()
	eventually(l.t, "the load to go on", func() bool { return time.Since(since) >= min(d, patience/2) })
	if d > patience/2 {
		l.lasts(since.Add(patience/2), d-patience/2)
	}
}

// trail reads who knocked, in the order of the chain.
func trail(t testing.TB, db *sql.DB) []string {
	t.Helper()
	rows, err := db.Query("SELECT agent FROM events WHERE agent LIKE 'knock-%' ORDER BY batch, place")
	must(t, err)
	defer rows.Close()
	var all []string
	for rows.Next() {
		var agent string
		must(t, rows.Scan(&agent))
		all = append(all, agent)
	}
	must(t, rows.Err())
	return all
}

// orderly checks that nothing is in a trail twice, and that the knocks of each client
// are in the order in which it sent them.
func orderly(t *testing.T, trail []string) {
	t.Helper()
	last, seen, wrong := map[int]int{}, map[string]bool{}, 0
	for _, agent := range trail {
		var id, knock int
		if _, err := fmt.Sscanf(agent, "knock-%d-%d", &id, &knock); err != nil {
			t.Fatalf("%s: %v", agent, err)
		}
		if knock <= last[id] {
			if wrong++; wrong <= 5 {
				t.Errorf("%s comes after number %d of this client; there twice: %t", agent, last[id], seen[agent])
			}
		}
		last[id], seen[agent] = knock, true
	}
	if wrong > 5 {
		t.Errorf("%d events are not in order", wrong)
	}
}

// kept checks that a trail is orderly and holds each request that was answered
// before a time, or at all where that is zero. It tells how many of the others are
// missing.
func (l *load) kept(t *testing.T, trail []string, before time.Time) {
	t.Helper()
	orderly(t, trail)
	there := make(map[string]bool)
	for _, agent := range trail {
		there[agent] = true
	}
	sure, lost, late := 0, 0, 0
	for _, a := range l.answers {
		certain := before.IsZero() || a.at.Before(before)
		switch {
		case certain && !there[a.agent]:
			if lost++; lost <= 5 {
				t.Errorf("%s was answered %d at %s, and has no event", a.agent, a.status, a.at.Format(time.StampMilli))
			}
		case !there[a.agent]:
			late++
		}
		if certain {
			sure++
		}
	}
	if sure == 0 {
		t.Error("nothing was answered whose event has to be there")
	}
	t.Logf("%d requests answered; of %d the event has to be there, and %d are not; of the others %d are not", len(l.answers), sure, lost, late)
}

// look opens the database of a server to read it.
func (c *cluster) look(s *server) *sql.DB {
	if c.Driver == "sqlite" {
		return s.database(c.t)
	}
	return c.open(dbserver.User)
}

// complete waits until the database has as many knocks as were answered, and gives
// them.
func (l *load) complete(t *testing.T, db *sql.DB) (all []string) {
	t.Helper()
	_ = await(func() bool { // what is missing then is told by name
		all = trail(t, db)
		there := make(map[string]bool, len(all))
		for _, agent := range all {
			there[agent] = true
		}
		return !slices.ContainsFunc(l.answers, func(a answered) bool { return !there[a.agent] })
	})
	return all
}

// spills are the files with events that the database has not taken.
func (s *server) spills(t testing.TB) []string {
	t.Helper()
	var all []string
	for _, dir := range []string{s.Dir, filepath.Join(s.Dir, "data", "caddy", "gate"), filepath.Join(s.Dir, "spill")} {
		found, err := filepath.Glob(filepath.Join(dir, "*.spill"))
		must(t, err)
		all = append(all, found...)
	}
	return all
}

// settled waits until no event waits in a file any more.
func (s *server) settled(t testing.TB) {
	t.Helper()
	eventually(t, "the spill files are gone", func() bool { return len(s.spills(t)) == 0 })
}

var note = regexp.MustCompile(`(?m)^Note elsewhere: (\d+:[0-9a-f]{64})$`)

// verified checks that the audit log is as it was written, and gives what is to be
// noted of it.
func (s *server) verified(t testing.TB, args ...string) string {
	t.Helper()
	out, errs, exit := s.CLI(t, "", append([]string{"audit", "verify"}, args...)...)
	m := note.FindStringSubmatch(out)
	if exit != 0 || !strings.HasPrefix(out, "The audit log is as it was written.\n") || m == nil {
		t.Fatalf("audit verify: exit %d\n%s%s", exit, out, errs)
	}
	return m[1]
}

// auditLine is an event as the command line tells it in JSON.
type auditLine struct {
	Batch     int64
	ID        string
	Time      time.Time
	ActorKind string `json:"actor_kind"`
	Actor     string
	Action    string
	Target    string
	Outcome   string
	Details   string
	Agent     string
}

// told are the events that the command line tells.
func (s *server) told(t testing.TB, args ...string) (all []auditLine) {
	t.Helper()
	out := s.must(t, "", append([]string{"audit", "--json"}, args...)...)
	for text := range strings.Lines(out) {
		var e auditLine
		if err := json.Unmarshal([]byte(text), &e); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		all = append(all, e)
	}
	return all
}

// everyDatabase runs a test on SQLite and on every database that is a server. The race
// detector watches the Caddy that is on SQLite; the others run the same code without it, and
// in a fraction of the time.
func everyDatabase(t *testing.T, test func(t *testing.T, c *cluster)) {
	t.Parallel()
	for _, driver := range []string{"sqlite", "postgres", "mysql"} {
		t.Run(driver, func(t *testing.T) {
			c := newCluster(t, driver, false)
			c.Unwatched = driver != "sqlite"
			test(t, c)
		})
	}
}

// events is how many events a load makes.
func events(t testing.TB) int { return times(t, "GATE_EVENTS", 600) }

// SIGTERM in the middle of a load: the event of each request that was answered is in
// the log, once and in its place.
func TestAuditOverAStop(t *testing.T) {
	everyDatabase(t, func(t *testing.T, c *cluster) {
		s := start(t, archive, c.node)
		l := newLoad(t, s)
		l.knockers(8, http.StatusUnauthorized, nobody, 0)
		l.many(events(t))
		s.Stop(t)
		if _, errs := l.quiet(); len(errs) == 0 {
			t.Error("the load had ended before the server")
		}
		if left := s.spills(t); len(left) > 0 { // the end did not wait for a database that is slow
			t.Logf("left for the next start: %v", left)
			must(t, s.run())
			s.settled(t)
			s.Stop(t)
		}
		l.kept(t, trail(t, c.look(s)), time.Time{})
		s.verified(t)
	})
}

// Reloads in the middle of a load, each with other settings: nothing is lost.
func TestAuditOverReloads(t *testing.T) {
	everyDatabase(t, func(t *testing.T, c *cluster) {
		s := start(t, archive, c.node)
		l := newLoad(t, s)
		l.again = 1
		l.knockers(8, http.StatusUnauthorized, nobody, 0)
		const rounds = 6
		for i := range rounds {
			l.many(events(t) / rounds)
			must(t, s.Reload(t, auditing(fmt.Sprintf("batch %d\n\t\t\tevery %dms", 1+60*i, 1000-150*i))))
		}
		l.many(20)
		_, errs := l.quiet()
		for _, err := range errs {
			t.Errorf("no answer: %v", err)
		}
		l.kept(t, l.complete(t, c.look(s)), time.Time{})
		s.verified(t)
		t.Logf("%d reloads, %d requests without an answer", rounds, l.resent)
	})
}

// A killed process takes the events of its last second along and no other, and with
// "durability sync" none.
func TestAuditOverAKill(t *testing.T) {
	t.Parallel()
	const second, margin = time.Second, 2 * time.Second // a machine that is busy writes later
	for _, test := range []struct {
		name, driver, words string
		lost                time.Duration
	}{
		{"sqlite", "sqlite", "batch 100", second + margin},
		{"postgres", "postgres", "batch 100", second + margin},
		{"mysql", "mysql", "batch 100", second + margin},
		{"sync", "sqlite", "durability sync", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newCluster(t, test.driver, false)
			s := start(t, auditing(test.words), c.node)
			for range max(1, times(t, "GATE_CRASHES", 5)/5) {
				l := newLoad(t, s)
				l.knockers(8, http.StatusUnauthorized, nobody, 5*time.Millisecond)
				began := time.Now()
				l.many(events(t) / 2)
				l.lasts(began, test.lost+second)
				killed := time.Now()
				s.Kill(t)
				l.quiet()
				must(t, s.run())
				s.settled(t)
				l.kept(t, trail(t, c.look(s)), killed.Add(-test.lost))
				s.verified(t)
			}
		})
	}
}

// Several nodes write one log at once: it is one chain, and what each client did is
// in it in order. One of them stops and one is killed meanwhile.
func TestAuditOfSeveralNodes(t *testing.T) {
	eachServer(t, func(t *testing.T, driver string) {
		c := newCluster(t, driver, false)
		nodes := []*server{start(t, archive, c.node), start(t, archive, c.node), start(t, archive, c.node)}
		loads := make([]*load, len(nodes))
		for i, s := range nodes {
			loads[i] = newLoad(t, s)
			loads[i].knockers(4, http.StatusUnauthorized, nobody, time.Millisecond)
		}
		for _, l := range loads {
			l.many(events(t) / len(loads))
		}
		loads[1].lasts(time.Now(), 3*time.Second)
		nodes[0].Stop(t)
		killed := time.Now()
		nodes[1].Kill(t)
		loads[2].many(100)
		for _, l := range loads {
			l.quiet()
		}
		must(t, nodes[1].run()) // it may have left a file
		nodes[1].settled(t)
		loads[2].complete(t, c.look(nodes[2]))
		all := trail(t, c.look(nodes[2]))
		for i, before := range []time.Time{{}, killed.Add(-3 * time.Second), {}} {
			loads[i].kept(t, all, before)
		}
		for _, s := range nodes { // the first looks at the database alone
			s.verified(t)
		}
	})
}
