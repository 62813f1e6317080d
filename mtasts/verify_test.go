package mtasts

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"net"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/strictmx/strictmx/tlsrpt"
)

const certHost = "mx.example.com"

var certNow = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// identity is a certificate and the key to sign with.
type identity struct {
	cert *x509.Certificate
	key  crypto.Signer
}

func newKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// issue makes a certificate that is good for certHost at certNow, as change
// changes it, signed by parent, or by itself.
func issue(t testing.TB, parent *identity, key crypto.Signer, change func(*x509.Certificate)) *identity {
	t.Helper()
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<62))
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: certHost},
		DNSNames:     []string{certHost},
		NotBefore:    certNow.AddDate(0, -1, 0),
		NotAfter:     certNow.AddDate(0, 1, 0),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if change != nil {
		change(template)
	}
	signer, signerKey := template, key
	if parent != nil {
		signer, signerKey = parent.cert, parent.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, signer, key.Public(), signerKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &identity{cert, key}
}

// authority makes a template that of a CA.
func authority(name string, years int) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		c.Subject = pkix.Name{CommonName: name}
		c.DNSNames, c.ExtKeyUsage = nil, nil
		c.IsCA, c.BasicConstraintsValid = true, true
		c.KeyUsage = x509.KeyUsageCertSign
		c.NotBefore, c.NotAfter = certNow.AddDate(-years, 0, 0), certNow.AddDate(years, 0, 0)
	}
}

func both(changes ...func(*x509.Certificate)) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		for _, change := range changes {
			change(c)
		}
	}
}

func names(n ...string) func(*x509.Certificate) { return func(c *x509.Certificate) { c.DNSNames = n } }
func expired(c *x509.Certificate)               { c.NotAfter = certNow.Add(-time.Second) }
func future(c *x509.Certificate)                { c.NotBefore = certNow.Add(time.Hour) }
func clientOnly(c *x509.Certificate)            { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }
func permits(domain string) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		c.PermittedDNSDomains, c.PermittedDNSDomainsCritical = []string{domain}, true
	}
}

func rootsOf(ids ...*identity) *x509.CertPool {
	p := x509.NewCertPool()
	for _, id := range ids {
		p.AddCert(id.cert)
	}
	return p
}

func session(ids ...*identity) tls.ConnectionState {
	var cs tls.ConnectionState
	for _, id := range ids {
		cs.PeerCertificates = append(cs.PeerCertificates, id.cert)
	}
	return cs
}

// words is the failures of err as "type" or "type reason".
func words(err error) []string {
	var w []string
	for _, f := range tlsrpt.Classify(err) {
		w = append(w, strings.TrimSpace(string(f.Type)+" "+f.Reason))
	}
	return w
}

