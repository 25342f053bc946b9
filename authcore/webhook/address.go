package webhook

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"syscall"
	"time"
)

// special are the IPv4 networks that are no place on the internet (RFC 6890 and its
// registry), and addresses where clouds keep what is secret.
var special = prefixes("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
	"192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
	"224.0.0.0/4", "240.0.0.0/4",
	"168.63.129.16/32") // Azure's

// IPv6 has its places on the internet in one network, without some.
var (
	global6   = netip.MustParsePrefix("2000::/3")
	special6  = prefixes("2001::/23", "2001:db8::/32", "2620:4f:8000::/48", "3fff::/20")
	nat64     = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052
	sixToFour = netip.MustParsePrefix("2002::/16")    // RFC 3056
)

func prefixes(texts ...string) []netip.Prefix {
	all := make([]netip.Prefix, len(texts))
	for i, t := range texts {
		all[i] = netip.MustParsePrefix(t)
	}
	return all
}

func within(a netip.Addr, all []netip.Prefix) bool {
	return slices.ContainsFunc(all, func(p netip.Prefix) bool { return p.Contains(a) })
}

// Public tells whether an address is one on the internet, also where it is an IPv4 address
// in one of the forms that IPv6 has for it.
func Public(a netip.Addr) bool {
	switch a = a.Unmap(); {
	case !a.IsValid() || a.Zone() != "":
		return false
	case a.Is4():
		return !within(a, special)
	case nat64.Contains(a):
		raw := a.As16()
		return Public(netip.AddrFrom4([4]byte(raw[12:])))
	case sixToFour.Contains(a):
		raw := a.As16()
		return Public(netip.AddrFrom4([4]byte(raw[2:6])))
	}
	return global6.Contains(a) && !within(a, special6)
}

// Rules say which addresses are dialled: those on the internet with HTTPS, and those that
// are allowed, also with plain HTTP.
type Rules struct{ Allow []netip.Prefix }

// Why an address is not dialled. What a name leads to here is not told to who typed it.
var (
	ErrAddress = errors.New("this is no address on the internet: webhooks go there only where \"webhooks { allow … }\" in the configuration names it")
	ErrPlain   = errors.New("plain HTTP goes only to addresses that \"webhooks { allow … }\" in the configuration names: use https://")
)

// check refuses an address.
func (r Rules) check(a netip.Addr, plain bool) error {
	a = a.Unmap()
	switch allowed := within(a.WithZone(""), r.Allow); {
	case allowed:
		return nil
	case plain:
		return ErrPlain
	case !Public(a):
		return ErrAddress
	}
	return nil
}

// CheckURL refuses an address that would be refused whenever it is dialled. What a name
// leads to is looked at then: that can change.
func (r Rules) CheckURL(u *url.URL) error {
	plain := u.Scheme == "http"
	if plain && len(r.Allow) == 0 {
		return ErrPlain
	}
	if a, err := netip.ParseAddr(u.Hostname()); err == nil {
		return r.check(a, plain)
	}
	return nil
}

// dialTime bounds how long a connection is waited for.
const dialTime = 10 * time.Second

// dialer dials what the rules allow. The address is the one that is dialled in the end, so
// that no name can lead elsewhere between a look and the dialling.
func (r Rules) dialer(plain bool) *net.Dialer {
	return &net.Dialer{Timeout: dialTime, KeepAlive: 30 * time.Second, ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(address)
		if err != nil {
			return err
		}
		return r.check(at.Addr(), plain)
	}}
}
