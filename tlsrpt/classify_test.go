package tlsrpt_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	. "github.com/strictmx/strictmx/tlsrpt"
)

// alert is like the unexported alert of crypto/tls, whose text says nothing.
type alert uint8

func (alert) Error() string { return "remote text" }

// speaker is an error that knows its failures.
type speaker []Failure

func (speaker) Error() string            { return "speaker" }
func (s speaker) TLSFailures() []Failure { return s }
func (speaker) Unwrap() error            { return io.EOF }

// slow is an error of somebody's that says it is a timeout, around another.
type slow struct{ error }

func (slow) Timeout() bool   { return true }
func (s slow) Unwrap() error { return s.error }

// ring is an error that wraps itself.
type ring struct{}

func (ring) Error() string { return "ring" }
func (ring) Unwrap() error { return ring{} }

func TestClassify(t *testing.T) {
	var (
		leaf         = &x509.Certificate{DNSNames: []string{"other.test"}, RawSubject: []byte("s"), RawIssuer: []byte("i")}
		selfSigned   = &x509.Certificate{RawSubject: []byte("s"), RawIssuer: []byte("s")}
		weak         = &x509.Certificate{RawSubject: []byte("s"), RawIssuer: []byte("i"), SignatureAlgorithm: x509.SHA1WithRSA}
		ca           = &x509.Certificate{IsCA: true}
		validation   = func(reason string) []Failure { return []Failure{{Type: ValidationFailure, Reason: reason}} }
		untrusted    = func(reason string) []Failure { return []Failure{{Type: CertificateNotTrusted, Reason: reason}} }
		invalid      = func(r x509.InvalidReason) error { return x509.CertificateInvalidError{Cert: leaf, Reason: r} }
		remote       = func(err error) error { return &net.OpError{Op: "remote error", Err: err} }
		late, early  = "current time 2026-02-01T00:00:00Z is after 2026-01-01T00:00:00Z", "current time 2026-01-01T00:00:00Z is before 2026-02-01T00:00:00Z"
		verification = func(err error, certs ...*x509.Certificate) error {
			return &tls.CertificateVerificationError{UnverifiedCertificates: certs, Err: err}
		}
	)
	for _, tt := range []struct {
		name string
		err  error
		want []Failure
	}{
		{"no error is no failure", nil, nil},

		// TLS-22, RPT-37
		{"an alert of the server is named", remote(alert(40)), validation("tls-alert-handshake-failure")},
		{"an alert for the version is named", remote(alert(70)), validation("tls-alert-protocol-version")},
		{"an alert of ours is named, too", &net.OpError{Op: "local error", Err: alert(20)}, validation("tls-alert-bad-record-mac")},
		{"an unregistered alert is a number", remote(alert(200)), validation("tls-alert-200")},
		{"an alert of QUIC's type is named", tls.AlertError(112), validation("tls-alert-unrecognized-name")},
		{"a remote error that is no alert is unknown", remote(errors.New("40")), validation("unknown")},
		{"a remote error of nothing is unknown", remote(nil), validation("unknown")},
		{"an SMTP reply where TLS should begin", tls.RecordHeaderError{RecordHeader: [5]byte{'4', '5', '4', ' ', 'n'}}, validation("tls-not-tls")},
		{"a TLS record of a size that cannot be", tls.RecordHeaderError{RecordHeader: [5]byte{22, 3, 3, 255, 255}}, validation("tls-bad-record")},
		{"a server that chose TLS 1.0 unasked", errors.New("tls: server selected unsupported protocol version 301"), validation("tls-version")},
		{"a server that chose a cipher unasked", errors.New("tls: server chose an unconfigured cipher suite"), validation("tls-cipher")},
		{"a key that is not the certificate's", errors.New("tls: invalid signature by the server certificate: ECDSA verification failure"), validation("tls-signature")},
		{"a certificate that cannot be parsed", errors.New("tls: failed to parse certificate from server: x509: malformed"), untrusted("bad-certificate")},
		{"a message out of place", errors.New("tls: received unexpected handshake message of type *tls.x"), validation("tls-protocol-error")},
		{"a text that speaks of TLS further on is unknown", errors.New("smtp: tls: server selected unsupported"), validation("unknown")},
		{"a signature limit", errors.New("x509: signature check attempts limit reached while verifying certificate chain"), untrusted("invalid-chain")},

		// AMB-44
		{"a deadline of the socket", &net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, validation("handshake-timeout")},
		{"a deadline of the context", context.DeadlineExceeded, validation("handshake-timeout")},
		{"a timeout of the kernel", &net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ETIMEDOUT)}, validation("handshake-timeout")},
		{"an unknown error that says it timed out", slow{errors.New("?")}, validation("handshake-timeout")},
		{"a timeout around something known is that", slow{remote(alert(40))}, validation("tls-alert-handshake-failure")},
		{"the peer closes", io.EOF, validation("handshake-eof")},
		{"the peer closes in mid-record", fmt.Errorf("starttls: %w", io.ErrUnexpectedEOF), validation("handshake-eof")},
		{"the peer resets", &net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)}, validation("handshake-reset")},
		{"the peer is gone at a write", &net.OpError{Op: "write", Err: os.NewSyscallError("write", syscall.EPIPE)}, validation("handshake-reset")},
		{"our side closed", &net.OpError{Op: "read", Err: net.ErrClosed}, validation("connection-closed")},
		{"our side gave up", context.Canceled, validation("canceled")},
		{"no connection", &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}, validation("connection")},
		{"no connection in time", &net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}, validation("connection")},
		{"no connection, and no cause", &net.OpError{Op: "dial"}, validation("connection")},
		{"an address the dialler refused", &net.OpError{Op: "dial", Err: fmt.Errorf("%w", speaker{{ValidationFailure, ReasonNonPublicAddress, ""}})}, validation("non-public-address")},
		{"a dialler that goes in circles", &net.OpError{Op: "dial", Err: ring{}}, validation("connection")},
		{"a network without a way", syscall.ENETUNREACH, validation("connection")},
		{"a name that cannot be resolved", &net.OpError{Op: "dial", Err: &net.DNSError{IsTimeout: true}}, validation("connection")},
		{"a question that DNS did not answer", &net.DNSError{IsTimeout: true}, validation("dns-failure")},

		// RPT-34
		{"another name", x509.HostnameError{Certificate: leaf, Host: "mx.test"}, []Failure{{Type: CertificateHostMismatch}}},
		{"a common name alone", x509.HostnameError{Certificate: ca, Host: "mx.test"}, []Failure{{Type: CertificateHostMismatch, Reason: "no-san"}}},
		{"a mismatch without a certificate", x509.HostnameError{}, []Failure{{Type: CertificateHostMismatch}}},
		// RPT-35, AMB-43
		{"an expired leaf", x509.CertificateInvalidError{Cert: leaf, Reason: x509.Expired, Detail: late}, []Failure{{Type: CertificateExpired}}},
		{"a leaf that is not yet valid has not expired", x509.CertificateInvalidError{Cert: leaf, Reason: x509.Expired, Detail: early}, untrusted("not-yet-valid")},
		{"an expired intermediate is not an expired leaf", x509.CertificateInvalidError{Cert: ca, Reason: x509.Expired, Detail: late}, untrusted("chain-expired")},
		{"an intermediate of tomorrow", x509.CertificateInvalidError{Cert: ca, Reason: x509.Expired, Detail: early}, untrusted("chain-not-yet-valid")},
		{"a leaf that is a CA itself, expired", verification(x509.CertificateInvalidError{Cert: ca, Reason: x509.Expired, Detail: late}, ca), []Failure{{Type: CertificateExpired}}},
		{"an intermediate that is no CA, expired", verification(x509.CertificateInvalidError{Cert: leaf, Reason: x509.Expired, Detail: late}, ca, leaf), untrusted("chain-expired")},
		{"an expiry of nobody", x509.CertificateInvalidError{Reason: x509.Expired}, []Failure{{Type: CertificateExpired}}},
		// RPT-36
		{"an unknown CA", verification(x509.UnknownAuthorityError{Cert: leaf}, leaf), untrusted("unknown-authority")},
		{"an unknown CA of nobody", x509.UnknownAuthorityError{}, untrusted("unknown-authority")},
		{"a self-signed certificate", x509.UnknownAuthorityError{Cert: selfSigned}, untrusted("self-signed")},
		{"a SHA-1 signature, over which no path is built", x509.UnknownAuthorityError{Cert: weak}, untrusted("weak-signature")},
		{"an algorithm that is refused", x509.InsecureAlgorithmError(x509.MD5WithRSA), untrusted("weak-signature")},
		{"name constraints", invalid(x509.CANotAuthorizedForThisName), untrusted("name-constraints")},
		{"unconstrained names", invalid(x509.UnconstrainedName), untrusted("name-constraints")},
		{"key usage", invalid(x509.IncompatibleUsage), untrusted("wrong-usage")},
		{"key usage of a CA", invalid(x509.CANotAuthorizedForExtKeyUsage), untrusted("wrong-usage")},
		{"an issuer that is no CA", invalid(x509.NotAuthorizedToSign), untrusted("not-a-ca")},
		{"a signer that may not sign", x509.ConstraintViolationError{}, untrusted("not-a-ca")},
		{"path length", invalid(x509.TooManyIntermediates), untrusted("path-length")},
		{"no chain at all", invalid(x509.NoValidChains), untrusted("invalid-chain")},
		{"a critical extension", x509.UnhandledCriticalExtension{}, untrusted("critical-extension")},
		{"a machine without roots", x509.SystemRootsError{Err: io.EOF}, untrusted("no-roots")},
		{"a verification without a cause", verification(nil), validation("unknown")},

		// RPT-27, CERT-21
		{"joined errors give each failure once, in order", errors.Join(io.EOF, x509.HostnameError{Certificate: leaf}, fmt.Errorf("again: %w", io.EOF)),
			[]Failure{{Type: ValidationFailure, Reason: "handshake-eof"}, {Type: CertificateHostMismatch}}},
		{"a sentinel beside a cause is not counted", fmt.Errorf("%w: %w", errors.New("starttls failed"), remote(alert(48))), validation("tls-alert-unknown-ca")},
		{"deep down", fmt.Errorf("a: %w", &url.Error{Op: "Get", URL: "https://x.test", Err: verification(x509.UnknownAuthorityError{Cert: leaf}, leaf)}), untrusted("unknown-authority")},
		{"an error speaks for itself, and what it wraps is silent", fmt.Errorf("%w", speaker{{STSWebPKIInvalid, "self-signed", ""}, {CertificateExpired, "", ""}}),
			[]Failure{{Type: STSWebPKIInvalid, Reason: "self-signed"}, {Type: CertificateExpired}}},
		{"an error that has nothing to say is looked into", speaker{}, validation("handshake-eof")},
		{"nobody knows", errors.New("pq: duplicate key"), validation("unknown")},
		{"an error that wraps nothing", fmt.Errorf("%w", error(nil)), validation("unknown")},
		{"an error that wraps itself", ring{}, validation("unknown")},

		// R16
		{"what a speaker says is made fit for a report", speaker{{"my-own", "Bad Reason\n", "no uri"}, {CertificateExpired, "", "https://a.test/\x7f"}},
			[]Failure{{Type: ValidationFailure, Reason: "unknown"}, {Type: CertificateExpired}}},
		{"validation-failure always has a reason", speaker{{ValidationFailure, "", "https://a.test/x"}}, []Failure{{ValidationFailure, "unknown", "https://a.test/x"}}},
		{"a reason may not be longer than 64", speaker{{STSPolicyInvalid, strings.Repeat("a", 65), strings.Repeat("u", 513)}}, []Failure{{STSPolicyInvalid, "unknown", ""}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := Classify(tt.err); !slices.Equal(got, tt.want) {
				t.Errorf("Classify(%#v)\n got %v\nwant %v", tt.err, got, tt.want)
			}
		})
	}
}
