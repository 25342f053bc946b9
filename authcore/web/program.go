package web

import (
	"net/http"

	"github.com/gatehouse-auth/gatehouse/authcore/oidcop"
)

// program gives what answers programs at a whole path: an endpoint of the provider, which is
// on the portal's host only; nil for none.
func (h *Handler) program(path string, p Place) oidcop.Endpoint {
	if h.OAuth == nil || p.Mode != ModePortal {
		return nil
	}
	return h.OAuth.Endpoint(path)
}

// serveProgram answers a program. Other sites may send it, since a standard has it so: no
// cookie is believed, and none is set.
func (h *Handler) serveProgram(w http.ResponseWriter, r *http.Request, p Place, answer oidcop.Endpoint) error {
	if r.TLS != nil && !r.TLS.HandshakeComplete && r.Method != http.MethodGet && r.Method != http.MethodHead {
		return errTooEarly
	}
	delete(r.Header, "Cookie")
	answer(w, r, p.Client)
	return nil
}

// ServeWellKnown answers where clients look for what the provider offers (RFC 8414 section 3,
// OpenID Connect Discovery 1.0 section 4), and tells whether that is there.
func (h *Handler) ServeWellKnown(w http.ResponseWriter, r *http.Request, p Place) bool {
	answer := h.program(r.URL.Path, p)
	if answer == nil {
		return false
	}
	if err := h.serveProgram(w, r, p, answer); err != nil {
		h.Fail(w, r, p, nil, err)
	}
	return true
}
