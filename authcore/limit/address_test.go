package limit

import (
	"net/netip"
	"testing"
)

func TestAddressKey(t *testing.T) {
	t.Parallel()
	tests := []struct{ address, want, network string }{
		{"192.0.2.1", "192.0.2.1", "192.0.2.0/24"},
		{"::ffff:192.0.2.1", "192.0.2.1", "192.0.2.0/24"},
		{"::ffff:192.0.2.1%eth0", "192.0.2.1", "192.0.2.0/24"},
		{"127.0.0.1", "127.0.0.1", "127.0.0.0/24"},
		{"2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64", "2001:db8:1::/48"},
		{"2001:db8:1:2::", "2001:db8:1:2::/64", "2001:db8:1::/48"},
		{"2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::/64", "2001:db8:1::/48"},
		{"2001:db8:1:3::1", "2001:db8:1:3::/64", "2001:db8:1::/48"},
		{"::1", "::/64", "::/48"},
		{"fe80::1%eth0", "fe80::/64", "fe80::/48"},
	}
	for _, tt := range tests {
		a := netip.MustParseAddr(tt.address)
		if got := AddressKey(a); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.address, got, tt.want)
		}
		if got := NetworkKey(a); got != tt.network {
			t.Errorf("network of %s: got %s, want %s", tt.address, got, tt.network)
		}
	}
	if got := AddressKey(netip.Addr{}) + NetworkKey(netip.Addr{}); got != "unknownunknown" {
		t.Errorf("the zero Addr: got %s", got)
	}
}

func BenchmarkAddressKey(b *testing.B) {
	for name, s := range map[string]string{"IPv4": "192.0.2.1", "IPv6": "2001:db8:1:2:3:4:5:6"} {
		a := netip.MustParseAddr(s)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				AddressKey(a)
			}
		})
	}
}
