package caddymodule

import (
	"context"
	"crypto/x509"
	"fmt"
	"net"
	netmail "net/mail"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/mail"
)

// MailSettings say how mail is sent.
type MailSettings struct {
	// Host and port of the SMTP server.
	SMTP string `json:"smtp,omitempty"`
	// Name and password to sign in there with.
	User     string `json:"user,omitempty"`
	Password string `json:"password,omitempty"`
	// starttls (default), on, or off for a server on this machine.
	TLS string `json:"tls,omitempty"`
	// Whom messages are from, e.g. "Example <auth@example.com>".
	From string `json:"from,omitempty"`
	// Whether people sign in by mail: on (default) or off.
	SignIn string `json:"sign_in,omitempty"`
	// File of the certificates to verify the server with. Default: the system's.
	TLSCA string `json:"tls_ca,omitempty"`
	// Folder with templates in place of those that come along.
	Templates string `json:"templates,omitempty"`
}

// mailWords may stand in the block of mail.
var mailWords = words{
	"smtp":      one(func(s *Settings) *string { return &s.Mail.SMTP }),
	"user":      one(func(s *Settings) *string { return &s.Mail.User }),
	"password":  one(func(s *Settings) *string { return &s.Mail.Password }),
	"tls":       one(func(s *Settings) *string { return &s.Mail.TLS }),
	"tls_ca":    one(func(s *Settings) *string { return &s.Mail.TLSCA }),
	"from":      one(func(s *Settings) *string { return &s.Mail.From }),
	"sign_in":   one(func(s *Settings) *string { return &s.Mail.SignIn }),
	"templates": one(func(s *Settings) *string { return &s.Mail.Templates }),
}

// parseMail reads the block, which is whole only at its end.
func parseMail(d *caddyfile.Dispenser, s *Settings) error {
	part := Settings{Mail: new(MailSettings)}
	if err := block(mailWords)(d, &part); err != nil {
		return err
	}
	if err := part.Mail.whole(); err != nil {
		return d.WrapErr(err)
	}
	s.Mail = part.Mail
	return nil
}

// whole finds what is missing.
func (m *MailSettings) whole() error {
	switch {
	case m.SMTP == "":
		return fmt.Errorf("mail needs a server, as in: smtp mail.example.com:587")
	case m.From == "":
		return fmt.Errorf("mail needs an address to send from, as in: from \"Example <auth@example.com>\"")
	case m.User == "" && m.Password != "":
		return fmt.Errorf("mail: there is a password, but no user")
	case m.User != "" && m.Password == "":
		return fmt.Errorf("mail: there is a user, but no password")
	}
	return nil
}

// mailValues are MailSettings expanded and checked.
type mailValues struct {
	mail.Settings
	templates string
	ca        string // file; read when the gate starts
	noSignIn  bool
}

// mail reads the settings, as far as they are there; nil where no mail is sent.
func (r *resolver) mail(m *MailSettings) *mailValues {
	if m == nil {
		return nil
	}
	v := &mailValues{templates: r.text("mail templates", m.Templates), ca: r.text("mail tls_ca", m.TLSCA), noSignIn: r.isOff("mail sign_in", m.SignIn)}
	v.User, v.Password = r.text("mail user", m.User), authcore.Secret(r.text("mail password", m.Password))
	if at := r.text("mail smtp", m.SMTP); at != "" {
		host, port, err := net.SplitHostPort(at)
		n, err2 := strconv.ParseUint(port, 10, 16)
		if err != nil || err2 != nil || host == "" || n == 0 || strings.ContainsAny(host, " /@") {
			r.fail("mail smtp is a host and a port, such as mail.example.com:587, not %q", at)
		}
		v.Host, v.Port = host, int(n)
	}
	if from := r.text("mail from", m.From); from != "" {
		a, err := netmail.ParseAddress(from)
		if err != nil || strings.ContainsAny(from, "\r\n\x00") || !strings.Contains(a.Address, "@") {
			r.fail("mail from is an address, with a name or without, such as \"Example <auth@example.com>\", not %q", from)
		} else {
			v.From = *a
		}
	}
	switch v.TLS = r.text("mail tls", m.TLS); v.TLS {
	case "":
		v.TLS = mail.StartTLS
	case mail.StartTLS, mail.ImplicitTLS:
	case mail.PlainText:
		if v.Host != "" && !loopback(v.Host) {
			r.fail("mail: with \"tls off\" anybody on the way to %s could read the links in messages, and the password; only a server on this machine can do without", v.Host)
		}
	default:
		r.fail("mail tls is starttls, on or off, not %q", v.TLS)
	}
	if r.expand != nil && r.err == nil {
		if err := m.whole(); err != nil {
			r.fail("%w", err)
		}
	}
	if r.expand != nil && v.ca != "" {
		text, err := os.ReadFile(v.ca)
		if v.CA = x509.NewCertPool(); err != nil {
			r.fail("mail tls_ca: %w", err)
		} else if !v.CA.AppendCertsFromPEM(text) {
			r.fail("mail tls_ca: there is no certificate in %s", v.ca)
		}
	}
	return v
}

