package connect

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// An organization that has a client of its own at a provider signs in with it, any other
// with the platform's.
func TestOwnClients(t *testing.T) {
	t.Parallel()
	p, err := New(Settings{Name: "google", Kind: Google, ClientID: "platform", ClientSecret: "secret"}, http.DefaultTransport, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	away := errors.New("away")
	ps := NewProviders([]*Provider{p}, nil).WithOwn(func(_ context.Context, organization, name string) (*authcore.OwnClient, error) {
		switch organization {
		case "acme":
			return &authcore.OwnClient{Slug: organization, ClientID: "own", Secret: "hidden"}, nil
		case "broken":
			return nil, away
		}
		return nil, nil
	})
	for _, c := range []struct {
		organization, name, want string
		err                      error
	}{{"", "google", "platform", nil}, {"acme", "google", "own", nil}, {"beta", "google", "platform", nil}, {"broken", "google", "", away}, {"acme", "github", "", ErrUnknownProvider}} {
		got, err := ps.Find(t.Context(), c.organization, c.name)
		if !errors.Is(err, c.err) || err == nil && (got.ClientID != c.want || got.Issuer != p.Issuer) {
			t.Errorf("%s at %s: %+v, %v", c.organization, c.name, got, err)
		}
	}
	if p.ClientID != "platform" {
		t.Error("the platform's was changed")
	}
}
