package mtasts

import (
	"log/slog"
	"strconv"
	"time"

	"github.com/strictmx/strictmx/resolver"
	"github.com/strictmx/strictmx/tlsrpt"
)

// Mode is what a policy asks for, spelled as in the policy text (RFC 8461,
// section 5).
type Mode string

// The modes.
const (
	// ModeEnforce: do not deliver to a host that fails the policy.
	ModeEnforce Mode = "enforce"
	// ModeTesting: judge as for enforce, tell, and deliver all the same.
	ModeTesting Mode = "testing"
	// ModeNone: the domain has no policy (any more).
	ModeNone Mode = "none"
)

// Extension is a field that RFC 8461 does not define, in a record or a policy.
type Extension struct{ Name, Value string }

// Problem is something in a policy that was skipped, and why: the policy is
// used without it, and its owner would like to know.
type Problem struct {
	Line   int    // counted from 1 in the text as served; 0: the text as a whole
	Reason string // of the form [a-z0-9-]{1,64}
	Text   string // the line, cleaned and cut; for display alone
}

// Record is the TXT record at "_mta-sts." that says a policy exists, and
// changes its ID when the policy does (RFC 8461, section 3.1).
type Record struct {
	ID         string // 1 to 32 ASCII letters and digits; only equality has a meaning
	Extensions []Extension
}

// Policy is a domain's policy (RFC 8461, section 3.2). Values handed out are
// never changed.
type Policy struct {
	Mode Mode
	// MX holds the patterns that name the domain's MX hosts: lower-case A-labels,
	// "*." in front for exactly one label, in published order.
	MX []string
	// MaxAge is how long the policy holds after the start of the GET that
	// fetched it; at most 31557600 s, where larger values are cut.
	MaxAge time.Duration
	// Extensions are the fields we do not know.
	Extensions []Extension
	// Problems says what was skipped, and why; empty for a clean policy.
	Problems []Problem

	text string // as served, cut to what reports may hold
}

// Cause says why a delivery goes without enforced TLS. There is always exactly
// one; the zero Cause says that a policy is enforced.
type Cause string

// The causes. Package outbound has one more, for exceptions.
const (
	// CauseAbsent: the domain publishes no policy, or can have none.
	CauseAbsent Cause = "absent"
	// CauseFailed: the domain says it has a policy, none could be had, none is held.
	CauseFailed Cause = "failed"
	// CauseIndeterminate: DNS did not answer, and no policy is held.
	CauseIndeterminate Cause = "indeterminate"
	// CauseLapsed: the last policy expired lately and nothing authentic ended it.
	CauseLapsed Cause = "lapsed"
	// CauseNone: the policy's mode is none.
	CauseNone Cause = "none"
	// CauseTesting: the policy's mode is testing.
	CauseTesting Cause = "testing"
)

// Result is what is known of a domain: the decision, and where it comes from.
// The decision is Policy; everything else explains it.
type Result struct {
	// Domain is the recipient domain in A-labels, without a dot at the end; ""
	// for a name that can have no policy, such as an address literal.
	Domain string
	// Policy is in force now. Nil: deliver as though the domain had no MTA-STS.
	Policy *Policy
	// ID is the record's id under which Policy was fetched.
	ID string
	// Fetched is the start of the GET that fetched Policy, Checked the time of
	// the last answer to the question for the id, Expires the end of max_age.
	Fetched, Checked, Expires time.Time
	// Failure is nil or an [*Error]: discovery went wrong though there was reason
	// to expect a policy. It is also set when an older policy still holds.
	Failure error
	// Indeterminate: DNS did not answer and nothing was known. The caller may
	// prefer to wait.
	Indeterminate bool
	// Lapsed is a policy that expired at most 30 days ago while nothing
	// authentic said otherwise. It is not in force; the caller may prefer to wait.
	Lapsed *Policy

	unread bool // that there is no policy was learned while the Store could not be read
}