func TestVerifyHost(t *testing.T) {
	root := issue(t, nil, newKey(t), authority("root", 10))
	roots := rootsOf(root)
	inter := issue(t, root, newKey(t), authority("inter", 5))
	leaf := func(changes ...func(*x509.Certificate)) *identity {
		return issue(t, inter, newKey(t), both(changes...))
	}
	good := leaf()

	strangerRoot := issue(t, nil, newKey(t), authority("stranger", 10))
	stranger := issue(t, strangerRoot, newKey(t), authority("stranger inter", 5))
	constrained := issue(t, root, newKey(t), both(authority("constrained", 5), permits("example.net")))
	clientCA := issue(t, root, newKey(t), both(authority("client CA", 5), clientOnly))
	oldInter := issue(t, root, newKey(t), both(authority("old inter", 5), expired))
	oldSub := issue(t, oldInter, newKey(t), both(authority("old sub", 5), expired))
	newInter := issue(t, root, newKey(t), both(authority("new inter", 5), future))
	oldRoot := issue(t, nil, newKey(t), both(authority("old root", 10), expired))
	shortCA := issue(t, root, newKey(t), both(authority("short", 5), func(c *x509.Certificate) { c.MaxPathLenZero = true }))
	sub := issue(t, shortCA, newKey(t), authority("sub", 5))
	rsaWeak := func() crypto.Signer { return weakRSA(t) }
	weakCA := issue(t, root, rsaWeak(), authority("weak CA", 5))
	sha1CA := issue(t, root, newKey(t), both(authority("SHA-1 CA", 5), func(c *x509.Certificate) { c.SignatureAlgorithm = x509.ECDSAWithSHA1 }))
	notCA := leaf(func(c *x509.Certificate) { c.Subject.CommonName = "not a CA" })
	impostor := issue(t, nil, newKey(t), authority("inter", 5)) // the name of inter, another key
	critical := func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 99999, 1}, Critical: true, Value: []byte{5, 0}}}
	}
	sha1 := func(c *x509.Certificate) { c.SignatureAlgorithm = x509.ECDSAWithSHA1 }

	const (
		mismatch  = "certificate-host-mismatch"
		gone      = "certificate-expired"
		untrusted = "certificate-not-trusted "
	)
	for _, tt := range []struct {
		name  string
		host  string // "": certHost
		chain []*identity
		roots *x509.CertPool // nil: root
		want  []string       // nil: verified
	}{
		{"a good certificate passes", "", []*identity{good, inter}, nil, nil},
		{"a root sent along is harmless", "", []*identity{good, inter, root}, nil, nil},
		{"intermediates may come in any order, with strangers among them", "", []*identity{good, stranger, root, inter}, nil, nil},
		{"a certificate that is itself trusted passes", "", []*identity{good}, rootsOf(good), nil},

		// CERT-01
		{"an unknown root is not trusted", "", []*identity{issue(t, stranger, newKey(t), nil), stranger}, nil, []string{untrusted + "unknown-authority"}},
		{"an unknown root sent along is not trusted", "", []*identity{issue(t, stranger, newKey(t), nil), stranger, strangerRoot}, nil, []string{untrusted + "unknown-authority"}},
		{"a missing intermediate is not trusted", "", []*identity{good}, nil, []string{untrusted + "unknown-authority"}},
		{"a self-signed certificate is not trusted", "", []*identity{issue(t, nil, newKey(t), nil)}, nil, []string{untrusted + "self-signed"}},
		{"a certificate with the issuer's name in both places but another's signature is not self-signed", "",
			[]*identity{issue(t, stranger, newKey(t), func(c *x509.Certificate) { c.Subject = stranger.cert.Subject })}, nil, []string{untrusted + "unknown-authority"}},
		{"no root at all trusts nobody", "", []*identity{good, inter}, x509.NewCertPool(), []string{untrusted + "unknown-authority"}},
		// CERT-02
		{"notAfter one second ago has expired", "", []*identity{leaf(expired), inter}, nil, []string{gone}},
		{"notAfter in one second holds", "", []*identity{leaf(func(c *x509.Certificate) { c.NotAfter = certNow.Add(time.Second) }), inter}, nil, nil},
		{"an expired intermediate is no expired certificate", "", []*identity{issue(t, oldInter, newKey(t), nil), oldInter}, nil, []string{untrusted + "chain-expired"}},
		{"an expired root is no expired certificate", "", []*identity{issue(t, oldRoot, newKey(t), nil)}, rootsOf(oldRoot), []string{untrusted + "chain-expired"}},
		{"an intermediate of tomorrow is not yet valid", "", []*identity{issue(t, newInter, newKey(t), nil), newInter}, nil, []string{untrusted + "chain-not-yet-valid"}},
		// CERT-03, RPT-35, AMB-43
		{"notBefore in an hour is not expired", "", []*identity{leaf(future), inter}, nil, []string{untrusted + "not-yet-valid"}},
		// CERT-04, CERT-06, CERT-07
		{"a certificate for the recipient domain is not for the host", "", []*identity{leaf(names("example.com")), inter}, nil, []string{mismatch}},
		{"one of several names is enough", "", []*identity{leaf(names("a.test", certHost)), inter}, nil, nil},
		// CERT-05, AMB-28
		{"a common name without SAN does not count", "", []*identity{leaf(names()), inter}, nil, []string{mismatch + " no-san"}},
		{"a common name beside another SAN does not count", "", []*identity{leaf(names("other.test")), inter}, nil, []string{mismatch}},
		{"a URI and an IP address are no DNS names", "", []*identity{leaf(names(), func(c *x509.Certificate) { // CERT-14
			c.URIs, c.IPAddresses = []*url.URL{{Scheme: "smtp", Host: certHost}}, []net.IP{{192, 0, 2, 1}}
		}), inter}, nil, []string{mismatch + " no-san"}},
		// CERT-08
		{"case does not matter", "MX.Example.COM", []*identity{leaf(names("mx.EXAMPLE.com")), inter}, nil, nil},
		{"a trailing dot does not matter", certHost + ".", []*identity{good, inter}, nil, nil},
		// CERT-09
		{"a U-label is compared as its A-label", "mx.b\u00fccher.example", []*identity{leaf(names("mx.xn--bcher-kva.example")), inter}, nil, nil},
		// CERT-10
		{"a wildcard covers one label", "", []*identity{leaf(names("*.example.com")), inter}, nil, nil},
		{"a wildcard does not cover two labels", "a.mx.example.com", []*identity{leaf(names("*.example.com")), inter}, nil, []string{mismatch}},
		{"a wildcard does not cover no label", "example.com", []*identity{leaf(names("*.example.com")), inter}, nil, []string{mismatch}},
		// CERT-11
		{"other wildcards are void", "", []*identity{leaf(names("m*.example.com", "*.*.com", "mx.*.com", "*")), inter}, nil, []string{mismatch}},
		{"beside a void wildcard a good name counts", "", []*identity{leaf(names("m*.example.com", certHost)), inter}, nil, nil},
		// CERT-12
		{"a wildcard as host is no name", "*.example.com", []*identity{leaf(names("mx.example.com")), inter}, nil, []string{"validation-failure mx-invalid-name"}},
		{"a wildcard as host is no name even where the SAN is the same", "*.example.com", []*identity{leaf(names("*.example.com")), inter}, nil, []string{"validation-failure mx-invalid-name"}},
		// CERT-13
		{"a wildcard below a public suffix is the CA's business", "mx.com", []*identity{leaf(names("*.com")), inter}, nil, nil},
		// CERT-14, STS-117
		{"an IP address matches nothing", "192.0.2.1", []*identity{leaf(func(c *x509.Certificate) { c.IPAddresses = []net.IP{{192, 0, 2, 1}} }), inter}, nil, []string{"validation-failure mx-ip-address"}},
		{"an IP address with a dot matches nothing", "192.0.2.1.", []*identity{leaf(names("192.0.2.1", "192.0.2.1.")), inter}, nil, []string{"validation-failure mx-ip-address"}},
		{"an IPv6 address matches nothing", "2001:db8::1", []*identity{leaf(func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.ParseIP("2001:db8::1")} }), inter}, nil, []string{"validation-failure mx-ip-address"}},
		{"an address literal matches nothing", "[192.0.2.1]", []*identity{leaf(func(c *x509.Certificate) { c.IPAddresses = []net.IP{{192, 0, 2, 1}} }), inter}, nil, []string{"validation-failure mx-ip-address"}},
		// CERT-19
		{"an empty host is not everybody", ".", []*identity{good, inter}, nil, []string{"validation-failure mx-invalid-name"}},
		{"a host with a NUL is no name", certHost + "\x00.evil.test", []*identity{good, inter}, nil, []string{"validation-failure mx-invalid-name"}},
		// CERT-16
		{"a CA may not sign outside its name constraints", "", []*identity{issue(t, constrained, newKey(t), nil), constrained}, nil, []string{untrusted + "name-constraints"}},
		{"nor for another name beside the host's", "mx.example.net", []*identity{issue(t, constrained, newKey(t), names("mx.example.net", "mx.example.org")), constrained}, nil, []string{untrusted + "name-constraints"}},
		{"within them it may", "mx.example.net", []*identity{issue(t, constrained, newKey(t), names("mx.example.net")), constrained}, nil, nil},
		// CERT-17
		{"a certificate for clients is not for servers", "", []*identity{leaf(clientOnly), inter}, nil, []string{untrusted + "wrong-usage"}},
		{"a CA for clients does not sign for servers", "", []*identity{issue(t, clientCA, newKey(t), nil), clientCA}, nil, []string{untrusted + "wrong-usage"}},
		{"any usage is for servers, too", "", []*identity{leaf(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny} }), inter}, nil, nil},
		{"no usage named is for servers, too", "", []*identity{leaf(func(c *x509.Certificate) { c.ExtKeyUsage = nil }), inter}, nil, nil},
		{"an unknown usage alone is not for servers", "", []*identity{leaf(func(c *x509.Certificate) {
			c.ExtKeyUsage, c.UnknownExtKeyUsage = nil, []asn1.ObjectIdentifier{{1, 3, 6, 1, 4, 1, 99999, 2}}
		}), inter}, nil, []string{untrusted + "wrong-usage"}},
		// CERT-18
		{"what is no CA signs for nobody", "", []*identity{issue(t, notCA, newKey(t), nil), notCA, inter}, nil, []string{untrusted + "not-a-ca"}},
		{"a CA below its path length signs for nobody", "", []*identity{issue(t, sub, newKey(t), nil), sub, shortCA}, nil, []string{untrusted + "path-length"}},
		{"a critical extension must be understood", "", []*identity{leaf(critical), inter}, nil, []string{untrusted + "critical-extension"}},
		{"a signature must be the issuer's", "", []*identity{issue(t, impostor, newKey(t), nil), inter}, nil, []string{untrusted + "unknown-authority"}},
		// CERT-22
		{"an underscore is a letter like any", "mx_1.example.com", []*identity{leaf(names("mx_1.example.com")), inter}, nil, nil},
		// CERT-23
		{"an RSA key of 1024 bits is weak", "", []*identity{issue(t, inter, rsaWeak(), nil), inter}, nil, []string{untrusted + "weak-key"}},
		{"so is that of a CA in the chain", "", []*identity{issue(t, weakCA, newKey(t), nil), weakCA}, nil, []string{untrusted + "weak-key"}},
		{"a weak key is found among other things", "", []*identity{issue(t, inter, rsaWeak(), expired), inter}, nil, []string{gone, untrusted + "weak-key"}},
		{"a SHA-1 signature is weak", "", []*identity{leaf(sha1), inter}, nil, []string{untrusted + "weak-signature"}},
		{"a SHA-1 signature in the chain is weak", "", []*identity{issue(t, sha1CA, newKey(t), nil), sha1CA}, nil, []string{untrusted + "weak-signature"}},
		{"a self-signed certificate with SHA-1 is self-signed", "", []*identity{issue(t, nil, newKey(t), sha1)}, nil, []string{untrusted + "self-signed"}},
		// R14
		{"no certificate proves nothing", "", nil, nil, []string{untrusted + "no-certificate"}},
		{"ten certificates are looked at", "", append([]*identity{good, inter}, slices.Repeat([]*identity{root}, 8)...), nil, nil},
		{"eleven are not", "", append([]*identity{good, inter}, slices.Repeat([]*identity{root}, 9)...), nil, []string{untrusted + "too-many-certificates"}},

		// CERT-21, RPT-27
		{"expired and misnamed", "", []*identity{leaf(expired, names("other.test")), inter}, nil, []string{gone, mismatch}},
		{"not yet valid and misnamed", "", []*identity{leaf(future, names()), inter}, nil, []string{untrusted + "not-yet-valid", mismatch + " no-san"}},
		{"expired, misnamed and self-signed", "", []*identity{issue(t, nil, newKey(t), both(expired, names("other.test")))}, nil, []string{gone, mismatch, untrusted + "self-signed"}},
		{"expired, misnamed, of an unknown CA and for clients", "", []*identity{issue(t, stranger, newKey(t), both(expired, names("other.test"), clientOnly)), stranger}, nil,
			[]string{gone, mismatch, untrusted + "unknown-authority", untrusted + "wrong-usage"}},
		{"expired along with its intermediate", "", []*identity{issue(t, oldInter, newKey(t), expired), oldInter}, nil, []string{gone, untrusted + "chain-expired"}},
		{"expired along with its root", "", []*identity{issue(t, oldRoot, newKey(t), expired)}, rootsOf(oldRoot), []string{gone, untrusted + "chain-expired"}},
		{"two expired intermediates are one finding", "", []*identity{issue(t, oldSub, newKey(t), nil), oldSub, oldInter}, nil, []string{untrusted + "chain-expired"}},
		{"never valid: notAfter before now before notBefore", "", []*identity{leaf(expired, future), inter}, nil, []string{gone, untrusted + "not-yet-valid"}},
		{"expired, constrained, for clients, critical", "", []*identity{issue(t, constrained, newKey(t), both(expired, clientOnly, critical)), constrained}, nil,
			[]string{gone, untrusted + "name-constraints", untrusted + "wrong-usage", untrusted + "critical-extension"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			host, pool := tt.host, tt.roots
			if host == "" {
				host = certHost
			}
			if pool == nil {
				pool = roots
			}
			err := VerifyHost(session(tt.chain...), host, pool, certNow)
			if got := words(err); !slices.Equal(got, tt.want) {
				t.Errorf("got  %q\nwant %q\n%v", got, tt.want, err)
			}
			checkCertificateError(t, err)
		})
	}
}

