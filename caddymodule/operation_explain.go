package caddymodule

import (
	"context"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore/access"
	"github.com/gatehouse-auth/gatehouse/authcore/web"
)

// explainArgs are the arguments of the operation explain.
type explainArgs struct {
	User, Method, URL, From string
	Provider                string        // by which the user signed in
	Age                     time.Duration // of the proof
	SecondFactor            bool
}

// explain answers by the configuration that the console's server runs with, or that
// of the command.
func explain(ctx context.Context, c *console, a explainArgs) (any, error) {
	q, err := web.ParseQuestion(a.Method, a.URL, a.From)
	if err != nil {
		return nil, err
	}
	q.Proof = access.Proof{Age: a.Age, SecondFactor: a.SecondFactor, Provider: a.Provider}
	if a.User != "" {
		u, err := c.accounts.FindUser(ctx, a.User)
		if err != nil {
			return nil, err
		}
		q.User = &u
	}
	return c.explain(q)
}
