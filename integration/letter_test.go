package integration

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// mailed is a gate with mail, and the letterbox that gets it.
type mailed struct {
	*server
	box    *letterbox
	portal string
}

const mailedFile = `{
	{{.Global}}
	gate {
		{{.Gate}}
		portal http://auth.localhost:{{.HTTP}}
		register open
		limits {
			address off
			account off
		}
		mail {
			smtp 127.0.0.1:{{.SMTP}}
			tls off
			from "Example Gate <gate@example.org>"
		}
		policy anybody {
			allow everyone
		}
		policy colleagues {
			allow domain:example.com
		}
	}
}
http://auth.localhost:{{.HTTP}} {
	log
	gate_portal
}
http://app.localhost:{{.HTTP}} {
	gate anybody
	reverse_proxy {{.Upstream}}
}
http://staff.localhost:{{.HTTP}} {
	gate colleagues
	reverse_proxy {{.Upstream}}
}
`

// startMailed starts one with an owner.
func startMailed(t testing.TB, opts ...option) *mailed {
	t.Helper()
	box := newLetterbox(t, nil)
	s := start(t, mailedFile, append(opts, func(s *server) { s.Vars["SMTP"] = box.port })...)
	withOwner(t, s)
	return &mailed{server: s, box: box, portal: s.URL("HTTP", "auth.localhost")}
}

// next waits for the nth letter for an address.
func (b *letterbox) next(t testing.TB, to string, n int) letter {
	t.Helper()
	eventually(t, fmt.Sprintf("letter %d for %s", n, to), func() bool { return len(b.all(to)) >= n })
	return b.all(to)[n-1]
}

// about waits for the nth letter for an address with a subject.
func (b *letterbox) about(t testing.TB, to, subject string, n int) (found letter) {
	t.Helper()
	eventually(t, fmt.Sprintf("letter %d for %s about %q", n, to, subject), func() bool {
		left := n
		for _, l := range b.all(to) {
			if l.Subject == subject {
				if left--; left == 0 {
					found = l
				}
			}
		}
		return left <= 0
	})
	return found
}

var anyLink = regexp.MustCompile(`https?://\S+/\.gate/\S+\?\S+`)

// link is the address with a one-time code in a letter, the same in both forms.
func (l letter) link(t testing.TB) string {
	t.Helper()
	link := anyLink.FindString(l.Text)
	if link == "" || !strings.Contains(l.HTML, `href="`+strings.ReplaceAll(link, "&", "&amp;")+`"`) {
		t.Fatalf("no link in both forms of %q:\n%s\n%s", l.Subject, l.Text, l.HTML)
	}
	return link
}
