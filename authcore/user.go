package authcore

import (
	"net/mail"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
	"golang.org/x/text/cases"
	"golang.org/x/text/secure/precis"
	"golang.org/x/text/unicode/norm"
)

// UserID is a UUIDv7 (RFC 9562 section 5.7) in its text form.
type UserID string

// NewUserID makes an id.
func NewUserID() UserID { return UserID(newID()) }

func newID() string { return uuid.Must(uuid.NewV7()).String() }

// Status tells whether a user may sign in.
type Status string

// The states of a user.
const (
	Active   Status = "active"
	Disabled Status = "disabled"
)

// Validate refuses what is no status.
func (s Status) Validate() error {
	if s != Active && s != Disabled {
		return &Error{Kind: Invalid, Code: "status_invalid", Message: "A user is active or disabled."}
	}
	return nil
}

// User is a person.
type User struct {
	ID            UserID
	Username      string // as the person writes it; see UsernameKey
	Email         string // may be empty
	EmailVerified bool   // somebody proved or vouched for the address
	Name          string // to show; may be empty
	Status        Status
	Owner         bool     // platform owner
	Groups        []string // sorted
	CreatedAt     time.Time
	UpdatedAt     time.Time
}

// DisplayName is the name to show: the name, or the username where there is none.
func (u *User) DisplayName() string {
	if u.Name != "" {
		return u.Name
	}
	return u.Username
}

// EmailDomain is the domain of a verified address in lower case, else empty:
// rules about domains believe verified addresses only.
func (u *User) EmailDomain() string {
	if !u.EmailVerified {
		return ""
	}
	_, domain, _ := strings.Cut(EmailKey(u.Email), "@")
	return domain
}

// The bounds of what people type.
const (
	maxUsername = 64  // characters
	maxName     = 128 // characters
	maxEmail    = 254 // bytes, RFC 5321 section 4.5.3.1.3
	maxGroup    = 64  // characters
	maxLogin    = 512 // bytes: the longest username or address, decomposed
)

// UsernameKey is the form in which usernames are compared and kept unique:
// PRECIS UsernameCaseMapped (RFC 8265 section 3.3), which folds case and width and
// normalises. It is empty for what can never be a username.
func UsernameKey(username string) string {
	key, err := precis.UsernameCaseMapped.String(strings.TrimSpace(username))
	if err != nil {
		return ""
	}
	return key
}

// EmailKey is the form in which addresses are compared and kept unique: NFKC
// and case folding, to where both change nothing any more. Strictly only the domain is case-insensitive (RFC 5321
// section 2.4), but no mail provider people use tells two such boxes apart.
func EmailKey(email string) string {
	return strings.TrimSpace(norm.NFKC.String(cases.Fold().String(norm.NFKC.String(email))))
}

// LoginKey is the key for what a person typed to sign in, and whether it is
// an email address. Usernames never hold an @, so the two cannot be confused.
func LoginKey(login string) (key string, isEmail bool) {
	if len(login) > maxLogin {
		return "", false // nobody's, and not worth folding
	}
	if strings.Contains(login, "@") {
		return EmailKey(login), true
	}
	return UsernameKey(login), false
}

// CheckUsername refuses names that cannot be told apart, put in a header or
// typed: letters, digits and . _ - + only, at most 64 characters, a letter or
// digit first, so that no program takes a name for an option or a path.
func CheckUsername(username string) error {
	bad := func(msg string) error {
		return &Error{Kind: Invalid, Code: "username_invalid", Field: "username", Message: msg}
	}
	switch n := utf8.RuneCountInString(username); {
	case n == 0:
		return bad("Please choose a username.")
	case n > maxUsername:
		return bad("A username can have 64 characters at most.")
	}
	for _, r := range username {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) && !strings.ContainsRune("._-+", r) {
			return bad("A username can have letters, digits and . _ - + only.")
		}
	}
	if first, _ := utf8.DecodeRuneInString(username); !unicode.IsLetter(first) && !unicode.IsDigit(first) {
		return bad("A username begins with a letter or a digit.")
	}
	if UsernameKey(username) == "" {
		return bad("This username mixes characters that cannot go together.")
	}
	return nil
}

// CheckEmail accepts a plain address (RFC 5322 addr-spec) and the empty one.
func CheckEmail(email string) error {
	if email == "" {
		return nil
	}
	bad := &Error{Kind: Invalid, Code: "email_invalid", Field: "email",
		Message: "This does not look like an email address."}
	if len(email) > maxEmail || hasControl(email) || !utf8.ValidString(email) {
		return bad
	}
	if key := EmailKey(email); strings.Count(key, "@") != 1 || strings.ContainsFunc(key, unicode.IsSpace) {
		return bad // folding makes another address of it
	}
	a, err := mail.ParseAddress(email)
	if err != nil || a.Address != email || a.Name != "" || strings.ContainsAny(email, " \"<>,;") {
		return bad
	}
	return nil
}

// CheckName accepts any text of at most 128 characters without control
// characters: names are shown and sent in headers.
func CheckName(name string) error {
	if utf8.RuneCountInString(name) > maxName || hasControl(name) || !utf8.ValidString(name) {
		return &Error{Kind: Invalid, Code: "name_invalid", Field: "name",
			Message: "A name can have 128 characters at most, and no control characters."}
	}
	return nil
}

// CheckGroup refuses names that hold a delimiter of any header preset.
func CheckGroup(group string) error {
	bad := &Error{Kind: Invalid, Code: "group_invalid", Field: "group",
		Message: "A group name can have up to 64 lower-case letters, digits and . _ - : / @ only."}
	if group == "" || utf8.RuneCountInString(group) > maxGroup {
		return bad
	}
	for _, r := range group {
		if !(unicode.IsLetter(r) && !unicode.IsUpper(r)) && !unicode.IsDigit(r) && !strings.ContainsRune("._-:/@", r) {
			return bad
		}
	}
	return nil
}

// hasControl finds control and format characters: they would break a header
// line, or turn the direction of the text around them.
func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) })
}
