package integration

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// traffic is a bounded load that notes each answer by its second, whatever it is:
// so many requests of a kind at an even pace, and no more under way than members.
type traffic struct {
	t     testing.TB
	began time.Time
	stop  chan struct{}
	wg    sync.WaitGroup

	mu      sync.Mutex
	answers map[moment]int
	kinds   []string
	tokens  []string // of sign-ins that were answered
	odd     []string // answers that may never come
	slowest map[string]time.Duration
	mortal  bool   // the server may be killed, so that some get no answer
	host    string // where people sign in
}

// moment is what answers are counted by. No status is no answer.
type moment struct {
	second int
	kind   string
	status int
}

func newTraffic(t testing.TB) *traffic {
	tr := &traffic{t: t, began: time.Now(), stop: make(chan struct{}), answers: make(map[moment]int), slowest: make(map[string]time.Duration), host: "app.localhost"}
	t.Cleanup(tr.end)
	return tr
}

// end stops the load and waits for the answers that are due.
func (tr *traffic) end() {
	select {
	case <-tr.stop:
	default:
		close(tr.stop)
	}
	tr.wg.Wait()
}

// members send requests of a kind, each one in every so long or, where an answer
// takes longer, as soon as that is there.
func (tr *traffic) members(s *server, n int, kind string, every time.Duration, request func() *http.Request) {
	if !slices.Contains(tr.kinds, kind) {
		tr.kinds = append(tr.kinds, kind)
	}
	for range n {
		c := s.Client(tr.t).Client
		c.Jar = nil
		tr.wg.Go(func() {
			tick := time.NewTicker(every)
			defer tick.Stop()
			for {
				select {
				case <-tr.stop:
					return
				case <-tick.C:
					tr.one(c, kind, request())
				}
			}
		})
	}
}

func (tr *traffic) one(c *http.Client, kind string, r *http.Request) {
	began := time.Now()
	status, head, body, err := send(c, r)
	took := time.Since(began)
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if err != nil {
		status, body = 0, err.Error()
	}
	tr.answers[moment{int(time.Since(tr.began) / time.Second), kind, status}]++
	tr.slowest[kind] = max(tr.slowest[kind], took)
	switch {
	case status >= 200 && status < 400, status == 401, status == 429, status == 503, status == 0 && tr.mortal:
	default:
		tr.odd = append(tr.odd, fmt.Sprintf("%s after %s: %d %.300s", kind, time.Since(tr.began), status, body))
	}
	if kind == signInKind && status == http.StatusSeeOther {
		for _, cookie := range (&http.Response{Header: head}).Cookies() {
			if cookie.Name == "gate" {
				tr.tokens = append(tr.tokens, cookie.Value)
			}
		}
	}
}

const signInKind = "sign-in"

// readers ask for a path with a session.
func (tr *traffic) readers(s *server, n int, kind, path, token string, every time.Duration) {
	tr.members(s, n, kind, every, func() *http.Request {
		r, _ := http.NewRequest("GET", s.at(tr.host, path), nil)
		r.Header.Set("Cookie", "gate="+token)
		return r
	})
}

// signIns send the sign-in form.
func (tr *traffic) signIns(s *server, n int, p person, every time.Duration) {
	form := url.Values{"username": {p.Username}, "password": {p.Password}}.Encode()
	tr.members(s, n, signInKind, every, func() *http.Request {
		r, _ := http.NewRequest("POST", s.at(tr.host, "/.gate/login"), strings.NewReader(form))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Accept", "text/html")
		return r
	})
}

// acknowledged are the tokens of all sign-ins that were answered so far.
func (tr *traffic) acknowledged() []string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return slices.Clone(tr.tokens)
}

// count is how often a kind was answered with a status.
func (tr *traffic) count(kind string, status int) (n int) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for m, count := range tr.answers {
		if m.kind == kind && m.status == status {
			n += count
		}
	}
	return n
}

// until waits until the load has gone on for so long.
func (tr *traffic) until(d time.Duration) {
	select {
	case <-time.After(time.Until(tr.began.Add(d))):
	case <-tr.t.Context().Done():
	}
}

// check fails the test where an answer came that may not.
func (tr *traffic) check() {
	tr.t.Helper()
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for _, o := range tr.odd[:min(len(tr.odd), 8)] {
		tr.t.Error(o)
	}
	if len(tr.odd) > 8 {
		tr.t.Errorf("and %d more such answers", len(tr.odd)-8)
	}
}

// table is what was answered, second by second.
func (tr *traffic) table() string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	type col struct {
		kind   string
		status int
	}
	cols, last := map[col]bool{}, 0
	for m := range tr.answers {
		cols[col{m.kind, m.status}] = true
		last = max(last, m.second)
	}
	order := slices.SortedFunc(maps.Keys(cols), func(a, b col) int {
		return cmp.Or(cmp.Compare(slices.Index(tr.kinds, a.kind), slices.Index(tr.kinds, b.kind)), cmp.Compare(a.status, b.status))
	})
	var out strings.Builder
	out.WriteString("second")
	for _, c := range order {
		fmt.Fprintf(&out, " | %s %d", c.kind, c.status)
	}
	for second := range last + 1 {
		fmt.Fprintf(&out, "\n%6d", second)
		for _, c := range order {
			fmt.Fprintf(&out, " | %*d", len(fmt.Sprintf("%s %d", c.kind, c.status)), tr.answers[moment{second, c.kind, c.status}])
		}
	}
	for _, kind := range tr.kinds {
		fmt.Fprintf(&out, "\nslowest %s: %s", kind, tr.slowest[kind].Round(time.Millisecond))
	}
	return out.String()
}

// total is how many requests of a kind were sent.
func (tr *traffic) total(kind string) (n int) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for m, count := range tr.answers {
		if m.kind == kind {
			n += count
		}
	}
	return n
}
