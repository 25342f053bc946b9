package oidcop

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// How the answer reaches the service (OAuth 2.0 Multiple Response Types section 2.1, Form
// Post Response Mode).
const (
	modeQuery    = "query"
	modeFragment = "fragment"
	modeForm     = "form_post"
)

// What a service wants the user to be asked (OpenID Connect Core section 3.1.2.1).
const (
	promptNone    = "none"
	promptLogin   = "login"
	promptConsent = "consent"
	promptAccount = "select_account"
)

// Request is an authorization request whose answer can go to the service: the client is
// known, and the address is one of its own.
type Request struct {
	Service     authcore.Service
	RedirectURI string
	State       string
	Mode        string // of the answer
	Scopes      []string
	Resources   []string
	Nonce       string
	Challenge   string        // of the code (RFC 7636)
	Prompts     []string      // what the user is to be asked
	MaxAge      time.Duration // of the proof; less than 0 where any age will do
	Class       string        // of the proof that is wanted; empty for any
	Login       string        // what the user may be called
	Hint        string        // an ID token of the user who is expected
	Key         string        // the thumbprint to which the code is bound (RFC 9449 section 10)

	client *client
	pushed authcore.TokenHash
}

// Asks tells whether the service wants the user to be asked for something.
func (q *Request) Asks(prompt string) bool { return slices.Contains(q.Prompts, prompt) }

// Silent tells whether nothing may be shown to the user.
func (q *Request) Silent() bool { return q.Asks(promptNone) }

// AsksLogin tells whether the user is to sign in anew.
func (q *Request) AsksLogin() bool { return q.Asks(promptLogin) || q.Asks(promptAccount) }

// AsksConsent tells whether the user is to be asked, whatever was granted before.
func (q *Request) AsksConsent() bool { return q.Asks(promptConsent) }

// ErrNoService says that a request names no service, or one that cannot be used.
var ErrNoService = &authcore.Error{Kind: authcore.Invalid, Code: "client_unknown", Message: "The app that sent you here is not known, or cannot be used at present. Tell whoever runs it."}

// ErrRedirectURI says that the answer to a request cannot be sent where it wants.
var ErrRedirectURI = &authcore.Error{Kind: authcore.Invalid, Code: "redirect_uri_mismatch", Message: "The app that sent you here asks to be answered at an address (redirect_uri) that is not registered for it, or names none. Tell whoever runs it: the server's log says more."}

// ErrBadRequest says that a request cannot be read.
var ErrBadRequest = &authcore.Error{Kind: authcore.Invalid, Code: "request_invalid", Message: "The app that sent you here made a mistake: its request cannot be read. Tell whoever runs it."}

// ErrRequestOld says that a pushed request, or one that a page of ours goes on with, has
// expired or was used.
var ErrRequestOld = &authcore.Error{Kind: authcore.Invalid, Code: "request_expired", Message: "This sign-in took too long, or was finished already. Go back to the app and begin again."}

// Read reads an authorization request (RFC 6749 section 4.1.1, OpenID Connect Core section
// 3.1.2.1). Where the request is nil, the error is for a page of ours: nothing may be sent to
// an address that is not the service's. Else an error goes to the service.
func (p *Provider) Read(ctx context.Context, text string) (*Request, error) {
	form, bad := ParseForm(text)
	if bad != nil {
		return nil, ErrBadRequest.With(bad)
	}
	c, err := p.find(ctx, form.Get("client_id"))
	if err != nil {
		return nil, err
	}
	if c == nil || c.own() || !c.usable() {
		return nil, ErrNoService
	}
	var pushed authcore.TokenHash
	if uri, ok := strings.CutPrefix(form.Get("request_uri"), pushedPrefix); ok {
		if !authcore.KindPushed.Plausible(uri) {
			return nil, ErrRequestOld
		}
		kept, err := p.Accounts.Store.PushedRequest(ctx, authcore.HashToken(uri), p.now())
		if errors.Is(err, authcore.ErrGrantInvalid) || err == nil && kept.Service != c.Service.ID {
			return nil, ErrRequestOld
		}
		if err != nil {
			return nil, err
		}
		if form, bad = ParseForm(kept.Form); bad != nil {
			return nil, ErrBadRequest
		}
		pushed = kept.Hash
	}
	q, err := p.requestOf(ctx, c, form)
	if q == nil {
		return nil, err
	}
	if q.pushed = pushed; err == nil && c.PushedOnly && pushed == (authcore.TokenHash{}) {
		err = invalid("The service has to push its requests.")
	}
	return q, err
}

