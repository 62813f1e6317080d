package mtasts

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/strictmx/strictmx/internal/dnsname"
	"github.com/strictmx/strictmx/tlsrpt"
)

// For every combination of ingredients: VerifyHost fails if and only if x509
// does, and names each.
func TestVerifyHostNamesEveryIngredient(t *testing.T) { // CERT-21, R14
	const (
		late = 1 << iota
		early
		misnamed
		untrusted
		usage
		constraint
		oldChain
		all
	)
	word := map[int]string{
		late: "certificate-expired", early: "certificate-not-trusted not-yet-valid", misnamed: "certificate-host-mismatch",
		untrusted: "certificate-not-trusted unknown-authority", usage: "certificate-not-trusted wrong-usage",
		constraint: "certificate-not-trusted name-constraints", oldChain: "certificate-not-trusted chain-expired",
	}
	root := issue(t, nil, newKey(t), authority("root", 10))
	other := issue(t, nil, newKey(t), authority("other", 10))
	leafKey, caKey := newKey(t), newKey(t)
	for mix := range all {
		var leafChanges, caChanges []func(*x509.Certificate)
		caChanges = append(caChanges, authority("inter", 5))
		if mix&late != 0 {
			leafChanges = append(leafChanges, expired)
		}
		if mix&early != 0 {
			leafChanges = append(leafChanges, future)
		}
		if mix&misnamed != 0 {
			leafChanges = append(leafChanges, names("other.test"))
		}
		if mix&usage != 0 {
			leafChanges = append(leafChanges, clientOnly)
		}
		if mix&constraint != 0 {
			caChanges = append(caChanges, permits("elsewhere.test"))
		}
		if mix&oldChain != 0 {
			caChanges = append(caChanges, expired)
		}
		roots := rootsOf(root)
		if mix&untrusted != 0 {
			roots = rootsOf(other)
		}
		ca := issue(t, root, caKey, both(caChanges...))
		leaf := issue(t, ca, leafKey, both(leafChanges...))

		var want []string
		for bit := 1; bit < all; bit <<= 1 {
			// Without trust there is no path whose dates and constraints count.
			if mix&bit != 0 && !(mix&untrusted != 0 && (bit == constraint || bit == oldChain)) {
				want = append(want, word[bit])
			}
		}
		err := VerifyHost(session(leaf, ca), certHost, roots, certNow)
		got := words(err)
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("mix %07b: got %q, want %q", mix, got, want)
		}
		_, strict := leaf.cert.Verify(x509.VerifyOptions{DNSName: certHost, Roots: roots, Intermediates: rootsOf(ca), CurrentTime: certNow})
		if (err == nil) != (strict == nil) {
			t.Errorf("mix %07b: %v, but x509 says %v", mix, err, strict)
		}
		checkCertificateError(t, err)
	}
}