// String says where messages go, without what is secret.
func (v *mailValues) String() string {
	how := map[string]string{mail.StartTLS: "STARTTLS", mail.ImplicitTLS: "TLS", mail.PlainText: "not encrypted, on this machine"}[v.TLS]
	return fmt.Sprintf("%s (%s), from %s", net.JoinHostPort(v.Host, strconv.Itoa(v.Port)), how, v.From.Address)
}

// mailSealer seals what messages say while they wait.
func (c *core) mailSealer() *authcore.Sealer { return c.key.NewSealer("mail", time.Now) }

// mailTally counts messages since the start.
type mailTally struct{ sent, failed, lost atomic.Uint64 }

// told counts each try to send a message, and tells of it.
func (t *mailTally) told(tell func(error)) func(error) {
	return func(err error) {
		if err == nil {
			t.sent.Add(1)
		} else {
			t.failed.Add(1)
		}
		tell(err)
	}
}

// posting sends mail while one configuration runs.
type posting struct {
	cancel context.CancelFunc
	ended  sync.WaitGroup
}

// start sends what waits, where the configuration says how. Of a configuration and the
// one that takes its place both may run for a moment: a message is sent by whoever
// claims it.
func (p *posting) start(rt *instance) {
	v := rt.app.values.mail
	if v == nil {
		return
	}
	outbox := &mail.Outbox{Store: rt.core.db, Sealer: rt.core.mailSealer(), Sender: &mail.Sender{Settings: v.Settings}, Templates: rt.app.templates,
		Brand: brand, Node: rt.core.node, Now: time.Now,
		Trouble: rt.core.mails.told(rt.core.complaint("mail waits: it cannot be sent").report),
		Lost: func(m authcore.Mail, why string) {
			rt.core.mails.lost.Add(1)
			rt.core.log().Error("mail was given up", zap.String("mail", string(m.ID)), zap.String("user", string(m.User)), zap.String("why", why))
		}}
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	p.ended.Go(func() { outbox.Run(ctx) })
}

func (p *posting) end() {
	if p.cancel != nil {
		p.cancel()
	}
	p.ended.Wait()
}

// examineMail tells whether messages can be sent: to one address, where there is one,
// by sending one.
func (v *mailValues) examine(ctx context.Context, to, origin string) finding {
	if v == nil {
		if to != "" {
			return wrong("mail", "there is no mail block in the global option gate")
		}
		return fine("mail", "none is sent: nobody can recover a password without the operator")
	}
	if to == "" {
		return fine("mail", "%s; to send a test: caddy gate doctor --mail ADDRESS", v)
	}
	templates, err := mail.ParseTemplates(v.templates)
	if err != nil {
		return wrong("mail", "%v", err)
	}
	m, err := templates.Render(brand, authcore.Letter{Kind: authcore.MailTest, To: to, Origin: origin})
	if err != nil {
		return wrong("mail", "%v", err)
	}
	m.ID, m.At = string(authcore.NewUserID()), time.Now()
	answer, err := (&mail.Sender{Settings: v.Settings}).Send(ctx, m)
	if err != nil {
		return wrong("mail", "%s: %v", v, err)
	}
	return fine("mail", "%s: a test to %s was taken; the server says: %s", v, to, answer)
}

// examineWaiting looks how long messages have been waiting.
func (c *console) examineWaiting(ctx context.Context) finding {
	n, oldest, err := c.db.MailsWaiting(ctx)
	switch {
	case err != nil:
		return wrong("mail queue", "cannot be counted: %v", err)
	case n == 0:
		return fine("mail queue", "nothing waits")
	case c.accounts.Now().Sub(oldest) > 5*time.Minute:
		return warn("mail queue", "%d messages wait, the oldest since %s; why is in Caddy's log", n, oldest.Local().Format(time.DateTime))
	}
	return fine("mail queue", "messages that wait: %d", n)
}

// portalText is the origin of the portal, or empty where each host is its own.
func (v *values) portalText() string {
	if v.portal.host == "" {
		return ""
	}
	return v.portal.String()
}
