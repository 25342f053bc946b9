package store

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// Verified is how far the audit log was verified, and what was found.
type Verified struct {
	Number     int64              `json:"number"` // of the last batch that was looked at
	Link       string             `json:"link"`   // its link; to be noted elsewhere, so that a later loss of the newest batches shows
	Start      int64              `json:"start"`  // the last batch that was deleted for its age
	Deleted    int64              `json:"deleted"`
	Events     int                `json:"events"`
	Anonymous  int                `json:"anonymous"`
	Unsealed   int                `json:"unsealed"`   // written a moment ago
	Unchained  int                `json:"unchained"`  // from before there was a chain: nothing protects them
	Anonymised int64              `json:"anonymised"` // the last batch whose events were made anonymous
	Findings   []authcore.Finding `json:"findings"`
	Begun      bool               `json:"begun"`
	Until      int64              `json:"until"` // stop at this batch, so that its link can be looked at; 0: no stop
	Done       bool               `json:"done"`
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
		v.Anonymised = ends.Anonymised
	}
	batches, err := db.SealedBatches(ctx, v.Number, verifyPage)
	if err != nil {
		return v, err
	}
	if i := slices.IndexFunc(batches, func(b authcore.EventBatch) bool { return b.Number == v.Until }); i >= 0 {
		batches = batches[:i+1]
	}
	erased, err := db.erased(ctx)
	if err != nil {
		return v, err
	}
	check := authcore.ChainCheck{Chain: db.chain(), Number: v.Number, Link: v.Link, Anonymised: v.Anonymised, Erased: erased}
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
		earlier, headErr := db.verifyHead(ctx, &v)
		err = errors.Join(headErr, db.verifyRest(ctx, &v, check, earlier))
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

// verifyHead sees whether the newest batch is the one that was written last, and
// tells how many events there can be from before the chain. More may have come
// since the last page was read.
func (db *DB) verifyHead(ctx context.Context, v *Verified) (earlier int64, err error) {
	ends, err := db.ChainEnds(ctx)
	if errors.Is(err, ErrChainEnd) {
		return math.MaxInt64, nil // found already
	}
	if err != nil {
		return 0, err
	}
	newer, err := db.SealedBatches(ctx, v.Number, 1)
	if err == nil && len(newer) == 0 && ends.Head.Number != v.Number {
		v.Findings = append(v.Findings, authcore.Finding{Kind: authcore.EventRemoved, Batch: v.Number,
			Text: "the newest batches are missing: there was one with the number " + strconv.FormatInt(ends.Head.Number, 10)})
	}
	return ends.Earlier, err
}

// verifyRest looks at events that are in no batch.
func (db *DB) verifyRest(ctx context.Context, v *Verified, check authcore.ChainCheck, earlier int64) error {
	stray, err := db.StrayEvents(ctx, v.Start)
	if err != nil {
		return err
	}
	for _, e := range stray {
		v.Findings = append(v.Findings, authcore.Finding{Kind: authcore.EventInserted, Batch: e.Batch, Event: e.ID, Text: "claims a batch that is not there"})
	}
	last := ""
	for {
		rows, err := db.UnsealedEvents(ctx, last, verifyPage)
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			break
		}
		for i := range rows {
			if rows[i].Batch >= 0 {
				v.Unsealed++
				v.Findings = append(v.Findings, check.Unsealed(&rows[i])...)
			} else if v.Unchained++; earlier == 0 {
				v.Findings = append(v.Findings, authcore.Finding{Kind: authcore.EventInserted, Event: rows[i].ID,
					Text: "claims to be from before there was a chain, and nothing is"})
			}
		}
		last = rows[len(rows)-1].ID
	}
	if earlier > 0 && int64(v.Unchained) > earlier {
		v.Findings = append(v.Findings, authcore.Finding{Kind: authcore.EventInserted,
			Text: fmt.Sprintf("%d events claim to be from before there was a chain, of which there were %d", v.Unchained, earlier)})
	}
	return nil
}
