package integration

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// Somebody downloads what is kept, and deletes the account; nothing personal is left,
// and the audit log still verifies.
func TestDeleteAccount(t *testing.T) {
	everyDatabase(t, func(t *testing.T, c *cluster) {
		m := startMailed(t, c.gate)
		leo := someone("leo")
		m.addUser(t, leo)
		b := m.Client(t)
		b.signIn(m.portal, leo)
		b.enrol(m.portal)
		account := m.portal + "/.gate/account"
		got := b.post(account+"/data", url.Values{})
		var data struct {
			User     struct{ Username, Email string }
			Factor   struct{ Kind string } `json:"second_factor"`
			Codes    int                   `json:"recovery_codes"`
			Sessions []struct{ Address, Agent string }
			Events   []struct{ Action, Outcome, Details string }
		}
		if err := json.Unmarshal([]byte(got.Body), &data); err != nil || got.Header.Get("Content-Disposition") != `attachment; filename="account.json"` {
			t.Fatalf("%v: %s\n%s", err, got.Status, got.Body)
		}
		if data.User.Email != leo.Email || data.Factor.Kind != "totp" || data.Codes != 10 || len(data.Sessions) != 1 || len(data.Events) < 3 {
			t.Errorf("%+v", data)
		}
		for _, secret := range []string{"argon2", "hash", "sealed", "token_hash"} {
			if strings.Contains(got.Body, secret) {
				t.Errorf("%q is in the download", secret)
			}
		}

		open := func(w *tab) {
			t.Helper()
			w.do(chromedp.Evaluate[chromedp.Void](`document.querySelectorAll("#privacy ~ *, details").forEach(d => d.open = true)`))
		}
		w := newBrowser(t)
		kim := someone("kim")
		m.addUser(t, kim)
		w.open(account)
		w.signIn(kim)
		open(w)
		w.look("account-privacy")
		w.fill("#confirm_username", "leo")
		w.fill("#delete-current", kim.Password)
		w.press("Delete my account")
		w.wrong("#confirm_username", "Type your username")
		open(w)
		w.fill("#confirm_username", "Kim")
		w.fill("#delete-current", kim.Password)
		w.press("Delete my account")
		w.says("Your account is deleted")
		w.look("account-deleted")
		w.open(account)
		w.signIn(kim)
		w.says("not right")
		if told := m.box.next(t, kim.Email, 1); told.Subject != "Your account was deleted" {
			t.Errorf("%+v", told)
		}
		if n := m.count(t, "SELECT count(*) FROM users WHERE username_key = ?", "kim"); n != 0 {
			t.Error("the user is still there")
		}
		eventually(t, "the events of the deletion to be sealed", func() bool {
			out, _, exit := m.CLI(t, "", "audit", "verify")
			return exit == 0 && strings.Contains(out, "as it was written")
		})
		if got := m.Client(t).post(account+"/delete", url.Values{"confirm_username": {"leo"}}); got.StatusCode != http.StatusUnauthorized {
			t.Errorf("nobody deletes: %s", got.Status)
		}
		got = b.post(account+"/delete", url.Values{"confirm_username": {"leo"}, "current_password": {"wrong"}})
		if n := m.count(t, "SELECT count(*) FROM users WHERE username_key = ?", "leo"); got.StatusCode != http.StatusForbidden || n != 1 {
			t.Errorf("with a wrong password: %s, %d users\n%s", got.Status, n, got.Body)
		}
	})
}

// With a time to think, the account is out of use until it is over, and a link in the
// message brings it back.
func TestDeleteAccountLater(t *testing.T) {
	t.Parallel()
	box := newLetterbox(t, nil)
	s := start(t, strings.Replace(mailedFile, "register open", "register open\n\t\tdelete_account 30d", 1), func(s *server) { s.Vars["SMTP"] = box.port })
	withOwner(t, s)
	m := &mailed{server: s, box: box, portal: s.URL("HTTP", "auth.localhost")}
	mia := someone("mia")
	m.addUser(t, mia)
	b := m.Client(t)
	b.signIn(m.portal, mia)
	account := m.portal + "/.gate/account"
	got := b.post(account+"/delete", url.Values{"confirm_username": {"mia"}, "current_password": {mia.Password}})
	if got.StatusCode != http.StatusOK || !strings.Contains(got.Body, "will be deleted") {
		t.Fatalf("%s\n%s", got.Status, got.Body)
	}
	if got := m.Client(t).login(m.portal, mia); got.StatusCode != http.StatusUnauthorized {
		t.Errorf("signing in meanwhile: %s", got.Status)
	}
	link := m.box.next(t, mia.Email, 1).link(t)
	w := newBrowser(t)
	w.open(link)
	w.look("account-keep")
	w.press("Keep my account")
	w.says("Your account is kept")
	w.signIn(mia)
	w.at(account)
	w.open(link)
	w.says("used already")
	owner := m.Client(t)
	owner.signIn(m.portal, someone("owner"))
	got = owner.post(account+"/delete", url.Values{"confirm_username": {"owner"}, "current_password": {someone("owner").Password}})
	if got.StatusCode != http.StatusConflict || !strings.Contains(got.Body, "last") {
		t.Errorf("the last owner: %s\n%s", got.Status, got.Body)
	}
	must(t, s.Reload(t, strings.Replace(mailedFile, "register open", "register open\n\t\tdelete_account off", 1)))
	b = m.Client(t)
	b.signIn(m.portal, mia)
	if got := b.post(account+"/delete", url.Values{"confirm_username": {"mia"}, "current_password": {mia.Password}}); got.StatusCode != http.StatusForbidden {
		t.Errorf("where nobody may: %s", got.Status)
	}
	if strings.Contains(b.get(account).Body, "Delete my account") {
		t.Error("it is offered where nobody may")
	}
	s.must(t, "", "user", "delete", "mia", "--after", "1d")
	if said := s.must(t, "", "user", "show", "mia", "--json"); !strings.Contains(said, "delete_at") {
		t.Errorf("%s", said)
	}
	s.must(t, "", "user", "enable", "mia")
	s.must(t, "", "user", "delete", "mia")
	if _, _, exit := s.CLI(t, "", "user", "show", "mia"); exit == 0 {
		t.Error("the user is still there")
	}
}
