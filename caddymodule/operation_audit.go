package caddymodule

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/store"
)

// eventArgs ask for the next events of the audit log.
type eventArgs struct {
	Actor, Action, Target, Outcome string    // those that are empty let everything through
	Since, Until                   time.Time // zero: no bound
	After                          int64     // the last batch of the page before; 0: begin
	Unsealed                       string    // the last event of the page before that is in no batch yet
	Latest                         bool      // begin behind the newest
	Follow                         bool      // sealed events only: their order does not change
}

// eventPage is what they get.
type eventPage struct {
	Events   []eventLine
	After    int64
	Unsealed string
	Done     bool
}

// eventLine is an event as the command line shows it.
type eventLine struct {
	Batch     int64              `json:"batch,omitempty"`
	ID        string             `json:"id"`
	Time      time.Time          `json:"time"`
	ActorKind authcore.ActorKind `json:"actor_kind"`
	ActorID   authcore.UserID    `json:"actor_id,omitempty"`
	Actor     string             `json:"actor,omitempty"`  // the username now
	ActID     authcore.UserID    `json:"act_id,omitempty"` // the platform owner who acted as the user
	Act       string             `json:"act,omitempty"`    // the username now
	Session   authcore.SessionID `json:"session_id,omitempty"`
	Action    authcore.Action    `json:"action"`
	Target    string             `json:"target,omitempty"`
	Outcome   authcore.Outcome   `json:"outcome"`
	Details   string             `json:"details,omitempty"`
	Address   string             `json:"address,omitempty"`
	Agent     string             `json:"agent,omitempty"`
	RequestID string             `json:"request_id,omitempty"`

	TargetName string `json:"target_name,omitempty"` // the username now, where the target is a user
}

// eventRows is about how many events one page looks at.
const eventRows = 1000

// listEvents gives the next page of events: those that are sealed in the order of
// the chain, then those of the last second.
func listEvents(ctx context.Context, c *console, a eventArgs) (any, error) {
	f, err := c.filter(ctx, a)
	if err != nil {
		return nil, err
	}
	page := eventPage{Events: []eventLine{}, After: a.After, Unsealed: a.Unsealed}
	if page.After, err = c.begin(ctx, a); err != nil {
		return nil, err
	}
	rows, err := c.nextEvents(ctx, a, &page)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(rows, func(a, b authcore.SealedEvent) int { return a.Time.Compare(b.Time) }) // in a batch, those of commands come first
	for i := range rows {
		if f.wants(&rows[i].Event) {
			page.Events = append(page.Events, f.line(ctx, &rows[i]))
		}
	}
	return page, nil
}

// begin gives the batch behind which a listing begins, or goes on.
func (c *console) begin(ctx context.Context, a eventArgs) (int64, error) {
	switch {
	case a.After == 0 && a.Latest:
		return c.db.BatchAt(ctx, c.accounts.Now().Add(time.Hour))
	case a.After == 0 && !a.Since.IsZero():
		return c.db.BatchAt(ctx, a.Since)
	}
	return a.After, nil
}

// nextEvents reads the next events, and says in page how far it came. What is sealed
// while it looks for unsealed ones comes with the next page.
func (c *console) nextEvents(ctx context.Context, a eventArgs, page *eventPage) (rows []authcore.SealedEvent, err error) {
	batches, err := c.db.SealedBatches(ctx, page.After, eventRows)
	if err != nil {
		return nil, err
	}
	for _, b := range batches {
		rows, page.After = append(rows, b.Events...), b.Number
	}
	if len(batches) > 0 || a.Follow {
		page.Done = len(batches) == 0
		return rows, nil
	}
	if rows, err = c.db.UnsealedEvents(ctx, a.Unsealed, eventRows); err != nil {
		return nil, err
	}
	if len(rows) > 0 {
		page.Unsealed = rows[len(rows)-1].ID
		return rows, nil
	}
	page.Done = true
	return nil, nil
}

// eventFilter chooses events, and knows the names of users.
type eventFilter struct {
	eventArgs
	user  authcore.UserID // the actor, where it is a user
	about string          // the target, where it is a user
	db    *store.DB
	names map[authcore.UserID]string
}

// filter finds the users that a filter names. A user who was deleted can be named by
// id.
func (c *console) filter(ctx context.Context, a eventArgs) (*eventFilter, error) {
	f := &eventFilter{eventArgs: a, db: c.db, names: make(map[authcore.UserID]string)}
	find := func(name string) (authcore.UserID, error) {
		u, err := c.accounts.FindUser(ctx, name)
		if errors.Is(err, authcore.ErrUserNotFound) {
			return "", nil
		}
		return u.ID, err
	}
	var err, err2 error
	if a.Actor != "" {
		f.user, err = find(a.Actor)
	}
	if a.Target != "" && !strings.Contains(a.Target, ":") {
		var id authcore.UserID
		if id, err2 = find(a.Target); id != "" {
			f.about = authcore.TargetUser(id)
		}
	}
	return f, errors.Join(err, err2)
}

// wants tells whether an event is asked for.
func (f *eventFilter) wants(e *authcore.Event) bool {
	actor := f.Actor == "" || string(e.Actor.Kind) == f.Actor || string(e.Actor.User) == f.Actor || f.user != "" && (e.Actor.User == f.user || e.Actor.Act == f.user) || e.Actor.Act != "" && string(e.Actor.Act) == f.Actor
	target := f.Target == "" || e.Target == f.Target || f.about != "" && e.Target == f.about
	action := f.Action == "" || string(e.Action) == f.Action || strings.HasSuffix(f.Action, ".*") && strings.HasPrefix(string(e.Action), strings.TrimSuffix(f.Action, "*"))
	return actor && target && action && (f.Outcome == "" || string(e.Outcome) == f.Outcome) &&
		!e.Time.Before(f.Since) && (f.Until.IsZero() || e.Time.Before(f.Until))
}

func (f *eventFilter) line(ctx context.Context, e *authcore.SealedEvent) eventLine {
	l := eventLine{Batch: e.Batch, ID: e.ID, Time: e.Time, ActorKind: e.Actor.Kind, ActorID: e.Actor.User, Actor: f.name(ctx, e.Actor.User), ActID: e.Actor.Act, Act: f.name(ctx, e.Actor.Act),
		Session: e.Actor.Session, Action: e.Action, Target: e.Target, Outcome: e.Outcome, Details: e.Details,
		Address: e.Actor.Client.Address, Agent: e.Actor.Client.Agent, RequestID: e.Actor.Client.RequestID}
	if id, ok := strings.CutPrefix(e.Target, "user:"); ok {
		l.TargetName = f.name(ctx, authcore.UserID(id))
	}
	return l
}

// name is the username of an id, as far as there is one.
func (f *eventFilter) name(ctx context.Context, id authcore.UserID) string {
	name, known := f.names[id]
	if !known && id != "" {
		if u, _, err := f.db.UserByID(ctx, id); err == nil {
			name = u.Username
		}
		f.names[id] = name
	}
	return name
}

func verifyEvents(ctx context.Context, c *console, v store.Verified) (any, error) {
	return c.db.VerifyEvents(ctx, v)
}
