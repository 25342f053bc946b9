package web

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// accountData is the Data of the account page.
type accountData struct {
	passkeyForm           // to confirm changes
	Name, Username, Email string
	EmailVerified         bool
	Pending               string // an address that waits to be verified
	CanVerify             bool   // a link can be sent again
	Groups                []string
	Portal                bool   // organizations are run here
	Fresh                 bool   // changes need no proof just now
	HasPassword           bool   // … or else the password
	PasswordOff           bool   // nobody signs in with one
	ByPasskey             bool   // the session was proven by a passkey, not long ago
	Proof                 string // of a provider, to be carried along by forms
	Providers             providersData
	Factors               factorsData
	Passkeys              passkeysData
	Apps                  []App
	Sessions              []sessionView
	Tokens                tokensData
	Consents              []consentView
	MayDelete             bool
	DeleteDays            int // that there are to bring it back
	passwordRules
	Form string // the form that View.Error is about
}

// sessionView is one portal session with the sites under it.
type sessionView struct {
	ID, Device, Address                        string
	Created, LastSeen, CreatedISO, LastSeenISO string
	Current                                    bool
	Sites                                      []string
}

// notices are what the account page says after a change. They are named in the
// address, so that it can only say what is here.
var notices = map[string]string{
	"profile":    "Your profile was saved.",
	"asked":      "A link is on its way to that address. Open it here to verify the address.",
	"verified":   "Your address is verified.",
	"cancelled":  "Your address stays as it is.",
	"password":   "Your password was changed. Your other sessions have ended.",
	"session":    "That session has ended.",
	"token":      "That access token was revoked.",
	"consent":    "That app is let in no more. It asks you again when you come back to it.",
	"factor":     "The second factor was removed.",
	"distrusted": "That browser is asked for the second factor again.",
	"passkey":    "Your passkey is set up. You can sign in with it from now on.",
	"renamed":    "Your passkey has its new name.",
	"unpasskey":  "That passkey was removed. Your other sessions have ended.",
	"unpassword": "Your password was removed. You sign in with your passkey from now on.",
	"provider":   "That sign-in provider is no longer linked.",
	"linked":     "The sign-in provider is linked. You can sign in with it from now on.",
	"short":      "Your password is shorter than one should be that stands alone. Choose a longer one, or set up a second factor.",
	"again":      "That took too long, or was used already. Please try again.",
}

func (h *Handler) accountPage(w http.ResponseWriter, r *http.Request, p Place) error {
	if p.Mode == ModeSite {
		redirect(w, p.Portal+Prefix+"account")
		return nil
	}
	live, err := h.live(r, p)
	if err != nil {
		return err
	}
	if live == nil {
		if wantsJSON(r) {
			return authcore.ErrNoSession
		}
		redirect(w, Prefix+"login?return_to="+Prefix+"account")
		return nil
	}
	v := View{Notice: notices[r.URL.Query().Get("done")]}
	return h.showAccount(w, r, p, live, http.StatusOK, v, accountData{Proof: r.URL.Query().Get("proof")})
}

func (h *Handler) showAccount(w http.ResponseWriter, r *http.Request, p Place, live *authcore.Live, status int, v View, d accountData) error {
	sessions, err := h.sessions(r, live)
	if err != nil {
		return err
	}
	if err := h.addTokens(r, live, &d.Tokens); err != nil {
		return err
	}
	if err := h.addConsents(r, live, &d.Consents); err != nil {
		return err
	}
	if err := h.addProviders(r, live, &d.Providers); err != nil {
		return err
	}
	if err := h.addFactors(r, live, &d.Factors); err != nil {
		return err
	}
	if err := h.addPasskeys(r, p, live, &d.Passkeys); err != nil {
		return err
	}
	if d.HasPassword, err = h.Accounts.HasPassword(r.Context(), live.Session.UserID); err != nil {
		return err
	}
	if !h.proofHolds(live, d.Proof) {
		d.Proof = ""
	}
	u := live.User()
	if d.Pending, err = h.Accounts.PendingEmail(r.Context(), *u); err != nil {
		return err
	}
	d.CanVerify = h.Accounts.Mail != nil && (d.Pending != "" || u.Email != "" && !u.EmailVerified)
	d.Portal = p.Mode == ModePortal
	d.PasswordOff, d.MayDelete = h.Accounts.PasswordOff, !h.Accounts.KeepAccounts
	d.DeleteDays = int(h.Accounts.DeleteAfter.Hours() / 24)
	d.Username, d.EmailVerified, d.Groups = u.Username, u.EmailVerified, u.Groups
	if d.Form != "profile" {
		d.Name, d.Email = u.Name, u.Email
	}
	d.Fresh, d.Apps, d.Sessions = h.fresh(p, live) || d.Proof != "", h.Apps(live), sessions
	if d.passwordRules, err = h.rulesFor(r, u.ID); err != nil {
		return err
	}
	if !d.Fresh || d.HasPassword {
		if d.passkeyForm, err = h.askPasskey(w, r, p, live.Session.UserID); err != nil {
			return err
		}
	}
	d.ByPasskey = h.justByPasskey(live, d.Proof)
	v.User, v.Data = userView(live), d
	return h.show(w, r, p, status, "account", v)
}

// fresh tells whether changes need no proof now. Where the app shares the origin
// they always do: its scripts could send our forms.
func (h *Handler) fresh(p Place, live *authcore.Live) bool {
	return p.Mode == ModePortal && h.Accounts.Now().Sub(live.Session.AuthTime) < freshFor
}

