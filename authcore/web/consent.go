package web

import (
	"net/http"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/oidcop"
)

// consentPath is the page that asks whether an app is let in.
const consentPath = Prefix + "oauth/consent"

// consentData is the Data of that page.
type consentData struct {
	leading
	App, Organization string
	FirstParty        bool // run by whoever runs this site
	Scopes            []string
	Resume            string // sealed
	Flow              string // for another account
	Acting            string // why nobody can say yes in this session; empty where the user can
}

// scopeWords say what each scope of the provider lets an app know or do.
var scopeWords = map[string]string{
	oidcop.ScopeOpenID:  "know that it is you",
	oidcop.ScopeProfile: "see your name and your username",
	oidcop.ScopeEmail:   "see your email address",
	oidcop.ScopeGroups:  "see which groups you are in",
	oidcop.ScopeOrg:     "see whether you belong to its organization",
	oidcop.ScopeRoles:   "see your role in its organization",
	oidcop.ScopeOffline: "go on after you have signed out, until you withdraw this",
}

// wordsOf says what scopes let an app know or do, and where it may go. That it is the same user
// each time every app knows.
func wordsOf(scopes []string, resources ...string) []string {
	all := []string{scopeWords[oidcop.ScopeOpenID]}
	for _, s := range authcore.ProviderScopes {
		if s != oidcop.ScopeOpenID && slices.Contains(scopes, s) {
			all = append(all, scopeWords[s])
		}
	}
	for _, s := range scopes {
		if scopeWords[s] == "" {
			all = append(all, "do what it calls “"+s+"”")
		}
	}
	for _, r := range resources {
		all = append(all, "go to "+hostOf(r)+" as you")
	}
	return all
}

// consenting reads the request that a page of consent is about. It is nil where that has to
// go on elsewhere first, which the browser is sent to: nobody is signed in any more, or
// somebody else is.
func (h *Handler) consenting(w http.ResponseWriter, r *http.Request, p Place, sealed string) (*asking, error) {
	if h.OAuth == nil {
		return nil, errNotFound
	}
	on, ok := h.openResume(sealed)
	if !ok {
		return nil, oidcop.ErrRequestOld
	}
	a := &asking{resume: on, forms: true}
	var err error
	if a.Request, err = h.OAuth.Read(r.Context(), a.Query); a.Request == nil {
		return nil, err
	}
	if err == nil {
		a.live, err = h.live(r, p)
	}
	if err != nil || a.live == nil || a.Root != a.live.Session.Root || a.Silent() {
		redirect(w, h.resumeURL(authorizePath, resume{Query: a.Query, Since: a.Since}))
		return nil, nil
	}
	return a, nil
}

// consentPage asks a user whether an app is let in.
func (h *Handler) consentPage(w http.ResponseWriter, r *http.Request, p Place) error {
	a, err := h.consenting(w, r, p, r.URL.Query().Get("resume"))
	if a == nil {
		return err
	}
	return h.showConsent(w, r, p, a)
}

func (h *Handler) showConsent(w http.ResponseWriter, r *http.Request, p Place, a *asking) error {
	o, err := h.OAuth.OrganizationOf(r.Context(), a.Service)
	if err != nil {
		return err
	}
	d := consentData{leading: leading{Target: hostOf(a.RedirectURI)}, App: a.Service.Name, Organization: o.Name, FirstParty: a.Service.FirstParty, Scopes: wordsOf(a.Request.Scopes, a.Resources...), Resume: h.sealResume(resume{Query: a.Query, Since: a.Since, Root: a.live.Session.Root, Scopes: a.Request.Scopes})}
	if a.live.Session.Act != "" {
		d.Acting = a.live.User().DisplayName()
	} else {
		d.Flow = h.sealFlow(a.flow(p, o))
	}
	return h.show(w, r, p, http.StatusOK, "consent", View{User: userView(a.live), Data: d})
}

// consent takes the answer of the user. What they did not see they did not allow.
func (h *Handler) consent(w http.ResponseWriter, r *http.Request, p Place) error {
	a, err := h.consenting(w, r, p, r.PostForm.Get("resume"))
	if a == nil {
		return err
	}
	switch r.PostForm.Get("do") {
	case "refuse":
		return h.lead(w, r, p, a, h.OAuth.Fail(a.Request, oidcop.ErrDenied))
	case "allow":
		if !within(a.Request.Scopes, a.resume.Scopes) {
			break
		}
		if err := h.Accounts.Consent(r.Context(), actorOf(a.live, p), a.Service, a.Request.Scopes); err != nil {
			return err
		}
		redirect(w, h.resumeURL(authorizePath, resume{Query: a.Query, Since: a.Since, Root: a.Root, Scopes: a.Request.Scopes, Agreed: true}))
		return nil
	}
	return h.showConsent(w, r, p, a)
}

// consentView is an app on the account page that its user lets in.
type consentView struct {
	ID, App, Organization string
	Scopes                []string
	Since, SinceISO       string
}

// addConsents lists the apps that a user lets in.
func (h *Handler) addConsents(r *http.Request, live *authcore.Live, all *[]consentView) error {
	consents, err := h.Accounts.Consents(r.Context(), live.Session.UserID)
	now := h.Accounts.Now()
	for _, c := range consents {
		if c.Lasting {
			c.Scopes = append(c.Scopes, oidcop.ScopeOffline)
		}
		*all = append(*all, consentView{ID: string(c.Service), App: c.ServiceName, Organization: c.Slug, Scopes: wordsOf(c.Scopes), Since: ago(now, c.CreatedAt), SinceISO: c.CreatedAt.UTC().Format(time.RFC3339)})
	}
	return err
}

func (h *Handler) withdrawConsent(w http.ResponseWriter, r *http.Request, p Place) error {
	return h.changing(w, r, p, "consent", false, func(actor authcore.Actor) error {
		return h.Accounts.WithdrawConsent(r.Context(), actor, authcore.ServiceID(r.PostForm.Get("id")))
	})
}
