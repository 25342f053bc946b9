package dbserver

import (
	"context"
	"errors"
	"sync"
	"testing"
)

var shared struct {
	sync.Mutex
	all map[Kind]func() (*Server, error)
}

// Shared gives the one server of a kind that all tests of the process use. The
// first who asks starts it. Tests must neither stop it nor count on being alone,
// and TestMain must call CloseShared.
func Shared(kind Kind) (*Server, error) {
	shared.Lock()
	if shared.all == nil {
		shared.all = make(map[Kind]func() (*Server, error))
	}
	get := shared.all[kind]
	if get == nil {
		get = sync.OnceValues(func() (*Server, error) { return New(kind) })
		shared.all[kind] = get
	}
	shared.Unlock()
	return get()
}

// Fresh makes an empty database on the server of a kind that all tests share, and
// drops it when the test ends. It fails the test where it cannot.
func Fresh(t testing.TB, kind Kind) (s *Server, database string) {
	t.Helper()
	return fresh(t, kind, (*Server).NewDatabase)
}

// Copy is Fresh for a database like another one on that server: see CopyDatabase.
func Copy(t testing.TB, kind Kind, from string) (s *Server, database string) {
	t.Helper()
	return fresh(t, kind, func(s *Server, ctx context.Context) (string, error) { return s.CopyDatabase(ctx, from) })
}

func fresh(t testing.TB, kind Kind, makes func(*Server, context.Context) (string, error)) (s *Server, database string) {
	t.Helper()
	s, err := Shared(kind)
	if err != nil {
		t.Fatal(err)
	}
	name, err := makes(s, t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.DropDatabase(context.Background(), name); err != nil {
			t.Error(err)
		}
	})
	return s, name
}

// CloseShared closes the servers that Shared started.
func CloseShared() error {
	shared.Lock()
	defer shared.Unlock()
	var errs []error
	for _, get := range shared.all {
		if s, err := get(); err == nil {
			errs = append(errs, s.Close())
		}
	}
	shared.all = nil
	return errors.Join(errs...)
}
