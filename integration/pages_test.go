package integration

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/chromedp"
)

// strictGate hashes slowly, one at a time, and forgives one mistake.
var strictGate = sharing{ready: withOwner, caddyfile: `{
	{{.Global}}
	gate {
		database sqlite {{.Dir}}/gate.db
		portal auth.localhost:{{.HTTP}}
		hashing {
			argon2id 64MiB 4 1
			permits 1
		}
		limits {
			address off
			account 1 1m
		}
	}
}
http://auth.localhost:{{.HTTP}} {
	gate_portal
}
`}

// TestPages looks at every page, in every state that it can be in. With
// GATE_SCREENSHOTS=DIR it also takes pictures of them into DIR.
func TestPages(t *testing.T) {
	t.Parallel()
	for name, tour := range map[string]func(*testing.T, *tab){
		"setup": tourSetup, "login": tourLogin, "strict": tourStrict, "register": tourRegister,
		"account": tourAccount, "own": tourOwn, "sso": tourSSO, "policies": tourPolicies, "tokens": tourTokens,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tour(t, newBrowser(t))
		})
	}
}

func tourSetup(t *testing.T, w *tab) {
	s := start(t, exampleCaddyfile(t))
	alice := someone("alice")
	link := s.SetupLink(t)
	w.open(link + "x")
	w.look("setup-bad-link")
	w.open(link)
	w.look("setup")
	w.fill("#name", alice.Name)
	w.fillAccount(alice)
	w.fill("#password", "short")
	w.press("Create owner")
	w.look("setup-weak-password")
	w.fill("#password", alice.Password)
	w.press("Create owner")
	w.at(s.URL("HTTP", "localhost") + "/")
	w.look("demo-app")
	w.open(s.URL("HTTP", "auth.localhost") + "/.gate/account")
	w.look("account-of-owner")
}

func tourLogin(t *testing.T, w *tab) {
	s := ssoGate.get(t)
	portal, app := s.URL("HTTPS", "auth.example.org"), s.URL("HTTPS", "app.example.com")
	w.open(portal + "/.gate/login")
	w.look("login")
	w.open(app + "/")
	w.atPage(portal + "/.gate/login")
	w.look("login-for-app")
	w.signIn(person{Username: "nobody", Password: "wrong"})
	w.look("login-wrong")
	w.open(portal + "/.gate/nothing")
	w.look("error-404")
	w.open(portal + "/.gate/account/profile")
	w.look("error-405")
	w.open(app + "/.gate/callback?code=x")
	w.look("error-callback")
	w.open(app + "/.gate/logout")
	w.look("signed-out-at-app")
}

func tourStrict(t *testing.T, w *tab) {
	s := strictGate.get(t)
	portal := s.URL("HTTP", "auth.localhost")
	stop := make(chan struct{})
	var crowd sync.WaitGroup
	for n := range 10 { // others who keep the one permit and the line before it taken
		b := s.Client(t)
		crowd.Go(func() {
			for i := 0; !ended(stop); i++ {
				_, _ = b.PostForm(portal+"/.gate/login", url.Values{"username": {fmt.Sprint("crowd", n, "-", i)}, "password": {"x"}})
			}
		})
	}
	w.open(portal + "/.gate/login")
	for i := 0; !strings.Contains(w.text(), "Many people"); i++ {
		if i == 50 {
			t.Fatalf("the portal is never busy:\n%s", w.text())
		}
		w.signIn(person{Username: fmt.Sprint("olga", i), Password: "x"})
	}
	close(stop)
	crowd.Wait()
	w.look("login-busy")
	for range 2 {
		w.signIn(person{Username: "olga", Password: "x"})
	}
	w.says("attempts")
	w.look("login-limited")
}

func tourRegister(t *testing.T, w *tab) {
	open, invite := openGate.get(t), inviteGate.get(t)
	portal := open.URL("HTTP", "auth.localhost")
	w.open(portal + "/.gate/login")
	w.look("login-with-register")
	w.open(portal + "/.gate/register")
	w.look("register")
	w.fill("#name", "Somebody")
	w.fillAccount(someone("somebody"))
	w.fill("#username", "some body")
	w.press("Create account")
	w.look("register-wrong-username")
	w.open(invite.URL("HTTP", "auth.localhost") + "/.gate/register")
	w.look("register-not-invited")
	out, _, _ := invite.CLI(t, "", "user", "invite")
	link, _, _ := strings.Cut(out, "\n")
	w.open(link)
	w.look("register-invited")
}

