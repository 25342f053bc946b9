package integration

import (
	"net/http"
	"testing"

	"github.com/gatehouse-auth/gatehouse/authcore/web/api"
)

// Clients that nobody here wrote sign in at our provider: those of Go here, those of npm in
// clients_node_test.go and clients_chrome_test.go, those of Debian in clients_debian_test.go.

// TestGoClient is go-oidc and x/oauth2: by a code with PKCE, by a device, and for itself.
func TestGoClient(t *testing.T) {
	everyDatabase(t, func(t *testing.T, c *cluster) {
		i := startIssuer(t, c)
		for _, n := range []api.NewService{{}, {Algorithm: "RS256", TokenFormat: "opaque"}, {Type: "desktop", RedirectURIs: []string{"http://127.0.0.1/back"}}} {
			party := i.relyOn(t, n)
			if n.Type == "desktop" {
				party.RedirectURL = "http://127.0.0.1:41234/back" // on a loopback address any port will do
			}
			token := party.signsIn()
			claims := party.claims(token)
			if claims["nonce"] != "once" || claims["preferred_username"] != "ann" || claims["email"] != "ann@example.com" || claims["acr"] != "single-factor" {
				t.Errorf("claims: %v", claims)
			}
			info, err := party.found.UserInfo(party.context(), party.TokenSource(party.context(), token))
			must(t, err)
			if info.Subject != claims["sub"] || info.Email != "ann@example.com" {
				t.Errorf("userinfo: %+v", info)
			}
			again, err := party.refresh(token)
			must(t, err)
			if fresh := party.claims(again); again.RefreshToken == token.RefreshToken || fresh["sub"] != claims["sub"] || fresh["sid"] != claims["sid"] || fresh["auth_time"] != claims["auth_time"] || fresh["nonce"] != nil {
				t.Errorf("refreshed: %v, before %v", fresh, claims)
			}
			raw, _ := again.Extra("id_token").(string)
			if got := i.agree(party.person, i.at+"/.gate/oauth/end_session?id_token_hint="+raw, ann); got.Request.URL.Path != "/.gate/logout" {
				t.Errorf("signed out: %s %s", got.Status, got.Request.URL)
			}
			if got := party.person.fetch(i.at + "/.gate/whoami"); got.StatusCode != http.StatusUnauthorized {
				t.Errorf("after the sign-out: %s", got.Status)
			}
			if _, err := party.refresh(again); err != nil { // of offline_access
				t.Errorf("offline: %v", err)
			}
			t.Logf("go-oidc, %s %s %s: signed in as %v, claims, userinfo, refreshed, signed out", party.made.Type, party.made.Algorithm, party.made.TokenFormat, claims["preferred_username"])
		}

		device := i.relyOn(t, api.NewService{Type: "desktop", Device: true})
		asked, err := device.DeviceAuth(device.context())
		must(t, err)
		i.approve(device.person, asked.UserCode, ann)
		asked.Interval = 1
		token, err := device.DeviceAccessToken(device.context(), asked)
		must(t, err)
		if claims := device.claims(token); claims["preferred_username"] != "ann" {
			t.Errorf("by the device: %v", claims)
		}
		t.Log("x/oauth2: signed in by a device")
	})
}
