package access

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/secure/precis"
	"golang.org/x/text/unicode/norm"
)

// maxGroup is how many characters the name of a group can have.
const maxGroup = 64

// UsernameKey is the form in which usernames are compared and kept unique:
// PRECIS UsernameCaseMapped (RFC 8265 section 3.3), which folds case and width and
// normalises. It is empty for what can never be a username.
func UsernameKey(name string) string {
	key, err := precis.UsernameCaseMapped.String(name)
	if err != nil {
		return ""
	}
	return key
}

// ValidUsername tells whether a user can have a name: letters, digits and
// . _ - + that can go together, a letter or digit first, so that no program takes
// it for an option or a path.
func ValidUsername(name string) bool {
	first, _ := utf8.DecodeRuneInString(name)
	return (unicode.IsLetter(first) || unicode.IsDigit(first)) && consistsOf(name, "._-+", unicode.IsLetter, unicode.IsDigit, unicode.IsMark) &&
		UsernameKey(name) != ""
}

// ValidGroup tells whether a group can have a name: lower-case letters, digits
// and what is no delimiter in any header preset. Groups are compared as they are.
func ValidGroup(name string) bool {
	return name != "" && utf8.RuneCountInString(name) <= maxGroup &&
		consistsOf(name, "._-:/@", unicode.IsLetter, unicode.IsDigit) && !strings.ContainsFunc(name, unicode.IsUpper)
}

// FoldAddress is the form in which email addresses and their domains are
// compared: NFKC and case folding, to where both change nothing any more. Strictly
// only the domain is case-insensitive (RFC 5321 section 2.4), but no mail provider
// people use tells two such boxes apart.
func FoldAddress(s string) string {
	return norm.NFKC.String(cases.Fold().String(norm.NFKC.String(s)))
}

// consistsOf reports whether each rune of s is among extra or one of classes.
func consistsOf(s, extra string, classes ...func(rune) bool) bool {
	for _, r := range s {
		allowed := strings.ContainsRune(extra, r)
		for _, class := range classes {
			allowed = allowed || class(r)
		}
		if !allowed {
			return false
		}
	}
	return utf8.ValidString(s)
}
