package caddymodule

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/gatehouse-auth/gatehouse/authcore/web"
)

// Portal serves the pages for all gated hosts on a host of their own. Nothing
// else is served there: an app must not share its origin with the account pages.
type Portal struct {
	app *App
}

var (
	_ caddyhttp.MiddlewareHandler = (*Portal)(nil)
	_ caddy.Provisioner           = (*Portal)(nil)
)

// CaddyModule implements caddy.Module.
func (*Portal) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.gate_portal", New: func() caddy.Module { return new(Portal) }}
}

// Provision finds the app.
func (p *Portal) Provision(ctx caddy.Context) error {
	var err error
	p.app, err = appOf(ctx)
	return err
}

// changePassword is where password managers find the page to change a password (W3C, A
// Well-Known URL for Changing Passwords).
const changePassword = "/.well-known/change-password"

// relatedOrigins is where browsers look which other origins may use the passkeys of a
// domain (Web Authentication Level 3, section 5.11.1).
const relatedOrigins = "/.well-known/webauthn"

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (p *Portal) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	rt, err := p.app.running()
	if err != nil {
		web.Starting(w)
		return nil
	}
	_, u := original(r)
	if u.Path == relatedOrigins && web.Hostname(rt.portal.host) == p.app.values.passkeys.Domain {
		if document := p.app.values.passkeys.Related(); document != nil {
			w.Header().Set("Content-Type", "application/json")
			return json.NewEncoder(w).Encode(document)
		}
	}
	switch u.Path {
	case "/", "", changePassword:
		w.Header().Set("Cache-Control", "no-store")
		http.Redirect(w, r, web.Prefix+"account", http.StatusFound)
		return nil
	}
	if strings.HasPrefix(u.Path, "/.well-known/") && rt.serveWellKnown(w, r, u) {
		return nil
	}
	return rt.serve(w, r, u, true)
}
