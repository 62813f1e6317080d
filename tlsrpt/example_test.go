package tlsrpt_test

import (
	"crypto/x509"
	"fmt"

	"github.com/strictmx/strictmx/tlsrpt"
)

func ExampleClassify() {
	err := fmt.Errorf("STARTTLS with mx.example.com: %w", x509.UnknownAuthorityError{})
	for _, f := range tlsrpt.Classify(err) {
		fmt.Printf("%s (%s)\n%s\n", f.Type, f.Reason, tlsrpt.Advice(f))
	}
	// Output:
	// certificate-not-trusted (unknown-authority)
	// Serve the intermediate certificates along with the host's own, and use a public CA.
}

func ExampleObserver() {
	var observer tlsrpt.Observer = tlsrpt.ObserverFunc(func(e tlsrpt.Event) {
		for _, o := range e.Outcomes {
			fmt.Println(e.Domain, e.MXHost, o.Policy.Type, o.Failures)
		}
	})
	policy := &tlsrpt.Policy{Type: tlsrpt.STS, Domain: "example.com"}
	expired := tlsrpt.Failure{Type: tlsrpt.CertificateExpired}
	observer.Observe(tlsrpt.Event{
		Domain: "example.com", MXHost: "mx.example.com",
		Outcomes: []tlsrpt.Outcome{{Policy: policy, Failures: []tlsrpt.Failure{expired}}},
	})
	// Output: example.com mx.example.com sts [certificate-expired]
}
