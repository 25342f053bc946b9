package authcore

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/gatehouse-auth/gatehouse/authcore/limit"
)

// MailKind says what a message is about. It names the templates of the message.
type MailKind string

// The kinds of message.
const (
	MailTest     MailKind = "test"     // what the doctor sends
	MailRecover  MailKind = "recover"  // a link to choose a new password
	MailPassword MailKind = "password" // the password was changed
	MailVerify   MailKind = "verify"   // a link that proves an address
	MailCodes    MailKind = "sign-in"  // a link and a code to sign in with
	// The address that is in force is told: another one was given, or has taken its place.
	MailAddressAsked MailKind = "address-asked"
	MailAddress      MailKind = "address"
	MailLinked       MailKind = "linked"       // a provider was linked
	MailUnlinked     MailKind = "unlinked"     // or unlinked
	MailInvite       MailKind = "invite"       // a link to make an account
	MailOrganization MailKind = "organization" // an invitation to join one
	MailFactorSet    MailKind = "factor"       // a second factor was set up
	MailFactorGone   MailKind = "unfactor"     // or removed
	MailDeleting     MailKind = "deleting"     // the account will be deleted
	MailDeleted      MailKind = "deleted"      // or was
	MailNewDevice    MailKind = "device"       // a sign-in in a browser that is new
	MailPasskeySet   MailKind = "passkey"
	MailPasskeyGone  MailKind = "unpasskey"
	MailPasswordGone MailKind = "unpassword"
	MailToken        MailKind = "token"    // an access token was made
	MailWebhook      MailKind = "webhook"  // it was disabled
	MailActedAs      MailKind = "acted-as" // a platform owner acts as the user
)

// MailKinds are all of them.
var MailKinds = []MailKind{MailTest, MailRecover, MailPassword, MailVerify, MailCodes, MailAddressAsked, MailAddress, MailLinked, MailUnlinked, MailInvite, MailOrganization, MailFactorSet, MailFactorGone,
	MailDeleting, MailDeleted, MailNewDevice, MailPasskeySet, MailPasskeyGone, MailPasswordGone, MailToken, MailWebhook, MailActedAs}

// MailLife is how long a message is tried to be sent.
const MailLife = 48 * time.Hour

// Mailing is what the accounts need to send mail.
type Mailing struct {
	Sealer    *Sealer        // of what waits
	ByMailbox *limit.Limiter // messages that strangers can cause, per address
	Later     *Later
	Origin    string         // of the pages, for messages that no page has caused; may be empty
	ByCode    *limit.Limiter // wrong codes to sign in with, per address
	NoSignIn  bool           // nobody signs in by mail
}

// letter makes a letter of a user a message.
func (a *Accounts) letter(user UserID, l Letter) (Post, error) {
	m, err := SealLetter(a.Mail.Sealer, a.Now(), user, l)
	return Post{Mail: m}, err
}

// tell makes a message to a user of what was done to the account: where mail is sent,
// and the user has an address that is verified.
func (a *Accounts) tell(ctx context.Context, u User, l Letter) ([]Post, error) {
	if a.Mail == nil || !u.EmailVerified || u.Status != Active {
		return nil, nil
	}
	l.To, l.Username, l.Origin = u.Email, u.Username, a.Mail.Origin
	var code *Code
	switch l.Kind {
	case MailAddress, MailAddressAsked: // those go to an address that the user gives up
	case MailActedAs: // "it wasn't me" is known already
	default:
		var err error
		if code, err = a.disown(ctx, u, &l); err != nil {
			return nil, err
		}
	}
	post, err := a.letter(u.ID, l)
	post.Code = code
	return []Post{post}, err
}

// tellOf is tell for a user by the id.
func (a *Accounts) tellOf(ctx context.Context, user UserID, l Letter) ([]Post, error) {
	if a.Mail == nil {
		return nil, nil
	}
	u, _, err := a.Store.UserByID(ctx, user)
	if err != nil {
		return nil, err
	}
	return a.tell(ctx, u, l)
}

