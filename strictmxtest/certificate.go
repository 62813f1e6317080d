package strictmxtest

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"
)

// Certificate is what a server presents as its certificate: a good one, or what
// is wrong with it; see [MX.Certificate], [Domain.Certificate], [World.Issue].
type Certificate uint8

// The certificates.
const (
	// Good names its host, and is issued through an intermediate authority.
	Good Certificate = iota
	// Wildcard is good as well: "*" stands for the first label.
	Wildcard
	// Expired was good until an hour ago.
	Expired
	// NotYetValid will be good in an hour.
	NotYetValid
	// Misnamed names another host; its subject has the right name.
	Misnamed
	// NoSAN names its host in the subject alone (RFC 9525, section 2).
	NoSAN
	// IPSAN names the host's address alone.
	IPSAN
	// SelfSigned has no authority.
	SelfSigned
	// UnknownCA has one that the world does not trust.
	UnknownCA
	// WrongEKU is for clients (RFC 5280, section 4.2.1.12).
	WrongEKU
	// NameConstrained comes from an authority that may not issue for this name
	// (RFC 5280, section 4.2.1.10).
	NameConstrained
	// MissingIntermediate comes without the authority between it and the root.
	MissingIntermediate
	// ExpiredIntermediate comes with one that expired.
	ExpiredIntermediate
	// TooMany verifies through a chain of twelve certificates.
	TooMany
	// ExpiredMisnamed has two things wrong with it.
	ExpiredMisnamed
	// PartialWildcard has "*" in part of the first label, such as "mta-*"
	// (RFC 9525, section 6.3).
	PartialWildcard

	certificates
)

// Certificates returns every kind, for tests that walk them all: [Good] and
// [Wildcard] verify, and so does [TooMany] for those who take such chains.
func Certificates() []Certificate {
	all := make([]Certificate, certificates)
	for i := range all {
		all[i] = Certificate(i)
	}
	return all
}

// String is the certificate's name.
func (c Certificate) String() string {
	names := [certificates]string{
		Good: "good", Wildcard: "wildcard", Expired: "expired", NotYetValid: "not yet valid", Misnamed: "misnamed",
		NoSAN: "no SAN", IPSAN: "address in SAN", SelfSigned: "self-signed", UnknownCA: "unknown CA", WrongEKU: "wrong EKU",
		NameConstrained: "name-constrained", MissingIntermediate: "missing intermediate",
		ExpiredIntermediate: "expired intermediate", TooMany: "too many certificates",
		ExpiredMisnamed: "expired and misnamed", PartialWildcard: "partial wildcard",
	}
	if c < certificates {
		return names[c]
	}
	return fmt.Sprintf("Certificate(%d)", uint8(c))
}

// Issue returns a certificate of the world's authority for names, of which those
// that are IP addresses are named as such: for a server of your own.
func (w *World) Issue(kind Certificate, names ...string) tls.Certificate {
	cert, err := w.ca.issue(kind, names)
	if err != nil {
		w.helper()()
		w.fail("%v certificate for %q: %v", kind, names, err)
	}
	return cert
}

// template is the leaf certificate that the kind asks for.
func (c Certificate) template(names []string, now time.Time) *x509.Certificate {
	t := &x509.Certificate{
		NotBefore: now.Add(-24 * time.Hour), NotAfter: now.Add(90 * 24 * time.Hour),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, name)
		}
	}
	if len(t.DNSNames) > 0 {
		t.Subject.CommonName = t.DNSNames[0]
	}
	if c != IPSAN && len(t.DNSNames) > 0 {
		t.IPAddresses = nil // known for IPSAN alone
	}
	switch c {
	case Wildcard:
		t.DNSNames = mapped(t.DNSNames, func(_, rest string) string { return "*." + rest })
	case PartialWildcard:
		t.DNSNames = mapped(t.DNSNames, func(label, rest string) string { return partial(label) + "*." + rest })
	case NotYetValid:
		t.NotBefore = now.Add(time.Hour)
	case Misnamed:
		t.DNSNames = []string{"misnamed.invalid"}
	case NoSAN:
		t.DNSNames, t.IPAddresses = nil, nil
	case IPSAN:
		t.DNSNames = nil
	case WrongEKU:
		t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}
	if c == Expired || c == ExpiredMisnamed {
		t.NotBefore, t.NotAfter = now.Add(-90*24*time.Hour), now.Add(-time.Hour)
	}
	if c == ExpiredMisnamed {
		t.DNSNames = []string{"misnamed.invalid"}
	}
	return t
}

func mapped(names []string, f func(label, rest string) string) []string {
	names = slices.Clone(names)
	for i, name := range names {
		if label, rest, ok := strings.Cut(name, "."); ok {
			names[i] = f(label, rest)
		}
	}
	return names
}

// partial is the part of a label that stands before a wildcard.
func partial(label string) string {
	if i := strings.LastIndexByte(label, '-'); i > 0 {
		return label[:i+1]
	}
	return label[:max(1, len(label)-1)]
}
