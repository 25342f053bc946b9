package web

import (
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// logoutPage asks whether to sign out: a GET changes nothing.
func (h *Handler) logoutPage(w http.ResponseWriter, r *http.Request, p Place) error {
	live, err := h.live(r, p)
	if err != nil {
		return err
	}
	if live == nil {
		return h.showSignedOut(w, r, p, r.URL.Query().Get("then"))
	}
	return h.show(w, r, p, http.StatusOK, "logout", View{User: userView(live), Data: h.wayOf(p, r.URL.Query())})
}

// thenLife is how long after a sign-out here a browser may still be sent on to end its
// session at a provider.
const thenLife = 5 * time.Minute

// signedOutData is the Data of the page after a sign-out. Then is where the browser ends
// its session at a provider, if there is one.
type signedOutData struct{ LoginURL, Then string }

func (h *Handler) showSignedOut(w http.ResponseWriter, r *http.Request, p Place, then string) error {
	d := signedOutData{LoginURL: p.Origin + Prefix + "login"}
	if p.Mode == ModeSite {
		d.LoginURL = p.Origin + "/" // the gate there knows the way back
	}
	if _, err := h.SignOuts.Open(then, thenLife); err == nil {
		d.Then = Prefix + "logout/end?then=" + url.QueryEscape(then)
	}
	return h.show(w, r, p, http.StatusOK, "signed-out", View{Data: d})
}

// logoutEnd sends a browser on to end its session at a provider. That address holds an ID
// token, which an app on this host must not read: a script cannot follow a redirect to
// another host to see where it leads.
func (h *Handler) logoutEnd(w http.ResponseWriter, r *http.Request, _ Place) error {
	to, err := h.SignOuts.Open(r.URL.Query().Get("then"), thenLife)
	if err != nil {
		redirect(w, Prefix+"logout")
		return nil
	}
	redirectTo(w, r, string(to))
	return nil
}

// logout ends the session with everything under its root, or all sessions of
// the user. Who wants to use another account with an app signs in anew.
func (h *Handler) logout(w http.ResponseWriter, r *http.Request, p Place) error {
	live, err := h.live(r, p)
	if err != nil {
		return err
	}
	to := Prefix + "logout"
	if f, _, ok := h.openFlow(r.PostForm.Get("flow")); ok && f.App != "" && f.Origin == p.Origin {
		to = Prefix + "login?flow=" + url.QueryEscape(r.PostForm.Get("flow"))
	} else if live != nil {
		if then := h.endAtProvider(r, p, live); then != "" {
			to += "?then=" + h.SignOuts.Seal([]byte(then))
		}
	}
	if err := h.signOut(w, r, p, live, r.PostForm.Get("everywhere") != ""); err != nil {
		return err
	}
	done(w, r, to, nil)
	return nil
}

// signOut ends a session, which may be nil, and what the browser has of it.
func (h *Handler) signOut(w http.ResponseWriter, r *http.Request, p Place, live *authcore.Live, everywhere bool) error {
	if live != nil {
		var err error
		if everywhere && live.Session.Act == "" {
			_, err = h.Accounts.RevokeAll(r.Context(), actorOf(live, p), live.Session.UserID)
		} else {
			err = h.Accounts.Revoke(r.Context(), actorOf(live, p), live.Session.Root)
		}
		if err != nil && !errors.Is(err, authcore.ErrSessionNotFound) {
			return err
		}
	}
	setCookie(w, p, sessionCookie, "", -1)
	if p.Mode == ModeSite {
		setCookie(w, p, flowCookie, "", -1) // who signs in again goes in no circle
	}
	w.Header().Set("Clear-Site-Data", `"cache"`) // pages of the app that a browser kept, for its back button too
	return nil
}

// endAtProvider is where a browser ends the session at the provider that its session
// here came from; empty where there is none, or it does not offer that.
func (h *Handler) endAtProvider(r *http.Request, p Place, live *authcore.Live) string {
	s := &live.Session
	if s.Identity == "" {
		return ""
	}
	linked, err := h.Accounts.Identities(r.Context(), s.UserID)
	if err != nil {
		return ""
	}
	for i := range linked {
		if linked[i].ID != s.Identity {
			continue
		}
		tokens, err := h.Accounts.OpenTokens(&linked[i])
		if err != nil {
			return ""
		}
		provider, err := h.Providers.FindIssuer(r.Context(), s.Provider, tokens.To)
		if err != nil {
			return ""
		}
		return provider.EndSession(tokens.ID, AfterLogout(p.Portal))
	}
	return ""
}