// checkCertificateError wants what the type promises of any error.
func checkCertificateError(t *testing.T, err error) { // R16
	t.Helper()
	if err == nil {
		return
	}
	e, ok := err.(*CertificateError)
	if !ok {
		t.Fatalf("the error is a %T", err)
	}
	text := e.Error()
	if len(text) > 512 || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
		t.Errorf("not one line of printable ASCII of at most 512 octets: %q", text)
	}
	if len(e.Failures) == 0 || len(e.texts) != len(e.Failures) || slices.Contains(e.texts, "") {
		t.Errorf("failures %v, texts %q", e.Failures, e.texts)
	}
	for _, f := range e.Failures {
		if f.Clean() != f {
			t.Errorf("%v is not fit for a report", f)
		}
		if f.Type == tlsrpt.CertificateHostMismatch && !hasError[x509.HostnameError](err) {
			t.Errorf("no x509.HostnameError in %v", err)
		}
		if f.Type == tlsrpt.CertificateExpired && !hasError[x509.CertificateInvalidError](err) {
			t.Errorf("no x509.CertificateInvalidError in %v", err)
		}
		if f.Reason == tlsrpt.ReasonUnknownAuthority && !hasError[x509.UnknownAuthorityError](err) {
			t.Errorf("no x509.UnknownAuthorityError in %v", err)
		}
	}
}

func hasError[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

func weakRSA(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
