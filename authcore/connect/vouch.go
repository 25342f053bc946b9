package connect

import "github.com/gatehouse-auth/gatehouse/authcore"

// Vouched is what a provider says of a person, for the accounts.
func (p *Provider) Vouched(who *Person, t *Tokens) authcore.Vouched {
	return authcore.Vouched{Provider: p.Name, Issuer: who.Issuer, Subject: who.Subject, Username: who.Username, Name: who.Name,
		Email: who.Email, EmailVerified: who.EmailVerified, Session: who.SessionID, AuthTime: who.AuthTime,
		SecondFactor: who.SecondFactor && p.TrustMFA, Groups: p.groups(who), Tokens: t}
}
