package integration

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/store/storetest/dbserver"
)

// manor is one app under a portal, on any database, where people come by
// invitation.
const manor = `{
	{{.Global}}
	gate {
		{{.Store}}
		portal http://auth.localhost:{{.HTTP}}
		register invite
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
http://auth.localhost:{{.HTTP}} {
	gate_portal
}
http://app.localhost:{{.HTTP}} {
	gate
	reverse_proxy {{.Upstream}}
}
`

// once is a code that is good for one use, and how far that came.
type once struct {
	kind string // invitation or hand-off
	used bool   // and acknowledged
	user person // whom an invitation was to make
	url  string // of a hand-off
	flow string // the cookie that it is bound to
}

// crashes kills something again and again while people sign in, register and walk
// from the portal to the app, and checks afterwards what they were promised.
type crashes struct {
	*traffic
	s      *server
	db     *dbserver.Server // nil for SQLite
	t      *testing.T
	portal string // token of who walks
	next   int    // number of the next person

	mu    sync.Mutex
	codes []once
	users []person // whose registration was acknowledged
	sites []string // tokens of hand-offs that were acknowledged
}

// walkers go from the portal to the app, each time as a new browser that is signed
// in at the portal only.
func (c *crashes) walkers(n int) {
	for range n {
		client := c.s.Client(c.t).Client
		c.wg.Go(func() {
			tick := time.NewTicker(2 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-c.stop:
					return
				case <-tick.C:
				}
				code, token := c.walk(client)
				c.mu.Lock()
				if code.url != "" {
					c.codes = append(c.codes, code)
				}
				if token != "" {
					c.sites = append(c.sites, token)
				}
				c.mu.Unlock()
			}
		})
	}
}

func (c *crashes) walk(client *http.Client) (code once, token string) {
	jar, _ := cookiejar.New(nil)
	portal, _ := url.Parse(c.s.at("auth.localhost", "/"))
	jar.SetCookies(portal, []*http.Cookie{{Name: "gate", Value: c.portal, Path: "/"}})
	walker := *client
	walker.Jar = jar
	get := func(to string) (int, string) {
		r, err := http.NewRequest("GET", to, nil)
		if err != nil {
			return 0, ""
		}
		for _, h := range navigation {
			r.Header.Set(h.name, h.value)
		}
		status, head, _, err := send(&walker, r)
		if err != nil {
			return 0, ""
		}
		return status, head.Get("Location")
	}
	app, _ := url.Parse(c.s.at("app.localhost", "/"))
	cookie := func(name string) string {
		for _, each := range jar.Cookies(app) {
			if each.Name == name {
				return each.Value
			}
		}
		return ""
	}
	_, login := get(app.String() + "page")
	_, callback := get(login)
	if !strings.Contains(callback, "/.gate/callback?code=") {
		return once{}, ""
	}
	code = once{kind: "hand-off", url: callback, flow: cookie("gate-flow")}
	status, _ := get(callback)
	token = cookie("gate")
	code.used = status == http.StatusSeeOther && token != ""
	return code, token
}

var invitation = regexp.MustCompile(`invite=([\w-]+)`)

// newcomers use one invitation each.
func (c *crashes) newcomers(n int) {
	for range n {
		m := invitation.FindStringSubmatch(c.s.must(c.t, "", "user", "invite"))
		if m == nil {
			c.t.Fatal("there is no invitation")
		}
		c.next++
		p := someone(fmt.Sprint("newcomer", c.next))
		client := c.s.Client(c.t).Client
		c.wg.Go(func() {
			code := once{kind: "invitation", user: p, url: m[1]}
			code.used = c.register(client, m[1], p) == http.StatusSeeOther
			c.mu.Lock()
			defer c.mu.Unlock()
			c.codes = append(c.codes, code)
			if code.used {
				c.users = append(c.users, p)
			}
		})
	}
}

