package integration

import (
	"os/exec"
	"strings"
	"testing"
)

// On a terminal there is a QR code, unless nobody wants one.
func TestLoginCommandOnTerminal(t *testing.T) {
	t.Parallel()
	s := start(t, farGate)
	portal := s.URL("HTTPS", "auth.localhost")
	s.createOwner(t, alice)
	for _, flag := range []string{"", "--no-qr"} {
		l := s.laptop(t)
		login := l.command("login", portal, flag)
		if flag == "" {
			login = l.command("login", portal)
		}
		cmd := exec.CommandContext(t.Context(), "script", "--quiet", "--return", "--command", strings.Join(login.Args, " "), "/dev/null")
		cmd.Dir, cmd.Env = login.Dir, login.Env
		in := l.beginBy(cmd)
		if there := strings.Contains(in.out.String(), "▀"); there != (flag == "") {
			t.Errorf("%q: a QR code: %v\n%s", flag, there, in.out.String())
		}
		must(t, cmd.Process.Kill())
		_ = cmd.Wait()
	}
}
