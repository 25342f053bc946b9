package integration

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"
)

// Two nodes that start at once on an empty database: one makes the tables, both
// serve, and the setup link of either works at either, once.
func TestNodesStartAtOnce(t *testing.T) {
	eachServer(t, func(t *testing.T, driver string) {
		for round := range 2 {
			c := newCluster(t, driver, false)
			nodes := c.startAll(2)
			links := make([]*url.URL, 2)
			for i, s := range nodes {
				link, err := url.Parse(s.SetupLink(t))
				if err != nil {
					t.Fatal(err)
				}
				links[i] = link
			}
			// The link of one, opened at the other, as a load balancer may have it.
			from, at := links[round], nodes[1-round]
			use := func(s *server, link *url.URL, p person) int {
				form := p.form()
				form.Set("token", link.Query().Get("token"))
				return s.Client(t).post(s.at("app.localhost", "/.gate/setup"), form).StatusCode
			}
			if got := at.Client(t).get(at.at("app.localhost", "/.gate/setup?token="+from.Query().Get("token"))); got.StatusCode != http.StatusOK {
				t.Fatalf("the setup page: %s\n%s", got.Status, got.Body)
			}
			if got := use(at, from, alice); got != http.StatusSeeOther {
				t.Fatalf("the setup: %d", got)
			}
			for i, s := range nodes {
				for j, link := range links {
					if got := use(s, link, bob); got != http.StatusForbidden {
						t.Errorf("the link of node %d at node %d, after the setup: %d", j, i, got)
					}
				}
				s.Client(t).signIn(s.at("app.localhost", ""), alice)
			}
		}
	})
}

// delays are how long it took from an answer of one node until the other acted
// upon it.
type delays []time.Duration

func (d delays) String() string {
	slices.Sort(d)
	at := func(p int) time.Duration { return d[(len(d)-1)*p/100].Round(time.Millisecond) }
	return fmt.Sprintf("%d tries: p50 %s, p95 %s, worst %s", len(d), at(50), at(95), at(100))
}

// What one node revokes, the other refuses. GATE_TRIES is how often; with it, that
// must be within a second, as is promised.
func TestRevocationReachesTheOtherNode(t *testing.T) {
	eachServer(t, func(t *testing.T, driver string) {
		c := newCluster(t, driver, false)
		a := c.start()
		a.createOwner(t, alice)
		b := c.start()
		const host = "app.localhost"

		// Moderate load: people who read pages and who sign in, on both.
		reader := a.signsIn(t, host, alice)
		load := newTraffic(t)
		for _, s := range []*server{a, b} {
			load.readers(s, 4, "page", "/page", reader, 20*time.Millisecond)
			load.signIns(s, 2, alice, 100*time.Millisecond)
		}
		measure := func(what string, tries int, revoke func(token string), path, host string, want int, again func()) {
			var all delays
			for range tries {
				token := a.signsIn(t, host, bob)
				client := b.Client(t)
				ask := func() int {
					return client.fetch(b.at(host, path), header{"Cookie", "gate=" + token}).StatusCode
				}
				// What a user may do more takes as long to get around; the last of
				// these is answered from memory.
				eventually(t, what+": before", func() bool { return ask() == http.StatusOK })
				if got := ask(); got != http.StatusOK {
					t.Fatalf("%s: before, the other node answers %d", what, got)
				}
				// Tries follow one another in step with what is measured, unless they
				// are put out of it.
				time.Sleep(rand.N(500 * time.Millisecond))
				revoke(token)
				from := time.Now()
				eventually(t, what, func() bool { return ask() == want })
				all = append(all, time.Since(from))
				if got := ask(); got != want {
					t.Fatalf("%s: refused, and then %d", what, got)
				}
				again()
			}
			t.Logf("%s, %s: %s", driver, what, all)
			if worst := slices.Max(all); measures() && worst > time.Second {
				t.Errorf("%s: %s until the other node refused", what, worst)
			}
		}
		nothing := func() {}
		a.addUser(t, bob, "--group", "staff")
		tries := times(t, "GATE_TRIES", 20)
		measure("sign-out", tries, func(token string) {
			mustGo(t, a.Client(t).post(a.at(host, "/.gate/logout"), nil, header{"Cookie", "gate=" + token}))
		}, "/page", host, http.StatusUnauthorized, nothing)
		few := (tries + 9) / 10
		measure("user disable", few, func(string) { a.must(t, "", "user", "disable", "bob") }, "/page", host, http.StatusUnauthorized,
			func() { a.must(t, "", "user", "enable", "bob") })
		measure("group taken", few, func(string) { a.must(t, "", "user", "group", "bob", "--remove", "staff") }, "/page", "staff.localhost",
			http.StatusForbidden, func() { a.must(t, "", "user", "group", "bob", "--add", "staff") })
		load.end()
		load.check()
		for _, kind := range load.kinds {
			t.Logf("meanwhile %d of %s answered well, the slowest after %s", load.count(kind, 200)+load.count(kind, 303), kind, load.slowest[kind])
		}
		for _, kind := range load.kinds {
			for _, status := range []int{401, 429, 503} {
				// A machine that is busy with much else may turn somebody away.
				if n := load.count(kind, status); n > 0 && (status == 401 || measures()) {
					t.Errorf("%d of %s got %d", n, kind, status)
				}
			}
		}
	})
}

