package integration

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// load is a crowd that uses a server without a pause. Nobody in it ends the test:
// what went wrong is told by quiet.
type load struct {
	t    *testing.T
	s    *server
	stop chan struct{}
	wg   sync.WaitGroup

	mu      sync.Mutex
	again   int // how often a request that got no answer is sent again
	resent  int
	answers []answered
	errs    []error // of requests that got no answer
	pages   int     // answers for people who were signed in
	wrong   []string
}

// members counts the sign-ins of all crowds.
var members atomic.Int64

// answered is a sign-in that got its answer.
type answered struct {
	agent  string // tells its row in the audit from all others
	status int
	token  string
	at     time.Time // where the test wants to know
}

func newLoad(t *testing.T, s *server) *load { return &load{t: t, s: s, stop: make(chan struct{})} }

// crowd runs n members, each until the load ends or one of its requests gets no
// answer.
func (l *load) crowd(n int, member func(c *http.Client) error) {
	for range n {
		c := l.s.Client(l.t).Client
		c.Jar = nil
		l.wg.Go(func() {
			for {
				select {
				case <-l.stop:
					return
				default:
				}
				if err := member(c); err != nil {
					l.mu.Lock()
					l.errs = append(l.errs, err)
					l.mu.Unlock()
					return
				}
			}
		})
	}
}

// readers are signed in and read pages behind the gate.
func (l *load) readers(n int, token string, p person) {
	l.crowd(n, func(c *http.Client) error {
		r, err := http.NewRequest("GET", l.s.at("app.localhost", "/page"), nil)
		if err != nil {
			return err
		}
		r.Header.Set("Cookie", "gate="+token)
		status, _, body, err := l.send(c, r)
		if err != nil {
			return err
		}
		var seen echo
		_ = json.Unmarshal([]byte(body), &seen)
		l.mu.Lock()
		defer l.mu.Unlock()
		l.pages++
		if got := seen.get("Remote-User"); status != http.StatusOK || got != p.Username {
			l.wrong = append(l.wrong, fmt.Sprintf("a page: %d, for %q\n%.200s", status, got, body))
		}
		return nil
	})
}

// signIns send the sign-in form, with the right password or a wrong one.
func (l *load) signIns(n int, p person, right bool) {
	form, want := url.Values{"username": {p.Username}, "password": {p.Password}}, http.StatusSeeOther
	if !right {
		form.Set("password", "not-"+p.Password)
		want = http.StatusUnauthorized
	}
	l.crowd(n, func(c *http.Client) error {
		r, err := http.NewRequest("POST", l.s.at("app.localhost", "/.gate/login"), strings.NewReader(form.Encode()))
		if err != nil {
			return err
		}
		a := answered{agent: fmt.Sprint("member-", members.Add(1))}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Accept", "text/html")
		r.Header.Set("User-Agent", a.agent)
		status, header, body, err := l.send(c, r)
		if err != nil {
			return err
		}
		a.status = status
		for _, cookie := range (&http.Response{Header: header}).Cookies() {
			if cookie.Name == "gate" {
				a.token = cookie.Value
			}
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		l.answers = append(l.answers, a)
		if status != want || right == (a.token == "") {
			l.wrong = append(l.wrong, fmt.Sprintf("a sign-in: %d, want %d\n%.200s", status, want, body))
		}
		return nil
	})
}

// send is send, again where the connection broke before an answer came: see settle.
// A request that was carried out and then not answered would have an audit row too
// many.
func (l *load) send(c *http.Client, r *http.Request) (status int, h http.Header, body string, err error) {
	for range l.again + 1 {
		if r.GetBody != nil {
			if r.Body, err = r.GetBody(); err != nil {
				return 0, nil, "", err
			}
		}
		if status, h, body, err = send(c, r); err == nil {
			break
		}
		l.mu.Lock()
		l.resent++
		l.mu.Unlock()
	}
	return status, h, body, err
}

func send(c *http.Client, r *http.Request) (status int, h http.Header, body string, err error) {
	resp, err := c.Do(r)
	if err != nil {
		return 0, nil, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, resp.Header, string(text), err
}

// busy waits until so many sign-ins and pages more were answered.
func (l *load) busy(n int) {
	l.t.Helper()
	have := func() (int, int) {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.answers), len(l.errs)
	}
	from, _ := have()
	eventually(l.t, "answers under load", func() bool {
		answers, errs := have()
		return answers >= from+n || errs > 0
	})
}

// quiet ends the load and tells what was answered and what went wrong.
func (l *load) quiet() (answers []answered, errs []error) {
	l.t.Helper()
	select {
	case <-l.stop:
	default:
		close(l.stop)
	}
	l.wg.Wait()
	for _, w := range l.wrong[:min(len(l.wrong), 5)] {
		l.t.Error(w)
	}
	if len(l.wrong) > 5 {
		l.t.Errorf("and %d more wrong answers", len(l.wrong)-5)
	}
	return l.answers, l.errs
}

// recorded checks that each answered sign-in has one audit row, with its outcome,
// and each that was good its session.
func (s *server) recorded(t *testing.T, answers []answered) {
	t.Helper()
	if len(answers) == 0 {
		t.Fatal("nothing was answered")
	}
	db := s.database(t)
	rows, err := db.Query("SELECT agent, outcome FROM events WHERE action = 'user.login' AND agent LIKE 'member-%'")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	found := make(map[string]string)
	for rows.Next() {
		var agent, outcome string
		if err := rows.Scan(&agent, &outcome); err != nil {
			t.Fatal(err)
		}
		found[agent] += outcome + "."
	}
	missing, good := 0, 0
	for _, a := range answers {
		want := "failure."
		if a.status == http.StatusSeeOther {
			want = "success."
			good++
			var n int
			if err := db.QueryRow("SELECT count(*) FROM sessions WHERE token_hash = ?", authcore.HashToken(a.token).Hex()).Scan(&n); err != nil || n != 1 {
				t.Errorf("%s was signed in and has %d sessions in the database, %v", a.agent, n, err)
			}
		}
		if found[a.agent] != want {
			if missing++; missing <= 5 {
				t.Errorf("%s was answered %d and has the audit rows %q", a.agent, a.status, found[a.agent])
			}
		}
	}
	t.Logf("%d sign-ins answered, %d of them good; %d without their audit row", len(answers), good, missing)
}

// usable checks that sessions sign somebody in.
func (s *server) usable(t *testing.T, answers []answered, p person) {
	t.Helper()
	b := s.Client(t)
	for _, a := range answers {
		if a.token == "" {
			continue
		}
		if got := b.fetch(s.at("app.localhost", "/.gate/whoami"), header{"Cookie", "gate=" + a.token}); got.StatusCode != http.StatusOK ||
			!strings.Contains(got.Body, p.Username) {
			t.Fatalf("%s is not signed in any more: %s", a.agent, got.Status)
		}
	}
}
