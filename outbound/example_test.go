package outbound_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"net"
	"net/smtp"

	"github.com/strictmx/strictmx/mtasts"
	"github.com/strictmx/strictmx/outbound"
	"github.com/strictmx/strictmx/strictmxtest"
	"github.com/strictmx/strictmx/tlsrpt"
)

// A message by net/smtp to a domain that enforces MTA-STS. Its first MX record
// leads to a host that the policy does not name.
func Example() {
	world, err := strictmxtest.Start() // in place of the Internet
	if err != nil {
		log.Fatal(err)
	}
	defer world.Close()
	world.Domain("example.com").MX("mx.evil.test", "mx.example.com").Policy(strictmxtest.PolicyText("enforce", "*.example.com"))

	enforcer := &outbound.Enforcer{
		MTASTS:    &mtasts.Client{Resolver: world.Resolver(), Transport: world.Transport()},
		TLSConfig: &tls.Config{RootCAs: world.Roots()},
		Observer:  tlsrpt.ObserverFunc(func(e tlsrpt.Event) { fmt.Println(e.MXHost, e.Outcomes[0].Failures) }),
	}
	ctx := context.Background()
	plan, err := enforcer.Plan(ctx, outbound.Delivery{Domain: "example.com"})
	if err != nil {
		log.Fatal(err)
	}
	for _, host := range []string{"mx.evil.test", "mx.example.com"} { // from the MX records, in order
		session, err := plan.Session(ctx, host)
		if err != nil {
			continue
		}
		conn, err := session.Connect(ctx, func(ctx context.Context) (net.Conn, error) {
			return world.DialContext(ctx, "tcp", net.JoinHostPort(host, "25"))
		})
		if err != nil {
			continue
		}
		client, err := smtp.NewClient(conn, session.Host())
		if err != nil {
			continue
		}
		err = errors.Join(client.Mail("alice@sender.test"), client.Rcpt("bob@example.com"))
		fmt.Println(session.Host(), session.Level(), err)
		client.Quit()
		break
	}
	// Output:
	// mx.evil.test [validation-failure (sts-mx-mismatch)]
	// mx.example.com []
	// mx.example.com verified <nil>
}

// What is known of a domain comes from a map, where a test or a program has its
// own idea of it.
func ExampleEnforcer_Plan() {
	policy, err := mtasts.ParsePolicy("version: STSv1\nmode: testing\nmax_age: 86400\nmx: *.example.com\n")
	if err != nil {
		log.Fatal(err)
	}
	enforcer := &outbound.Enforcer{MTASTS: known{"example.com": {Policy: policy}}}
	for _, domain := range []string{"example.com", "example.net"} {
		plan, err := enforcer.Plan(context.Background(), outbound.Delivery{Domain: domain})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(domain, plan.Cause())
	}
	// Output:
	// example.com testing
	// example.net absent
}

type known map[string]mtasts.Result

func (k known) Lookup(_ context.Context, domain string) (mtasts.Result, error) { return k[domain], nil }
func (k known) Refresh(_ context.Context, domain string) (mtasts.Result, error) {
	return k[domain], nil
}

// Every refusal by a policy is for now: the mail stays in the queue.
func ExampleError() {
	enforcer := &outbound.Enforcer{MTASTS: known{}}
	delivery := outbound.Delivery{Domain: "example.com", RequireTLS: true}
	plan, err := enforcer.Plan(context.Background(), delivery)
	if err != nil {
		log.Fatal(err)
	}
	_, err = plan.Session(context.Background(), "mx.example.com")
	if refusal, ok := errors.AsType[*outbound.Error](err); ok {
		fmt.Println(refusal.Code, refusal.EnhancedCode, refusal.Temporary())
		fmt.Println(refusal)
	}
	// Output:
	// 451 [4 7 5] true
	// outbound: example.com via mx.example.com: 451 4.7.5: found validation-failure (sts-mx-mismatch); wanted for REQUIRETLS a host that a policy names, and there is none, with a valid certificate for its name over TLS 1.2 or later; no policy (absent)
}
