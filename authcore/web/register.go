package web

import (
	"fmt"
	"net/http"
	"net/url"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// registerData is the Data of the registration page, and of the setup page.
type registerData struct {
	way
	passkeyForm
	passwordRules
	Username, Email, Name, Invite, Token string
	PasswordOff                          bool // or registering with one
	Providers                            []providerButton
	Redirects                            []redirectAddress
}

// redirectAddress is an address that a provider has to know.
type redirectAddress struct{ For, URL string }

// passwordRules are what pages say of a new password.
type passwordRules struct {
	Rules     string
	MinLength int
}

// rulesFor says what the password of a user must be; of nobody where id is empty.
func (h *Handler) rulesFor(r *http.Request, id authcore.UserID) (passwordRules, error) {
	rules, err := h.Accounts.RulesFor(r.Context(), id)
	return passwordRules{fmt.Sprintf("At least %d characters, and not one of the common ones. A few words are easier to keep in mind than signs.", rules.MinLength), rules.MinLength}, err
}

// newUser is what somebody typed to make an account, with the passkey where there is one.
func (h *Handler) newUser(r *http.Request, p Place) authcore.NewUser {
	form := r.PostForm
	n := authcore.NewUser{Username: form.Get("username"), Email: form.Get("email"), Name: form.Get("name"),
		Password: authcore.Secret(form.Get("password"))}
	if hasPasskey(r) {
		n.Passkey = func() (authcore.Passkey, authcore.Code, error) { return h.createdPasskey(r, p, toRegister) }
	}
	return n
}

func (h *Handler) registerData(w http.ResponseWriter, r *http.Request, p Place, form url.Values) (registerData, error) {
	d := registerData{way: h.wayOf(p, form), Username: form.Get("username"), Email: form.Get("email"), Name: form.Get("name"),
		Invite: form.Get("invite"), Token: form.Get("token"), PasswordOff: h.Accounts.PasswordOff}
	more := d.query()
	more.Set("invite", d.Invite)
	more.Set("setup", d.Token)
	d.Providers = h.buttons(more)
	for _, provider := range h.Providers.All() {
		d.Redirects = append(d.Redirects, redirectAddress{provider.Label + ": redirect address (callback URL)", ConnectRedirect(p.Origin, provider.Name)})
		if provider.SignOut && provider.MayEndSessions() {
			d.Redirects = append(d.Redirects, redirectAddress{provider.Label + ": address after a sign-out there", AfterLogout(p.Origin)})
		}
	}
	var err error
	if d.passwordRules, err = h.rulesFor(r, ""); err != nil {
		return d, err
	}
	d.passkeyForm, err = h.firstPasskey(w, r, p)
	return d, err
}

// registerPage shows the registration form, where registration is possible.
func (h *Handler) registerPage(w http.ResponseWriter, r *http.Request, p Place) error {
	q := r.URL.Query()
	_, passkeys := h.party(p)
	here, err := h.Accounts.MayRegister(r.Context(), authcore.Secret(q.Get("invite")), passkeys)
	if err != nil {
		return err
	}
	d, err := h.registerData(w, r, p, q)
	if err != nil {
		return err
	}
	if !here {
		d.PasswordOff, d.Passkey = true, nil
	}
	if d.Email == "" && d.Invite != "" {
		if d.Email, err = h.Accounts.InvitedAt(r.Context(), authcore.Secret(d.Invite)); err != nil {
			return err
		}
	}
	return h.show(w, r, p, http.StatusOK, "register", View{Data: d})
}

// register makes an account and signs in.
func (h *Handler) register(w http.ResponseWriter, r *http.Request, p Place) error {
	token, session, err := h.Accounts.RegisterUser(r.Context(), authcore.Anonymous(p.Client), h.newUser(r, p), secret(r, "invite"), p.Host, p.Origin)
	if err != nil {
		return h.formFailed(w, r, p, "register", err)
	}
	return h.enter(w, r, p, token, session)
}

// formFailed shows a form again with what was wrong; what is not about the
// form's content goes to the error page.
func (h *Handler) formFailed(w http.ResponseWriter, r *http.Request, p Place, page string, err error) error {
	prob := describe(err, p.Client.RequestID)
	if wantsJSON(r) || prob.Status >= 500 || prob.Status == http.StatusForbidden {
		return err
	}
	prob.headers(w.Header())
	d, err := h.registerData(w, r, p, r.PostForm)
	if err != nil {
		return err
	}
	return h.show(w, r, p, prob.Status, page, View{Error: errorView(prob), Data: d})
}

// setupPage shows the form for the first owner to whoever has the link.
func (h *Handler) setupPage(w http.ResponseWriter, r *http.Request, p Place) error {
	q := r.URL.Query()
	if err := h.Accounts.CheckSetup(r.Context(), authcore.Secret(q.Get("token"))); err != nil {
		return err
	}
	d, err := h.registerData(w, r, p, q)
	if err != nil {
		return err
	}
	return h.show(w, r, p, http.StatusOK, "setup", View{Data: d})
}

// setup makes the first owner and signs in. The way on leads to the app, where
// there is just one.
func (h *Handler) setup(w http.ResponseWriter, r *http.Request, p Place) error {
	token, session, err := h.Accounts.Setup(r.Context(), authcore.Anonymous(p.Client), secret(r, "token"), h.newUser(r, p), p.Host)
	if err != nil {
		return h.formFailed(w, r, p, "setup", err)
	}
	if p.Mode == ModePortal && len(h.Apps(nil)) == 1 {
		r.PostForm.Set("flow", h.sealFlow(flow{Origin: h.Apps(nil)[0].URL, Path: "/"}))
	}
	return h.enter(w, r, p, token, session)
}
