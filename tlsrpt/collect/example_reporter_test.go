package collect_test

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/strictmx/strictmx/resolver"
	"github.com/strictmx/strictmx/tlsrpt"
	"github.com/strictmx/strictmx/tlsrpt/collect"
)

// txtRecords is a DNS with TXT records alone. A program uses a *resolver.Client.
type txtRecords map[string]string

func (t txtRecords) TXT(_ context.Context, name string) (resolver.Answer[string], error) {
	if txt, ok := t[name]; ok {
		return resolver.Answer[string]{Records: []string{txt}}, nil
	}
	return resolver.Answer[string]{NXDomain: true}, nil
}

// A mail server observes its sessions, and once a day mails what it saw.
func ExampleReporter() {
	ctx, stop := context.WithCancel(context.Background())
	dns := txtRecords{"_smtp._tls.example.com": "v=TLSRPTv1; rua=mailto:tls-reports@example.com"}

	collector := &collect.Collector{Resolver: dns}
	reporter := &collect.Reporter{
		Collector: collector,
		Submitter: tlsrpt.Submitter{Organization: "Example Mail", Contact: "tls@mail.example"},
		Resolver:  dns,
		Send: func(_ context.Context, m collect.Mail) error {
			// Here a server signs m.Message with DKIM and puts it into its queue.
			fmt.Println("To:", m.To)
			fmt.Println("TLS-Report-Domain:", m.Domain, bytes.Contains(m.Message, []byte("TLS-Report-Domain: example.com\r\n")))
			fmt.Println(m.Report.Policies[0].Policy.Type, m.Report.Policies[0].Summary.Successful, "sessions")
			stop()
			return nil
		},
		Jitter: time.Nanosecond, // since this is an example; the default is four hours
	}

	// The deliveries of a day that is over. A server gives the Collector to whatever
	// makes its sessions, such as an outbound.Enforcer.
	for range 3 {
		collector.Observe(tlsrpt.Event{
			Time: time.Now().Add(-36 * time.Hour), Domain: "example.com", MXHost: "mx.example.com", HELO: "mx.example.com",
			Outcomes: []tlsrpt.Outcome{{Policy: &tlsrpt.Policy{Type: tlsrpt.NoPolicyFound, Domain: "example.com"}}},
		})
	}
	fmt.Println(reporter.Run(ctx))
	fmt.Println(reporter.Stats().Delivered.Sessions, "sessions reported")
	// Output:
	// To: tls-reports@example.com
	// TLS-Report-Domain: example.com true
	// no-policy-found 3 sessions
	// context canceled
	// 3 sessions reported
}
