package tlsrpt_test

import (
	"context"
	"crypto/x509"
	"fmt"
	"strings"
	"time"

	"github.com/strictmx/strictmx/resolver"
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

func ExampleParseRecord() {
	r, err := tlsrpt.ParseRecord("v=TLSRPTv1; rua=mailto:tls%2Breports@example.com!10m, https://Reports.example.com")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(r.RUA)
	for _, p := range r.Problems {
		fmt.Printf("%s: %s\n%s\n", p.Text, p.Reason, tlsrpt.Advice(tlsrpt.Failure{Reason: p.Reason}))
	}
	// Output:
	// [https://reports.example.com/]
	// mailto:tls%2Breports@example.com!10m: exclamation-mark
	// Remove size limits such as !10m from the rua; a ! that belongs to the URI is written %21.
}

func ExampleMailbox() {
	address, ok := tlsrpt.Mailbox("mailto:tls%2Breports@example.com?subject=ignored")
	fmt.Println(address, ok)
	// Output: tls+reports@example.com true
}

// zone is a DNS of one TXT record.
type zone map[string]string

func (z zone) TXT(_ context.Context, name string) (resolver.Answer[string], error) {
	if z[name] == "" {
		return resolver.Answer[string]{}, nil
	}
	return resolver.Answer[string]{Records: []string{z[name]}}, nil
}

func ExampleLookup() {
	dns := zone{"_smtp._tls.example.com": "v=TLSRPTv1; rua=mailto:tls@example.com"}
	for _, domain := range []string{"example.com", "example.net"} {
		r, err := tlsrpt.Lookup(context.Background(), dns, domain)
		if err != nil {
			fmt.Println("try later:", err)
			continue
		}
		fmt.Println(r.RUA, r.Problems)
	}
	// Output:
	// [mailto:tls@example.com] []
	// [] [{example.net tlsrpt-missing}]
}

func ExampleNewReport() {
	submitter := tlsrpt.Submitter{Organization: "Example Mail", Contact: "tls@example.org"}
	day := time.Date(2024, 5, 2, 0, 0, 0, 0, time.UTC)
	r, err := tlsrpt.NewReport(submitter, "example.com", day, []tlsrpt.PolicyResult{{
		Policy:  tlsrpt.Policy{Type: tlsrpt.STS, Domain: "example.com", Strings: []string{"version: STSv1", "mode: testing"}},
		Summary: tlsrpt.Summary{Successful: 1989, Failed: 11},
		Failures: []tlsrpt.FailureDetail{
			{Type: tlsrpt.CertificateExpired, MXHost: "mx2.example.com", Sessions: 11},
		},
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(r.Text())
	// Output:
	// TLS report about example.com
	// Day:  Thursday, 2 May 2024 (UTC)
	// From: example.org
	//
	// Some sessions failed. What to do is said below each failure.
	//
	// MTA-STS policy of example.com, mode testing
	// -------------------------------------------
	// 11 sessions failed, 1,989 succeeded (0.6 % failed).
	// Mail goes through all the same while the mode is testing.
	//
	//   certificate-expired: 11 sessions
	//     mx2.example.com  11
	//     Renew the certificate, and reload the server: it still serves the
	//     old one.
}

func ExampleParseReport() {
	file := strings.NewReader(`{"organization-name":"Example","contact-info":"tls@example.org","report-id":"1",
		"date-range":{"start-datetime":"2024-05-02T00:00:00","end-datetime":"2024-05-02T23:59:59"},
		"policies":[{"policy":{"policy-type":"sts","mx-host":"*.example.com"},"summary":{"total-successful-session-count":"7"}}]}`)
	r, err := tlsrpt.ParseReport(file) // or a gzip, or a mail
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, p := range r.Policies {
		fmt.Println(r.Range.Start.Format(time.DateOnly), p.Policy.Type, p.Policy.MXHosts, p.Summary.Successful)
	}
	// Output: 2024-05-02 sts [*.example.com] 7
}

func ExampleCheckDKIMKey() {
	fmt.Println(tlsrpt.CheckDKIMKey("v=DKIM1; s=email; p=MCowBQYDK2VwAyEA"))
	// Output: DKIM key record: s=email does not allow reports: write s=email:tlsrpt, or leave s= out
}
