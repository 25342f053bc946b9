package integration

import (
	"fmt"
	"strings"
	"testing"
)

// Two nodes share the work of sending: what either posts arrives once, also after an
// outage, and when the node that sends is killed.
func TestMailNodes(t *testing.T) {
	eachServer(t, func(t *testing.T, driver string) {
		cl, box := newCluster(t, driver, false), newLetterbox(t, nil)
		file := strings.Replace(mailedFile, "{{.Gate}}", "{{.Store}}\n\t\thashing {\n\t\t\targon2id 64KiB 1 1\n\t\t\tpermits off\n\t\t}", 1)
		node := func() *server {
			return start(t, file, func(s *server) { cl.node(s); s.Vars["SMTP"] = box.port })
		}
		one, two := node(), node()
		withOwner(t, one)
		const people = 30
		begin := func(from int) {
			for n := range people {
				s := []*server{one, two}[n%2]
				s.register(t, s.URL("HTTP", "auth.localhost"), someone(fmt.Sprintf("visitor%d", from+n)))
			}
		}
		once := func(what string, from int) {
			for n := range people {
				box.next(t, fmt.Sprintf("visitor%d@example.com", from+n), 1)
			}
			if n := len(box.all("")); n != from+people {
				t.Errorf("%s: %d letters for %d people", what, n, from+people)
			}
		}
		begin(0)
		once("both run", 0)
		box.close()
		begin(people)
		box.open(t)
		once("after an outage", people)
		box.close()
		begin(2 * people)
		one.Kill(t)
		box.open(t)
		once("after one was killed", 2*people)
	})
}
