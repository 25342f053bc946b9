package authcore

import (
	"context"
	"strings"
	"time"
)

// InvitationID is a UUIDv7 in its text form. It is not a secret: the token is.
type InvitationID string

// Invitation is the offer to join an organization with a role. Only the hash of its token
// is stored, and it is deleted by the command that takes it up.
type Invitation struct {
	ID           InvitationID
	Organization OrganizationID
	Email        string // whose user alone may accept, verified; empty: whoever has the link
	Role         Role
	CreatedBy    UserID // empty for the command line
	CreatedAt    time.Time
	ExpiresAt    time.Time
}

// Offer is an invitation with what whoever has its token is shown.
type Offer struct {
	Invitation
	Slug, Name string // of the organization
	RoleName   string
}

// of is the organization, as far as an offer tells.
func (o *Offer) of() Organization {
	return Organization{ID: o.Organization, Slug: o.Slug, Name: o.Name}
}

// The bounds of invitations.
const (
	InvitationLife = 7 * 24 * time.Hour
	MaxInvitations = 100 // of an organization, that wait
)

// InvitationPath is where the link of an invitation leads, under the origin of the pages.
const InvitationPath = "/.gate/invitation"

// InvitationStore keeps invitations. Every method that changes something is one
// transaction that writes its event along, and locks the organization.
type InvitationStore interface {
	// CreateInvitation adds an invitation, in the place of one that waits for the same
	// address: ErrOrganizationNotFound, ErrRoleNotFound, ErrTooManyInvitations. post is the
	// message, and the code that lets a newcomer register, by the same hash.
	CreateInvitation(ctx context.Context, i Invitation, token TokenHash, ev Event, post ...Post) error
	// Invitations lists those of an organization that have not ended.
	Invitations(ctx context.Context, id OrganizationID, now time.Time, q ListQuery) ([]Invitation, error)
	// InvitationByID finds one of an organization, or returns ErrInvitationNotFound.
	InvitationByID(ctx context.Context, id OrganizationID, of InvitationID) (Invitation, error)
	// InvitationByHash finds one that has not ended, of an active organization, or returns
	// ErrInvitationInvalid.
	InvitationByHash(ctx context.Context, token TokenHash, now time.Time) (Offer, error)
	// DeleteInvitation deletes one, or returns ErrInvitationNotFound.
	DeleteInvitation(ctx context.Context, i Invitation, ev Event) error
	// AcceptInvitation uses an invitation up and makes the user a member: once, and where
	// the invitation is for an address, for the active user who has verified it.
	// ErrInvitationInvalid, ErrInvitationAddress, ErrAlreadyMember, ErrBarred,
	// ErrMemberLimit.
	AcceptInvitation(ctx context.Context, i Invitation, user UserID, ev Event) error
}

// The errors of invitations.
var (
	ErrInvitationInvalid  = &Error{Kind: Forbidden, Code: "invitation_invalid", Message: "This invitation was used or taken back, or is too old. Ask for a new one."}
	ErrInvitationNotFound = &Error{Kind: NotFound, Code: "invitation_not_found", Message: "There is no such invitation. It may have been used."}
	ErrInvitationAddress  = &Error{Kind: Forbidden, Code: "invitation_address", Message: "This invitation is for another address. Sign in as its user, or verify the address on your account page first."}
	ErrTooManyInvitations = &Error{Kind: Conflict, Code: "too_many_invitations", Message: "The organization has as many invitations that wait as it can have. Take one back first."}
)

// NewInvitation is what an invitation is made of.
type NewInvitation struct {
	Email  string // to which it is sent; empty for a link
	Role   Role
	Origin string // of the pages, for the link
}

// InviteMember offers somebody a place in an organization, for 7 days: by mail to an
// address, or with a link that is given once, to be handed on. A role that allows more
// than the actor's is not theirs to give: ErrBeyondOwn. ErrInviteMailOff, ErrTooManyMails,
// ErrTooManyInvitations.
func (a *Accounts) InviteMember(ctx context.Context, actor Actor, slug string, n NewInvitation) (link Secret, i Invitation, err error) {
	if err := actor.inPerson(); err != nil {
		return "", Invitation{}, err
	}
	s, err := a.authorized(ctx, actor, slug, MembersManage)
	if err != nil {
		return "", i, err
	}
	o := s.Organization
	n.Email = strings.TrimSpace(n.Email)
	if o.Status != OrganizationActive { // nobody could accept
		return "", i, ErrOrganizationState
	}
	if err := a.mayTouch(ctx, &s, n.Role); err != nil {
		return "", i, err
	}
	if err := a.mayInvite(actor, n.Email); err != nil {
		return "", i, err
	}
	token, hash := NewToken()
	now := a.Now()
	i = Invitation{ID: InvitationID(newID()), Organization: o.ID, Email: n.Email, Role: n.Role, CreatedBy: actor.User, CreatedAt: now, ExpiresAt: now.Add(InvitationLife)}
	link = Secret(n.Origin + InvitationPath + "?token=" + token.Reveal())
	post, err := a.invitationPost(i, o, hash, n.Origin, link)
	if err != nil {
		return "", i, err
	}
	details := string(i.Role) + ", by link"
	if n.Email != "" {
		link, details = "", string(i.Role)+", by mail"
	}
	if err := a.Store.CreateInvitation(ctx, i, hash, a.eventIn(o, actor, InvitationCreate, details), post); err != nil {
		return "", Invitation{}, err
	}
	return link, i, nil
}

