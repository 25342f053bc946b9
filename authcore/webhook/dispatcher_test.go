package webhook

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// shelf is a store in memory.
type shelf struct {
	mu       sync.Mutex
	hooks    []authcore.Webhook
	waiting  []authcore.Delivery
	done     []authcore.Delivery
	holder   string
	disabled map[authcore.WebhookID]string
	away     bool
}

func (s *shelf) HasWebhooks(context.Context) (bool, error) { return true, nil }

func (s *shelf) FollowChain(context.Context, time.Time) (int, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away {
		return 0, false, authcore.ErrUnavailable
	}
	return 0, false, nil
}

func (s *shelf) ActiveWebhooks(context.Context) (all []authcore.Webhook, _ error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.hooks {
		if s.disabled[w.ID] == "" {
			all = append(all, w)
		}
	}
	return all, nil
}

func (s *shelf) WaitingDeliveries(context.Context) (map[authcore.WebhookID]authcore.Waiting, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[authcore.WebhookID]authcore.Waiting)
	for _, d := range s.waiting {
		w := all[d.Webhook]
		if w.Count++; w.Due.IsZero() || d.DueAt.Before(w.Due) {
			w.Due = d.DueAt
		}
		all[d.Webhook] = w
	}
	return all, nil
}

func (s *shelf) DeliveriesDue(_ context.Context, w authcore.WebhookID, now time.Time, limit int) (due []authcore.Delivery, _ error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.waiting {
		if d.Webhook == w && !d.DueAt.After(now) && len(due) < limit {
			due = append(due, d)
		}
	}
	return due, nil
}

func (s *shelf) FinishDeliveries(_ context.Context, all []authcore.Delivery, failing map[authcore.WebhookID]time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away {
		return authcore.ErrUnavailable
	}
	for _, d := range all {
		i := slices.IndexFunc(s.waiting, func(o authcore.Delivery) bool { return o.ID == d.ID && o.Tries == d.Tries-1 })
		if i < 0 {
			continue
		}
		if s.waiting[i] = d; d.Status != authcore.DeliveryWaiting {
			s.waiting = slices.Delete(s.waiting, i, i+1)
			s.done = append(s.done, d)
		}
	}
	for id, since := range failing {
		for i := range s.hooks {
			if s.hooks[i].ID == id {
				s.hooks[i].FailingSince = since
			}
		}
	}
	return nil
}

func (s *shelf) GiveUpDeliveries(_ context.Context, w authcore.WebhookID, why string) (n int, _ error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = slices.DeleteFunc(s.waiting, func(d authcore.Delivery) bool {
		if d.Webhook == w {
			n++
			d.Status, d.Failure = authcore.DeliveryLost, why
			s.done = append(s.done, d)
		}
		return d.Webhook == w
	})
	return n, nil
}

func (s *shelf) TakeLease(_ context.Context, _, holder string, _ time.Duration) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.holder == "" || s.holder == holder, nil
}

func (s *shelf) DropLease(context.Context, string, string) error { return nil }

func (s *shelf) disable(_ context.Context, id authcore.WebhookID, why string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.disabled[id] = why
	return nil
}

func (s *shelf) count(status authcore.DeliveryStatus, w authcore.WebhookID) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range slices.Concat(s.done, s.waiting) {
		if d.Status == status && (w == "" || d.Webhook == w) {
			n++
		}
	}
	return n
}

// office is a dispatcher with what it needs.
type office struct {
	*Dispatcher
	shelf  *shelf
	server *httptest.Server
	ahead  atomic.Int64 // how far the clock is ahead
	end    func()
}

func newOffice(t *testing.T, handle http.HandlerFunc) *office {
	t.Helper()
	o := &office{shelf: &shelf{disabled: make(map[authcore.WebhookID]string)}, server: httptest.NewServer(handle)}
	now := func() time.Time { return time.Now().Add(time.Duration(o.ahead.Load())) }
	sealer := authcore.NewSecretKey().NewSealer("webhook", now)
	o.Dispatcher = &Dispatcher{Store: o.shelf, Sealer: sealer, Client: NewClient(Rules{Allow: loopback}, now), Holder: "node", Now: now, Bell: new(Bell), Disable: o.shelf.disable,
		Trouble: func(error) {}, Tally: new(Tally)}
	t.Cleanup(o.server.Close)
	return o
}

func (o *office) run(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	var ended sync.WaitGroup
	ended.Go(func() { o.Run(ctx) })
	o.end = sync.OnceFunc(func() { cancel(); ended.Wait() })
	t.Cleanup(o.end)
}

// hook makes a webhook with so many events that wait.
func (o *office) hook(t *testing.T, id authcore.WebhookID, n int) {
	t.Helper()
	sealed, err := authcore.SealWebhookSecrets(o.Sealer, id, authcore.WebhookSecrets{Current: authcore.NewWebhookSecret()})
	if err != nil {
		t.Fatal(err)
	}
	o.shelf.mu.Lock()
	defer o.shelf.mu.Unlock()
	o.shelf.hooks = append(o.shelf.hooks, authcore.Webhook{ID: id, URL: o.server.URL + "/" + string(id), Status: authcore.WebhookActive, Sealed: sealed})
	for range n {
		e := authcore.NewEvent(o.Now(), authcore.CommandLine(), authcore.MemberSet, "target", authcore.Success, "details").In("acme")
		d := authcore.NewDelivery(id, e.ID, string(e.Action), o.Now())
		d.Event, d.Slug = &e, "acme"
		o.shelf.waiting = append(o.shelf.waiting, d)
	}
}

