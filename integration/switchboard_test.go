package integration

import (
	"net"
	"sync"
	"testing"
)

// switchboard passes connections on to a database, and can leave them hanging, as a
// machine does that lost its network: nobody says that they are dead.
type switchboard struct {
	net.Listener
	to string

	mu    sync.Mutex
	quiet bool
	lines map[*line]bool
}

// line is one connection. What is said on a dead one is not heard.
type line struct {
	dead         chan struct{}
	client, host net.Conn
}

func newSwitchboard(t testing.TB, to string) *switchboard {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	b := &switchboard{Listener: l, to: to, lines: make(map[*line]bool)}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { b.serve(client) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		b.mu.Lock()
		for each := range b.lines {
			each.client.Close()
			if each.host != nil {
				each.host.Close()
			}
		}
		b.mu.Unlock()
		wg.Wait()
	})
	return b
}

// hang leaves all connections that there are, and those that come until connect,
// without an answer for good.
func (b *switchboard) hang() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.quiet = true
	for each := range b.lines {
		each.kill()
	}
}

// connect serves those that come from now on.
func (b *switchboard) connect() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.quiet = false
}

func (l *line) kill() {
	select {
	case <-l.dead:
	default:
		close(l.dead)
		if l.host != nil {
			l.host.Close() // the database, too, has forgotten it
		}
	}
}

func (b *switchboard) serve(client net.Conn) {
	each := &line{dead: make(chan struct{}), client: client}
	if host, err := net.Dial("tcp", b.to); err == nil {
		each.host = host
	}
	b.mu.Lock()
	b.lines[each] = true
	if b.quiet || each.host == nil {
		each.kill()
	}
	b.mu.Unlock()
	var wg sync.WaitGroup
	wg.Go(func() { each.copy(client, each.host) })
	wg.Go(func() { each.copy(each.host, client) })
	wg.Wait()
	client.Close()
	b.mu.Lock()
	delete(b.lines, each)
	b.mu.Unlock()
}

// copy passes on what is said until the line is dead; from then on the client talks
// to nobody until it hangs up.
func (l *line) copy(to, from net.Conn) {
	if from == nil {
		return
	}
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		select {
		case <-l.dead:
			if from == l.client && err == nil {
				continue
			}
			return
		default:
		}
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			to.Close()
			return
		}
	}
}
