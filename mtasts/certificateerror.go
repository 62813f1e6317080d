package mtasts

import (
	"slices"
	"strconv"
	"strings"

	"github.com/strictmx/strictmx/tlsrpt"
)

// CertificateError says why a host's certificates do not prove that it is the
// host. It unwraps to the errors of crypto/x509, so that errors.As finds an
// [x509.UnknownAuthorityError], an [x509.HostnameError] and an
// [x509.CertificateInvalidError] each.
type CertificateError struct {
	// Host is the name wanted, in A-labels; "" where it is no DNS name.
	Host string
	// Failures has everything that is wrong, each once, at least one: first the
	// dates of the host's own certificate, then its names, then the chain.
	Failures []tlsrpt.Failure

	texts []string // what was found, for each failure; printable ASCII
	errs  []error
}

const maxErrorText = 512 // octets of Error(), R16

// Error is one line of printable ASCII, at most 512 octets: what was found and
// what was wanted. Names from the certificates are quoted and cut.
func (e *CertificateError) Error() string {
	texts := e.texts
	if len(texts) == 0 { // made by somebody else
		for _, f := range e.Failures {
			f = f.Clean()
			texts = append(texts, strings.TrimSuffix(string(f.Type)+" "+f.Reason, " "))
		}
	}
	s := "mtasts: certificate"
	if e.Host != "" {
		s += " of " + e.Host
	}
	s += ": " + strings.Join(texts, "; ")
	if len(s) > maxErrorText {
		s = s[:maxErrorText-len("...")] + "..."
	}
	return s
}

// Unwrap returns the errors of crypto/x509.
func (e *CertificateError) Unwrap() []error { return e.errs }

// TLSFailures says how a report tells this error.
func (e *CertificateError) TLSFailures() []tlsrpt.Failure { return slices.Clone(e.Failures) }

// finding is one failure, what was found, and the error of x509 if any.
type finding struct {
	typ    tlsrpt.ResultType
	reason string
	text   string
	err    error
}

func (e *CertificateError) add(findings ...finding) {
	for _, f := range findings {
		failure := tlsrpt.Failure{Type: f.typ, Reason: f.reason}
		if slices.Contains(e.Failures, failure) {
			continue
		}
		e.Failures = append(e.Failures, failure)
		e.texts = append(e.texts, f.text)
		if f.err != nil {
			e.errs = append(e.errs, f.err)
		}
	}
}

// quoteForeign returns s for an error, cut and in quotes.
func quoteForeign(s string) string { return strconv.Quote(clean(s)) }
