package integration

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// letterbox is an SMTP server that keeps what it is given.
type letterbox struct {
	port     int
	tls      *tls.Config // nil: plain
	implicit bool
	password string // of the user gate; empty: nobody signs in

	mu      sync.Mutex
	server  *smtp.Server
	letters []letter
	refuse  map[string]*smtp.SMTPError // what is said to RCPT TO, by the address
	tries   map[string]int             // how often a message for an address was begun
	secure  bool                       // all came over TLS
}

// letter is a message as it arrived.
type letter struct {
	From, To, Subject, ID string
	Text, HTML            string
	Header                mail.Header
}

// newLetterbox starts one on a port of its own.
func newLetterbox(t testing.TB, prepare func(*letterbox)) *letterbox {
	t.Helper()
	b := &letterbox{port: freePort(), refuse: make(map[string]*smtp.SMTPError), tries: make(map[string]int), secure: true}
	if prepare != nil {
		prepare(b)
	}
	b.open(t)
	t.Cleanup(b.close)
	return b
}

// open listens, also after close.
func (b *letterbox) open(t testing.TB) {
	t.Helper()
	s := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) { return &delivery{box: b, conn: c}, nil }))
	s.Domain, s.TLSConfig, s.AllowInsecureAuth, s.ErrorLog = "letterbox.example", b.tls, b.tls == nil, quiet{}
	var l net.Listener
	eventually(t, "the port of the letterbox", func() (ok bool) {
		var err error
		l, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", b.port))
		return err == nil
	})
	if b.implicit {
		l = tls.NewListener(l, b.tls)
	}
	b.mu.Lock()
	b.server = s
	b.mu.Unlock()
	go s.Serve(l)
}

type quiet struct{}

func (quiet) Printf(string, ...any) {}
func (quiet) Println(...any)        {}

// close is an outage: connections end, and there are no new ones.
func (b *letterbox) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	_ = b.server.Close()
}

// delivery is one connection.
type delivery struct {
	box      *letterbox
	conn     *smtp.Conn
	from, to string
	proven   bool
}

func (d *delivery) AuthMechanisms() []string {
	if d.box.password == "" {
		return nil
	}
	return []string{sasl.Plain}
}

func (d *delivery) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != "gate" || password != d.box.password {
			return smtp.ErrAuthFailed
		}
		d.proven = true
		return nil
	}), nil
}

func (d *delivery) Mail(from string, _ *smtp.MailOptions) error {
	if d.box.password != "" && !d.proven {
		return smtp.ErrAuthRequired
	}
	d.from = from
	return nil
}

func (d *delivery) Rcpt(to string, _ *smtp.RcptOptions) error {
	d.box.mu.Lock()
	defer d.box.mu.Unlock()
	d.box.tries[to]++
	if refused := d.box.refuse[to]; refused != nil {
		return refused
	}
	d.to = to
	return nil
}

func (d *delivery) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	l, err := readLetter(raw)
	if err != nil {
		return &smtp.SMTPError{Code: 554, Message: err.Error()}
	}
	l.From, l.To = d.from, d.to
	d.box.mu.Lock()
	defer d.box.mu.Unlock()
	_, secure := d.conn.TLSConnectionState()
	d.box.secure = d.box.secure && secure
	d.box.letters = append(d.box.letters, l)
	return nil
}

func (d *delivery) Reset()        {}
func (d *delivery) Logout() error { return nil }

// readLetter takes a message apart, which has a text and an HTML part.
func readLetter(raw []byte) (l letter, err error) {
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return l, err
	}
	l.Header, l.ID = m.Header, m.Header.Get("Message-Id")
	if l.Subject, err = new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject")); err != nil {
		return l, err
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		return l, fmt.Errorf("not in two forms: %s, %v", kind, err)
	}
	for parts := multipart.NewReader(m.Body, params["boundary"]); ; {
		part, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return l, err
		}
		var body io.Reader = part
		if part.Header.Get("Content-Transfer-Encoding") == "quoted-printable" {
			body = quotedprintable.NewReader(part)
		}
		text, err := io.ReadAll(body)
		if err != nil {
			return l, err
		}
		if strings.HasPrefix(part.Header.Get("Content-Type"), "text/html") {
			l.HTML = string(text)
		} else {
			l.Text = strings.ReplaceAll(string(text), "\r\n", "\n")
		}
	}
	return l, nil
}

// all are the letters that arrived for an address, or all of them.
func (b *letterbox) all(to string) (found []letter) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, l := range b.letters {
		if to == "" || l.To == to {
			found = append(found, l)
		}
	}
	return found
}

// certificate makes a certificate for 127.0.0.1, and the file of whoever vouches for it.
func certificate(t testing.TB) (*tls.Config, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "letterbox"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(24 * time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(t, err)
	file := filepath.Join(t.TempDir(), "ca.pem")
	must(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, file
}
