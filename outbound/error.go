package outbound

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/strictmx/strictmx/tlsrpt"
)

// ErrRetryInClear: hang up, dial the same address again, and go on without a
// Session. TLS failed so that the connection is of no use any more, and nothing
// demands TLS: no enforced policy, no Exception, no RequireTLS. It never comes
// together with an [*Error]. [Session.Connect] does this by itself and never returns it.
var ErrRetryInClear = errors.New("outbound: TLS failed and nothing asks for it: hang up and retry in clear")

// Error says why a host, or all of a domain, may not get the mail now. Go on to
// the next host; when there is none, answer with the codes, which are 451 and
// 4.7.5 where a policy refused.
type Error struct {
	// Domain is the recipient domain. Host is the host that was tried; "" where
	// none was.
	Domain, Host string
	// Outcomes are what the policies made of the session, as the Observer was
	// told; nil where it did not come to a session.
	Outcomes []tlsrpt.Outcome
	// Code and EnhancedCode are for the sender of the mail: an SMTP reply code
	// (RFC 5321) and an enhanced status code (RFC 3463).
	Code         int
	EnhancedCode [3]int
	// Err is the cause; may be nil.
	Err error

	wanted string // what would have been good enough; "" where no policy refused
	policy string // which policy said so, and how old it is
	plan   *Plan  // what held; nil where it did not come to one
	level  Level  // of the session, where a host failed after it
	text   string // the host's own words, where it answered a command
}

// Temporary reports whether the mail should be tried again later.
func (e *Error) Temporary() bool { return e.Code < 500 }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Error is one line of printable ASCII, at most 512 octets: who was refused,
// what was found, what was wanted, and what says so. What others said is quoted.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("outbound: ")
	if e.Domain != "" {
		b.WriteString(cut(e.Domain))
		if e.Host != "" {
			b.WriteString(" via " + cut(e.Host))
		}
		b.WriteString(": ")
	}
	fmt.Fprintf(&b, "%d %d.%d.%d", e.Code, e.EnhancedCode[0], e.EnhancedCode[1], e.EnhancedCode[2])
	if reason := e.reason(); reason != "" {
		b.WriteString(": " + reason)
	}
	return clean(b.String(), maxErrorText)
}

// reason is the error without who and which code.
func (e *Error) reason() string {
	var b strings.Builder
	if found := describe(e.Outcomes); found != "" {
		fmt.Fprintf(&b, "found %s", found)
	}
	if e.Err != nil {
		if b.Len() > 0 {
			b.WriteString(": ")
		}
		b.WriteString(explain(e.Err))
	}
	if e.wanted != "" {
		fmt.Fprintf(&b, "; wanted %s", e.wanted)
	}
	if e.policy != "" {
		fmt.Fprintf(&b, "; %s", e.policy)
	}
	return b.String()
}

// LogValue shows the parts of the error as attributes.
func (e *Error) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("domain", e.Domain),
		slog.String("host", e.Host),
		slog.Int("code", e.Code),
		slog.String("found", describe(e.Outcomes)),
		slog.String("error", e.Error()),
	)
}

// describe lists failures in the words of the reports.
func describe(outcomes []tlsrpt.Outcome) string {
	var words []string
	for _, o := range outcomes {
		for _, f := range o.Failures {
			words = append(words, f.String())
		}
	}
	return strings.Join(words, ", ")
}

// status is a reply for the sender of the mail.
type status struct {
	code     int
	enhanced [3]int
}

// The replies we give of our own accord (RFC 3463, RFC 8461, section 5, RFC 8689,
// section 4.2.1). All are temporary: what a policy refuses today it may allow
// tomorrow (R12, AMB-22).
var (
	refused     = status{451, [3]int{4, 7, 5}}  // a policy's failure
	noTLS       = status{451, [3]int{4, 7, 10}} // REQUIRETLS and no TLS at all: 550 in RFC 8689, but a "no" in clear is anybody's (R12, AMB-30)
	later       = status{451, [3]int{4, 7, 0}}  // it could not be decided
	unreachable = status{451, [3]int{4, 4, 1}}  // no connection
	broken      = status{451, [3]int{4, 4, 2}}  // the connection broke, or what came was not SMTP
)

// fail returns the error for a host, or for the domain where host is "".
func (p *Plan) fail(host string, s status, err error) *Error {
	if errors.Is(err, ErrRetryInClear) { // R36
		err = errors.New(err.Error())
	}
	return &Error{Domain: p.name(), Host: host, Code: s.code, EnhancedCode: s.enhanced, Err: err, plan: p}
}

// refusal returns the error for a host that does not satisfy what is demanded.
func (p *Plan) refusal(host string, s status, o tlsrpt.Outcome, err error) *Error {
	e := p.fail(host, s, err)
	e.Outcomes = []tlsrpt.Outcome{o}
	e.wanted, e.policy = p.wanted(), p.source()
	return e
}

// wanted says what is demanded of a host, and by whom.
func (p *Plan) wanted() string {
	var b strings.Builder
	if p.delivery.RequireTLS {
		b.WriteString("for REQUIRETLS ")
	}
	switch {
	case p.named && p.judged:
		fmt.Fprintf(&b, "a host that the policy names [%s] with ", cut(strings.Join(p.result.Policy.MX, " ")))
	case p.named:
		b.WriteString("a host that a policy names, and there is none, with ")
	}
	b.WriteString("a valid certificate for its name over TLS 1.2 or later")
	if p.exception == Verify {
		b.WriteString(", by the operator's exception")
	}
	return b.String()
}

// source says which policy is in force, and how old what we know is.
func (p *Plan) source() string {
	r := p.result
	if r.Policy == nil {
		return "no policy (" + string(r.Cause()) + ")"
	}
	if r.Fetched.IsZero() {
		return fmt.Sprintf("policy %s, id %s", r.Policy.Mode, quote(r.ID))
	}
	return fmt.Sprintf("policy %s, id %s, fetched %s, expires %s", r.Policy.Mode, quote(r.ID), stamp(r.Fetched), stamp(r.Expires))
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
