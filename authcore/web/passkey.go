package web

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/passkey"
)

// ceremony is what is between the options of a passkey and its answer, as it travels:
// sealed, and bound to the browser.
type ceremony struct {
	passkey.Ceremony
	Browser string // hash of the flow cookie
	For     string // a new passkey, or the proof of one
}

// What a ceremony is for.
const (
	toCreate   = "create"
	toRegister = "register" // a new passkey, of somebody who has no account yet
	toProve    = "prove"
)

// ceremonyLife is how long somebody may take: sign-in pages stay open for a while.
const ceremonyLife = 30 * time.Minute

// passkeyForm is what a page needs to ask the browser for a passkey; nil where there
// are none. It is embedded in the Data of such pages.
type passkeyForm struct {
	Passkey *passkeyAsked
}

type passkeyAsked struct {
	Options  string // JSON: PublicKeyCredentialRequestOptionsJSON, or …CreationOptionsJSON
	Ceremony string // sealed
}

// party is who asks for passkeys on a page.
func (h *Handler) party(p Place) (passkey.Party, bool) { return h.Passkeys.Party(p.Origin, h.Brand) }

func (h *Handler) sealCeremony(w http.ResponseWriter, r *http.Request, p Place, what string, options []byte, c passkey.Ceremony) (passkeyForm, error) {
	text, err := json.Marshal(ceremony{Ceremony: c, Browser: browserHash(h.flowCookie(w, r, p)), For: what})
	return passkeyForm{&passkeyAsked{Options: string(options), Ceremony: h.Ceremonies.Seal(text)}}, err
}

// askPasskey asks for a passkey: for anybody's where user is empty. There is none to
// ask for where the user has none.
func (h *Handler) askPasskey(w http.ResponseWriter, r *http.Request, p Place, user authcore.UserID) (passkeyForm, error) {
	party, ok := h.party(p)
	if !ok {
		return passkeyForm{}, nil
	}
	var has []authcore.Passkey
	if user != "" {
		var err error
		if has, err = h.Accounts.Passkeys(r.Context(), user); err != nil {
			return passkeyForm{}, err
		}
	}
	options, c, err := party.Ask(user, has)
	if errors.Is(err, authcore.ErrPasskeyWrong) {
		return passkeyForm{}, nil
	}
	if err != nil {
		return passkeyForm{}, err
	}
	return h.sealCeremony(w, r, p, toProve, options, c)
}

// newPasskey asks for a new passkey of a user.
func (h *Handler) newPasskey(w http.ResponseWriter, r *http.Request, p Place, what string, user authcore.User) (passkeyForm, error) {
	party, ok := h.party(p)
	if !ok {
		return passkeyForm{}, nil
	}
	has, err := h.Accounts.Passkeys(r.Context(), user.ID)
	if err != nil {
		return passkeyForm{}, err
	}
	options, c, err := party.Create(user, has)
	if err != nil {
		return passkeyForm{}, err
	}
	return h.sealCeremony(w, r, p, what, options, c)
}

// firstPasskey asks for the passkey of somebody who has no account yet. Who tries again
// makes it for the same id, so that the authenticator replaces it.
func (h *Handler) firstPasskey(w http.ResponseWriter, r *http.Request, p Place) (passkeyForm, error) {
	user := authcore.User{ID: authcore.NewUserID(), Username: "?"} // the page fills in the name
	if c, err := h.openCeremony(r, p, toRegister); err == nil {
		user.ID = c.User
	}
	return h.newPasskey(w, r, p, toRegister, user)
}

// openCeremony gives the ceremony that a form is of, or ErrPasskeyOld.
func (h *Handler) openCeremony(r *http.Request, p Place, what string) (c ceremony, err error) {
	text, err := h.Ceremonies.Open(r.PostForm.Get("ceremony"), ceremonyLife)
	if err != nil || json.Unmarshal(text, &c) != nil || c.For != what || c.Browser != browserHash(FlowToken(r.Header, p.Secure)) {
		return c, authcore.ErrPasskeyOld
	}
	return c, nil
}

func (h *Handler) once(c *ceremony) authcore.Code { return c.Once(h.Accounts.Now(), ceremonyLife) }

// verifyPasskey checks the passkey in a form; of a user that is not empty it must be.
func (h *Handler) verifyPasskey(r *http.Request, p Place, user authcore.UserID) authcore.VerifyPasskey {
	return func(find func(authcore.PasskeyID) (authcore.Passkey, error)) (use authcore.PasskeyUse, err error) {
		party, ok := h.party(p)
		if !ok {
			return use, authcore.ErrPasskeysOff
		}
		c, err := h.openCeremony(r, p, toProve)
		if err != nil {
			return use, err
		}
		if c.User != user {
			return use, authcore.ErrPasskeyOld
		}
		use.Passkey, err = party.Answered(c.Ceremony, []byte(r.PostForm.Get("passkey")), find)
		use.Once = h.once(&c)
		return use, err
	}
}

