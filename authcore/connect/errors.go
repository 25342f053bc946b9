package connect

import (
	"errors"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// What can go wrong with a provider. Each has one sentence for the person; the cause
// that it carries is for the log.
var (
	// ErrAway is where a provider does not answer, or not as a provider does.
	ErrAway = &authcore.Error{Kind: authcore.Unavailable, Code: "provider_unavailable",
		Message: "This provider cannot be reached just now. Please try again in a moment, or sign in another way."}
	// ErrAnswer is where what comes back does not belong to the sign-in, or is not what
	// the provider may say.
	ErrAnswer = &authcore.Error{Kind: authcore.Unauthenticated, Code: "provider_answer_invalid",
		Message: "What the provider sent back could not be used. Please sign in again."}
	// ErrRefused is where the provider, or the person there, said no.
	ErrRefused = &authcore.Error{Kind: authcore.Unauthenticated, Code: "provider_refused",
		Message: "The provider did not sign you in. You can try again, or sign in another way."}
	// ErrNotAllowed is for a person whom no rule of the provider lets in.
	ErrNotAllowed = &authcore.Error{Kind: authcore.Forbidden, Code: "provider_not_allowed",
		Message: "Your account at this provider may not sign in here. Ask an owner of this site for access."}
	// ErrMisconfigured is where the provider does not know us, or not by this secret: no
	// person can do anything about it.
	ErrMisconfigured = &authcore.Error{Kind: authcore.Unavailable, Code: "provider_misconfigured",
		Message: "This site is not set up rightly at the provider, so that nobody can sign in with it. Tell the owner of this site."}
	// errOwnMisconfigured is ErrMisconfigured for the client of an organization, which those
	// who manage that can mend.
	errOwnMisconfigured = &authcore.Error{Kind: authcore.Unavailable, Code: ErrMisconfigured.Code,
		Message: "The organization that this app belongs to is not set up rightly at this provider, so that nobody can sign in to its apps with it. Tell an owner or admin of the organization; you can sign in another way."}
	// ErrNotFresh is where the provider was to ask the person for a proof, and did not.
	ErrNotFresh = &authcore.Error{Kind: authcore.Forbidden, Code: "provider_proof_old",
		Message: "The provider did not ask you to prove again who you are. Sign out there, and try again."}
)

// What only the broker makes something of.
var (
	// errGone is where a provider does not know tokens any more: the person has to sign
	// in again.
	errGone = errors.New("the provider does not know the tokens any more")
	// errUnknowable is where a provider cannot be asked again about somebody.
	errUnknowable = errors.New("the provider gives nothing by which it could be asked again")
)
