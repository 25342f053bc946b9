package integration

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// ourNames are the names of our cookies, in both forms.
var ourNames = []string{"gate", "gate-flow", "gate-device", "__Host-gate", "__Host-gate-flow", "__Host-gate-device"}

func TestP15_UpstreamNeverSeesOurCookie(t *testing.T) {
	t.Parallel()
	for s, host := range gated(t) {
		token := s.newToken(t, host, bob)
		ours := s.cookieName(host) + "=" + token
		for i, test := range []struct {
			lines []string
			want  string // Cookie at the upstream
		}{
			{[]string{"Cookie: " + ours}, ""},
			{[]string{"Cookie: a=1; " + ours + "; b=2"}, "a=1; b=2"},
			{[]string{"Cookie: " + ours + "; b=2"}, "b=2"},
			{[]string{"Cookie: a=1; " + ours}, "a=1"},
			{[]string{"Cookie: " + ours + "; " + ours + "; " + ours}, ""},
			{[]string{"Cookie: a=1;" + ours + ";b=2"}, "a=1; b=2"},
			{[]string{"Cookie: a=1;  " + ours + "  ;  b=2"}, "a=1; b=2"},
			{[]string{"Cookie:" + ours}, ""},
			{[]string{"cookie: a=1", "COOKIE: " + ours, "Cookie: b=2"}, "a=1; b=2"},
			{[]string{"Cookie: " + ours + ";"}, ""},
			{[]string{"Cookie: ;;" + ours + ";;c=3;;"}, "c=3"},
			{[]string{"Cookie: gate-flow=x; " + ours + "; gate-device=y; __Host-gate-flow=x; __Host-gate-device=y; a=1"}, "a=1"},
			{[]string{"Cookie: " + ours + "; gate=old; __Host-gate=old"}, ""},
			{[]string{"Cookie: mygate=1; " + ours + "; gate2=2; gates=3; x-gate=4"}, "mygate=1; gate2=2; gates=3; x-gate=4"},
			{[]string{"Cookie: a=gate; " + ours + "; b=\"gate\""}, `a=gate; b="gate"`},
			{[]string{"Cookie: " + ours + "; gate; __Host-gate"}, ""},
			{[]string{"Cookie: \t" + ours + "\t"}, ""},
			{[]string{"Cookie: gate ; " + ours}, ""},
		} {
			mark := fmt.Sprintf("/p15-%d-", i)
			got := s.tell(t, host, "GET", mark, append(test.lines, "Connection: close")...)
			if got.StatusCode != http.StatusOK {
				t.Errorf("%s: %q: %s", host, test.lines, got.Status)
				continue
			}
			e := s.lastReceived(t, mark)
			if cookie := strings.ReplaceAll(e.get("Cookie"), "|", "; "); squeeze(cookie) != squeeze(test.want) {
				t.Errorf("%s: %q: the upstream sees %q, want %q", host, test.lines, cookie, test.want)
			}
			if strings.Contains(fmt.Sprint(e), token) {
				t.Errorf("%s: %q: the upstream sees the token: %+v", host, test.lines, e)
			}
		}
	}
}

// squeeze leaves out what separates cookies.
func squeeze(cookie string) string {
	return strings.NewReplacer(" ", "", ";", "", "\t", "").Replace(cookie)
}

// TestP15_EverywhereTheCookieGoes has the cookie on requests that take other
// ways: HTTP/2, public paths, paths that are not gated, unknown and foreign tokens.
func TestP15_EverywhereTheCookieGoes(t *testing.T) {
	t.Parallel()
	s, plain := house.get(t), lodge.get(t)
	token := s.newToken(t, "app.example.com", bob)
	for i, test := range []struct {
		s          *server
		host, path string
	}{
		{s, "app.example.com", "/p15-h2"},
		{s, "app.example.com", "/public/p15-h2"},
		{s, "wiki.example.net", "/public/p15-other"},
		{plain, "part.localhost", "/p15-unmatched"},
		{plain, "app.localhost", "/public/p15-plain"},
		{plain, "moved.localhost", "/public/p15-moved"},
	} {
		mark := fmt.Sprintf("n=%d", i)
		client := test.s.Client(t)
		got := client.fetch(test.s.at(test.host, test.path)+"?p15"+mark, header{"Cookie", "a=1; gate=" + token + "; __Host-gate=" + token},
			header{"Cookie", "gate-flow=" + token + "; b=2"})
		if test.path == "/p15-h2" && got.StatusCode == http.StatusOK && got.ProtoMajor != 2 {
			t.Errorf("%s spoke %s", test.host, got.Proto)
		}
		if got.StatusCode != http.StatusOK {
			t.Errorf("%s%s: %s", test.host, test.path, got.Status)
			continue
		}
		e := test.s.lastReceived(t, "?p15"+mark)
		if strings.Contains(fmt.Sprint(e), token) || !strings.Contains(fmt.Sprint(e), "a=1") || !strings.Contains(fmt.Sprint(e), "b=2") {
			t.Errorf("%s%s: the upstream sees %q", test.host, test.path, e.get("Cookie"))
		}
	}
}