// createdPasskey checks the new passkey in a form. Whose it is, the caller checks:
// ErrPasskeysOff, ErrPasskeyOld, ErrPasskeyRefused.
func (h *Handler) createdPasskey(r *http.Request, p Place, what string) (k authcore.Passkey, once authcore.Code, err error) {
	party, ok := h.party(p)
	if !ok {
		return k, once, authcore.ErrPasskeysOff
	}
	c, err := h.openCeremony(r, p, what)
	if err != nil {
		return k, once, err
	}
	k, err = party.Created(c.Ceremony, []byte(r.PostForm.Get("passkey")))
	return k, h.once(&c), err
}

// hasPasskey tells whether a form brings a passkey.
func hasPasskey(r *http.Request) bool { return r.PostForm.Get("passkey") != "" }

// passkeyOptions gives a program what it needs to ask for a passkey.
func (h *Handler) passkeyOptions(w http.ResponseWriter, r *http.Request, p Place) error {
	form, err := h.askPasskey(w, r, p, "")
	if err != nil {
		return err
	}
	if form.Passkey == nil {
		return authcore.ErrPasskeysOff
	}
	writeJSON(w, http.StatusOK, map[string]any{"options": json.RawMessage(form.Passkey.Options), "ceremony": form.Passkey.Ceremony})
	return nil
}

// passkeySignIn signs in with a passkey.
func (h *Handler) passkeySignIn(w http.ResponseWriter, r *http.Request, p Place) error {
	in := authcore.PasskeySignIn{Verify: h.verifyPasskey(r, p, ""), Host: p.Host}
	if l, ok := h.openLink(r, p, r.PostForm.Get("link")); ok {
		in.Also = l
	} else if r.PostForm.Get("link") != "" {
		redirect(w, Prefix+"login?notice=again")
		return nil
	}
	token, session, err := h.Accounts.SignInWithPasskey(r.Context(), authcore.Anonymous(p.Client), in)
	if err != nil {
		return h.loginFailed(w, r, p, err)
	}
	return h.enter(w, r, p, token, session)
}

// passkeyView is a passkey on the account page.
type passkeyView struct {
	ID, Name, Created, Used, Domain string
	CreatedISO                      string
	Synced, Elsewhere               bool
}

// passkeysData is what the account page says of passkeys.
type passkeysData struct {
	Shown bool
	All   []passkeyView
	Here  bool // one of them is good on this page
	Alone bool // without the last one, a password stands alone beside which it was asked for
}

func (h *Handler) addPasskeys(r *http.Request, p Place, live *authcore.Live, d *passkeysData) error {
	all, err := h.Accounts.Passkeys(r.Context(), live.Session.UserID)
	if err != nil {
		return err
	}
	party, ok := h.party(p)
	now := h.Accounts.Now()
	for _, k := range all {
		v := passkeyView{ID: string(k.ID), Name: k.Name, Created: ago(now, k.CreatedAt), Used: ago(now, k.UsedAt), Domain: k.Domain,
			CreatedISO: k.CreatedAt.UTC().Format(time.RFC3339), Synced: k.BackedUp, Elsewhere: k.Domain != party.Domain}
		d.Here = d.Here || ok && !v.Elsewhere
		d.All = append(d.All, v)
	}
	d.Shown = ok || len(all) > 0
	f, err := h.Accounts.Factors(r.Context(), live.Session.UserID)
	d.Alone = f.Has() && f.LeavesAlone(false)
	return err
}

// passkeysOn tells whether passkeys can be set up on a host.
func (h *Handler) passkeysOn(p Place) bool {
	_, ok := h.party(p)
	return ok
}

// addPasskeyData is the Data of the page on which a passkey is set up.
type addPasskeyData struct {
	way
	passkeyForm
	Name        string
	AskCode     bool        // of the app that there is
	Ask         passkeyForm // to confirm with a passkey that there is
	Fresh       bool
	HasPassword bool
	Confirm     []providerButton
	Proof       string
}

// addPasskeyPage sets up a passkey.
func (h *Handler) addPasskeyPage(w http.ResponseWriter, r *http.Request, p Place) error {
	live, err := h.live(r, p)
	if err != nil {
		return err
	}
	if live == nil {
		redirect(w, Prefix+"login?return_to="+Prefix+"account")
		return nil
	}
	return h.showAddPasskey(w, r, p, live, http.StatusOK, nil)
}

