package caddymodule

import (
	"context"
	"errors"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/importer"
)

type importArgs struct {
	Users []importer.User
}

// imported says what became of one user.
type imported struct {
	Username string `json:"username"`
	There    bool   `json:"there,omitempty"` // a user of this name was there before, and is as it was
	Error    string `json:"error,omitempty"`
}

// importUsers makes accounts one by one: what is wrong with one of them keeps no other
// from being made.
func importUsers(ctx context.Context, c *console, a importArgs) (any, error) {
	var all []imported
	for _, u := range a.Users {
		status := authcore.Active
		if u.Disabled {
			status = authcore.Disabled
		}
		done := imported{Username: u.Username}
		_, err := c.accounts.ImportUser(ctx, authcore.CommandLine(), authcore.NewUser{Username: u.Username, Email: u.Email, Name: u.Name, Groups: u.Groups,
			EmailVerified: true}, u.Hash, status)
		var ours *authcore.Error
		switch {
		case errors.Is(err, authcore.ErrUsernameTaken):
			done.There = true
		case errors.As(err, &ours) && ours.Kind != authcore.Internal && ours.Kind != authcore.Unavailable:
			done.Error = ours.Message
		case err != nil:
			return nil, err
		}
		all = append(all, done)
	}
	return all, nil
}
