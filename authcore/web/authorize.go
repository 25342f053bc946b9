package web

import (
	"encoding/json"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/access"
	"github.com/gatehouse-auth/gatehouse/authcore/oidcop"
)

// resume is an authorization request that its user is about to answer, as it travels:
// sealed.
type resume struct {
	Query string `json:"q"` // the request
	Since int64  `json:"s"` // microseconds: when it came; a proof since then is a new one
	// The session whose user is asked to consent, and to what; it counts for this one alone.
	Root   authcore.SessionID `json:"r,omitempty"`
	Scopes []string           `json:"c,omitempty"`
	Agreed bool               `json:"a,omitempty"`
}

const (
	// authorizePath is where services send browsers for a user to sign in.
	authorizePath = Prefix + "oauth/authorize"
	// resumeLife is how long a request keeps what was done for it. Later it begins anew.
	resumeLife = time.Hour
)

func (h *Handler) sealResume(a resume) string {
	text, _ := json.Marshal(a) // texts always can be
	return h.Resumes.Seal(text)
}

// resumeURL is where a browser goes on with a request.
func (h *Handler) resumeURL(page string, a resume) string {
	return page + "?resume=" + h.sealResume(a)
}

// openResume reads a request that was sealed here. One that is too old begins anew.
func (h *Handler) openResume(sealed string) (a resume, ok bool) {
	text, err := h.Resumes.Open(sealed, resumeLife)
	if text == nil || json.Unmarshal(text, &a) != nil {
		return resume{}, false
	}
	if err != nil {
		a = resume{Query: a.Query, Since: h.Accounts.Now().UnixMicro()}
	}
	return a, true
}

// back gives the path that a flow leads back to. An authorization request goes on with the
// time at which it came.
func (h *Handler) back(f flow, fresh bool) string {
	query, is := strings.CutPrefix(f.Path, authorizePath+"?")
	if !is {
		return f.Path
	}
	if !fresh || f.Since == 0 {
		f.Since = h.Accounts.Now().UnixMicro()
	}
	return h.resumeURL(authorizePath, resume{Query: query, Since: f.Since})
}

// errRequestTooLong says that a request cannot be carried along.
var errRequestTooLong = &authcore.Error{Kind: authcore.Invalid, Code: "request_too_long", Message: "The app that sent you here made a mistake: its request is too long. Tell whoever runs it."}

// asking is an authorization request with all that decides how it is answered.
type asking struct {
	resume
	*oidcop.Request
	live  *authcore.Live // nil where nobody is signed in
	forms bool           // the browser came through forms of ours
}

// authorize answers an authorization request (RFC 6749 section 4.1.1, OpenID Connect Core
// section 3.1.2), or shows the pages that it takes.
func (h *Handler) authorize(w http.ResponseWriter, r *http.Request, p Place) error {
	if h.OAuth == nil {
		return errNotFound
	}
	if r.Method != http.MethodGet {
		return notAllowed("GET, POST") // a code is for a visit, not for a look
	}
	a, err := h.askingOf(r)
	if err != nil {
		return err
	}
	if a.Request, err = h.OAuth.Read(r.Context(), a.Query); a.Request == nil {
		h.authorizeRefused(p, a.Query, err)
		return err
	}
	if err == nil {
		a.live, err = h.live(r, p)
	}
	if err == nil {
		err = h.decide(w, r, p, a)
	}
	var oauth *oidcop.Error
	if err == nil || !errors.As(err, &oauth) && !a.Silent() {
		return err
	}
	prob := describe(err, p.Client.RequestID)
	if oauth == nil {
		h.log(r, prob, err)
	}
	return h.lead(w, r, p, a, h.OAuth.Fail(a.Request, err))
}

// authorizeRefused logs a request of which nothing can be told to the service.
func (h *Handler) authorizeRefused(p Place, query string, err error) {
	var e *authcore.Error
	if !errors.As(err, &e) || e.Kind != authcore.Invalid {
		return
	}
	form, _ := url.ParseQuery(query) // what cannot be read is left out
	const most = 200                 // bytes
	says := []any{"path", authorizePath, "error", e.Code}
	for _, name := range []string{"client_id", "redirect_uri"} {
		says = append(says, name, strings.ToValidUTF8(form.Get(name)[:min(len(form.Get(name)), most)], ""))
	}
	h.OAuth.Refused(p.Client, says...)
}

// byGet takes a request that comes as a form of another site, which brings no cookie along
// (OpenID Connect Core section 3.1.2.1). So the browser is sent on to the same address, a
// path, which does the rest; nothing happens here.
func byGet(path string) func(*Handler, http.ResponseWriter, *http.Request, Place) error {
	return func(h *Handler, w http.ResponseWriter, r *http.Request, _ Place) error {
		to := path + "?" + r.PostForm.Encode()
		switch {
		case h.OAuth == nil:
			return errNotFound
		case isJSON(r):
			return errContentType
		case r.URL.RawQuery != "":
			return oidcop.ErrBadRequest
		case len(to) > maxReturn:
			return errRequestTooLong
		}
		redirect(w, to)
		return nil
	}
}

