package mail

import (
	"embed"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"io/fs"
	"net/netip"
	"net/url"
	"os"
	"strings"
	texttemplate "text/template"
	"time"
	"unicode"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

//go:embed templates
var embedded embed.FS

// Templates are the texts of all messages: of each kind a NAME.txt, which defines its
// "subject" too, and a NAME.html.
type Templates struct {
	text map[authcore.MailKind]*texttemplate.Template
	html map[authcore.MailKind]*htmltemplate.Template
}

// View is what a template can show. What people have typed is in it in a form that no
// program that shows mail makes a link of.
type View struct {
	Brand    string
	Site     string // host of the pages; may be empty
	Pages    string // address of the account page; may be empty
	Username string
	To       string
	Address  string
	Provider string
	// Of an invitation: the name of the organization, and the role.
	Organization, Role string
	Webhook            string
	Token              string // what an access token is called
	Reason             string
	Link               string // as it is: it is ours
	Code               string // digits to type
	Until              string // when the link ends
	// Of a sign-in: the browser, the client's address and the time.
	Device, From, At string
}

// ParseTemplates reads the templates: from a folder those that are there, the others as
// they come along. A folder that is empty names none. A template that cannot be filled
// in is an error.
func ParseTemplates(dir string) (*Templates, error) {
	t := &Templates{text: make(map[authcore.MailKind]*texttemplate.Template), html: make(map[authcore.MailKind]*htmltemplate.Template)}
	if dir != "" {
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			return nil, fmt.Errorf("templates: there is no folder %s", dir)
		}
	}
	for _, kind := range authcore.MailKinds {
		text, err := read(dir, string(kind)+".txt")
		if err != nil {
			return nil, err
		}
		if t.text[kind], err = texttemplate.New(string(kind) + ".txt").Parse(text); err != nil {
			return nil, fmt.Errorf("templates: %w", err)
		}
		layout, err := read(dir, "layout.html")
		if err != nil {
			return nil, err
		}
		page, err := read(dir, string(kind)+".html")
		if err != nil {
			return nil, err
		}
		if t.html[kind], err = htmltemplate.New("layout.html").Parse(layout); err != nil {
			return nil, fmt.Errorf("templates: %w", err)
		}
		if _, err = t.html[kind].New(string(kind) + ".html").Parse(page); err != nil {
			return nil, fmt.Errorf("templates: %w", err)
		}
		sample := authcore.Letter{Kind: kind, To: "alice@example.com", Username: "alice", Origin: "https://auth.example.com", Link: "https://auth.example.com/", Code: "123456", Address: "alice@example.net", Provider: "Example", Organization: "Acme", Role: "member", Webhook: "Example", Token: "Backup", Reason: "it is gone", At: time.Unix(0, 0)}
		if _, err := t.Render("Gatehouse", sample); err != nil {
			return nil, fmt.Errorf("templates: %w", err)
		}
	}
	return t, nil
}

// read reads a file from a folder, or the one that comes along where the folder has
// none.
func read(dir, name string) (string, error) {
	if dir != "" {
		body, err := fs.ReadFile(os.DirFS(dir), name)
		if err == nil {
			return string(body), nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("templates: %w", err)
		}
	}
	body, err := embedded.ReadFile("templates/" + name)
	return string(body), err
}

// Render makes a letter's subject and both forms of its text.
func (t *Templates) Render(brand string, l authcore.Letter) (Message, error) {
	if t.text[l.Kind] == nil {
		return Message{}, fmt.Errorf("there is no message of the kind %q", l.Kind)
	}
	v := View{Brand: brand, Username: Inert(l.Username), To: Inert(l.To), Address: Inert(l.Address), Provider: Inert(l.Provider),
		Organization: Inert(l.Organization), Role: Inert(l.Role), Webhook: Inert(l.Webhook), Token: Inert(l.Token), Reason: Inert(l.Reason), Link: l.Link.Reveal(), Code: l.Code.Reveal()}
	if u, err := url.Parse(l.Origin); err == nil && u.Host != "" {
		v.Site, v.Pages = u.Host, l.Origin+"/.gate/account"
	}
	if !l.Until.IsZero() {
		v.Until = l.Until.UTC().Format("2 January 2006 15:04 UTC")
	}
	if !l.At.IsZero() {
		v.Device, v.From, v.At = Inert(authcore.AgentName(l.Agent)), inertAddress(l.From), l.At.UTC().Format("2 January 2006 15:04 UTC")
	}
	var subject, text, page strings.Builder
	err := errors.Join(t.text[l.Kind].ExecuteTemplate(&subject, "subject", v), t.text[l.Kind].Execute(&text, v), t.html[l.Kind].ExecuteTemplate(&page, "page", v))
	if err != nil {
		return Message{}, err
	}
	if strings.TrimSpace(subject.String()) == "" {
		return Message{}, fmt.Errorf("%s.txt: its subject is empty", l.Kind)
	}
	return Message{To: l.To, Subject: subject.String(), Text: strings.TrimSpace(text.String()) + "\n", HTML: page.String()}, nil
}

// inertAddress is Inert for what is no IP address.
func inertAddress(text string) string {
	if _, err := netip.ParseAddr(text); err == nil {
		return text
	}
	return Inert(text)
}

// joiner is a WORD JOINER (U+2060): it is not seen, and nothing that has one in it is
// taken for an address.
const joiner = "\u2060"

// Inert takes from a text that somebody typed what a program that shows mail could make
// a link or a line of: a message must say nothing for people who are not of this site.
func Inert(s string) string {
	var out strings.Builder
	for _, r := range s {
		switch {
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r), r == '\u2028', r == '\u2029', r == unicode.ReplacementChar:
			out.WriteRune(' ')
		case strings.ContainsRune(".:/@", r):
			out.WriteString(joiner + string(r) + joiner)
		default:
			out.WriteRune(r)
		}
	}
	return out.String()
}

// withoutSecrets takes a link's code from a text: a server may quote what it refuses.
func withoutSecrets(text string, l authcore.Letter) string {
	if l.Code != "" {
		text = strings.ReplaceAll(text, l.Code.Reveal(), "[secret]")
	}
	u, err := url.Parse(l.Link.Reveal())
	if err != nil || l.Link == "" {
		return text
	}
	for _, values := range u.Query() {
		for _, code := range values {
			if len(code) > 8 {
				text = strings.ReplaceAll(text, code, "[secret]")
			}
		}
	}
	return text
}
