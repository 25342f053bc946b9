package caddymodule

import (
	"context"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

type keyArgs struct {
	Now bool
}

// keyLine is a signing key as the command line shows it.
type keyLine struct {
	ID        string             `json:"id"`
	Algorithm authcore.Algorithm `json:"algorithm"`
	State     authcore.KeyState  `json:"state"`
	Created   time.Time          `json:"created_at"`
	Signs     time.Time          `json:"signs_at"`
}

func listKeys(ctx context.Context, c *console, _ struct{}) (any, error) {
	all, err := c.keys.List(ctx)
	states := authcore.KeyStates(all, time.Now())
	lines := make([]keyLine, 0, len(all))
	for i, k := range all {
		lines = append(lines, keyLine{k.ID, k.Algorithm, states[i], k.CreatedAt, k.SignsAt})
	}
	return lines, err
}

func rotateKeys(ctx context.Context, c *console, a keyArgs) (any, error) {
	k, err := c.keys.Rotate(ctx, authcore.CommandLine(), a.Now)
	state := authcore.KeyNext
	if !time.Now().Before(k.SignsAt) {
		state = authcore.KeySigns
	}
	return keyLine{k.ID, k.Algorithm, state, k.CreatedAt, k.SignsAt}, err
}
