package web

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/connect"
)

// visit is a visit to a sign-in provider under way. It travels sealed, as the state of
// the authorization request (RFC 6749 section 4.1.1), and is bound to the browser by its
// flow cookie: so any number of tabs can have one, and nothing is written before it
// ends.
type visit struct {
	Provider string             `json:"p"`
	Errand   errand             `json:"w"`
	Browser  string             `json:"b"` // hash of the flow cookie
	Flow     connect.Flow       `json:"f"`
	To       authcore.IssuedTo  `json:"t,omitzero"`  // the client by which it is made
	Way      *flow              `json:"o,omitempty"` // where to go after sign-in …
	ReturnTo string             `json:"r,omitempty"` // … or here
	Root     authcore.SessionID `json:"s,omitempty"` // of the session that links or confirms
	Invite   authcore.Secret    `json:"-"`
	Setup    authcore.Secret    `json:"-"`
	Codes    [2]string          `json:"c,omitzero"`  // the two above, as they travel
	Link     string             `json:"l,omitempty"` // a sealed pendingLink that this proof is for
}

// errand is what a visit is made for.
type errand string

const (
	toSignIn  errand = ""
	toLink    errand = "link"
	toConfirm errand = "confirm" // for where the way leads to
	toChange  errand = "change"  // something on the account page
	// toStartAnew is for an account of one's own, although somebody who never proved it
	// gave the address as theirs.
	toStartAnew errand = "new"
)

// visitLife is how long a visit to a provider may take.
const visitLife = 30 * time.Minute

// connectRoute finds what is served under connect/.
func connectRoute(path string) (route, bool) {
	name, rest, _ := strings.Cut(path, "/")
	with := func(f func(*Handler, http.ResponseWriter, *http.Request, Place, *connect.Provider) error) endpoint {
		return func(h *Handler, w http.ResponseWriter, r *http.Request, p Place) error {
			provider, err := h.Providers.Find(r.Context(), "", name)
			if err != nil {
				return err
			}
			return f(h, w, r, p, provider)
		}
	}
	switch rest {
	case "":
		return route{get: with((*Handler).visitProvider), modes: onPages}, name != ""
	case "callback":
		return route{get: with((*Handler).providerAnswers), post: with((*Handler).providerPosts), modes: onPages, foreign: true}, true
	case "backchannel-logout":
		return route{post: with((*Handler).providerSignsOut), modes: onPages, foreign: true}, true
	}
	return route{}, false
}

// ConnectRedirect is the address to which a provider sends browsers back, on a host
// with pages.
func ConnectRedirect(origin, provider string) string { return connect.Redirect(origin, provider) }

// BackChannelLogout is the address at which a provider tells of sign-outs.
func BackChannelLogout(origin, provider string) string {
	return connect.BackChannelLogout(origin, provider, "")
}

// AfterLogout is the address to which a provider sends browsers back after a sign-out.
func AfterLogout(origin string) string { return origin + Prefix + "logout" }

// visitProvider sends a browser to a provider to sign in, or to confirm who its user is.
func (h *Handler) visitProvider(w http.ResponseWriter, r *http.Request, p Place, provider *connect.Provider) error {
	q := r.URL.Query()
	v := visit{Errand: toSignIn, Invite: authcore.Secret(q.Get("invite")), Setup: authcore.Secret(q.Get("setup"))}
	if _, ok := h.openLink(r, p, q.Get("link")); ok {
		if v.Link = q.Get("link"); errand(q.Get("for")) == toStartAnew {
			v.Errand, v.Link = toStartAnew, ""
		}
	}
	if f, _, ok := h.openFlow(q.Get("flow")); ok {
		v.Way = &f
	} else {
		v.ReturnTo = localPath(q.Get("return_to"))
	}
	if confirm := errand(q.Get("for")); confirm == toConfirm || confirm == toChange {
		live, err := h.live(r, p)
		if err != nil {
			return err
		}
		if live != nil {
			v.Errand, v.Root = confirm, live.Session.Root
		}
	}
	organization, err := h.clientFor(r, p, provider, &v)
	if err == nil {
		provider, err = h.Providers.Find(r.Context(), organization, provider.Name)
	}
	if err != nil {
		return err
	}
	return h.setOut(w, r, p, provider, v)
}