// requestOf judges the parameters of a request. An error without a request is for a page of ours.
func (p *Provider) requestOf(ctx context.Context, c *client, form url.Values) (*Request, error) {
	q := &Request{Service: c.Service, client: c, RedirectURI: form.Get("redirect_uri"), State: form.Get("state"), Mode: modeQuery, MaxAge: -1,
		Nonce: form.Get("nonce"), Challenge: form.Get("code_challenge"), Prompts: strings.Fields(form.Get("prompt")), Login: form.Get("login_hint"), Hint: form.Get("id_token_hint"), Key: form.Get("dpop_jkt")}
	if !c.Redirects(q.RedirectURI) {
		return nil, ErrRedirectURI
	}
	switch mode := form.Get("response_mode"); mode {
	case "":
	case modeQuery, modeFragment, modeForm:
		q.Mode = mode
	default:
		return q, invalid("There is no such response_mode here.")
	}
	return q, p.judge(ctx, q, form)
}

// The bounds of what a request carries, in bytes.
const (
	maxState = 2048
	maxNonce = 512
	thumb    = 43 // a SHA-256 in base64url: of a challenge, of a key
)

func (p *Provider) judge(ctx context.Context, q *Request, form url.Values) (err error) {
	c := q.client
	switch {
	case form.Has("request"):
		return &Error{Code: "request_not_supported", Description: "Push the request instead (RFC 9126)."}
	case form.Has("request_uri"):
		return &Error{Code: "request_uri_not_supported", Description: "Only pushed requests have a request_uri here."}
	case form.Has("registration"):
		return &Error{Code: "registration_not_supported", Description: "Clients are registered by their organizations."}
	case form.Get("response_type") == "":
		return invalid("The response_type is missing.")
	case form.Get("response_type") != "code":
		return &Error{Code: "unsupported_response_type", Description: "The response_type is code here."}
	case len(q.State) > maxState || len(q.Nonce) > maxNonce || len(q.Login) > maxNonce:
		return invalid("The state, the nonce or the login_hint is too long.")
	}
	if err := q.challenged(form.Get("code_challenge_method")); err != nil {
		return err
	}
	if q.Key != "" && !isThumb(q.Key) {
		return invalid("The dpop_jkt is not a thumbprint.")
	}
	if err := q.prompted(form); err != nil {
		return err
	}
	switch classes := strings.Fields(form.Get("acr_values")); { // any of them will do
	case slices.Contains(classes, ClassSingle):
		q.Class = ClassSingle
	case slices.Contains(classes, ClassMulti):
		q.Class = ClassMulti
	}
	if q.Scopes = granted(c, form.Get("scope")); len(q.Scopes) == 0 && form.Get("scope") != "" {
		return &Error{Code: "invalid_scope", Description: "The service can have none of these scopes."}
	}
	q.Resources, err = p.resourcesOf(ctx, c, form)
	return err
}

// challenged judges the challenge of a code (RFC 7636 section 4.3).
func (q *Request) challenged(method string) error {
	c := q.client
	switch {
	case q.Challenge == "" && method == "" && c.NoPKCE && c.Type.Confidential():
		return nil
	case q.Challenge == "":
		return invalid("The code_challenge is missing (PKCE).")
	case method != "S256":
		return invalid("The code_challenge_method must be S256.")
	case !isThumb(q.Challenge):
		return invalid("The code_challenge is not a SHA-256 in base64url.")
	}
	return nil
}

