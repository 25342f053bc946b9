package web

import (
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// Seals encrypt what travels through browsers: one for each kind of thing, so that none
// is ever taken for another.
type Seals struct {
	Flows      *authcore.Sealer // sign-ins under way
	Devices    *authcore.Sealer // what browsers remember of sign-ins
	Visits     *authcore.Sealer // visits to providers
	Answers    *authcore.Sealer // what a provider sent as a form
	Links      *authcore.Sealer // accounts at providers that wait to be linked
	Proofs     *authcore.Sealer // proofs at a provider
	Awaited    *authcore.Sealer // sign-ins that wait for a second factor
	Enrols     *authcore.Sealer // second factors that are not in force yet
	Ceremonies *authcore.Sealer // passkeys that are asked for
	Mailed     *authcore.Sealer // codes by mail that were asked for
	SignOuts   *authcore.Sealer // addresses at which sessions at providers end
	Resumes    *authcore.Sealer // authorization requests that their users answer
}

// NewSeals makes them of an installation's key.
func NewSeals(key authcore.SecretKey, now func() time.Time) Seals {
	return Seals{
		Flows:      key.NewSealer("sign-in flow", now),
		Devices:    key.NewSealer("known device", now),
		Visits:     key.NewSealer("provider visit", now),
		Answers:    key.NewSealer("provider answer", now),
		Links:      key.NewSealer("provider link", now),
		Proofs:     key.NewSealer("provider proof", now),
		Awaited:    key.NewSealer("awaited factor", now),
		Enrols:     key.NewSealer("factor to enrol", now),
		Ceremonies: key.NewSealer("passkey ceremony", now),
		Mailed:     key.NewSealer("sign-in by mail", now),
		SignOuts:   key.NewSealer("provider sign-out", now),
		Resumes:    key.NewSealer("authorization request", now),
	}
}
