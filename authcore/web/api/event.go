package api

import (
	"net/http"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// Event is one record of the audit log.
type Event struct {
	ID        string             `json:"id"`
	Time      time.Time          `json:"time"`
	Action    authcore.Action    `json:"action"`
	Target    string             `json:"target" doc:"what it was done to, as kind:id"`
	Outcome   authcore.Outcome   `json:"outcome" enum:"success failure refused"`
	Details   string             `json:"details"`
	ActorKind authcore.ActorKind `json:"actor_kind" enum:"anonymous user token service command system"`
	ActorID   authcore.UserID    `json:"actor_id" doc:"the user; empty for nobody"`
	SessionID authcore.SessionID `json:"session_id" doc:"the session, the access token or the API key"`
	Address   string             `json:"address"`
	Agent     string             `json:"agent"`
	RequestID string             `json:"request_id"`
}

func eventOf(e *authcore.Event) Event {
	return Event{ID: e.ID, Time: e.Time, Action: e.Action, Target: e.Target, Outcome: e.Outcome, Details: e.Details, ActorKind: e.Actor.Kind, ActorID: e.Actor.User,
		SessionID: e.Actor.Session, Address: e.Actor.Client.Address, Agent: e.Actor.Client.Agent, RequestID: e.Actor.Client.RequestID}
}

// eventRoutes are about the audit log of the installation.
var eventRoutes = []Route{
	{Method: http.MethodGet, Path: "/platform/audit", ID: "listEvents", Summary: "The audit log, the newest first", Realm: Platform, Scope: ScopeAuditView,
		Params: []Param{{Name: "action", Doc: "such as user.login"}, {Name: "actor", Doc: "the user who did it, by id", Form: ID}, {Name: "target", Doc: "what it was done to, such as user:ID"},
			{Name: "outcome", Form: Word, Values: []string{"success", "failure", "refused"}}, {Name: "since", Doc: "not before this time", Form: Time}, {Name: "until", Doc: "before this time", Form: Time}},
		Do: list(func(c *Call) (Page[Event], error) {
			found, err := c.Accounts.Events(c.Ctx, c.Actor, authcore.EventQuery{Action: authcore.Action(c.Param("action")), Actor: authcore.UserID(c.Param("actor")), Target: c.Param("target"),
				Outcome: authcore.Outcome(c.Param("outcome")), Since: c.Time("since"), Until: c.Time("until"), Before: c.After, Limit: c.Limit})
			p := Page[Event]{Next: found.Next}
			for i := range found.Events {
				p.Items = append(p.Items, eventOf(&found.Events[i]))
			}
			return p, err
		})},
}
