package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// Syslog gives events to a syslog server, one message each (RFC 5424) with the event as
// JSON: in datagrams (RFC 5426), or with octet counting over TCP (RFC 6587) or TLS
// (RFC 5425). Over UDP nobody knows what arrives.
type Syslog struct {
	Network string      // udp, tcp or tls
	Address string      // host:port
	Host    string      // this machine's name
	TLS     *tls.Config // nil for the default
	Now     func() time.Time

	conn net.Conn
}

var _ Collector = (*Syslog)(nil)

const (
	// facility is "security/authorization messages" that are private: authpriv.
	facility = 10
	// The severities of RFC 5424, 6.2.1.
	notice, warning = 5, 4
	syslogTime      = 10 * time.Second
	// longest is what a datagram carries (RFC 5426, 3.2).
	longest = 8192
	// deadPause is how long a server is listened to before something is sent: one that has
	// closed the connection says so by then.
	deadPause = time.Millisecond
)

// Collect implements Collector.
func (s *Syslog) Collect(ctx context.Context, _ string, events []CollectedEvent) error {
	if err := s.connect(ctx); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = s.conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	err := s.send(events)
	if err == nil && s.Network != "udp" {
		err = s.alive() // what was written to a connection that is closed has not arrived
	}
	if err != nil {
		s.Close()
	}
	return err
}

func (s *Syslog) send(events []CollectedEvent) error {
	var text bytes.Buffer
	for i := range events {
		line := Message(&events[i], s.Host)
		if s.Network == "udp" {
			if err := s.write(line[:min(len(line), longest)]); err != nil {
				return err
			}
			continue
		}
		text.WriteString(strconv.Itoa(len(line)) + " ")
		text.Write(line)
	}
	if text.Len() == 0 {
		return nil
	}
	return s.write(text.Bytes())
}

func (s *Syslog) write(raw []byte) error {
	if err := s.conn.SetWriteDeadline(s.Now().Add(syslogTime)); err != nil {
		return err
	}
	_, err := s.conn.Write(raw)
	return err
}

// connect connects, unless it is and the server has not closed the connection.
func (s *Syslog) connect(ctx context.Context) (err error) {
	if s.conn != nil {
		if s.Network == "udp" || s.alive() == nil {
			return nil
		}
		s.Close()
	}
	ctx, cancel := context.WithTimeout(ctx, syslogTime)
	defer cancel()
	if s.Network == "tls" {
		s.conn, err = (&tls.Dialer{Config: s.TLS}).DialContext(ctx, "tcp", s.Address)
	} else {
		s.conn, err = (&net.Dialer{}).DialContext(ctx, s.Network, s.Address)
	}
	if err != nil {
		s.conn = nil
	}
	return err
}

// alive reads from a server that never says anything.
func (s *Syslog) alive() error {
	if err := s.conn.SetReadDeadline(s.Now().Add(deadPause)); err != nil {
		return err
	}
	_, err := s.conn.Read(make([]byte, 512))
	var late net.Error
	if err == nil || errors.As(err, &late) && late.Timeout() {
		return nil
	}
	return fmt.Errorf("the syslog server closed the connection: %w", err)
}

// Close implements Collector.
func (s *Syslog) Close() {
	if s.conn != nil {
		_ = s.conn.Close()
		s.conn = nil
	}
}

// bom begins a message in UTF-8 (RFC 5424, 6.4).
const bom = "\ufeff"

// Message is an event as a message of RFC 5424: the header, the event's id and type as
// structured data, and the event as JSON.
func Message(e *CollectedEvent, host string) []byte {
	severity := notice
	if e.Outcome != authcore.Success {
		severity = warning
	}
	return fmt.Appendf(nil, "<%d>1 %s %s gatehouse - %s [origin software=\"gatehouse\"] "+bom+"%s", facility*8+severity,
		e.Time.UTC().Format("2006-01-02T15:04:05.000000Z"), word(host, 255), word(string(e.Action), 32), e.JSON)
}

// word is a field of the header: printable ASCII without spaces, "-" where it is empty.
func word(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return -1
		}
		return r
	}, s)
	if s = s[:min(len(s), most)]; s == "" {
		return "-"
	}
	return s
}
