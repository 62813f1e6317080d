package mtasts

import (
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"slices"
	"time"

	"github.com/strictmx/strictmx/internal/dnsname"
	"github.com/strictmx/strictmx/tlsrpt"
)

const (
	maxCertificates = 10   // of one host; honest chains have two to four
	minRSABits      = 2048 // RFC 9325, section 4.5
)

// VerifyHost judges the certificates of a TLS session as RFC 8461, section
// 4.2, asks: they lead to one of roots (nil: the system's), are valid at now
// (zero: the current time), allow servers, and have a DNS name that matches
// host. The common name and IP addresses in them do not count, and RSA keys
// below 2048 bits fail (RFC 9325, sections 4.5 and 6; RFC 9525, section 6).
//
// The name is host and nothing else: cs.ServerName is not looked at. A host
// that is no DNS name, such as an IP address, fails. VerifyHost does not ask
// whether the handshake is complete, so it may be called in
// [tls.Config.VerifyConnection]; it does not ask for revocation either.
//
// The error is nil or a [*CertificateError], which has every failure found and
// not only the first. One strict call of [x509.Certificate.Verify] decides; the
// others, at most four and only after a failure, explain.
func VerifyHost(cs tls.ConnectionState, host string, roots *x509.CertPool, now time.Time) error {
	name, err := dnsname.Host(host)
	if err != nil {
		return badName(host, err)
	}
	certs := cs.PeerCertificates
	switch {
	case len(certs) == 0 || slices.Contains(certs, nil):
		return refuse(name, tlsrpt.ReasonNoCertificate, "no certificate was sent")
	case len(certs) > maxCertificates:
		return refuse(name, tlsrpt.ReasonTooManyCertificates, "more than 10 certificates were sent")
	}
	if now.IsZero() {
		now = time.Now()
	}
	v := verification{name: name, leaf: certs[0], others: certs[1:], roots: roots, now: now}
	chains, err := v.strict()
	if err == nil && slices.ContainsFunc(chains, strongKeys) {
		return nil
	}
	return v.explain(chains, err)
}

func badName(host string, err error) error {
	e := &CertificateError{}
	if errors.Is(err, dnsname.ErrAddress) {
		e.add(finding{tlsrpt.ValidationFailure, tlsrpt.ReasonAddress, "the host " + quoteForeign(host) + " is an IP address", err})
	} else {
		e.add(finding{tlsrpt.ValidationFailure, tlsrpt.ReasonInvalidName, "the host " + quoteForeign(host) + " is no DNS name", err})
	}
	return e
}

func refuse(name, reason, text string) error {
	e := &CertificateError{Host: name}
	e.add(finding{tlsrpt.CertificateNotTrusted, reason, text, nil})
	return e
}

// verification is one judgement of one host.
type verification struct {
	name   string // canonical, and neither empty nor an IP address
	leaf   *x509.Certificate
	others []*x509.Certificate
	roots  *x509.CertPool
	now    time.Time
}

// strict is the verdict.
func (v *verification) strict() ([][]*x509.Certificate, error) {
	return v.leaf.Verify(x509.VerifyOptions{
		DNSName:       v.name,
		Roots:         v.roots,
		Intermediates: pool(v.others),
		CurrentTime:   v.now,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
}

func pool(certs []*x509.Certificate) *x509.CertPool {
	if len(certs) == 0 {
		return nil
	}
	p := x509.NewCertPool()
	for _, c := range certs {
		p.AddCert(c)
	}
	return p
}

// strongKeys reports whether chain has no weak key. Weak signatures need no
// look: x509 builds no path over SHA-1 and MD5.
func strongKeys(chain []*x509.Certificate) bool {
	return !slices.ContainsFunc(chain, weakKey)
}

func weakKey(c *x509.Certificate) bool {
	key, ok := c.PublicKey.(*rsa.PublicKey)
	return ok && key.N.BitLen() < minRSABits
}
