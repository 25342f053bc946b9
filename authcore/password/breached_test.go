package password

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The SHA-1 of "password" is 5BAA6 1E4C9B93F3F0682250B6CF8331B7EE68FD8, that of
// "correct horse battery staple" ABF7A AD6438836DBE526AA231ABDE2D0EEF74D42.
func TestBreached(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := OpenBreached(dir); err == nil || !strings.Contains(err.Error(), "five hex digits") {
		t.Errorf("an empty folder: %v", err)
	}
	if _, err := OpenBreached(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenBreached(file); err == nil || strings.Contains(err.Error(), "five hex digits") {
		t.Errorf("no folder, but a file: %v", err)
	}
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("readme", "x")
	write("5BAA6.txt", "0018A45C4D1DEF81644B54AB7F969B88D65:1\r\n1E4C9B93F3F0682250B6CF8331B7EE68FD8:10434004\r\n")
	write("abf7a", "AD6438836DBE526AA231ABDE2D0EEF74D42:0\n")
	b, err := OpenBreached(dir)
	if err != nil {
		t.Fatal(err)
	}
	for pw, want := range map[string]bool{"password": true, "Password": false, "correct horse battery staple": false, "": false} {
		if got, err := b.Has(pw); got != want || err != nil {
			t.Errorf("%q: %v %v", pw, got, err)
		}
	}
	write("abf7a", "ad6438836dbe526aa231abde2d0eef74d42:3")
	rules := Rules{Breached: b, MinLength: 4}
	var weak *WeakError
	if err := rules.Check("correct horse battery staple"); !errors.As(err, &weak) || weak.Code != CodeBreached {
		t.Errorf("%v", err)
	}
	write("5BAA6.txt", strings.Repeat("x", 1<<20))
	if _, err := b.Has("password"); err == nil {
		t.Error("a file that is no list")
	}
}
