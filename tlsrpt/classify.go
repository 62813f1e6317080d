package tlsrpt

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"reflect"
	"slices"
	"strings"
	"syscall"
)

const (
	maxFailures = 16  // of one session; no honest session has a third of it
	maxErrors   = 256 // nodes of one error tree that are looked at
	maxInfo     = 512 // octets of an additional-information
)

// Classify says how a report tells err, the error that a TLS session with a
// host ended with: one Failure for each distinct thing that went wrong, in the
// order in which they stand in the error tree. It knows the errors of
// crypto/tls, crypto/x509, net, context and io, and looks into wrapped and
// joined errors. An error with a method TLSFailures() []Failure speaks for
// itself, and what it wraps is not looked at.
//
// Classify(nil) is nil. For any other error there is at least one Failure, so
// that a failed session is never taken for a good one: an unknown error gives
// [ValidationFailure] with [ReasonUnknown]. Whether a failure is worth telling
// is the caller's knowledge: one of TCP, before any byte of TLS, is not (RFC
// 8460, section 4.3.4).
func Classify(err error) []Failure {
	if err == nil {
		return nil
	}
	c := classifier{fallback: ReasonUnknown}
	c.walk(err)
	if len(c.found) == 0 {
		c.add(ValidationFailure, c.fallback)
	}
	return c.found
}

// Clean returns f fit for a report: a type that is not registered becomes
// ValidationFailure, a reason outside the form [a-z0-9-]{1,64} becomes
// [ReasonUnknown], and so does a missing one where the type needs it; an Info
// that is no absolute URI, or a long one, is dropped.
func (f Failure) Clean() Failure {
	if !registered(f.Type) {
		f.Type = ValidationFailure
	}
	if (f.Reason != "" || f.Type == ValidationFailure) && !isReason(f.Reason) {
		f.Reason = ReasonUnknown
	}
	if f.Info != "" && (len(f.Info) > maxInfo || !isURI(f.Info)) {
		f.Info = ""
	}
	return f
}

func registered(t ResultType) bool {
	switch t {
	case STARTTLSNotSupported, CertificateHostMismatch, CertificateExpired, CertificateNotTrusted, ValidationFailure,
		TLSAInvalid, DNSSECInvalid, DANERequired, STSPolicyFetchError, STSPolicyInvalid, STSWebPKIInvalid:
		return true
	}
	return false
}

// classifier is one walk through an error tree.
type classifier struct {
	found    []Failure
	fallback string            // the reason where nothing is found
	leaf     *x509.Certificate // the host's own certificate, where the tree says which it is
}

func (c *classifier) add(t ResultType, reason string) { c.addFailure(Failure{Type: t, Reason: reason}) }

func (c *classifier) addFailure(f Failure) {
	if len(c.found) < maxFailures && !slices.Contains(c.found, f) {
		c.found = append(c.found, f)
	}
}

// walk visits the tree in depth-first order. It is a loop with a bound, not a
// recursion: a tree may be deep, wide, or bite its own tail.
func (c *classifier) walk(err error) {
	todo := []error{err}
	for seen := 0; len(todo) > 0 && seen < maxErrors; seen++ {
		err, todo = todo[len(todo)-1], todo[:len(todo)-1]
		if err == nil || c.itself(err) || c.x509(err) || c.tls(err) || c.net(err) {
			continue
		}
		if t, ok := err.(interface{ Timeout() bool }); ok && t.Timeout() {
			c.fallback = ReasonHandshakeTimeout // unless something inside knows better
		}
		switch w := err.(type) {
		case interface{ Unwrap() error }:
			todo = append(todo, w.Unwrap())
		case interface{ Unwrap() []error }:
			inner := w.Unwrap()
			inner = inner[:min(len(inner), maxErrors)]
			for _, e := range slices.Backward(inner) {
				todo = append(todo, e)
			}
		default:
			c.last(err)
		}
	}
}

// itself lets an error that knows its failures speak.
func (c *classifier) itself(err error) bool {
	e, ok := err.(interface{ TLSFailures() []Failure })
	if !ok {
		return false
	}
	failures := e.TLSFailures()
	for _, f := range failures[:min(len(failures), maxFailures)] {
		c.addFailure(f.Clean())
	}
	return len(failures) > 0
}

// x509 knows the errors of crypto/x509, which are values.
func (c *classifier) x509(err error) bool {
	switch e := err.(type) {
	case x509.CertificateInvalidError:
		c.add(c.invalid(e))
	case x509.HostnameError:
		if e.Certificate != nil && len(e.Certificate.DNSNames) == 0 {
			c.add(CertificateHostMismatch, ReasonNoSAN)
		} else {
			c.add(CertificateHostMismatch, "")
		}
	case x509.UnknownAuthorityError:
		c.add(CertificateNotTrusted, noAuthority(e.Cert))
	case x509.SystemRootsError:
		c.add(CertificateNotTrusted, ReasonNoRoots)
	case x509.UnhandledCriticalExtension:
		c.add(CertificateNotTrusted, ReasonCriticalExtension)
	case x509.InsecureAlgorithmError:
		c.add(CertificateNotTrusted, ReasonWeakSignature)
	case x509.ConstraintViolationError:
		c.add(CertificateNotTrusted, ReasonNotCA)
	default:
		return false
	}
	return true
}

