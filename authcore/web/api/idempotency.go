package api

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

var emptyBody = reflect.TypeFor[struct{}]()

// maxKey is the longest idempotency key, in characters.
const maxKey = 128

// once carries out a creation that has an idempotency key, or gives the answer that the
// same request had. What failed made nothing, and counts as never asked.
func (s *Server) once(c *Call, path, key string, body []byte, in any) (Answer, error) {
	if key == "" || len(key) > maxKey || strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r > '~' }) {
		return Answer{}, authcore.ErrKeyBad
	}
	by := []string{string(c.Actor.Kind), string(c.Actor.User), c.route.ID, path, key}
	if c.Actor.Kind != authcore.ActorUser {
		by = append(by, string(c.Actor.Session))
	}
	text, err := json.Marshal(by)
	if err != nil {
		return Answer{}, err
	}
	mine := authcore.NewClaim(sha256.Sum256(text), sha256.Sum256(body), s.Accounts.Now())
	kept, err := s.Accounts.Store.TakeClaim(c.Ctx, mine)
	switch {
	case err != nil:
		return Answer{}, err
	case kept.Holder != mine.Holder:
		return s.again(c, mine, kept)
	}
	ctx := context.WithoutCancel(c.Ctx) // who asked may go; what was done must be known
	answer, err := c.run(in)
	if err != nil {
		if dropped := s.Accounts.Store.DropClaim(ctx, mine); dropped != nil {
			return Answer{}, fmt.Errorf("%w (and its idempotency key is in use for a day: %v)", err, dropped)
		}
		return Answer{}, err
	}
	mine.Answer = s.Answers.Seal(answer.Body)
	if err := s.Accounts.Store.AnswerClaim(ctx, mine); err != nil && s.Log != nil {
		// It was created, so that this is the answer; who asks again hears that the key is in use.
		s.Log.Warn("the answer for an idempotency key cannot be kept", "operation", c.route.ID, "error", err)
	}
	return answer, nil
}

// again gives an answer that was given before, to who may still ask for it.
func (s *Server) again(c *Call, mine, kept authcore.Claim) (Answer, error) {
	if err := c.allowed(); err != nil {
		return Answer{}, err
	}
	switch {
	case kept.Body != mine.Body:
		return Answer{}, authcore.ErrKeyReused
	case kept.Answer == "":
		return Answer{}, authcore.ErrKeyInUse
	}
	body, err := s.Answers.Open(kept.Answer, 2*authcore.ClaimLife)
	return Answer{Status: c.route.status(), Body: body, Replayed: true}, err
}

// allowed tells whether an actor may ask for the route at all.
func (c *Call) allowed() error {
	if err := c.admit(); err != nil || c.route.Realm != Organization || c.route.Need == "" {
		return err
	}
	s, err := c.Accounts.Standing(c.Ctx, c.Actor, c.Slug())
	if err == nil {
		err = s.May(c.route.Need)
	}
	return err
}
