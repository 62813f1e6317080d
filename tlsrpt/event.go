package tlsrpt

import (
	"net/netip"
	"time"
)

// Policy is a policy as reports show it (RFC 8460, section 4.4). It may be shared
// between events, and is never changed after it was made.
type Policy struct {
	Type PolicyType `json:"policy-type"`
	// Strings are the lines of the policy as served, or its TLSA records as
	// text (section 4.5); nil where there is no policy or none could be had. They
	// are the words of a stranger, valid UTF-8 and bounded: never print them as
	// they are.
	Strings []string `json:"policy-string,omitempty"`
	// Domain is the policy domain in A-labels: the recipient domain or smart
	// host for STS and NoPolicyFound, the TLSA base domain for TLSA.
	Domain string `json:"policy-domain"`
	// MXHosts are the mx patterns of an STS policy, in A-labels; nil for others.
	MXHosts []string `json:"mx-host,omitempty"`
}

// Failure is one thing that went wrong in a session.
type Failure struct {
	Type ResultType `json:"result-type"`
	// Reason is the failure-reason-code: a word of our closed vocabulary, of
	// the form [a-z0-9-]{1,64} and never a text from the network; "" where the
	// type says it all.
	Reason string `json:"failure-reason-code,omitempty"`
	// Info is the additional-information: an absolute URI, or "".
	Info string `json:"additional-information,omitempty"`
}

// String is the failure in a few words, such as "certificate-not-trusted
// (self-signed)".
func (f Failure) String() string {
	if f.Reason == "" || f.Reason == string(f.Type) {
		return string(f.Type)
	}
	return string(f.Type) + " (" + f.Reason + ")"
}

// Outcome is what one policy made of a session. An Outcome without failures
// says that the session satisfied the policy.
type Outcome struct {
	Policy   *Policy   `json:"policy"` // never nil in an Event
	Failures []Failure `json:"failure-details,omitempty"`
}

// Event is one session: one attempt at TLS with one host on one connection,
// judged by every policy in force. It is what TLS-RPT counts (RFC 8460,
// section 4.2). Nothing in it is changed once it was handed out. As JSON it uses
// the words of a report, for logs and queues; a report holds sums of events.
type Event struct {
	// Time of the session: when it was clear what became of it. Its UTC day is the
	// day of the report that counts it.
	Time time.Time `json:"time"`
	// Domain is the recipient domain or smart host, whose TLS-RPT record says
	// who wants to know.
	Domain string `json:"domain"`
	// MXHost is the MX host tried, in A-labels.
	MXHost string `json:"receiving-mx-hostname"`
	// HELO is the server's name as it gave it in its EHLO reply or greeting; ""
	// where it gave none that is a name or an address literal.
	HELO string `json:"receiving-mx-helo,omitempty"`
	// SendingIP and ReceivingIP are zero where no connection was made, and where
	// the address is not public.
	SendingIP   netip.Addr `json:"sending-mta-ip,omitzero"`
	ReceivingIP netip.Addr `json:"receiving-ip,omitzero"`
	// Outcomes has one element for each policy in force, at least one.
	Outcomes []Outcome `json:"policies"`
}

// Observer is told about every session. Observe is called on the delivery
// path: it must not block, and must be safe for concurrent use.
type Observer interface{ Observe(Event) }

// ObserverFunc is a function as an [Observer].
type ObserverFunc func(Event)

// Observe calls f(e).
func (f ObserverFunc) Observe(e Event) { f(e) }
