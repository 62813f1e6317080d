package main

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"

	"github.com/strictmx/strictmx/mtasts"
	"github.com/strictmx/strictmx/outbound"
	"github.com/strictmx/strictmx/resolver"
	"github.com/strictmx/strictmx/tlsrpt"
	"github.com/strictmx/strictmx/tlsrpt/collect"
)

// network is how to reach the world. For the real one the resolver is a
// *resolver.Client of which nothing is set, and the rest is nil.
type network struct {
	resolver  *resolver.Client
	transport http.RoundTripper
	dial      func(ctx context.Context, network, address string) (net.Conn, error)
	roots     *x509.CertPool
}

// mailServer is what a mail server needs to deliver as the policies of the
// recipients' domains demand, and to report to them how that went. Together with
// sign it is the part to copy.
type mailServer struct {
	policies  *mtasts.Client
	collector *collect.Collector
	dialer    *outbound.Dialer
	reporter  *collect.Reporter
	key       crypto.Signer
}

// newMailServer starts nothing: the dialer delivers at once, and run sends the
// reports.
func newMailServer(n network, key crypto.Signer) *mailServer {
	s := &mailServer{
		policies:  &mtasts.Client{Resolver: n.resolver, Transport: n.transport},
		collector: &collect.Collector{Resolver: n.resolver},
		key:       key,
	}
	s.dialer = &outbound.Dialer{
		Enforcer: &outbound.Enforcer{
			MTASTS:    s.policies,
			Observer:  s.collector, // hears of every session
			TLSConfig: &tls.Config{RootCAs: n.roots},
			LocalName: "mail." + submitter,
		},
		Resolver:    n.resolver,
		DialContext: n.dial,
	}
	s.reporter = &collect.Reporter{
		Collector: s.collector,
		Submitter: tlsrpt.Submitter{Organization: "Example Mail", Contact: contact},
		Resolver:  n.resolver,
		Send:      s.sendReport,
	}
	return s
}

// sendReport signs a report and delivers it. A server that has a queue puts the
// signed mail there instead, marked as a report, and returns once it is safe.
func (s *mailServer) sendReport(ctx context.Context, m collect.Mail) error {
	signed, err := sign(m.Message, submitter, selector, s.key)
	if err != nil {
		return err
	}
	receipt := s.dialer.SendMail(ctx, outbound.Envelope{
		From:   "", // nobody gets bounces who does not want them
		To:     []string{m.To},
		Report: true, // whatever the TLS there is like, and not counted (RFC 8460, sections 3 and 5.3)
	}, signed)[0]
	if receipt.Err != nil && !receipt.Temporary() {
		s.reporter.Suppress(m.To) // refused for good: leave the address alone for a while
	}
	return receipt.Err // the Reporter tries again for a day
}

// run sends reports until ctx ends, and returns its error; at once if there is
// something wrong with the Reporter. Let the deliveries end before ctx does, for
// what the Collector hears later is in no report.
func (s *mailServer) run(ctx context.Context) error {
	err := s.reporter.Run(ctx) // it runs the Collector, too
	// Now no sendReport is under way, and what it uses may be closed.
	s.policies.Close()
	return err
}
