package password

import (
	_ "embed"
	"fmt"
	"strings"
	"sync"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// Codes of a [WeakError]. They do not change.
const (
	CodeTooShort = "password_too_short"
	CodeTooLong  = "password_too_long"
	CodeCommon   = "password_common"
	CodePersonal = "password_personal"
	CodeBreached = "password_breached"
)

// Rules say which passwords may be set. There are none about kinds of
// characters: they make passwords harder to remember, not to guess (NIST SP
// 800-63B-4, section 3.1.1.2). A field of 0 or less means its default.
type Rules struct {
	// MinLength counts characters (runes, after NFC), where the password is all that is
	// asked for; MinWithFactor where a second factor is too.
	MinLength, MinWithFactor int
	// MaxBytes bounds the work of a password's first processing.
	MaxBytes int
	// Breached are passwords that are known from breaches; nil for none.
	Breached *Breached
}

// DefaultRules ask for 15 characters, for 8 beside a second factor, and for at most 1024
// bytes (NIST SP 800-63B-4, section 3.1.1.2).
var DefaultRules = Rules{MinLength: 15, MinWithFactor: 8, MaxBytes: 1024}

// WithFactor are the rules for somebody who is asked for a second factor too.
func (r Rules) WithFactor() Rules {
	if r.MinLength = r.MinWithFactor; r.MinLength <= 0 {
		r.MinLength = DefaultRules.MinWithFactor
	}
	return r
}

// WeakError says why a password was refused.
type WeakError struct {
	// Code is one of the Code constants, for programs.
	Code string
	// Message is a sentence for the person who chose the password.
	Message string
}

// Error returns code and message, never the password.
func (e *WeakError) Error() string { return e.Code + ": " + e.Message }

// Check returns nil when pw may be set, else a *[WeakError]; or the error of reading
// Breached. The context words
// are what an attacker would try first: the username, the email address (its
// part before the @ counts too), the name of the site. A password that is little
// more than those, one of the most common passwords, or one that is made of too little,
// is refused whatever the case of its letters.
func (r Rules) Check(pw string, context ...string) error {
	minLength, maxBytes := r.MinLength, r.MaxBytes
	if minLength <= 0 {
		minLength = DefaultRules.MinLength
	}
	if maxBytes <= 0 {
		maxBytes = DefaultRules.MaxBytes
	}
	if len(pw) > maxBytes {
		return &WeakError{CodeTooLong, fmt.Sprintf("Use at most %d bytes; a plain letter takes one.", maxBytes)}
	}
	pw = norm.NFC.String(pw)
	if utf8.RuneCountInString(pw) < minLength {
		return &WeakError{CodeTooShort, fmt.Sprintf("Use at least %d characters.", minLength)}
	}
	folded := fold(pw)
	if isPersonal(folded, context) {
		return &WeakError{CodePersonal, "Use something other than your name, your email address or the name of this site."}
	}
	if isCommon(folded) || guessable(folded) {
		return &WeakError{CodeCommon, "This password is one of the first that an attacker tries. Use another."}
	}
	if r.Breached != nil {
		if found, err := r.Breached.Has(pw); err != nil {
			return fmt.Errorf("breached passwords: %w", err)
		} else if found {
			return &WeakError{CodeBreached, "This password is known from a breach of another site. Use another, here and there."}
		}
	}
	return nil
}

// fold makes texts that differ only in case or composition equal.
func fold(s string) string {
	return norm.NFC.String(cases.Fold().String(s))
}

//go:embed common.txt
var commonText string

// common is the set of common passwords, folded, one a line in common.txt.
var common = sync.OnceValue(func() map[string]struct{} {
	set := make(map[string]struct{})
	for word := range strings.Lines(commonText) {
		if word = strings.TrimSpace(word); word != "" {
			set[fold(word)] = struct{}{}
		}
	}
	return set
})
