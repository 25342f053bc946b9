package integration

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// W4: receivers that redirect, hang, send a gigabyte, and are gone.
func TestW4_ReceiversThatMisbehave(t *testing.T) {
	t.Parallel()
	var inside, sent atomic.Int64
	stop := make(chan struct{})
	in := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/302":
			http.Redirect(w, r, "/inside", http.StatusFound)
		case "/307":
			http.Redirect(w, r, "http://169.254.169.254/latest/meta-data", http.StatusTemporaryRedirect)
		case "/410":
			w.WriteHeader(http.StatusGone)
		case "/hang":
			<-stop
		case "/large":
			for range 1 << 10 {
				n, err := io.WriteString(w, strings.Repeat("x", 1<<20))
				if sent.Add(int64(n)); err != nil {
					return
				}
			}
		case "/inside":
			inside.Add(1)
		}
	}))
	defer in.Close()
	defer close(stop)
	s := startHooked(t, newCluster(t, "sqlite", false), "")
	s.createOwner(t, alice)
	ids := make(map[string]string)
	for _, path := range []string{"/302", "/307", "/410", "/hang", "/large", "/fine"} {
		ids[path] = hookMade.FindStringSubmatch(s.must(t, "", "webhook", "add", in.URL+path, "--events", "user.create"))[1]
	}
	s.addUser(t, someone("bob"))
	for path, want := range map[string]string{"/302": `waiting 302 answered 302: redirects are not followed`, "/307": `waiting 307 answered 307: redirects are not followed`,
		"/410": `lost 410 answered 410`, "/hang": `waiting 0 no answer within 15s`, "/large": `delivered 200 `, "/fine": `delivered 200 `} {
		eventually(t, path, func() bool {
			log := s.deliveries(t, ids[path])
			if len(log) != 1 || log[0].Tries == 0 {
				return false
			}
			if got := fmt.Sprint(log[0].Status, " ", log[0].Code, " ", log[0].Failure); got != want {
				t.Errorf("%s: %q, want %q", path, got, want)
			}
			return true
		})
	}
	if n := inside.Load(); n > 0 {
		t.Errorf("%d redirects were followed", n)
	}
	if n := sent.Load(); n > 100<<20 {
		t.Errorf("%d bytes were sent", n)
	}
	eventually(t, "the one that is gone is off", func() bool {
		return regexp.MustCompile(ids["/410"] + `.* failed .*410`).MatchString(s.must(t, "", "webhook", "list"))
	})
}

// Reloads and a stop in the middle of deliveries: each event comes.
func TestWebhooksOverReloads(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	came := make(map[string]int)
	in := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(20 * time.Millisecond)
		mu.Lock()
		defer mu.Unlock()
		came[r.Header.Get("webhook-id")]++
	}))
	defer in.Close()
	s := startHooked(t, newCluster(t, "sqlite", false), "")
	s.createOwner(t, alice)
	s.must(t, "", "webhook", "add", in.URL, "--events", "user.login")
	for round := range 3 {
		l := newLoad(t, s)
		l.knockers(2, http.StatusSeeOther, alice, time.Millisecond)
		l.many(100)
		if round < 2 {
			must(t, s.Reload(t, strings.Replace(hooked, "{{.More}}", fmt.Sprintf("session {\n\t\t\tidle %dh\n\t\t}", round+1), 1)))
			l.quiet()
		} else {
			s.Stop(t)
			l.quiet()
			must(t, s.run())
		}
	}
	db := s.database(t)
	eventually(t, "all are delivered", func() bool {
		return s.countIn(db, "SELECT count(*) FROM deliveries WHERE status <> 'delivered'") == 0 &&
			s.countIn(db, "SELECT count(*) FROM deliveries") == s.countIn(db, "SELECT count(*) FROM events WHERE action = 'user.login' AND occurred_at >= (SELECT created_at FROM webhooks)")
	})
	all := s.countIn(db, "SELECT count(*) FROM deliveries")
	mu.Lock()
	defer mu.Unlock()
	twice := 0
	for _, n := range came {
		twice += n - 1
	}
	if len(came) != all || all < 300 {
		t.Errorf("%d events, %d came", all, len(came))
	}
	t.Logf("%d events, %d came twice", all, twice)
}
