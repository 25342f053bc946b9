// Package password keeps what people choose safe: Argon2id hashes in PHC form,
// the gate that bounds how many are computed at once, and the rules that a new
// password has to meet.
//
// Threat model. A stolen table of hashes must be slow to search, so each guess
// costs memory and time (RFC 9106). That cost also falls on us, so a flood of
// sign-ins must not starve everybody else: every run goes through a [Gate],
// which by default refuses at once, but for a short line, when no permit is
// free (the line is fair, see [Caller]), and takes place on a thread of the
// lowest priority. A planted hash
// must not make us allocate gigabytes, so [ParseHash] caps its parameters.
// Whether a user exists must not show in the work done, so [Hasher.Verify] and
// [Hasher.VerifyUnknown] each make exactly one Argon2 run.
//
// The package does not bound how long a password is when it is verified; the
// caller bounds the request.
package password
