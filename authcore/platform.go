package authcore

import "context"

// MayRunPlatform returns ErrNotOwner unless the actor runs the installation.
func (a *Accounts) MayRunPlatform(ctx context.Context, actor Actor) error {
	return a.platform(ctx, actor)
}