// Of two ways to a root the one that needs less repair is told.
func TestExplainTakesTheBestOfSeveralPaths(t *testing.T) {
	root := issue(t, nil, newKey(t), authority("root", 10))
	key := newKey(t)
	bad := issue(t, root, key, both(authority("inter", 5), expired, clientOnly))
	fair := issue(t, root, key, both(authority("inter", 4), clientOnly))
	leaf := issue(t, fair, newKey(t), nil)
	for _, chain := range [][]*identity{{leaf, bad, fair}, {leaf, fair, bad}} {
		got := words(VerifyHost(session(chain...), certHost, rootsOf(root), certNow))
		if want := []string{"certificate-not-trusted wrong-usage"}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	// And one good way is enough.
	good := issue(t, root, key, authority("inter", 5))
	if err := VerifyHost(session(leaf, bad, fair, good), certHost, rootsOf(root), certNow); err != nil {
		t.Error(err)
	}
}

func TestCertificateErrorText(t *testing.T) {
	root := issue(t, nil, newKey(t), authority("root", 10))
	roots := rootsOf(root)
	for _, tt := range []struct {
		host string
		leaf *identity
		want string
	}{
		{certHost, issue(t, root, newKey(t), both(expired, names("a.test", "b.test", "c.test", "d.test", "e.test"))),
			`mtasts: certificate of mx.example.com: expired on 2026-06-01T11:59:59Z; is for "a.test", "b.test", "c.test" and 2 more, not for mx.example.com`},
		{certHost, issue(t, root, newKey(t), names()),
			`mtasts: certificate of mx.example.com: has no DNS name (its common name "mx.example.com" does not count)`},
		{certHost, issue(t, root, newKey(t), func(c *x509.Certificate) { c.Subject, c.DNSNames = pkix.Name{}, nil }),
			`mtasts: certificate of mx.example.com: has no DNS name`},
		{certHost, issue(t, issue(t, nil, newKey(t), authority("Private CA\n\u202e", 10)), newKey(t), nil),
			`mtasts: certificate of mx.example.com: is issued by "Private CA??", which is not trusted, and no intermediate certificate was sent`},
		{certHost, issue(t, issue(t, nil, newKey(t), both(authority("", 10), func(c *x509.Certificate) { c.Subject.Organization = []string{"An Org"} })), newKey(t), nil),
			`mtasts: certificate of mx.example.com: is issued by "An Org", which is not trusted, and no intermediate certificate was sent`},
		{certHost, issue(t, root, weakRSA(t), clientOnly),
			`mtasts: certificate of mx.example.com: does not allow server authentication; has an RSA key of 1024 bits`},
		{"192.0.2.1", issue(t, root, newKey(t), nil),
			`mtasts: certificate: the host "192.0.2.1" is an IP address`},
		{"*.example.com\r\n", issue(t, root, newKey(t), nil),
			`mtasts: certificate: the host "*.example.com??" is no DNS name`},
	} {
		err := VerifyHost(session(tt.leaf), tt.host, roots, certNow)
		if err == nil || err.Error() != tt.want {
			t.Errorf("got  %v\nwant %s", err, tt.want)
		}
		checkCertificateError(t, err)
	}
	made := &CertificateError{Host: certHost, Failures: []tlsrpt.Failure{{Type: tlsrpt.CertificateExpired}, {Type: "x", Reason: "\n"}}}
	if want := "mtasts: certificate of mx.example.com: certificate-expired; validation-failure unknown"; made.Error() != want {
		t.Errorf("got  %s\nwant %s", made, want)
	}
}

// A caller who branches on the cause finds each by errors.As, and cannot reach
// ours through what it is given.
func TestCertificateErrorUnwraps(t *testing.T) {
	leaf := issue(t, nil, newKey(t), both(expired, names("other.test")))
	err := fmt.Errorf("session: %w", VerifyHost(session(leaf), certHost, x509.NewCertPool(), certNow))
	invalid, _ := errors.AsType[x509.CertificateInvalidError](err)
	hostname, _ := errors.AsType[x509.HostnameError](err)
	unknown, _ := errors.AsType[x509.UnknownAuthorityError](err)
	if invalid.Cert != leaf.cert || invalid.Reason != x509.Expired || hostname.Host != certHost || unknown.Cert != leaf.cert {
		t.Errorf("got %v, %v, %v", invalid, hostname.Host, unknown)
	}
	ours, _ := errors.AsType[*CertificateError](err)
	ours.TLSFailures()[0].Reason = "changed"
	if ours.Failures[0].Reason != "" {
		t.Error("TLSFailures hands out the error's own slice")
	}
}

// The other side chooses what it sends; it must neither panic nor cost much.
func TestVerifyHostWithHostileCertificates(t *testing.T) { // R14, R16
	root := issue(t, nil, newKey(t), authority("root", 10))
	long := strings.Repeat("\u202e\"x", 10_000)
	many := make([]string, 5000)
	for i := range many {
		many[i] = fmt.Sprintf("h%d.%stest", i, strings.Repeat("a.", 100))
	}
	// Nine certificates of one name and one key: each may follow each, and only
	// the limit of x509 on signatures ends the search.
	loop := issue(t, nil, newKey(t), authority("loop", 5))
	maze := []*identity{issue(t, loop, newKey(t), expired)}
	for i := range 9 {
		maze = append(maze, issue(t, loop, loop.key, both(authority("loop", 5), names(fmt.Sprint("n", i)))))
	}
	wide := func(c *x509.Certificate) {
		c.PermittedDNSDomains = many[:1000]
	}
	constrained := issue(t, root, newKey(t), both(authority("constrained", 5), wide))
	for _, tt := range []struct {
		name  string
		chain []*identity
	}{
		{"thousands of names", []*identity{issue(t, root, newKey(t), both(names(many...), expired, clientOnly))}},
		{"a long common name", []*identity{issue(t, root, newKey(t), both(names(), func(c *x509.Certificate) { c.Subject.CommonName = long }))}},
		{"long names", []*identity{issue(t, root, newKey(t), names(strings.Repeat("a", 60_000), `"\`, strings.Repeat(`\`, 200)))}},
		{"a maze of intermediates", maze},
		{"thousands of names against a thousand constraints", []*identity{issue(t, constrained, newKey(t), both(names(many...), expired)), constrained}},
		{"dates at the ends of time", []*identity{issue(t, root, newKey(t), func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(0, 1, 2, 0, 0, 0, 0, time.UTC)
		})}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := VerifyHost(session(tt.chain...), certHost, rootsOf(root), certNow)
			if err == nil {
				t.Fatal("verified")
			}
			checkCertificateError(t, err)
		})
	}
}

// A system's own verifier may refuse for reasons that cannot be found again.
func TestExplainNeverLosesTheVerdict(t *testing.T) {
	root := issue(t, nil, newKey(t), authority("root", 10))
	v := verification{name: certHost, leaf: issue(t, root, newKey(t), nil).cert, roots: rootsOf(root), now: certNow}
	err := v.explain(nil, x509.UnknownAuthorityError{Cert: v.leaf})
	if got, want := words(err), []string{"certificate-not-trusted unknown-authority"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	checkCertificateError(t, err)
}

// Certificates that were never parsed come from no handshake, but must not be
// taken for good ones.
func TestVerifyHostWithEmptyCertificates(t *testing.T) {
	for _, certs := range [][]*x509.Certificate{{nil}, {{}}, {{DNSNames: []string{certHost}, NotAfter: certNow.Add(time.Hour)}}} {
		err := VerifyHost(tls.ConnectionState{PeerCertificates: certs}, certHost, x509.NewCertPool(), certNow)
		if err == nil {
			t.Errorf("%v verified", certs)
		}
		checkCertificateError(t, err)
	}
}

// The current time and the system's roots are the defaults.
func TestVerifyHostDefaults(t *testing.T) {
	root := issue(t, nil, newKey(t), func(c *x509.Certificate) {
		authority("root", 10)(c)
		c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	})
	leaf := issue(t, root, newKey(t), func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	})
	if err := VerifyHost(session(leaf), certHost, rootsOf(root), time.Time{}); err != nil {
		t.Error(err)
	}
	err := VerifyHost(session(leaf), certHost, nil, time.Time{})
	if got := words(err); len(got) != 1 || got[0] != "certificate-not-trusted unknown-authority" && got[0] != "certificate-not-trusted no-roots" {
		t.Errorf("got %q", got)
	}
}

// In a handshake the error reaches the caller as it is: VerifyConnection runs
// before the handshake is complete, on every one.
func TestVerifyHostInAHandshake(t *testing.T) { // CERT-20
	root := issue(t, nil, newKey(t), authority("root", 10))
	for _, tt := range []struct {
		leaf *identity
		want []string
	}{
		{issue(t, root, newKey(t), nil), nil},
		{issue(t, root, newKey(t), both(expired, names("other.test"))), []string{"certificate-expired", "certificate-host-mismatch"}},
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			if conn, err := l.Accept(); err == nil {
				defer conn.Close()
				_ = tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{tt.leaf.cert.Raw}, PrivateKey: tt.leaf.key}}}).Handshake()
			}
		}()
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		err = tls.Client(conn, &tls.Config{
			InsecureSkipVerify: true,
			VerifyConnection: func(cs tls.ConnectionState) error {
				if cs.HandshakeComplete {
					t.Error("the handshake is complete already")
				}
				return VerifyHost(cs, certHost, rootsOf(root), certNow)
			},
		}).Handshake()
		conn.Close()
		l.Close()
		<-done
		if got := words(err); !slices.Equal(got, tt.want) {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

// A host is verified only under a spelling of the name in the certificate.
func FuzzVerifyHost(f *testing.F) { // CERT-08, CERT-12, CERT-14, CERT-19
	root := issue(f, nil, newKey(f), authority("root", 10))
	leaf := issue(f, root, newKey(f), func(c *x509.Certificate) {
		c.DNSNames, c.IPAddresses = []string{certHost, "*.wild.test", "192.0.2.1"}, []net.IP{{192, 0, 2, 1}, net.ParseIP("2001:db8::1")}
	})
	for _, host := range []string{certHost, "MX.example.COM.", "a.wild.test", "*.wild.test", "a.b.wild.test", "192.0.2.1", "192.0.2.1.",
		"[192.0.2.1]", "2001:db8::1", "", ".", "mx.example.com..", "mx.example.com\x00", "\u212a.wild.test", "-.wild.test", "mx\u3002example.com"} {
		f.Add(host)
	}
	roots := rootsOf(root)
	f.Fuzz(func(t *testing.T, host string) {
		err := VerifyHost(session(leaf), host, roots, certNow)
		checkCertificateError(t, err)
		name, invalid := dnsname.Host(host)
		label, wild := strings.CutSuffix(name, ".wild.test")
		want := invalid == nil && (name == certHost || wild && dnsname.Labels(label) == 1 && label[0] != '-')
		if (err == nil) != want {
			t.Errorf("host %q: %v", host, err)
		}
	})
}

func BenchmarkVerifyHost(b *testing.B) {
	root := issue(b, nil, newKey(b), authority("root", 10))
	stranger := issue(b, nil, newKey(b), authority("root", 10))
	inter := issue(b, root, newKey(b), authority("inter", 5))
	good := issue(b, inter, newKey(b), nil)
	bad := issue(b, inter, newKey(b), both(expired, names("other.test"), clientOnly))
	for _, bb := range []struct {
		name  string
		cs    tls.ConnectionState
		roots *x509.CertPool
	}{
		{"good", session(good, inter), rootsOf(root)},
		{"misnamed, expired, for clients", session(bad, inter), rootsOf(root)},
		{"unknown authority", session(good, inter), rootsOf(stranger)},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_ = VerifyHost(bb.cs, certHost, bb.roots, certNow)
			}
		})
	}
}