// clientFor gives the organization whose own client at a provider a visit is made by: that
// of the app which somebody wants to go on to. Who proves again to be somebody comes as
// before, since some providers call one person by another subject for each client. It is
// empty for the platform's.
func (h *Handler) clientFor(r *http.Request, p Place, provider *connect.Provider, v *visit) (string, error) {
	switch l, proves := h.openLink(r, p, v.Link); {
	case v.Setup != "":
		return "", nil
	case proves:
		return h.Broker.CameBy(r.Context(), l.User, provider.Name)
	case v.Errand == toConfirm || v.Errand == toChange:
		live, err := h.signedIn(r, p)
		if err != nil || live.User().Owner {
			return "", err
		}
		return h.Broker.CameBy(r.Context(), live.Session.UserID, provider.Name)
	case v.Way != nil:
		return v.Way.Organization, nil
	}
	return "", nil
}

// setOut sends a browser to a provider.
func (h *Handler) setOut(w http.ResponseWriter, r *http.Request, p Place, provider *connect.Provider, v visit) error {
	to, err := h.begin(w, r, p, provider, v)
	if err != nil {
		return h.visitFailed(w, r, p, &v, err)
	}
	redirectTo(w, r, to)
	return nil
}

// begin makes a visit and gives the address at the provider.
func (h *Handler) begin(w http.ResponseWriter, r *http.Request, p Place, provider *connect.Provider, v visit) (string, error) {
	v.Provider, v.To, v.Browser = provider.Name, provider.IssuedTo(), browserHash(h.flowCookie(w, r, p))
	v.Flow = connect.NewFlow(ConnectRedirect(p.Origin, provider.Name))
	v.Codes = [2]string{v.Invite.Reveal(), v.Setup.Reveal()}
	if v.Errand == toConfirm || v.Errand == toChange {
		v.Flow.Fresh = h.Accounts.Now().Unix()
	}
	state, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	return provider.Begin(r.Context(), v.Flow, h.Visits.Seal(state))
}

// openVisit reads the visit that a state is of. stale is one that is too old, or of
// another browser: it still tells what was wanted.
func (h *Handler) openVisit(r *http.Request, p Place, provider *connect.Provider, state string) (v visit, stale, ok bool) {
	text, err := h.Visits.Open(state, visitLife)
	if text == nil || json.Unmarshal(text, &v) != nil || v.Provider != provider.Name || v.Flow.Verifier == "" {
		return visit{}, true, false
	}
	v.Invite, v.Setup = authcore.Secret(v.Codes[0]), authcore.Secret(v.Codes[1])
	if v.Way != nil {
		if !h.KnownOrigin(v.Way.Origin) {
			v.Way = nil
		} else {
			v.Way.Path = localPath(v.Way.Path)
		}
	}
	v.ReturnTo = localPath(v.ReturnTo)
	browser := FlowToken(r.Header, p.Secure)
	stale = err != nil || browser == "" || browserHash(browser) != v.Browser || v.Flow.Redirect != ConnectRedirect(p.Origin, provider.Name)
	return v, stale, true
}

// form is the way of a visit as forms of ours carry it along.
func (h *Handler) form(v *visit) url.Values {
	form := url.Values{}
	if v.Way != nil {
		form.Set("flow", h.sealFlow(*v.Way))
	} else if v.ReturnTo != "" && v.ReturnTo != "/" {
		form.Set("return_to", v.ReturnTo)
	}
	return form
}

// onceOf is what a visit is used up by.
func (h *Handler) onceOf(v *visit) authcore.Code {
	return authcore.OnceOf(authcore.PurposeConnect, v.Flow.Nonce, h.Accounts.Now(), 2*visitLife)
}

