package caddymodule

import (
	"context"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
	"github.com/gatehouse-auth/gatehouse/authcore/access"
)

type tokenArgs struct {
	User, Name           string
	ID, After            authcore.SessionID
	Hosts, Paths, Scopes []string
	Life                 time.Duration
}

// tokenLine is an access token as the command line shows it.
type tokenLine struct {
	ID       authcore.SessionID `json:"id"`
	User     string             `json:"username"`
	Name     string             `json:"name"`
	Hosts    []string           `json:"hosts"`
	Paths    []string           `json:"paths"`
	Scopes   []string           `json:"scopes"`
	Created  time.Time          `json:"created_at"`
	LastUsed *time.Time         `json:"last_used_at"`
	Expires  time.Time          `json:"expires_at"`
}

// newTokenLine is one that was made just now.
type newTokenLine struct {
	tokenLine
	Token string `json:"token"`
}

func tokenLineOf(t authcore.AccessToken) tokenLine {
	line := tokenLine{ID: t.ID, User: t.Username, Name: t.Name, Hosts: append([]string{}, t.Grant.Hosts...), Paths: append([]string{}, t.Grant.Paths...),
		Scopes: append([]string{}, t.Grant.Scopes...), Created: t.CreatedAt, Expires: t.ExpiresAt}
	if !t.LastUsed.IsZero() {
		line.LastUsed = &t.LastUsed
	}
	return line
}

func addToken(ctx context.Context, c *console, a tokenArgs) (any, error) {
	u, err := c.accounts.FindUser(ctx, a.User)
	if err != nil {
		return nil, err
	}
	text, t, err := c.accounts.CreateAccessToken(ctx, authcore.CommandLine(), u.ID,
		authcore.NewAccessToken{Name: a.Name, Grant: access.Grant{Hosts: a.Hosts, Paths: a.Paths, Scopes: a.Scopes}, Life: a.Life})
	t.Username = u.Username
	return newTokenLine{tokenLineOf(t), text.Reveal()}, err
}

func listTokens(ctx context.Context, c *console, a tokenArgs) (any, error) {
	var only authcore.UserID
	if a.User != "" {
		u, err := c.accounts.FindUser(ctx, a.User)
		if err != nil {
			return nil, err
		}
		only = u.ID
	}
	found, err := c.accounts.AccessTokens(ctx, only, a.After, pageSize)
	lines := make([]tokenLine, 0, len(found))
	for _, t := range found {
		lines = append(lines, tokenLineOf(t))
	}
	return lines, err
}

func revokeTokens(ctx context.Context, c *console, a tokenArgs) (any, error) {
	if a.User == "" {
		return map[string]int{"revoked": 1}, c.accounts.RevokeAccessToken(ctx, authcore.CommandLine(), a.ID)
	}
	u, err := c.accounts.FindUser(ctx, a.User)
	if err != nil {
		return nil, err
	}
	n, err := c.accounts.RevokeAccessTokens(ctx, authcore.CommandLine(), u.ID)
	return map[string]int{"revoked": n}, err
}
