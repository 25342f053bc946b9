package password

import "fmt"

// Upper limits of the parameters, for configuration and for stored hashes
// alike: the most that one hash may cost is 1 GiB and 64 passes over it.
const (
	maxMemory = 1 << 20 // KiB
	maxPasses = 64
	maxLanes  = 64
)

// Params are the cost parameters of Argon2id (RFC 9106, section 3.1).
type Params struct {
	// Memory in KiB; at least 8 for each lane.
	Memory uint32
	// Passes over the memory; at least 1.
	Passes uint32
	// Lanes that can be computed in parallel; at least 1.
	Lanes uint8
}

// DefaultParams cost 19 MiB, 2 passes and 1 lane, the first choice of the
// OWASP password storage cheat sheet for a server that signs many people in.
var DefaultParams = Params{Memory: 19456, Passes: 2, Lanes: 1}

// Validate reports the first parameter that RFC 9106, section 3.1, or our caps
// (1 GiB, 64 passes, 64 lanes) do not allow.
func (p Params) Validate() error {
	switch {
	case p.Lanes < 1 || p.Lanes > maxLanes:
		return fmt.Errorf("argon2id lanes are %d: use 1 to %d", p.Lanes, maxLanes)
	case p.Passes < 1 || p.Passes > maxPasses:
		return fmt.Errorf("argon2id passes are %d: use 1 to %d", p.Passes, maxPasses)
	case p.Memory < 8*uint32(p.Lanes):
		return fmt.Errorf("argon2id memory is %d KiB: use at least 8 KiB for each lane, here %d", p.Memory, 8*uint32(p.Lanes))
	case p.Memory > maxMemory:
		return fmt.Errorf("argon2id memory is %d KiB: use at most %d (1 GiB)", p.Memory, maxMemory)
	}
	return nil
}

// weakerThan reports whether p costs an attacker less than want in any one
// dimension.
func (p Params) weakerThan(want Params) bool {
	return p.Memory < want.Memory || p.Passes < want.Passes || p.Lanes < want.Lanes
}
