package outbound

import "errors"

// Receipt is what became of a message for one recipient.
type Receipt struct {
	// Recipient is the address as given in the Envelope, Domain what mail to it
	// is sent by, in A-labels; "" where the address is none.
	Recipient, Domain string
	// Host is the host whose word this is, and Level how far its session could be
	// trusted; "" and Clear where it did not come to a session.
	Host  string
	Level Level
	// Code and EnhancedCode are the host's reply, or ours where it gave none
	// (RFC 5321, section 4.2; RFC 3463). Text goes with them: one line of
	// printable ASCII, at most 512 octets.
	Code         int
	EnhancedCode [3]int
	Text         string
	// Err is nil where the host took the message. Otherwise it is an [*Error];
	// of several hosts that failed, it is the one that explains most.
	Err error
}

// Temporary reports whether the message should be tried again later for this
// recipient. It is false where the host took the message, and where it is to be
// returned to its sender.
func (r Receipt) Temporary() bool { return r.Err != nil && r.Code < 500 }

// receiptOf is the Receipt of a failure.
func receiptOf(e *Error) Receipt {
	r := Receipt{Domain: e.Domain, Host: e.Host, Code: e.Code, EnhancedCode: e.EnhancedCode, Err: e}
	if e.Err != nil {
		r.Text = clean(e.Err.Error(), maxReplyText)
	} else {
		r.Text = clean(e.Error(), maxReplyText)
	}
	return r
}

// weight orders the failures of several hosts. One that may pass outweighs those
// that will not, since as long as one host might take the mail it is not lost; a
// policy's refusal outweighs a connection that failed, since it can be acted on.
func (r Receipt) weight() int {
	e, ok := errors.AsType[*Error](r.Err)
	switch {
	case !ok:
		return 0
	case !e.Temporary():
		return 1
	case e.Outcomes == nil:
		return 2
	}
	return 3
}
