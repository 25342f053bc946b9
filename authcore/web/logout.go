package web

import (
	"errors"
	"net/http"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// logoutPage asks whether to sign out: a GET changes nothing.
func (h *Handler) logoutPage(w http.ResponseWriter, r *http.Request, p Place) error {
	live, err := h.live(r, p)
	if err != nil {
		return err
	}
	if live == nil {
		return h.showSignedOut(w, r, p)
	}
	return h.show(w, r, p, http.StatusOK, "logout", View{User: userView(live), Data: struct{ ReturnTo string }{}})
}

func (h *Handler) showSignedOut(w http.ResponseWriter, r *http.Request, p Place) error {
	login := p.Origin + Prefix + "login"
	if p.Mode == ModeSite {
		login = p.Origin + "/" // the gate there knows the way back
	}
	return h.show(w, r, p, http.StatusOK, "signed-out", View{Data: struct{ LoginURL string }{login}})
}

// logout ends the session with everything under its root, or all sessions of
// the user.
func (h *Handler) logout(w http.ResponseWriter, r *http.Request, p Place) error {
	live, err := h.live(r, p)
	if err != nil {
		return err
	}
	if live != nil {
		if r.PostForm.Get("everywhere") != "" {
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
	done(w, r, Prefix+"logout", nil)
	return nil
}
