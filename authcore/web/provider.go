package web

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
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
		to, err := h.begin(w, r, p, provider, visit{Purpose: toLink, Root: live.Session.Root})
		return func() error {
			if isJSON(r) {
				done(w, r, to, nil)
				return nil
			}
			return h.show(w, r, p, http.StatusOK, "continue", View{User: userView(live), Data: continueData{URL: to, Target: provider.Label, Heading: "Linking " + provider.Label}})
		}, err
	})
}

func (h *Handler) unlinkProvider(w http.ResponseWriter, r *http.Request, p Place) error {
	return h.changing(w, r, p, "provider", false, func(actor authcore.Actor) error {
		return h.Accounts.Unlink(r.Context(), actor, authcore.IdentityID(r.PostForm.Get("id")))
	})
}

// proofLife is for how long a proof by a provider is good for changes, where the session
// being young is not enough.
const proofLife = 5 * time.Minute

// accountProof says that the user of a session proved just now, at a provider, who they
// are. It travels sealed in the address of the account page and in its forms.
type accountProof struct {
	Root authcore.SessionID
}

func (h *Handler) sealProof(live *authcore.Live) string {
	text, err := json.Marshal(accountProof{live.Session.Root})
	if err != nil {
		return ""
	}
	return h.Proofs.Seal(text)
}

// proofHolds tells whether a sealed proof is of this session, and young.
func (h *Handler) proofHolds(live *authcore.Live, sealed string) bool {
	if sealed == "" {
		return false
	}
	text, err := h.Proofs.Open(sealed, proofLife)
	var proof accountProof
	return err == nil && json.Unmarshal(text, &proof) == nil && proof.Root == live.Session.Root
}

// proven sees to it that who asks for a change of an account is its user: because the
// session is young enough, or by a proof at a provider, or by the password. Where
// always is set, one who has a password has to give it.
func (h *Handler) proven(r *http.Request, p Place, live *authcore.Live, always bool) error {
	young := h.fresh(p, live) || h.proofHolds(live, r.PostForm.Get("proof"))
	if young && !always {
		return nil
	}
	if r.PostForm.Get("current_password") == "" {
		has, err := h.Accounts.HasPassword(r.Context(), live.Session.UserID)
		switch {
		case err != nil:
			return err
		case !has && young:
			return nil
		case !has:
			return errProofByProvider
		}
	}
	return h.Accounts.Confirm(r.Context(), actorOf(live, p), secret(r, "current_password"))
}

var errProofByProvider = &authcore.Error{Kind: authcore.Forbidden, Code: "proof_required",
	Message: "Please confirm with a sign-in provider that it is you, then make this change again."}

// endAtProvider is where a browser ends the session at the provider that its session
// here came from; empty where there is none, or it does not offer that.
func (h *Handler) endAtProvider(r *http.Request, p Place, live *authcore.Live) string {
	s := &live.Session
	provider, err := h.Providers.Find(r.Context(), "", s.Provider)
	if s.Identity == "" || err != nil {
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
		return provider.EndSession(tokens.ID, p.Portal+Prefix+"logout")
	}
	return ""
}

// brokerScope is the scope that an access token needs to be given the user's tokens at
// a provider.
func brokerScope(provider string) string { return "provider:" + provider }

// providerToken gives a service the current access token of a user at a provider. It
// must have an access token of that user with the scope for it.
func (h *Handler) providerToken(name string) endpoint {
	return func(w http.ResponseWriter, r *http.Request, p Place) error {
		provider, err := h.Providers.Find(r.Context(), "", name)
		if err != nil || !provider.Broker {
			return connect.ErrUnknownProvider
		}
		by := CredentialsOf(r.Header, p.Secure)
		if by.Access == "" {
			h.RefuseToken(w, p, errBrokerToken)
			return nil
		}
		live, err := h.Check.Sessions.LookupAccessToken(r.Context(), by.Access, h.Accounts.Now())
		if errors.Is(err, authcore.ErrNoSession) {
			h.RefuseToken(w, p, notGood.err)
			return nil
		}
		if err != nil {
			return err
		}
		switch grant := &live.Session.Access.Grant; {
		case !grant.Holds(p.Host, r.URL.Path):
			h.RefuseToken(w, p, notGranted.err)
			return nil
		case !grant.Has([]string{brokerScope(name)}):
			h.RefuseToken(w, p, errTokenScope)
			return nil
		}
		if err := h.Check.Sessions.Touch(r.Context(), live, h.Accounts.Now()); err != nil {
			return err
		}
		return h.answerToken(w, r, p, provider, live.Session.UserID)
	}
}

var errBrokerToken = &authcore.Error{Kind: authcore.Unauthenticated, Code: "token_required",
	Message: "Send an access token of the user as Authorization: Bearer."}

func (h *Handler) answerToken(w http.ResponseWriter, r *http.Request, p Place, provider *connect.Provider, user authcore.UserID) error {
	current, err := h.Broker.Token(r.Context(), user, provider.Name)
	if err != nil {
		prob := describe(err, p.Client.RequestID)
		more := map[string]any{}
		if prob.Code == connect.ErrActionRequired.Code {
			more["action_url"] = p.Portal + Prefix + "connect/" + url.PathEscape(provider.Name)
		}
		h.log(r, prob, err)
		writeProblem(w, prob, more)
		return nil
	}
	body := map[string]any{"access_token": current.Access.Reveal(), "token_type": "Bearer", "scope": strings.Join(current.Scopes, " ")}
	if !current.Expires.IsZero() {
		body["expires_at"] = current.Expires.UTC().Format(time.RFC3339)
	}
	writeJSON(w, http.StatusOK, body)
	return nil
}
