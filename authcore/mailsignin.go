package authcore

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"time"
)

// mailSignInLife is how long a link and a code to sign in with are good for.
const mailSignInLife = 15 * time.Minute

// MailSignInPath is where a link to sign in with leads, under the origin of the pages.
const MailSignInPath = "/.gate/mail/enter"

// The errors of signing in by mail.
var (
	ErrMailSignInOff = &Error{Kind: Forbidden, Code: "mail_sign_in_disabled", Message: "Nobody signs in by mail here."}
	ErrMailCodeWrong = &Error{Kind: Unauthenticated, Code: "code_wrong", Field: "code",
		Message: "This code is not right, or too old. Look for the newest message, or ask for another one."}
	ErrTooManyMailCodes = &Error{Kind: TooMany, Code: "too_many_attempts",
		Message: "There were too many wrong codes. Open the link in the message instead, in this browser, or try a code again in ten minutes."}
	ErrMailElsewhere = &Error{Kind: Forbidden, Code: "other_browser",
		Message: "Open this link in the browser in which you asked for it, or type the code from the message there."}
)

// MailSignIn is the end of a sign-in by mail.
type MailSignIn struct {
	Purpose Purpose // PurposeMailLink or PurposeMailCode
	Code    TokenHash
	Browser string // hash of the flow cookie
	Session Session
	Token   TokenHash
	Event   Event // of the session
	Waits   Event // where a second factor is asked for
}

// mailData is what is kept with a link and a code.
type mailData struct {
	State string // RecoveryState
	Way   string // where the person wanted to go, as the pages carry it along
}

// CanSignInByMail tells whether people can sign in by mail.
func (a *Accounts) CanSignInByMail() bool {
	return a.Mail != nil && a.Mail.Origin != "" && !a.Mail.NoSignIn
}

// AskMailSignIn has a link and a code to sign in with sent to an address, if that is the
// verified address of an active user, and gives what the code is to be shown with. Whether
// it is, is looked up later: neither the answer nor the time that it takes depends on it.
// Both are good in the browser that asks alone. way is where the person wants to go.
func (a *Accounts) AskMailSignIn(ctx context.Context, actor Actor, device Device, email, browser, way string) (ask string, err error) {
	switch email = strings.TrimSpace(email); {
	case !a.CanSignInByMail():
		return "", ErrMailSignInOff
	case email == "":
		return "", ErrEmailRequired
	}
	if err := CheckEmail(email); err != nil {
		return "", err
	}
	if err := a.admitMail(actor, MailAsk, email, a.knownAs(ctx, device, EmailKey(email), true)); err != nil {
		return "", err
	}
	ask = rand.Text()
	if !a.Mail.Later.Do(func(ctx context.Context) error { return a.sendSignIn(ctx, actor, email, ask, browser, way) }) {
		return "", ErrTooManyMails.After(time.Minute)
	}
	return ask, nil
}

// sendSignIn posts the link and the code where there is somebody to send them to.
func (a *Accounts) sendSignIn(ctx context.Context, actor Actor, email, ask, browser, way string) error {
	u, _, err := a.Store.UserByLogin(ctx, EmailKey(email), true)
	if ErrUserNotFound.is(err) {
		return nil
	}
	if err != nil {
		return err
	}
	why := ""
	switch {
	case u.Status != Active:
		why = "user is disabled"
	case !u.EmailVerified:
		why = "the address is not verified"
	}
	if why != "" {
		a.Audit.Record(a.event(actor, MailAsk, TargetUser(u.ID), Refused, why))
		return nil
	}
	since, err := a.Store.ProofSince(ctx, u.ID)
	if err != nil {
		return err
	}
	data, err := json.Marshal(mailData{RecoveryState(since, u.Email), way})
	if err != nil {
		return err
	}
	digits, err := rand.Int(rand.Reader, big.NewInt(1_000_000))
	if err != nil {
		return err
	}
	typed, now := fmt.Sprintf("%06d", digits), a.Now()
	token, hash := NewToken()
	link := Code{Hash: hash, Purpose: PurposeMailLink, User: u.ID, Browser: browser, Data: string(data), CreatedAt: now, ExpiresAt: now.Add(mailSignInLife)}
	code := link
	code.Hash, code.Purpose = mailCodeHash(ask, typed), PurposeMailCode
	post, err := a.letter(u.ID, Letter{Kind: MailCodes, To: u.Email, Username: u.Username, Origin: a.Mail.Origin,
		Link: Secret(a.Mail.Origin + MailSignInPath + "?token=" + token.Reveal()), Code: Secret(typed), Until: link.ExpiresAt})
	if err != nil {
		return err
	}
	post.Code = &link
	ev := a.event(actor, MailAsk, TargetUser(u.ID), Success, "a link and a code were sent")
	return a.Store.PostMail(ctx, &ev, post, Post{Code: &code})
}

// mailCodeHash hashes a typed code, which is good for one asking alone.
func mailCodeHash(ask, typed string) TokenHash {
	return HashToken("mail " + ask + " " + plainCode(typed))
}

