package main

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"

	"github.com/emersion/go-msgauth/dkim"

	"github.com/strictmx/strictmx/tlsrpt"
)

// newKey returns a key and the record that publishes it. RSA, since not every
// receiver knows Ed25519 (RFC 8463). The "s=" names both services: "tlsrpt",
// which TLS-RPT asks for, and "email", without which many a mail filter takes
// the signature for none. A key for "tlsrpt" must not be needed for anything
// else, so give it a selector of its own.
func newKey() (key crypto.Signer, record string, err error) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, "", err
	}
	public, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		return nil, "", err
	}
	return private, "v=DKIM1; k=rsa; s=tlsrpt:email; p=" + base64.StdEncoding.EncodeToString(public), nil
}

// sign returns the message with a DKIM-Signature before it, by the domain of its
// submitter.
func sign(message []byte, domain, selector string, key crypto.Signer) ([]byte, error) {
	var signed bytes.Buffer
	err := dkim.Sign(&signed, bytes.NewReader(message), &dkim.SignOptions{
		Domain: domain, Selector: selector, Signer: key,
		HeaderKeys:             tlsrpt.SignedHeaders(), // RFC 8460, section 5.3
		HeaderCanonicalization: dkim.CanonicalizationRelaxed,
		BodyCanonicalization:   dkim.CanonicalizationRelaxed,
	})
	return signed.Bytes(), err
}
