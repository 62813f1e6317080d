// Package collect counts TLS sessions by day and tells the domains concerned.
//
// Whoever sends mail sees faults that the owner of the recipient domain cannot
// see. TLS-RPT (RFC 8460) is how to tell: once a day, for each domain that asks
// for it, how many sessions its policies approved and how many failed, and why.
//
// A [Collector] is a [tlsrpt.Observer]: give it to whatever makes events. It counts in
// memory, which is bounded against hostile hosts and junk domains, and what finds
// no room is itself counted.
package collect
