package authcore

import (
	"net/mail"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/gatehouse-auth/gatehouse/authcore/access"
)

// UserID is a UUIDv7 (RFC 9562 section 5.7) in its text form.
type UserID string

// NewUserID makes an id.
func NewUserID() UserID { return UserID(newID()) }

// newID makes an id. What is random in it is no secret, so it may be read ahead:
// an event then costs one allocation, and no call of the system.
func newID() string { return uuid.Must(uuid.NewV7()).String() }

func init() { uuid.EnableRandPool() }

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
	ID             UserID
	Username       string // as the person writes it; see UsernameKey
	Email          string // may be empty
	EmailVerified  bool   // somebody proved or vouched for the address
	Name           string // to show; may be empty
	Status         Status
	Owner          bool // platform owner
	FactorRequired bool // nothing opens without a second factor, by an operator's word
	// OrganizationOnly says that the user belongs to organizations, and not to the
	// installation: an organization's invitation made the account possible.
	OrganizationOnly bool
	DeleteAt         time.Time    // when the account will be deleted; zero for never
	Groups           []string     // sorted
	Memberships      []Membership // by slug; where a session is read, or FindUser was asked
	CreatedAt        time.Time
	UpdatedAt        time.Time
}

// NeedsFactor tells whether nothing opens to a user without a second factor: by an
// operator's word, or that of an organization.
func (u *User) NeedsFactor() bool {
	return u.FactorRequired || slices.ContainsFunc(u.Memberships, func(m Membership) bool { return m.FactorRequired && m.Status == OrganizationActive })
}

// InOrganizationsOnly tells whether policies let the user in by an organization alone: it
// is marked so, and not a platform owner.
func (u *User) InOrganizationsOnly() bool { return u.OrganizationOnly && !u.Owner }

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
	maxLogin    = 512 // bytes: the longest username or address, decomposed
)

// UsernameKey is the form in which usernames are compared and kept unique, of
// what a person typed. It is empty for what can never be a username.
func UsernameKey(username string) string { return access.UsernameKey(strings.TrimSpace(username)) }

// EmailKey is the form in which addresses are compared and kept unique.
func EmailKey(email string) string { return strings.TrimSpace(access.FoldAddress(email)) }

// LoginKey is the key for what a person typed to sign in, and whether it is
// an email address. Usernames never hold an @, so the two cannot be confused. It
// is empty for what nobody can be called, and what no database takes as text.
func LoginKey(login string) (key string, isEmail bool) {
	if len(login) > maxLogin || !utf8.ValidString(login) || strings.ContainsRune(login, 0) {
		return "", false
	}
	if strings.Contains(login, "@") {
		return EmailKey(login), true
	}
	return UsernameKey(login), false
}

// CheckUsername refuses names that cannot be told apart, put in a header or
// typed: see access.ValidUsername. They have at most 64 characters.
func CheckUsername(username string) error {
	bad := func(msg string) error {
		return &Error{Kind: Invalid, Code: "username_invalid", Field: "username", Message: msg}
	}
	switch n := utf8.RuneCountInString(username); {
	case n == 0:
		return bad("Please choose a username.")
	case n > maxUsername:
		return bad("A username can have 64 characters at most.")
	case !access.ValidUsername(username):
		return bad("A username can have letters, digits and . _ - + only, and begins with a letter or a digit.")
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
	if key := EmailKey(email); len(key) > maxEmail || strings.Count(key, "@") != 1 || strings.ContainsFunc(key, unicode.IsSpace) || strings.ContainsAny(key, notInEmail) {
		return bad // folding makes another address of it
	}
	a, err := mail.ParseAddress(email)
	if strings.ToLower(email) != access.FoldAddress(email) { // another domain, or another mailbox, may have the other form
		return &Error{Kind: Invalid, Code: "email_invalid", Field: "email",
			Message: "This address has letters that can be written in another way too, such as ß for ss. Please give another address."}
	}
	if err != nil || a.Address != email || a.Name != "" || strings.ContainsAny(email, notInEmail) {
		return bad
	}
	return nil
}

// notInEmail separates addresses, puts a name to one, or makes a domain of an IP address.
const notInEmail = " \"<>,;["

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
	if !access.ValidGroup(group) {
		return bad
	}
	return nil
}

// hasControl finds control and format characters: they would break a header
// line, or turn the direction of the text around them.
func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) })
}