// TestP15_UpstreamCannotSetOurCookie: an app must not sign its visitors in as
// somebody, or out.
func TestP15_UpstreamCannotSetOurCookie(t *testing.T) {
	t.Parallel()
	for s, host := range gated(t) {
		b := s.Client(t)
		b.signInTo(s, host, bob)
		var lines []string
		for _, name := range ourNames {
			lines = append(lines, name+"=evil", name+"=evil; Path=/; Secure", " "+name+" =evil", "\t"+name+"=evil", name+"=; Max-Age=0")
			// A cookie without a name: what a browser sends back is its value alone.
			lines = append(lines, "="+name+"=evil", " = "+name+"=evil; Path=/", "=\t"+name+"=evil")
		}
		for _, path := range []string{"/p15-set", "/public/p15-set"} {
			for _, line := range lines {
				q := url.Values{"answer": {"Set-Cookie: keep=1", "Set-Cookie:" + line, "set-cookie: keep=2"}}
				r, err := http.NewRequest("GET", s.at(host, path)+"?"+q.Encode(), nil)
				if err != nil {
					t.Fatal(err)
				}
				resp, err := b.Transport.RoundTrip(withCookies(r, b)) // not through the jar
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				if resp.StatusCode != http.StatusOK {
					t.Fatal(resp.Status)
				}
				if got := resp.Header["Set-Cookie"]; strings.Contains(fmt.Sprint(got), "gate") || !strings.Contains(fmt.Sprint(got), "keep=1") || !strings.Contains(fmt.Sprint(got), "keep=2") {
					t.Errorf("%s%s: an upstream that sets %q has the browser told %q", host, path, line, got)
				}
			}
		}
	}
}

func withCookies(r *http.Request, b *browser) *http.Request {
	for _, c := range b.Jar.Cookies(r.URL) {
		r.AddCookie(c)
	}
	return r
}

// TestP15_EveryAnswerOfAnUpstream: informational answers and those that switch
// protocols set no cookie of ours either.
func TestP15_EveryAnswerOfAnUpstream(t *testing.T) {
	t.Parallel()
	s := lodge.get(t)
	token := s.newToken(t, "app.localhost", bob)
	for _, test := range []struct{ query, headers, want string }{
		{"hints", "Connection: close\r\n", "HTTP/1.1 103"},
		{"upgrade", "Connection: Upgrade\r\nUpgrade: websocket\r\n", "HTTP/1.1 101"},
		{"none", "Connection: close\r\n", "HTTP/1.1 200"},
	} {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", s.Vars["HTTP"]))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(patience))
		if _, err := fmt.Fprintf(c, "GET /?%s&answer=Set-Cookie:+gate=evil&answer=Set-Cookie:+keep=1 HTTP/1.1\r\nHost: app.localhost\r\nCookie: gate=%s\r\n%s\r\n",
			test.query, token, test.headers); err != nil {
			t.Fatal(err)
		}
		all := headersOf(c)
		if !strings.HasPrefix(all, test.want) || strings.Contains(all, "Set-Cookie: gate=") || !strings.Contains(all, "Set-Cookie: keep=1") {
			t.Errorf("%s: the browser reads:\n%s", test.query, all)
		}
	}
}

// headersOf reads the headers of all answers to one request, up to the final one.
func headersOf(r io.Reader) string {
	var all strings.Builder
	lines := bufio.NewScanner(r)
	final := false
	for lines.Scan() {
		line := lines.Text()
		if status, found := strings.CutPrefix(line, "HTTP/1.1 "); found {
			final = !strings.HasPrefix(status, "1") || strings.HasPrefix(status, "101")
		}
		all.WriteString(line + "\n")
		if line == "" && final {
			break
		}
	}
	return all.String()
}
