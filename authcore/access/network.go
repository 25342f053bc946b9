package access

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
)

// network is one network line: the address must be in one of its ranges.
type network struct {
	ranges []addressRange // in order, without overlap
	rule   *Rule          // says that the line does not hold
}

// addressRange is a first and a last address, of one family.
type addressRange struct{ from, to netip.Addr }

func (n *network) holds(a netip.Addr) bool {
	// A zone names one of our interfaces; a network has none.
	a = a.Unmap().WithZone("")
	i, found := slices.BinarySearchFunc(n.ranges, a, func(r addressRange, a netip.Addr) int { return r.from.Compare(a) })
	return found || i > 0 && a.Compare(n.ranges[i-1].to) <= 0 && a.BitLen() == n.ranges[i-1].to.BitLen()
}

// disjoint tells whether no address is in both lines.
func (n *network) disjoint(other *network) bool {
	for _, r := range n.ranges {
		for _, o := range other.ranges {
			if r.from.Compare(o.to) <= 0 && o.from.Compare(r.to) <= 0 {
				return false
			}
		}
	}
	return true
}

func parseNetwork(args []string) (network, error) {
	var prefixes []netip.Prefix
	for _, arg := range args {
		p, err := ParsePrefix(arg)
		if err != nil {
			return network{}, err
		}
		if slices.Contains(prefixes, p) {
			return network{}, fmt.Errorf("network %s is there twice; remove one of them", p)
		}
		prefixes = append(prefixes, p)
	}
	slices.SortFunc(prefixes, func(p, q netip.Prefix) int {
		return cmp.Or(p.Addr().Compare(q.Addr()), p.Bits()-q.Bits())
	})
	var n network
	for _, p := range prefixes {
		if last := len(n.ranges) - 1; last >= 0 && n.ranges[last].from.BitLen() == p.Addr().BitLen() && p.Addr().Compare(n.ranges[last].to) <= 0 {
			continue // networks overlap only by one being inside the other
		}
		n.ranges = append(n.ranges, addressRange{p.Addr(), lastOf(p)})
	}
	return n, nil
}

// lastOf is the last address of a network.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < 8*len(b); i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
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
