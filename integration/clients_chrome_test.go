package integration

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"github.com/gatehouse-auth/gatehouse/authcore/web/api"
)

// TestOIDCClientTS is npm's oidc-client-ts: a page that is all script, on another origin, in
// Chromium. It signs in by redirect, renews by the refresh token and signs out; then the same
// with tokens that are bound to a key of the browser.
func TestOIDCClientTS(t *testing.T) {
	everyDatabase(t, func(t *testing.T, c *cluster) {
		i := startIssuer(t, c)
		for _, bound := range []bool{false, true} {
			settings := make(map[string]any)
			mux := http.NewServeMux()
			page := httptest.NewServer(mux)
			defer page.Close()
			made := i.service(t, api.NewService{Type: "desktop", Name: "Orders", RedirectURIs: []string{"http://127.0.0.1/back"}, LogoutURIs: []string{page.URL + "/"}, DPoP: bound})
			settings["authority"], settings["client_id"], settings["dpop"] = i.at, made.ClientID, bound
			file := func(path string) http.HandlerFunc {
				return func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, path) }
			}
			for _, path := range []string{"GET /{$}", "GET /back"} {
				mux.HandleFunc(path, file(filepath.Join("openid", "spa.html")))
			}
			mux.HandleFunc("GET /oidc-client-ts.js", file(filepath.Join("openid", "node_modules", "oidc-client-ts", "dist", "browser", "oidc-client-ts.min.js")))
			mux.HandleFunc("GET /settings.json", func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(settings) })

			w := newBrowser(t)
			w.open(page.URL + "/")
			w.says("Nobody is signed in")
			w.press("Sign in")
			w.atPage(i.at + "/.gate/login")
			w.signIn(ann)
			w.atPage(i.at + "/.gate/oauth/consent")
			w.press("Allow")
			w.atPage(page.URL + "/back")
			kind := map[bool]string{false: "Bearer", true: "DPoP"}[bound]
			w.says("ann <ann@example.com>, " + kind + ", state deep, renewed 0 times")
			for _, times := range []string{"1", "2"} {
				w.click("Renew")
				w.says("ann <ann@example.com>, " + kind + ", state none, renewed " + times + " times")
			}
			w.press("Sign out")
			w.atPage(page.URL + "/")
			w.says("Nobody is signed in")
			w.open(i.at + "/.gate/account")
			w.atPage(i.at + "/.gate/login")
			t.Logf("oidc-client-ts in Chromium, %s: signed in, claims, userinfo, renewed twice, signed out", kind)
		}
	})
}