func (h *Handler) showAddPasskey(w http.ResponseWriter, r *http.Request, p Place, live *authcore.Live, status int, e *ErrorView) error {
	form := r.PostForm
	if form == nil {
		form = r.URL.Query()
	}
	d := addPasskeyData{way: h.wayOf(p, form), Proof: form.Get("proof"), Name: form.Get("name")}
	if d.Name == "" {
		d.Name = authcore.AgentName(p.Client.Agent)
	}
	var err error
	if d.passkeyForm, err = h.newPasskey(w, r, p, toCreate, *live.User()); err != nil {
		return err
	}
	if d.Passkey == nil {
		return authcore.ErrPasskeysOff
	}
	var providers providersData
	if err := h.addProviders(r, live, &providers); err != nil {
		return err
	}
	if d.HasPassword, err = h.Accounts.HasPassword(r.Context(), live.Session.UserID); err != nil {
		return err
	}
	factors, err := h.Accounts.Factors(r.Context(), live.Session.UserID)
	if err != nil {
		return err
	}
	d.Confirm, d.AskCode = providers.Confirm, factors.TOTP != nil && !h.justByPasskey(live, d.Proof)
	if d.Ask, err = h.askPasskey(w, r, p, live.Session.UserID); err != nil {
		return err
	}
	d.Fresh = h.fresh(p, live) || h.proofHolds(live, d.Proof)
	return h.show(w, r, p, status, "passkey", View{User: userView(live), Error: e, Data: d})
}

// addPasskey gives the user a passkey.
func (h *Handler) addPasskey(w http.ResponseWriter, r *http.Request, p Place) error {
	live, err := h.signedIn(r, p)
	if err != nil {
		return err
	}
	if err = h.proven(r, p, live, false); err == nil {
		var k authcore.Passkey
		var once authcore.Code
		if k, once, err = h.createdPasskey(r, p, toCreate); err == nil {
			err = h.checkApp(r, live, actorOf(live, p))
		}
		if err == nil {
			err = h.Accounts.AddPasskey(r.Context(), actorOf(live, p), k, r.PostForm.Get("name"), once)
		}
	}
	if err == nil {
		to := h.accountAfter(r, "passkey")
		if on := h.wayOf(p, r.PostForm); on.Flow != "" {
			to = Prefix + "confirm?" + on.query().Encode()
		}
		done(w, r, to, nil)
		return nil
	}
	prob := describe(err, p.Client.RequestID)
	if wantsJSON(r) || prob.Status >= 500 {
		return err
	}
	prob.headers(w.Header())
	return h.showAddPasskey(w, r, p, live, prob.Status, errorView(prob))
}

func (h *Handler) renamePasskey(w http.ResponseWriter, r *http.Request, p Place) error {
	return h.changing(w, r, p, "renamed", false, func(actor authcore.Actor) error {
		return h.Accounts.RenamePasskey(r.Context(), actor, authcore.PasskeyID(r.PostForm.Get("id")), r.PostForm.Get("name"))
	})
}

func (h *Handler) removePasskey(w http.ResponseWriter, r *http.Request, p Place) error {
	live, err := h.signedIn(r, p)
	if err != nil {
		return err
	}
	factors, err := h.Accounts.Factors(r.Context(), live.Session.UserID)
	if err != nil {
		return err
	}
	alone := factors.Has() && factors.LeavesAlone(false)
	return h.changing(w, r, p, "unpasskey", alone, func(actor authcore.Actor) error {
		if alone {
			if err := h.mayStandAlone(r, actor); err != nil {
				return err
			}
		}
		return h.Accounts.RemovePasskey(r.Context(), actor, authcore.PasskeyID(r.PostForm.Get("id")))
	})
}

// removePassword takes the password away from somebody whose session was just proven by
// a passkey.
func (h *Handler) removePassword(w http.ResponseWriter, r *http.Request, p Place) error {
	return h.changing(w, r, p, "unpassword", false, func(actor authcore.Actor) error {
		live, err := h.signedIn(r, p)
		if err != nil {
			return err
		}
		if !h.justByPasskey(live, r.PostForm.Get("proof")) {
			return authcore.ErrPasskeyFirst
		}
		var here passkeysData
		if err := h.addPasskeys(r, p, live, &here); err != nil {
			return err
		}
		if !here.Here {
			return authcore.ErrPasskeyFirst
		}
		return h.Accounts.RemovePassword(r.Context(), actor)
	})
}
