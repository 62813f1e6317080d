// Dkim sends a TLS report as a mail server does: a Collector has counted the
// sessions of a day, a Reporter makes the report, which is signed with DKIM and
// delivered, and the receiver verifies the signature and reads it. Receivers
// ignore reports that the submitter's domain did not sign (RFC 8460, section 3).
// All of it happens in a small world on loopback, so nothing leaves this machine:
//
//	cd examples/dkim && go run .
//
// What to copy is in server.go and sign.go; the rest is the world around it.
//
// It has a module of its own, for the core needs no DKIM. The signing is done by
// github.com/emersion/go-msgauth: it is maintained together with the rest of a
// widely used family of mail packages, signs and verifies with RSA and Ed25519,
// streams, takes any crypto.Signer so that the key may live elsewhere, and has
// no way to write the "l=" that reports must not have.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"strings"
	"time"

	"github.com/strictmx/strictmx/strictmxtest"
	"github.com/strictmx/strictmx/tlsrpt"
)

const (
	submitter = "example.org" // whose server this is
	contact   = "tls-reports@" + submitter
	selector  = "reports" // of the DKIM key

	owner     = "example.com" // who wants reports
	host      = "mx.example.com"
	recipient = "tls-reports@" + owner
)

func main() {
	log.SetFlags(0)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := run(ctx, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, out io.Writer) error {
	key, record, err := newKey()
	if err != nil {
		return err
	}
	// The record that the domain is to publish.
	if err := tlsrpt.CheckDKIMKey(record); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s._domainkey.%s has %.34s...\n", selector, submitter, record)

	world, err := strictmxtest.Start()
	if err != nil {
		return err
	}
	defer world.Close()
	populate(world, record)
	server := newMailServer(networkOf(world), key)
	if err := reportYesterday(hurry(ctx, server), server); err != nil {
		return err
	}
	received := world.MX(host).Messages()
	if len(received) != 1 {
		return fmt.Errorf("%s took %d mails, not one", host, len(received))
	}
	fmt.Fprintf(out, "%s, whose certificate expired, took the report for %s\n", host, strings.Join(received[0].To, ", "))
	return receive(ctx, out, world, []byte(received[0].Data))
}

// receive is what the owner of the domain does.
func receive(ctx context.Context, out io.Writer, world *strictmxtest.World, message []byte) error {
	lookupTXT := func(name string) ([]string, error) { return world.NetResolver().LookupTXT(ctx, name) }
	covered, err := verify(message, lookupTXT)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "the signature of %s is valid, and covers %s\n", submitter, strings.Join(covered, ", "))

	report, err := tlsrpt.ParseReport(bytes.NewReader(message))
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "the mail holds the file %s\n\n%s", report.Filename(), report.Text())

	// Somebody on the path says that it is about another domain.
	forged := bytes.Replace(message, []byte("TLS-Report-Domain: example.com"), []byte("TLS-Report-Domain: example.net"), 1)
	_, err = verify(forged, lookupTXT)
	if err == nil {
		return errors.New("a forged mail has a valid signature")
	}
	fmt.Fprintf(out, "\nthe same mail, forged: %v\n", err)
	return nil
}
