package web

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/access"
	"github.com/gatehouse-auth/gatehouse/authcore/oidcop"
	"github.com/gatehouse-auth/gatehouse/authcore/totp"
)

// devicePath is the page where a user lets a device in.
const devicePath = Prefix + "device"

// deviceData is the Data of that page: it asks for a code, shows what waits with it, or says
// what was done.
type deviceData struct {
	Code       string // as it was typed
	RetryAfter int
	Waits      *waitingView
	Done       string // "approved" or "refused"
}

// waitingView is a device that waits to be let in.
type waitingView struct {
	Code, App, Organization string
	Address, Device, Asked  string // where it asked, and when
	CommandLine             bool
	Scopes                  []string
	Acting                  string // why nobody can say yes in this session
}

// devicePage asks for the code that a device shows. A link may fill it in, and does nothing
// else: what waits is shown after a click on a page of ours.
func (h *Handler) devicePage(w http.ResponseWriter, r *http.Request, p Place) error {
	if h.OAuth == nil {
		return errNotFound
	}
	code := ""
	if plain := oidcop.PlainUserCode(r.URL.Query().Get("user_code")); plain != "" {
		code = oidcop.ShowUserCode(plain)
	}
	live, err := h.live(r, p)
	if err != nil {
		return err
	}
	if live == nil {
		redirectTo(w, r, Prefix+"login?flow="+h.sealFlow(flow{Origin: p.Origin, Path: devicePathOf(code)}))
		return nil
	}
	return h.show(w, r, p, http.StatusOK, "device", View{User: userView(live), Data: deviceData{Code: code}})
}

// devicePathOf is the page with a code filled in.
func devicePathOf(code string) string {
	if code == "" {
		return devicePath
	}
	return devicePath + "?" + url.Values{"user_code": {code}}.Encode()
}

// deviceForm shows what waits with a code, and lets it in or refuses it.
func (h *Handler) deviceForm(w http.ResponseWriter, r *http.Request, p Place) error {
	if h.OAuth == nil {
		return errNotFound
	}
	live, err := h.signedIn(r, p)
	if err != nil {
		return err
	}
	typed := r.PostForm.Get("user_code")
	waits, err := h.OAuth.FindDevice(r.Context(), live.Session.UserID, typed, p.Client)
	if err != nil {
		return h.deviceFailed(w, r, p, live, typed, err)
	}
	code := oidcop.ShowUserCode(oidcop.PlainUserCode(typed))
	do := r.PostForm.Get("do")
	if do == "refuse" {
		if err := h.OAuth.Deny(r.Context(), waits, live, p.Client); err != nil {
			return h.deviceFailed(w, r, p, live, typed, err)
		}
		return h.show(w, r, p, http.StatusOK, "device", View{User: userView(live), Data: deviceData{Done: "refused"}})
	}
	if lacks, err := h.deviceNeedsFactor(r, live, &waits); err != nil {
		return err
	} else if stale := waits.CommandLine() && live.Session.Act == "" && !h.fresh(p, live); lacks || stale {
		need := access.Need{SecondFactor: lacks}
		if stale { // as for every token that is made for a user
			need.Within = freshFor
		}
		redirect(w, h.ConfirmURL(w, r, p, devicePathOf(code), need))
		return nil
	}
	if do == "approve" {
		err := h.OAuth.Approve(r.Context(), waits, live, p.Client)
		if e := new(authcore.Error); errors.As(err, &e) && e.Kind == authcore.Forbidden && !waits.CommandLine() {
			h.Accounts.ServiceRefused(actorOf(live, p), waits.Service, e)
		}
		if err != nil {
			return h.deviceFailed(w, r, p, live, typed, err)
		}
		return h.show(w, r, p, http.StatusOK, "device", View{User: userView(live), Data: deviceData{Done: "approved"}})
	}
	return h.show(w, r, p, http.StatusOK, "device", View{User: userView(live), Data: deviceData{Waits: h.waitingView(live, &waits, code)}})
}

func (h *Handler) waitingView(live *authcore.Live, waits *oidcop.Waiting, code string) *waitingView {
	g := &waits.Grant
	scopes := g.Scopes
	if !waits.CommandLine() && !slices.Contains(scopes, oidcop.ScopeOffline) { // as devices do
		scopes = append(slices.Clone(scopes), oidcop.ScopeOffline)
	}
	v := &waitingView{Code: code, App: waits.Service.Name, Organization: waits.Organization.Name, Address: g.Address, Device: authcore.AgentName(g.Agent), Asked: ago(h.Accounts.Now(), g.CreatedAt),
		CommandLine: waits.CommandLine(), Scopes: wordsOf(scopes, g.Resources...)}
	if live.Session.Act != "" {
		v.Acting = live.User().DisplayName()
	}
	return v
}

// deviceNeedsFactor tells whether a second factor is lacking to let a device in: of who needs
// one always, and for the command line, which can do all that its user can, of who has one
// and of owners.
func (h *Handler) deviceNeedsFactor(r *http.Request, live *authcore.Live, waits *oidcop.Waiting) (bool, error) {
	u := live.User()
	switch {
	case ProofOf(&live.Session, h.Accounts.Now()).SecondFactor || live.Session.Act != "":
		return false, nil
	case u.NeedsFactor(), waits.CommandLine() && u.Owner && !h.OwnersFree:
		return true, nil
	case !waits.CommandLine():
		return false, nil
	}
	factors, err := h.Accounts.Factors(r.Context(), u.ID)
	return factors.Has(), err
}

// errNoUserCode says that what was typed is no code at all.
var errNoUserCode = &authcore.Error{Kind: authcore.Invalid, Code: "user_code_malformed", Field: "user_code", Message: "A code has eight letters, such as BCDF-GHJK, without A, E, I, O, U and Y."}

// deviceFailed asks for the code again, or says why it helps nothing.
func (h *Handler) deviceFailed(w http.ResponseWriter, r *http.Request, p Place, live *authcore.Live, typed string, err error) error {
	var e *authcore.Error
	if errors.Is(err, authcore.ErrUserCodeInvalid) && oidcop.PlainUserCode(typed) == "" {
		err = errNoUserCode
	}
	prob := describe(err, p.Client.RequestID)
	if wantsJSON(r) || !errors.As(err, &e) || prob.Status >= http.StatusInternalServerError {
		return err
	}
	prob.headers(w.Header())
	return h.show(w, r, p, prob.Status, "device", View{User: userView(live), Error: errorView(prob), Data: deviceData{Code: cut(typed), RetryAfter: prob.retryAfter}})
}

// cut is what was typed, as long as a field takes it.
func cut(typed string) string { return strings.ToValidUTF8(typed[:min(len(typed), 32)], "") }

// deviceQR is a picture of the page with a code filled in, for a device to show. It is made
// of the code alone: whether anything waits with it, nobody learns here.
func (h *Handler) deviceQR(w http.ResponseWriter, r *http.Request, p Place) error {
	if h.OAuth == nil {
		return errNotFound
	}
	code := oidcop.PlainUserCode(r.URL.Query().Get("user_code"))
	if code == "" {
		return errNoUserCode
	}
	picture, err := totp.QR(p.Origin + devicePathOf(oidcop.ShowUserCode(code)))
	if err != nil {
		return err
	}
	head := w.Header()
	secureHeaders(head)
	head.Set("Content-Type", "image/svg+xml")
	head.Set("Cache-Control", "public, max-age=900")
	head.Set("Cross-Origin-Resource-Policy", "cross-origin")
	_, _ = w.Write([]byte(picture)) // a lost client is all that can fail
	return nil
}
