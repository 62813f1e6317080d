package main

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/strictmx/strictmx/tlsrpt"
)

// sample is two weeks of two made-up domains, as three made-up organisations saw
// them: a certificate of mx2.example.com expires and is renewed three days later,
// the policy of example.net forgets a host, and its policy host is away for a day.
func sample() []*tlsrpt.Report {
	var all []*tlsrpt.Report
	for i, sender := range []struct {
		name, contact string
		scale         int64
	}{
		{"Alder Mail", "tls-reports@alder.example", 7},
		{"Birch & Post Ltd", "postmaster@birch.example", 3},
		{"Cedar Webmail", "tlsrpt@cedar.example", 1},
	} {
		for day := range 14 {
			date := time.Date(2026, 3, 2+day, 0, 0, 0, 0, time.UTC)
			r := &tlsrpt.Report{
				Organization: sender.name, Contact: sender.contact, Range: tlsrpt.Day(date),
				ID: fmt.Sprintf("%s-%d@%s", date.Format("20060102"), i, "sample.example"),
			}
			com, net := *r, *r
			com.ID, com.Policies = "com-"+r.ID, sampleCom(day, sender.scale)
			all = append(all, &com)
			if i < 2 {
				net.ID, net.Policies = "net-"+r.ID, sampleNet(day, sender.scale)
				all = append(all, &net)
			}
		}
	}
	return all
}

// sampleSessions go up and down with the week.
func sampleSessions(day int, scale int64) int64 {
	week := [...]int64{118, 131, 126, 122, 109, 41, 33} // from Monday
	return (week[day%7] + int64(day*5%11)) * scale
}

func sampleCom(day int, scale int64) []tlsrpt.PolicyResult {
	sts := tlsrpt.PolicyResult{Policy: tlsrpt.Policy{
		Type: tlsrpt.STS, Domain: "example.com", MXHosts: []string{"mx1.example.com", "mx2.example.com"},
		Strings: []string{"version: STSv1", "mode: enforce", "mx: mx1.example.com", "mx: mx2.example.com", "max_age: 604800"},
	}}
	n := sampleSessions(day, scale)
	if day >= 8 && day <= 10 {
		failed(&sts, tlsrpt.FailureDetail{Type: tlsrpt.CertificateExpired, MXHost: "mx2.example.com",
			ReceivingIP: netip.MustParseAddr("192.0.2.25"), Sessions: n * 3 / 10})
	}
	if day == 4 && scale > 1 {
		failed(&sts, tlsrpt.FailureDetail{Type: tlsrpt.ValidationFailure, Reason: tlsrpt.ReasonHandshakeTimeout,
			MXHost: "mx1.example.com", Sessions: 6 * scale})
	}
	sts.Summary.Successful = n - sts.Summary.Failed
	tlsa := tlsrpt.PolicyResult{Policy: tlsrpt.Policy{Type: tlsrpt.TLSA, Domain: "mx1.example.com",
		Strings: []string{"3 1 1 0D5C8F6F1E3D2B4A59687796A5B4C3D2E1F00F1E2D3C4B5A69788796A5B4C3D2"}}}
	tlsa.Summary.Successful = n / 2
	if scale < 3 { // not everyone looks at DANE
		return []tlsrpt.PolicyResult{sts}
	}
	return []tlsrpt.PolicyResult{sts, tlsa}
}

func sampleNet(day int, scale int64) []tlsrpt.PolicyResult {
	sts := tlsrpt.PolicyResult{Policy: tlsrpt.Policy{
		Type: tlsrpt.STS, Domain: "example.net", MXHosts: []string{"mx1.example.net"},
		Strings: []string{"version: STSv1", "mode: testing", "mx: mx1.example.net", "max_age: 86400"},
	}}
	n := sampleSessions(day, scale) / 4
	if day == 6 {
		failed(&sts, tlsrpt.FailureDetail{Type: tlsrpt.STSPolicyFetchError, Reason: tlsrpt.HTTPReason(503), Sessions: n / 3})
	}
	failed(&sts, tlsrpt.FailureDetail{Type: tlsrpt.ValidationFailure, Reason: tlsrpt.ReasonSTSMXMismatch,
		MXHost: "backup.example.net", Sessions: n/20 + 1})
	sts.Summary.Successful = n - sts.Summary.Failed
	return []tlsrpt.PolicyResult{sts}
}

func failed(p *tlsrpt.PolicyResult, f tlsrpt.FailureDetail) {
	p.Failures = append(p.Failures, f)
	p.Summary.Failed += f.Sessions
}
