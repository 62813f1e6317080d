package adversary

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"sync"
	"time"
)

// chain is what a host shows of itself.
type chain uint8

const (
	chainGood chain = iota
	chainExpired
	chainMisnamed
	chainAttackers // signed by a CA of the attacker's own
	chains
)

func (c chain) String() string {
	return [...]string{"good", "expired", "misnamed", "attacker's"}[c]
}

// mxAttacker has a valid certificate, in its own name.
const mxAttacker = "mx.attacker.example"

// pki has every chain of every host. It is made once, outside of all bubbles.
type pki struct {
	roots  *x509.CertPool
	chains map[string][chains]tls.Certificate
	thief  crypto.Signer // a key that goes with no certificate
}

var theirs = sync.OnceValue(newPKI)

func newPKI() *pki {
	from, to := time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2090, 1, 1, 0, 0, 0, 0, time.UTC)
	ca := func(name string) (*x509.Certificate, crypto.Signer) {
		key := newKey()
		c := &x509.Certificate{
			SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: from, NotAfter: to,
			IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		}
		return sign(c, c, key, key), key
	}
	root, rootKey := ca("everyone's CA")
	rogue, rogueKey := ca("the attacker's CA")
	p := &pki{roots: x509.NewCertPool(), chains: make(map[string][chains]tls.Certificate), thief: newKey()}
	p.roots.AddCert(root)
	for _, host := range []string{mx1, mx2, mxStale, mxAttacker} {
		var all [chains]tls.Certificate
		for c := range chains {
			leaf := &x509.Certificate{
				SerialNumber: big.NewInt(2), DNSNames: []string{host}, NotBefore: from, NotAfter: to,
				KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
			}
			by, byKey := root, rootKey
			switch c {
			case chainExpired:
				leaf.NotAfter = from.AddDate(1, 0, 0)
			case chainMisnamed:
				leaf.DNSNames = []string{"www." + host}
			case chainAttackers:
				by, byKey = rogue, rogueKey
			}
			key := newKey()
			leaf = sign(leaf, by, key, byKey)
			all[c] = tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}
		}
		p.chains[host] = all
	}
	return p
}

func newKey() crypto.Signer {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}

func sign(template, parent *x509.Certificate, key, by crypto.Signer) *x509.Certificate {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), by)
	if err != nil {
		panic(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return c
}
