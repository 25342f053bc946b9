package dbserver

import (
	"errors"
	"sync"
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
