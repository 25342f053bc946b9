package integration

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// S9: connections that last end when their session does.
func TestS9_LastingConnectionsEnd(t *testing.T) {
	t.Parallel()
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			c, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			defer c.Close()
			fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello %s\n", r.Header.Get("Remote-User"))
			_, _ = io.Copy(c, c)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprintf(w, "data: hello %s\n\n", r.Header.Get("Remote-User"))
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	defer app.Close()
	s := start(t, `{
	{{.Global}}
	gate {
		{{.Gate}}
		policy staff {
			allow group:staff
		}
	}
}
https://app.example.com:{{.HTTPS}} {
	gate staff
	reverse_proxy {{.App}}
}
`, func(s *server) { s.Vars["App"] = strings.TrimPrefix(app.URL, "http://") })
	people(t, s)
	at := s.URL("HTTPS", "app.example.com")
	open := func(cookie string, headers string) (*bufio.Reader, net.Conn) {
		t.Helper()
		c, err := tls.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", s.Vars["HTTPS"]), &tls.Config{ServerName: "app.example.com", InsecureSkipVerify: true})
		must(t, err)
		_ = c.SetDeadline(time.Now().Add(patience))
		fmt.Fprintf(c, "GET /live HTTP/1.1\r\nHost: app.example.com:%v\r\nCookie: __Host-gate=%s\r\n%s\r\n", s.Vars["HTTPS"], cookie, headers)
		in := bufio.NewReader(c)
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				t.Fatalf("no greeting: %v", err)
			}
			if strings.Contains(line, "hello carol") {
				return in, c
			}
		}
	}
	for _, kind := range []struct{ name, headers string }{
		{"WebSocket", "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"},
		{"events", "Accept: text/event-stream\r\n"},
	} {
		for _, end := range []struct {
			name string
			args []string
			back []string
		}{
			{"session revoked", []string{"session", "revoke", "--user", "carol"}, nil},
			{"group taken", []string{"user", "group", "carol", "--remove", "staff"}, []string{"user", "group", "carol", "--add", "staff"}},
			{"user disabled", []string{"user", "disable", "carol"}, []string{"user", "enable", "carol"}},
		} {
			b := s.Client(t)
			b.signIn(at, carol)
			in, c := open(b.cookie(at, "__Host-gate"), kind.headers)
			s.must(t, "", end.args...)
			since := time.Now()
			if _, err := io.Copy(io.Discard, in); err != nil && strings.Contains(err.Error(), "timeout") {
				t.Errorf("%s, %s: the connection lasts", kind.name, end.name)
			}
			t.Logf("%s, %s: ended after %v", kind.name, end.name, time.Since(since).Round(time.Millisecond))
			c.Close()
			if end.back != nil {
				s.must(t, "", end.back...)
			}
		}
	}
}
