//go:build race

package integration

// raceEnabled tells whether the tests run with the race detector; then the Caddy
// that they start does too.
const raceEnabled = true
