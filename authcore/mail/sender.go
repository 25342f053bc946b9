package mail

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// The ways to encrypt the connection to the server.
const (
	StartTLS    = "starttls" // encrypted before anything is said, or not at all (RFC 3207)
	ImplicitTLS = "on"       // encrypted from the first byte (RFC 8314)
	PlainText   = "off"      // for a server on this machine
)

// Settings say where messages go, and whom they are from.
type Settings struct {
	Host     string
	Port     int
	User     string // empty: the server wants none
	Password authcore.Secret
	TLS      string
	CA       *x509.CertPool // to verify the server with; nil for the system's
	From     mail.Address
}

// Message is one that is ready to be sent.
type Message struct {
	ID         string // makes the Message-ID
	At         time.Time
	To         string
	Subject    string
	Text, HTML string
}

// Sender hands messages over to an SMTP server.
type Sender struct{ Settings }

const (
	// answerTime bounds how long each answer of the server is waited for.
	answerTime = 20 * time.Second
	// sendTime bounds one message.
	sendTime = 30 * time.Second
)

// Send hands a message over, and gives what the server said to that. An error that is
// Refused will not go away.
func (s *Sender) Send(ctx context.Context, m Message) (answer string, err error) {
	ctx, cancel := context.WithTimeout(ctx, sendTime)
	defer cancel()
	msg, err := s.compose(m)
	if err != nil {
		return "", refusedError{err}
	}
	client, err := s.client(ctx)
	if err != nil {
		return "", err
	}
	if err := client.DialWithContext(ctx); err != nil {
		if s.TLS == StartTLS && strings.Contains(err.Error(), "does not support STARTTLS") {
			err = fmt.Errorf("the server does not offer STARTTLS, so that nothing was sent: write \"tls on\" where it speaks TLS from the first byte, or \"tls off\" for a server on this machine: %w", err)
		}
		return "", unreachableError{err}
	}
	err = client.Send(msg)
	if msg.IsDelivered() { // what the server says to the end of the conversation does not matter any more
		_ = client.Close()
		return strings.TrimSpace(msg.ServerResponse()), nil
	}
	_ = client.Close()
	var failed *gomail.SendError
	if errors.As(err, &failed) && failed.ErrorCode() >= 500 && (failed.Reason == gomail.ErrSMTPRcptTo || failed.Reason == gomail.ErrSMTPDataClose) {
		return "", refusedError{err}
	}
	return "", err
}

// client makes a client for one message.
func (s *Sender) client(ctx context.Context) (*gomail.Client, error) {
	options := []gomail.Option{gomail.WithPort(s.Port), gomail.WithTimeout(answerTime), gomail.WithoutNoop(),
		gomail.WithTLSConfig(&tls.Config{ServerName: s.Host, MinVersion: tls.VersionTLS12, RootCAs: s.CA})}
	auth := gomail.SMTPAuthAutoDiscover
	dial := (&net.Dialer{}).DialContext
	switch s.TLS {
	case ImplicitTLS:
		dial = (&tls.Dialer{Config: &tls.Config{ServerName: s.Host, MinVersion: tls.VersionTLS12, RootCAs: s.CA}}).DialContext
		options = append(options, gomail.WithSSL())
	case PlainText:
		auth = gomail.SMTPAuthPlainNoEnc
		options = append(options, gomail.WithTLSPolicy(gomail.NoTLS))
	default:
		options = append(options, gomail.WithTLSPolicy(gomail.TLSMandatory))
	}
	if s.User != "" {
		options = append(options, gomail.WithSMTPAuth(auth), gomail.WithUsername(s.User), gomail.WithPassword(s.Password.Reveal()))
	}
	// The library knows of the context while it connects; who ends it ends all.
	options = append(options, gomail.WithDialContextFunc(func(dialCtx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(dialCtx, network, address)
		if err == nil {
			context.AfterFunc(ctx, func() { conn.Close() })
		}
		return conn, err
	}))
	return gomail.NewClient(s.Host, options...)
}

// compose makes the message as it travels: nothing that anybody typed is in a header
// but the address, which has been parsed.
func (s *Sender) compose(m Message) (*gomail.Msg, error) {
	to, err := mail.ParseAddress(m.To)
	if err != nil || strings.ContainsAny(m.To, "\r\n") {
		return nil, errors.New("the address is none")
	}
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	msg.FromMailAddress(&s.From)
	msg.ToMailAddress(&mail.Address{Address: to.Address})
	msg.Subject(strings.Join(strings.Fields(m.Subject), " "))
	msg.SetDateWithValue(m.At)
	_, domain, _ := strings.Cut(s.From.Address, "@")
	msg.SetMessageIDWithValue(m.ID + "@" + domain)
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: no answer from a machine
	msg.SetBodyString(gomail.TypeTextPlain, m.Text)
	msg.AddAlternativeString(gomail.TypeTextHTML, m.HTML)
	return msg, nil
}

// refusedError is the server's last word on a message.
type refusedError struct{ error }

func (e refusedError) Unwrap() error { return e.error }

// unreachableError is of the server, not of a message.
type unreachableError struct{ error }

func (e unreachableError) Unwrap() error { return e.error }

// Refused tells whether an error is about a message that the server will not take
// later either.
func Refused(err error) bool {
	var e refusedError
	return errors.As(err, &e)
}

func unreachable(err error) bool {
	var e unreachableError
	return errors.As(err, &e)
}
