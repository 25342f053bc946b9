package integration

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestP14_NamesAreLiteral(t *testing.T) {
	t.Parallel()
	s := lodge.get(t)
	const planted = "planted-in-the-environment"
	mallory := someone("mallory")
	s.addUser(t, mallory)
	b := s.Client(t)
	b.signIn(s.at("app.localhost", ""), mallory)
	site := s.at("app.localhost", "")
	for i, text := range []string{"{env.PLANTED}", "{file./etc/passwd}", "{$PLANTED}", "{{env \"PLANTED\"}}", "{http.auth.user.email}",
		"{http.request.cookie.gate}", "{http.request.header.Cookie}", "{system.hostname}", "{env.PLANTED", "\\{env.PLANTED\\}"} {
		form := url.Values{"name": {text}, "email": {mallory.Email}, "current_password": {mallory.Password}}
		if got := b.post(site+"/.gate/account/profile", form); got.StatusCode != http.StatusSeeOther {
			t.Fatalf("%s: profile: %s\n%s", text, got.Status, got.Body)
		}
		mark := fmt.Sprintf("/p14-%d-", i)
		got := b.fetch(site + mark)
		e := s.lastReceived(t, mark)
		if e.get("Remote-Name") != text || e.get("X-Told") != text+"/"+text || got.Header.Get("X-Who") != text {
			t.Errorf("%s becomes %q, %q and %q", text, e.get("Remote-Name"), e.get("X-Told"), got.Header.Get("X-Who"))
		}
		if page := b.get(site + "/.gate/account"); strings.Contains(page.Body, planted) {
			t.Errorf("%s: the account page shows the environment", text)
		}
	}
}

// TestP14_TypedIsLiteral has placeholders in everything else that one can type.
func TestP14_TypedIsLiteral(t *testing.T) {
	t.Parallel()
	s := lodge.get(t)
	const text, planted = "{env.PLANTED}", "planted-in-the-environment"
	site := s.at("app.localhost", "")
	b := s.Client(t)
	for name, got := range map[string]page{
		"username":        b.post(site+"/.gate/login", url.Values{"username": {text}, "password": {text}, "return_to": {"/" + text}}),
		"username, JSON":  b.do("POST", site+"/.gate/login", `{"username":"`+text+`","password":"`+text+`"}`, header{"Content-Type", "application/json"}),
		"return_to":       b.get(site + "/.gate/login?return_to=/" + url.QueryEscape(text) + "&flow=" + url.QueryEscape(text)),
		"path":            b.get(site + "/" + url.PathEscape(text) + "?q=" + text),
		"path of ours":    b.get(site + "/.gate/" + url.PathEscape(text)),
		"header":          b.get(site+"/.gate/login", header{"User-Agent", text}, header{"Referer", text}, header{"X-Request-Id", text}),
		"cookie":          b.get(site+"/page", header{"Cookie", "gate=" + text + "; gate-flow=" + text}),
		"setup token":     b.get(site + "/.gate/setup?token=" + text),
		"callback's code": b.get(site + "/.gate/callback?code=" + text),
	} {
		if all := fmt.Sprint(got.Header) + got.Body; strings.Contains(all, planted) {
			t.Errorf("%s: the answer shows the environment:\n%s", name, all)
		}
	}
	if out, errs, exit := s.CLI(t, "a-good-long-password\n", "user", "add", text, "--password-stdin"); exit == 0 {
		t.Errorf("a user %q was made: %s%s", text, out, errs)
	}
	if _, _, exit := s.CLI(t, "a-good-long-password\n", "user", "add", "trudy", "--name", text, "--group", text, "--password-stdin"); exit == 0 {
		t.Errorf("a group %q was made", text)
	}
	// Sign-in with the placeholder as the password of an account that has it so.
	erin := someone("erin")
	erin.Password = "long-" + text
	s.addUser(t, erin)
	s.Client(t).signIn(site, erin)
	erin.Password = "long-" + planted
	if got := s.Client(t).login(site, erin); got.StatusCode != http.StatusUnauthorized {
		t.Errorf("the password was expanded: %s", got.Status)
	}
	if strings.Contains(s.Log(), planted) {
		t.Error("the log shows the environment")
	}
}