// register is the status of a registration, 0 where no answer came.
func (c *crashes) register(client *http.Client, code string, p person) int {
	form := p.form()
	form.Set("invite", code)
	r, _ := http.NewRequest("POST", c.s.at("auth.localhost", "/.gate/register"), strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", "text/html")
	status, _, _, _ := send(client, r)
	return status
}

// uses tries a code once more, and tells whether it worked.
func (c *crashes) uses(code once) bool {
	if code.kind == "invitation" {
		c.next++
		client := c.s.Client(c.t)
		switch status := c.register(client.Client, code.url, someone(fmt.Sprint("latecomer", c.next))); status {
		case http.StatusSeeOther:
			return true
		case http.StatusForbidden:
		default:
			c.t.Errorf("an invitation is answered %d", status)
		}
		return false
	}
	got := c.s.Client(c.t).get(code.url, header{"Cookie", "gate-flow=" + code.flow})
	if got.StatusCode != http.StatusSeeOther && got.StatusCode != http.StatusBadRequest {
		c.t.Errorf("a hand-off is answered %s", got.Status)
	}
	return got.setCookies()["gate"] != nil
}

// kept checks what was promised before the kill.
func (c *crashes) kept() {
	c.t.Helper()
	tokens := c.acknowledged()
	c.s.allGood(c.t, "auth.localhost", tokens, alice)
	c.s.allGood(c.t, "app.localhost", c.sites, alice)
	there := func(p person) bool {
		return c.s.Client(c.t).login(c.s.at("auth.localhost", ""), p).StatusCode == http.StatusSeeOther
	}
	for _, p := range c.users {
		if !there(p) {
			c.t.Errorf("%s registered, and is not there", p.Username)
		}
	}
	open := 0
	for _, code := range c.codes {
		used := code.used || code.kind == "invitation" && there(code.user)
		if again := c.uses(code); again && used {
			c.t.Errorf("an %s works twice", code.kind)
		} else if again {
			open++
		}
		if c.uses(code) {
			c.t.Errorf("an %s works twice after the kill", code.kind)
		}
	}
	c.t.Logf("kept: %d sign-ins, %d hand-offs, %d registrations; %d codes are used up, of which %d were still open", len(tokens), len(c.sites),
		len(c.users), len(c.codes), open)
}

// tally counts over all rounds.
type tally struct{ signIns, handoffs, users, codes int }

func (sum *tally) add(c *crashes) {
	sum.signIns += len(c.acknowledged())
	sum.handoffs += len(c.sites)
	sum.users += len(c.users)
	sum.codes += len(c.codes)
}

func (sum tally) String() string {
	return fmt.Sprintf("%d sign-ins, %d hand-offs and %d registrations were acknowledged, %d codes tried again", sum.signIns, sum.handoffs, sum.users, sum.codes)
}

func newCrashes(t *testing.T, driver string, alone bool) *crashes {
	t.Helper()
	home := newCluster(t, driver, alone, "wait 1s")
	c := &crashes{t: t, s: start(t, manor, home.node), db: home.DB}
	c.s.createOwner(t, alice)
	c.portal = c.s.signsIn(t, "auth.localhost", alice)
	return c
}

// whole checks that the doctor finds nothing wrong.
func (c *crashes) whole() {
	c.t.Helper()
	out := c.s.must(c.t, "", "doctor")
	if whole := regexp.MustCompile(`(?m)^ok +integrity `); !whole.MatchString(out) || c.db == nil && !strings.Contains(out, "the database is whole") {
		c.t.Errorf("the doctor says\n%s", out)
	}
}

// round is one of load, until kill has ended it and all is served again.
func (c *crashes) round(kill func()) {
	c.t.Helper()
	c.traffic = newTraffic(c.t)
	c.mortal, c.host = true, "auth.localhost"
	c.codes, c.users, c.sites = nil, nil, nil
	c.signIns(c.s, 4, alice, time.Millisecond)
	c.walkers(2)
	after := 3 + rand.IntN(40)
	eventually(c.t, "sign-ins", func() bool { return len(c.acknowledged()) >= after/2 })
	c.newcomers(2)
	eventually(c.t, "sign-ins", func() bool { return len(c.acknowledged()) >= after })
	kill()
}

// Caddy is killed under load, again and again: GATE_CRASHES times on SQLite, and a
// tenth of that on the others. Nothing that was acknowledged is lost, no code works
// twice, and the database is whole.
func TestKillUnderLoad(t *testing.T) {
	t.Parallel()
	many := times(t, "GATE_CRASHES", 5)
	few := max(2, many/10)
	for driver, rounds := range map[string]int{"sqlite": many, "postgres": few, "mysql": few} {
		t.Run(driver, func(t *testing.T) {
			c, sum := newCrashes(t, driver, false), tally{}
			for range rounds {
				c.round(func() {
					c.s.Kill(t)
					c.end()
					must(t, c.s.run())
				})
				c.check()
				c.kept()
				c.whole()
				sum.add(c)
				if t.Failed() {
					break
				}
			}
			t.Logf("%s: Caddy was killed %d times; %s", driver, rounds, sum)
		})
	}
}

// The database is killed under load, and comes back by itself.
func TestKillOfTheDatabase(t *testing.T) {
	eachServer(t, func(t *testing.T, driver string) {
		c, sum := newCrashes(t, driver, true), tally{}
		rounds := max(1, times(t, "GATE_CRASHES", 5)/20)
		for range rounds {
			c.round(func() {
				must(t, c.db.Kill())
				must(t, c.db.Start())
				c.end()
				c.s.signsIn(t, "auth.localhost", alice)
			})
			c.check()
			c.kept()
			c.whole()
			sum.add(c)
			if t.Failed() {
				break
			}
		}
		t.Logf("%s was killed %d times; %s", driver, rounds, sum)
	})
}
