package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/strictmx/strictmx/strictmxtest"
	"github.com/strictmx/strictmx/tlsrpt"
	"github.com/strictmx/strictmx/tlsrpt/collect"
)

// populate makes a domain that wants reports and has reason to: its policy is
// enforced, and its host lets the certificate expire. Reports come through that
// host, too, though no other mail does.
func populate(world *strictmxtest.World, keyRecord string) {
	world.Domain(owner).MX(host).
		Policy(strictmxtest.PolicyText("enforce", "*.example.com")).
		TLSRPT("mailto:" + recipient)
	world.MX(host).Certificate(strictmxtest.Expired)
	// A character-string of a TXT record has at most 255 octets, so a key has two.
	world.DNS.Set(fmt.Sprintf("%s._domainkey.%s. TXT %q %q", selector, submitter, keyRecord[:200], keyRecord[200:]))
}

func networkOf(world *strictmxtest.World) network {
	return network{
		resolver: world.Resolver(), transport: world.Transport(), dial: world.DialContext, roots: world.Roots(),
	}
}

// errArrived is the end of the context of hurry, if all is well.
var errArrived = errors.New("the report has arrived")

// hurry makes a server, not used yet, send its reports at once. The context ends
// with the first attempt. A server that runs for days needs nothing of this.
func hurry(ctx context.Context, s *mailServer) context.Context {
	ctx, stop := context.WithCancelCause(ctx)
	s.reporter.Jitter = time.Nanosecond // not over the four hours that spare the receivers
	s.reporter.Trace = &collect.Trace{
		Delivered: func(collect.Delivery) { stop(errArrived) },
		Failed:    func(_ collect.Delivery, err error, _ time.Time) { stop(err) },
		GaveUp:    func(_ collect.Delivery, err error) { stop(err) },
	}
	return ctx
}

// reportYesterday has a server that hurries tell of a day that is over.
func reportYesterday(ctx context.Context, s *mailServer) error {
	observe(s.collector, time.Now().Add(-36*time.Hour)) // of yesterday or the day before
	err := s.run(ctx)
	switch cause := context.Cause(ctx); cause {
	case errArrived:
		return nil
	case nil:
		return err
	default:
		return cause
	}
}

// observe tells of 2,000 sessions, as the Enforcer would have. In the last of
// them the certificate had expired.
func observe(observer tlsrpt.Observer, when time.Time) {
	policy := &tlsrpt.Policy{
		Type: tlsrpt.STS, Domain: owner, MXHosts: []string{"*.example.com"},
		Strings: []string{"version: STSv1", "mode: enforce", "mx: *.example.com", "max_age: 604800"},
	}
	for i := range 2000 {
		outcome := tlsrpt.Outcome{Policy: policy}
		if i >= 1989 {
			outcome.Failures = []tlsrpt.Failure{{Type: tlsrpt.CertificateExpired}}
		}
		observer.Observe(tlsrpt.Event{
			Time: when, Domain: owner, MXHost: host, HELO: host, Outcomes: []tlsrpt.Outcome{outcome},
		})
	}
}
