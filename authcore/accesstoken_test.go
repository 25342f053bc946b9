package authcore

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore/access"
)

func TestAccessTokenText(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for range 1000 {
		secret, hash := MakeAccessToken()
		text := secret.Reveal()
		if !PlausibleAccessToken(text) || hash != HashToken(text) || len(text) != 54 || seen[text] {
			t.Fatalf("%q", text)
		}
		if PlausibleToken(text) {
			t.Fatal("an access token looks like that of a session")
		}
		seen[text] = true
	}
	secret, _ := MakeAccessToken()
	good := secret.Reveal()
	for i := range good {
		for _, c := range []byte{'0', 'z', '-', ' '} {
			if bad := good[:i] + string(c) + good[i+1:]; bad != good && PlausibleAccessToken(bad) {
				t.Errorf("one character changed: %q for %q", bad, good)
			}
		}
		if PlausibleAccessToken(good[:i]) {
			t.Errorf("cut short: %q", good[:i])
		}
	}
	for _, bad := range []string{"", "gate_", good + "0", strings.ToUpper(good), " " + good[1:]} {
		if PlausibleAccessToken(bad) {
			t.Errorf("%q", bad)
		}
	}
}

func TestLookupAccess(t *testing.T) {
	t.Parallel()
	clock := newHandClock()
	c := newCacheTest(t, clock.now, clock.advance)
	hear := func() {
		t.Helper()
		if err := c.poll(t.Context(), func() bool { return true }); err != nil {
			t.Fatal(err)
		}
	}
	hear()
	secret, hash := MakeAccessToken()
	made := c.now()
	token := AccessToken{ID: NewSessionID(), UserID: "u", Name: "Backup", CreatedAt: made, ExpiresAt: made.Add(MaxAccessTokenLife)}
	c.table.mu.Lock()
	c.table.rows[hash] = sessionTableRow{token.session(), User{ID: "u", Username: "alice", Status: Active}}
	c.table.mu.Unlock()
	look := func() (*Live, error) { return c.Sessions.LookupAccessToken(t.Context(), secret.Reveal(), c.now()) }
	live, err := look()
	if err != nil || live.Session.Access == nil || live.User().Username != "alice" {
		t.Fatal(live, err)
	}
	if _, err := c.Sessions.Lookup(t.Context(), secret.Reveal(), c.now(), testIdle); !errors.Is(err, ErrNoSession) {
		t.Errorf("as a session: %v", err)
	}
	clock.advance(30 * 24 * time.Hour) // nobody used it meanwhile
	hear()
	if _, err := look(); err != nil {
		t.Errorf("after a month: %v", err)
	}
	reads := c.table.readings()
	c.Sessions.Apply(Change{Kind: ChangeSession, Subject: string(token.ID)})
	c.table.change(secret.Reveal(), nil)
	if _, err := look(); !errors.Is(err, ErrNoSession) || c.table.readings() != reads+1 {
		t.Errorf("revoked: %v", err)
	}
}

func TestNewAccessIsChecked(t *testing.T) {
	t.Parallel()
	good := func() NewAccessToken { return NewAccessToken{Name: "Backup", Life: time.Hour} }
	for name, edit := range map[string]func(*NewAccessToken){
		"token_name_invalid":  func(n *NewAccessToken) { n.Name = "" },
		"token_life_invalid":  func(n *NewAccessToken) { n.Life = MaxAccessTokenLife + 1 },
		"token_grant_invalid": func(n *NewAccessToken) { n.Grant = access.Grant{Paths: []string{"api"}} },
	} {
		n := good()
		edit(&n)
		var e *Error
		if err := n.validate(); !errors.As(err, &e) || e.Code != name {
			t.Errorf("%s: %v", name, err)
		}
	}
	n := good()
	if err := n.validate(); err != nil {
		t.Error(err)
	}
}