// invalid tells apart what CertificateInvalidError lumps together. Expired
// means not yet valid as well, and may be about an intermediate: only the
// leaf's notAfter is certificate-expired (RFC 8460, section 4.3.1).
func (c *classifier) invalid(e x509.CertificateInvalidError) (ResultType, string) {
	switch e.Reason {
	case x509.Expired:
		isLeaf := e.Cert == nil || e.Cert == c.leaf || c.leaf == nil && !e.Cert.IsCA
		// Go has no type for the difference, and does not tell the time it
		// judged by; but the detail is made of its own words and two dates.
		early := strings.Contains(e.Detail, " is before ")
		switch {
		case isLeaf && early:
			return CertificateNotTrusted, ReasonNotYetValid
		case isLeaf:
			return CertificateExpired, ""
		case early:
			return CertificateNotTrusted, ReasonChainNotYetValid
		}
		return CertificateNotTrusted, ReasonChainExpired
	case x509.NotAuthorizedToSign:
		return CertificateNotTrusted, ReasonNotCA
	case x509.CANotAuthorizedForThisName, x509.UnconstrainedName, x509.NameConstraintsWithoutSANs, x509.TooManyConstraints:
		return CertificateNotTrusted, ReasonNameConstraints
	case x509.TooManyIntermediates:
		return CertificateNotTrusted, ReasonPathLength
	case x509.IncompatibleUsage, x509.CANotAuthorizedForExtKeyUsage:
		return CertificateNotTrusted, ReasonWrongUsage
	}
	return CertificateNotTrusted, ReasonInvalidChain
}

// noAuthority says why no path leads on from cert.
func noAuthority(cert *x509.Certificate) string {
	switch {
	case cert == nil:
		return ReasonUnknownAuthority
	case len(cert.RawSubject) > 0 && bytes.Equal(cert.RawSubject, cert.RawIssuer):
		return ReasonSelfSigned
	case weakSignature(cert.SignatureAlgorithm):
		return ReasonWeakSignature // Go does not build a path over one
	}
	return ReasonUnknownAuthority
}

func weakSignature(a x509.SignatureAlgorithm) bool {
	switch a {
	case x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1:
		return true
	}
	return false
}

// tls knows the errors of crypto/tls.
func (c *classifier) tls(err error) bool {
	switch e := err.(type) {
	case *tls.CertificateVerificationError:
		if len(e.UnverifiedCertificates) > 0 {
			c.leaf = e.UnverifiedCertificates[0]
		}
		return false // it wraps the cause
	case tls.RecordHeaderError:
		if looksLikeTLS(e.RecordHeader) {
			c.add(ValidationFailure, ReasonTLSBadRecord)
		} else {
			c.add(ValidationFailure, ReasonNotTLS)
		}
	case tls.AlertError: // QUIC has it; on TCP alerts come as *net.OpError
		c.add(ValidationFailure, AlertReason(uint8(e)))
	default:
		return false
	}
	return true
}

// looksLikeTLS reports whether h is the start of a record of any version (RFC
// 8446, section 5.1), however wrong otherwise.
func looksLikeTLS(h [5]byte) bool { return h[0] >= 20 && h[0] <= 24 && h[1] == 3 }

// net knows the errors of net. Alerts hide here: crypto/tls wraps them, sent or
// received, as the unexported integer that they are.
func (c *classifier) net(err error) bool {
	switch e := err.(type) {
	case *net.OpError:
		alert := reflect.ValueOf(e.Err)
		switch {
		case (e.Op == "remote error" || e.Op == "local error") && alert.Kind() == reflect.Uint8:
			c.add(ValidationFailure, AlertReason(uint8(alert.Uint())))
		case e.Op == "dial":
			c.dial(e)
		default:
			return false // it wraps the cause
		}
	case *net.DNSError:
		c.add(ValidationFailure, ReasonDNS)
	default:
		return false
	}
	return true
}

// last judges an error that wraps nothing.
func (c *classifier) last(err error) {
	switch err {
	case io.EOF, io.ErrUnexpectedEOF:
		c.add(ValidationFailure, ReasonHandshakeEOF)
	case net.ErrClosed, io.ErrClosedPipe:
		c.add(ValidationFailure, ReasonConnectionClosed)
	case context.Canceled:
		c.add(ValidationFailure, ReasonCanceled)
	case syscall.ECONNRESET, syscall.EPIPE, syscall.ECONNABORTED:
		c.add(ValidationFailure, ReasonHandshakeReset)
	case syscall.ECONNREFUSED, syscall.EHOSTUNREACH, syscall.ENETUNREACH:
		c.add(ValidationFailure, ReasonConnection)
	default:
		t, ok := err.(interface{ Timeout() bool })
		if ok && t.Timeout() {
			c.add(ValidationFailure, ReasonHandshakeTimeout)
		} else if f, ok := byText(err); ok {
			c.addFailure(f)
		}
	}
}

// dial judges a connection that was never made: one reason for whatever TCP
// says, unless the dialler's own check of the address has a say.
func (c *classifier) dial(err error) {
	for range maxErrors {
		w, ok := err.(interface{ Unwrap() error })
		if !ok {
			break
		}
		if err = w.Unwrap(); err != nil && c.itself(err) {
			return
		}
	}
	c.add(ValidationFailure, ReasonConnection)
}
