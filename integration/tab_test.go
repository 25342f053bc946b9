package integration

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// tab is a page of Chromium as a test uses it. What goes wrong on any page that it
// shows fails the test at its end.
type tab struct {
	t   testing.TB
	ctx context.Context

	mu        sync.Mutex
	url       string
	ready     bool            // the document at url has loaded
	loads     int             // documents that have loaded so far
	documents map[string]bool // addresses that answered with a document, whatever its status
	troubles  []tabTrouble
	expected  []string
}

// trouble is what a developer would see in the console.
type tabTrouble struct {
	text, url string
	network   bool // an answer of 400 and above; that is fine for a whole page
}

type tabStep = chromedp.Action[chromedp.Void]

// devtools is a step that is one command of the DevTools protocol.
func devtools[P, R any](command cdp.Command[P, R], params P) tabStep {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, command, params)
		return err
	})
}

// newBrowser opens a tab of a browser that nobody has used before: it has no
// cookies. The steps prepare it.
func newBrowser(t testing.TB, prepare ...tabStep) *tab {
	t.Helper()
	root, err := chromium()
	if err != nil {
		t.Fatal(err)
	}
	return newTab(t, root, prepare, chromedp.WithNewBrowserContext())
}

// another opens a second tab of the same browser.
func (w *tab) another() *tab {
	w.t.Helper()
	return newTab(w.t, w.ctx, nil)
}

func newTab(t testing.TB, parent context.Context, prepare []tabStep, opts ...chromedp.ContextOption) *tab {
	t.Helper()
	w := &tab{t: t, documents: make(map[string]bool)}
	ctx, closeTab := chromedp.NewContext(parent, append(opts, chromedp.WithListener(w.heed))...)
	w.ctx = ctx
	t.Cleanup(closeTab)
	t.Cleanup(w.finish)
	if err := chromedp.Do(ctx); err != nil { // binds the tab's life to ctx, so without a time limit
		t.Fatalf("no tab: %v", err)
	}
	w.do(devtools(audits.Enable, cdp.Empty{}), devtools(emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true}))
	w.do(prepare...)
	return w
}

