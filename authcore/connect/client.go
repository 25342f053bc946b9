package connect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"
)

// The bounds of one answer of a provider.
const (
	answerTime = 10 * time.Second
	answerSize = 1 << 20 // bytes
)

// newClient makes a client for one provider. It follows no redirect: an address that
// was configured or discovered over TLS must not lead elsewhere.
func newClient(rt http.RoundTripper) *http.Client {
	return &http.Client{Timeout: answerTime, Transport: bounded{rt},
		CheckRedirect: func(r *http.Request, _ []*http.Request) error {
			return fmt.Errorf("it redirects to %s, which is not followed", r.URL.Redacted())
		}}
}

// bounded cuts answers off that are too long, with an error.
type bounded struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		resp.Body = &boundedBody{ReadCloser: resp.Body, left: answerSize}
	}
	return resp, err
}

type boundedBody struct {
	io.ReadCloser
	left int
}

var errTooLong = errors.New("the answer is longer than 1 MiB")

// Read implements io.Reader.
func (b *boundedBody) Read(p []byte) (int, error) {
	if len(p) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	if n > b.left {
		return b.left, errTooLong
	}
	b.left -= n
	return n, err
}

// getJSON reads a JSON document that belongs to the holder of an access token.
func getJSON(ctx context.Context, c *http.Client, url, token string, into any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", "gatehouse") // GitHub answers none without
	resp, err := c.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return &statusError{url: url, status: resp.StatusCode}
	}
	if kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err != nil || kind != "application/json" && !strings.HasSuffix(kind, "+json") {
		return fmt.Errorf("%s answers with %q in place of JSON", url, kind)
	}
	d := json.NewDecoder(resp.Body)
	d.UseNumber() // ids are longer than a float holds
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("%s: %w", url, err)
	}
	return nil
}

// unanswered makes one of our errors of one of getJSON: a token that is refused is gone,
// anything else is a provider that is away.
func unanswered(err error) error {
	if hasStatus(err, http.StatusUnauthorized) {
		return fmt.Errorf("%w: %w", errGone, err)
	}
	return ErrAway.With(err)
}

// statusError is an answer that is none.
type statusError struct {
	url    string
	status int
}

// Error implements error.
func (e *statusError) Error() string {
	address, _, _ := strings.Cut(e.url, "?") // what is asked for may name a person
	return fmt.Sprintf("%s answers with %d", address, e.status)
}

func hasStatus(err error, status int) bool {
	var e *statusError
	return errors.As(err, &e) && e.status == status
}
