package webhook

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// The example of the specification's libraries.
func TestSign(t *testing.T) {
	t.Parallel()
	const secret, id, body = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", `{"test": 2432232314}`
	const want = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
	at := time.Unix(1614265330, 0)
	got, err := Sign([]authcore.Secret{secret}, id, at, []byte(body))
	if err != nil || got != want {
		t.Errorf("%s, %v", got, err)
	}
	two, err := Sign([]authcore.Secret{authcore.NewWebhookSecret(), secret}, id, at, []byte(body))
	if err != nil || !strings.HasSuffix(two, " "+want) || len(two) != 2*len(want)+1 {
		t.Errorf("%s, %v", two, err)
	}
	for _, bad := range []authcore.Secret{"", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_MfKQ", "whsec_!", "whsec_" + authcore.Secret(strings.Repeat("AAAA", 22))} {
		if _, err := Sign([]authcore.Secret{bad}, id, at, nil); !errors.Is(err, authcore.ErrWebhookSecret) {
			t.Errorf("%q: %v", bad.Reveal(), err)
		}
	}
}

func TestBackoff(t *testing.T) {
	t.Parallel()
	sum, before := time.Duration(0), time.Duration(0)
	for tries := 1; ; tries++ {
		d, again := retryAfter(tries)
		if !again {
			break
		}
		if d <= before {
			t.Errorf("after %d tries: %s, after %s", tries, d, before)
		}
		before = d
		sum += d
	}
	if sum < 47*time.Hour || sum > 49*time.Hour {
		t.Errorf("all in all %s", sum)
	}
	if _, again := retryAfter(0); again {
		t.Error("before the first")
	}
	for failures, want := range map[int]time.Duration{0: 0, 2: 0, 3: time.Second, 5: 4 * time.Second, 9: time.Minute, 1 << 40: time.Minute} {
		if got := rest(failures); got != want {
			t.Errorf("%d failures: %s, want %s", failures, got, want)
		}
	}
}

// W1: where no webhook goes.
func TestPublic(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"1.1.1.1": true, "93.184.216.34": true, "2606:4700::1111": true, "64:ff9b::1.1.1.1": true, "2002:101:101::": true, "::ffff:1.1.1.1": true,
		"127.0.0.1": false, "127.255.255.254": false, "0.0.0.0": false, "0.1.2.3": false, "10.0.0.1": false, "172.16.0.1": false, "172.31.255.255": false, "172.32.0.1": true,
		"192.168.1.1": false, "169.254.169.254": false, "100.64.0.1": false, "100.100.100.200": false, "100.127.255.255": false, "100.128.0.1": true,
		"168.63.129.16": false, "192.0.0.192": false, "192.0.2.1": false, "198.18.0.1": false, "198.51.100.1": false, "203.0.113.1": false, "224.0.0.1": false, "239.255.255.255": false, "240.0.0.1": false, "255.255.255.255": false,
		"::": false, "::1": false, "::127.0.0.1": false, "::ffff:127.0.0.1": false, "::ffff:169.254.169.254": false, "::ffff:0:127.0.0.1": false, "64:ff9b::127.0.0.1": false,
		"64:ff9b::a9fe:a9fe": false, "64:ff9b:1::1.1.1.1": false, "2002:7f00:1::": false, "2002:a9fe:a9fe::": false, "2002:a00:1::1": false, "2001::1": false, "2001:db8::1": false, "3fff::1": false,
		"fe80::1": false, "fe80::1%eth0": false, "fc00::1": false, "fd00:ec2::254": false, "fec0::1": false, "ff02::1": false, "100::1": false, "5f00::1": false, "4000::1": false,
	} {
		if got := Public(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

func FuzzPublic(f *testing.F) {
	for _, s := range []string{"127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::"} {
		f.Add(netip.MustParseAddr(s).AsSlice())
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		a, ok := netip.AddrFromSlice(raw)
		if !ok || !Public(a) {
			return
		}
		if u := a.Unmap(); u.IsPrivate() || u.IsLoopback() || u.IsLinkLocalUnicast() || u.IsMulticast() || u.IsUnspecified() || u.IsInterfaceLocalMulticast() {
			t.Errorf("%s is dialled", a)
		}
	})
}

// FuzzAnswer: what somebody answers is a text that databases take.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte("ok"), 4)
	f.Add([]byte("\xff\x00é"), 3)
	f.Fuzz(func(t *testing.T, raw []byte, most int) {
		most = max(0, min(most, 1<<16))
		got := tidy(raw, most)
		if len(got) > most || strings.ContainsRune(got, 0) || strings.ToValidUTF8(got, "") != got {
			t.Errorf("%q", got)
		}
	})
}

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

func secrets() []authcore.Secret { return []authcore.Secret{authcore.NewWebhookSecret()} }