// withoutScripts turns JavaScript off.
func withoutScripts() tabStep {
	return devtools(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
}

// withAgent has the browser call itself something else.
func withAgent(agent string) tabStep {
	return devtools(emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{UserAgent: agent})
}

// heed notes what happens in the tab. It runs while no other event can arrive.
func (w *tab) heed(event any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch e := event.(type) {
	case *cdppage.EventFrameNavigated:
		if e.Frame.ParentID == "" {
			w.url = e.Frame.URL + e.Frame.URLFragment
			if w.ready = e.Type == cdppage.NavigationTypeBackForwardCacheRestore; w.ready {
				w.loads++
			}
		}
	case *cdppage.EventLoadEventFired:
		w.ready = true
		w.loads++
	case *network.EventResponseReceived:
		if e.Type == network.ResourceTypeDocument {
			w.documents[e.Response.URL] = true
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning {
			w.troubles = append(w.troubles, tabTrouble{fmt.Sprintf("%s: %s", e.Entry.Source, e.Entry.Text), e.Entry.URL, e.Entry.Source == log.EntrySourceNetwork})
		}
	case *runtime.EventExceptionThrown:
		w.troubles = append(w.troubles, tabTrouble{text: e.ExceptionDetails.Text, url: e.ExceptionDetails.URL})
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning || e.Type == runtime.ConsoleAPICalledTypeAssert {
			w.troubles = append(w.troubles, tabTrouble{text: fmt.Sprintf("console.%s", e.Type), url: w.url})
		}
	case *audits.EventIssueAdded:
		if text := issueText(e.Issue); text != "" {
			w.troubles = append(w.troubles, tabTrouble{text: text, url: w.url})
		}
	}
}

// issueText puts what Chromium has against a page into words, where it is more than
// advice: a violation of the page's Content-Security-Policy, a cookie that it
// refuses, content over plain HTTP, an old way of drawing.
func issueText(i *audits.InspectorIssue) string {
	switch i.Code {
	case audits.InspectorIssueCodeContentSecurityPolicyIssue:
		d := i.Details.ContentSecurityPolicyIssueDetails
		return fmt.Sprintf("%s: %s %s", i.Code, d.ViolatedDirective, d.BlockedURL)
	case audits.InspectorIssueCodeCookieIssue:
		d := i.Details.CookieIssueDetails
		return fmt.Sprintf("%s: %v %v", i.Code, d.CookieExclusionReasons, d.CookieWarningReasons)
	case audits.InspectorIssueCodeMixedContentIssue, audits.InspectorIssueCodeBlockedByResponseIssue, audits.InspectorIssueCodeQuirksModeIssue,
		audits.InspectorIssueCodeCorsIssue, audits.InspectorIssueCodeStylesheetLoadingIssue:
		return string(i.Code)
	}
	return ""
}

// expect says that the test causes troubles on purpose: those with this text.
func (w *tab) expect(text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.expected = append(w.expected, text)
}

// finish fails the test for all that went wrong, and helps to see why it failed.
func (w *tab) finish() {
	if w.t.Failed() {
		ctx, cancel := context.WithTimeout(w.ctx, 5*time.Second)
		defer cancel()
		text, _ := chromedp.Run(ctx, chromedp.Evaluate[string]("document.body.innerText"))
		w.t.Logf("the tab ended at %s:\n%s", w.address(), text)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
next:
	for _, x := range w.troubles {
		for _, text := range w.expected {
			if strings.Contains(x.text, text) {
				continue next
			}
		}
		if !x.network || !w.documents[x.url] {
			w.t.Errorf("%s has something against the page: %s", x.url, x.text)
		}
	}
}

// do takes steps, in bounded time.
func (w *tab) do(steps ...tabStep) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		w.t.Fatalf("at %s: %v", w.address(), err)
	}
}

// eval gives the value of a JavaScript expression; a promise is waited for.
func eval[T any](w *tab, expression string) T {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, patience)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		w.t.Fatalf("at %s: %s: %v", w.address(), expression, err)
	}
	return value
}

func (w *tab) address() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.url
}

func (w *tab) state() (url string, ready bool, loads int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.url, w.ready, w.loads
}

// open goes to an address, as if it was typed.
func (w *tab) open(url string) {
	w.t.Helper()
	w.leads("opening "+url, devtools(cdppage.Navigate, cdppage.NavigateParams{URL: url}))
}

// leads takes a step that leads to a page, and waits for one to load.
func (w *tab) leads(what string, s tabStep) {
	w.t.Helper()
	_, _, before := w.state()
	w.do(s)
	if err := await(func() bool { _, ready, loads := w.state(); return ready && loads > before }); err != nil {
		w.t.Fatalf("%s leads nowhere from %s", what, w.address())
	}
}

// at waits until the tab shows the page at an address, query included.
func (w *tab) at(want string) {
	w.t.Helper()
	w.arrives(want, func(url string) bool { return url == want })
}

// atPage is at, whatever the query.
func (w *tab) atPage(want string) {
	w.t.Helper()
	w.arrives(want, func(url string) bool { url, _, _ = strings.Cut(url, "?"); return url == want })
}

func (w *tab) arrives(want string, there func(url string) bool) {
	w.t.Helper()
	seen, since := -1, time.Now()
	_ = await(func() bool {
		url, ready, loads := w.state()
		if !ready || loads != seen {
			seen, since = loads, time.Now()
		}
		return ready && there(url) || time.Since(since) > settled
	})
	if url, ready, _ := w.state(); !ready || !there(url) {
		w.t.Fatalf("the tab shows %s instead of %s", url, want)
	}
}

// settled is how long a page must have stood there for a test to believe that it
// leads nowhere by itself.
const settled = 20 * time.Second

// press clicks on a button or link and waits for the page that it leads to.
func (w *tab) press(name string) {
	w.t.Helper()
	w.leads(name, clickOn(name))
}

// click clicks on a button or link that leads nowhere.
func (w *tab) click(name string) {
	w.t.Helper()
	w.do(clickOn(name))
}

