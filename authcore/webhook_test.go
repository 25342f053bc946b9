package authcore

import (
	"strings"
	"testing"
	"time"
)

// Leaves of events from before there were organizations in them still hold, and an
// organization cannot be put into one.
func TestLeafWithOrganization(t *testing.T) {
	t.Parallel()
	c := NewChain(NewSecretKey())
	e := NewEvent(time.Unix(1, 0), CommandLine(), MemberSet, "target", Success, "details")
	salt := Salts(1)[0]
	plain := c.Leaf(&e, salt)
	in := e.In("acme")
	if c.Leaf(&in, salt) == plain || e.Organization != "" {
		t.Error("the organization is not in the leaf")
	}
	in.Organization = ""
	if c.Leaf(&in, salt) != plain {
		t.Error("a leaf without is another")
	}
}

func TestWebhookSecrets(t *testing.T) {
	t.Parallel()
	now := time.Unix(1e9, 0)
	sealer := NewSecretKey().NewSealer("webhook", func() time.Time { return now })
	s := WebhookSecrets{NewWebhookSecret(), NewWebhookSecret(), now.Add(WebhookOverlap).UTC()}
	sealed, err := SealWebhookSecrets(sealer, "one", s)
	if err != nil || strings.Contains(sealed, "whsec") {
		t.Fatal(sealed, err)
	}
	got, err := OpenWebhookSecrets(sealer, &Webhook{ID: "one", Sealed: sealed})
	if err != nil || got != s {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := OpenWebhookSecrets(sealer, &Webhook{ID: "other", Sealed: sealed}); err == nil {
		t.Error("the secrets of one webhook open for another")
	}
	if n := len(s.At(now.Add(WebhookOverlap - 1))); n != 2 {
		t.Errorf("%d secrets in the overlap", n)
	}
	if all := s.At(now.Add(WebhookOverlap)); len(all) != 1 || all[0] != s.Current {
		t.Errorf("%d secrets after it", len(all))
	}
}
