//go:build !linux

package argon2id

// advise does nothing where the system takes no advice on huge pages.
func advise([]block) {}
