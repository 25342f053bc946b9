package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"html/template"
	"io/fs"
	"maps"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

//go:embed pages
var pageFiles embed.FS

// View is what every page is made of.
type View struct {
	Lang      string
	Brand     string
	Host      string
	User      *UserView // nil when nobody is signed in
	Notice    string
	Error     *ErrorView
	RequestID string
	Script    bool   // the page has one
	Acting    string // the user as whom somebody acts; empty where nobody does
	PostsTo   string // another site that a form of the page is sent to, as a CSP source
	Leaves    bool   // the page leads to a site that is not told from where
	Data      any
}

// UserView is the signed-in user as pages show them.
type UserView struct {
	Name, Username, Email, Initials string
	Owner                           bool
}

// ErrorView is an error on a page: the sentence, and the field at fault.
type ErrorView struct{ Code, Message, Field string }

// pages holds one template set for each page.
var pages = mustPages()

// scripted are the pages that have a script: those with something for it to do.
var scripted = make(map[string]bool)

var needsScript = regexp.MustCompile(`data-passkey|"passkey-get"|data-meter|"password-field"|data-send`)

// mustPages parses the pages. What is the same on every page is put into their text
// before: to be evaluated and escaped each time it costs as much as all the rest,
// which counts in a storm of sign-ins.
func mustPages() map[string]*template.Template {
	constants := strings.NewReplacer(
		"{{base}}", strings.TrimSuffix(Prefix, "/"), // path of everything of ours
		"{{version}}", assetVersion()) // changes with the assets, so that they can be cached for long
	files, err := fs.Glob(pageFiles, "pages/*.html")
	if err != nil {
		panic(err)
	}
	texts := make(map[string]string)
	for _, file := range files {
		text, err := pageFiles.ReadFile(file)
		if err != nil {
			panic(err)
		}
		texts[strings.TrimSuffix(path.Base(file), ".html")] = constants.Replace(string(text))
	}
	layout := template.Must(template.New("layout").Funcs(template.FuncMap{"undo": undo}).Parse(texts["layout"]))
	delete(texts, "layout")
	sets := make(map[string]*template.Template)
	for name, text := range texts {
		scripted[name] = needsScript.MatchString(text)
		sets[name] = template.Must(template.Must(layout.Clone()).Parse(text))
	}
	return sets
}

// undoView is a button on a row of the account page that undoes something.
type undoView struct {
	Page       any
	Path       string // under account/, where the form goes
	ID         any
	Button, Of string
}

// undo makes it, in a template.
func undo(page any, path string, id any, button, of string) undoView {
	return undoView{page, path, id, button, of}
}

func assetVersion() string {
	sum := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(assets)) {
		body, err := pageFiles.ReadFile("pages/assets/" + name)
		if err != nil {
			panic(err)
		}
		sum.Write(body)
	}
	return hex.EncodeToString(sum.Sum(nil)[:6])
}

// assets are the files that pages refer to, with their types.
var assets = map[string]string{
	"gate.css": "text/css; charset=utf-8",
	"gate.svg": "image/svg+xml",
	"gate.js":  "text/javascript; charset=utf-8",
}

func (h *Handler) asset(w http.ResponseWriter, r *http.Request, _ Place) error {
	name := path.Base(r.URL.Path)
	kind, known := assets[name]
	if !known || r.URL.Path != Prefix+"assets/"+name {
		return errNotFound
	}
	body, err := pageFiles.ReadFile("pages/assets/" + name)
	if err != nil {
		return err
	}
	secureHeaders(w.Header())
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	_, err = w.Write(body)
	return err
}

// show renders a page with a status.
func (h *Handler) show(w http.ResponseWriter, r *http.Request, p Place, status int, name string, v View) error {
	v.Lang, v.Brand, v.RequestID = "en", h.Brand, p.Client.RequestID
	if p.Origin != "" { // else the host is whatever the client says
		v.Host = p.Host
	}
	v.Script = scripted[name]
	h.addActing(r, p, status, &v)
	var page bytes.Buffer
	if err := pages[name].ExecuteTemplate(&page, "page", v); err != nil {
		return err
	}
	secureHeaders(w.Header())
	policy := csp
	if v.PostsTo != "" {
		policy = strings.Replace(policy, "form-action 'self'", "form-action 'self' "+v.PostsTo, 1)
	}
	if v.Script { // by its address: where an app shares the origin, none of the app's may run here
		policy += "; script-src " + p.Origin + Prefix + "assets/gate.js"
	}
	w.Header().Set("Content-Security-Policy", policy)
	if v.Leaves {
		w.Header().Set("Referrer-Policy", "no-referrer")
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(page.Bytes()) // a lost client is all that can fail
	}
	return nil
}

