package access

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// network is one network line: the address must be in one of its prefixes.
type network struct {
	prefixes []netip.Prefix
	rule     string // says that the line does not hold
}

func (n *network) holds(a netip.Addr) bool {
	// A zone names one of our interfaces; a prefix contains no zoned address.
	a = a.Unmap().WithZone("")
	for _, p := range n.prefixes {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

func (p *Policy) parseNetwork(args []string) error {
	n := network{rule: "outside network " + strings.Join(args, " ")}
	for _, arg := range args {
		prefix, err := ParsePrefix(arg)
		if err != nil {
			return err
		}
		if slices.Contains(n.prefixes, prefix) {
			return fmt.Errorf("network %s is there twice; remove one of them", prefix)
		}
		n.prefixes = append(n.prefixes, prefix)
	}
	p.networks = append(p.networks, n)
	return nil
}

// ParsePrefix reads a network, or a single address as the network of itself. Its
// errors say what to write instead.
func ParsePrefix(s string) (netip.Prefix, error) {
	prefix, err := netip.ParsePrefix(s)
	if err != nil {
		a, addrErr := netip.ParseAddr(s)
		if addrErr != nil || a.Zone() != "" {
			return netip.Prefix{}, fmt.Errorf("%q is neither a network nor an address; write e.g. 10.0.0.0/8 or 2001:db8::1", s)
		}
		prefix = netip.PrefixFrom(a, a.BitLen())
	}
	switch {
	case prefix.Addr().Is4In6():
		// Client addresses are unmapped first, so it would never hold.
		return netip.Prefix{}, fmt.Errorf("network %s is IPv4 inside IPv6; write it as IPv4", s)
	case prefix.Masked() != prefix:
		return netip.Prefix{}, fmt.Errorf("network %s has bits set after its prefix; write %s, or the address alone", s, prefix.Masked())
	}
	return prefix, nil
}
