package oidcop

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// noticeBoard keeps logout notices in memory.
type noticeBoard struct {
	authcore.Store
	mu      sync.Mutex
	notices []authcore.LogoutNotice
	later   []bool // whether others were put off, for each that was
	done    chan authcore.ServiceID
}

func (b *noticeBoard) LogoutNotices(context.Context, time.Time, int, int) ([]authcore.LogoutNotice, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.notices), nil
}

func (b *noticeBoard) remove(id string) {
	b.notices = slices.DeleteFunc(b.notices, func(n authcore.LogoutNotice) bool { return n.ID == id })
}

func (b *noticeBoard) LogoutNoticeDone(_ context.Context, id string, _ *authcore.Event) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.IndexFunc(b.notices, func(n authcore.LogoutNotice) bool { return n.ID == id })
	of := b.notices[i].Service.ID
	b.remove(id)
	b.done <- of
	return nil
}

func (b *noticeBoard) LogoutNoticeLater(_ context.Context, n authcore.LogoutNotice, _ time.Time, others bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.remove(n.ID)
	b.later = append(b.later, others)
	return nil
}

func (b *noticeBoard) add(id string, s authcore.Service) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.notices = append(b.notices, authcore.LogoutNotice{ID: id, Service: s})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A service that does not answer keeps nobody else waiting, and is told of nothing twice at a
// time. What cannot be reached puts off all that it is to be told, a refusal does not.
func TestNotifierWaitsForNobody(t *testing.T) {
	t.Parallel()
	x := benchProvider(t)
	board := &noticeBoard{Store: x.Accounts.Store, done: make(chan authcore.ServiceID, 8)}
	x.Accounts.Store = board
	service := func(id authcore.ServiceID) authcore.Service {
		s := x.shop.Service
		s.ID, s.LogoutURI = id, "https://"+string(id)+".example.com/out"
		return s
	}
	asked, answer := make(chan string, 8), make(chan error)
	n := &Notifier{Provider: x.Provider, Client: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		asked <- r.URL.Host
		status := map[string]int{"calm.example.com": http.StatusOK, "rude.example.com": http.StatusBadRequest}[r.URL.Host]
		if status == 0 {
			if err := <-answer; err != nil {
				return nil, err
			}
			status = http.StatusOK
		}
		return &http.Response{StatusCode: status, Body: http.NoBody, Request: r}, nil
	})}}
	tell := func() {
		t.Helper()
		if err := n.tell(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	board.add("1", service("mute"))
	tell()
	if got := <-asked; got != "mute.example.com" {
		t.Fatal(got)
	}
	for range 3 {
		board.add("2", service("calm"))
		tell()
		if got := <-asked; got != "calm.example.com" {
			t.Fatalf("beside one that does not answer: %s", got)
		}
		if got := <-board.done; got != "calm" {
			t.Fatal(got)
		}
		n.idle(t, "calm")
	}
	answer <- nil
	if got := <-board.done; got != "mute" {
		t.Fatal(got)
	}
	n.idle(t, "mute")
	board.add("3", service("mute"))
	board.add("4", service("rude"))
	tell()
	n.idle(t, "rude")
	answer <- errors.New("no route")
	n.idle(t, "mute")
	if !slices.Equal(board.later, []bool{false, true}) {
		t.Errorf("others put off: %v", board.later)
	}
}

// idle waits until a service is not being told any more.
func (n *Notifier) idle(t *testing.T, s authcore.ServiceID) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		n.mu.Lock()
		busy := n.busy[s]
		n.mu.Unlock()
		if !busy {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s is still being told", s)
		}
	}
}
