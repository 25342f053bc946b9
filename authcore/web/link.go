package web

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// linkData is the Data of the page that asks for the old way before a new one is added.
type linkData struct {
	way
	passkeyForm
	Provider, Email string
	Link            string // sealed
	HasPassword     bool
	Busy            bool
	RetryAfter      int
	Providers       []providerButton
	Anew            string // where somebody goes who is not that user; empty where the address is proven
}

// pending is a link that waits, as it travels: sealed, and bound to the browser in which
// it came to be, so that nobody can hand it to somebody else.
type pending struct {
	authcore.PendingLink
	Nonce   string // of the visit
	Browser string // hash of the flow cookie
}

const linkLife = 15 * time.Minute

// openLink gives a pending link, if it is one of this browser.
func (h *Handler) openLink(r *http.Request, p Place, sealed string) (*authcore.PendingLink, bool) {
	if sealed == "" {
		return nil, false
	}
	var l pending
	text, err := h.Links.Open(sealed, linkLife)
	if err != nil || json.Unmarshal(text, &l) != nil || l.Nonce == "" || l.Browser != browserHash(FlowToken(r.Header, p.Secure)) {
		return nil, false
	}
	l.Once = authcore.OnceOf(authcore.PurposeConnect, "link "+l.Nonce, h.Accounts.Now(), 2*visitLife)
	return &l.PendingLink, true
}

// showLink asks somebody whose address a user has to prove to be that user.
func (h *Handler) showLink(w http.ResponseWriter, r *http.Request, p Place, v *visit, who authcore.Vouched) error {
	holder, err := h.Accounts.HolderOf(r.Context(), who.Email)
	if err != nil {
		return err
	}
	l := pending{PendingLink: authcore.PendingLink{Who: who, User: holder.User.ID}, Nonce: v.Flow.Nonce, Browser: v.Browser}
	text, err := json.Marshal(l)
	if err != nil {
		return err
	}
	return h.showPending(w, r, p, h.form(v), h.Links.Seal(text), &l.PendingLink, nil)
}

// showPending shows the page of a pending link; prob is what was wrong with the last
// try, if there was one.
func (h *Handler) showPending(w http.ResponseWriter, r *http.Request, p Place, form url.Values, sealed string, l *authcore.PendingLink, prob *problem) error {
	d := linkData{way: h.wayOf(p, form), Provider: l.Who.Provider, Email: l.Who.Email, Link: sealed}
	holder, err := h.Accounts.HolderOf(r.Context(), l.Who.Email)
	if err != nil {
		return err
	}
	d.HasPassword = holder.Password
	if keys, err := h.Accounts.Passkeys(r.Context(), holder.User.ID); err != nil {
		return err
	} else if len(keys) > 0 {
		if d.passkeyForm, err = h.askPasskey(w, r, p, ""); err != nil { // anybody's: it must not tell which this user has
			return err
		}
	}
	more := d.query()
	more.Set("link", sealed)
	for _, provider := range h.Providers.All() {
		if slices.Contains(holder.Providers, provider.Name) {
			d.Providers = append(d.Providers, h.button(provider, more))
		}
	}
	if provider, err := h.Providers.Find(r.Context(), "", l.Who.Provider); err == nil {
		d.Provider = provider.Label
		if !holder.User.EmailVerified {
			more.Set("for", string(toStartAnew))
			d.Anew = h.button(provider, more).URL
		}
	}
	status, view := http.StatusOK, View{}
	if prob != nil {
		prob.headers(w.Header())
		status, view.Error = prob.Status, errorView(*prob)
		d.Busy, d.RetryAfter = prob.Code == authcore.ErrLoginBusy.Code, prob.retryAfter
	}
	view.Data = d
	return h.show(w, r, p, status, "link", view)
}

// linkBySigningIn takes the password of somebody whose address a provider vouches for.
func (h *Handler) linkBySigningIn(w http.ResponseWriter, r *http.Request, p Place) error {
	sealed := r.PostForm.Get("link")
	l, ok := h.openLink(r, p, sealed)
	if !ok {
		redirect(w, Prefix+"login?notice=again")
		return nil
	}
	in := authcore.SignIn{Password: secret(r, "password"), Host: p.Host, Device: h.device(r, p)}
	token, session, err := h.Accounts.LinkBySigningIn(r.Context(), authcore.Anonymous(p.Client), in, l)
	if err == nil {
		return h.enter(w, r, p, token, session)
	}
	if waits := new(authcore.AwaitsFactor); errors.As(err, &waits) {
		return h.askFactor(w, r, p, r.PostForm, waits.Awaited)
	}
	var e *authcore.Error
	if wantsJSON(r) || !errors.As(err, &e) || e.Kind != authcore.Unauthenticated && e.Kind != authcore.TooMany {
		return err
	}
	prob := describe(err, p.Client.RequestID)
	if errors.Is(err, authcore.ErrLoginFailed) {
		prob.Message, prob.Field = "This password is not right.", "password"
	}
	return h.showPending(w, r, p, r.PostForm, sealed, l, &prob)
}
