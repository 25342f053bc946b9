package integration

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
)

// browser is an HTTP client that behaves as a browser does where that matters:
// it keeps cookies, says where its requests come from, and can follow redirects
// and pages that lead on. It reaches the server whatever the host name.
type browser struct {
	*http.Client
	t testing.TB
}

// page is an answer with its body.
type page struct {
	*http.Response
	Body string
}

// location is where a redirect leads, resolved.
func (p page) location() string {
	to, err := p.Response.Location()
	if err != nil {
		return ""
	}
	return to.String()
}

// Client makes a browser with an empty cookie jar. It follows no redirect by
// itself.
func (s *server) Client(t testing.TB) *browser {
	transport := &http.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			_, port, err := net.SplitHostPort(addr)
			if err != nil {
				return nil, err
			}
			return new(net.Dialer).DialContext(ctx, network, s.Address+":"+port)
		},
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
		ForceAttemptHTTP2: true,
	}
	t.Cleanup(transport.CloseIdleConnections)
	b := &browser{t: t, Client: &http.Client{Transport: transport, Timeout: patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	b.forget()
	return b
}

// forget empties the cookie jar, and keeps the connections.
func (b *browser) forget() {
	jar, err := cookiejar.New(nil)
	if err != nil {
		b.t.Fatal(err)
	}
	b.Jar = jar
}

// header is one header of a request, for do and its friends.
type header struct{ name, value string }

// do sends a request. A header named "Host" sets the request's host; the others
// are added as they are written.
func (b *browser) do(method, to, body string, headers ...header) page {
	b.t.Helper()
	r, err := http.NewRequest(method, to, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	for _, h := range headers {
		if h.name == "Host" {
			r.Host = h.value
			continue
		}
		r.Header[h.name] = append(r.Header[h.name], h.value)
	}
	resp, err := b.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return page{resp, string(text)}
}

// navigation is what a browser says when its user goes to a page.
var navigation = []header{{"Accept", "text/html,application/xhtml+xml"}, {"Sec-Fetch-Mode", "navigate"}, {"Sec-Fetch-Site", "none"}}

// get goes to a page, and stays with a redirect if that is the answer.
func (b *browser) get(to string, headers ...header) page {
	b.t.Helper()
	return b.do("GET", to, "", append(append([]header{}, navigation...), headers...)...)
}

// fetch asks as a program does.
func (b *browser) fetch(to string, headers ...header) page {
	b.t.Helper()
	return b.do("GET", to, "", append([]header{{"Accept", "*/*"}}, headers...)...)
}

// post sends a form from a page of the same origin.
func (b *browser) post(to string, form url.Values, headers ...header) page {
	b.t.Helper()
	u, err := url.Parse(to)
	if err != nil {
		b.t.Fatal(err)
	}
	all := []header{{"Accept", "text/html"}, {"Sec-Fetch-Mode", "navigate"}, {"Sec-Fetch-Site", "same-origin"},
		{"Origin", u.Scheme + "://" + u.Host}, {"Content-Type", "application/x-www-form-urlencoded"}}
	return b.do("POST", to, form.Encode(), append(all, headers...)...)
}

var refresh = regexp.MustCompile(`http-equiv="refresh" content="0;\s*url=([^"]+)"`)

// follow goes on from a page, through redirects and pages that lead on by
// themselves, to where a browser would come to rest.
func (b *browser) follow(p page) page {
	b.t.Helper()
	for range 12 {
		to := p.location()
		if to == "" {
			if m := refresh.FindStringSubmatch(p.Body); m != nil {
				next, err := p.Request.URL.Parse(html.UnescapeString(m[1]))
				if err != nil {
					b.t.Fatal(err)
				}
				to = next.String()
			}
		}
		if to == "" {
			return p
		}
		p = b.get(to)
	}
	b.t.Fatalf("going in circles at %s", p.Request.URL)
	return p
}

// open goes to a page and follows it.
func (b *browser) open(to string) page {
	b.t.Helper()
	return b.follow(b.get(to))
}

// cookie finds a cookie that the browser would send to an address.
func (b *browser) cookie(at, name string) string {
	u, err := url.Parse(at)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, c := range b.Jar.Cookies(u) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

// raw sends bytes to a port and reads one answer. TLS is spoken where host is
// not empty, for that host and with HTTP/1.1.
func (s *server) raw(t testing.TB, port, host, request string) page {
	t.Helper()
	var c net.Conn
	c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", s.Vars[port]))
	if err != nil {
		t.Fatal(err)
	}
	if host != "" {
		c = tls.Client(c, &tls.Config{ServerName: host, InsecureSkipVerify: true})
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(request, " ")
	resp, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("no answer to %.200q: %v", request, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return page{resp, string(body)}
}

// mustGo fails the test where an answer does not lead on.
func mustGo(t *testing.T, p page) {
	t.Helper()
	if p.StatusCode != http.StatusSeeOther {
		t.Fatalf("%s: %s\n%s", p.Request.URL, p.Status, p.Body)
	}
}
