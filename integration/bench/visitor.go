package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// cookieName is the gate's session cookie on plain-HTTP loopback.
const cookieName = "gate"

// visitor is a client of one site, for everything that is not measured.
type visitor struct {
	addr       string // where to dial
	authority  string // Host header
	credential string // one header line, or none
}

// addUser makes the first owner in a gate's database.
func addUser(ctx context.Context, caddy, config string, env []string) error {
	_, err := runTool(ctx, userPassword+"\n", env, caddy, "gate", "user", "add", userName,
		"--email", userEmail, "--owner", "--password-stdin", "--config", config)
	if err != nil {
		return fmt.Errorf("make the gate's user (is this a Caddy with the gate in it? `make build`): %w", err)
	}
	return nil
}

// basicCredential is the header line for basic_auth.
func basicCredential() string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(userName+":"+userPassword))
}

// request is a whole GET request as a signed-in browser sends it.
func (v visitor) request(path string) []byte {
	lines := []string{
		"GET " + path + " HTTP/1.1",
		"Host: " + v.authority,
		"User-Agent: gatehouse-bench",
		"Accept: */*",
		"Accept-Encoding: gzip, deflate",
	}
	if v.credential != "" {
		lines = append(lines, v.credential)
	}
	return []byte(strings.Join(lines, "\r\n") + "\r\n\r\n")
}

// signIn posts the sign-in form and returns the session cookie as name=value.
// While the gate is not ready (503) it tries again.
func (v visitor) signIn(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		resp, err := v.post(ctx)
		if err != nil {
			return "", err
		}
		if resp.StatusCode == http.StatusServiceUnavailable {
			if err := wait(ctx, 50*time.Millisecond); err != nil {
				return "", fmt.Errorf("the gate does not get ready: %w", err)
			}
			continue
		}
		cookies := resp.Cookies()
		i := slices.IndexFunc(cookies, func(c *http.Cookie) bool { return c.Name == cookieName && c.Value != "" })
		if resp.StatusCode != http.StatusSeeOther || i < 0 {
			return "", fmt.Errorf("POST /.gate/login answered %s without a cookie %q; expected 303 with it", resp.Status, cookieName)
		}
		return cookies[i].Name + "=" + cookies[i].Value, nil
	}
}

// post sends the sign-in form once and throws the body of the answer away.
func (v visitor) post(ctx context.Context) (*http.Response, error) {
	form := url.Values{"username": {userName}, "password": {userPassword}}
	origin := "http://" + v.authority
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, origin+"/.gate/login", strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", origin)
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	resp, _, err := v.do(req)
	return resp, err
}

// get asks once on a connection of its own, with or without the credential.
func (v visitor) get(ctx context.Context, path string, signedIn bool) (*http.Response, string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+v.authority+path, nil)
	if err != nil {
		return nil, "", err
	}
	if name, value, ok := strings.Cut(v.credential, ": "); ok && signedIn {
		req.Header.Set(name, value)
	}
	return v.do(req)
}

// do sends a request to the visitor's address, whatever the host's name means
// elsewhere, and follows no redirect.
func (v visitor) do(req *http.Request) (*http.Response, string, error) {
	transport := &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, v.addr)
		},
		DisableKeepAlives: true,
	}
	client := http.Client{
		Transport:     transport,
		Timeout:       answerLimit,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, "", err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	return resp, string(body), errors.Join(err, resp.Body.Close())
}

// check makes sure that the site is what it is measured as: it answers who is
// signed in, refuses who is not, and a gate tells the app who is there.
func (v visitor) check(ctx context.Context, kind variant, s site) error {
	want := upstreamBody
	if s == respondSite {
		want = respondBody
	}
	resp, body, err := v.get(ctx, "/", true)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK || body != want {
		return fmt.Errorf("answered %s, body %.120q; expected 200 and %q", resp.Status, body, want)
	}
	if kind == bare || kind == control {
		return nil
	}
	if resp, _, err = v.get(ctx, "/", false); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusUnauthorized {
		return fmt.Errorf("answered %s without credentials; expected 401", resp.Status)
	}
	if kind == gated && s == proxySite { // alice, who signed in
		return v.checkIdentity(ctx)
	}
	return nil
}

// checkIdentity looks at what reached the app: the user's name, and not the
// session cookie.
func (v visitor) checkIdentity(ctx context.Context) error {
	_, head, err := v.get(ctx, echoPath, true)
	if err != nil {
		return err
	}
	name := headerLine(head, "Remote-User")
	if name != userName {
		return fmt.Errorf("the app was told Remote-User %q; expected %q", name, userName)
	}
	if c := headerLine(head, "Cookie"); strings.Contains(c, cookieName+"=") {
		return errors.New("the session cookie reached the app")
	}
	return nil
}

// headerLine finds a header in a request's head as it was sent.
func headerLine(head, name string) string {
	for line := range strings.Lines(head) {
		if n, value, ok := strings.Cut(line, ":"); ok && strings.EqualFold(n, name) {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
