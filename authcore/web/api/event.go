package api

import (
	"net/http"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// Event is one record of the audit log.
type Event struct {
	ID      string           `json:"id"`
	Time    time.Time        `json:"time"`
	Action  authcore.Action  `json:"action"`
	Target  string           `json:"target" doc:"what it was done to, as kind:id"`
	Outcome authcore.Outcome `json:"outcome" enum:"success failure refused"`
	Details string           `json:"details"`
	// OrganizationID is that of an event about an organization.
	OrganizationID authcore.OrganizationID `json:"organization_id" doc:"the organization that it is about; empty for none"`
	ActorKind      authcore.ActorKind      `json:"actor_kind" enum:"anonymous user token service command system"`
	ActorID        authcore.UserID         `json:"actor_id" doc:"the user; empty for nobody"`
	ActID          authcore.UserID         `json:"act_id" doc:"the platform owner who acted as the user; empty for nobody"`
	SessionID      authcore.SessionID      `json:"session_id" doc:"the session, the access token or the API key"`
	Address        string                  `json:"address"`
	Agent          string                  `json:"agent"`
	RequestID      string                  `json:"request_id"`
}

func eventOf(e *authcore.Event) Event {
	return Event{ID: e.ID, Time: e.Time, Action: e.Action, Target: e.Target, Outcome: e.Outcome, Details: e.Details, OrganizationID: e.Organization, ActorKind: e.Actor.Kind, ActorID: e.Actor.User, ActID: e.Actor.Act,
		SessionID: e.Actor.Session, Address: e.Actor.Client.Address, Agent: e.Actor.Client.Agent, RequestID: e.Actor.Client.RequestID}
}

// OrganizationEvent is a record of the audit log as the organization sees it: without where
// somebody was who did something, who may be of the platform.
type OrganizationEvent struct {
	ID        string             `json:"id"`
	Time      time.Time          `json:"time"`
	Action    authcore.Action    `json:"action"`
	Target    string             `json:"target" doc:"what it was done to, as kind:id"`
	Outcome   authcore.Outcome   `json:"outcome" enum:"success failure refused"`
	Details   string             `json:"details"`
	ActorKind authcore.ActorKind `json:"actor_kind" enum:"anonymous user token service command system"`
	ActorID   authcore.UserID    `json:"actor_id" doc:"the user; empty for nobody"`
	ActID     authcore.UserID    `json:"act_id" doc:"the platform owner who acted as the user; empty for nobody"`
}

func organizationEventOf(e *authcore.Event) OrganizationEvent {
	return OrganizationEvent{ID: e.ID, Time: e.Time, Action: e.Action, Target: e.Target, Outcome: e.Outcome, Details: e.Details, ActorKind: e.Actor.Kind, ActorID: e.Actor.User, ActID: e.Actor.Act}
}

// eventParams are the filters of audit events.
var eventParams = []Param{{Name: "action", Doc: "such as user.login"}, {Name: "actor", Doc: "the user who did it, by id", Form: ID}, {Name: "target", Doc: "what it was done to, such as user:ID"},
	{Name: "outcome", Form: Word, Values: []string{"success", "failure", "refused"}}, {Name: "since", Doc: "not before this time", Form: Time}, {Name: "until", Doc: "before this time", Form: Time}}

// eventQuery is what the filters of a call ask for.
func eventQuery(c *Call) authcore.EventQuery {
	return authcore.EventQuery{Action: authcore.Action(c.Param("action")), Actor: authcore.UserID(c.Param("actor")), Target: c.Param("target"), Outcome: authcore.Outcome(c.Param("outcome")),
		Since: c.Time("since"), Until: c.Time("until"), Order: c.Order, After: c.After, Limit: c.Limit}
}

// eventRoutes are about the audit log of the installation, and of an organization.
var eventRoutes = []Route{
	{Method: http.MethodGet, Path: "/platform/audit", ID: "listEvents", Summary: "The audit log", Realm: Platform, Scope: ScopeAuditView, Orders: authcore.EventOrders,
		Params: append([]Param{{Name: "organization", Doc: "the organization that it is about, by id", Form: ID}}, eventParams...),
		Do: list(func(c *Call) (Page[Event], error) {
			q := eventQuery(c)
			q.Organization = authcore.OrganizationID(c.Param("organization"))
			found, err := c.Accounts.Events(c.Ctx, c.Actor, q)
			return Page[Event]{Items: each(found.Events, eventOf), Next: found.Next}, err
		})},
	{Method: http.MethodGet, Path: "/organizations/{slug}/audit", ID: "listOrganizationEvents", Summary: "What the audit log has about the organization", Realm: Organization, Need: authcore.AuditView, Orders: authcore.EventOrders,
		Params: eventParams,
		Do: list(func(c *Call) (Page[OrganizationEvent], error) {
			found, err := c.Accounts.OrganizationEvents(c.Ctx, c.Actor, c.Slug(), eventQuery(c))
			return Page[OrganizationEvent]{Items: each(found.Events, organizationEventOf), Next: found.Next}, err
		})},
}
