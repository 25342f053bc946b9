package web

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// exported is an Export as people download it. Times are UTC.
type exported struct {
	ExportedAt time.Time `json:"exported_at"`
	User       struct {
		ID               authcore.UserID `json:"id"`
		Username         string          `json:"username"`
		Name             string          `json:"name"`
		Email            string          `json:"email"`
		EmailVerified    bool            `json:"email_verified"`
		Owner            bool            `json:"owner"`
		Groups           []string        `json:"groups"`
		Password         bool            `json:"password"`
		FactorRequired   bool            `json:"second_factor_required"`
		OrganizationOnly bool            `json:"organization_only"`
		CreatedAt        time.Time       `json:"created_at"`
		UpdatedAt        time.Time       `json:"updated_at"`
	} `json:"user"`
	SecondFactor  *exportedFactor    `json:"second_factor"`
	RecoveryCodes int                `json:"recovery_codes"`
	Passkeys      []exportedPasskey  `json:"passkeys"`
	Devices       []exportedDevice   `json:"trusted_devices"`
	Identities    []exportedIdentity `json:"identities"`
	Sessions      []exportedSession  `json:"sessions"`
	Tokens        []exportedToken    `json:"access_tokens"`
	Organizations []exportedPlace    `json:"organizations"`
	Services      []exportedService  `json:"services"`
	Consents      []exportedConsent  `json:"consents"`
	Events        []exportedEvent    `json:"events"`
}

type exportedPlace struct {
	Slug string        `json:"slug"`
	Role authcore.Role `json:"role"`
}

type exportedService struct {
	Organization string    `json:"organization"`
	Name         string    `json:"name"`
	FirstAt      time.Time `json:"first_sign_in_at"`
	LastAt       time.Time `json:"last_sign_in_at"`
}

type exportedConsent struct {
	Organization string    `json:"organization"`
	Service      string    `json:"service"`
	Scopes       []string  `json:"scopes"`
	CreatedAt    time.Time `json:"created_at"`
	UpdatedAt    time.Time `json:"updated_at"`
}

type exportedFactor struct {
	Kind      string    `json:"kind"`
	CreatedAt time.Time `json:"created_at"`
}

type exportedPasskey struct {
	Name      string    `json:"name"`
	Domain    string    `json:"domain"`
	BackedUp  bool      `json:"backed_up"`
	CreatedAt time.Time `json:"created_at"`
	UsedAt    time.Time `json:"last_used_at"`
}

type exportedDevice struct {
	Agent     string    `json:"agent"`
	Address   string    `json:"address"`
	CreatedAt time.Time `json:"created_at"`
	UsedAt    time.Time `json:"last_used_at"`
	ExpiresAt time.Time `json:"expires_at"`
}

type exportedIdentity struct {
	Provider string    `json:"provider"`
	Issuer   string    `json:"issuer"`
	Subject  string    `json:"subject"`
	Username string    `json:"username"`
	Email    string    `json:"email"`
	LinkedAt time.Time `json:"linked_at"`
	UsedAt   time.Time `json:"last_used_at"`
}

type exportedSession struct {
	ID         authcore.SessionID `json:"id"`
	Host       string             `json:"host"`
	Methods    []string           `json:"methods"`
	Address    string             `json:"address"`
	Agent      string             `json:"agent"`
	CreatedAt  time.Time          `json:"created_at"`
	LastSeenAt time.Time          `json:"last_seen_at"`
	ExpiresAt  time.Time          `json:"expires_at"`
}

type exportedToken struct {
	Name      string    `json:"name"`
	Hosts     []string  `json:"hosts"`
	Paths     []string  `json:"paths"`
	Scopes    []string  `json:"scopes"`
	CreatedAt time.Time `json:"created_at"`
	UsedAt    time.Time `json:"last_used_at,omitzero"`
	ExpiresAt time.Time `json:"expires_at"`
}

type exportedEvent struct {
	Time    time.Time        `json:"time"`
	Action  authcore.Action  `json:"action"`
	Outcome authcore.Outcome `json:"outcome"`
	Target  string           `json:"target"`
	Details string           `json:"details"`
	Address string           `json:"address"`
	Agent   string           `json:"agent"`
}

