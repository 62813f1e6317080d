package tlsrpt_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"slices"
	"testing"

	. "github.com/strictmx/strictmx/tlsrpt"
)

var (
	word       = regexp.MustCompile(`^[a-z0-9-]{1,64}$`)
	registered = []ResultType{STARTTLSNotSupported, CertificateHostMismatch, CertificateExpired, CertificateNotTrusted, ValidationFailure,
		TLSAInvalid, DNSSECInvalid, DANERequired, STSPolicyFetchError, STSPolicyInvalid, STSWebPKIInvalid}
)

// checkFailures wants what Classify promises of any error.
func checkFailures(t *testing.T, failures []Failure) { // R16
	t.Helper()
	if len(failures) == 0 || len(failures) > 16 {
		t.Errorf("%d failures", len(failures))
	}
	for i, f := range failures {
		if slices.Contains(failures[:i], f) {
			t.Errorf("%v is there twice", f)
		}
		if !slices.Contains(registered, f.Type) { // RPT-44
			t.Errorf("%q is no registered type", f.Type)
		}
		if f.Reason != "" && !word.MatchString(f.Reason) || f.Reason == "" && f.Type == ValidationFailure { // RPT-37
			t.Errorf("the reason of %q is %q", f.Type, f.Reason)
		}
	}
}

func FuzzClassify(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0, 40})
	f.Add([]byte{20, 3, 1, 2, 9, 21, 4, 22, 5})
	f.Add([]byte{20, 20, 20, 20, 20, 20, 20, 20})
	f.Add([]byte{21, 15, 'B', 'a', 'd', '\n', 21, 10, 21, 16, 5, 22, 3, 17})
	f.Add([]byte(",10\x01NX"))
	f.Add([]byte("\x0etls: server selected unsupported protocol version \xff\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		b := builder{data: data}
		err := b.tree(0)
		if err == nil {
			if got := Classify(err); got != nil {
				t.Errorf("Classify(nil) = %v", got)
			}
			return
		}
		got := Classify(err)
		checkFailures(t, got)
		if b.nodes > 50 { // near the bound, one wrapper more is one error less
			return
		}
		if again := Classify(fmt.Errorf("wrapped: %w", err)); !slices.Equal(got, again) {
			t.Errorf("%v, but wrapped %v", got, again)
		}
		// The second copy may say more: by then it is known which certificate is the host's.
		if twice := Classify(errors.Join(err, err)); len(twice) < len(got) || !slices.Equal(got, twice[:len(got)]) {
			t.Errorf("%v, but joined with itself %v", got, twice)
		}
	})
}

// builder makes an error tree of bytes.
type builder struct {
	data  []byte
	nodes int
}

func (b *builder) next() byte {
	if len(b.data) == 0 {
		return 0
	}
	c := b.data[0]
	b.data = b.data[1:]
	return c
}

func (b *builder) text() string {
	s := string(b.data)
	b.data = nil
	return s
}

func (b *builder) cert() *x509.Certificate {
	c := b.next()
	if c == 0 {
		return nil
	}
	cert := &x509.Certificate{IsCA: c&1 != 0, SignatureAlgorithm: x509.SignatureAlgorithm(c >> 4)}
	if c&2 != 0 {
		cert.DNSNames = []string{"a.test"}
	}
	if c&4 != 0 {
		cert.RawSubject, cert.RawIssuer = []byte{1}, []byte{c & 8}
	}
	return cert
}

func (b *builder) tree(depth int) error {
	b.nodes++
	if depth > 40 {
		return io.EOF
	}
	switch b.next() % 24 {
	case 0:
		return &net.OpError{Op: "remote error", Err: alert(b.next())}
	case 1:
		return x509.CertificateInvalidError{Cert: b.cert(), Reason: x509.InvalidReason(b.next()), Detail: "current time x is before y"}
	case 2:
		return x509.HostnameError{Certificate: b.cert(), Host: "\x00"}
	case 3:
		return x509.UnknownAuthorityError{Cert: b.cert()}
	case 4:
		return tls.AlertError(b.next())
	case 5:
		return tls.RecordHeaderError{RecordHeader: [5]byte{b.next(), b.next()}}
	case 6:
		return &tls.CertificateVerificationError{UnverifiedCertificates: []*x509.Certificate{b.cert()}, Err: b.tree(depth + 1)}
	case 7:
		return &net.OpError{Op: []string{"dial", "read", "local error", "remote error"}[b.next()%4], Err: b.tree(depth + 1)}
	case 8:
		return &net.DNSError{Err: "no such host"}
	case 9:
		return context.DeadlineExceeded
	case 10:
		return os.ErrDeadlineExceeded
	case 11:
		return io.ErrUnexpectedEOF
	case 12:
		b.nodes += 1000
		return ring{}
	case 13:
		return slow{b.tree(depth + 1)}
	case 14:
		return errors.New(b.text())
	case 15:
		return speaker{{ResultType(b.text()), "", ""}}
	case 16:
		return speaker{{registered[int(b.next())%len(registered)], b.text(), ""}}
	case 17:
		return speaker(slices.Repeat([]Failure{{CertificateExpired, fmt.Sprint(b.next()), ""}}, int(b.next())))
	case 18:
		return x509.SystemRootsError{}
	case 19:
		return nil
	case 20:
		return errors.Join(b.tree(depth+1), b.tree(depth+1), b.tree(depth+1))
	case 21:
		return fmt.Errorf("a %w, a %w", b.tree(depth+1), b.tree(depth+1))
	case 22:
		return fmt.Errorf("b: %w", b.tree(depth+1))
	}
	return context.Canceled
}

func TestClassifyIsBounded(t *testing.T) {
	var deep error = io.EOF
	for range 100_000 {
		deep = fmt.Errorf("%w", deep)
	}
	checkFailures(t, Classify(deep))

	var wide []error
	for i := range 100_000 {
		wide = append(wide, &net.OpError{Op: "remote error", Err: alert(i)})
	}
	if got := Classify(errors.Join(wide...)); len(got) != 16 {
		t.Errorf("%d failures, want 16", len(got))
	}

	var many speaker
	for i := range 100_000 {
		many = append(many, Failure{Type: ValidationFailure, Reason: fmt.Sprint("r", i)})
	}
	if got := Classify(many); len(got) != 16 {
		t.Errorf("%d failures, want 16", len(got))
	}
}

func BenchmarkClassify(b *testing.B) {
	err := fmt.Errorf("starttls: %w", &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{Cert: &x509.Certificate{}}})
	b.ReportAllocs()
	for b.Loop() {
		Classify(err)
	}
}
