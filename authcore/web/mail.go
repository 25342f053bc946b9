package web

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// mailData is the Data of the pages on which people sign in by mail.
type mailData struct {
	way
	Email      string // as it was typed
	Asked      string // sealed: a code can be typed; empty where none was asked for yet
	Token      string // of a link
	Username   string // whose link it is
	RetryAfter int
}

// mailAsked is a code that was asked for, as it travels: sealed, and bound to the browser.
type mailAsked struct {
	Ask, Email, Browser string
}

// mailAskedLife is longer than a code is good for: who types one too late is told so.
const mailAskedLife = time.Hour

// mailPage asks for the address to sign in by, or for the code that was sent to it.
func (h *Handler) mailPage(w http.ResponseWriter, r *http.Request, p Place) error {
	if !h.Accounts.CanSignInByMail() {
		return authcore.ErrMailSignInOff
	}
	q := r.URL.Query()
	d := mailData{way: h.wayOf(p, q)}
	if sealed := q.Get("asked"); sealed != "" {
		a, err := h.openAsked(r, p, sealed)
		if err != nil {
			return h.show(w, r, p, http.StatusOK, "mail", View{Notice: loginNotices["again"], Data: d})
		}
		d.Asked, d.Email = sealed, a.Email
	}
	return h.show(w, r, p, http.StatusOK, "mail", View{Data: d})
}

// openAsked gives what was asked for in this browser.
func (h *Handler) openAsked(r *http.Request, p Place, sealed string) (a mailAsked, err error) {
	text, err := h.Mailed.Open(sealed, mailAskedLife)
	if err != nil || json.Unmarshal(text, &a) != nil || a.Browser != browserHash(FlowToken(r.Header, p.Secure)) {
		return a, authcore.ErrMailCodeWrong
	}
	return a, nil
}

// mailAsk has a link and a code sent, if there is somebody to send them to; it does not
// say so.
func (h *Handler) mailAsk(w http.ResponseWriter, r *http.Request, p Place) error {
	email, on := r.PostForm.Get("email"), h.wayOf(p, r.PostForm)
	a := mailAsked{Email: email, Browser: browserHash(h.flowCookie(w, r, p))}
	var err error
	if a.Ask, err = h.Accounts.AskMailSignIn(r.Context(), authcore.Anonymous(p.Client), h.device(r, p), email, a.Browser, on.query().Encode()); err != nil {
		return h.mailFailed(w, r, p, mailData{way: on, Email: email}, err)
	}
	text, err := json.Marshal(a)
	if err != nil {
		return err
	}
	to := on.query()
	to.Set("asked", h.Mailed.Seal(text))
	done(w, r, Prefix+"mail?"+to.Encode(), map[string]any{"asked": to.Get("asked")})
	return nil
}

// mailCode takes the code from a message.
func (h *Handler) mailCode(w http.ResponseWriter, r *http.Request, p Place) error {
	sealed := r.PostForm.Get("asked")
	a, err := h.openAsked(r, p, sealed)
	if err == nil {
		var ok bool
		in := authcore.MailProof{Ask: a.Ask, Typed: r.PostForm.Get("code"), Email: a.Email, Browser: a.Browser, Host: p.Host, Device: h.device(r, p)}
		if ok, err = h.mailEnters(w, r, p, in); ok {
			return err
		}
	}
	return h.mailFailed(w, r, p, mailData{way: h.wayOf(p, r.PostForm), Asked: sealed, Email: a.Email}, err)
}

// mailEnters signs in by mail. It is not ok where there is something to say on the page
// from which it came.
func (h *Handler) mailEnters(w http.ResponseWriter, r *http.Request, p Place, in authcore.MailProof) (ok bool, err error) {
	token, session, on, err := h.Accounts.SignInByMail(r.Context(), authcore.Anonymous(p.Client), in)
	waits := new(authcore.AwaitsFactor)
	if err != nil && !errors.As(err, &waits) {
		return false, err
	}
	form, err2 := url.ParseQuery(on)
	if err2 != nil {
		return true, err2
	}
	if errors.As(err, &waits) {
		return true, h.askFactor(w, r, p, form, waits.Awaited)
	}
	r.PostForm = form
	return true, h.enter(w, r, p, token, session)
}

// mailLinkPage shows a button for the link from a message. Looking at it uses nothing up.
func (h *Handler) mailLinkPage(w http.ResponseWriter, r *http.Request, p Place) error {
	token := authcore.Secret(r.URL.Query().Get("token"))
	u, err := h.Accounts.CheckMailLink(r.Context(), token, browserHash(FlowToken(r.Header, p.Secure)))
	if err != nil {
		return err
	}
	return h.show(w, r, p, http.StatusOK, "mail-enter", View{Data: mailData{Token: token.Reveal(), Username: u.Username}})
}

// mailLink takes the link.
func (h *Handler) mailLink(w http.ResponseWriter, r *http.Request, p Place) error {
	_, err := h.mailEnters(w, r, p, authcore.MailProof{Link: secret(r, "token"), Browser: browserHash(FlowToken(r.Header, p.Secure)), Host: p.Host})
	return err
}

// mailFailed shows a form again, or JSON.
func (h *Handler) mailFailed(w http.ResponseWriter, r *http.Request, p Place, d mailData, err error) error {
	prob := describe(err, p.Client.RequestID)
	if wantsJSON(r) || prob.Status >= http.StatusInternalServerError || prob.Status == http.StatusForbidden {
		return err
	}
	prob.headers(w.Header())
	d.RetryAfter = prob.retryAfter
	return h.show(w, r, p, prob.Status, "mail", View{Error: errorView(prob), Data: d})
}
