package caddymodule

import (
	"bytes"
	"cmp"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

const (
	// apiPath is where the JSON API of an installation is.
	apiPath = "/.gate/api/v1/"
	// maxRemote is the longest answer of an installation that is read, in bytes.
	maxRemote = 64 << 20
)

// remote is an installation elsewhere, on which commands work through its JSON API.
type remote struct {
	ctx    context.Context
	origin string
	token  string
	client *http.Client
	next   string // the cursor of the list that a command prints
}

func newRemote(ctx context.Context, origin string) *remote {
	return &remote{ctx: ctx, origin: origin, client: remoteClient()}
}

// remoteClient asks installations elsewhere. It follows no redirect: a token is for one
// origin alone. What is under localhost is this machine, whether or not a name server
// knows that.
func remoteClient() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = func(r *http.Request) (*url.URL, error) {
		if loopback(r.URL.Hostname()) {
			return nil, nil
		}
		return http.ProxyFromEnvironment(r)
	}
	dialer := net.Dialer{Timeout: 10 * time.Second}
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		if host, port, err := net.SplitHostPort(address); err == nil && net.ParseIP(host) == nil && loopback(host) {
			address = net.JoinHostPort("localhost", port)
		}
		return dialer.DialContext(ctx, network, address)
	}
	return &http.Client{Transport: transport, Timeout: commandTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// remoteAgent tells who asks, for the pages where devices and sign-ins are named.
var remoteAgent = authcore.CommandLineAgent + " (" + cmp.Or(map[string]string{"darwin": "Mac OS X", "windows": "Windows", "linux": "Linux"}[runtime.GOOS], runtime.GOOS) + ")"

// remoteAnswer is what an installation says.
type remoteAnswer struct {
	*http.Response
	body []byte
}

// send sends a request for a path of the installation.
func (r *remote) send(method, path string, body io.Reader, header http.Header) (remoteAnswer, error) {
	req, err := http.NewRequestWithContext(r.ctx, method, r.origin+path, body)
	if err != nil {
		return remoteAnswer{}, err
	}
	for name, values := range header {
		req.Header[name] = values
	}
	req.Header.Set("User-Agent", remoteAgent)
	req.Header.Set("Accept", "application/json")
	resp, err := r.client.Do(req)
	if err != nil {
		if wrapped := new(url.Error); errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		if errors.As(err, new(x509.UnknownAuthorityError)) {
			err = fmt.Errorf("%w: if its certificate is of an authority of your own, name the file with that in SSL_CERT_FILE", err)
		}
		return remoteAnswer{}, fmt.Errorf("%s cannot be reached: %w", r.origin, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxRemote+1))
	if err == nil && len(text) > maxRemote {
		err = errors.New("it is too long")
	}
	if err != nil {
		return remoteAnswer{}, fmt.Errorf("the answer of %s cannot be read: %w", r.origin, err)
	}
	return remoteAnswer{resp, text}, nil
}

// call sends a request to the API, with the token where there is one. What is created
// is created once, however often the request comes to the server.
func (r *remote) call(method, path string, body []byte) (remoteAnswer, error) {
	header := http.Header{}
	if r.token != "" {
		header.Set("Authorization", "Bearer "+r.token)
	}
	if body != nil {
		header.Set("Content-Type", "application/json")
	}
	if method == http.MethodPost {
		header.Set("Idempotency-Key", uuid.NewString())
	}
	ans, err := r.send(method, apiPath+path, bytes.NewReader(body), header)
	if err == nil {
		err = r.errorOf(ans)
	}
	return ans, err
}

// do carries an operation out, by calls of the API, and reads its answer into result.
func (r *remote) do(name string, args json.RawMessage, result any) error {
	op := remoteOperations[name]
	if op == nil {
		return errOnlyThere
	}
	answer, err := op(r, args)
	if err != nil {
		return err
	}
	raw, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, result)
}