// Cause says why a delivery under this Result goes without enforced TLS; ""
// when it does not.
func (r Result) Cause() Cause {
	switch {
	case r.Policy != nil && r.Policy.Mode == ModeEnforce:
		return ""
	case r.Policy != nil:
		return Cause(r.Policy.Mode)
	case r.Lapsed != nil:
		return CauseLapsed
	case r.Indeterminate:
		return CauseIndeterminate
	case r.Failure != nil:
		return CauseFailed
	}
	return CauseAbsent
}

// LogValue shows the decision and what it comes from as attributes.
func (r Result) LogValue() slog.Value {
	attrs := []slog.Attr{slog.String("domain", r.Domain)}
	if r.Policy != nil {
		attrs = append(attrs, slog.String("mode", string(r.Policy.Mode)), slog.String("id", r.ID),
			slog.Time("fetched", r.Fetched), slog.Time("expires", r.Expires))
	}
	if cause := r.Cause(); cause != "" {
		attrs = append(attrs, slog.String("cause", string(cause)))
	}
	if r.Failure != nil {
		attrs = append(attrs, slog.String("failure", r.Failure.Error()))
	}
	return slog.GroupValue(attrs...)
}

// Outcome returns the policy and its discovery as a report tells it (RFC 8460,
// section 4.4): the policy applied with the lines as served, and a failure
// where discovery failed. That DNS keeps silent is a failure where a policy
// lapsed lately, and nothing to tell of where there never was one. A domain
// without a policy, or with mode none, gives policy type no-policy-found.
func (r Result) Outcome() tlsrpt.Outcome {
	o := tlsrpt.Outcome{Policy: &tlsrpt.Policy{Type: tlsrpt.NoPolicyFound, Domain: r.Domain}}
	e, _ := r.Failure.(*Error)
	switch {
	case r.Policy != nil && r.Policy.Mode != ModeNone:
		o.Policy = &tlsrpt.Policy{Type: tlsrpt.STS, Domain: r.Domain, Strings: r.Policy.Lines(), MXHosts: r.Policy.MX}
	case r.Policy == nil && e != nil:
		o.Policy = &tlsrpt.Policy{Type: tlsrpt.STS, Domain: r.Domain, Strings: e.Lines}
	case r.Policy == nil && r.Indeterminate && r.Lapsed != nil && r.Lapsed.Mode != ModeNone:
		o.Policy = &tlsrpt.Policy{Type: tlsrpt.STS, Domain: r.Domain}
		o.Failures = []tlsrpt.Failure{{Type: tlsrpt.STSPolicyFetchError, Reason: tlsrpt.ReasonDNS}}
	}
	if e != nil && (r.Policy == nil || r.Policy.Mode != ModeNone) {
		o.Failures = e.TLSFailures()
	}
	return o
}

// Error is a failure to discover a policy that there was reason to expect.
type Error struct {
	Domain string
	Type   tlsrpt.ResultType // one of the three STS types
	Reason string            // what to fix, of the form [a-z0-9-]{1,64}
	Lines  []string          // the beginning of a text that was no policy, as served: never print it as it is
	Err    error             // the cause; may be nil
}

// Error is one line of printable ASCII, at most 512 octets: what failed for
// whom, and the cause as far as it is known.
func (e *Error) Error() string {
	s := "mtasts: " + e.Domain + ": " + string(e.Type) + ": " + e.Reason
	switch cause := e.Err.(type) {
	case nil:
	case *ParseError, *resolver.Error, *resolver.NonPublicError, *remembered: // clean by their own promise
		s += " (" + cause.Error() + ")"
	default:
		s += " (" + strconv.QuoteToASCII(clean(cause.Error())) + ")"
	}
	return s[:min(len(s), maxErrorText)]
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// TLSFailures says how a report tells this error.
func (e *Error) TLSFailures() []tlsrpt.Failure {
	return []tlsrpt.Failure{{Type: e.Type, Reason: e.Reason}}
}
