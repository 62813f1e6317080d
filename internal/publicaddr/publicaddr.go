// Package publicaddr keeps connections that strangers ask for on the public
// Internet. Whoever owns a domain chooses the addresses of its policy host and
// its MX hosts, and may choose ones inside the sender's own network. So every
// address is judged at the last moment, as it is given to connect(2): a name
// that resolves to something else a second time gains nothing.
package publicaddr

import (
	"context"
	"net"
	"net/netip"
	"syscall"
)

// Reason is what a report says of a connection that was refused here.
const Reason = "non-public-address"

// special4 is the IANA IPv4 Special-Purpose Address Registry (RFC 6890) and what is
// not unicast at all. The few blocks of the registry that are reachable from
// anywhere, such as the AS112 sinks, are often answered by a node next door,
// and no mail lives in them.
var special4 = [...]netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),        // this network, RFC 791
	netip.MustParsePrefix("10.0.0.0/8"),       // private, RFC 1918
	netip.MustParsePrefix("100.64.0.0/10"),    // carrier-grade NAT, RFC 6598
	netip.MustParsePrefix("127.0.0.0/8"),      // loopback, RFC 1122
	netip.MustParsePrefix("169.254.0.0/16"),   // link-local, RFC 3927; metadata services
	netip.MustParsePrefix("172.16.0.0/12"),    // private, RFC 1918
	netip.MustParsePrefix("192.0.0.0/24"),     // protocol assignments, RFC 6890
	netip.MustParsePrefix("192.0.2.0/24"),     // documentation, RFC 5737
	netip.MustParsePrefix("192.31.196.0/24"),  // AS112, RFC 7535
	netip.MustParsePrefix("192.52.193.0/24"),  // AMT, RFC 7450
	netip.MustParsePrefix("192.88.99.0/24"),   // 6to4 relays, RFC 7526
	netip.MustParsePrefix("192.168.0.0/16"),   // private, RFC 1918
	netip.MustParsePrefix("192.175.48.0/24"),  // AS112, RFC 7534
	netip.MustParsePrefix("198.18.0.0/15"),    // benchmarks, RFC 2544
	netip.MustParsePrefix("198.51.100.0/24"),  // documentation, RFC 5737
	netip.MustParsePrefix("203.0.113.0/24"),   // documentation, RFC 5737
	netip.MustParsePrefix("224.0.0.0/4"),      // multicast, RFC 5771
	netip.MustParsePrefix("240.0.0.0/4"),      // reserved, RFC 1112; 255.255.255.255
	netip.MustParsePrefix("168.63.129.16/32"), // a cloud's host agent, on an address that looks public
}

// global6 is all of IPv6 that is handed out as global unicast; special6 is
// what of it leads elsewhere.
var (
	global6  = netip.MustParsePrefix("2000::/3") // RFC 4291, section 2.4
	special6 = [...]netip.Prefix{
		netip.MustParsePrefix("2001::/23"),     // protocol assignments, Teredo among them, RFC 2928
		netip.MustParsePrefix("2001:db8::/32"), // documentation, RFC 3849
		netip.MustParsePrefix("2002::/16"),     // 6to4, an IPv4 address in disguise, RFC 3056
		netip.MustParsePrefix("3fff::/20"),     // documentation, RFC 9637
	}
	nat64 = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052, section 2.1
)

// Is reports whether a is an address on the public Internet. An address with a
// zone is not; one that carries an IPv4 address, mapped or for NAT64, is what
// that one is.
func Is(a netip.Addr) bool {
	if a.Zone() != "" {
		return false
	}
	a = a.Unmap()
	if nat64.Contains(a) {
		b := a.As16()
		a = netip.AddrFrom4([4]byte(b[12:]))
	}
	if a.Is4() {
		return !anyContains(special4[:], a)
	}
	return global6.Contains(a) && !anyContains(special6[:], a)
}

func anyContains(prefixes []netip.Prefix, a netip.Addr) bool {
	for _, p := range prefixes {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// Control is for [net.Dialer.ControlContext]: it sees the address that connect(2) is
// about to get, and refuses one that is not public with an [*Error]. An address that is
// none, such as the path of a socket, is refused as well.
func Control(_ context.Context, _, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil || !Is(ap.Addr()) {
		return &Error{Addr: ap.Addr()}
	}
	return nil
}

// Dial connects to an address literal with its port, if it is public, and fails
// with an [*Error] if it is not.
func Dial(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{ControlContext: Control}
	return d.DialContext(ctx, network, address)
}

// Error says that no connection was made, since the address is not public.
type Error struct {
	Addr netip.Addr // zero for what is no address at all
}

// Error is one line of printable ASCII.
func (e *Error) Error() string {
	what := "what was dialled" // a zone is free text; it is not shown
	if e.Addr.IsValid() {
		what = e.Addr.WithZone("").String()
	}
	return what + " is not a public address (" + Reason + ")"
}
