package publicaddr

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
)

// R19: what is a public address, at both edges of every block.
func TestIs(t *testing.T) {
	for _, c := range []struct {
		name        string
		before      string // the last address before the block, "" where that is no business of this row
		first, last string // not public
		after       string
	}{
		{name: "this network", first: "0.0.0.0", last: "0.255.255.255", after: "1.0.0.0"},
		{name: "private 10/8", before: "9.255.255.255", first: "10.0.0.0", last: "10.255.255.255", after: "11.0.0.0"},
		{name: "carrier-grade NAT", before: "100.63.255.255", first: "100.64.0.0", last: "100.127.255.255", after: "100.128.0.0"},
		{name: "loopback", before: "126.255.255.255", first: "127.0.0.0", last: "127.255.255.255", after: "128.0.0.0"},
		{name: "a cloud's host agent", before: "168.63.129.15", first: "168.63.129.16", last: "168.63.129.16", after: "168.63.129.17"},
		{name: "link-local", before: "169.253.255.255", first: "169.254.0.0", last: "169.254.255.255", after: "169.255.0.0"},
		{name: "private 172.16/12", before: "172.15.255.255", first: "172.16.0.0", last: "172.31.255.255", after: "172.32.0.0"},
		{name: "protocol assignments", before: "191.255.255.255", first: "192.0.0.0", last: "192.0.0.255", after: "192.0.1.0"},
		{name: "documentation 1", before: "192.0.1.255", first: "192.0.2.0", last: "192.0.2.255", after: "192.0.3.0"},
		{name: "AS112 by DNAME", before: "192.31.195.255", first: "192.31.196.0", last: "192.31.196.255", after: "192.31.197.0"},
		{name: "AMT", before: "192.52.192.255", first: "192.52.193.0", last: "192.52.193.255", after: "192.52.194.0"},
		{name: "6to4 relays", before: "192.88.98.255", first: "192.88.99.0", last: "192.88.99.255", after: "192.88.100.0"},
		{name: "private 192.168/16", before: "192.167.255.255", first: "192.168.0.0", last: "192.168.255.255", after: "192.169.0.0"},
		{name: "AS112", before: "192.175.47.255", first: "192.175.48.0", last: "192.175.48.255", after: "192.175.49.0"},
		{name: "benchmarks", before: "198.17.255.255", first: "198.18.0.0", last: "198.19.255.255", after: "198.20.0.0"},
		{name: "documentation 2", before: "198.51.99.255", first: "198.51.100.0", last: "198.51.100.255", after: "198.51.101.0"},
		{name: "documentation 3", before: "203.0.112.255", first: "203.0.113.0", last: "203.0.113.255", after: "203.0.114.0"},
		{name: "multicast, reserved and broadcast", before: "223.255.255.255", first: "224.0.0.0", last: "255.255.255.255"},

		{name: "below global unicast", first: "::", last: "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", after: "2000::"},
		{name: "IPv6 protocol assignments", before: "2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff", first: "2001::", last: "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", after: "2001:200::"},
		{name: "IPv6 documentation", before: "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff", first: "2001:db8::", last: "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", after: "2001:db9::"},
		{name: "6to4", before: "2001:ffff:ffff:ffff:ffff:ffff:ffff:ffff", first: "2002::", last: "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff", after: "2003::"},
		{name: "IPv6 documentation 2", before: "3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff", first: "3fff::", last: "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", after: "3fff:1000::"},
		{name: "above global unicast", before: "3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", first: "4000::", last: "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
		{name: "unique local", first: "fc00::", last: "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
		{name: "IPv6 link-local", first: "fe80::", last: "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
		{name: "IPv6 multicast", first: "ff00::", last: "ff02::1"},
		{name: "local NAT64 prefix", first: "64:ff9b:1::", last: "64:ff9b:1:ffff:ffff:ffff:ffff:ffff"},
		{name: "segment routing", first: "5f00::", last: "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
		{name: "IPv4-compatible", first: "::8.8.8.8", last: "::8.8.8.8"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, p := range []struct {
				addr string
				want bool
			}{{c.before, true}, {c.first, false}, {c.last, false}, {c.after, true}} {
				if p.addr == "" {
					continue
				}
				checkForms(t, netip.MustParseAddr(p.addr), p.want)
			}
		})
	}
}

// checkForms asks for an address in each form it can come in.
func checkForms(t *testing.T, a netip.Addr, want bool) {
	t.Helper()
	forms := []netip.Addr{a}
	if a.Is4() {
		b := a.As4()
		forms = append(forms, netip.AddrFrom16(a.As16()),
			netip.AddrFrom16([16]byte{1: 0x64, 2: 0xff, 3: 0x9b, 12: b[0], 13: b[1], 14: b[2], 15: b[3]}))
	}
	for _, f := range forms {
		if got := Is(f); got != want {
			t.Errorf("Is(%v) = %v, want %v", f, got, want)
		}
		if f.Is6() && Is(f.WithZone("eth0")) {
			t.Errorf("Is(%v) = true, want false for any zone", f.WithZone("eth0"))
		}
	}
}

func TestIsOfNothing(t *testing.T) {
	if Is(netip.Addr{}) {
		t.Error("the zero Addr is public")
	}
}

func TestControl(t *testing.T) {
	for _, c := range []struct {
		address, refused string // refused: in the error's text
	}{
		{"8.8.8.8:25", ""},
		{"[2606:4700::1111]:443", ""},
		{"[64:ff9b::8.8.8.8]:443", ""},
		{"[64:ff9b::10.0.0.1]:443", "64:ff9b::a00:1 is not a public address"},
		{"127.0.0.1:25", "127.0.0.1 is not a public address"},
		{"[::1]:25", "::1 is not a public address"},
		{"[::ffff:192.168.1.1]:25", "::ffff:192.168.1.1 is not a public address"},
		{"[fe80::1%et\u00e9\n]:25", "fe80::1 is not a public address"},
		{"/run/postfix.sock", "what was dialled is not a public address"},
		{"8.8.8.8", "what was dialled is not a public address"},
		{"", "what was dialled is not a public address"},
	} {
		err := Control(t.Context(), "tcp", c.address, nil)
		e, ok := errors.AsType[*Error](err)
		switch {
		case ok != (c.refused != "") || (err != nil) != ok:
			t.Errorf("Control(%q) = %v", c.address, err)
		case ok && (!strings.HasPrefix(e.Error(), c.refused)):
			t.Errorf("Control(%q) = %v; want what was refused", c.address, err)
		case ok && strings.ContainsFunc(e.Error(), func(r rune) bool { return r < ' ' || r > '~' }): // R16
			t.Errorf("Control(%q) = %q; want printable ASCII", c.address, e)
		}
	}
}

// I14: the refusal comes before connect(2), so the listener never hears of it.
func TestDialRefusesBeforeConnect(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	for range 3 {
		conn, err := Dial(t.Context(), "tcp", ln.Addr().String())
		if e, ok := errors.AsType[*Error](err); !ok || e.Addr != netip.MustParseAddr("127.0.0.1") {
			t.Fatalf("Dial = %v, %v; want an *Error for 127.0.0.1", conn, err)
		}
	}
	// The queue of the listener is in order: ours is the first it ever saw.
	ours, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	first, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if first.RemoteAddr().String() != ours.LocalAddr().String() {
		t.Errorf("the listener saw %v first; a refused dial had connected", first.RemoteAddr())
	}
}

func FuzzIs(f *testing.F) {
	for _, s := range []string{"8.8.8.8", "127.0.0.1", "::1", "2001:db8::1", "64:ff9b::7f00:1", "::ffff:10.0.0.1", "fe80::1%eth0", ""} {
		a, _ := netip.ParseAddr(s)
		f.Add(a.AsSlice(), a.Zone())
	}
	f.Fuzz(func(t *testing.T, b []byte, zone string) {
		a, _ := netip.AddrFromSlice(b)
		if Is(a) != Is(a.Unmap()) {
			t.Errorf("Is(%v) = %v, Is(%v) = %v", a, Is(a), a.Unmap(), Is(a.Unmap()))
		}
		if a.Is6() && zone != "" && Is(a.WithZone(zone)) {
			t.Errorf("Is(%q) is true", a.WithZone(zone))
		}
		if Is(a) && (a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsMulticast() || a.IsUnspecified()) {
			t.Errorf("Is(%v) is true", a)
		}
		err := Control(t.Context(), "tcp", netip.AddrPortFrom(a, 25).String(), nil)
		if (err == nil) != Is(a) {
			t.Errorf("Control(%v) = %v, Is = %v", a, err, Is(a))
		}
	})
}