func until(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !f(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: waited too long", what)
		}
	}
}

func TestDispatcherIsToldByOneThatWorksBesideOneThatHangs(t *testing.T) {
	t.Parallel()
	stop := make(chan struct{})
	defer close(stop)
	var under, most atomic.Int64
	o := newOffice(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if r.URL.Path == "/hangs" {
			most.Store(max(most.Load(), under.Add(1)))
			defer under.Add(-1)
			select {
			case <-stop:
			case <-r.Context().Done():
			}
		}
	})
	o.hook(t, "hangs", 500)
	o.hook(t, "works", 500)
	began := time.Now()
	o.run(t)
	until(t, "delivered", func() bool { return o.shelf.count(authcore.DeliveryDone, "works") == 500 })
	if took := time.Since(began); took > answerTime {
		t.Errorf("it took %s", took)
	}
	if n := most.Load(); n > parallel {
		t.Errorf("%d requests at once", n)
	}
	o.end()
	if n := o.shelf.count(authcore.DeliveryWaiting, "hangs"); n != 500 {
		t.Errorf("%d of 500 still wait", n)
	}
}

func TestDispatcherTries(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	ids := make(map[string]int)
	var bodies []string
	var status atomic.Int64
	status.Store(500)
	o := newOffice(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		ids[r.Header.Get(HeaderID)]++
		bodies = append(bodies, string(body))
		mu.Unlock()
		w.WriteHeader(int(status.Load()))
	})
	o.hook(t, "a", 1)
	o.run(t)
	for tries := 1; tries <= len(backoff); tries++ {
		until(t, fmt.Sprint("try ", tries), func() bool {
			o.shelf.mu.Lock()
			defer o.shelf.mu.Unlock()
			return len(o.shelf.waiting) == 1 && o.shelf.waiting[0].Tries == tries
		})
		if tries == 5 {
			break
		}
		o.ahead.Add(int64(backoff[tries-1] + longestRest))
	}
	status.Store(204)
	o.ahead.Add(int64(backoff[4] + longestRest))
	until(t, "delivered", func() bool { return o.shelf.count(authcore.DeliveryDone, "a") == 1 })
	o.end()
	if len(ids) != 1 || len(bodies) != 6 || len(slices.Compact(bodies)) != 1 {
		t.Errorf("ids %v, bodies %q", ids, bodies)
	}
	var m struct {
		Type string
		Data map[string]any
	}
	if err := json.Unmarshal([]byte(bodies[0]), &m); err != nil || m.Type != "member.set" || fmt.Sprint(m.Data["organization"]) != "map[id:acme slug:acme]" || fmt.Sprint(m.Data["actor"]) != "map[kind:command]" {
		t.Errorf("%s: %v", bodies[0], err)
	}
	if !o.shelf.hooks[0].FailingSince.IsZero() {
		t.Error("it fails still")
	}
}

func TestDispatcherGivesUp(t *testing.T) {
	t.Parallel()
	o := newOffice(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/gone" {
			w.WriteHeader(http.StatusGone)
		} else {
			w.WriteHeader(http.StatusBadGateway)
		}
	})
	o.hook(t, "gone", 10)
	o.hook(t, "last", 1)
	o.hook(t, "old", 3)
	o.hook(t, "deleted", 1)
	for i := range o.shelf.waiting {
		d := &o.shelf.waiting[i]
		switch d.Webhook {
		case "last":
			d.Tries = len(backoff)
		case "deleted":
			d.Event = nil
		}
	}
	o.shelf.hooks[2].FailingSince = time.Now().Add(-disableAge - time.Hour)
	o.run(t)
	until(t, "all are given up", func() bool {
		return o.shelf.count(authcore.DeliveryLost, "") == 15 && o.shelf.count(authcore.DeliveryWaiting, "") == 0
	})
	o.end()
	if why := o.shelf.disabled["gone"]; !strings.Contains(why, "410") {
		t.Errorf("410: %q", why)
	}
	if why := o.shelf.disabled["old"]; !strings.Contains(why, "answered 502") {
		t.Errorf("for days: %q", why)
	}
	if len(o.shelf.disabled) != 2 {
		t.Errorf("disabled: %v", o.shelf.disabled)
	}
}

func TestDispatcherWithoutLeaseOrDatabase(t *testing.T) {
	t.Parallel()
	var hits atomic.Int64
	o := newOffice(t, func(http.ResponseWriter, *http.Request) { hits.Add(1) })
	o.hook(t, "a", 10)
	o.shelf.holder = "other"
	o.run(t)
	time.Sleep(100 * time.Millisecond)
	if hits.Load() > 0 {
		t.Error("another node delivers")
	}
	o.shelf.mu.Lock()
	o.shelf.holder, o.shelf.away = "", true
	o.shelf.mu.Unlock()
	o.Bell.Ring()
	time.Sleep(100 * time.Millisecond)
	o.shelf.mu.Lock()
	o.shelf.away = false
	o.shelf.mu.Unlock()
	until(t, "delivered", func() bool { return o.shelf.count(authcore.DeliveryDone, "a") == 10 })
	if hits.Load() != 10 {
		t.Errorf("%d requests", hits.Load())
	}
}
