package limit

import "net/netip"

// AddressKey returns the key under which a client's address is counted: an
// IPv4 address as it is, also where it comes mapped into IPv6, and an IPv6
// address as its /64, because that is what one customer gets (RFC 6177) and
// can choose from freely. The zero Addr has the key "unknown": all clients
// whose address is not known share one bucket.
func AddressKey(a netip.Addr) string {
	a = plain(a)
	if a.Is4() {
		return a.String()
	}
	return prefix(a, 64)
}

// NetworkKey returns the key of the wider network of an address: its IPv4 /24 or
// IPv6 /48, which is what one customer with several addresses has, often as not.
// The zero Addr has the key "unknown".
func NetworkKey(a netip.Addr) string {
	a = plain(a)
	if a.Is4() {
		return prefix(a, 24)
	}
	return prefix(a, 48)
}

// plain gives an IPv4 address as such also where it comes mapped into IPv6.
func plain(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

func prefix(a netip.Addr, bits int) string {
	p, err := a.Prefix(bits)
	if !a.IsValid() || err != nil {
		return "unknown"
	}
	return p.String()
}