// mayInvite refuses an address to which no invitation can be sent, or not now.
func (a *Accounts) mayInvite(actor Actor, email string) error {
	if email == "" {
		return nil
	}
	if err := CheckEmail(email); err != nil {
		return err
	}
	if a.Mail == nil {
		return ErrInviteMailOff
	}
	if actor.Kind == ActorCommand {
		return nil
	}
	return a.admitMail(actor, InvitationCreate, email, "")
}

// invitationPost is the message of an invitation, where it has an address, and the code
// with which a newcomer may register where that needs one. What was sent to an address
// verifies it: nobody else has the link.
func (a *Accounts) invitationPost(i Invitation, o Organization, hash TokenHash, origin string, link Secret) (Post, error) {
	var post Post
	if i.Email != "" {
		var err error
		if post, err = a.letter("", Letter{Kind: MailOrganization, To: i.Email, Origin: origin, Link: link, Until: i.ExpiresAt, Organization: o.Name, Role: string(i.Role)}); err != nil {
			return post, err
		}
	}
	if a.Invites {
		post.Code = &Code{Hash: hash, Purpose: PurposeInvite, Data: i.Email, CreatedAt: i.CreatedAt, ExpiresAt: i.ExpiresAt}
	}
	return post, nil
}

// Invitations lists the invitations of an organization that wait, as InvitationStore does.
func (a *Accounts) Invitations(ctx context.Context, actor Actor, slug string, q ListQuery) ([]Invitation, error) {
	o, err := a.authorize(ctx, actor, slug, MembersManage)
	if err != nil {
		return nil, err
	}
	return a.Store.Invitations(ctx, o.ID, a.Now(), q)
}

// RevokeInvitation takes an invitation back: not one to a role that allows more than the
// actor's. ErrInvitationNotFound.
func (a *Accounts) RevokeInvitation(ctx context.Context, actor Actor, slug string, id InvitationID) error {
	s, err := a.authorized(ctx, actor, slug, MembersManage)
	if err != nil {
		return err
	}
	i, err := a.Store.InvitationByID(ctx, s.Organization.ID, id)
	if err != nil {
		return err
	}
	if err := a.mayTouch(ctx, &s, i.Role); err != nil && !ErrRoleNotFound.is(err) {
		return err
	}
	return a.Store.DeleteInvitation(ctx, i, a.eventIn(s.Organization, actor, InvitationRevoke, string(i.Role)))
}

// InvitationBy tells whoever has the token of an invitation what it offers, or returns
// ErrInvitationInvalid. It uses nothing up. Whoever has no account may register with the
// same token, where that needs an invitation.
func (a *Accounts) InvitationBy(ctx context.Context, token Secret) (Offer, error) {
	if !PlausibleToken(token.Reveal()) {
		return Offer{}, ErrInvitationInvalid
	}
	o, err := a.Store.InvitationByHash(ctx, HashToken(token.Reveal()), a.Now())
	if err != nil {
		return Offer{}, err
	}
	if o.RoleName = string(o.Role); !o.Role.BuiltIn() {
		r, err := a.Store.RoleBySlug(ctx, o.Organization, o.Role)
		if err != nil && !ErrRoleNotFound.is(err) {
			return Offer{}, err
		}
		if err == nil {
			o.RoleName = r.Name
		}
	}
	return o, nil
}

// AcceptInvitation makes the signed-in user who acts a member. ErrNoSession,
// ErrInvitationInvalid, ErrInvitationAddress, ErrAlreadyMember, ErrBarred, ErrMemberLimit.
func (a *Accounts) AcceptInvitation(ctx context.Context, actor Actor, token Secret) (Offer, error) {
	if err := actor.inPerson(); err != nil {
		return Offer{}, err
	}
	o, err := a.offered(ctx, actor, token)
	if err != nil {
		return o, err
	}
	if err := a.Store.AcceptInvitation(ctx, o.Invitation, actor.User, a.eventIn(o.of(), actor, InvitationAccept, string(o.Role))); err != nil {
		return o, err
	}
	a.changed(ChangeUser, string(actor.User))
	return o, nil
}

// DeclineInvitation deletes an invitation by the word of whom it is for.
// ErrNoSession, ErrInvitationInvalid, ErrInvitationAddress.
func (a *Accounts) DeclineInvitation(ctx context.Context, actor Actor, token Secret) error {
	if err := actor.inPerson(); err != nil {
		return err
	}
	o, err := a.offered(ctx, actor, token)
	if err != nil {
		return err
	}
	u, _, err := a.Store.UserByID(ctx, actor.User)
	if err != nil {
		return err
	}
	if o.Email != "" && (!u.EmailVerified || EmailKey(u.Email) != EmailKey(o.Email)) {
		return ErrInvitationAddress
	}
	err = a.Store.DeleteInvitation(ctx, o.Invitation, a.eventIn(o.of(), actor, InvitationDecline, string(o.Role)))
	if ErrInvitationNotFound.is(err) {
		err = ErrInvitationInvalid
	}
	return err
}

// offered is InvitationBy for somebody who is signed in. An access token is not: it joins
// nothing.
func (a *Accounts) offered(ctx context.Context, actor Actor, token Secret) (Offer, error) {
	if actor.Kind != ActorUser || actor.User == "" {
		return Offer{}, ErrNoSession
	}
	return a.InvitationBy(ctx, token)
}