func tourAccount(t *testing.T, w *tab) {
	s, pat := ssoGate.get(t), someone("pat")
	pat.Name = strings.Repeat("Wolfeschlegelsteinhausenbergerdorff", 3) // one word
	pat.Email = strings.Repeat("a-very-long-", 5) + "@" + strings.Repeat("subdomain.", 12) + "example.com"
	s.addUser(t, pat, "--group", "staff", "--group", strings.Repeat("a-group-with-a-long-name/", 2))
	portal := s.URL("HTTPS", "auth.example.org")
	phone := signedInTab(t, portal, pat, withAgent(phoneAgent))
	phone.open(s.URL("HTTPS", "ops.example.com") + "/")
	w.open(portal + "/.gate/account")
	w.atPage(portal + "/.gate/login")
	w.signIn(pat)
	w.at(portal + "/.gate/account")
	w.look("account-long-names")
	w.fill("#name", "Pat Example")
	w.fill("#email", "pat@example.com")
	w.press("Save profile")
	w.look("account-saved")
	w.fill("#email", "pat@example.com@")
	w.do(chromedp.Evaluate[chromedp.Void](`document.querySelector("#email").form.noValidate = true`))
	w.press("Save profile")
	w.look("account-wrong-email")
	w.fill("#password-current", "wrong")
	w.fill("#new-password", "a new long password")
	w.press("Change password")
	w.look("account-wrong-password")
	w.fill("#password-current", pat.Password)
	w.fill("#new-password", "short")
	w.press("Change password")
	w.look("account-weak-password")
	w.open(portal + "/.gate/logout")
	w.look("logout")
	w.press("Sign out")
	w.look("signed-out")
}

func tourOwn(t *testing.T, w *tab) {
	s, quinn := ownGate.get(t), someone("quinn")
	s.addUser(t, quinn)
	app := s.URL("HTTPS", "app.example.com")
	signedInTab(t, app, quinn, withAgent(phoneAgent))
	w.open(app + "/.gate/account")
	w.signIn(quinn)
	w.at(app + "/.gate/account")
	w.look("own-account")
	w.do(clickOn("Sign out… Safari on iPhone"))
	w.look("own-account-unfolded")
	w.fill("details[open] input[type=password]", "wrong")
	w.press("Confirm")
	w.look("own-account-wrong-password")
}

func tourSSO(t *testing.T, w *tab) {
	s, ruth := ssoGate.get(t), someone("ruth")
	s.addUser(t, ruth)
	w.open(s.URL("HTTPS", "ops.example.com") + "/")
	w.signIn(ruth)
	w.at(s.URL("HTTPS", "ops.example.com") + "/")
	w.look("error-403")

	app := s.URL("HTTPS", "app.example.com") + "/"
	other := newBrowser(t)
	other.open(app)
	letGo := other.stayBefore("*/.gate/callback*")
	other.signIn(ruth)
	other.look("continue")
	letGo()
	other.press("Continue")
	other.at(app)
}

func tourPolicies(t *testing.T, w *tab) {
	s := rooms.get(t)
	portal := s.URL("HTTPS", "auth.example.com")
	w.open(portal + "/.gate/login")
	w.signIn(alice)
	w.open(portal + "/.gate/confirm")
	w.look("confirm")
	w.fill("#password", "wrong")
	w.press("Go on")
	w.look("confirm-wrong-password")
	w.open(portal + "/.gate/admin/explain")
	w.look("explain")
	page := portal + "/.gate/admin/explain?user=bob&url=" + url.QueryEscape(s.at("rooms.example.com", ""))
	w.open(page + "/admin/a-long-path/" + strings.Repeat("segment", 12))
	w.says("deny", "no allow rule matched")
	w.look("explain-deny")
	w.open(page + "/")
	w.look("explain-allow")
	w.open(page + "/safe")
	w.look("explain-step-up")
	w.open(portal + "/.gate/admin/explain?user=nobody-like-that&url=nonsense&from=nonsense")
	w.look("explain-wrong")
}

// stayBefore keeps the tab from leaving for addresses like this one, until it is let
// go: they answer that there is nothing to show.
func (w *tab) stayBefore(pattern string) (letGo func()) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.ctx)
	paused := chromedp.Events(ctx, fetch.RequestPaused)
	go chromedp.Do(ctx, chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		for e, err := range paused {
			if err != nil {
				return err
			}
			if _, err := cdp.Call(ctx, t, fetch.FulfillRequest, fetch.FulfillRequestParams{RequestID: e.RequestID, ResponseCode: 204}); err != nil {
				return err
			}
		}
		return nil
	}))
	w.do(devtools(fetch.Enable, fetch.EnableParams{Patterns: []*fetch.RequestPattern{{URLPattern: pattern}}}))
	return func() {
		w.do(devtools(fetch.Disable, cdp.Empty{}))
		cancel()
	}
}

// look examines the page that the tab shows: nothing scrolls sideways on the
// narrowest phone, and what a script can tell of how people with other eyes and
// hands get along. It does so once for each name: a journey on another database shows the
// same pages.
func (w *tab) look(name string) {
	w.t.Helper()
	if _, seen := looked.LoadOrStore(name, true); seen {
		return
	}
	w.size(320, 568)
	if width := eval[int](w, `document.documentElement.scrollWidth`); width > 320 {
		w.t.Errorf("%s is %d wide at 320: %v", name, width, eval[[]string](w, `[...document.querySelectorAll("*")].filter(
			e => Math.max(e.getBoundingClientRect().right, e.scrollWidth) > 320).map(e => e.outerHTML.slice(0, 120))`))
	}
	for _, scheme := range []string{"dark", "light"} {
		w.scheme(scheme)
		for _, complaint := range eval[[]string](w, examinePage) {
			w.t.Errorf("%s (%s): %s", name, scheme, complaint)
		}
	}
	if dir := os.Getenv("GATE_SCREENSHOTS"); dir != "" {
		w.photograph(filepath.Join(dir, name))
	}
	w.do(chromedp.ResetViewport())
}

