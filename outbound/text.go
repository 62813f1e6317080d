package outbound

import (
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/strictmx/strictmx/internal/dnsname"
	"github.com/strictmx/strictmx/internal/publicaddr"
	"github.com/strictmx/strictmx/tlsrpt"
)

// What others sent us is hostile: it is shown cleaned and cut (R16).
const (
	maxErrorText   = 512
	maxForeignText = 128
)

// clean returns at most limit octets of s, on one line of printable ASCII.
func clean(s string, limit int) string {
	isForeign := func(r rune) bool { return r < ' ' || r > '~' }
	if len(s) > limit {
		s = s[:limit-len("...")] + "..."
	}
	if strings.IndexFunc(s, isForeign) < 0 {
		return s
	}
	b := []byte(s)
	for i, c := range b {
		if c < ' ' || c > '~' {
			b[i] = '?'
		}
	}
	return string(b)
}

// cut is clean for one foreign part of a text.
func cut(s string) string { return clean(s, maxForeignText) }

// quote shows a foreign text in quotes.
func quote(s string) string {
	if len(s) > maxForeignText {
		s = s[:maxForeignText] + "..."
	}
	return strconv.QuoteToASCII(s)
}

// shown is a name or an address as errors show it: canonical where it is one,
// else quoted.
func shown(name string) string {
	if canonical, err := dnsname.Host(name); err == nil {
		return canonical
	}
	switch a, ok := parseAddress(name); {
	case ok && strings.HasPrefix(name, "["):
		return literal(a)
	case ok:
		return a.String()
	}
	return quote(name)
}

// parseAddress reads an address, with or without brackets.
func parseAddress(s string) (netip.Addr, bool) {
	if inner, ok := strings.CutPrefix(s, "["); ok {
		if s, ok = strings.CutSuffix(inner, "]"); !ok {
			return netip.Addr{}, false
		}
		if tag := "ipv6:"; len(s) > len(tag) && equalASCII(s[:len(tag)], tag) {
			s = s[len(tag):] // RFC 5321, section 4.1.3
		}
	}
	a, err := netip.ParseAddr(s)
	return a, err == nil && a.Zone() == ""
}

// literal is an address as SMTP writes it (RFC 5321, section 4.1.3).
func literal(a netip.Addr) string {
	switch a = a.Unmap(); {
	case a.Is4():
		return "[" + a.String() + "]"
	case !a.IsValid():
		return "localhost"
	}
	return "[IPv6:" + a.WithZone("").String() + "]"
}

// heloName returns the name that a server gives itself in its greeting or its
// reply to EHLO, which is the first word there. What is no name, and what
// tells of addresses inside a network, is dropped (R16).
func heloName(text string) string {
	word := text
	if end := strings.IndexAny(text, " \t\r\n"); end >= 0 {
		word = text[:end]
	}
	if name, err := dnsname.Host(word); err == nil {
		return name
	}
	if a, ok := parseAddress(word); ok && strings.HasPrefix(word, "[") && publicaddr.Is(a) {
		return literal(a)
	}
	return ""
}

// publicIP returns the address of one end of a connection for an event; zero
// where it is not on the public Internet.
func publicIP(a net.Addr) netip.Addr {
	ip := addrOf(a)
	if !publicaddr.Is(ip) {
		return netip.Addr{}
	}
	return ip
}

func addrOf(a net.Addr) netip.Addr {
	if tcp, ok := a.(*net.TCPAddr); ok && tcp != nil {
		return tcp.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

// equalASCII compares without regard to case, for lower-case ASCII words. The
// case folding of Unicode would find letters in other scripts.
func equalASCII(s, lower string) bool {
	if len(s) != len(lower) {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// merge returns a with what is new in b. It does not change what a shares with
// others.
func merge(a, b []tlsrpt.Failure) []tlsrpt.Failure {
	a = slices.Clip(a)
	for _, f := range b {
		if !slices.Contains(a, f) {
			a = append(a, f)
		}
	}
	return a
}
