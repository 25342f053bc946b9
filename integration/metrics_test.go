package integration

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// toll is a gate with limits that are soon reached, and metrics on a site too.
const toll = `{
	{{.Global}}
	gate {
		{{.Gate}}
		limits {
			address 3 1h
			account off
		}
	}
}
http://app.localhost:{{.HTTP}} {
	gate
	reverse_proxy {{.Upstream}}
}
http://metrics.localhost:{{.HTTP}} {
	metrics
}
`

// figures are the values of our metrics, by name with labels.
type figures map[string]float64

// figures asks for the metrics.
func (s *server) figures(t testing.TB, at string) figures {
	t.Helper()
	got := s.Client(t).fetch(at)
	if got.StatusCode != http.StatusOK {
		t.Fatalf("metrics: %s\n%s", got.Status, got.Body)
	}
	all := make(figures)
	for line := range strings.Lines(got.Body) {
		name, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		if !strings.HasPrefix(name, "gate_") {
			continue
		}
		n, err := strconv.ParseFloat(text, 64)
		if _, twice := all[name]; err != nil || twice {
			t.Fatalf("metrics: %q, error %v, twice: %v", line, err, twice)
		}
		all[name] = n
	}
	return all
}

func (s *server) adminMetrics() string {
	return fmt.Sprintf("http://127.0.0.1:%d/metrics", s.Vars["Admin"])
}

// ledger is what the metrics at a server's admin endpoint have to be.
type ledger struct {
	*server
	t    *testing.T
	want figures
}

// The metrics that the ledger knows to the last digit.
var booked = []string{success, failure, limited, byAddress, byAccount, hashes, unknown, "gate_hashing_permits", "gate_hashing_permits_in_use",
	"gate_hashing_refused_total", "gate_audit_dropped_total", "gate_audit_spill_bytes", `gate_database_errors_total{kind="refused"}`}

const (
	success   = `gate_sign_ins_total{outcome="success"}`
	failure   = `gate_sign_ins_total{outcome="failure"}`
	limited   = `gate_sign_ins_total{outcome="limited"}`
	byAddress = `gate_limit_refused_total{limit="address"}`
	byAccount = `gate_limit_refused_total{limit="account"}`
	hashes    = "gate_hashing_duration_seconds_count"
	hits      = `gate_session_lookups_total{result="hit"}`
	misses    = `gate_session_lookups_total{result="miss"}`
	unknown   = `gate_session_lookups_total{result="unknown"}`
	accepted  = "gate_audit_accepted_total"
	written   = "gate_audit_written_total"
)

// opened begins a ledger with what the metrics are.
func (s *server) opened(t *testing.T) *ledger {
	t.Helper()
	l := &ledger{s, t, make(figures)}
	now := s.figures(t, s.adminMetrics())
	for _, name := range booked {
		n, there := now[name]
		if !there {
			t.Fatalf("there is no %s", name)
		}
		l.want[name] = n
	}
	return l
}

// counted waits until the metrics are what they were, and so much more.
func (l *ledger) counted(when string, more figures) {
	l.t.Helper()
	for name, n := range more {
		l.want[name] += n
	}
	var wrong []string
	if err := await(func() bool {
		got := l.figures(l.t, l.adminMetrics())
		wrong = nil
		for name, n := range l.want {
			if is, there := got[name]; !there || is != n {
				wrong = append(wrong, fmt.Sprintf("%s is %v, want %v", name, is, n))
			}
		}
		return len(wrong) == 0
	}); err != nil {
		l.t.Fatalf("%s:\n%s", when, strings.Join(wrong, "\n"))
	}
}

// guess tries a wrong password.
func (l *ledger) guess(status int) {
	l.t.Helper()
	if got := l.Client(l.t).login(l.at("app.localhost", ""), person{Username: "alice", Password: "wrong"}); got.StatusCode != status {
		l.t.Fatalf("a wrong password: %s, want %d", got.Status, status)
	}
}

// round is a sign-in, one that fails, and a token that nobody has.
func (l *ledger) round(when string) {
	l.t.Helper()
	l.Client(l.t).signIn(l.at("app.localhost", ""), alice)
	l.guess(http.StatusUnauthorized)
	l.asks(l.t, "app.localhost", "/page", strings.Repeat("A", 43))
	l.counted(when, figures{success: 1, failure: 1, hashes: 2, unknown: 1})
}

// Metrics move with what happens, and go on after a reload, which gives Caddy a
// registry of its own.
func TestMetrics(t *testing.T) {
	t.Parallel()
	s := start(t, toll)
	owner := s.createOwner(t, alice)
	l := s.opened(t)
	l.round("a sign-in and one that failed")
	l.readPages(owner)
	before := s.figures(t, s.adminMetrics())
	for i := range 3 {
		if err := s.Reload(t, strings.Replace(toll, "\tgate\n", fmt.Sprintf("\theader X-Round %d\n\tgate\n", i), 1)); err != nil {
			t.Fatal(err)
		}
		s.settle(t)
	}
	l.counted("after reloads", nil)
	if got := s.figures(t, s.adminMetrics()); got[hits] < before[hits] || got[accepted] < before[accepted] {
		t.Errorf("after reloads: %v\nbefore: %v", got, before)
	}
	l.round("a sign-in and one that failed, after reloads")

	l.guess(http.StatusUnauthorized)
	l.guess(http.StatusTooManyRequests)
	l.counted("at the limit", figures{failure: 1, limited: 1, byAddress: 1, hashes: 1})
	eventually(t, "all audit events in the database", func() bool {
		got := s.figures(t, s.at("metrics.localhost", "/"))
		return got[accepted] > 0 && got[accepted] == got[written]
	})
}

// readPages has somebody who is signed in read a few pages.
func (l *ledger) readPages(b *browser) {
	l.t.Helper()
	const pages = 5
	before := l.figures(l.t, l.adminMetrics())
	for range pages {
		if got := b.fetch(l.at("app.localhost", "/page")); got.StatusCode != http.StatusOK {
			l.t.Fatal(got.Status)
		}
	}
	now := l.figures(l.t, l.adminMetrics())
	if more := now[hits] + now[misses] - before[hits] - before[misses]; more != pages || now[hits] < pages-1 {
		l.t.Errorf("%d pages are %v look-ups", pages, more)
	}
	if now["gate_session_cache_sessions"] < 1 || now["gate_session_cache_users"] != 1 || now["gate_activity_coalesced_total"] < pages ||
		now["gate_database_silence_limit_seconds"] != 10 || now["gate_database_silence_seconds"] > 10 {
		l.t.Errorf("after %d pages: %v", pages, now)
	}
}
