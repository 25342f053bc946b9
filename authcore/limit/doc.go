// Package limit bounds how often something may happen for one key: one address,
// one account. A key has a token bucket: a burst of tokens at first, and a new
// one at a steady pace.
//
// Threat model. An attacker chooses keys (addresses, usernames), so memory is
// bounded: there are at most 65,536 buckets, and a long key is kept as its
// SHA-256. When there is no room, full buckets go first, because a full bucket
// says nothing that a new one does not say; then, of a small random sample,
// the fullest goes. An attacker who floods us with new keys so mostly evicts
// keys of the same flood: to free a drained bucket, about as many others must
// be drained too. Which bucket shares a shard with which cannot be foreseen.
package limit
