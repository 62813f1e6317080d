// Dkim makes a TLS report of one day, signs the mail that carries it, and
// verifies the signature as the receiver will: receivers ignore reports that
// the submitter's domain did not sign (RFC 8460, section 3). The key is a fresh
// one and DNS is a map, so nothing leaves this machine:
//
//	cd examples/dkim && go run .
//
// It has a module of its own, for the core needs no DKIM. The signing is done by
// github.com/emersion/go-msgauth: it is maintained together with the rest of a
// widely used family of mail packages, signs and verifies with RSA and Ed25519,
// streams, takes any crypto.Signer so that the key may live elsewhere, and has
// no way to write the "l=" that reports must not have.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"strings"
	"time"

	"github.com/strictmx/strictmx/tlsrpt"
)

const (
	submitter = "example.org"
	selector  = "reports"
	recipient = "tls-reports@example.com"
)

func main() {
	log.SetFlags(0)
	if err := run(os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(w io.Writer) error {
	key, record, err := newKey()
	if err != nil {
		return err
	}
	// The record that the domain is to publish.
	if err := tlsrpt.CheckDKIMKey(record); err != nil {
		return err
	}
	fmt.Fprintf(w, "%s._domainkey.%s has %.34s...\n", selector, submitter, record)

	report, err := yesterday()
	if err != nil {
		return err
	}
	message, err := report.Message(recipient)
	if err != nil {
		return err
	}
	signed, err := sign(message, submitter, selector, key)
	if err != nil {
		return err
	}
	dns := map[string]string{selector + "._domainkey." + submitter: record}
	covered, err := verify(signed, dns)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "the signature of %s is valid, and covers %s\n", submitter, strings.Join(covered, ", "))

	received, err := tlsrpt.ParseReport(bytes.NewReader(signed))
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "the mail holds the file %s\n\n%s", received.Filename(), received.Text())

	// Somebody on the path says that it is about another domain.
	forged := bytes.Replace(signed, []byte("TLS-Report-Domain: example.com"), []byte("TLS-Report-Domain: example.net"), 1)
	_, err = verify(forged, dns)
	if err == nil {
		return errors.New("a forged mail has a valid signature")
	}
	fmt.Fprintf(w, "\nthe same mail, forged: %v\n", err)
	return nil
}

// yesterday returns the report of what tlsrpt/collect would have counted.
func yesterday() (*tlsrpt.Report, error) {
	who := tlsrpt.Submitter{Organization: "Example Mail", Contact: "tls-reports@" + submitter}
	return tlsrpt.NewReport(who, "example.com", time.Now().AddDate(0, 0, -1), []tlsrpt.PolicyResult{{
		Policy: tlsrpt.Policy{
			Type: tlsrpt.STS, Domain: "example.com", MXHosts: []string{"*.example.com"},
			Strings: []string{"version: STSv1", "mode: enforce", "mx: *.example.com", "max_age: 604800"},
		},
		Summary: tlsrpt.Summary{Successful: 1989, Failed: 11},
		Failures: []tlsrpt.FailureDetail{
			{Type: tlsrpt.CertificateExpired, MXHost: "mx2.example.com", Sessions: 11},
		},
	}})
}
