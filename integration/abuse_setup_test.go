package integration

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestL11_SetupNeverReopens(t *testing.T) {
	t.Parallel()
	s := start(t, `{
	{{.Global}}
	gate {
		{{.Gate}}
	}
}
http://app.localhost:{{.HTTP}} {
	gate
	reverse_proxy {{.Upstream}}
}
`)
	link, err := url.Parse(s.SetupLink(t))
	if err != nil {
		t.Fatal(err)
	}
	token := link.Query().Get("token")
	s.createOwner(t, alice)
	closed := func(when string) {
		t.Helper()
		form := someone("second").form()
		form.Set("token", token)
		b := s.Client(t)
		if got := b.post(s.at("app.localhost", "/.gate/setup"), form); got.StatusCode != http.StatusForbidden || len(got.Header["Set-Cookie"]) > 0 {
			t.Errorf("%s: setup: %s", when, got.Status)
		}
		if got := b.get(link.String()); got.StatusCode != http.StatusForbidden {
			t.Errorf("%s: setup page: %s", when, got.Status)
		}
	}
	restarted := func(when string) {
		t.Helper()
		before := len(s.Log())
		s.Restart(t)
		if err := s.Reload(t, s.text+"\n# changed "+when); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(s.Log()[before:], "setup_link") {
			t.Errorf("%s: a setup link is in the log again", when)
		}
		closed(when)
	}
	closed("after the first owner")
	for _, args := range [][]string{{"user", "disable", "alice"}, {"user", "owner", "alice", "--remove"}} {
		_, errs, exit := s.CLI(t, "", args...)
		if exit == 0 {
			t.Errorf("%q on the last owner works: %s", args, errs)
		}
	}
	if n := s.count(t, "SELECT COUNT(*) FROM users WHERE owner = 1 AND status = 'active'"); n != 1 {
		t.Fatalf("there are %d active owners", n)
	}
	restarted("after a restart")
	s.edit(t, "UPDATE users SET status = 'disabled'")
	closed("after the owner was disabled in the database")
	restarted("after the owner was disabled and a restart")
	s.edit(t, "UPDATE users SET status = 'active', owner = 0")
	restarted("after nobody was an owner any more")
	for _, table := range []string{"users", "passwords", "sessions", "user_groups"} {
		s.edit(t, "DELETE FROM "+table)
	}
	closed("after all users were deleted")
	restarted("after all users were deleted and a restart")
}

// TestL11_SetupLinkOnce tries the link at the same time from many places.
func TestL11_SetupLinkOnce(t *testing.T) {
	t.Parallel()
	s := start(t, twoSites)
	link, err := url.Parse(s.SetupLink(t))
	if err != nil {
		t.Fatal(err)
	}
	client := s.Client(t)
	client.Jar = nil
	done := make(chan int)
	for i := range 10 {
		form := someone(fmt.Sprintf("owner%d", i)).form()
		form.Set("token", link.Query().Get("token"))
		go func() {
			resp, err := client.PostForm(s.at("auth.example.com", "/.gate/setup"), form)
			if err != nil {
				t.Error(err)
				done <- 0
				return
			}
			resp.Body.Close()
			done <- resp.StatusCode
		}()
	}
	made := 0
	for range 10 {
		switch status := <-done; status {
		case http.StatusSeeOther:
			made++
		case http.StatusForbidden:
		default:
			t.Errorf("setup answers %d", status)
		}
	}
	if n := s.count(t, "SELECT COUNT(*) FROM users"); made != 1 || n != 1 {
		t.Errorf("one link made %d owners, %d users", made, n)
	}
}
