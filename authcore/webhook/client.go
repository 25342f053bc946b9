package webhook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

const (
	// answerTime bounds one request, from the first packet to the last of the answer.
	answerTime = 15 * time.Second
	// answerRead is how much of an answer is read, so that the connection can be used again;
	// what is longer ends with it.
	answerRead = 64 << 10
	// answerKept is how much of it the log keeps.
	answerKept = 4 << 10
	// connections are kept per host, where many webhooks may be, for answerIdle.
	connections = 100
	answerIdle  = 90 * time.Second
	userAgent   = "Gatehouse-Webhooks/1"
)

// Client sends signed messages. It follows no redirect, and asks no proxy.
type Client struct {
	Now  func() time.Time
	tls  *http.Transport
	http *http.Transport
}

// NewClient makes one that dials what the rules allow.
func NewClient(r Rules, now func() time.Time) *Client {
	return newClient(r.dialer(false), r.dialer(true), now)
}

// NewTrusting makes one that dials any address: for those that the operator wrote down.
func NewTrusting(now func() time.Time) *Client {
	d := &net.Dialer{Timeout: dialTime, KeepAlive: 30 * time.Second}
	return newClient(d, d, now)
}

func newClient(secure, plain *net.Dialer, now func() time.Time) *Client {
	transport := func(d *net.Dialer) *http.Transport {
		return &http.Transport{DialContext: d.DialContext, TLSHandshakeTimeout: dialTime, MaxIdleConnsPerHost: connections, MaxIdleConns: 10 * connections, IdleConnTimeout: answerIdle,
			DisableCompression: true, MaxResponseHeaderBytes: answerRead, ForceAttemptHTTP2: true}
	}
	return &Client{Now: now, tls: transport(secure), http: transport(plain)}
}

// HTTP gives a client of the standard library that dials as this one does, and follows no
// redirect either.
func (c *Client) HTTP() *http.Client {
	return &http.Client{Transport: byScheme{c}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// byScheme sends requests as their scheme asks for.
type byScheme struct{ c *Client }

// RoundTrip implements http.RoundTripper.
func (t byScheme) RoundTrip(r *http.Request) (*http.Response, error) {
	return t.c.transport(r).RoundTrip(r)
}

func (c *Client) transport(r *http.Request) *http.Transport {
	if r.URL.Scheme == "http" {
		return c.http
	}
	return c.tls
}

// Close closes what connections are not in use.
func (c *Client) Close() {
	c.tls.CloseIdleConnections()
	c.http.CloseIdleConnections()
}

// Answer is how a request ended.
type Answer struct {
	At      time.Time // when it began
	Took    time.Duration
	Status  int    // of HTTP; 0 where no answer came
	Body    string // what it says, cut, in UTF-8
	Failure string // why it does not count; empty where it does
}

// Gone tells whether the receiver wants to be told nothing any more.
func (a *Answer) Gone() bool { return a.Status == http.StatusGone }

// Send sends a message that is signed with each of some secrets.
func (c *Client) Send(ctx context.Context, to, id string, secrets []authcore.Secret, body []byte) Answer {
	a := Answer{At: c.Now()}
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	err := c.send(ctx, &a, to, id, secrets, body)
	a.Took = c.Now().Sub(a.At)
	switch {
	case err != nil:
		a.Failure = why(err)
	case a.Status >= 300 && a.Status < 400:
		a.Failure = fmt.Sprintf("answered %d: redirects are not followed", a.Status)
	case a.Status < 200 || a.Status > 299:
		a.Failure = fmt.Sprintf("answered %d", a.Status)
	}
	return a
}

func (c *Client) send(ctx context.Context, a *Answer, to, id string, secrets []authcore.Secret, body []byte) error {
	signature, err := Sign(secrets, id, a.At, body)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header = http.Header{"Content-Type": {"application/json"}, "User-Agent": {userAgent}, HeaderID: {id}, HeaderSignature: {signature},
		HeaderTimestamp: {strconv.FormatInt(a.At.Unix(), 10)}}
	resp, err := c.transport(r).RoundTrip(r) // a client would follow redirects, and know cookies
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	a.Status = resp.StatusCode
	text, err := io.ReadAll(io.LimitReader(resp.Body, answerRead))
	a.Body = tidy(text, answerKept)
	if err != nil && a.Status >= 200 && a.Status <= 299 { // the status says enough else
		return fmt.Errorf("the answer broke off: %w", err)
	}
	return nil
}

// tidy makes what somebody answered a text that every database takes.
func tidy(raw []byte, most int) string {
	text := strings.ReplaceAll(strings.ToValidUTF8(string(raw[:min(len(raw), most)]), "\uFFFD"), "\x00", "\uFFFD")
	for len(text) > most { // what is not UTF-8 grows
		text = strings.ToValidUTF8(text[:most], "")
	}
	return text
}

// failureKept is how much is kept of why a try failed, in bytes.
const failureKept = 300

// why says in a few words why no answer came. The URL is known, and may have a secret in it.
func why(err error) string {
	var dns *net.DNSError
	var asked *url.Error
	switch {
	case errors.Is(err, ErrAddress):
		return ErrAddress.Error()
	case errors.Is(err, ErrPlain):
		return ErrPlain.Error()
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Sprintf("no answer within %s", answerTime)
	case errors.As(err, &dns):
		return "the name cannot be resolved"
	case errors.As(err, &asked):
		err = asked.Err
	}
	text := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) { // a terminal may show it
			return ' '
		}
		return r
	}, err.Error())
	return tidy([]byte(strings.Join(strings.Fields(text), " ")), failureKept)
}
