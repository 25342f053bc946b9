package limit

import "net/netip"

// AddressKey returns the key under which a client's address is counted: an
// IPv4 address as it is, also where it comes mapped into IPv6, and an IPv6
// address as its /64, because that is what one customer gets (RFC 6177) and
// can choose from freely. The zero Addr has the key "unknown": all clients
// whose address is not known share one bucket.
func AddressKey(a netip.Addr) string {
	if !a.IsValid() {
		return "unknown"
	}
	a = a.Unmap().WithZone("")
	if a.Is4() {
		return a.String()
	}
	p, err := a.Prefix(64)
	if err != nil { // Cannot happen: 64 bits fit into every IPv6 address.
		return a.String()
	}
	return p.String()
}
