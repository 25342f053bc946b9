package store

import (
	"context"
	"errors"
	"slices"
	"strconv"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// Verified is how far the audit log was verified, and what was found.
type Verified struct {
	Number    int64              `json:"number"` // of the last batch that was looked at
	Link      string             `json:"link"`   // its link; to be noted elsewhere, so that a later loss of the newest batches shows
	Start     int64              `json:"start"`  // the last batch that was deleted for its age
	Deleted   int64              `json:"deleted"`
	Events    int                `json:"events"`
	Anonymous int                `json:"anonymous"`
	Unsealed  int                `json:"unsealed"` // written a moment ago
	Findings  []authcore.Finding `json:"findings"`
	Begun     bool               `json:"begun"`
	Until     int64              `json:"until"` // stop at this batch, so that its link can be looked at; 0: no stop
	Done      bool               `json:"done"`
}

// verifyPage is about how many events are verified at a time.
const verifyPage = 2000

// VerifyEvents verifies the next part of the audit log. It begins with the zero
// Verified, and is called until Done.
func (db *DB) VerifyEvents(ctx context.Context, v Verified) (Verified, error) {
	if !v.Begun {
		ends, err := db.ends(ctx, &v)
		if err != nil {
			return v, err
		}
		v.Begun, v.Number, v.Link, v.Start, v.Deleted = true, ends.Start.Number, ends.Start.Link, ends.Start.Number, ends.Deleted
	}
	batches, err := db.SealedBatches(ctx, v.Number, verifyPage)
	if err != nil {
		return v, err
	}
	if i := slices.IndexFunc(batches, func(b authcore.EventBatch) bool { return b.Number == v.Until }); i >= 0 {
		batches = batches[:i+1]
	}
	check := authcore.ChainCheck{Chain: db.chain(), Number: v.Number, Link: v.Link}
	for i := range batches {
		v.Findings = append(v.Findings, check.Batch(&batches[i])...)
		for _, e := range batches[i].Events {
			v.Events++
			if e.Anonymous() {
				v.Anonymous++
			}
		}
	}
	v.Number, v.Link = check.Number, check.Link
	if len(batches) == 0 {
		v.Done = true
		err = errors.Join(db.verifyHead(ctx, &v), db.verifyRest(ctx, &v, check))
	}
	return v, err
}

// ends reads the ends; one that was changed is a finding.
func (db *DB) ends(ctx context.Context, v *Verified) (Ends, error) {
	ends, err := db.ChainEnds(ctx)
	if errors.Is(err, ErrChainEnd) {
		v.Findings = append(v.Findings, authcore.Finding{Kind: authcore.ChainBroken, Text: ErrChainEnd.Error()})
		err = nil
	}
	return ends, err
}

// verifyHead sees whether the newest batch is the one that was written last. More
// may have come since the last page was read.
func (db *DB) verifyHead(ctx context.Context, v *Verified) error {
	ends, err := db.ChainEnds(ctx)
	if errors.Is(err, ErrChainEnd) {
		return nil // found already
	}
	if err != nil {
		return err
	}
	newer, err := db.SealedBatches(ctx, v.Number, 1)
	if err == nil && len(newer) == 0 && ends.Head.Number != v.Number {
		v.Findings = append(v.Findings, authcore.Finding{Kind: authcore.EventRemoved, Batch: v.Number,
			Text: "the newest batches are missing: there was one with the number " + strconv.FormatInt(ends.Head.Number, 10)})
	}
	return err
}

// verifyRest looks at events that are in no batch.
func (db *DB) verifyRest(ctx context.Context, v *Verified, check authcore.ChainCheck) error {
	stray, err := db.StrayEvents(ctx, v.Start)
	if err != nil {
		return err
	}
	for _, e := range stray {
		v.Findings = append(v.Findings, authcore.Finding{Kind: authcore.EventInserted, Batch: e.Batch, Event: e.ID, Text: "claims a batch that is not there"})
	}
	for after := ""; ; {
		rows, err := db.UnsealedEvents(ctx, after, verifyPage)
		if err != nil || len(rows) == 0 {
			return err
		}
		for i := range rows {
			v.Unsealed++
			v.Findings = append(v.Findings, check.Unsealed(&rows[i])...)
		}
		after = rows[len(rows)-1].ID
	}
}
