package strictmxtest_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/strictmx/strictmx/strictmxtest"
)

// verdict names what x509 finds wrong first.
func verdict(certs []*x509.Certificate, roots *x509.CertPool, name string) string {
	opts := x509.VerifyOptions{DNSName: name, Roots: roots, Intermediates: x509.NewCertPool()}
	for _, c := range certs[1:] {
		opts.Intermediates.AddCert(c)
	}
	_, err := certs[0].Verify(opts)
	if err == nil {
		return "good"
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return "name"
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "authority"
	}
	if e, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		switch {
		case e.Reason == x509.Expired && time.Now().Before(e.Cert.NotBefore):
			return "not yet"
		case e.Reason == x509.Expired && e.Cert != certs[0]:
			return "expired above"
		case e.Reason == x509.Expired:
			return "expired"
		case e.Reason == x509.IncompatibleUsage:
			return "usage"
		case e.Reason == x509.CANotAuthorizedForThisName:
			return "constraint"
		}
	}
	return err.Error()
}

// Each row says what verification finds, at an MX host and at a policy host; a
// kind without a row fails.
func TestCertificates(t *testing.T) {
	rows := map[strictmxtest.Certificate]struct {
		verdict string
		also    func(certs []*x509.Certificate, name string) bool
	}{
		strictmxtest.Good: {"good", func(c []*x509.Certificate, name string) bool {
			return len(c) == 2 && c[0].DNSNames[0] == name && len(c[0].DNSNames) == 1 && c[0].IPAddresses == nil
		}},
		strictmxtest.Wildcard:    {"good", func(c []*x509.Certificate, name string) bool { return c[0].DNSNames[0] == "*.example.com" }},
		strictmxtest.Expired:     {"expired", func(c []*x509.Certificate, name string) bool { return c[0].DNSNames[0] == name }},
		strictmxtest.NotYetValid: {"not yet", func(c []*x509.Certificate, name string) bool { return c[0].DNSNames[0] == name }},
		strictmxtest.Misnamed: {"name", func(c []*x509.Certificate, name string) bool {
			return c[0].Subject.CommonName == name && c[0].DNSNames[0] != name
		}},
		strictmxtest.NoSAN: {"name", func(c []*x509.Certificate, name string) bool {
			return c[0].Subject.CommonName == name && c[0].DNSNames == nil && c[0].IPAddresses == nil
		}},
		strictmxtest.IPSAN: {"name", func(c []*x509.Certificate, name string) bool {
			return c[0].DNSNames == nil && len(c[0].IPAddresses) == 1 && c[0].IPAddresses[0].IsLoopback()
		}},
		strictmxtest.SelfSigned: {"authority", func(c []*x509.Certificate, name string) bool {
			return len(c) == 1 && c[0].CheckSignature(c[0].SignatureAlgorithm, c[0].RawTBSCertificate, c[0].Signature) == nil
		}},
		strictmxtest.UnknownCA: {"authority", func(c []*x509.Certificate, name string) bool {
			other := x509.NewCertPool()
			other.AddCert(c[1])
			return verdict(c, other, name) == "good"
		}},
		strictmxtest.WrongEKU:        {"usage", func(c []*x509.Certificate, name string) bool { return c[0].VerifyHostname(name) == nil }},
		strictmxtest.NameConstrained: {"constraint", func(c []*x509.Certificate, name string) bool { return c[0].VerifyHostname(name) == nil }},
		strictmxtest.MissingIntermediate: {"authority", func(c []*x509.Certificate, name string) bool {
			return len(c) == 1 && c[0].Issuer.String() != c[0].Subject.String()
		}},
		strictmxtest.ExpiredIntermediate: {"expired above", func(c []*x509.Certificate, name string) bool { return c[0].NotAfter.After(time.Now()) }},
		strictmxtest.TooMany:             {"good", func(c []*x509.Certificate, name string) bool { return len(c) == 12 }}, // R14
		strictmxtest.ExpiredMisnamed: {"expired", func(c []*x509.Certificate, name string) bool { // CERT-21
			return c[0].VerifyHostname(name) != nil
		}},
		strictmxtest.PartialWildcard: {"name", func(c []*x509.Certificate, name string) bool { // CERT-11
			san := c[0].DNSNames[0]
			return san == "mta-*.example.com" && name[0:3] == "mta" || san == "m*.example.com" && name[0:2] == "mx"
		}},
	}
	for _, kind := range strictmxtest.Certificates() {
		t.Run(kind.String(), func(t *testing.T) {
			row, ok := rows[kind]
			if !ok {
				t.Fatal("nobody says what is wrong with it")
			}
			w := strictmxtest.New(t)
			w.MX(mxName).Certificate(kind)
			w.Domain("example.com").Policy(policy).Certificate(kind)

			check := func(name string, conn net.Conn) {
				t.Helper()
				c := tls.Client(conn, &tls.Config{ServerName: name, InsecureSkipVerify: true})
				defer c.Close()
				if err := c.Handshake(); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				certs := c.ConnectionState().PeerCertificates
				if got := verdict(certs, w.Roots(), name); got != row.verdict {
					t.Errorf("%s: %s, want %s", name, got, row.verdict)
				}
				if !row.also(certs, name) {
					t.Errorf("%s: chain of %d, subject %v, names %v %v", name, len(certs), certs[0].Subject, certs[0].DNSNames, certs[0].IPAddresses)
				}
			}
			conn := dialMX(t, w)
			talk(t, conn, "STARTTLS")
			check(mxName, conn)
			conn, err := w.DialContext(t.Context(), "tcp", "mta-sts.example.com:443")
			if err != nil {
				t.Fatal(err)
			}
			check("mta-sts.example.com", conn)
		})
	}
}

func TestIssueForAServerOfYourOwn(t *testing.T) {
	w := strictmxtest.New(t)
	cert := w.Issue(strictmxtest.Good, "a.example", "b.example")
	for _, name := range []string{"a.example", "b.example"} {
		if got := verdict(chainOf(t, cert), w.Roots(), name); got != "good" {
			t.Errorf("%s: %s", name, got)
		}
	}
	if ip := w.Issue(strictmxtest.Good, "127.0.0.1"); ip.Leaf.VerifyHostname("127.0.0.1") != nil {
		t.Errorf("for an address: %v", ip.Leaf.IPAddresses)
	}
	w.MX(mxName).Present(cert)
	if err := deliver(t, w, mxName, &tls.Config{RootCAs: w.Roots()}); !says(err, "a.example") {
		t.Errorf("%v, want the other certificate", err)
	}
	other := strictmxtest.New(t)
	if got := verdict(chainOf(t, cert), other.Roots(), "a.example"); got != "authority" {
		t.Errorf("in another world: %s", got)
	}
}

func chainOf(t *testing.T, cert tls.Certificate) []*x509.Certificate {
	t.Helper()
	var certs []*x509.Certificate
	for _, der := range cert.Certificate {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		certs = append(certs, c)
	}
	return certs
}

func TestRootsPEMTrustsWhatRootsDoes(t *testing.T) {
	w := strictmxtest.New(t)
	pool := x509.NewCertPool()
	if pem := w.RootsPEM(); !pool.AppendCertsFromPEM(pem) || !pool.Equal(w.Roots()) {
		t.Errorf("%s is not what Roots holds", pem)
	}
}
