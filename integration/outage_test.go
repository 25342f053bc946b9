package integration

import (
	"net/http"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/store/storetest/dbserver"
)

// outage is a way for a database to be away, and back.
type outage struct {
	name       string
	begin, end func(*dbserver.Server) error
}

// The database is stopped and started again under load. People who are signed in
// go on for as long as is configured, everybody else is told to come back, nothing
// that was acknowledged is lost, and all goes on by itself. GATE_OUTAGE=1 makes the
// outage long enough to see every phase of it, and has the database killed and
// frozen as well.
func TestOutageUnderLoad(t *testing.T) {
	before, away, after, words := 2*time.Second, 4*time.Second, 2*time.Second, []string{"silence 2s", "wait 1s"}
	ways := []outage{{"stopped", (*dbserver.Server).Stop, (*dbserver.Server).Start}}
	if times(t, "GATE_OUTAGE", 0) > 0 {
		before, away, after, words = 5*time.Second, 30*time.Second, 10*time.Second, nil // as by default
		ways = append(ways, outage{"killed", (*dbserver.Server).Kill, (*dbserver.Server).Start},
			outage{"frozen", (*dbserver.Server).Pause, (*dbserver.Server).Resume})
	}
	eachServer(t, func(t *testing.T, driver string) {
		for _, way := range ways {
			t.Run(way.name, func(t *testing.T) {
				c := newCluster(t, driver, true, words...)
				s := c.start()
				s.createOwner(t, alice)
				const host = "app.localhost"
				token := s.signsIn(t, host, alice)
				s.becomes(t, "signed in", host, token, http.StatusOK)

				load := newTraffic(t)
				load.readers(s, 4, "cached page", "/page", token, 20*time.Millisecond)
				load.readers(s, 1, "whoami", "/.gate/whoami", token, 20*time.Millisecond)
				load.signIns(s, 4, alice, 50*time.Millisecond)
				load.until(before)
				must(t, way.begin(c.DB))
				gone := time.Now()
				load.until(before + away)
				must(t, way.end(c.DB))
				back := time.Now()
				s.becomes(t, "pages afterwards", host, token, http.StatusOK)
				pages := time.Since(back)
				s.signsIn(t, host, alice)
				t.Logf("%s %s: away for %s, pages %s after it was back, sign-ins at most %s", driver, way.name,
					back.Sub(gone).Round(time.Millisecond), pages.Round(time.Millisecond), time.Since(back).Round(time.Millisecond))
				load.until(time.Since(load.began) + after)
				load.end()
				t.Logf("%s %s\n%s", driver, way.name, load.table())
				load.check()
				for _, kind := range []string{"cached page", "whoami"} {
					if n := load.count(kind, http.StatusUnauthorized); n > 0 {
						t.Errorf("%d of %s were taken for signed out", n, kind)
					}
					if load.count(kind, http.StatusServiceUnavailable) == 0 {
						t.Errorf("%s was answered from memory all the time", kind)
					}
				}
				if n := load.count(signInKind, http.StatusUnauthorized); n > 0 {
					t.Errorf("%d sign-ins with the right password were told it is wrong", n)
				}
				good := load.acknowledged()
				s.allGood(t, host, good, alice)
				t.Logf("%d sign-ins were acknowledged, and all of them are good", len(good))
			})
		}
	})
}