// mayMail takes one message from the limit of what strangers can cause at a mail
// address, known or not.
func (a *Accounts) mayMail(action Action, email string) bool {
	ok, _ := a.Mail.ByMailbox.Take(mailbox(action, email))
	return ok
}

func mailbox(action Action, email string) string { return string(action) + " " + EmailKey(email) }

// admitMail takes an attempt from the limit of the client's address, and one from that
// of what strangers can cause at a mail address, known or not.
// A device that knows the user has messages of its own: strangers do not use them up.
func (a *Accounts) admitMail(actor Actor, action Action, email, device string) error {
	ok, after := a.ByAddress.Take(caller(actor).Address)
	if ok && device != "" {
		ok, after = a.Mail.ByMailbox.Take(mailbox(action, email) + " " + device)
	} else if ok {
		ok, after = a.Mail.ByMailbox.Take(mailbox(action, email))
	}
	if !ok {
		a.refused(actor, action, TargetUser(actor.User), "too many attempts")
		return ErrTooManyMails.After(after)
	}
	return nil
}

// MailID is a UUIDv7 in its text form.
type MailID string

// Letter is what a message says, and to whom. Every text in it but Origin may be of
// somebody's choice.
type Letter struct {
	Kind     MailKind
	To       string // the address
	Username string
	Origin   string    // of the pages, e.g. https://auth.example.com; may be empty
	Link     Secret    `json:"-"` // with a one-time code; may be empty
	Code     Secret    `json:"-"` // to type; may be empty
	Until    time.Time // when the link ends
	Address  string    // another address that the message is about
	Provider string
	// Of an invitation: the name of the organization, and the role.
	Organization, Role string
	Since              time.Time `json:"-"` // ProofSince after what the message tells of, where that sets a password
	Webhook            string    // a name
	Token              string    // what an access token is called
	Reason             string
	Undo               string `json:"-"` // what "it wasn't me" takes away: passkey ID, or identity ID
	// Of a sign-in: the browser, the client's address and the time.
	Agent, From string
	At          time.Time
}

// sealedLetter is a letter as it is sealed.
type sealedLetter struct {
	Letter
	Link, Code string
}

// Mail is a message as it waits in the database. What it says is sealed, because it
// may hold a link that lets somebody in.
type Mail struct {
	ID               MailID
	Kind             MailKind
	User             UserID // who it is about; may be empty
	Sealed           string
	Tries            int // how often somebody began to send it
	CreatedAt, DueAt time.Time
}

// Post is what a command puts into the mail, in its own transaction: a message, and
// the code of the link in it. A code of a user takes the place of those before it that
// have its purpose. Either may be missing.
type Post struct {
	Mail Mail
	Code *Code
}

// SealLetter makes a letter a message that is due at once.
func SealLetter(sealer *Sealer, now time.Time, user UserID, l Letter) (Mail, error) {
	text, err := json.Marshal(sealedLetter{Letter: l, Link: l.Link.Reveal(), Code: l.Code.Reveal()})
	if err != nil {
		return Mail{}, err
	}
	return Mail{ID: MailID(uuid.Must(uuid.NewV7()).String()), Kind: l.Kind, User: user, Sealed: sealer.Seal(text), CreatedAt: now, DueAt: now}, nil
}

// OpenLetter gives what a message says.
func OpenLetter(sealer *Sealer, m Mail) (Letter, error) {
	text, err := sealer.Open(m.Sealed, 2*MailLife)
	if err != nil {
		return Letter{}, fmt.Errorf("what the message says: %w", err)
	}
	var l sealedLetter
	if err := json.Unmarshal(text, &l); err != nil {
		return Letter{}, fmt.Errorf("what the message says: %w", err)
	}
	l.Letter.Link, l.Letter.Code = Secret(l.Link), Secret(l.Code)
	return l.Letter, nil
}

// TargetMail is the target text for a message: the user whom it is about, or itself.
func TargetMail(m Mail) string {
	if m.User != "" {
		return TargetUser(m.User)
	}
	return "mail:" + string(m.ID)
}
