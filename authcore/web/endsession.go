package web

import (
	"html/template"
	"net/http"

	"github.com/gatehouse-auth/gatehouse/authcore/oidcop"
)

// endSessionPath is where services send browsers for a user to sign out.
const endSessionPath = Prefix + "oauth/end_session"

// endSessionData is the Data of the page that asks whether to sign out.
type endSessionData struct {
	App   string // that wants it; empty where the request does not tell
	Query string // of the request
}

// endSession signs a user out as a service wants it (OpenID Connect RP-Initiated Logout 1.0
// section 2): without a question only where the service shows that it knows the very session.
func (h *Handler) endSession(w http.ResponseWriter, r *http.Request, p Place) error {
	if h.OAuth == nil {
		return errNotFound
	}
	if r.Method != http.MethodGet {
		return notAllowed("GET, POST")
	}
	e, err := h.OAuth.ReadEndSession(r.Context(), r.URL.RawQuery)
	if err != nil {
		return err
	}
	live, err := h.live(r, p)
	if err != nil {
		return err
	}
	if live == nil {
		return h.ended(w, r, p, e)
	}
	known, err := h.OAuth.Knows(r.Context(), e, &live.Session)
	if err != nil {
		return err
	}
	if !known || !Navigation(r) {
		d := endSessionData{Query: r.URL.RawQuery}
		if e.Service != nil {
			d.App = e.Service.Name
		}
		return h.show(w, r, p, http.StatusOK, "end-session", View{User: userView(live), Data: d})
	}
	if err := h.signOut(w, r, p, live, false); err != nil {
		return err
	}
	return h.ended(w, r, p, e)
}

// confirmEndSession signs out who was asked, and leads back to the service.
func (h *Handler) confirmEndSession(w http.ResponseWriter, r *http.Request, p Place) error {
	if h.OAuth == nil {
		return errNotFound
	}
	e, err := h.OAuth.ReadEndSession(r.Context(), r.PostForm.Get("query"))
	if err != nil {
		return err
	}
	live, err := h.live(r, p)
	if err != nil {
		return err
	}
	then := ""
	if live != nil && e.Redirect == "" {
		then = h.endAtProvider(r, p, live)
	}
	if err := h.signOut(w, r, p, live, false); err != nil {
		return err
	}
	if then != "" {
		redirect(w, Prefix+"logout?then="+h.SignOuts.Seal([]byte(then)))
		return nil
	}
	return h.ended(w, r, p, e)
}

// ended leads on after a sign-out: to where the service wants, or to a page that says so. Who
// shows no ID token may be anybody: then a page asks whether to go on, so that no address of
// ours leads elsewhere at once (OpenID Connect RP-Initiated Logout 1.0 section 3).
func (h *Handler) ended(w http.ResponseWriter, r *http.Request, p Place, e oidcop.EndSession) error {
	switch {
	case e.Redirect == "":
		redirectTo(w, r, Prefix+"logout")
		return nil
	case r.Method == http.MethodGet && e.User != "":
		redirectTo(leaves{w}, r, e.Redirect)
		return nil
	}
	d := continueData{URL: template.URL(e.Redirect), Target: e.Service.Name, Heading: "You are signed out", Asks: r.Method == http.MethodGet} // it is registered for the service
	if d.Asks {
		d.Target = hostOf(e.Redirect)
	}
	return h.show(w, r, p, http.StatusOK, "continue", View{Data: d, Leaves: true})
}
