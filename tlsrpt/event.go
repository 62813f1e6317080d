package tlsrpt

import (
	"net/netip"
	"time"
)

// Policy is a policy as reports show it (RFC 8460, section 4.4). A Policy is
// shared between events and never changed after it was made.
type Policy struct {
	Type PolicyType
	// Domain is the policy domain in A-labels: the recipient domain or smart
	// host for STS and NoPolicyFound, the TLSA base domain for TLSA.
	Domain string
	// Strings are the lines of the policy as served, or its TLSA records as
	// text (section 4.5); nil where there is no policy or none could be had.
	Strings []string
	// MXHosts are the mx patterns of an STS policy, in A-labels; nil for others.
	MXHosts []string
}

// Failure is one thing that went wrong in a session.
type Failure struct {
	Type ResultType
	// Reason is the failure-reason-code: a word of our closed vocabulary, of
	// the form [a-z0-9-]{1,64} and never a text from the network; "" where the
	// type says it all.
	Reason string
	// Info is the additional-information: an absolute URI, or "".
	Info string
}

// Outcome is what one policy made of a session. An Outcome without failures
// says that the session satisfied the policy.
type Outcome struct {
	Policy   *Policy // never nil in an Event
	Failures []Failure
}

// Event is one session: one attempt at TLS with one host on one connection,
// judged by every policy in force. It is what TLS-RPT counts (RFC 8460,
// section 4.2). Nothing in it is changed once it was handed out.
type Event struct {
	// Time of the session; its UTC day is the day of the report that counts it.
	Time time.Time
	// Domain is the recipient domain or smart host, whose TLS-RPT record says
	// who wants to know.
	Domain string
	// MXHost is the MX host tried, in A-labels.
	MXHost string
	// HELO is the server's name as it gave it in its EHLO reply or greeting; ""
	// where it gave none that is a name or an address literal.
	HELO string
	// SendingIP and ReceivingIP are zero where no connection was made, and where
	// the address is not public.
	SendingIP, ReceivingIP netip.Addr
	// Outcomes has one element for each policy in force, at least one.
	Outcomes []Outcome
}

// Observer is told about every session. Observe is called on the delivery
// path: it must not block, and must be safe for concurrent use.
type Observer interface{ Observe(Event) }

// ObserverFunc is a function as an [Observer].
type ObserverFunc func(Event)

// Observe calls f(e).
func (f ObserverFunc) Observe(e Event) { f(e) }
