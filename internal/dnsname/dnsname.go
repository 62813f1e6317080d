// Package dnsname holds the one canonical form of a DNS name: lower-case
// A-labels, no trailing dot. Every name that is compared, queried, kept or
// shown passes through it, so two spellings of one name cannot be told apart
// by accident, and a hostile one goes no further.
package dnsname

import (
	"errors"
	"net/netip"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"
)

const (
	maxName  = 253 // octets of a name in text form, RFC 1035, section 2.3.4
	maxLabel = 63
	// A policy domain must leave room for the longest prefix we put before it,
	// "_smtp._tls." and "_mta-sts." being 11 and 9 octets; the shorter one
	// decides whether a domain can have a policy at all (STS-08).
	maxDomain = maxName - len("_mta-sts.")
)

var (
	// ErrInvalid says that a string is no DNS name.
	ErrInvalid = errors.New("not a DNS name")
	// ErrAddress says that a string is an IP address or has the shape of one:
	// nobody can publish anything for it.
	ErrAddress = errors.New("an IP address, not a DNS name")
)

// Host returns the canonical form of a host name. It fails with [ErrInvalid],
// or with [ErrAddress] for an IP address with or without brackets. A name
// already in canonical form is returned as it is, without an allocation.
func Host(name string) (string, error) { return canonical(name, maxName) }

// Domain is Host for a recipient domain, whose names for policy and records
// must fit into DNS as well.
func Domain(name string) (string, error) { return canonical(name, maxDomain) }

func canonical(name string, limit int) (string, error) {
	err := check(name, limit)
	if err == nil {
		return name, nil
	}
	if isLiteral(name) {
		return "", ErrAddress
	}
	name = strings.TrimSuffix(name, ".")
	if !IsASCII(name) {
		if len(name) > 4*maxName || !utf8.ValidString(name) { // no name whose A-labels fit is longer
			return "", ErrInvalid
		}
		if name, err = idna.Lookup.ToASCII(name); err != nil {
			return "", ErrInvalid
		}
	}
	name = Lower(name)
	if err = check(name, limit); err != nil {
		return "", err
	}
	return name, nil
}

// isLiteral reports whether name is an address in a form that has bytes no
// name has: "[192.0.2.1]", "[IPv6:2001:db8::1]", "2001:db8::1".
func isLiteral(name string) bool {
	if strings.HasPrefix(name, "[") {
		return true
	}
	if !strings.Contains(name, "::") && strings.Count(name, ":") < 7 {
		return false // a port, not IPv6; IPv4 is check's
	}
	_, err := netip.ParseAddr(name)
	return err == nil
}

// check looks at every byte of a canonical name once. The last label alone
// decides whether the name has the shape of an IPv4 address: no top-level
// domain is a number (RFC 3696, section 2), and what reads addresses as C does
// takes 127.0x1 for one, too.
func check(name string, limit int) error {
	label, digits := 0, true
	for i := 0; i < len(name); i++ {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', c == '-', c == '_':
			label++
			digits = false
		case '0' <= c && c <= '9':
			label++
		case c == '.' && label > 0:
			label, digits = 0, true
		default:
			return ErrInvalid
		}
		if label > maxLabel {
			return ErrInvalid
		}
	}
	switch {
	case label == 0 || len(name) > limit:
		return ErrInvalid
	case digits, isHex(name[len(name)-label:]):
		return ErrAddress
	}
	return nil
}

// isHex reports whether a label is a number as C writes it, such as 0x7f.
func isHex(label string) bool {
	return strings.HasPrefix(label, "0x") && strings.Trim(label[2:], "0123456789abcdef") == ""
}

// Lower maps A to Z alone: the case folding of Unicode knows letters outside
// ASCII that fold into it, such as the Kelvin sign. A string that has none of
// them is returned as it is.
func Lower(s string) string {
	for i := 0; i < len(s); i++ {
		if 'A' <= s[i] && s[i] <= 'Z' {
			b := []byte(s)
			for ; i < len(b); i++ {
				b[i] = LowerByte(b[i])
			}
			return string(b)
		}
	}
	return s
}

// LowerByte is Lower for one byte.
func LowerByte(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

// EqualFold compares as DNS does: A to Z alone have two cases.
func EqualFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	if a == b {
		return true
	}
	for i := 0; i < len(a); i++ {
		if LowerByte(a[i]) != LowerByte(b[i]) {
			return false
		}
	}
	return true
}

// IsASCII reports whether s has no byte above 127.
func IsASCII[T string | []byte](s T) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// Labels returns how many labels a canonical name has.
func Labels(name string) int { return strings.Count(name, ".") + 1 }

// Parent returns the registrable domain of a canonical name: the party that
// can make up any number of names below it, and whose share is bounded as a
// whole. A name that is itself a public suffix is its own parent.
func Parent(name string) string {
	parent, err := publicsuffix.EffectiveTLDPlusOne(name)
	if err != nil {
		return name
	}
	return parent
}
