package integration

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
)

// syslogServer takes messages with octet counting (RFC 6587).
type syslogServer struct {
	address string

	mu    sync.Mutex
	lines []string
	conns []net.Conn
}

func listenSyslog(t *testing.T) *syslogServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { l.Close() })
	s := &syslogServer{address: l.Addr().String()}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns = append(s.conns, conn)
			s.mu.Unlock()
			go s.read(conn)
		}
	}()
	return s
}

func (s *syslogServer) read(conn net.Conn) {
	r := bufio.NewReader(conn)
	for {
		n := 0
		if _, err := fmt.Fscanf(r, "%d ", &n); err != nil {
			return
		}
		line := make([]byte, n)
		if _, err := io.ReadFull(r, line); err != nil {
			return
		}
		s.mu.Lock()
		s.lines = append(s.lines, string(line))
		s.mu.Unlock()
	}
}

// cut closes all connections.
func (s *syslogServer) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, conn := range s.conns {
		_ = conn.Close()
	}
	s.conns = nil
}

func (s *syslogServer) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.lines, "\n")
}

func (s *syslogServer) first() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.lines) == 0 {
		return ""
	}
	return s.lines[0]
}
