package strictmxtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"slices"
	"strings"
	"sync"
	"time"
)

// authority issues every certificate of a world. A few keys serve for all.
type authority struct {
	root, intermediate, stranger issuer
	key                          *ecdsa.PrivateKey // of every server

	mu     sync.Mutex // guards what follows
	serial int64
	issued map[string]tls.Certificate // by kind and names
}

// issuer is a certificate that may sign others.
type issuer struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority() (*authority, error) {
	a := &authority{issued: map[string]tls.Certificate{}}
	var err error
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, err
	}
	now := time.Now()
	for _, ca := range []struct {
		to     *issuer
		name   string
		parent *issuer
	}{
		{&a.root, "Root", &a.root},
		{&a.intermediate, "Intermediate", &a.root},
		{&a.stranger, "Stranger", &a.stranger},
	} {
		if ca.to.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			return nil, err
		}
		t := a.caTemplate(ca.name, now)
		from := *ca.parent
		if from.cert == nil {
			from.cert = t // signs itself
		}
		if ca.to.cert, err = a.sign(t, ca.to.key, from); err != nil {
			return nil, err
		}
	}
	return a, nil
}

func (a *authority) caTemplate(name string, now time.Time) *x509.Certificate {
	return &x509.Certificate{
		Subject:   pkix.Name{Organization: []string{"strictmxtest"}, CommonName: "strictmxtest " + name},
		NotBefore: now.Add(-48 * time.Hour), NotAfter: now.Add(10 * 365 * 24 * time.Hour),
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		IsCA:     true, BasicConstraintsValid: true,
	}
}

// sign makes a certificate for key out of a template. The caller holds mu, or is
// alone.
func (a *authority) sign(t *x509.Certificate, key *ecdsa.PrivateKey, from issuer) (*x509.Certificate, error) {
	a.serial++
	t.SerialNumber = big.NewInt(a.serial)
	der, err := x509.CreateCertificate(rand.Reader, t, from.cert, &key.PublicKey, from.key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

func (a *authority) roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.root.cert)
	return pool
}

// issue returns a certificate with its chain, the same for the same names.
func (a *authority) issue(kind Certificate, names []string) (tls.Certificate, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	key := kind.String() + " " + strings.Join(names, " ")
	if cert, ok := a.issued[key]; ok {
		return cert, nil
	}
	cert, err := a.make(kind, names)
	if err == nil {
		a.issued[key] = cert
	}
	return cert, err
}

func (a *authority) make(kind Certificate, names []string) (tls.Certificate, error) {
	now := time.Now()
	t := kind.template(names, now)
	from, chain, err := a.issuerFor(kind, t, now)
	if err != nil {
		return tls.Certificate{}, err
	}
	leaf, err := a.sign(t, a.key, from)
	if err != nil {
		return tls.Certificate{}, err
	}
	cert := tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: a.key, Leaf: leaf}
	for _, c := range chain {
		cert.Certificate = append(cert.Certificate, c.Raw)
	}
	return cert, nil
}

// issuerFor returns who signs a leaf, and what is sent after it.
func (a *authority) issuerFor(kind Certificate, leaf *x509.Certificate, now time.Time) (issuer, []*x509.Certificate, error) {
	switch kind {
	case SelfSigned:
		return issuer{leaf, a.key}, nil, nil
	case UnknownCA:
		return a.stranger, []*x509.Certificate{a.stranger.cert}, nil
	case MissingIntermediate:
		return a.intermediate, nil, nil
	case ExpiredIntermediate:
		t := a.caTemplate("Intermediate", now)
		t.NotBefore, t.NotAfter = now.Add(-365*24*time.Hour), now.Add(-time.Hour)
		return a.between(t)
	case NameConstrained:
		t := a.caTemplate("Constrained", now)
		t.PermittedDNSDomainsCritical, t.ExcludedDNSDomains = true, slices.Clone(leaf.DNSNames)
		return a.between(t)
	case TooMany:
		return a.longChain(now)
	}
	return a.intermediate, []*x509.Certificate{a.intermediate.cert}, nil
}

// between makes another intermediate authority, with the usual one's key.
func (a *authority) between(t *x509.Certificate) (issuer, []*x509.Certificate, error) {
	c, err := a.sign(t, a.intermediate.key, a.root)
	return issuer{c, a.intermediate.key}, []*x509.Certificate{c}, err
}

// longChain makes eleven intermediate authorities, each issued by the next.
func (a *authority) longChain(now time.Time) (issuer, []*x509.Certificate, error) {
	from := a.root
	var chain []*x509.Certificate
	for i := range 11 {
		c, err := a.sign(a.caTemplate("Link "+string(rune('a'+i)), now), a.intermediate.key, from)
		if err != nil {
			return issuer{}, nil, err
		}
		from = issuer{c, a.intermediate.key}
		chain = append(chain, c)
	}
	slices.Reverse(chain) // the leaf's issuer first
	return from, chain, nil
}
