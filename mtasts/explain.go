package mtasts

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/strictmx/strictmx/tlsrpt"
)

// x509 stops at the first failure: time before name before trust before usage.
// To find the others, each is looked at by itself. The leaf's time and name
// need no chain. For the rest the chain is built once more from copies of the
// certificates with everything relaxed that can be judged here, and what x509
// finds is then held against the originals. Signatures cover the raw bytes, so
// the copies verify like the originals.

// explain says why the verdict is a failure. It is given what strict returned;
// chains without an error are chains with weak keys.
func (v *verification) explain(chains [][]*x509.Certificate, verdict error) error {
	e := &CertificateError{Host: v.name}
	if verdict != nil {
		v.explainTime(e)
		v.explainName(e)
		chains = v.explainPath(e)
	}
	if len(chains) > 0 {
		// Of several chains the one nearest to good is what to repair.
		best := v.problems(chains[0])
		for _, chain := range chains[1:] {
			if p := v.problems(chain); len(p) < len(best) {
				best = p
			}
		}
		e.add(best...)
	} else {
		e.add(v.usage([]*x509.Certificate{v.leaf})...)
		e.add(v.keys([]*x509.Certificate{v.leaf})...)
	}
	if len(v.leaf.UnhandledCriticalExtensions) > 0 {
		e.add(finding{tlsrpt.CertificateNotTrusted, tlsrpt.ReasonCriticalExtension,
			"has a critical extension that is not understood", x509.UnhandledCriticalExtension{}})
	}
	if len(e.Failures) == 0 { // the system's own verifier may know more than we do
		e.add(classified(verdict))
	}
	return e
}

// explainTime looks at the validity of the leaf. Only a notAfter that has
// passed is certificate-expired (RFC 8460, section 4.3.1).
func (v *verification) explainTime(e *CertificateError) {
	if v.now.After(v.leaf.NotAfter) {
		e.add(finding{tlsrpt.CertificateExpired, "", "expired on " + date(v.leaf.NotAfter), outsideValidity(v.leaf, v.now)})
	}
	if v.now.Before(v.leaf.NotBefore) {
		e.add(finding{tlsrpt.CertificateNotTrusted, tlsrpt.ReasonNotYetValid,
			"is not valid before " + date(v.leaf.NotBefore), outsideValidity(v.leaf, v.now)})
	}
}

// explainName looks for the host among the names of the leaf.
func (v *verification) explainName(e *CertificateError) {
	err := v.leaf.VerifyHostname(v.name)
	switch {
	case err == nil:
	case len(v.leaf.DNSNames) == 0:
		text := "has no DNS name"
		if cn := v.leaf.Subject.CommonName; cn != "" {
			text += " (its common name " + quoteForeign(cn) + " does not count)"
		}
		e.add(finding{tlsrpt.CertificateHostMismatch, tlsrpt.ReasonNoSAN, text, err})
	default:
		e.add(finding{tlsrpt.CertificateHostMismatch, "", "is for " + someNames(v.leaf.DNSNames) + ", not for " + v.name, err})
	}
}

// explainPath looks for a path to a root that the names allow, and returns the
// paths found whatever their dates and usages. Roots cannot be relaxed, they
// are in a pool; so the second try is at a time when the root of an honest
// chain was good: when the leaf was issued.
func (v *verification) explainPath(e *CertificateError) [][]*x509.Certificate {
	var first error
	for _, at := range []time.Time{v.now, v.leaf.NotBefore} {
		chains, err := v.loose(at, true)
		if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.CANotAuthorizedForThisName {
			invalid.Cert = v.leaf
			e.add(finding{tlsrpt.CertificateNotTrusted, tlsrpt.ReasonNameConstraints,
				"has names that a CA of its chain may not sign for", invalid})
			chains, err = v.loose(at, false)
		}
		if err == nil {
			return chains
		}
		if first == nil {
			first = err
		}
		if !datesMayMatter(err) {
			break
		}
	}
	e.add(v.noPath(first))
	return nil
}

func datesMayMatter(err error) bool {
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return true // which may hide an expired root
	}
	invalid, ok := errors.AsType[x509.CertificateInvalidError](err)
	return ok && invalid.Reason == x509.Expired
}