// A cookie of one node is good at all, since their host is one.
func TestCookieIsGoodAtEveryNode(t *testing.T) {
	eachServer(t, func(t *testing.T, driver string) {
		c := newCluster(t, driver, false)
		nodes := []*server{c.start()}
		nodes[0].createOwner(t, alice)
		nodes = append(nodes, c.start())
		for i, s := range nodes {
			browser := s.Client(t)
			browser.signIn(s.at("app.localhost", ""), alice)
			other := nodes[1-i]
			if got := browser.fetch(other.at("app.localhost", "/page")); got.StatusCode != http.StatusOK {
				t.Errorf("signed in at node %d: the other says %s", i, got.Status)
			}
			if got := browser.fetch(other.at("staff.localhost", "/page"), header{"Cookie", "gate=" + s.token(t, browser, "app.localhost")}); got.StatusCode != http.StatusUnauthorized {
				t.Errorf("on a host that it was not made for: %s", got.Status)
			}
			// Out at the other, and so out here.
			token := s.token(t, browser, "app.localhost")
			mustGo(t, browser.post(other.at("app.localhost", "/.gate/logout"), nil))
			s.becomes(t, "signed out at the other node", "app.localhost", token, http.StatusUnauthorized)
		}
	})
}

// A database that is there and says nothing: memory answers for as long as is
// configured, then nobody is let through, and all goes on by itself afterwards.
func TestNodesThatHearNothing(t *testing.T) {
	const silence, wait = 5 * time.Second, time.Second
	eachServer(t, func(t *testing.T, driver string) {
		c := newCluster(t, driver, true, "silence 5s", "wait 1s")
		nodes := []*server{c.start()}
		nodes[0].createOwner(t, alice)
		nodes = append(nodes, c.start())
		const host = "app.localhost"
		known := nodes[0].signsIn(t, host, alice)
		unknown := make([]string, 2) // at the other node
		for i, s := range nodes {
			unknown[1-i] = s.signsIn(t, host, alice)
			s.becomes(t, "in memory", host, known, http.StatusOK)
		}

		must(t, c.DB.Pause())
		paused := time.Now()
		for i, s := range nodes {
			got := s.asks(t, host, "/page", known)
			if since := time.Since(paused); since < time.Second && got.StatusCode != http.StatusOK {
				t.Errorf("node %d, %s after the silence began: %s", i, since, got.Status)
			}
		}
		var wg sync.WaitGroup
		for i, s := range nodes {
			wg.Go(func() {
				bounded(t, fmt.Sprintf("node %d: a session that is not in memory", i), wait, func() {
					unavailable(t, s.asks(t, host, "/page", unknown[i]), false)
				})
			})
			wg.Go(func() {
				bounded(t, fmt.Sprintf("node %d: a sign-in", i), wait, func() {
					unavailable(t, s.Client(t).login(s.at(host, ""), alice), true)
				})
			})
			wg.Go(func() {
				s.becomes(t, "nobody is let through", host, known, http.StatusServiceUnavailable)
				// The first answer that says so may have waited for the database.
				inTime(t, fmt.Sprintf("node %d answers from memory no longer", i), silence+wait, time.Since(paused))
			})
		}
		wg.Wait()
		for _, s := range nodes {
			bounded(t, "a page for a program", wait, func() { unavailable(t, s.asks(t, host, "/page", known), false) })
			bounded(t, "a page for a browser", wait, func() {
				unavailable(t, s.Client(t).get(s.at(host, "/page"), header{"Cookie", "gate=" + known}), true)
			})
			if got := s.asks(t, host, "/page", ""); got.StatusCode != http.StatusUnauthorized {
				t.Errorf("somebody without a cookie: %s", got.Status)
			}
			if got := s.asks(t, host, "/.gate/health/live", ""); got.StatusCode != http.StatusOK {
				t.Errorf("alive: %s", got.Status)
			}
			if got := s.asks(t, host, "/.gate/health/ready", ""); got.StatusCode != http.StatusServiceUnavailable {
				t.Errorf("ready: %s", got.Status)
			}
		}

		must(t, c.DB.Resume())
		resumed := time.Now()
		for i, s := range nodes {
			s.becomes(t, "served again", host, known, http.StatusOK)
			s.becomes(t, "served again", host, unknown[i], http.StatusOK)
			s.signsIn(t, host, alice)
			t.Logf("node %d serves again after %s", i, time.Since(resumed).Round(time.Millisecond))
		}
	})
}