// providerPosts takes an answer that comes as a form of another site (OAuth 2.0 Form Post
// Response Mode), which brings no cookie of ours along. So the browser is sent on to
// the same address, which does the rest; nothing happens here.
func (h *Handler) providerPosts(w http.ResponseWriter, r *http.Request, p Place, provider *connect.Provider) error {
	text := r.PostForm.Encode()
	switch {
	case !provider.PostsAnswer():
		return notAllowed("GET")
	case isJSON(r):
		return errContentType
	case len(text) > maxAnswer:
		return errTooLarge
	}
	redirect(w, ConnectRedirect(p.Origin, provider.Name)+"?answer="+h.Answers.Seal([]byte(text)))
	return nil
}

// maxAnswer is the longest answer that is taken on, in bytes: it travels in an address.
const maxAnswer = 12 << 10

// answerLife is how long a browser may take from a form to the address it is sent on to.
const answerLife = time.Minute

// answerOf gives the parameters that a provider sent a browser back with.
func (h *Handler) answerOf(r *http.Request) (url.Values, error) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil || !q.Has("answer") {
		return q, err
	}
	text, err := h.Answers.Open(q.Get("answer"), answerLife)
	if err != nil {
		return nil, err
	}
	return url.ParseQuery(string(text))
}

// providerAnswers ends a visit.
func (h *Handler) providerAnswers(w http.ResponseWriter, r *http.Request, p Place, provider *connect.Provider) error {
	if r.Method != http.MethodGet {
		return notAllowed("GET, POST") // an answer is for a visit, not for a look
	}
	answer, err := h.answerOf(r)
	if err != nil {
		return h.visitAnew(w, r, p, &visit{})
	}
	v, stale, ok := h.openVisit(r, p, provider, answer.Get("state"))
	if !ok {
		return h.visitAnew(w, r, p, &visit{})
	}
	if !stale {
		stale, err = h.Accounts.Used(r.Context(), h.onceOf(&v))
		if err != nil {
			return err
		}
	}
	if stale {
		return h.visitAnew(w, r, p, &v)
	}
	provider, err = h.Providers.FindIssuer(r.Context(), provider.Name, v.To)
	if errors.Is(err, connect.ErrClientGone) {
		return h.visitAnew(w, r, p, &v)
	}
	if err != nil {
		return err
	}
	actor := h.visitor(r, p)
	giveBack, err := h.Accounts.AdmitProvider(actor)
	if err != nil {
		return h.visitFailed(w, r, p, &v, err)
	}
	ctx, cancel := context.WithTimeout(r.Context(), finishTime)
	defer cancel()
	who, tokens, err := provider.Finish(ctx, v.Flow, answer)
	if err != nil {
		if errors.Is(err, connect.ErrAway) || errors.Is(err, connect.ErrMisconfigured) {
			giveBack()
		}
		h.providerFailed(actor, provider, err)
		return h.visitFailed(w, r, p, &v, err)
	}
	if provider.Mute(tokens) {
		h.Log.Warn("a provider gave no refresh token, so that it cannot be asked again who is still there: ask for the scope offline_access, or write \"recheck off\"", "provider", provider.Name)
	}
	if err := h.arrive(w, r, p, provider, &v, provider.Vouched(who, tokens)); err != nil {
		return h.visitFailed(w, r, p, &v, err)
	}
	giveBack()
	return nil
}

// providerFailed records what a visit failed by: for an organization too, where its own
// client is refused.
func (h *Handler) providerFailed(actor authcore.Actor, provider *connect.Provider, err error) {
	if provider.Own != nil && errors.Is(err, connect.ErrMisconfigured) {
		h.Accounts.ClientFailed(actor, provider.Name, provider.Own.Organization, err)
		return
	}
	h.Accounts.ProviderFailed(actor, provider.Name, err)
}

// finishTime bounds all that is asked of a provider at the end of one visit.
const finishTime = 30 * time.Second

// visitor is who comes back from a provider: the user of the session, if there is one.
func (h *Handler) visitor(r *http.Request, p Place) authcore.Actor {
	if live, err := h.live(r, p); err == nil && live != nil {
		return actorOf(live, p)
	}
	return authcore.Anonymous(p.Client)
}

