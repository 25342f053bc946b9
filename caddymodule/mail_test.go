package caddymodule

import (
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// Every mistake in a mail block is an error with file and line.
func TestMailBlock(t *testing.T) {
	t.Parallel()
	const from = "from \"Gate <gate@example.com>\"\n"
	for _, c := range []struct{ name, block, want string }{
		{"whole", "smtp mail.example.com:587\n" + from, ""},
		{"with everything", "smtp mail.example.com:465\ntls on\nuser gate\npassword secret\ntemplates mail\nfrom gate@example.com\n", ""},
		{"placeholders", "smtp {env.SMTP}\nuser {env.USER}\npassword {file./x}\ntls {env.TLS}\nfrom {env.FROM}\n", ""},
		{"plain on this machine", "smtp localhost:25\ntls off\n" + from, ""},
		{"plain by address", "smtp [::1]:25\ntls off\n" + from, ""},
		{"empty", "", "mail needs a server"},
		{"no server", from, "mail needs a server"},
		{"no sender", "smtp mail.example.com:587\n", "mail needs an address"},
		{"no port", "smtp mail.example.com\n", "a host and a port"},
		{"a port out of range", "smtp mail.example.com:70000\n", "a host and a port"},
		{"no host", "smtp :25\n", "a host and a port"},
		{"an address as a host", "smtp https://mail.example.com:25\n", "a host and a port"},
		{"two servers", "smtp a:25 b:25\n", "takes one argument"},
		{"a server twice", "smtp a:25\nsmtp b:25\n", "a second time"},
		{"no address", "from Gate\n", "from is an address"},
		{"two addresses", "from \"a@example.com, b@example.com\"\n", "from is an address"},
		{"plain over the network", "smtp mail.example.com:25\ntls off\n" + from, "only a server on this machine"},
		{"plain, said before", "tls off\nsmtp mail.example.com:25\n" + from, "only a server on this machine"},
		{"another way of TLS", "tls maybe\n", "starttls, on or off"},
		{"a password alone", "smtp a:25\npassword x\n" + from, "no user"},
		{"a user alone", "smtp a:25\nuser x\n" + from, "no password"},
		{"an unknown word", "host a\n", "unknown word"},
		{"a block in it", "smtp a:25 {\n}\n", "takes no block"},
	} {
		_, err := parseGlobal(caddyfile.NewTestDispenser("gate {\nmail {\n"+c.block+"}\n}\n"), nil)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "Testfile:")):
			t.Errorf("%s: %v, want %q with file and line", c.name, err, c.want)
		}
	}
	// What placeholders hid is looked at when the gate starts.
	for want, values := range map[string]MailSettings{
		"mail needs a server":            {From: "a@example.com"},
		"only a server on this machine":  {SMTP: "mail.example.com:25", TLS: "{off}", From: "a@example.com"},
		"a host and a port":              {SMTP: "{off}", From: "a@example.com"},
		"there is a user, but no passwo": {SMTP: "a:25", User: "x", From: "a@example.com"},
	} {
		s := Settings{Mail: &values}
		if _, err := s.resolve(func(string) (string, error) { return "off", nil }); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", values, err, want)
		}
	}
}
