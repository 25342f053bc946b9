package integration

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/store/storetest/dbserver"
)

// besieged is the archive with so tight a limit for each account that one wrong
// password uses it up. What is refused then is recorded and needs no database.
var besieged = strings.Replace(archive, "account off", "account 1 10h", 1)

// shut uses up the limit of the account that knockers try.
func (s *server) shut(t testing.TB) {
	t.Helper()
	b := s.Client(t)
	eventually(t, "a refusal", func() bool {
		return b.loginFrom(s, "10.251.0.1", nobody).StatusCode == http.StatusTooManyRequests
	})
}

// absence is an outage of the database, and what becomes of Caddy meanwhile.
type absence struct {
	outage
	caddy string
	leave func(*server, testing.TB) // nil: Caddy stays
	lost  time.Duration             // events of this time before it left may be lost; 0: none
}

func absences(t *testing.T) []absence {
	stopped := outage{"stopped", (*dbserver.Server).Stop, (*dbserver.Server).Start}
	frozen := outage{"frozen", (*dbserver.Server).Pause, (*dbserver.Server).Resume}
	stays := func(o outage) absence { return absence{o, "stays", nil, 0} }
	stops := func(o outage) absence { return absence{o, "stops", (*server).Stop, 0} }
	killed := func(o outage) absence { return absence{o, "is killed", (*server).Kill, 3 * time.Second} } // a second, and a margin
	if times(t, "GATE_OUTAGE", 0) > 0 {
		return []absence{stays(stopped), stops(stopped), killed(stopped), stays(frozen), stops(frozen), killed(frozen)}
	}
	return []absence{stays(stopped), stops(frozen), killed(stopped)}
}

// The database is away under load. What happens meanwhile waits in a file, also for
// a Caddy that starts later, and comes to the log in its order. GATE_OUTAGE=1 makes
// each outage a minute long.
func TestAuditOverAnOutage(t *testing.T) {
	away := time.Second
	if times(t, "GATE_OUTAGE", 0) > 0 {
		away = time.Minute
	}
	eachServer(t, func(t *testing.T, driver string) {
		c := newCluster(t, driver, true, "wait 1s", "silence 2s")
		s := start(t, besieged, c.node)
		for _, a := range absences(t) {
			t.Run(a.name+", Caddy "+a.caddy, func(t *testing.T) { c.without(t, s, a, away) })
		}
	})
}

// without puts load on a node, takes its database away, and looks at what the log
// holds of it afterwards.
func (c *cluster) without(t *testing.T, s *server, a absence, away time.Duration) {
	s.shut(t)
	l := newLoad(t, s)
	l.knockers(4, http.StatusTooManyRequests, nobody, 5*time.Millisecond)
	l.many(50)
	must(t, a.begin(c.DB))
	gone := time.Now()
	eventually(t, "a spill file", func() bool { return len(s.spills(t)) > 0 })
	t.Logf("the first file after %s", time.Since(gone).Round(time.Millisecond))
	l.lasts(gone, max(away, a.lost+time.Second))
	before := time.Time{}
	if a.lost > 0 {
		before = time.Now().Add(-a.lost)
	}
	if a.leave != nil {
		bounded(t, "Caddy ended", 5*time.Second, func() { a.leave(s, t) })
		l.quiet()
		if len(s.spills(t)) == 0 {
			t.Error("nothing is left for the next start")
		}
	}
	must(t, a.end(c.DB))
	if a.leave != nil {
		must(t, s.run())
	}
	back := time.Now()
	s.settled(t)
	t.Logf("the last file gone %s after all was back", time.Since(back).Round(time.Millisecond))
	if a.leave == nil {
		l.many(50)
		l.quiet()
		l.complete(t, c.look(s))
	}
	all := trail(t, c.look(s))
	l.kept(t, all, before)
	s.verified(t)
	s.tells(t, all)
}

// tells checks that the command line tells the same events as the database holds.
func (s *server) tells(t *testing.T, want []string) {
	t.Helper()
	var told []string
	for _, e := range s.told(t, "--action", "user.login") {
		if strings.HasPrefix(e.Agent, "knock-") {
			told = append(told, e.Agent)
		}
	}
	orderly(t, told)
	if len(told) != len(want) {
		t.Errorf("the command line tells %d events, the database holds %d", len(told), len(want))
	}
	for _, line := range s.logLines() {
		if text := fmt.Sprint(line["error"]); strings.Contains(text, "are lost") || strings.Contains(text, "is lost") {
			t.Errorf("the log says: %s", text)
		}
	}
}
