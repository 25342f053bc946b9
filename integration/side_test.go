package integration

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// What is answered for an address or a name that somebody has and for one that nobody
// has, side by side: the same number of bytes, and with -v the times. With GATE_SIDE=500
// they are worth reading.
func TestSideBySide(t *testing.T) {
	t.Parallel()
	m := startMailed(t)
	m.addUser(t, someone("known00"))
	m.addUser(t, someone("disable"))
	m.must(t, "", "user", "disable", "disable")
	m.register(t, m.portal, someone("unprove"))
	n := times(t, "GATE_SIDE", 10)
	for _, ask := range []struct {
		what, path, field string
	}{{"sign in", "login", "username"}, {"sign in by mail", "mail", "email"}, {"recover", "recover", "email"}} {
		took := make(map[string][]time.Duration)
		sizes := make(map[string]int)
		for i := range n {
			for _, who := range []string{"known00", "unknown", "disable", "unprove"} {
				form := url.Values{ask.field: {who}, "password": {"a-wrong-password"}}
				if ask.field == "email" {
					// One mailbox takes three messages: after that all are refused alike.
					form.Set("email", who+"@example.com")
				}
				b := m.Client(t)
				b.get(m.portal + "/.gate/login") // the connection, and the cookie
				began := time.Now()
				got := b.post(m.portal+"/.gate/"+ask.path, form)
				took[who] = append(took[who], time.Since(began))
				size := len(got.Body)
				for name, values := range got.Header {
					if name != "Date" && name != "Retry-After" && name != "Content-Length" {
						size += len(name) + len(strings.Join(values, ""))
					}
				}
				if i == 0 {
					sizes[who] = size
				}
			}
		}
		for _, who := range []string{"known00", "unknown", "disable", "unprove"} {
			d := took[who]
			slices.Sort(d)
			t.Logf("%-16s %-8s %5d bytes  p10 %8s  p50 %8s  p90 %8s  p99 %8s", ask.what, who, sizes[who],
				d[n/10].Round(time.Microsecond), d[n/2].Round(time.Microsecond), d[n*9/10].Round(time.Microsecond), d[n*99/100].Round(time.Microsecond))
			if sizes[who] != sizes["known00"] {
				t.Errorf("%s, %s: %d bytes, for one that is known %d", ask.what, who, sizes[who], sizes["known00"])
			}
		}
	}
}