// arrive does what a visit was for. What it returns is an error of the visit; it
// answers itself otherwise.
func (h *Handler) arrive(w http.ResponseWriter, r *http.Request, p Place, provider *connect.Provider, v *visit, who authcore.Vouched) error {
	if v.Errand != toSignIn && v.Errand != toStartAnew {
		return h.arriveAgain(w, r, p, v, who)
	}
	in := authcore.ProviderSignIn{Who: who, Host: p.Host, NewUsers: provider.NewUsers, Invite: v.Invite, Setup: v.Setup, Once: h.onceOf(v)}
	in.TakeAddress = v.Errand == toStartAnew
	if l, ok := h.openLink(r, p, v.Link); ok {
		in.Also = l
	} else if v.Link != "" {
		return h.visitAnew(w, r, p, v)
	}
	waits := new(authcore.AwaitsFactor)
	token, session, err := h.Accounts.SignInWith(r.Context(), authcore.Anonymous(p.Client), in)
	switch {
	case errors.Is(err, authcore.ErrLinkRequired):
		return h.showLink(w, r, p, v, who)
	case errors.Is(err, authcore.ErrCodeInvalid):
		return h.visitAnew(w, r, p, v)
	case errors.Is(err, authcore.ErrOwnersProvider): // who is known there by now
		platform, err := h.Providers.Find(r.Context(), "", provider.Name)
		if err != nil {
			return err
		}
		return h.setOut(w, r, p, platform, *v)
	case errors.As(err, &waits):
		return h.askFactor(w, r, p, h.form(v), waits.Awaited)
	case err != nil:
		return err
	}
	r.PostForm = h.form(v)
	return h.enter(w, r, p, token, session)
}

// arriveAgain is arrive for somebody who is signed in, in the session in which the visit
// began.
func (h *Handler) arriveAgain(w http.ResponseWriter, r *http.Request, p Place, v *visit, who authcore.Vouched) error {
	live, err := h.signedIn(r, p)
	if err != nil {
		return err
	}
	if live.Session.Root != v.Root {
		return h.visitAnew(w, r, p, v)
	}
	actor := actorOf(live, p)
	if v.Errand == toLink {
		if err := h.Accounts.Link(r.Context(), actor, who, h.onceOf(v)); err != nil {
			return err
		}
		redirect(w, Prefix+"account?done=linked")
		return nil
	}
	if err := h.Accounts.ConfirmWith(r.Context(), actor, who, h.onceOf(v)); err != nil {
		return err
	}
	if v.Errand == toChange {
		redirect(w, Prefix+"account?proof="+h.sealProof(live, byProvider))
		return nil
	}
	if live, err = h.signedIn(r, p); err != nil { // with the new proof, for the hand-off
		return err
	}
	r.PostForm = h.form(v)
	to, err := h.after(r, p, live)
	if err == nil {
		redirect(w, to)
	}
	return err
}

// visitAnew begins anew what came to nothing: with the sign-in page, or with where
// somebody who is signed in wanted to go.
func (h *Handler) visitAnew(w http.ResponseWriter, r *http.Request, p Place, v *visit) error {
	live, err := h.live(r, p)
	if err != nil {
		return err
	}
	if v.Errand == toLink || v.Errand == toChange {
		redirect(w, Prefix+"account?done=again")
		return nil
	}
	form := h.form(v)
	if live == nil {
		form.Set("notice", "again")
	}
	page := "login"
	if v.Errand == toConfirm {
		page = "confirm"
	}
	redirect(w, Prefix+page+"?"+form.Encode())
	return nil
}

// visitFailed says what went wrong with a visit: on the sign-in page, where there are
// other ways, or on an error page for somebody who is signed in.
func (h *Handler) visitFailed(w http.ResponseWriter, r *http.Request, p Place, v *visit, err error) error {
	var e *authcore.Error
	if !errors.As(err, &e) || e.Kind == authcore.Internal || v.Errand != toSignIn && v.Errand != toStartAnew || v.Setup != "" {
		return err
	}
	prob := describe(err, p.Client.RequestID)
	h.log(r, prob, err)
	prob.headers(w.Header())
	data, err := h.loginData(w, r, p, h.form(v))
	if err != nil {
		return err
	}
	return h.show(w, r, p, prob.Status, "login", View{Error: errorView(prob), Data: data})
}
