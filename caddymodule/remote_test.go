package caddymodule

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What an installation elsewhere says does not steer the terminal, however it comes in
// pieces.
func TestPlainWriter(t *testing.T) {
	const said = "a\x1b[2Jb\tc\u009b2Jd\u00a0ü\x7f\a\r\n€\u0085\n"
	const want = "a[2Jb\tc2Jd\u00a0ü\n€\n"
	for size := 1; size <= len(said); size++ {
		var out bytes.Buffer
		w := &plainWriter{out: &out}
		for at := 0; at < len(said); at += size {
			piece := said[at:min(at+size, len(said))]
			if n, err := w.Write([]byte(piece)); n != len(piece) || err != nil {
				t.Fatalf("%d, %v", n, err)
			}
		}
		if out.String() != want {
			t.Errorf("by %d: %q, want %q", size, out.String(), want)
		}
	}
	if got := printable(said); got != "a[2Jb c2Jd\u00a0ü €" {
		t.Errorf("on a line: %q", got)
	}
}

func TestAPIPathOf(t *testing.T) {
	for text, want := range map[string]string{"me": "me", "/me": "me", "/.gate/api/v1/me?x=1": "me?x=1", "platform/users?q=a&limit=2": "platform/users?q=a&limit=2",
		"": "", "/": "", "https://example.com/me": "", "//example.com/me": "", "a#b": "", "me\n": "", "/.gate/api/v1": ""} {
		if got, err := apiPathOf(text); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}

func TestSignIns(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("XDG_CONFIG_HOME", home)
	t.Setenv("AppData", home)
	all, err := readSignIns()
	if err != nil || len(all.At) != 0 {
		t.Fatalf("%+v, %v", all, err)
	}
	find := func(at, want, says string) {
		t.Helper()
		if got, _, err := all.find(at); got != want || (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %q, %v, want %q and %q", at, got, err, want, says)
		}
	}
	const a, b, c = "https://a.example.com", "https://b.example.com:8443", "http://c.localhost"
	find("", "", "not signed in: caddy gate login")
	find(a, "", "not signed in to "+a)
	for _, at := range []string{a, b, c} {
		all.keep(at, signIn{Token: "of " + at})
	}
	if before := all.keep(b, signIn{Token: "new"}); before.Token != "of "+b {
		t.Errorf("before: %+v", before)
	}
	if err := all.write(); err != nil {
		t.Fatal(err)
	}
	if all, err = readSignIns(); err != nil || len(all.At) != 3 || all.At[b].Token != "new" {
		t.Fatalf("%+v, %v", all, err)
	}
	find("", b, "")
	find("A.example.com", a, "")
	find("https://a.example.com:443/", a, "")
	find("http://a.example.com", "", "write https")
	all.drop(b)
	find("", "", "several installations")
	find("c.localhost", c, "")
	all.keep(b, signIn{})
	all.drop(a)
	find("", b, "")
	all.drop(b)
	find("", c, "")
	all.drop(c)
	find("", "", "not signed in")

	name, err := signInsFile()
	if err != nil || !strings.HasPrefix(name, home) {
		t.Fatalf("%s, %v", name, err)
	}
	if err := os.WriteFile(name, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readSignIns(); err == nil || !strings.Contains(err.Error(), "delete it, and sign in again") {
		t.Errorf("a file that is broken: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(name), "*")); len(left) != 1 {
		t.Errorf("files: %v", left)
	}
}
