package authcore

import "sync/atomic"

// Tally counts how sign-ins end and what limits turn away. It outlives the Accounts
// of one configuration. The zero Tally is ready for use; a nil one counts nothing.
type Tally struct {
	signedIn, wrong, tooMany, busy, trouble atomic.Uint64

	refused [2]atomic.Uint64 // by limit
	alarms  atomic.Uint64
}

// The limits that a Tally tells apart.
const (
	byAddress = iota
	byAccount
)

// TallyStats are the counters of a Tally.
type TallyStats struct {
	SignedIn uint64 // sign-ins that worked
	Wrong    uint64 // sign-ins that failed: an unknown user, a wrong password, a disabled user, nobody whom a provider's account belongs to
	TooMany  uint64 // sign-ins that a limit refused
	Busy     uint64 // sign-ins that found no permit to hash
	Trouble  uint64 // sign-ins that ended with another error, or because the client left

	ByAddress uint64 // attempts, other than sign-ins too, that the limit of the address refused
	ByAccount uint64 // those that the limit of the account refused

	Alarms uint64 // addresses that tried many accounts
}

// Stats gives the counters as they are now.
func (t *Tally) Stats() TallyStats {
	return TallyStats{SignedIn: t.signedIn.Load(), Wrong: t.wrong.Load(), TooMany: t.tooMany.Load(), Busy: t.busy.Load(),
		Trouble: t.trouble.Load(), ByAddress: t.refused[byAddress].Load(), ByAccount: t.refused[byAccount].Load(), Alarms: t.alarms.Load()}
}

// signIn counts a sign-in by how it ended.
func (t *Tally) signIn(err error) {
	switch {
	case t == nil:
	case err == nil:
		t.signedIn.Add(1)
	case ErrFactorRequired.is(err): // it counts when it ends
	case ErrLoginFailed.is(err), ErrFactorWrong.is(err), ErrAccountWaiting.is(err), ErrAccountUnknown.is(err), ErrLinkRequired.is(err),
		ErrPasskeyWrong.is(err), ErrPasskeyOld.is(err), ErrPasskeyRefused.is(err), ErrMailCodeWrong.is(err), ErrMailElsewhere.is(err), ErrCodeInvalid.is(err):
		t.wrong.Add(1)
	case ErrTooManySignIns.is(err), ErrTooManyAttempts.is(err):
		t.tooMany.Add(1)
	case ErrLoginBusy.is(err):
		t.busy.Add(1)
	default:
		t.trouble.Add(1)
	}
}

// alarm counts an address that tried many accounts.
func (t *Tally) alarm() {
	if t != nil {
		t.alarms.Add(1)
	}
}

// limited counts an attempt that a limit refused.
func (t *Tally) limited(by int) {
	if t != nil {
		t.refused[by].Add(1)
	}
}