// exportOf leaves out what is secret.
func exportOf(now time.Time, e authcore.Export) exported {
	out := exported{ExportedAt: now.UTC(), RecoveryCodes: e.Factors.Codes, Passkeys: []exportedPasskey{}, Devices: []exportedDevice{}, Identities: []exportedIdentity{},
		Sessions: []exportedSession{}, Tokens: []exportedToken{}, Organizations: []exportedPlace{}, Services: []exportedService{}, Consents: []exportedConsent{}, Events: []exportedEvent{}}
	u := e.User
	out.User.ID, out.User.Username, out.User.Name, out.User.Email, out.User.EmailVerified = u.ID, u.Username, u.Name, u.Email, u.EmailVerified
	out.User.Owner, out.User.Groups, out.User.Password, out.User.FactorRequired, out.User.OrganizationOnly = u.Owner, append([]string{}, u.Groups...), e.Password, u.FactorRequired, u.OrganizationOnly
	out.User.CreatedAt, out.User.UpdatedAt = u.CreatedAt, u.UpdatedAt
	if t := e.Factors.TOTP; t != nil {
		out.SecondFactor = &exportedFactor{"totp", t.CreatedAt}
	}
	for _, k := range e.Passkeys {
		out.Passkeys = append(out.Passkeys, exportedPasskey{k.Name, k.Domain, k.BackedUp, k.CreatedAt, k.UsedAt})
	}
	for _, d := range e.Devices {
		out.Devices = append(out.Devices, exportedDevice{d.Agent, d.Address, d.CreatedAt, d.UsedAt, d.ExpiresAt})
	}
	for _, i := range e.Identities {
		out.Identities = append(out.Identities, exportedIdentity{i.Provider, i.Issuer, i.Subject, i.Username, i.Email, i.CreatedAt, i.UsedAt})
	}
	for _, s := range e.Sessions {
		if s.Act != "" {
			s.Address, s.Agent = "", ""
		}
		out.Sessions = append(out.Sessions, exportedSession{s.ID, s.Host, s.AMR, s.Address, s.Agent, s.CreatedAt, s.LastSeen, s.ExpiresAt})
	}
	for _, t := range e.Tokens {
		out.Tokens = append(out.Tokens, exportedToken{t.Name, t.Grant.Hosts, t.Grant.Paths, t.Grant.Scopes, t.CreatedAt, t.LastUsed, t.ExpiresAt})
	}
	for _, m := range e.Places {
		out.Organizations = append(out.Organizations, exportedPlace{m.Slug, m.Role})
	}
	for _, s := range e.Services {
		out.Services = append(out.Services, exportedService{s.Organization, s.Name, s.FirstAt, s.LastAt})
	}
	for _, c := range e.Consents {
		out.Consents = append(out.Consents, exportedConsent{c.Slug, c.ServiceName, append([]string{}, c.Scopes...), c.CreatedAt, c.UpdatedAt})
	}
	for _, ev := range e.Events {
		x := exportedEvent{ev.Time, ev.Action, ev.Outcome, ev.Target, ev.Details, "", ""}
		if ev.Actor.User == u.ID && ev.Actor.Act == "" || ev.Actor.Kind == authcore.ActorAnonymous { // where others did it from is theirs
			x.Address, x.Agent = ev.Actor.Client.Address, ev.Actor.Client.Agent
		}
		out.Events = append(out.Events, x)
	}
	return out
}

// exportData gives a user all that is kept of that user.
func (h *Handler) exportData(w http.ResponseWriter, r *http.Request, p Place) error {
	return h.changingThen(w, r, p, "data", false, func(actor authcore.Actor) (func() error, error) {
		e, err := h.Accounts.Export(r.Context(), actor)
		return func() error {
			w.Header().Set("Content-Disposition", `attachment; filename="account.json"`)
			text, err := json.MarshalIndent(exportOf(h.Accounts.Now(), e), "", "\t")
			if err != nil {
				return err
			}
			secureHeaders(w.Header())
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(append(text, '\n')) // a lost client is all that can fail
			return nil
		}, err
	})
}

// deleteAccount deletes the account of a user who has typed its name.
func (h *Handler) deleteAccount(w http.ResponseWriter, r *http.Request, p Place) error {
	live, err := h.signedIn(r, p)
	if err != nil {
		return err
	}
	return h.changingThen(w, r, p, "delete", true, func(actor authcore.Actor) (func() error, error) {
		if h.Accounts.KeepAccounts {
			return nil, authcore.ErrDeletionOff
		}
		if authcore.UsernameKey(strings.TrimSpace(r.PostForm.Get("confirm_username"))) != authcore.UsernameKey(live.User().Username) {
			return nil, authcore.ErrNotConfirmed
		}
		if err := h.checkApp(r, live, actor); err != nil {
			return nil, err
		}
		at, err := h.Accounts.DeleteUser(r.Context(), actor, actor.User, h.Accounts.DeleteAfter)
		return func() error {
			setCookie(w, p, sessionCookie, "", -1)
			if isJSON(r) {
				body := map[string]any{}
				if !at.IsZero() {
					body["delete_at"] = at.UTC()
				}
				writeJSON(w, http.StatusOK, body)
				return nil
			}
			u := live.User()
			d := keepData{Gone: true, Told: h.Accounts.Mail != nil && u.EmailVerified}
			if !at.IsZero() {
				d.Until = at.UTC().Format("2 January 2006")
			}
			return h.show(w, r, p, http.StatusOK, "keep-account", View{Data: d})
		}, err
	})
}

// keepData is the Data of the page about an account that is deleted, or kept.
type keepData struct {
	Gone            bool   // it is deleted, or will be
	Until           string // when it will be
	Told            bool   // by mail
	Token, Username string // of a link that keeps it; empty when that is done
}

// keepPage shows a button for a link that keeps an account. Looking at it uses nothing up.
func (h *Handler) keepPage(w http.ResponseWriter, r *http.Request, p Place) error {
	token := authcore.Secret(r.URL.Query().Get("token"))
	u, err := h.Accounts.CheckKeep(r.Context(), token)
	if err != nil {
		return err
	}
	return h.show(w, r, p, http.StatusOK, "keep-account", View{Data: keepData{Token: token.Reveal(), Username: u.Username}})
}

// keep keeps an account from being deleted.
func (h *Handler) keep(w http.ResponseWriter, r *http.Request, p Place) error {
	if err := h.Accounts.KeepUser(r.Context(), authcore.Anonymous(p.Client), secret(r, "token")); err != nil {
		return err
	}
	done(w, r, Prefix+"login?notice=kept", nil)
	return nil
}
