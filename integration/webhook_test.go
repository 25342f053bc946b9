package integration

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// hooked is a gate whose webhooks may be on this machine.
var hooked = strings.Replace(archive, "limits {", "webhooks {\n\t\t\tallow 127.0.0.0/8\n\t\t}\n\t\t{{.More}}\n\t\tlimits {", 1)

// startHooked starts it with more words in its option.
func startHooked(t *testing.T, c *cluster, more string) *server {
	t.Helper()
	return start(t, hooked, c.node, func(s *server) { s.Vars["More"] = strings.ReplaceAll(more, "{{.Dir}}", s.Dir) })
}

// hookTold is what a receiver was told.
type hookTold struct {
	ID         string
	Signatures int
	Verified   bool
	Error      string
	Body       struct {
		Type      string
		Timestamp time.Time
		Data      struct {
			ID, Target, Outcome, Details, Address string
			Actor                                 struct{ Kind, UserID string }
			Organization                          *struct{ ID, Slug string }
			Events                                []struct{ ID, Type string }
		}
	}
}

// receiver is the receiver of openid/receiver.mjs.
type receiver struct{ *openIDProvider }

func startReceiver(t *testing.T) receiver {
	return receiver{startOpenID(t, "receiver", openIDSettings{})}
}

func (r receiver) told(t testing.TB, name string) (all []hookTold) {
	t.Helper()
	r.ask(t, "hooks", map[string]string{"name": name}, &all)
	return all
}

// types are the types that a receiver was told, each once, in order.
func (r receiver) types(t testing.TB, name string) (all []string) {
	t.Helper()
	for _, m := range r.told(t, name) {
		if !m.Verified {
			t.Errorf("%s at %s: %s", m.Body.Type, name, m.Error)
		}
		all = append(all, m.Body.Type)
	}
	return all
}

func (r receiver) knows(t testing.TB, name, secret string) {
	t.Helper()
	r.ask(t, "secret", map[string]string{"name": name, "secret": secret}, &struct{}{})
}

var (
	hookMade   = regexp.MustCompile(`Webhook (\S+) is made`)
	hookSecret = regexp.MustCompile(`whsec_\S+`)
)

// hook makes a webhook at a receiver.
func (s *server) hook(t testing.TB, r receiver, name string, args ...string) (id string) {
	t.Helper()
	said := s.must(t, "", append([]string{"webhook", "add", r.Issuer + "/" + name}, args...)...)
	r.knows(t, name, hookSecret.FindString(said))
	return hookMade.FindStringSubmatch(said)[1]
}

// hookLine is a delivery as the command line lists it.
type hookLine struct {
	ID, Type, Status, Failure, Request string
	Tries                              int
	Code                               int `json:"answer_status"`
}

func (s *server) deliveries(t testing.TB, args ...string) (all []hookLine) {
	t.Helper()
	for line := range strings.Lines(s.must(t, "", append([]string{"webhook", "deliveries", "--json"}, args...)...)) {
		var l hookLine
		must(t, json.Unmarshal([]byte(line), &l))
		all = append(all, l)
	}
	return all
}