// loose builds chains from copies that are valid at any time, for any usage,
// and, without names, for anybody.
func (v *verification) loose(at time.Time, names bool) ([][]*x509.Certificate, error) {
	originals := append([]*x509.Certificate{v.leaf}, v.others...)
	copies := make([]*x509.Certificate, len(originals))
	for i, c := range originals {
		copies[i] = relax(c, names)
	}
	copies[0].UnhandledCriticalExtensions = nil
	chains, err := copies[0].Verify(x509.VerifyOptions{
		Roots:         v.roots,
		Intermediates: pool(copies[1:]),
		CurrentTime:   at,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	for _, chain := range chains {
		for i, c := range chain {
			if k := slices.Index(copies, c); k >= 0 {
				chain[i] = originals[k]
			}
		}
	}
	if unknown, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		if k := slices.Index(copies, unknown.Cert); k >= 0 {
			unknown.Cert = originals[k]
		}
		err = unknown
	}
	return chains, err
}

func relax(c *x509.Certificate, names bool) *x509.Certificate {
	r := *c
	r.NotBefore, r.NotAfter = time.Time{}, time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
	if !names {
		r.DNSNames, r.EmailAddresses, r.IPAddresses, r.URIs = nil, nil, nil, nil
		r.Extensions = slices.DeleteFunc(slices.Clone(c.Extensions), func(x pkix.Extension) bool { return x.Id.Equal(oidSAN) })
	}
	return &r
}

// noPath says why no path leads to a root.
func (v *verification) noPath(err error) finding {
	unknown, ok := errors.AsType[x509.UnknownAuthorityError](err)
	if !ok || unknown.Cert == nil {
		return classified(err)
	}
	cert := unknown.Cert // where the path ends
	isIssuer := func(c *x509.Certificate) bool { return c != cert && bytes.Equal(c.RawSubject, cert.RawIssuer) }
	issuer := slices.IndexFunc(v.others, isIssuer)
	f := finding{tlsrpt.CertificateNotTrusted, tlsrpt.ReasonUnknownAuthority, "", err}
	switch {
	case cert == v.leaf && selfSigned(cert):
		f.reason, f.text = tlsrpt.ReasonSelfSigned, "is self-signed"
	case weakSignature(cert):
		f.reason, f.text = tlsrpt.ReasonWeakSignature, v.which(cert)+"is signed with "+cert.SignatureAlgorithm.String()
	case issuer >= 0 && !(v.others[issuer].BasicConstraintsValid && v.others[issuer].IsCA):
		f.reason, f.text = tlsrpt.ReasonNotCA, v.which(cert)+"is signed by "+quoteForeign(display(v.others[issuer]))+", which is no CA"
	default:
		f.text = v.which(cert) + "is issued by " + quoteForeign(issuerName(cert)) + ", which is not trusted"
		if len(v.others) == 0 {
			f.text += ", and no intermediate certificate was sent"
		}
	}
	return f
}

func selfSigned(c *x509.Certificate) bool {
	return bytes.Equal(c.RawSubject, c.RawIssuer) && c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil
}

func weakSignature(c *x509.Certificate) bool {
	return !bytes.Equal(c.RawSubject, c.RawIssuer) && slices.Contains(weakAlgorithms[:], c.SignatureAlgorithm)
}

// problems lists what is wrong with a path to a root, but for the names and
// the leaf's dates.
func (v *verification) problems(chain []*x509.Certificate) []finding {
	var found []finding
	for _, c := range chain[1:] {
		if v.now.After(c.NotAfter) {
			found = append(found, finding{tlsrpt.CertificateNotTrusted, tlsrpt.ReasonChainExpired,
				v.which(c) + "expired on " + date(c.NotAfter), outsideValidity(c, v.now)})
		}
		if v.now.Before(c.NotBefore) {
			found = append(found, finding{tlsrpt.CertificateNotTrusted, tlsrpt.ReasonChainNotYetValid,
				v.which(c) + "is not valid before " + date(c.NotBefore), outsideValidity(c, v.now)})
		}
	}
	return slices.Concat(found, v.usage(chain), v.keys(chain))
}

// usage looks for certificates that do not allow servers. An intermediate
// limits what it signs, too, as every verifier of note has it.
func (v *verification) usage(chain []*x509.Certificate) []finding {
	var found []finding
	for _, c := range chain {
		none := len(c.ExtKeyUsage) == 0 && len(c.UnknownExtKeyUsage) == 0
		if none || slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny) || slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageServerAuth) {
			continue
		}
		found = append(found, finding{tlsrpt.CertificateNotTrusted, tlsrpt.ReasonWrongUsage,
			v.which(c) + "does not allow server authentication", x509.CertificateInvalidError{Cert: v.leaf, Reason: x509.IncompatibleUsage}})
	}
	return found
}

// keys looks for weak keys, which x509 lets pass.
func (v *verification) keys(chain []*x509.Certificate) []finding {
	var found []finding
	for _, c := range chain {
		if weakKey(c) {
			found = append(found, finding{tlsrpt.CertificateNotTrusted, tlsrpt.ReasonWeakKey,
				fmt.Sprintf("%shas an RSA key of %d bits", v.which(c), c.PublicKey.(*rsa.PublicKey).N.BitLen()), nil})
		}
	}
	return found
}

// classified is a finding that x509 words, and no word of which is shown.
func classified(err error) finding {
	f := tlsrpt.Classify(err)[0]
	return finding{f.Type, f.Reason, "cannot be verified (" + strings.TrimSuffix(string(f.Type)+" "+f.Reason, " ") + ")", err}
}

func outsideValidity(c *x509.Certificate, now time.Time) error {
	detail := "current time " + date(now) + " is after " + date(c.NotAfter)
	if now.Before(c.NotBefore) {
		detail = "current time " + date(now) + " is before " + date(c.NotBefore)
	}
	return x509.CertificateInvalidError{Cert: c, Reason: x509.Expired, Detail: detail}
}

// which begins a text about c: nothing for the leaf, which is the subject of
// all that is said.
func (v *verification) which(c *x509.Certificate) string {
	if c == v.leaf {
		return ""
	}
	return "the CA certificate " + quoteForeign(display(c)) + " "
}

func display(c *x509.Certificate) string {
	return commonName(c.Subject.CommonName, c.Subject.Organization)
}
func issuerName(c *x509.Certificate) string {
	return commonName(c.Issuer.CommonName, c.Issuer.Organization)
}

func commonName(cn string, organization []string) string {
	if cn == "" && len(organization) > 0 {
		return organization[0]
	}
	return cn
}

func date(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// someNames lists the first names of a certificate.
func someNames(names []string) string {
	const most = 3
	var b strings.Builder
	for i, name := range names[:min(len(names), most)] {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(quoteForeign(name))
	}
	if len(names) > most {
		fmt.Fprintf(&b, " and %d more", len(names)-most)
	}
	return b.String()
}

var (
	oidSAN         = asn1.ObjectIdentifier{2, 5, 29, 17} // RFC 5280, section 4.2.1.6
	weakAlgorithms = [...]x509.SignatureAlgorithm{x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1}
)