// clickOn is a click on the button or link of this name, as a screen reader would
// say it.
func clickOn(name string) tabStep {
	const all = `[...document.querySelectorAll("button, a, summary, .check label")].filter(e => e.checkVisibility())`
	const nameOf = `e.textContent.trim().replace(/\s+/g, " ")`
	return func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		names, err := chromedp.Evaluate[[]string](all+`.map(e => `+nameOf+`)`)(ctx, t)
		if err != nil {
			return chromedp.Void{}, err
		}
		if !slices.Contains(names, name) {
			return chromedp.Void{}, fmt.Errorf("there is no %q, only %q", name, names)
		}
		return chromedp.Click(chromedp.JSPath(fmt.Sprintf(all+`.find(e => `+nameOf+` === %q)`, name)))(ctx, t)
	}
}

// fill types over what stands in a field.
func (w *tab) fill(field, text string) {
	w.t.Helper()
	eval[bool](w, fmt.Sprintf(`(field => { field.focus(); field.select(); return true })(document.querySelector(%q))`, field))
	w.do(devtools(input.InsertText, input.InsertTextParams{Text: text}))
}

// keys presses keys, wherever the focus is.
func (w *tab) keys(keys string) {
	w.t.Helper()
	w.do(chromedp.KeyEvent(keys))
}

// painted waits until the page has been drawn, with the focus where it belongs.
func (w *tab) painted() {
	w.t.Helper()
	eval[bool](w, `new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))`)
}

// enter presses the key of that name and waits for the page that it leads to.
func (w *tab) enter() {
	w.t.Helper()
	w.leads("Enter", chromedp.KeyEvent(kb.Enter))
}

// focus names what has the focus: a field by its label, else by its text.
func (w *tab) focus() string {
	w.t.Helper()
	return eval[string](w, `((e = document.activeElement) => (e.labels?.[0] ?? e).textContent.trim().replace(/\s+/g, " "))()`)
}

// text is what the page says; nothing while it is on its way to another.
func (w *tab) text() string {
	w.t.Helper()
	return eval[string](w, `document.body?.innerText ?? ""`)
}

// says fails the test unless the page says all of this, also once it has had the time to
// lead on to another.
func (w *tab) says(want ...string) {
	w.t.Helper()
	var text, missing string
	if err := await(func() bool {
		text = w.text()
		i := slices.IndexFunc(want, func(part string) bool { return !strings.Contains(text, part) })
		if i >= 0 {
			missing = want[i]
		}
		return i < 0
	}); err != nil {
		w.t.Errorf("%s does not say %q:\n%s", w.address(), missing, text)
	}
}

// signIn fills the sign-in form in and sends it.
func (w *tab) signIn(p person) {
	w.t.Helper()
	w.fill("#username", p.Username)
	w.fill("#password", p.Password)
	w.press("Sign in")
}

// backTo goes back to the page at an address that was shown last, by the
// browser's history.
func (w *tab) backTo(url string) {
	w.t.Helper()
	w.leads("going back to "+url, chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		history, err := cdp.Call(ctx, t, cdppage.GetNavigationHistory, cdp.Empty{})
		if err != nil {
			return err
		}
		for _, entry := range slices.Backward(history.Entries[:history.CurrentIndex]) {
			if entry.URL == url {
				_, err := cdp.Call(ctx, t, cdppage.NavigateToHistoryEntry, cdppage.NavigateToHistoryEntryParams{EntryID: entry.ID})
				return err
			}
		}
		return fmt.Errorf("%s was not shown in this tab", url)
	}))
}

// fillAccount fills the fields of a new account in, but for the name.
func (w *tab) fillAccount(p person) {
	w.t.Helper()
	w.fill("#email", p.Email)
	w.fill("#username", p.Username)
	w.fill("#password", p.Password)
}

// troubled waits until Chromium has noted a trouble with this text, and takes it as
// wanted.
func (w *tab) troubled(text string) {
	w.t.Helper()
	w.expect(text)
	eventually(w.t, "Chromium to note "+text, func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return slices.ContainsFunc(w.troubles, func(x tabTrouble) bool { return strings.Contains(x.text, text) })
	})
}
