package authcore

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/gatehouse-auth/gatehouse/authcore/access"
)

// shownName is a name from elsewhere, if it can be one here.
func shownName(name string) string {
	if name = strings.TrimSpace(name); CheckName(name) != nil {
		return ""
	}
	return name
}

// usernameFor makes a username of what a provider says of somebody. After a try that
// found it taken it gives another one.
func usernameFor(w *Vouched, try int) string {
	local, _, _ := strings.Cut(w.Email, "@")
	base := "user"
	for _, text := range []string{w.Username, local, w.Name} {
		text, _, _ = strings.Cut(text, "@") // some are called by their address
		if name := asUsername(text); name != "" {
			base = name
			break
		}
	}
	if try == 0 {
		return base
	}
	suffix := fmt.Sprint("-", try+1)
	if try >= overtakenTries-2 {
		_, random := NewToken()
		suffix = "-" + random.Hex()[:6]
	}
	if CheckUsername(base+suffix) != nil { // a script from right to left takes no Latin letters after it
		base = "user"
	}
	return base + suffix
}

// asUsername keeps of a text what a username can have, and leaves room for a number.
func asUsername(text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsLetter(r), unicode.IsDigit(r), unicode.IsMark(r), strings.ContainsRune("._-+", r):
			return unicode.ToLower(r)
		case unicode.IsSpace(r):
			return '.'
		}
		return -1
	}, text)
	runes := []rune(strings.TrimLeft(text, "._-+"))
	name := string(runes[:min(len(runes), maxUsername-8)])
	if !access.ValidUsername(name) || slices.Contains(reservedNames, access.UsernameKey(name)) {
		return ""
	}
	return name
}

// reservedNames are those that people elsewhere may choose, and that look like somebody
// who runs the place.
var reservedNames = []string{"admin", "administrator", "root", "owner", "system", "gatehouse", "anonymous"}
