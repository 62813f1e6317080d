package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/smtp"
	"strings"
	"time"

	"github.com/strictmx/strictmx/mtasts"
	"github.com/strictmx/strictmx/outbound"
	"github.com/strictmx/strictmx/resolver"
	"github.com/strictmx/strictmx/tlsrpt"
	"github.com/strictmx/strictmx/tlsrpt/collect"
)

// This file is the part to copy. All that a program needs to deliver under the
// policies of its recipients is in newSender, and one call of SendMail.

// network is where names, connections and trust come from. The zero value is the
// real one.
type network struct {
	resolver  *resolver.Client
	transport http.RoundTripper // to the policy hosts
	dial      func(ctx context.Context, network, address string) (net.Conn, error)
	port      string         // of the MX hosts
	roots     *x509.CertPool // for MX hosts
}

// sender delivers mail, and counts what TLS-RPT has to tell about it.
type sender struct {
	policies *mtasts.Client
	dialer   *outbound.Dialer
	sessions collect.Collector
}

func newSender(n network, name string, timeout time.Duration) *sender {
	if n.resolver == nil {
		n.resolver = new(resolver.Client)
	}
	s := new(sender)
	s.policies = &mtasts.Client{Resolver: n.resolver, Transport: n.transport}
	s.dialer = &outbound.Dialer{
		Enforcer: &outbound.Enforcer{
			MTASTS:    s.policies,
			Observer:  yesterday(&s.sessions),
			TLSConfig: &tls.Config{RootCAs: n.roots},
			LocalName: name,
		},
		Resolver:    n.resolver,
		Port:        n.port,
		DialContext: n.dial,
		Timeout:     timeout,
	}
	return s
}

// send delivers a message, and returns what became of it for each recipient.
func (s *sender) send(ctx context.Context, from string, to []string, msg []byte) []outbound.Receipt {
	return s.dialer.SendMail(ctx, outbound.Envelope{From: from, To: to}, msg)
}

// try finds out how a message would fare, domain by domain: it connects as send
// does, with the same policies, and hangs up before MAIL FROM.
func (s *sender) try(ctx context.Context, to []string) []outbound.Receipt {
	var receipts []outbound.Receipt
	seen := make(map[string]bool)
	for _, recipient := range to {
		domain := strings.ToLower(domainOf(recipient))
		if !seen[domain] {
			seen[domain] = true
			r := s.tryDomain(ctx, domain)
			r.Recipient, r.Domain = domain, domain
			receipts = append(receipts, r)
		}
	}
	return receipts
}

func (s *sender) tryDomain(ctx context.Context, domain string) outbound.Receipt {
	var errs []error
	for conn, err := range s.dialer.Conns(ctx, outbound.Delivery{Domain: domain}) {
		if err == nil {
			err = greet(ctx, conn)
		}
		if err == nil {
			session, plan := conn.Session, conn.Session.Plan()
			return outbound.Receipt{Host: session.Host(), Level: session.Level(), Code: 250, Policy: plan.Result(), Cause: plan.Cause()}
		}
		errs = append(errs, err)
	}
	return outbound.Verdict(errs).Receipt()
}

// greet says EHLO and QUIT.
func greet(ctx context.Context, conn *outbound.Conn) error {
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })() // ends any read or write
	c, err := smtp.NewClient(conn, conn.Session.Host())
	if err != nil {
		return err
	}
	if err := c.Hello(conn.LocalName()); err != nil {
		return err
	}
	return c.Quit()
}

func domainOf(address string) string { return address[strings.LastIndexByte(address, '@')+1:] }

// yesterday dates sessions to the day before: a day must be over before there is a
// report of it, and this program does not run that long. A mail server has its
// Collector for an Observer as it is, and a [collect.Reporter] that sends the reports
// of each day after its end to those who asked for them.
func yesterday(o tlsrpt.Observer) tlsrpt.Observer {
	return tlsrpt.ObserverFunc(func(e tlsrpt.Event) {
		e.Time = e.Time.AddDate(0, 0, -1)
		o.Observe(e)
	})
}