// Webhooks of the platform and of an organization are told of what is theirs, in requests
// that somebody else's library verifies; W4 for what receivers do.
func TestWebhooks(t *testing.T) {
	everyDatabase(t, func(t *testing.T, c *cluster) {
		r := startReceiver(t)
		s := startHooked(t, c, "")
		s.createOwner(t, alice)
		bob := someone("bob")
		s.addUser(t, bob)
		for _, slug := range []string{"acme", "beta"} {
			s.must(t, "", "org", "add", slug, "--owner", "alice")
		}
		platform, ofAcme := s.hook(t, r, "a", "--events", "member.*,organization.*"), s.hook(t, r, "b", "--org", "acme", "--events", "member.*")
		s.must(t, "", "org", "member", "acme", "bob")
		s.must(t, "", "org", "member", "beta", "bob")
		s.must(t, "", "org", "tier", "acme", "pro")
		eventually(t, "both are told", func() bool { return len(r.told(t, "a")) >= 3 && len(r.told(t, "b")) >= 1 })
		if got := r.types(t, "b"); !slices.Equal(got, []string{"member.set"}) {
			t.Errorf("acme was told %v", got)
		}
		sort := r.types(t, "a")
		slices.Sort(sort)
		if !slices.Equal(sort, []string{"member.set", "member.set", "organization.tier"}) {
			t.Errorf("the platform was told %v", sort)
		}
		m := r.told(t, "b")[0]
		if d := m.Body.Data; d.Organization == nil || d.Organization.Slug != "acme" || d.Outcome != "success" || d.Actor.Kind != "command" || !strings.Contains(d.Details, "member") || time.Since(m.Body.Timestamp).Abs() > time.Hour {
			t.Errorf("%+v", m)
		}
		log := s.deliveries(t, ofAcme, "--org", "acme")
		if len(log) != 1 || log[0].ID != m.ID || log[0].Status != "delivered" || log[0].Tries != 1 || log[0].Code != 204 || !strings.Contains(log[0].Request, `"slug":"acme"`) {
			t.Errorf("the log: %+v", log)
		}
		if _, errs, exit := s.CLI(t, "", "webhook", "deliveries", ofAcme, "--org", "beta"); exit == 0 || !strings.Contains(errs, "There is no such webhook") {
			t.Errorf("of another organization: %d %s", exit, errs)
		}
		s.must(t, "", "webhook", "resend", log[0].ID, "--org", "acme")
		eventually(t, "it comes again", func() bool { return len(r.told(t, "b")) == 2 })
		if again := r.told(t, "b")[1]; again.ID != m.ID || !again.Verified {
			t.Errorf("again: %+v", again)
		}

		secret := hookSecret.FindString(s.must(t, "", "webhook", "rotate", ofAcme, "--org", "acme"))
		s.must(t, "", "webhook", "test", ofAcme, "--org", "acme") // the receiver knows the old one
		eventually(t, "a test", func() bool { return len(r.told(t, "b")) == 3 })
		r.knows(t, "b", secret)
		s.must(t, "", "webhook", "test", ofAcme, "--org", "acme")
		eventually(t, "a test", func() bool { return len(r.told(t, "b")) == 4 })
		for _, m := range r.told(t, "b")[2:] {
			if m.Body.Type != "webhook.test" || !m.Verified || m.Signatures != 2 {
				t.Errorf("a test: %+v", m)
			}
		}

		r.fail(t, "a", "hang") // which delays nobody else
		s.must(t, "", "org", "member", "acme", "bob", "--role", "admin")
		eventually(t, "beside one that hangs", func() bool { return len(r.told(t, "b")) == 5 })
		r.fail(t, "a", "")
		r.fail(t, "b", "410")
		s.must(t, "", "org", "member", "acme", "bob", "--role", "member")
		eventually(t, "it is off", func() bool {
			return strings.Contains(s.must(t, "", "webhook", "list", "--org", "acme"), "410")
		})
		if _, errs, exit := s.CLI(t, "", "webhook", "test", ofAcme, "--org", "acme"); exit == 0 || !strings.Contains(errs, "is off") {
			t.Errorf("a test of one that is off: %d %s", exit, errs)
		}
		s.must(t, "", "webhook", "set", ofAcme, "--org", "acme", "--on")
		r.fail(t, "b", "")
		s.must(t, "", "org", "expel", "acme", "bob")
		eventually(t, "it is on again", func() bool { return slices.Contains(r.types(t, "b"), "member.remove") })
		s.must(t, "", "org", "delete", "acme")
		eventually(t, "the platform is told", func() bool { return slices.Contains(r.types(t, "a"), "organization.delete") })
		if n := s.countIn(c.look(s), "SELECT count(*) FROM webhooks WHERE organization_id <> ''"); n != 0 {
			t.Errorf("%d webhooks of an organization that was deleted", n)
		}
		s.must(t, "", "webhook", "delete", platform)
		if n := s.countIn(c.look(s), "SELECT count(*) FROM deliveries"); n != 0 {
			t.Errorf("%d deliveries of nobody", n)
		}
		s.verified(t)
		if strings.Contains(s.Log(), "whsec_") {
			t.Error("W3: a secret is in the log")
		}
	})
}

func (s *server) countIn(db *sql.DB, query string) (n int) {
	if err := db.QueryRow(query).Scan(&n); err != nil {
		return -1
	}
	return n
}

