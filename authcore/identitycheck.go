package authcore

import "context"

// Renewed keeps what a provider said when it was asked again about somebody, if the
// identity's tokens are still those of i; else ok is false.
func (a *Accounts) Renewed(ctx context.Context, i Identity, w Vouched) (ok bool, err error) {
	i.Tokens, i.CheckedAt, i.Groups = a.sealTokens(&i, w.Tokens), a.Now(), w.Groups
	by := a.event(Actor{Kind: ActorSystem}, UserGroups, TargetUser(i.User), Success, "")
	if ok, err = a.Store.RenewIdentity(ctx, i, by); ok {
		a.changed(ChangeUser, string(i.User)) // the groups may be others
	}
	return ok, err
}

// KeepTokens keeps tokens of an identity in place of older ones that are used up, where
// the provider could not be asked about the person.
func (a *Accounts) KeepTokens(ctx context.Context, i Identity, tokens *ProviderTokens) error {
	return a.Store.KeepTokens(ctx, i.ID, i.Version, a.sealTokens(&i, tokens), i.CheckedAt)
}

// Checked says that an identity was looked at, and nothing can be known.
func (a *Accounts) Checked(ctx context.Context, i Identity) error {
	return a.Store.KeepTokens(ctx, i.ID, i.Version, i.Tokens, a.Now())
}

// Expel ends what an identity gave, because its provider vouches for the person no
// more.
func (a *Accounts) Expel(ctx context.Context, i Identity, why error) error {
	ev := a.event(Actor{Kind: ActorSystem}, IdentityExpel, TargetUser(i.User), Success, "provider "+i.Provider+": "+coded(why))
	_, err := a.Store.ExpelIdentity(ctx, i.ID, i.Version, a.ways(), ev)
	if err == nil {
		a.changed(ChangeUser, string(i.User))
	}
	return err
}

// ClientGone is for tokens that were issued to an organization's own client which is gone,
// or is another one by now: nobody can ask about the person any more. It ends the sessions
// that the identity made and forgets the tokens, and the groups that nobody can ask about.
// The person can sign in anew at once, with the client that takes its place.
func (a *Accounts) ClientGone(ctx context.Context, i Identity, to IssuedTo) error {
	ways := a.ways()
	ways.Identity = true
	ev := a.event(Actor{Kind: ActorSystem}, UserLogout, TargetUser(i.User), Success, "provider "+i.Provider+": the client of "+to.Organization+" that signed the user in is there no more")
	_, err := a.Store.ExpelIdentity(ctx, i.ID, i.Version, ways, ev)
	if err == nil {
		a.changed(ChangeUser, string(i.User))
	}
	return err
}
