package api

import (
	"net/http"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// Invitation is the offer to join an organization.
type Invitation struct {
	ID        authcore.InvitationID `json:"id"`
	Email     string                `json:"email" doc:"for whom it is; empty for whoever has the link"`
	Role      authcore.Role         `json:"role"`
	CreatedBy authcore.UserID       `json:"created_by" doc:"empty for the command line"`
	CreatedAt time.Time             `json:"created_at"`
	ExpiresAt time.Time             `json:"expires_at"`
}

// NewInvitation is what an invitation is made of.
type NewInvitation struct {
	Email string        `json:"email,omitempty" doc:"to which it is sent; without one, the answer has a link to hand on"`
	Role  authcore.Role `json:"role"`
}

// InvitationMade is an invitation just made.
type InvitationMade struct {
	Invitation
	Link string `json:"link,omitempty" doc:"to hand on; it is not shown again"`
}

// InvitationToken is what the link of an invitation has as token.
type InvitationToken struct {
	Token string `json:"token"`
}

// Offer is an invitation as it is shown to whom it is for.
type Offer struct {
	Organization string        `json:"organization" doc:"its slug"`
	Name         string        `json:"name" doc:"of the organization"`
	Email        string        `json:"email" doc:"whose user alone may accept; empty for whoever has the link"`
	Role         authcore.Role `json:"role"`
	RoleName     string        `json:"role_name"`
	ExpiresAt    time.Time     `json:"expires_at"`
}

func invitationOf(i *authcore.Invitation) Invitation {
	return Invitation{ID: i.ID, Email: i.Email, Role: i.Role, CreatedBy: i.CreatedBy, CreatedAt: i.CreatedAt, ExpiresAt: i.ExpiresAt}
}

func offerOf(o *authcore.Offer) Offer {
	return Offer{Organization: o.Slug, Name: o.Name, Email: o.Email, Role: o.Role, RoleName: o.RoleName, ExpiresAt: o.ExpiresAt}
}

// invitationRoutes are about invitations to organizations: for those who make them, and
// for those who get them. A token is in the body, for addresses come into logs.
var invitationRoutes = []Route{
	{Method: http.MethodGet, Path: "/organizations/{slug}/invitations", ID: "listInvitations", Summary: "Invitations that wait", Realm: Organization, Need: authcore.MembersManage, Orders: authcore.InvitationOrders,
		Do: list(func(c *Call) (Page[Invitation], error) {
			found, err := c.Accounts.Invitations(c.Ctx, c.Actor, c.Slug(), c.page())
			return cut(c, found, func(i authcore.Invitation) string { return string(i.ID) }, invitationOf), err
		})},
	{Method: http.MethodPost, Path: "/organizations/{slug}/invitations", ID: "createInvitation", Summary: "Invite somebody, by mail or with a link", Realm: Organization, Need: authcore.MembersManage, Creates: true,
		Do: with(func(c *Call, in NewInvitation) (InvitationMade, error) {
			link, i, err := c.Accounts.InviteMember(c.Ctx, c.Actor, c.Slug(), authcore.NewInvitation{Email: in.Email, Role: in.Role, Origin: c.Origin})
			return InvitationMade{Invitation: invitationOf(&i), Link: link.Reveal()}, err
		})},
	{Method: http.MethodDelete, Path: "/organizations/{slug}/invitations/{id}", ID: "revokeInvitation", Summary: "Take an invitation back", Realm: Organization, Need: authcore.MembersManage,
		Do: do(func(c *Call) error {
			return c.Accounts.RevokeInvitation(c.Ctx, c.Actor, c.Slug(), authcore.InvitationID(c.Place("id")))
		})},
	{Method: http.MethodPost, Path: "/invitations/look", ID: "lookAtInvitation", Summary: "What an invitation offers; it stays", Realm: Everybody, Scope: ScopeAccountView, InPerson: true,
		Do: with(func(c *Call, in InvitationToken) (Offer, error) {
			o, err := c.Accounts.InvitationBy(c.Ctx, authcore.Secret(in.Token))
			return offerOf(&o), err
		})},
	{Method: http.MethodPost, Path: "/invitations/accept", ID: "acceptInvitation", Summary: "Join the organization", Realm: Everybody, Scope: ScopeAccountManage, InPerson: true,
		Do: with(func(c *Call, in InvitationToken) (Offer, error) {
			o, err := c.Accounts.AcceptInvitation(c.Ctx, c.Actor, authcore.Secret(in.Token))
			return offerOf(&o), err
		})},
	{Method: http.MethodPost, Path: "/invitations/decline", ID: "declineInvitation", Summary: "Turn an invitation down", Realm: Everybody, Scope: ScopeAccountManage, InPerson: true,
		Do: take(func(c *Call, in InvitationToken) error {
			return c.Accounts.DeclineInvitation(c.Ctx, c.Actor, authcore.Secret(in.Token))
		})},
}