// W1: what is refused when it is entered, and when it is dialled.
func TestW1_WebhookAddresses(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "sqlite", false)
	s := start(t, archive, c.node)
	s.createOwner(t, alice)
	for _, to := range []string{"http://hooks.example.com", "https://127.0.0.1/", "https://[::1]/", "https://169.254.169.254/latest/", "https://10.0.0.1", "https://[::ffff:10.0.0.1]", "https://user:password@hooks.example.com",
		"ftp://hooks.example.com", "https://", "//hooks.example.com", "https://hooks.example.com/#x", "javascript:alert(1)", "https://hooks.example.com/a b", "https://hooks.example.com/" + strings.Repeat("x", 2048)} {
		if said, errs, exit := s.CLI(t, "", "webhook", "add", to); exit == 0 {
			t.Errorf("%s was taken: %s%s", to, said, errs)
		}
	}
	if _, errs, exit := s.CLI(t, "", "webhook", "add", "https://hooks.example.com", "--events", "nothing.*"); exit == 0 || !strings.Contains(errs, "Choose events") {
		t.Errorf("%d %s", exit, errs)
	}
	said := s.must(t, "", "webhook", "add", "https://localhost:1/x") // what it leads to is looked at when it is dialled
	id := hookMade.FindStringSubmatch(said)[1]
	s.must(t, "", "webhook", "test", id)
	eventually(t, "it is refused", func() bool {
		return slices.ContainsFunc(s.deliveries(t, id), func(l hookLine) bool { // it may be told of its own making, too
			return l.Type == "webhook.test" && l.Status == "lost" && strings.Contains(l.Failure, "no address on the internet")
		})
	})
}

// Whoever delivers is killed again and again, GATE_KILLS times: each event comes at least
// once, always with the same id.
func TestWebhooksOverKills(t *testing.T) {
	everyDatabase(t, func(t *testing.T, c *cluster) {
		r := startReceiver(t)
		s := startHooked(t, c, "siem file {{.Dir}}/audit.jsonl")
		s.createOwner(t, alice)
		id := s.hook(t, r, "a")
		r.fail(t, "a", "500") // so that something waits all the time
		for round := range times(t, "GATE_KILLS", 3) {
			l := newLoad(t, s)
			l.knockers(4, http.StatusSeeOther, alice, 2*time.Millisecond) // whose events are written with the sign-in
			l.many(150)
			if round == 0 {
				r.fail(t, "a", "")
			} else { // in the middle of it
				before := len(r.told(t, "a"))
				eventually(t, "deliveries", func() bool { return len(r.told(t, "a")) > before+20 })
			}
			s.Kill(t)
			l.quiet()
			must(t, s.run())
		}
		db := c.look(s)
		ids := func() (all []string) {
			rows, err := db.Query("SELECT d.event_id FROM deliveries d WHERE d.webhook_id = '" + id + "'")
			must(t, err)
			defer rows.Close()
			for rows.Next() {
				var one string
				must(t, rows.Scan(&one))
				all = append(all, one)
			}
			return all
		}
		since := s.countIn(db, "SELECT created_at FROM webhooks")
		sealed := fmt.Sprintf("SELECT count(*) FROM events WHERE occurred_at >= %d", since)
		eventually(t, "everything is delivered", func() bool {
			return s.countIn(db, "SELECT count(*) FROM deliveries WHERE status <> 'delivered'") == 0 && s.countIn(db, sealed) == len(ids()) && len(ids()) > 0
		})
		byEvent := make(map[string]string)
		got := r.told(t, "a")
		for _, m := range got {
			if !m.Verified {
				t.Errorf("%s: %s", m.Body.Type, m.Error)
			}
			if was := byEvent[m.Body.Data.ID]; was != "" && was != m.ID {
				t.Errorf("event %s came as %s and as %s", m.Body.Data.ID, was, m.ID)
			}
			byEvent[m.Body.Data.ID] = m.ID
		}
		all := ids()
		for _, event := range all {
			if byEvent[event] == "" {
				t.Errorf("event %s never came", event)
			}
		}
		inFile := make(map[string]int)
		eventually(t, "everything is in the file", func() bool {
			text, _ := os.ReadFile(s.Dir + "/audit.jsonl") // whoever was killed has the lease for half a minute
			clear(inFile)
			for line := range strings.Lines(string(text)) {
				var e struct{ ID string }
				if json.Unmarshal([]byte(line), &e) == nil {
					inFile[e.ID]++
				}
			}
			return !slices.ContainsFunc(all, func(id string) bool { return inFile[id] == 0 })
		})
		t.Logf("%s: %d events, told %d times; %d in the file", c.Driver, len(all), len(got), len(inFile))
		s.verified(t)
	})
}

