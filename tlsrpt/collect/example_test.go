package collect_test

import (
	"fmt"
	"time"

	"github.com/strictmx/strictmx/tlsrpt"
	"github.com/strictmx/strictmx/tlsrpt/collect"
)

func ExampleCollector() {
	var c collect.Collector // give it to whatever makes events, and let Run look up who wants reports

	policy := &tlsrpt.Policy{Type: tlsrpt.STS, Domain: "example.com", Strings: []string{"version: STSv1", "mode: enforce"}}
	expired := tlsrpt.Failure{Type: tlsrpt.CertificateExpired}
	now := time.Now() // once: the three are to be sessions of one day
	for _, failures := range [][]tlsrpt.Failure{nil, nil, {expired}} {
		c.Observe(tlsrpt.Event{
			Time: now, Domain: "example.com", MXHost: "mx.example.com",
			Outcomes: []tlsrpt.Outcome{{Policy: policy, Failures: failures}},
		})
	}
	for _, day := range c.Days() {
		for t := range c.Tallies(day) {
			p := t.Policies[0]
			fmt.Println(t.Domain, p.Policy.Type, p.Summary.Successful, p.Summary.Failed, p.Failures[0].Type)
		}
	}
	// Output: example.com sts 2 1 certificate-expired
}
