package web

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/access"
)

// tokensData is what the account page says of access tokens.
type tokensData struct {
	Shown bool // some policy accepts them, or there are some
	All   []tokenView
	New   authcore.Secret // that was made just now, to be shown this once
	// The form as it was filled in.
	Name, Hosts, Paths, Scopes, Days string
}

// tokenView is one access token.
type tokenView struct {
	ID, Name, Where, Scopes                string
	Created, CreatedISO, LastUsed, Expires string
	Expired                                bool
}

// Reveal is the text of a new token.
func (d tokensData) Reveal() string { return d.New.Reveal() }

// read takes over what was filled in.
func (d *tokensData) read(form url.Values) {
	d.Name, d.Hosts, d.Paths, d.Scopes, d.Days = form.Get("token_name"), form.Get("hosts"), form.Get("paths"), form.Get("scopes"), form.Get("days")
}

// addTokens lists a user's access tokens.
func (h *Handler) addTokens(r *http.Request, live *authcore.Live, d *tokensData) error {
	all, err := h.Accounts.AccessTokens(r.Context(), live.Session.UserID, "", authcore.MaxAccessTokens)
	now := h.Accounts.Now()
	for _, t := range all {
		v := tokenView{ID: string(t.ID), Name: t.Name, Where: where(t.Grant), Scopes: strings.Join(t.Grant.Scopes, " "), Created: ago(now, t.CreatedAt),
			CreatedISO: t.CreatedAt.UTC().Format(time.RFC3339), Expires: t.ExpiresAt.UTC().Format(time.DateOnly), Expired: !now.Before(t.ExpiresAt)}
		if t.OfCommandLine() { // which has all scopes that there are
			v.Where, v.Scopes = "all that you may do on this site", ""
		}
		if !t.LastUsed.IsZero() {
			v.LastUsed = ago(now, t.LastUsed)
		}
		d.All = append(d.All, v)
	}
	d.Shown = h.Tokens || len(all) > 0
	return err
}

// where says where a grant is good.
func where(g access.Grant) string {
	hosts, paths := "every site", ""
	if len(g.Hosts) > 0 {
		hosts = strings.Join(g.Hosts, ", ")
	}
	if len(g.Paths) > 0 {
		paths = " under " + strings.Join(g.Paths, ", ")
	}
	return hosts + paths
}

// createToken makes an access token and shows it, this once: there is no redirect
// that could carry it.
func (h *Handler) createToken(w http.ResponseWriter, r *http.Request, p Place) error {
	live, err := h.signedIn(r, p)
	if err != nil {
		return err
	}
	made := func(text authcore.Secret, t authcore.AccessToken) error {
		if isJSON(r) {
			writeJSON(w, http.StatusOK, map[string]any{"id": t.ID, "token": text.Reveal(), "expires_at": t.ExpiresAt.UTC()})
			return nil
		}
		return h.showAccount(w, r, p, live, http.StatusOK, View{}, accountData{Form: "token", Tokens: tokensData{New: text}})
	}
	return h.changingThen(w, r, p, "token", false, func(actor authcore.Actor) (func() error, error) {
		n, err := newAccess(r.PostForm)
		if err != nil {
			return nil, err
		}
		n.SecondFactor = ProofOf(&live.Session, h.Accounts.Now()).SecondFactor
		if live.User().NeedsFactor() && !n.SecondFactor {
			return nil, errFactorFirst // the token would do without for good
		}
		text, t, err := h.Accounts.CreateAccessToken(r.Context(), actor, actor.User, n)
		return func() error { return made(text, t) }, err
	})
}

var errFactorFirst = &authcore.Error{Kind: authcore.Forbidden, Code: "factor_first",
	Message: "Your account needs a second factor for that: set one up, or sign in with it, and try again."}

// newAccess reads the form of a new access token.
func newAccess(form url.Values) (authcore.NewAccessToken, error) {
	n := authcore.NewAccessToken{Name: form.Get("token_name"), Life: authcore.DefaultAccessTokenLife, Grant: access.Grant{
		Hosts: words(strings.ToLower(form.Get("hosts"))), Paths: words(form.Get("paths")), Scopes: words(form.Get("scopes"))}}
	if days := form.Get("days"); days != "" {
		d, err := strconv.Atoi(days)
		if err != nil || d < 1 || d > maxTokenDays {
			return n, errTokenDays
		}
		n.Life = time.Duration(d) * 24 * time.Hour
	}
	return n, nil
}

const maxTokenDays = int(authcore.MaxAccessTokenLife / (24 * time.Hour))

var errTokenDays = &authcore.Error{Kind: authcore.Invalid, Code: "token_life_invalid", Field: "days", Message: "Please give a number of days up to 366."}

// words reads a list that people write with spaces or commas.
func words(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == ',' || r == '\t' || r == '\r' || r == '\n' })
}

func (h *Handler) revokeToken(w http.ResponseWriter, r *http.Request, p Place) error {
	return h.changing(w, r, p, "token", false, func(actor authcore.Actor) error {
		return h.Accounts.RevokeAccessToken(r.Context(), actor, authcore.SessionID(r.PostForm.Get("id")))
	})
}
