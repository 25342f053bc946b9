package integration

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"
)

// The doctor sends a test and says what the server answered, over each kind of
// connection; what is wrong with one is said, and no secret.
func TestMailDoctor(t *testing.T) {
	t.Parallel()
	config, ca := certificate(t)
	starttls := newLetterbox(t, func(b *letterbox) { b.tls, b.password = config, "mail-secret" })
	implicit := newLetterbox(t, func(b *letterbox) { b.tls, b.implicit = config, true })
	plain := newLetterbox(t, nil)
	plain.refuse["gone@example.com"] = &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "nobody of that name"}
	for _, c := range []struct {
		name, block, env, to string
		box                  *letterbox
		exit                 int
		want                 string
	}{
		{"STARTTLS and a password", "user gate\npassword {env.MAIL_PASSWORD}", ca, "bob@example.com", starttls, 0, "queued"},
		{"a wrong password", "user gate\npassword wrong-secret", ca, "bob@example.com", starttls, 1, "Authentication failed"},
		{"a certificate of one's own", "user gate\npassword {env.MAIL_PASSWORD}\ntls_ca " + ca, "/dev/null", "bob@example.com", starttls, 0, "queued"},
		{"a file of certificates that is not there", "tls_ca none.pem", ca, "bob@example.com", starttls, 1, "tls_ca"},
		{"no password", "", ca, "bob@example.com", starttls, 1, "Please authenticate first"},
		{"TLS from the first byte", "tls on", ca, "bob@example.com", implicit, 0, "queued"},
		{"a certificate that nobody vouches for", "", "/dev/null", "bob@example.com", starttls, 1, "certificate"},
		{"plain on this machine", "tls off", ca, "bob@example.com", plain, 0, "queued"},
		{"STARTTLS where there is none", "", ca, "bob@example.com", plain, 1, "STARTTLS"},
		{"nobody there", "tls off", ca, "gone@example.com", plain, 1, "nobody of that name"},
		{"no address", "tls off", ca, "gone", plain, 1, "the address is none"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t.TempDir(), newUpstream(t), fmt.Sprintf("{\n\tadmin off\n\tgate {\n\t\t{{.Gate}}\n\t\tmail {\n\t\t\tsmtp 127.0.0.1:%d\n\t\t\tfrom \"Gate <gate@example.org>\"\n\t\t\t%s\n\t\t}\n\t}\n}\n",
				c.box.port, c.block), []option{withEnv("SSL_CERT_FILE="+c.env, "MAIL_PASSWORD=mail-secret")})
			s.writeConfig(t)
			out, errs, exit := s.CLI(t, "", "doctor", "--mail", c.to)
			if exit != c.exit || !strings.Contains(out, c.want) {
				t.Errorf("exit %d\n%s%s", exit, out, errs)
			}
			if all := out + errs; strings.Contains(all, "-secret") {
				t.Errorf("a secret is shown:\n%s", all)
			}
		})
	}
	t.Cleanup(func() {
		if n := len(starttls.all("")) + len(implicit.all("")); n != 3 || !starttls.secure || !implicit.secure {
			t.Errorf("%d letters came over TLS: %v %v", n, starttls.secure, implicit.secure)
		}
		for _, l := range plain.all("") {
			if l.From != "gate@example.org" || l.To != "bob@example.com" || l.Header.Get("From") != `"Gate" <gate@example.org>` ||
				!strings.HasSuffix(l.ID, "@example.org>") || l.Header.Get("Auto-Submitted") != "auto-generated" || !strings.Contains(l.Text, "This is a test") {
				t.Errorf("%+v", l)
			}
		}
	})
	s := newServer(t.TempDir(), newUpstream(t), "{\n\tadmin off\n\tgate {\n\t\t{{.Gate}}\n\t}\n}\n", nil)
	s.writeConfig(t)
	if out, _, exit := s.CLI(t, "", "doctor", "--mail", "bob@example.com"); exit == 0 || !strings.Contains(out, "no mail block") {
		t.Errorf("without a mail block: exit %d\n%s", exit, out)
	}
	if out, _, exit := s.CLI(t, "", "doctor"); exit != 0 || !strings.Contains(out, "none is sent") {
		t.Errorf("without a mail block: exit %d\n%s", exit, out)
	}
}

// writeConfig writes the Caddyfile of a server that does not run.
func (s *server) writeConfig(t testing.TB) {
	t.Helper()
	text, err := s.render(s.text)
	must(t, err)
	must(t, os.WriteFile(s.config(), []byte(text), 0o600))
}