var looked sync.Map // the names of pages

// photograph takes the whole page, wide and on a phone, light and dark.
func (w *tab) photograph(path string) {
	w.t.Helper()
	for kind, size := range map[string][2]int64{"wide": {1280, 900}, "phone": {390, 844}} {
		w.size(size[0], size[1])
		for _, scheme := range []string{"dark", "light"} {
			w.scheme(scheme)
			w.do(func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
				picture, err := chromedp.FullScreenshot(100)(ctx, t)
				if err == nil {
					err = os.WriteFile(fmt.Sprintf("%s-%s-%s.png", path, kind, scheme), picture, 0o644)
				}
				return chromedp.Void{}, err
			})
		}
	}
}

func (w *tab) size(width, height int64) {
	w.t.Helper()
	w.do(devtools(emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: height, DeviceScaleFactor: 1}))
}

func (w *tab) scheme(scheme string) {
	w.t.Helper()
	w.do(devtools(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}}))
	eval[bool](w, `Promise.all(document.getAnimations().map(a => a.finished)).then(() => true)`)
	w.painted()
}

// examinePage gives what is wrong with a page: names that are missing, ids that are
// there twice, motion for people who asked for less, and text whose contrast is below WCAG 2.2 AA (1.4.3).
const examinePage = `(() => {
	const wrong = [], all = [...document.querySelectorAll("body *")].filter(e => e.checkVisibility());
	const say = (e, what) => wrong.push(what + ": " + e.outerHTML.slice(0, 150));
	const text = e => e.textContent.trim();
	if (!document.documentElement.lang) wrong.push("no language");
	if (!document.title) wrong.push("no title");
	if (document.querySelectorAll("h1").length !== 1) wrong.push("not one h1");
	const ids = [...document.querySelectorAll("[id]")].map(e => e.id);
	for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) wrong.push("two of #" + id);
	for (const e of document.querySelectorAll("[aria-describedby], [aria-labelledby]"))
		for (const id of ((e.getAttribute("aria-describedby") ?? "") + " " + (e.getAttribute("aria-labelledby") ?? "")).trim().split(/ +/))
			if (!ids.includes(id)) say(e, "no #" + id);
	for (const e of all) {
		if (e.matches("input:not([type=hidden])") && ![...e.labels].some(text)) say(e, "no label");
		if (e.matches("button, a, summary") && !text(e) && !e.ariaLabel) say(e, "no name");
		if (e.matches("img") && !e.hasAttribute("alt")) say(e, "no alt");
	}
	const moving = all.filter(e => /[1-9]/.test(getComputedStyle(e).transitionDuration));
	if (moving.length) say(moving[0], moving.length + " elements move, though less motion is asked for");
	const canvas = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
	const ground = document.body.appendChild(document.createElement("p"));
	ground.style.backgroundColor = "Canvas";
	const paper = getComputedStyle(ground).backgroundColor; // of this colour scheme
	ground.remove();
	const rgb = (...layers) => {
		canvas.clearRect(0, 0, 1, 1);
		for (const c of layers) { canvas.fillStyle = c; canvas.fillRect(0, 0, 1, 1); }
		return [...canvas.getImageData(0, 0, 1, 1).data];
	};
	const light = c => c.slice(0, 3).map(v => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
		.reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
	for (const e of all) {
		if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())) continue;
		const style = getComputedStyle(e), behind = [];
		for (let p = e; p; p = p.parentElement) behind.unshift(getComputedStyle(p).backgroundColor);
		const [a, b] = [light(rgb(paper, ...behind)), light(rgb(paper, ...behind, style.color))];
		const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05), size = parseFloat(style.fontSize);
		if (ratio < (size >= 24 || size >= 18.66 && style.fontWeight >= 700 ? 3 : 4.5)) say(e, "contrast " + ratio.toFixed(2));
	}
	return wrong;
})()`

func tourTokens(t *testing.T, w *tab) {
	s, kim := rooms.get(t), someone("kim")
	s.addUser(t, kim, "--group", "staff")
	account := s.at("auth.example.com", "/.gate/account")
	w.open(account)
	w.signIn(kim)
	w.at(account)
	w.do(chromedp.Evaluate[chromedp.Void](`document.querySelector("#token_name").closest("details").open = true`))
	w.look("account-token-form")
	w.fill("#token_name", "Backup of the wiki")
	w.fill("#hosts", "https://tools.example.com/api")
	w.press("Make token")
	w.look("account-token-wrong-host")
	w.fill("#hosts", "tools.example.com")
	w.press("Make token")
	w.look("account-token-made")
	w.open(account)
	w.look("account-tokens")
}
