package webhook

import "sync"

// Bell wakes whoever waits for something to do. The zero value works.
type Bell struct {
	mu      sync.Mutex
	waiting map[chan struct{}]bool
}

// Listen gives a channel that has something to receive after each Ring, once for several,
// until stop is called.
func (b *Bell) Listen() (rings <-chan struct{}, stop func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.waiting == nil {
		b.waiting = make(map[chan struct{}]bool)
	}
	ch := make(chan struct{}, 1)
	b.waiting[ch] = true
	return ch, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.waiting, ch)
	}
}

// Ring wakes all.
func (b *Bell) Ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for ch := range b.waiting {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}