// MailProof is what somebody presents to sign in by mail: a link, or a code with what
// AskMailSignIn gave.
type MailProof struct {
	Link          Secret
	Ask, Typed    string
	Email         string // that was asked for
	Browser, Host string
	Device        Device
}

// CheckMailLink gives the user of a link that would sign in, in the browser that asked:
// ErrCodeInvalid, ErrMailElsewhere. It uses nothing up.
func (a *Accounts) CheckMailLink(ctx context.Context, link Secret, browser string) (User, error) {
	if !a.CanSignInByMail() {
		return User{}, ErrMailSignInOff
	}
	code, err := a.Store.CodeOf(ctx, PurposeMailLink, HashToken(link.Reveal()), a.Now())
	if err != nil {
		return User{}, err
	}
	if code.Browser != browser {
		return User{}, ErrMailElsewhere
	}
	u, _, err := a.Store.UserByID(ctx, code.User)
	if ErrUserNotFound.is(err) || err == nil && u.Status != Active {
		err = ErrCodeInvalid
	}
	return u, err
}

// SignInByMail makes a session for whoever shows a link or a code from a message, and
// gives the way. ErrCodeInvalid or ErrMailCodeWrong, alike for all that is not good;
// ErrMailElsewhere; ErrTooManyAttempts; an AwaitsFactor where the user has a second factor.
func (a *Accounts) SignInByMail(ctx context.Context, actor Actor, in MailProof) (token Secret, s Session, way string, err error) {
	token, s, way, err = a.signInByMail(ctx, actor, in)
	a.Tally.signIn(err)
	return token, s, way, err
}

func (a *Accounts) signInByMail(ctx context.Context, actor Actor, in MailProof) (Secret, Session, string, error) {
	if !a.CanSignInByMail() {
		return "", Session{}, "", ErrMailSignInOff
	}
	cmd := MailSignIn{Purpose: PurposeMailLink, Code: HashToken(in.Link.Reveal()), Browser: in.Browser}
	wrong, limited := ErrCodeInvalid, ""
	if in.Link == "" {
		limited = in.Email
	}
	known := ""
	if limited != "" {
		known = a.knownAs(ctx, in.Device, EmailKey(limited), true)
	}
	giveBack, err := a.admitMailProof(actor, limited, known)
	if err != nil {
		return "", Session{}, "", err
	}
	if in.Link == "" {
		cmd.Purpose, cmd.Code, wrong = PurposeMailCode, mailCodeHash(in.Ask, in.Typed), ErrMailCodeWrong
	}
	code, err := a.Store.CodeOf(ctx, cmd.Purpose, cmd.Code, a.Now())
	var data mailData
	if err == nil {
		err = json.Unmarshal([]byte(code.Data), &data)
	}
	var token Secret
	var waits bool
	awaited := Awaited{User: code.User, First: FirstProof{Mail: data.State}, AMR: []string{"mail"}, Host: in.Host}
	if err == nil {
		cmd.Session, token, cmd.Token = a.newSession(actor, &awaited)
		by := Actor{Kind: ActorUser, User: code.User, Session: cmd.Session.ID, Client: actor.Client}
		cmd.Event = a.event(by, UserLogin, TargetUser(code.User), Success, "mail")
		cmd.Waits = a.event(actor, UserLogin, TargetUser(code.User), Refused, "mail: the second factor is asked for")
		waits, err = a.Store.SignInByMail(ctx, cmd)
	}
	switch {
	case err == nil && waits:
		giveBack()
		return "", Session{}, data.Way, &AwaitsFactor{awaited}
	case err == nil:
		giveBack()
		return token, cmd.Session, data.Way, nil
	case ErrCodeInvalid.is(err):
		if code.User == "" {
			a.refused(actor, UserLogin, "", "mail: "+coded(wrong))
		} else {
			a.Audit.Record(a.event(actor, UserLogin, TargetUser(code.User), Failure, "mail: "+coded(err)))
		}
		if in.Link != "" && code.User != "" && code.Browser != in.Browser {
			wrong = ErrMailElsewhere
		}
		return "", Session{}, "", wrong
	}
	giveBack()
	return "", Session{}, "", err
}

// admitMailProof takes one attempt from the limit of the client's address and, where it is
// at a code, from that of the mail address, known or not. Six digits are few, so that
// those are few too; a link cannot be guessed. A device that knows the user has some of
// its own.
func (a *Accounts) admitMailProof(actor Actor, email, device string) (giveBack func(), err error) {
	address, at := caller(actor).Address, EmailKey(email)
	if device != "" {
		at = device
	}
	if ok, after := a.ByAddress.Take(address); !ok {
		a.Tally.limited(byAddress)
		return nil, ErrTooManyAttempts.After(after)
	}
	if email == "" {
		return func() { a.ByAddress.GiveBack(address) }, nil
	}
	if ok, after := a.Mail.ByCode.Take(at); !ok {
		a.Tally.limited(byAccount)
		a.refused(actor, UserLogin, "", "many wrong codes from mails")
		return nil, ErrTooManyMailCodes.After(after)
	}
	return func() { a.ByAddress.GiveBack(address); a.Mail.ByCode.GiveBack(at) }, nil
}
