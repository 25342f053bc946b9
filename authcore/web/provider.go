package web

import (
	"html/template"
	"net/http"
	"net/url"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/connect"
)

// providerButton is a sign-in provider as pages offer it.
type providerButton struct {
	Name, Label, Mark string
	URL               string
	Away              bool
}

// buttons offers all providers; more is what their links carry along.
func (h *Handler) buttons(more url.Values) []providerButton {
	var all []providerButton
	for _, p := range h.Providers.All() {
		all = append(all, h.button(p, more))
	}
	return all
}

func (h *Handler) button(p *connect.Provider, more url.Values) providerButton {
	to := Prefix + "connect/" + url.PathEscape(p.Name)
	carried := url.Values{}
	for _, name := range []string{"flow", "return_to", "invite", "setup", "for", "link"} {
		if v := more.Get(name); v != "" {
			carried.Set(name, v)
		}
	}
	if len(carried) > 0 {
		to += "?" + carried.Encode()
	}
	return providerButton{Name: p.Name, Label: p.Label, Mark: mark(p.Label), URL: to, Away: p.Away() != nil}
}

// mark is the letter that stands for a provider.
func mark(label string) string {
	for _, r := range label {
		return string(r)
	}
	return ""
}

// linkedView is an account at a provider on the account page.
type linkedView struct {
	ID, Label, Mark, Account, Linked, Used, LinkedISO string
}

// providersData is what the account page says of providers.
type providersData struct {
	Shown   bool
	Linked  []linkedView
	Others  []providerButton // that can be linked
	Confirm []providerButton // by which the user can prove who they are
}

// addProviders lists what a user has linked, and what could be.
func (h *Handler) addProviders(r *http.Request, live *authcore.Live, d *providersData) error {
	linked, err := h.Accounts.Identities(r.Context(), live.Session.UserID)
	if err != nil {
		return err
	}
	now := h.Accounts.Now()
	has := make(map[string]bool)
	for _, i := range linked {
		has[i.Provider] = true
		v := linkedView{ID: string(i.ID), Label: i.Provider, Account: i.Email, Linked: ago(now, i.CreatedAt), Used: ago(now, i.UsedAt), LinkedISO: i.CreatedAt.UTC().Format(time.RFC3339)}
		if v.Account == "" {
			v.Account = i.Username
		}
		if p, err := h.Providers.Find(r.Context(), "", i.Provider); err == nil {
			v.Label = p.Label
		}
		v.Mark = mark(v.Label)
		d.Linked = append(d.Linked, v)
	}
	for _, p := range h.Providers.All() {
		if has[p.Name] {
			d.Confirm = append(d.Confirm, h.button(p, url.Values{"for": {string(toChange)}}))
		} else {
			d.Others = append(d.Others, h.button(p, nil))
		}
	}
	d.Shown = len(d.Linked) > 0 || len(d.Others) > 0
	return nil
}

// linkProvider sends a signed-in user to a provider whose account is to be linked. A
// page of ours leads there, because CSP form-action holds for redirects too.
func (h *Handler) linkProvider(w http.ResponseWriter, r *http.Request, p Place) error {
	live, err := h.signedIn(r, p)
	if err != nil {
		return err
	}
	provider, err := h.Providers.Find(r.Context(), "", r.PostForm.Get("provider"))
	if err != nil {
		return err
	}
	return h.changingThen(w, r, p, "provider", false, func(authcore.Actor) (func() error, error) {
		to, err := h.begin(w, r, p, provider, visit{Errand: toLink, Root: live.Session.Root})
		return func() error {
			if isJSON(r) {
				done(w, r, to, nil)
				return nil
			}
			return h.show(w, r, p, http.StatusOK, "continue", View{User: userView(live), Data: continueData{URL: template.URL(to), Target: provider.Label, Heading: "Linking " + provider.Label}})
		}, err
	})
}

func (h *Handler) unlinkProvider(w http.ResponseWriter, r *http.Request, p Place) error {
	return h.changing(w, r, p, "provider", false, func(actor authcore.Actor) error {
		return h.Accounts.Unlink(r.Context(), actor, actor.User, authcore.IdentityID(r.PostForm.Get("id")))
	})
}