// addActing adds who is acted as, whatever the page is about. A page that says that the
// database is away does not ask it.
func (h *Handler) addActing(r *http.Request, p Place, status int, v *View) {
	token := SessionToken(r.Header, p.Secure)
	if token == "" || status >= http.StatusInternalServerError || p.Origin == "" {
		return
	}
	if live, err := h.Check.session(r.Context(), token, p.Host, h.Accounts.Now()); err == nil && live != nil && live.Session.Act != "" {
		v.Acting = live.User().Username
	}
}

const csp = "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// secureHeaders are set on every answer of ours. Referrer-Policy is strict-origin:
// with same-origin the address of a page, which may hold a one-time code, would
// reach the access log as Referer of its style sheet; with no-referrer browsers
// send "Origin: null" with our own forms.
func secureHeaders(h http.Header) {
	h.Set("Content-Security-Policy", csp)
	h.Set("X-Frame-Options", "DENY")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "strict-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=()")
	h.Set("Cache-Control", "no-store")
}

func userView(live *authcore.Live) *UserView {
	if live == nil {
		return nil
	}
	u := live.User()
	return &UserView{Name: u.Name, Username: u.Username, Email: u.Email, Owner: u.Owner, Initials: initials(u.DisplayName())}
}

// initials takes the first letters of the first and last word of a name.
func initials(name string) string {
	words := strings.FieldsFunc(name, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	if len(words) > 2 {
		words = []string{words[0], words[len(words)-1]}
	}
	var first []rune
	for _, w := range words {
		first = append(first, unicode.ToUpper([]rune(w)[0]))
	}
	return string(first)
}

func errorView(p problem) *ErrorView {
	return &ErrorView{Code: p.Code, Message: p.Message, Field: p.Field}
}

// errorPage is the Data of the error page.
type errorPage struct {
	Status             int
	Heading, Advice    string
	BackURL, BackLabel string
	Details            []string
}

// headings say what happened in a few words.
var headings = map[int]string{
	400: "That did not work", 401: "Please sign in", 403: "Not allowed", 404: "Nothing here", 405: "That cannot be done here",
	413: "Too much at once", 415: "Wrong kind of content", 425: "Too early", 429: "Please wait a moment",
	500: "Something went wrong", 503: "Back in a moment",
}

// Fail answers a request with an error: JSON for programs, a page for people.
func (h *Handler) Fail(w http.ResponseWriter, r *http.Request, p Place, live *authcore.Live, err error) {
	prob := describe(err, p.Client.RequestID)
	h.log(r, prob, err)
	if wantsJSON(r) {
		writeProblem(w, prob, nil)
		return
	}
	heading := headings[prob.Status]
	if heading == "" {
		heading = "That did not work"
	}
	data := errorPage{Status: prob.Status, Heading: heading, Advice: prob.Message}
	if prob.Code == errRefused.Code && live != nil {
		data.Advice = "" // the page names the user and offers another sign-in
	} else {
		data.BackURL, data.BackLabel = "/", "Go to the start page"
	}
	prob.headers(w.Header())
	if err := h.show(w, r, p, prob.Status, "error", View{User: userView(live), Data: data}); err != nil {
		h.Log.Error("page cannot be shown", "error", err)
	}
}

// log notes errors that an operator should see. Foreign input is not among what
// it writes, but for the cause of an internal error.
func (h *Handler) log(r *http.Request, p problem, err error) {
	if p.Status < 500 || r.Context().Err() != nil {
		return
	}
	h.Log.Error("request failed", "status", p.Status, "code", p.Code, "request_id", p.RequestID, "error", err)
}
