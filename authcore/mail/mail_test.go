package mail

import (
	"bytes"
	"context"
	"errors"
	"net/mail"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// What people have typed is no markup, no link and no line of its own in any message
// (abuse case X3), and no header.
func TestWhatPeopleTypeIsInert(t *testing.T) {
	t.Parallel()
	templates, err := ParseTemplates("")
	if err != nil {
		t.Fatal(err)
	}
	evil := "<a href=https://evil.example>click</a>\r\nBcc: x@evil.example\r\n\r\nhttps://evil.example/{{.Link}}\u202e" + `"><script>alert(1)</script>`
	s := &Sender{Settings{From: mail.Address{Name: "Gate", Address: "gate@example.com"}}}
	for _, kind := range authcore.MailKinds {
		l := authcore.Letter{Kind: kind, To: "bob@example.com", Username: evil, Address: evil, Provider: evil, Organization: evil, Role: evil, Webhook: evil, Reason: evil, Origin: "https://auth.example.com",
			Link: "https://auth.example.com/.gate/x?token=abcdefghijkl"}
		m, err := templates.Render("Gatehouse", l)
		if err != nil {
			t.Fatal(err)
		}
		m.ID, m.At = "id", time.Unix(1e9, 0)
		for what, text := range map[string]string{"subject": m.Subject, "text": m.Text, "HTML": m.HTML} {
			for _, bad := range []string{"<script", "<a href=https://evil", "evil.example", "\nBcc:", "\u202e"} {
				if what == "text" && strings.HasPrefix(bad, "<") {
					continue // which is nothing there
				}
				if strings.Contains(text, bad) {
					t.Errorf("%s: the %s holds %q:\n%s", kind, what, bad, text)
				}
			}
		}
		msg, err := s.compose(m)
		if err != nil {
			t.Fatal(err)
		}
		var raw bytes.Buffer
		if _, err := msg.WriteTo(&raw); err != nil {
			t.Fatal(err)
		}
		head, _, _ := strings.Cut(raw.String(), "\r\n\r\n")
		if strings.Contains(head, "evil") || strings.Contains(head, "Bcc") {
			t.Errorf("%s: a header was put in:\n%s", kind, head)
		}
	}
	for _, to := range []string{"", "bob", "bob@example.com\r\nBcc: x@evil.example", "bob@example.com, x@evil.example", "\"Bob\" <bob@example.com>\n"} {
		if _, err := s.compose(Message{To: to}); err == nil {
			t.Errorf("%q is taken for an address", to)
		}
	}
}

func TestTemplatesOfOnesOwn(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, file, text, want string }{
		{"one of them", "test.txt", `{{define "subject"}}Hallo{{end}}Test für {{.To}}`, ""},
		{"without a subject", "test.txt", "Test", "subject"},
		{"with an empty subject", "test.txt", `{{define "subject"}} {{end}}Test`, "its subject is empty"},
		{"that cannot be read", "test.html", `{{define "content"}}{{.To`, "test.html:1"},
		{"with a word that is not known", "test.html", `{{define "content"}}{{.Password}}{{end}}`, "Password"},
		{"a layout without a page", "layout.html", `nothing`, "page"},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, c.file), []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		templates, err := ParseTemplates(dir)
		if c.want != "" {
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v, want %q", c.name, err, c.want)
			}
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		m, err := templates.Render("Gatehouse", authcore.Letter{Kind: authcore.MailTest, To: "bob"})
		if err != nil || m.Subject != "Hallo" || m.Text != "Test für bob\n" || !strings.Contains(m.HTML, "This is a test") {
			t.Errorf("%s: %+v, %v", c.name, m, err)
		}
	}
	if _, err := ParseTemplates(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a folder that is not there was taken")
	}
}

func TestWithoutSecrets(t *testing.T) {
	t.Parallel()
	link := authcore.Secret("https://auth.example.com/.gate/recover/password?token=abcdefghijkl")
	if got := withoutSecrets("554 spam: Your code to sign in: 123456", authcore.Letter{Code: "123456"}); strings.Contains(got, "123456") {
		t.Errorf("%q", got)
	}
	if got := withoutSecrets("554 spam: "+link.Reveal(), authcore.Letter{Link: link}); strings.Contains(got, "abcdefghijkl") || !strings.Contains(got, "554 spam") {
		t.Errorf("%q", got)
	}
	if got := withoutSecrets("550 no such user", authcore.Letter{}); got != "550 no such user" {
		t.Errorf("%q", got)
	}
}

// queue is a store in memory with a server that answers as a test says.
type queue struct {
	mails  []authcore.Mail
	events []authcore.Event
	holder string
	sent   []Message
	answer func() error
	key    authcore.SecretKey
}

func (q *queue) MailsDue(_ context.Context, now time.Time, limit int) (due []authcore.Mail, _ error) {
	for _, m := range q.mails {
		if !m.DueAt.After(now) && len(due) < limit {
			due = append(due, m)
		}
	}
	return due, nil
}