// get asks the API for something.
func get[T any](r *remote, path string, query url.Values) (T, error) {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return put[T](r, http.MethodGet, path, nil)
}

// put has the API do something. A body that is nil is none.
func put[T any](r *remote, method, path string, body any) (answer T, err error) {
	var raw []byte
	if body != nil {
		if raw, err = json.Marshal(body); err != nil {
			return answer, err
		}
	}
	ans, err := r.call(method, path, raw)
	if err == nil && len(ans.body) > 0 && json.Unmarshal(ans.body, &answer) != nil {
		err = fmt.Errorf("what %s answers makes no sense: is it another version?", r.origin)
	}
	return answer, err
}

// pages gives about as many elements of a list as a command takes at a time. It goes on
// where it stopped unless after is empty.
func pages[T, L any](r *remote, after, path string, query url.Values, line func(*T) L) ([]L, error) {
	lines := []L{}
	if after == "" {
		r.next = ""
	} else if r.next == "" {
		return lines, nil
	}
	for {
		q := maps.Clone(query)
		if q == nil {
			q = url.Values{}
		}
		q.Set("limit", "200")
		if r.next != "" {
			q.Set("after", r.next)
		}
		page, err := get[struct {
			Items []T
			Next  string
		}](r, path, q)
		if err != nil {
			return nil, err
		}
		for i := range page.Items {
			lines = append(lines, line(&page.Items[i]))
		}
		if r.next = page.Next; r.next == "" || len(lines) >= pageSize {
			return lines, nil
		}
	}
}

// errorOf is the error that an answer of the API is, in plain words.
func (r *remote) errorOf(ans remoteAnswer) error {
	if ans.StatusCode < 300 {
		return nil
	}
	var said struct {
		Error struct{ Code, Message, Field string }
	}
	_ = json.Unmarshal(ans.body, &said) // what is no JSON says nothing
	switch message := printable(said.Error.Message); {
	case ans.StatusCode < 400:
		return fmt.Errorf("%s answers with %s: it may not be the address of the portal", r.origin, printable(ans.Status))
	case said.Error.Code == "insufficient_user_authentication":
		return fmt.Errorf("this needs a second factor: set one up at %s/.gate/account, and sign in again with: caddy gate login %s", r.origin, r.origin)
	case ans.StatusCode == http.StatusUnauthorized:
		return fmt.Errorf("you are not signed in to %s any more: the sign-in was revoked, or is too old. Sign in again with: caddy gate login %s", r.origin, r.origin)
	case message == "":
		return fmt.Errorf("%s answers with %s, and does not say why", r.origin, printable(ans.Status))
	case said.Error.Field != "":
		return fmt.Errorf("%s: %s", printable(said.Error.Field), message)
	default:
		return errors.New(message)
	}
}

// printable is text of somebody else's as a terminal can show it, on one line.
func printable(text string) string {
	return strings.TrimSpace(strings.Map(func(c rune) rune {
		switch {
		case c == '\n' || c == '\t':
			return ' '
		case unicode.IsControl(c) || c == unicode.ReplacementChar:
			return -1
		}
		return c
	}, text))
}

// plainWriter lets no control characters through but tabs and ends of lines: what an
// installation elsewhere says must not steer the terminal.
type plainWriter struct {
	out io.Writer
	c2  bool // the last byte began a character that may be a control character
}

func (w *plainWriter) Write(text []byte) (int, error) {
	plain := make([]byte, 0, len(text)+1)
	for _, b := range text {
		control := b < ' ' && b != '\n' && b != '\t' || b == 0x7f || w.c2 && b >= 0x80 && b < 0xa0
		if w.c2 && !control {
			plain = append(plain, 0xc2)
		}
		if w.c2 = b == 0xc2; !w.c2 && !control {
			plain = append(plain, b)
		}
	}
	_, err := w.out.Write(plain)
	return len(text), err
}