// askingOf reads which request is to be answered: one that comes, or one that goes on.
func (h *Handler) askingOf(r *http.Request) (*asking, error) {
	if sealed, on := strings.CutPrefix(r.URL.RawQuery, "resume="); on {
		a, ok := h.openResume(sealed)
		if !ok {
			return nil, oidcop.ErrRequestOld
		}
		return &asking{resume: a, forms: true}, nil
	}
	form, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, oidcop.ErrBadRequest
	}
	query := form.Encode() // as a path can carry it, however it was written
	if len(authorizePath+"?"+query) > maxReturn {
		return nil, errRequestTooLong
	}
	return &asking{resume: resume{Query: query, Since: h.Accounts.Now().UnixMicro()}}, nil
}

// decide answers a request, or leads to the page that it takes first. An error of oidcop is
// for the service.
func (h *Handler) decide(w http.ResponseWriter, r *http.Request, p Place, a *asking) error {
	expected, err := h.OAuth.HintedUser(a.Request)
	switch {
	case err != nil:
		return err
	case a.live == nil && a.Silent():
		return oidcop.ErrLoginRequired
	case a.live == nil:
		return h.askSignIn(w, r, p, a)
	case expected != "" && expected != a.live.Session.UserID && a.Silent():
		return oidcop.ErrLoginRequired
	case expected != "" && expected != a.live.Session.UserID:
		return h.stopAsking(w, r, p, a, oidcop.ErrLoginRequired, errOtherUser)
	}
	if need := h.needs(a); need != (access.Need{}) {
		return h.askProof(w, r, p, a, need)
	}
	if err := h.Accounts.MayUseService(r.Context(), a.Service, a.live.Session.UserID); err != nil {
		return h.notAllowed(w, r, p, a, err)
	}
	agreed := a.Agreed && a.Root == a.live.Session.Root && within(a.Request.Scopes, a.resume.Scopes)
	if !agreed && !a.AsksConsent() {
		if agreed, err = h.Accounts.Consented(r.Context(), a.Service, a.live.Session.UserID, a.Request.Scopes); err != nil {
			return err
		}
	}
	switch {
	case !agreed && a.Silent():
		return oidcop.ErrConsentRequired
	case !agreed:
		redirectTo(w, r, h.resumeURL(consentPath, resume{Query: a.Query, Since: a.Since, Root: a.live.Session.Root, Scopes: a.Request.Scopes}))
		return nil
	}
	return h.issueCode(w, r, p, a)
}

// issueCode answers a request with a code.
func (h *Handler) issueCode(w http.ResponseWriter, r *http.Request, p Place, a *asking) error {
	code, err := h.OAuth.NewCode(r.Context(), a.Request, a.live, p.Client)
	switch {
	case err == nil:
		return h.lead(w, r, p, a, h.OAuth.Succeed(a.Request, code))
	case errors.Is(err, authcore.ErrGrantUsed):
		return oidcop.ErrRequestOld // of a pushed request
	case errors.Is(err, authcore.ErrSessionNotFound) && a.Silent():
		return oidcop.ErrLoginRequired
	case errors.Is(err, authcore.ErrSessionNotFound): // it has ended just now
		return h.askSignIn(w, r, p, a)
	}
	return h.notAllowed(w, r, p, a, err)
}

// within tells whether some are all among others.
func within(some, others []string) bool {
	return !slices.ContainsFunc(some, func(s string) bool { return !slices.Contains(others, s) })
}

// flowOf is the flow that leads back to a request.
func (h *Handler) flowOf(r *http.Request, p Place, a *asking) (flow, error) {
	o, err := h.OAuth.OrganizationOf(r.Context(), a.Service)
	return a.flow(p, o), err
}

func (a *asking) flow(p Place, o authcore.Organization) flow {
	return flow{Origin: p.Origin, Path: authorizePath + "?" + a.Query, Since: a.Since, App: a.Service.Name, Login: a.Request.Login, Organization: o.Slug}
}

// askSignIn sends a browser to the sign-in page.
func (h *Handler) askSignIn(w http.ResponseWriter, r *http.Request, p Place, a *asking) error {
	f, err := h.flowOf(r, p, a)
	if err == nil {
		redirectTo(w, r, Prefix+"login?flow="+h.sealFlow(f))
	}
	return err
}

// needs tells what proof a request lacks: of a new one, or of a second factor.
func (h *Handler) needs(a *asking) (need access.Need) {
	s := &a.live.Session
	proof := ProofOf(s, h.Accounts.Now())
	if s.AuthTime.UnixMicro() < a.Since {
		if a.AsksLogin() {
			need.Within = maxAge * time.Second
		}
		if a.MaxAge >= 0 && proof.Age > a.MaxAge {
			need.Within = max(time.Second, min(a.MaxAge, maxAge*time.Second))
		}
	}
	need.SecondFactor = !proof.SecondFactor && (a.Class == oidcop.ClassMulti || a.live.User().NeedsFactor())
	return need
}