func (q *queue) ClaimMail(_ context.Context, m authcore.Mail, next time.Time) (bool, error) {
	i := slices.IndexFunc(q.mails, func(o authcore.Mail) bool { return o.ID == m.ID && o.Tries == m.Tries })
	if i >= 0 {
		q.mails[i].Tries, q.mails[i].DueAt = m.Tries+1, next
	}
	return i >= 0, nil
}

func (q *queue) DeleteMail(_ context.Context, id authcore.MailID, ev *authcore.Event) error {
	q.mails = slices.DeleteFunc(q.mails, func(m authcore.Mail) bool { return m.ID == id })
	if ev != nil {
		q.events = append(q.events, *ev)
	}
	return nil
}

func (q *queue) TakeLease(_ context.Context, _, holder string, _ time.Duration) (bool, error) {
	return q.holder == "" || q.holder == holder, nil
}

func (q *queue) DropLease(context.Context, string, string) error { return nil }

func (q *queue) Send(_ context.Context, m Message) (string, error) {
	if err := q.answer(); err != nil {
		return "", err
	}
	q.sent = append(q.sent, m)
	return "250 ok", nil
}

// runQueue lets an outbox work for a time, which passes at once.
func runQueue(t *testing.T, q *queue, d time.Duration, letters ...authcore.Letter) (lost []string, troubles int) {
	t.Helper()
	if q.key == (authcore.SecretKey{}) {
		q.key = authcore.NewSecretKey()
	}
	sealer := q.key.NewSealer("mail", time.Now)
	templates, err := ParseTemplates("")
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range letters {
		m, err := authcore.SealLetter(sealer, time.Now(), "alice", l)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(m.Sealed, l.To) {
			t.Error("what a message says can be read")
		}
		q.mails = append(q.mails, m)
	}
	o := &Outbox{Store: q, Sealer: sealer, Sender: q, Templates: templates, Brand: "Gatehouse", Node: "node", Now: time.Now,
		Trouble: func(err error) {
			if err != nil {
				troubles++
			}
		}, Lost: func(_ authcore.Mail, why string) { lost = append(lost, why) }}
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	o.Run(ctx)
	return lost, troubles
}

func TestOutbox(t *testing.T) {
	t.Parallel()
	test := func(to string) authcore.Letter { return authcore.Letter{Kind: authcore.MailTest, To: to} }
	away := func() error { return unreachableError{errors.New("connection refused")} }
	for name, c := range map[string]func(t *testing.T){
		"sent once": func(t *testing.T) {
			q := &queue{answer: func() error { return nil }}
			lost, _ := runQueue(t, q, time.Hour, test("a@example.com"), test("b@example.com"))
			if len(q.sent) != 2 || len(q.mails) != 0 || lost != nil || q.sent[0].ID == q.sent[1].ID {
				t.Errorf("sent %d, %d wait, lost %q", len(q.sent), len(q.mails), lost)
			}
		},
		"the server is away for a while": func(t *testing.T) {
			since := time.Now()
			q := &queue{}
			q.answer = func() error {
				if time.Since(since) < time.Hour {
					return away()
				}
				return nil
			}
			lost, troubles := runQueue(t, q, 2*time.Hour, test("a@example.com"), test("b@example.com"))
			if len(q.sent) != 2 || lost != nil || troubles == 0 || troubles > 200 {
				t.Errorf("sent %d, lost %q, %d troubles", len(q.sent), lost, troubles)
			}
		},
		"the server does not come back": func(t *testing.T) {
			q := &queue{answer: away}
			lost, _ := runQueue(t, q, 47*time.Hour, test("a@example.com"))
			if lost != nil {
				t.Fatalf("lost after 47 hours: %q", lost)
			}
			lost, _ = runQueue(t, q, 3*time.Hour)
			if len(lost) != 1 || len(q.mails) != 0 || len(q.events) != 1 || q.events[0].Action != authcore.MailLost || q.events[0].Target != "user:alice" || !strings.Contains(lost[0], "for too long") {
				t.Errorf("lost %q, %d wait, events %+v", lost, len(q.mails), q.events)
			}
		},
		"refused for good": func(t *testing.T) {
			q, n := &queue{}, 0
			q.answer = func() error { n++; return refusedError{errors.New("550 no such\r\n user")} }
			lost, _ := runQueue(t, q, time.Hour, test("a@example.com"))
			if len(lost) != 1 || lost[0] != "test: 550 no such user" || n != refusedTries {
				t.Errorf("lost %q after %d tries", lost, n)
			}
		},
		"its link ended": func(t *testing.T) {
			q := &queue{answer: away}
			l := test("a@example.com")
			l.Until = time.Now().Add(time.Hour)
			if lost, _ := runQueue(t, q, 2*time.Hour, l); len(lost) != 1 || !strings.Contains(lost[0], "link had ended") {
				t.Errorf("lost %q", lost)
			}
		},
		"another node sends": func(t *testing.T) {
			q := &queue{holder: "other", answer: func() error { return nil }}
			if runQueue(t, q, time.Hour, test("a@example.com")); len(q.sent) != 0 || q.mails[0].Tries != 0 {
				t.Errorf("sent %d", len(q.sent))
			}
		},
	} {
		t.Run(name, func(t *testing.T) { synctest.Test(t, c) })
	}
}