// W1: names that lead elsewhere, as looked at when dialling.
func TestDialler(t *testing.T) {
	t.Parallel()
	hits := new(atomic.Int64)
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits.Add(1) }))
	defer inside.Close()
	_, port, _ := net.SplitHostPort(inside.Listener.Addr().String())
	strict := NewClient(Rules{}, time.Now)
	for _, to := range []string{"https://127.0.0.1:" + port, "https://[::1]:" + port, "https://localhost:" + port, "https://169.254.169.254/latest/meta-data", "https://[::ffff:127.0.0.1]:" + port,
		"https://2130706433:" + port, "https://0x7f.1:" + port, "https://0:" + port} {
		if a := strict.Send(t.Context(), to, "id", secrets(), nil); a.Failure == "" || a.Status != 0 {
			t.Errorf("%s: %+v", to, a)
		}
	}
	for _, to := range []string{"http://127.0.0.1:" + port, "http://localhost:" + port} {
		if a := strict.Send(t.Context(), to, "id", secrets(), nil); a.Failure != ErrPlain.Error() {
			t.Errorf("%s: %+v", to, a)
		}
	}
	if n := hits.Load(); n > 0 {
		t.Errorf("%d requests arrived", n)
	}
	allowed := NewClient(Rules{Allow: loopback}, time.Now)
	if a := allowed.Send(t.Context(), inside.URL, "id", secrets(), nil); a.Failure != "" || hits.Load() != 1 {
		t.Errorf("allowed: %+v", a)
	}
	ten := Rules{Allow: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
	for text, want := range map[string]error{"http://127.0.0.1": ErrPlain, "https://127.0.0.1": ErrAddress, "https://10.1.2.3": nil, "http://10.1.2.3": nil, "https://[::ffff:10.1.2.3]": nil,
		"https://hooks.example.com": nil, "http://hooks.example.com": nil, "https://[fe80::1]": ErrAddress} {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if err := ten.CheckURL(u); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", text, err, want)
		}
	}
}

// names is a DNS server in memory that answers each question with the next of some
// addresses.
type names struct {
	mu      sync.Mutex
	answers [][4]byte
	asked   int
}

func (n *names) resolver(t *testing.T) *net.Resolver {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go func() {
		buf := make([]byte, 1500)
		for {
			k, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = conn.WriteTo(n.answer(buf[:k]), from)
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

func (n *names) answer(q []byte) []byte {
	end := 12
	for q[end] != 0 {
		end += int(q[end]) + 1
	}
	end += 5
	a := append([]byte{q[0], q[1], 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}, q[12:end]...)
	if q[end-3] != 1 { // AAAA: none
		return a
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	ip := n.answers[min(n.asked, len(n.answers)-1)]
	n.asked++
	a[7] = 1
	return append(append(a, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4), ip[:]...)
}

// W1: a name that leads to the internet when it is looked at, and to this machine when it
// is dialled.
func TestNameThatChanges(t *testing.T) {
	t.Parallel()
	hits := new(atomic.Int64)
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits.Add(1) }))
	defer inside.Close()
	_, port, _ := net.SplitHostPort(inside.Listener.Addr().String())
	n := &names{answers: [][4]byte{{93, 184, 216, 34}, {127, 0, 0, 1}}}
	r := n.resolver(t)
	if found, err := r.LookupHost(t.Context(), "changes.example.com"); err != nil || found[0] != "93.184.216.34" {
		t.Fatal(found, err)
	}
	d := Rules{}.dialer(false)
	d.Resolver = r
	if _, err := d.DialContext(t.Context(), "tcp", "changes.example.com:"+port); !errors.Is(err, ErrAddress) || hits.Load() != 0 {
		t.Errorf("%v", err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.asked < 2 {
		t.Errorf("the name was asked for %d times", n.asked)
	}
}

// W4: what receivers do.
func TestAnswers(t *testing.T) {
	t.Parallel()
	hits := new(atomic.Int64)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits.Add(1) }))
	defer elsewhere.Close()
	hanging := make(chan struct{})
	sent := new(atomic.Int64)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/moved":
			http.Redirect(w, r, elsewhere.URL, http.StatusFound)
		case "/kept":
			http.Redirect(w, r, elsewhere.URL, http.StatusPermanentRedirect)
		case "/gone":
			w.WriteHeader(http.StatusGone)
		case "/broken":
			http.Error(w, "\xff\x00 broken", http.StatusInternalServerError)
		case "/large":
			for range 1 << 20 {
				n, err := io.WriteString(w, strings.Repeat("x", 1024))
				sent.Add(int64(n))
				if err != nil {
					return
				}
			}
		case "/hang":
			<-hanging
		default:
			body, _ := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%s %s %s", r.Header.Get(HeaderID), r.Header.Get("Content-Type"), body)
		}
	}))
	defer s.Close()
	defer close(hanging)
	c := NewClient(Rules{Allow: loopback}, time.Now)
	for path, want := range map[string]Answer{
		"/":       {Status: 200, Body: "id application/json {}"},
		"/moved":  {Status: 302, Failure: "answered 302: redirects are not followed"},
		"/kept":   {Status: 308, Failure: "answered 308: redirects are not followed"},
		"/gone":   {Status: 410, Failure: "answered 410"},
		"/broken": {Status: 500, Failure: "answered 500", Body: "\uFFFD\uFFFD broken\n"},
		"/large":  {Status: 200, Body: strings.Repeat("x", answerKept)},
	} {
		a := c.Send(t.Context(), s.URL+path, "id", secrets(), []byte("{}"))
		if a.Status != want.Status || a.Failure != want.Failure || want.Body != "" && a.Body != want.Body {
			t.Errorf("%s: %d %q %.80q", path, a.Status, a.Failure, a.Body)
		}
	}
	if n := hits.Load(); n > 0 {
		t.Errorf("%d redirects were followed", n)
	}
	if n := sent.Load(); n > 64<<20 {
		t.Errorf("%d bytes were read", n)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if a := c.Send(ctx, s.URL+"/hang", "id", secrets(), nil); a.Failure == "" || a.Status != 0 {
		t.Errorf("hangs: %+v", a)
	}
	refused := httptest.NewServer(nil)
	refused.Close()
	if a := c.Send(t.Context(), refused.URL, "id", secrets(), nil); !strings.Contains(a.Failure, "refused") {
		t.Errorf("nobody there: %+v", a)
	}
}
