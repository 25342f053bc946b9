package authcore

import (
	"crypto/subtle"
	"fmt"
	"strings"
)

// Finding is one thing that is not as it was written.
type Finding struct {
	Kind  FindingKind `json:"kind"`
	Batch int64       `json:"batch"`
	Event string      `json:"event,omitempty"` // its id, where there is one
	Text  string      `json:"text"`            // for people
}

// FindingKind tells what happened to the log.
type FindingKind string

// What can have happened.
const (
	EventChanged  FindingKind = "changed"
	EventRemoved  FindingKind = "removed"
	EventInserted FindingKind = "inserted"
	ChainBroken   FindingKind = "broken" // a whole batch does not fit
)

// ChainCheck follows the chain from one batch to the next.
type ChainCheck struct {
	Chain  *Chain
	Number int64  // of the last batch that was looked at, or where the log begins
	Link   string // its link

	Anonymised int64 // the last batch whose events were made anonymous
	// Erased are the users whose events were made anonymous because they were deleted.
	Erased map[UserID]bool
}

// erased tells whether an event is of a user who was deleted.
func (k *ChainCheck) erased(e *SealedEvent) bool {
	target, _ := strings.CutPrefix(e.Target, "user:")
	return k.Erased[e.Actor.User] || k.Erased[UserID(target)]
}

// Unsealed judges an event that is in no batch yet.
func (k *ChainCheck) Unsealed(e *SealedEvent) []Finding {
	if k.holds(e) {
		return nil
	}
	return []Finding{{EventInserted, 0, e.ID, "was not written by the gate, or was changed before it was sealed: " + named(e)}}
}

// holds tells whether an event is as it was written. One that was made anonymous
// has nothing personal, and is in a batch in which the gate has done that, or of a user
// who was deleted.
func (k *ChainCheck) holds(e *SealedEvent) bool {
	if e.Anonymous() && (e.Details != "" || e.Actor.Client != Client{} || e.Batch > k.Anonymised && !k.erased(e)) {
		return false
	}
	return same(k.Chain.Leaf(&e.Event, e.Blinding), e.Leaf)
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

func named(e *SealedEvent) string {
	return fmt.Sprintf("%s %s %s", e.Time.UTC().Format("2006-01-02 15:04:05"), e.Action, e.Outcome)
}

// Batch judges the next batch.
func (k *ChainCheck) Batch(b *EventBatch) []Finding {
	var found []Finding
	if b.Number != k.Number+1 {
		found = append(found, Finding{EventRemoved, b.Number, "", fmt.Sprintf("batches %d to %d are missing", k.Number+1, b.Number-1)})
	}
	rows := k.rows(b)
	found = append(found, rows...)
	if len(found) == 0 {
		leaves := make([]string, len(b.Events))
		for i := range b.Events {
			leaves[i] = b.Events[i].Leaf
		}
		if !same(k.Chain.Link(k.Link, b.Number, b.SealedAt, leaves), b.Link) {
			found = append(found, Finding{ChainBroken, b.Number, "", "does not follow from its events and the batch before: " +
				"events were removed at its end, or put in another order, or its own row was changed"})
		}
	}
	k.Number, k.Link = b.Number, b.Link
	return found
}

// rows judges the events of a batch one by one.
func (k *ChainCheck) rows(b *EventBatch) []Finding {
	var found []Finding
	next := 1
	for i := range b.Events {
		e := &b.Events[i]
		if e.Position < next || e.Position > b.Count {
			found = append(found, Finding{EventInserted, b.Number, e.ID, "does not belong here: " + named(e)})
			continue
		}
		if e.Position > next {
			found = append(found, gap(b, next, e.Position-1))
		}
		next = e.Position + 1
		if e.Action == AuditAlarm {
			found = append(found, Finding{ChainBroken, b.Number, e.ID, "was written when the gate found the log changed: " + named(e) + ": " + e.Details})
		}
		if !k.holds(e) {
			found = append(found, Finding{EventChanged, b.Number, e.ID, "is not as it was written: " + named(e)})
		}
	}
	if next <= b.Count {
		found = append(found, gap(b, next, b.Count))
	}
	return found
}

// gap says which events are missing, as well as what is left can tell.
func gap(b *EventBatch, from, to int) Finding {
	where := []string{fmt.Sprintf("%d of the %d events are missing", to-from+1, b.Count)}
	for i := range b.Events {
		switch e := &b.Events[i]; e.Position {
		case from - 1:
			where = append(where, "after "+e.ID)
		case to + 1:
			where = append(where, "before "+e.ID)
		}
	}
	return Finding{EventRemoved, b.Number, "", strings.Join(where, ", ")}
}
