package web

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/access"
	"github.com/gatehouse-auth/gatehouse/authcore/web/console"
)

// governs gives the user of a session as somebody who runs organizations, or the
// installation, and tells whether a second factor is lacking for that. Without the one that
// administration asks for, a platform owner is a user like any other.
func (h *Handler) governs(live *authcore.Live, p Place, platform bool) (actor authcore.Actor, lacks bool) {
	second := ProofOf(&live.Session, h.Accounts.Now()).SecondFactor
	actor = actorOf(live, p)
	actor.Ordinary = !second && !h.OwnersFree
	return actor, !second && live.User().NeedsFactor() || platform && live.User().Owner && actor.Ordinary
}

// consoleRoute finds a page on which organizations or the installation are run.
func consoleRoute(path string) (route, bool) {
	known, platform := console.Known(path)
	if !known {
		return route{}, false
	}
	serve := func(h *Handler, w http.ResponseWriter, r *http.Request, p Place) error {
		return h.console(w, r, p, path, platform)
	}
	return route{get: serve, post: serve, modes: onPortal, lists: console.Lists}, true
}

// console answers a request for such a page, or a form of it.
func (h *Handler) console(w http.ResponseWriter, r *http.Request, p Place, path string, platform bool) error {
	live, err := h.signedIn(r, p)
	if errors.Is(err, authcore.ErrNoSession) && Navigation(r) && r.Method == http.MethodGet {
		redirect(w, Prefix+"login?return_to="+url.QueryEscape(r.URL.RequestURI()))
		return nil
	}
	if err != nil {
		return err
	}
	if platform {
		if err := live.Session.InPerson(); err != nil {
			return err
		}
	}
	actor, lacks := h.governs(live, p, platform)
	if lacks {
		h.RequireStepUp(w, r, p, r.URL, live, access.Need{SecondFactor: true})
		return nil
	}
	if r.Method == http.MethodPost && console.NeedsProof(path, r.PostForm.Get("do")) && !h.fresh(p, live) {
		h.RequireStepUp(w, r, p, r.URL, live, access.Need{Within: freshFor})
		return nil
	}
	v := console.Visit{Accounts: h.Accounts, Actor: actor, User: live.User(), Host: p.Host, Origin: p.Origin, Path: path, Query: r.URL.Query(), Now: h.Accounts.Now(), Ready: h.Ready}
	if r.Method == http.MethodPost {
		v.Form = r.PostForm
	}
	got, err := v.Serve(r.Context())
	if err != nil {
		return err
	}
	if got.Session != nil { // in place of the owner's own, which stays in force until it ends
		setCookie(w, p, sessionCookie, got.Token.Reveal(), got.Session.ExpiresAt.Sub(h.Accounts.Now()))
	}
	if got.Redirect != "" {
		redirect(w, got.Redirect)
		return nil
	}
	view, status := View{User: userView(live), Data: got.Page, Notice: console.Notices[r.URL.Query().Get("done")]}, http.StatusOK
	if got.Error != nil {
		prob := describe(got.Error, p.Client.RequestID)
		prob.headers(w.Header())
		view.Error, view.Notice, status = errorView(prob), "", prob.Status
	}
	return h.show(w, r, p, status, "console", view)
}
