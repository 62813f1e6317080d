package resolver

import "time"

// Answer is what DNS said. A name without records of the type asked for is an
// answer, too: Records is empty, and TTL says how long that may be believed.
type Answer[T any] struct {
	Records []T
	// TTL is the smallest along the way from the name to the records; for an
	// answer without records it comes from the zone's SOA record (RFC 2308,
	// section 5). Negative: not known.
	TTL time.Duration
	// NXDomain says that the name, or the one its CNAMEs lead to, does not exist at
	// all, for any type (RFC 6604, section 3).
	NXDomain bool
	// Secure says that a validating resolver which is trusted to say so found
	// the whole answer secure (the AD bit; RFC 4035, section 3.2.3).
	Secure bool
	// CanonicalName is the name at the end of the CNAME chain, or the name asked
	// for; in A-labels, without trailing dot.
	CanonicalName string
}

// MX is one MX record. Host is as published, in lower case and without its
// trailing dot; "" is the root, a null MX (RFC 7505). It is not yet known to be
// a valid host name.
type MX struct {
	Preference uint16
	Host       string
}

// TLSA is one TLSA record (RFC 6698, section 2.1).
type TLSA struct {
	Usage, Selector, MatchingType uint8
	Data                          []byte
}
