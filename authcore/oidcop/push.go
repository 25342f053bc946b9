package oidcop

import (
	"errors"
	"net/http"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

const (
	// pushedPrefix begins the request_uri of a pushed request (RFC 9126 section 2.2).
	pushedPrefix = "urn:ietf:params:oauth:request_uri:"
	// pushedLife is how long one is good: the user may sign in meanwhile.
	pushedLife = 10 * time.Minute
	// maxPushed is the longest one, in bytes.
	maxPushed = 16 << 10
)

// pushedAnswer is the answer to a pushed request.
type pushedAnswer struct {
	URI     string `json:"request_uri"`
	Expires int64  `json:"expires_in"` // seconds
}

// push keeps an authorization request that a service sends ahead (RFC 9126). It is judged as
// it will be, so that the service learns of its mistakes here.
func (p *Provider) push(w http.ResponseWriter, r *http.Request, from authcore.Client) {
	out, err := p.keep(w, r, from)
	if err != nil {
		p.fail(w, r, from, err)
		return
	}
	answer(w, http.StatusCreated, out)
}

func (p *Provider) keep(w http.ResponseWriter, r *http.Request, from authcore.Client) (*pushedAnswer, error) {
	c, form, err := p.asked(w, r, from)
	if err != nil {
		return nil, err
	}
	if c.own() {
		return nil, &Error{Code: "unauthorized_client", Description: "The command line signs in as a device."}
	}
	if err := p.mayWrite(c, from); err != nil {
		return nil, err
	}
	if form.Has("request_uri") {
		return nil, invalid("A pushed request has no request_uri.")
	}
	for _, name := range []string{"client_secret", "client_assertion", "client_assertion_type"} {
		form.Del(name)
	}
	form.Set("client_id", c.ClientID)
	jkt, err := p.proven(r, PathPush, "", c.share(from))
	switch {
	case err != nil:
		return nil, err
	case jkt != "" && form.Has("dpop_jkt") && form.Get("dpop_jkt") != jkt:
		return nil, errProof
	case jkt != "":
		form.Set("dpop_jkt", jkt)
	}
	_, err = p.requestOf(r.Context(), c, form)
	if errors.Is(err, ErrRedirectURI) {
		err = invalid("The redirect_uri is missing, or is not registered for the client.")
	}
	if err != nil {
		return nil, err
	}
	text := form.Encode()
	if len(text) > maxPushed {
		return nil, &Error{Code: "invalid_request", Description: "The request is too large.", Status: http.StatusRequestEntityTooLarge}
	}
	name, hash := authcore.KindPushed.New()
	if err := p.Accounts.Store.PushRequest(r.Context(), authcore.PushedRequest{Hash: hash, Service: c.Service.ID, Form: text, ExpiresAt: p.now().Add(pushedLife)}); err != nil {
		return nil, err
	}
	return &pushedAnswer{URI: pushedPrefix + name.Reveal(), Expires: int64(pushedLife / time.Second)}, nil
}
