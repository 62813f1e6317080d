package main

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

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

// verify does what a receiver of reports must: the signature is valid, is the
// submitter's, and covers both of the headers. The verifier itself refuses a
// signature with "l=" (RFC 8460, section 3). It returns the names of the headers
// that are covered.
func verify(message []byte, dns map[string]string) (covered []string, err error) {
	found, err := dkim.VerifyWithOptions(bytes.NewReader(message), &dkim.VerifyOptions{
		LookupTXT: func(name string) ([]string, error) {
			if record, ok := dns[name]; ok {
				return []string{record}, nil
			}
			return nil, fmt.Errorf("there is no %s", name)
		},
	})
	switch {
	case err != nil:
		return nil, err
	case len(found) != 1:
		return nil, fmt.Errorf("the mail has %d signatures, not one", len(found))
	case found[0].Err != nil:
		return nil, found[0].Err
	case found[0].Domain != submitter:
		return nil, errors.New("the signature is another domain's")
	}
	for _, name := range []string{"TLS-Report-Domain", "TLS-Report-Submitter"} {
		if !slices.ContainsFunc(found[0].HeaderKeys, func(key string) bool { return strings.EqualFold(key, name) }) {
			return nil, errors.New("the signature does not cover " + name)
		}
	}
	return found[0].HeaderKeys, nil
}