// askProof asks for the proof that a request lacks.
func (h *Handler) askProof(w http.ResponseWriter, r *http.Request, p Place, a *asking, need access.Need) error {
	switch err := a.live.Session.InPerson(); {
	case a.Silent() && need.Within > 0:
		return oidcop.ErrLoginRequired
	case a.Silent():
		return oidcop.ErrInteractionRequired
	case err != nil: // who could prove nothing
		return h.stopAsking(w, r, p, a, oidcop.ErrClass, err)
	}
	f, err := h.flowOf(r, p, a)
	if err != nil {
		return err
	}
	f.Within, f.Factor = int(need.Within.Seconds()), need.SecondFactor
	redirectTo(w, r, Prefix+"confirm?flow="+h.sealFlow(f))
	return nil
}

// notAllowed answers a request whose user may not use the service: a person sees why, and
// goes back.
func (h *Handler) notAllowed(w http.ResponseWriter, r *http.Request, p Place, a *asking, err error) error {
	var e *authcore.Error
	if !errors.As(err, &e) || e.Kind != authcore.Forbidden {
		return err
	}
	h.Accounts.ServiceRefused(actorOf(a.live, p), a.Service, e)
	if a.Silent() {
		return err
	}
	return h.stopAsking(w, r, p, a, err, e)
}

var errOtherUser = &authcore.Error{Kind: authcore.Forbidden, Code: "other_user", Message: "The app expects somebody else. Use the account that you have there."}

// stopData is the Data of the page on which a request ends: it says why, and leads back to
// the app.
type stopData struct {
	leading
	App, Why string
	Flow     string // for another account
}

// stopAsking shows why a request ends. What is sent to the service is another error.
func (h *Handler) stopAsking(w http.ResponseWriter, r *http.Request, p Place, a *asking, send, why error) error {
	prob := describe(why, p.Client.RequestID)
	d := stopData{leading: h.leadingTo(a.Request, h.OAuth.Fail(a.Request, send)), App: a.Service.Name, Why: prob.Message}
	if a.live.Session.Act == "" {
		f, err := h.flowOf(r, p, a)
		if err != nil {
			return err
		}
		d.Flow = h.sealFlow(f)
	}
	return h.show(w, r, p, prob.Status, "app-stop", View{User: userView(a.live), Data: d, PostsTo: d.posts()})
}

// leading is an answer to a service, for a page that leads there. Its address is one that is
// registered for the service.
type leading struct {
	URL    template.URL
	Form   map[string]string // nil: a link leads there
	Target string            // where, for people
}

func (h *Handler) leadingTo(q *oidcop.Request, a oidcop.Answer) leading {
	return leading{URL: template.URL(a.URL), Form: a.Form, Target: hostOf(q.RedirectURI)}
}

// posts is the source that a form of the page is sent to; empty for none.
func (l *leading) posts() string {
	if l.Form == nil {
		return ""
	}
	return source(string(l.URL))
}

// hostOf is where an address leads, for people: a host, or an app on their own device.
func hostOf(address string) string {
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return ""
	case u.Scheme != "https" && u.Scheme != "http":
		return "an app on this device"
	}
	return u.Host
}

// source is an address as a policy for a page's content names where it leads (Content
// Security Policy Level 3 section 2.3.1).
func source(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	if u.Scheme != "https" && u.Scheme != "http" || strings.ContainsAny(u.Host, "[;,'* ") { // there is no word for an IPv6 address
		return u.Scheme + ":"
	}
	return u.Scheme + "://" + u.Host
}

// lead sends a browser to a service with an answer. CSP form-action holds for redirects too,
// so whoever comes through forms of ours is led on by a page.
func (h *Handler) lead(w http.ResponseWriter, r *http.Request, p Place, a *asking, answer oidcop.Answer) error {
	to := h.leadingTo(a.Request, answer)
	switch {
	case answer.Form != nil:
		return h.show(w, r, p, http.StatusOK, "app-post", View{User: userView(a.live), Data: to, PostsTo: to.posts(), Leaves: true})
	case a.forms:
		d := continueData{URL: to.URL, Target: a.Service.Name, Heading: "One moment"}
		return h.show(w, r, p, http.StatusOK, "continue", View{User: userView(a.live), Data: d, Leaves: true})
	}
	redirectTo(leaves{w}, r, answer.URL)
	return nil
}

// leaves sends a redirect to another site that is not told where it came from: the address
// holds what is between a service and its user.
type leaves struct{ http.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (l leaves) WriteHeader(status int) {
	l.Header().Set("Referrer-Policy", "no-referrer")
	l.ResponseWriter.WriteHeader(status)
}