// sessions gathers a user's portal sessions, the current one first.
func (h *Handler) sessions(r *http.Request, live *authcore.Live) ([]sessionView, error) {
	now := h.Accounts.Now()
	all, err := h.Accounts.SessionsOf(r.Context(), live.Session.UserID)
	if err != nil {
		return nil, err
	}
	var views []sessionView
	sites := make(map[authcore.SessionID][]string)
	for _, s := range all {
		if !s.IsRoot() {
			sites[s.Root] = append(sites[s.Root], s.Host)
		}
	}
	for _, s := range all {
		if !s.IsRoot() {
			continue
		}
		current := s.ID == live.Session.Root
		if current {
			s.LastSeen = now
		}
		hosts := append([]string{s.Host}, sites[s.ID]...)
		slices.Sort(hosts)
		device, address := authcore.AgentName(s.Agent), s.Address
		if s.Act != "" { // where others are is theirs
			device, address = "Somebody who runs this site, acting as you", ""
		}
		views = append(views, sessionView{ID: string(s.ID), Device: device, Address: address,
			Created: ago(now, s.CreatedAt), LastSeen: ago(now, s.LastSeen), Current: current, Sites: slices.Compact(hosts),
			CreatedISO: s.CreatedAt.UTC().Format(time.RFC3339), LastSeenISO: s.LastSeen.UTC().Format(time.RFC3339)})
	}
	slices.SortStableFunc(views, func(a, b sessionView) int { return cmp.Compare(flagged(b.Current), flagged(a.Current)) })
	return views, nil
}

func flagged(b bool) int {
	if b {
		return 1
	}
	return 0
}

// ago says how long ago something was, in words.
func ago(now, t time.Time) string {
	d := now.Sub(t)
	count := func(n int, unit string) string {
		if n == 1 {
			return "1 " + unit + " ago"
		}
		return fmt.Sprintf("%d %ss ago", n, unit)
	}
	switch {
	case d < 2*time.Minute:
		return "just now"
	case d < time.Hour:
		return count(int(d.Minutes()), "minute")
	case d < 24*time.Hour:
		return count(int(d.Hours()), "hour")
	}
	return count(int(d.Hours()/24), "day")
}

// changing is the frame of every change to one's account: signed in, proven
// anew where that is needed, and the page shown again with the error.
func (h *Handler) changing(w http.ResponseWriter, r *http.Request, p Place, form string, proof bool, change func(authcore.Actor) error) error {
	return h.changingThen(w, r, p, form, proof, func(actor authcore.Actor) (func() error, error) {
		return func() error { done(w, r, h.accountAfter(r, form), nil); return nil }, change(actor)
	})
}

// accountAfter is the account page that says what was done.
func (h *Handler) accountAfter(r *http.Request, what string) string {
	to := Prefix + "account?done=" + what
	if proof := r.PostForm.Get("proof"); proof != "" {
		to += "&proof=" + url.QueryEscape(proof) // good for more changes, while it is young
	}
	return to
}

// changingThen is changing for a change that says itself how it is answered.
func (h *Handler) changingThen(w http.ResponseWriter, r *http.Request, p Place, form string, proof bool, change func(authcore.Actor) (answer func() error, err error)) error {
	live, err := h.signedIn(r, p)
	if err != nil {
		return err
	}
	actor := actorOf(live, p)
	var answer func() error
	if err = h.proven(r, p, live, proof); err == nil {
		answer, err = change(actor)
	}
	if err == nil {
		return answer()
	}
	prob := describe(err, p.Client.RequestID)
	if wantsJSON(r) || prob.Status >= 500 || live.Session.Act != "" {
		return err
	}
	d := accountData{Form: form, Proof: r.PostForm.Get("proof"), Name: r.PostForm.Get("name"), Email: r.PostForm.Get("email")}
	d.Tokens.read(r.PostForm)
	prob.headers(w.Header())
	return h.showAccount(w, r, p, live, prob.Status, View{Error: errorView(prob)}, d)
}

func (h *Handler) changeProfile(w http.ResponseWriter, r *http.Request, p Place) error {
	return h.changingThen(w, r, p, "profile", false, func(actor authcore.Actor) (func() error, error) {
		asked, err := h.Accounts.ChangeProfile(r.Context(), actor, r.PostForm.Get("name"), r.PostForm.Get("email"), p.Origin)
		said := "profile"
		if asked {
			said = "asked"
		}
		return func() error { done(w, r, h.accountAfter(r, said), nil); return nil }, err
	})
}

func (h *Handler) changePassword(w http.ResponseWriter, r *http.Request, p Place) error {
	if h.Accounts.PasswordOff {
		return authcore.ErrPasswordOff
	}
	return h.changing(w, r, p, "password", true, func(actor authcore.Actor) error {
		if err := h.Accounts.SetPassword(r.Context(), actor, actor.User, secret(r, "new_password")); err != nil {
			return inField(err, "password", "new_password")
		}
		// The password is changed: that this browser cannot be remembered now is no failure.
		if proof, err := h.Accounts.NewProof(r.Context(), actor.User); err == nil {
			h.remember(w, r, p, proof)
		}
		return nil
	})
}

func (h *Handler) revokeSession(w http.ResponseWriter, r *http.Request, p Place) error {
	return h.changing(w, r, p, "session", false, func(actor authcore.Actor) error {
		return h.Accounts.Revoke(r.Context(), actor, authcore.SessionID(r.PostForm.Get("id")))
	})
}
