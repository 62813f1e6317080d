package tlsrpt

import (
	"context"
	"strconv"

	"github.com/strictmx/strictmx/internal/dnsname"
	"github.com/strictmx/strictmx/internal/tagvalue"
	"github.com/strictmx/strictmx/resolver"
)

const (
	recordPrefix = "_smtp._tls." // RFC 8460, section 3
	maxName      = 253           // octets of a name in text form, RFC 1035, section 2.3.4
)

// Resolver looks up TXT records, each with its character-strings joined. A
// [*resolver.Client] is one.
type Resolver interface {
	TXT(ctx context.Context, name string) (resolver.Answer[string], error)
}

// Lookup asks DNS who wants reports about a domain: the recipient domain, or the
// smart host's where one is used (RFC 8460, section 1.1). A record of a parent
// domain does not count. If r is nil, a zero [resolver.Client] is used.
//
// An error means that it could not be learned, because DNS did not answer or
// ctx ended: keep what there is to report and try later. That nobody wants
// reports is no error: the Record then has no RUA and a Problem that says why,
// whether there is no record, more than one, or one that is malformed. Nor
// is a name that can have no record, such as an address literal, and nobody
// is asked.
func Lookup(ctx context.Context, r Resolver, domain string) (Record, error) {
	name, err := dnsname.Domain(domain)
	if err != nil || len(recordPrefix)+len(name) > maxName {
		return noRecord(ReasonTLSRPTMissing, domain), nil
	}
	if r == nil {
		r = new(resolver.Client)
	}
	a, err := r.TXT(ctx, recordPrefix+name)
	if err != nil {
		return Record{}, &lookupError{domain: name, err: err}
	}
	txt, err := tagvalue.Select(a.Records, recordVersion)
	switch err {
	case nil:
	case tagvalue.ErrSeveral:
		return noRecord(ReasonTLSRPTMultiple, name), nil
	default:
		return noRecord(ReasonTLSRPTMissing, name), nil
	}
	rec, err := ParseRecord(txt)
	if e, ok := err.(*RecordError); ok {
		return Record{Problems: []Problem{Problem(*e)}}, nil
	}
	return rec, nil
}

func noRecord(reason, domain string) Record {
	return Record{Problems: []Problem{{Text: cleanText(domain), Reason: reason}}}
}

// lookupError is the error of a resolver, whose text may come from a stranger (R16).
type lookupError struct {
	domain string
	err    error
}

func (e *lookupError) Error() string {
	return "tlsrpt: looking up who wants reports about " + e.domain + ": " + strconv.QuoteToASCII(cleanText(e.err.Error()))
}

func (e *lookupError) Unwrap() error { return e.err }
