package outbound

import (
	"errors"

	"github.com/strictmx/strictmx/mtasts"
)

// Receipt is what became of a message for one recipient.
type Receipt struct {
	// Recipient is the address as given in the Envelope, Domain the domain of it,
	// in A-labels; "" where the address is none.
	Recipient, Domain string
	// Host is the host whose word this is, and Level how far its session could be
	// trusted; "" and Clear where it did not come to a session.
	Host  string
	Level Level
	// Code and EnhancedCode are the host's reply, or ours where it gave none
	// (RFC 5321, section 4.2; RFC 3463). Text is what to put after them in an SMTP
	// reply or a bounce: the host's own words where it answered a command of the
	// transaction, else what was wrong; one line of printable ASCII, at most 512
	// octets, without the codes.
	Code         int
	EnhancedCode [3]int
	Text         string
	// Policy is what held for the domain that was delivered to, which is the smart
	// host's where there is one; zero where nobody asked, since the address is none
	// or DNS knows no way to the domain.
	Policy mtasts.Result
	// Cause says why no policy was enforced, as [Plan.Cause] does; "" where one
	// was, and where none was asked for.
	Cause mtasts.Cause
	// Err is nil where the host took the message. Otherwise it is an [*Error];
	// of several hosts that failed, it is the one that explains most.
	Err error
}

// Temporary reports whether the message should be tried again later for this
// recipient. It is false where the host took the message, and where it is to be
// returned to its sender.
func (r Receipt) Temporary() bool { return r.Err != nil && r.Code < 500 }

// of notes what held when the message went, or did not.
func (r Receipt) of(p *Plan) Receipt {
	if p != nil {
		r.Policy, r.Cause = p.Result(), p.Cause()
	}
	return r
}

// Receipt is the Receipt of a delivery to a domain that ended with e: what
// SendMail would return, but for the Recipient.
func (e *Error) Receipt() Receipt {
	r := Receipt{Domain: e.Domain, Host: e.Host, Level: e.level, Code: e.Code, EnhancedCode: e.EnhancedCode, Text: e.text, Err: e}
	if r.Text == "" {
		r.Text = clean(e.reason(), maxReplyText)
	}
	return r.of(e.plan)
}

// Verdict is what the errors of a delivery come to, where no host took the mail:
// the one to answer with. It is permanent only where all are, since the mail is
// not lost while one host might take it; of the others it is the first that a
// policy is behind, since that can be acted on, or else the first. An error that
// is no [*Error] is taken for a connection that broke, a reply to an SMTP client
// of your own, too: where a host answers MAIL, RCPT or DATA with 5xx, that is the
// answer, and not for Verdict. Without errors it is a nil *Error, not to be
// returned as an error.
func Verdict(errs []error) *Error {
	var telling *Error
	for _, err := range errs {
		e, ok := errors.AsType[*Error](err)
		if !ok {
			e = &Error{Code: broken.code, EnhancedCode: broken.enhanced, Err: err}
		}
		if telling == nil || e.weight() > telling.weight() {
			telling = e
		}
	}
	return telling
}

// weight orders the errors of several hosts.
func (e *Error) weight() int {
	switch {
	case !e.Temporary():
		return 1
	case e.Outcomes == nil:
		return 2
	}
	return 3
}
