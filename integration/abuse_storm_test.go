package integration

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// narrow has few permits, so that a few connections keep them all taken.
const narrow = `{
	{{.Global}}
	gate {
		database sqlite {{.Dir}}/gate.db
		hashing {
			argon2id 16MiB 1 1
			permits PERMITS
		}
		register open
		trusted_proxies 127.0.0.1/32
		limits {
			account 1000 1s
		}
		policy anyone {
			allow everyone
		}
	}
}
http://app.localhost:{{.HTTP}} {
	gate anyone
	reverse_proxy {{.Upstream}}
}
`

// siegePause is how long each connection of a siege waits between two requests: so
// many of them come back within one hash.
const siegePause = 10 * time.Millisecond

// siegeHashes is how many of a siege's attempts have been hashed when it is under way.
// It takes a few until the gate can tell who has all the permits.
const siegeHashes = 4

// siege hammers sign-in with many connections until the function is called that it
// returns, which gives how many of the answers had each status. next says who
// tries, from where. It is under way when siege returns.
func (s *server) siege(t *testing.T, connections int, next func() (p person, address string)) (end func() map[int]int) {
	t.Helper()
	stop, answers := make(chan struct{}), make(map[int]int)
	var mu sync.Mutex
	var wg sync.WaitGroup
	hashed, underWay := 0, make(chan struct{})
	for range connections {
		c := s.Client(t).Client
		c.Jar = nil
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				p, address := next()
				form := url.Values{"username": {p.Username}, "password": {p.Password}}
				r, err := http.NewRequest("POST", s.at("app.localhost", "/.gate/login"), strings.NewReader(form.Encode()))
				if err != nil {
					t.Error(err)
					return
				}
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				r.Header.Set("X-Forwarded-For", address)
				status, _, _, err := send(c, r)
				if err != nil {
					t.Errorf("no answer: %v", err)
					return
				}
				mu.Lock()
				answers[status]++
				if status != http.StatusTooManyRequests {
					if hashed++; hashed == siegeHashes {
						close(underWay)
					}
				}
				mu.Unlock()
				time.Sleep(siegePause) // this is about permits, not about a machine that is short of time
			}
		})
	}
	end = func() map[int]int {
		close(stop)
		wg.Wait()
		return answers
	}
	select {
	case <-underWay:
	case <-time.After(patience):
		t.Fatalf("the siege does not come under way: %v", end())
	}
	return end
}

// signsInUnder has somebody sign in ten times while others besiege the server. A
// machine that is busy with much else may turn somebody away once or twice; who is
// kept out is turned away nearly always.
func (s *server) signsInUnder(t *testing.T, what string, login func() page) {
	t.Helper()
	var slowest time.Duration
	var refused []string
	for range 10 {
		began := time.Now()
		if got := login(); got.StatusCode != http.StatusSeeOther {
			refused = append(refused, got.Status)
		}
		slowest = max(slowest, time.Since(began))
	}
	if len(refused) > 2 || measures() && len(refused) > 0 {
		t.Errorf("%s: of 10 sign-ins these were refused: %q", what, refused)
	}
	t.Logf("%s: %d of 10 sign-ins refused, the slowest took %s", what, len(refused), slowest.Round(time.Millisecond))
}

// TestOneAddressKeepsNobodyOut: whatever one address sends, even right passwords
// that use up no limit, another address signs in.
func TestOneAddressKeepsNobodyOut(t *testing.T) { // by itself, not in parallel
	for _, permits := range []string{"1", "2"} {
		s := start(t, strings.Replace(narrow, "PERMITS", permits, 1))
		s.addUser(t, alice, "--owner")
		s.addUser(t, bob)
		for _, test := range []struct {
			what string
			who  person
		}{{"wrong passwords", guessed(bob)}, {"right passwords", bob}} {
			end := s.siege(t, 30, func() (person, string) { return test.who, "203.0.113.9" })
			s.signsInUnder(t, permits+" permits, "+test.what, func() page { return s.Client(t).loginFrom(s, "203.0.113.10", alice) })
			if answers := end(); answers[http.StatusTooManyRequests] == 0 {
				t.Errorf("%s: nobody was refused: %v", test.what, answers)
			}
		}
	}
}

// TestStormKeepsNoKnownDeviceOut: strangers from everywhere keep all permits busy,
// and people sign in with devices that know them.
func TestStormKeepsNoKnownDeviceOut(t *testing.T) { // by itself, not in parallel
	for _, permits := range []string{"1", "2"} {
		s := start(t, strings.Replace(narrow, "PERMITS", permits, 1))
		s.addUser(t, alice, "--owner")
		home := s.Client(t)
		home.signIn(s.at("app.localhost", ""), alice)
		end := s.siege(t, 40, func() (person, string) {
			return someone(fmt.Sprintf("stranger%d", rand.N(100_000))), fmt.Sprintf("%d.%d.%d.1", 11+rand.N(80), rand.N(256), rand.N(256))
		})
		s.signsInUnder(t, permits+" permits", func() page { return home.loginFrom(s, "203.0.113.10", alice) })
		answers := end()
		if answers[http.StatusTooManyRequests] < answers[http.StatusUnauthorized] {
			t.Errorf("that was no storm: %v", answers)
		}
		t.Logf("%s permits, the storm: %v", permits, answers)
	}
}