// Collectors get everything, over a reload that names another and back.
func TestCollectors(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "sqlite", false)
	r := startReceiver(t)
	secret := authcore.NewWebhookSecret().Reveal()
	r.knows(t, "c", secret)
	lines := listenSyslog(t)
	s := startHooked(t, c, fmt.Sprintf("siem {\n\t\t\twebhook %s/c %s\n\t\t\tfile {{.Dir}}/audit.jsonl\n\t\t\tsyslog tcp %s\n\t\t}", r.Issuer, secret, lines.address))
	s.createOwner(t, alice)
	s.addUser(t, someone("bob"))
	inFile := func(name, what string) bool {
		text, _ := os.ReadFile(s.Dir + "/" + name)
		return strings.Contains(string(text), what)
	}
	eventually(t, "all three have it", func() bool {
		return strings.Contains(fmt.Sprint(r.told(t, "c")), "user.create") && inFile("audit.jsonl", `"type":"user.create"`) && strings.Contains(lines.text(), `"type":"user.create"`)
	})
	for _, m := range r.told(t, "c") {
		if !m.Verified || m.Body.Type != "audit.events" || len(m.Body.Data.Events) == 0 || !strings.HasPrefix(m.ID, "audit-") {
			t.Errorf("%+v", m)
		}
	}
	if line := lines.first(); !regexp.MustCompile(`^<8[45]>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z \S+ gatehouse - [a-z.]+ \[origin software="gatehouse"\] \x{feff}\{"id":`).MatchString(line) {
		t.Errorf("syslog: %q", line)
	}
	before := strings.Count(lines.text(), `"type":"user.create"`)
	must(t, os.Rename(s.Dir+"/audit.jsonl", s.Dir+"/audit.jsonl.1"))
	lines.cut()
	s.addUser(t, someone("cleo"))
	eventually(t, "in a new file, and a new connection", func() bool {
		return inFile("audit.jsonl", "user.create") && strings.Count(lines.text(), `"type":"user.create"`) > before
	})
	must(t, s.Reload(t, strings.Replace(hooked, "{{.More}}", "register invite", 1)))
	s.addUser(t, someone("dora"))
	must(t, s.Reload(t, hooked))
	eventually(t, "what was meanwhile", func() bool {
		text, _ := os.ReadFile(s.Dir + "/audit.jsonl")
		return strings.Count(string(text), `"type":"user.create"`) == 2
	})
	if !strings.Contains(s.figures(t, s.adminMetrics()).String(), "gate_siem_events_total") {
		t.Error("no figures")
	}
}

func (f figures) String() string { return fmt.Sprint(map[string]float64(f)) }

// alone is a client without cookies.
func (s *server) alone(t *testing.T) *http.Client {
	client := *s.Client(t).Client
	client.Jar = nil
	return &client
}

// pace signs in, time after time, and tells how long that takes.
func (s *server) pace(t *testing.T, n int) (all delays) {
	client := s.alone(t)
	form := url.Values{"username": {alice.Username}, "password": {alice.Password}}.Encode()
	tick := time.NewTicker(time.Second / signIns)
	defer tick.Stop()
	for range n {
		<-tick.C
		r, _ := http.NewRequestWithContext(context.Background(), "POST", s.URL("HTTP", "app.localhost")+"/.gate/login", strings.NewReader(form))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		began := time.Now()
		resp, err := client.Do(r)
		must(t, err)
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusSeeOther && resp.StatusCode != http.StatusOK {
			t.Fatalf("sign-in: %s", resp.Status)
		}
		all = append(all, time.Since(began))
	}
	return all
}

// signIns is how many there are in a second.
const signIns = 10

