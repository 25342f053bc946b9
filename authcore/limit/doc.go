// Package limit bounds how often something may happen for one key: one address,
// one account. So many times are free; each further one has to wait, and where the
// pace says so each wait is twice as long as the one before, up to a longest one.
// Nobody is locked out: who waits as long as told gets in.
//
// Threat model. An attacker chooses keys (addresses, usernames), so memory is
// bounded: there are at most 65,536 counts, and a long key is kept as its
// SHA-256. When there is no room, empty counts go first, because an empty count
// says nothing that a new one does not say; then, of a small random sample,
// the smallest goes. An attacker who floods us with new keys so mostly evicts
// keys of the same flood: to free a key that has to wait, about as many others must
// be used up too. Which key shares a shard with which cannot be foreseen.
package limit
