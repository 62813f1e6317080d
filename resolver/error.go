package resolver

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// Kind is what kept an answer from us. The words are fit for the reason codes of
// a report.
type Kind string

// The kinds. All but KindName and KindUnsupported may pass: ask again later.
const (
	// KindTimeout: no server replied in time.
	KindTimeout Kind = "timeout"
	// KindServFail: the server could not find the answer, or DNSSEC says that it
	// is false (RCODE 2). [Error.Extended] may say more.
	KindServFail Kind = "servfail"
	// KindRefused: the server would not answer: REFUSED, NOTIMP, FORMERR and all
	// other codes, or a referral instead of an answer.
	KindRefused Kind = "refused"
	// KindMalformed: the server replied with something that is no DNS message,
	// or contradicts itself.
	KindMalformed Kind = "malformed"
	// KindChain: the CNAME chain is a loop or has more than eight links. The
	// domain's owner must mend it.
	KindChain Kind = "cname-chain"
	// KindNetwork: no server could be reached, or none is known.
	KindNetwork Kind = "network"
	// KindCanceled: the caller's context ended; [Error.Err] is its error.
	KindCanceled Kind = "canceled"
	// KindName: the name is no DNS name. Nobody was asked.
	KindName Kind = "invalid-name"
	// KindUnsupported: this resolver cannot ask for records of this type.
	KindUnsupported Kind = "unsupported"
)

// rank orders the failures of several servers: what a server said tells more
// than its silence.
func rank(err error) int {
	e, _ := errors.AsType[*Error](err)
	switch e.Kind {
	case KindServFail:
		return 5
	case KindRefused:
		return 4
	case KindMalformed:
		return 3
	case KindNetwork:
		return 2
	}
	return 1
}

// Error says that an answer could not be had: neither that there are records,
// nor that there are none. With several servers it tells of the one that said
// most about the cause.
type Error struct {
	Name   string // the name asked for in A-labels, or what was given in its place, as printable ASCII
	Type   string // the type asked for, such as "TXT"
	Server string // the server that failed, "address:port"; "" where none was asked
	Kind   Kind
	// RCode is the response code (RFC 6895, section 2.3) behind KindServFail and
	// KindRefused; 0 where there is none.
	RCode int
	// Extended holds what the server said of the cause (RFC 8914), at most four.
	// It is not authenticated: for people to read, not to decide by.
	Extended []ExtendedError
	// Err is the cause, or nil. It is, or wraps, the error of the caller's context
	// only if that context ended.
	Err error
}

// ExtendedError is one extended DNS error (RFC 8914, section 2).
type ExtendedError struct {
	Code uint16 // from the IANA registry; 6 is "DNSSEC Bogus"
	Text string // printable ASCII, at most 128 bytes; "" where the server gave none
}

// String returns the registered name of the code, and the text in quotes.
func (e ExtendedError) String() string {
	name, ok := dns.ExtendedErrorCodeToString[e.Code]
	if !ok {
		name = "code"
	}
	s := "EDE " + strconv.Itoa(int(e.Code)) + " " + name
	if e.Text != "" {
		s += ` "` + e.Text + `"`
	}
	return s
}

// bogus reports whether e says that DNSSEC validation failed.
func (e ExtendedError) bogus() bool {
	return e.Code >= dns.ExtendedErrorCodeDNSSECIndeterminate && e.Code <= dns.ExtendedErrorCodeNSECMissing
}

// Error is one line of printable ASCII, at most 512 bytes.
func (e *Error) Error() string {
	var b strings.Builder
	name := e.Name
	if e.Kind == KindName {
		name = strconv.Quote(name)
	}
	fmt.Fprintf(&b, "resolver: %s %s: %s", e.Type, name, e.Kind)
	if e.RCode != 0 && e.Kind == KindRefused {
		if name, ok := dns.RcodeToString[e.RCode]; ok {
			b.WriteString(", " + name)
		} else {
			b.WriteString(", RCODE " + strconv.Itoa(e.RCode))
		}
	}
	if e.Server != "" {
		b.WriteString(" from " + e.Server)
	}
	for _, x := range e.Extended {
		b.WriteString(", " + x.String())
	}
	if e.Err != nil {
		b.WriteString(": " + clean(e.Err.Error(), maxForeign))
	}
	return clean(b.String(), maxLine)
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// Timeout reports whether time was what ran out: ours, or the caller's.
func (e *Error) Timeout() bool {
	return e.Kind == KindTimeout || e.Kind == KindCanceled && errors.Is(e.Err, context.DeadlineExceeded)
}

// Temporary reports whether the same question may have an answer later.
func (e *Error) Temporary() bool { return e.Kind != KindName && e.Kind != KindUnsupported }

// errNoReply stands for every time limit of ours. Those of net and of context
// would pass for the end of the caller's context (R34).
var errNoReply = errors.New("no reply in time")

// ended returns the error of a context that is over. A deadline may have passed
// a moment before the context's own timer says so: package net looks at the
// clock itself.
func ended(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if d, ok := ctx.Deadline(); ok && !time.Now().Before(d) {
		return context.DeadlineExceeded
	}
	return nil
}

// failure makes an Error of what went wrong in an exchange. It never looks like
// the end of the caller's context, which lookup tells apart.
func failure(err error) *Error {
	if m, ok := err.(malformed); ok {
		return &Error{Kind: KindMalformed, Err: m}
	}
	t, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](err)
	if ok && t.Timeout() || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return &Error{Kind: KindTimeout, Err: errNoReply}
	}
	return &Error{Kind: KindNetwork, Err: err}
}

const (
	maxLine    = 512 // bytes of Error()
	maxForeign = 128 // bytes of any part of it that others chose
)

// clean returns s as printable ASCII, at most limit bytes long. Every other byte
// becomes a question mark.
func clean(s string, limit int) string {
	cut := len(s) > limit
	if cut {
		s = s[:limit-3]
	}
	b := []byte(s)
	for i, c := range b {
		if c < ' ' || c > '~' {
			b[i] = '?'
		}
	}
	if cut {
		return string(b) + "..."
	}
	return string(b)
}