// GATE_DELIVERIES deliveries over 100 webhooks, ten of which hang: the others' are there in
// a second, and people sign in as fast as ever.
func TestWebhookSpeed(t *testing.T) {
	t.Parallel()
	const hooks, hanging = 100, 10
	events := max(10, times(t, "GATE_DELIVERIES", 2000)/hooks)
	c := newCluster(t, "sqlite", false)
	s := startHooked(t, c, "")
	s.createOwner(t, alice)
	var mu sync.Mutex
	var took delays
	stop := make(chan struct{})
	seen := make(map[string]bool)
	in := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		now := time.Now()
		if strings.HasPrefix(r.URL.Path, "/hang") {
			select {
			case <-stop:
			case <-r.Context().Done():
			}
			return
		}
		var m hookTold
		if err := json.NewDecoder(r.Body).Decode(&m.Body); err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		if id := r.Header.Get("webhook-id"); !seen[id] {
			seen[id] = true
			took = append(took, now.Sub(m.Body.Timestamp))
		}
	}))
	defer in.Close()
	defer close(stop)
	before := s.pace(t, 100)
	text, err := os.ReadFile(s.Dir + "/gate.db.key")
	must(t, err)
	key, err := authcore.ParseSecretKey(authcore.Secret(text))
	must(t, err)
	sealer := key.NewSealer("webhook", time.Now)
	s.must(t, "", "webhook", "add", in.URL+"/first", "--events", "setup.open") // so that the chain is followed from here
	db := s.writing(t)
	for i := range hooks {
		id := authcore.WebhookID(authcore.NewUserID())
		sealed, err := authcore.SealWebhookSecrets(sealer, id, authcore.WebhookSecrets{Current: authcore.NewWebhookSecret()})
		must(t, err)
		path := "/healthy"
		if i < hanging {
			path = "/hang"
		}
		_, err = db.Exec("INSERT INTO webhooks VALUES (?, '', ?, ?, 'user.login', 'active', '', ?, 0, ?, ?)", id, fmt.Sprint("hook", i), fmt.Sprint(in.URL, path, i), sealed, time.Now().UnixMicro(), time.Now().UnixMicro())
		must(t, err)
	}
	began := time.Now()
	during := s.pace(t, events)
	logins := s.count(t, "SELECT count(*) FROM events WHERE action = 'user.login' AND occurred_at >= ?", began.UnixMicro())
	eventually(t, "the healthy ones have everything", func() bool {
		mu.Lock()
		defer mu.Unlock()
		logins = s.count(t, "SELECT count(*) FROM events WHERE action = 'user.login' AND occurred_at >= ?", began.UnixMicro())
		return len(took) >= logins*(hooks-hanging)
	})
	all := time.Since(began)
	t.Logf("%d events for %d webhooks, %d of which hang: %d deliveries in %s (%.0f a second); delay: %s", logins, hooks, hanging, len(took), all.Round(time.Millisecond), float64(len(took))/all.Seconds(), took)
	t.Logf("sign-in before: %s", before)
	t.Logf("sign-in meanwhile: %s", during)
	slices.Sort(took)
	if median := took[len(took)/2]; measures() && median > time.Second {
		t.Errorf("the median delay is %s", median)
	}
}

// Of two nodes the one that delivers is killed: the other goes on, and no event is lost.
func TestWebhooksOfTwoNodes(t *testing.T) {
	eachServer(t, func(t *testing.T, driver string) {
		c := newCluster(t, driver, false)
		r := startReceiver(t)
		first := startHooked(t, c, "")
		first.createOwner(t, alice)
		first.hook(t, r, "a", "--events", "user.login")
		first.signsIn(t, "app.localhost", alice)
		eventually(t, "the first delivers", func() bool { return len(r.told(t, "a")) > 0 })
		second := startHooked(t, c, "")
		l := newLoad(t, second)
		l.knockers(2, http.StatusSeeOther, alice, 5*time.Millisecond)
		l.many(100)
		first.Kill(t)
		l.many(100)
		l.quiet()
		db := c.look(second)
		eventually(t, "the second goes on", func() bool {
			return first.countIn(db, "SELECT count(*) FROM deliveries WHERE status <> 'delivered'") == 0 &&
				first.countIn(db, "SELECT count(*) FROM deliveries") == first.countIn(db, "SELECT count(*) FROM events WHERE action = 'user.login' AND occurred_at >= (SELECT created_at FROM webhooks)")
		})
		came := make(map[string]bool)
		for _, m := range r.told(t, "a") {
			came[m.ID] = m.Verified
		}
		all := first.countIn(db, "SELECT count(*) FROM deliveries")
		if len(came) != all || all < 200 {
			t.Errorf("%d deliveries, %d came", all, len(came))
		}
		t.Logf("%d events, told %d times", all, len(r.told(t, "a")))
	})
}
