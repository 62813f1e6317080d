package mtasts

import (
	"strings"

	"github.com/strictmx/strictmx/internal/dnsname"
)

// Match reports whether the policy names host, the name in an MX record (RFC
// 8461, section 4.1). Any one pattern will do; "*." stands for exactly one
// label. Case and a trailing dot do not count, and U-labels are converted.
// Nothing but a host name matches: no address, no wildcard. It does not look at
// the mode.
func (p *Policy) Match(host string) bool {
	asGiven := host
	host = strings.TrimSuffix(host, ".")
	dot := strings.IndexByte(host, '.')
	for _, pattern := range p.MX {
		// What equals a pattern has the form of one, so that only the label under
		// the "*" remains to be looked at. A host that matches nothing is never
		// looked at in full.
		if base, ok := strings.CutPrefix(pattern, "*"); ok && strings.HasPrefix(base, ".") {
			if dot > 0 && dnsname.EqualFold(host[dot:], base) && isLabel(host[:dot]) {
				return isHost(host)
			}
		} else if dnsname.EqualFold(host, pattern) {
			return isHost(host)
		}
	}
	if dnsname.IsASCII(host) {
		return false
	}
	name, err := dnsname.Host(asGiven)
	return err == nil && p.Match(name) // once: name is ASCII
}

// isPattern reports whether s is an mx value: a Domain of RFC 5321, section
// 4.1.2, or "*." and one (RFC 8461, section 3.2). A dot at the end, a lone "*", a
// U-label or an underscore make it none.
func isPattern(s string) bool {
	if len(s) > 253 {
		return false
	}
	s = strings.TrimPrefix(s, "*.")
	label := 0
	for i := 0; i < len(s); i++ {
		switch c := dnsname.LowerByte(s[i]); {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
			label++
		case c == '-' && label > 0:
			label++
		case c == '.' && label > 0 && s[i-1] != '-':
			label = 0
		default:
			return false
		}
		if label > 63 {
			return false
		}
	}
	return label > 0 && s[len(s)-1] != '-'
}

// isHost refuses what has a pattern's form and is still no host name: too long
// under a wildcard, or an IP address, which has no DNS-ID to verify (STS-117).
func isHost(name string) bool {
	return name != "" && len(name) <= 253 && !isAddress(name)
}

// isAddress reports whether the last label is a number: no top-level domain is
// one, so the name is an IPv4 address or nothing (RFC 3696, section 2).
func isAddress(name string) bool {
	for i := len(name) - 1; i >= 0 && name[i] != '.'; i-- {
		if name[i] < '0' || name[i] > '9' {
			return false
		}
	}
	return true
}

// isLabel takes the letters that [dnsname.Host] takes, in either case: an MX
// host may have an underscore where a pattern may not.
func isLabel(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := dnsname.LowerByte(s[i]); (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return s != "" && len(s) <= 63
}