func isThumb(text string) bool {
	return len(text) == thumb && !strings.ContainsFunc(text, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '_')
	})
}

// prompted judges what the user is to be asked.
func (q *Request) prompted(form url.Values) error {
	for _, prompt := range q.Prompts {
		if !slices.Contains([]string{promptNone, promptLogin, promptConsent, promptAccount}, prompt) {
			return invalid("There is no such prompt here: " + plain(prompt) + ".")
		}
	}
	if q.Silent() && len(q.Prompts) > 1 {
		return invalid("The prompt none stands alone.")
	}
	if text := form.Get("max_age"); text != "" {
		age, err := strconv.ParseUint(text, 10, 31)
		if err != nil {
			return invalid("The max_age is not a number of seconds.")
		}
		q.MaxAge = time.Duration(age) * time.Second
	}
	return nil
}

// Answer is what is sent to a service by way of the browser.
type Answer struct {
	URL  string            // where the browser is led; with Form, where that is sent
	Form map[string]string // nil but for form_post
}

// Succeed makes the answer that brings a code.
func (p *Provider) Succeed(q *Request, code authcore.Secret) Answer {
	return p.answer(q, url.Values{"code": {code.Reveal()}})
}

// Fail makes the answer that brings an error (RFC 6749 section 4.1.2.1).
func (p *Provider) Fail(q *Request, err error) Answer {
	e := sorted(err)
	return p.answer(q, url.Values{"error": {e.Code}, "error_description": {e.Description}})
}

// answer says from whom it is too (RFC 9207).
func (p *Provider) answer(q *Request, says url.Values) Answer {
	if q.State != "" {
		says.Set("state", q.State)
	}
	says.Set("iss", p.Issuer)
	switch q.Mode {
	case modeForm:
		form := make(map[string]string, len(says))
		for name := range says {
			form[name] = says.Get(name)
		}
		return Answer{URL: q.RedirectURI, Form: form}
	case modeFragment:
		return Answer{URL: q.RedirectURI + "#" + says.Encode()}
	}
	if strings.Contains(q.RedirectURI, "?") {
		return Answer{URL: q.RedirectURI + "&" + says.Encode()}
	}
	return Answer{URL: q.RedirectURI + "?" + says.Encode()}
}

// The errors of a request that may show nothing (OpenID Connect Core section 3.1.2.6), and of
// who does not want.
var (
	ErrLoginRequired       = &Error{Code: "login_required", Description: "The user has to sign in."}
	ErrConsentRequired     = &Error{Code: "consent_required", Description: "The user has to be asked."}
	ErrInteractionRequired = &Error{Code: "interaction_required", Description: "The user has to be asked for more."}
	ErrDenied              = &Error{Code: "access_denied", Description: "The user did not allow this."}
	ErrClass               = &Error{Code: "unmet_authentication_requirements", Description: "The user cannot prove who they are in this way."}
)

// HintedUser is the user of the ID token that a request hints with; empty where it has none.
// The error is for the service where it is no ID token of this provider for it.
func (p *Provider) HintedUser(q *Request) (authcore.UserID, error) {
	if q.Hint == "" {
		return "", nil
	}
	claims, err := p.hint(q.Hint)
	if err != nil && !errors.Is(err, authcore.ErrNotSigned) {
		return "", err
	}
	if err != nil || claims.Audience != q.Service.ClientID {
		return "", invalid("The id_token_hint is none of this provider for the client.")
	}
	return authcore.UserID(claims.Subject), nil
}

// hint reads an ID token that the provider issued, which may have expired.
func (p *Provider) hint(text string) (*idClaims, error) {
	claims := new(idClaims)
	if len(text) > maxToken {
		return nil, authcore.ErrNotSigned
	}
	err := p.Keys.Verify(text, authcore.TypeJWT, p.now(), claims)
	if err == nil && (claims.Issuer != p.Issuer || claims.Session == "") {
		err = authcore.ErrNotSigned
	}
	return claims, err
}
