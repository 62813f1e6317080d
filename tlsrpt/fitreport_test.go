package tlsrpt

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// RPT-87: what is too much is left out, the least first, and the sums stay.
func TestNewReportLeavesOutWhatIsTooMuch(t *testing.T) {
	policies := sums(9000)
	policies = append(policies, policies[0])
	policies[1].Policy.Domain = "example.net"
	policies[1].Failures = slices.Clone(policies[1].Failures[:5000])
	for i := range policies[1].Failures {
		policies[1].Failures[i].Sessions = 4001 // as many as one of the first
	}
	r := newReport(t, policies)
	counts := make(map[int64]int)
	total := 0
	for i, p := range r.Policies {
		if p.Summary != policies[i].Summary {
			t.Errorf("the sums became %+v", p.Summary)
		}
		for _, d := range p.Failures {
			counts[d.Sessions]++
			total++
		}
	}
	if total > maxDetails || total < 9000 {
		t.Errorf("%d details are left", total)
	}
	// 4,999 details have more than 4,001 sessions, and the rest has as many.
	if counts[9000] != 1 || counts[4002] != 1 || counts[4001] != total-4999 || counts[4000] != 0 {
		t.Errorf("of 4,000 to 4,002 and 9,000 sessions: %d %d %d %d, of %d", counts[4000], counts[4001], counts[4002], counts[9000], total)
	}
}

// RPT-87: the largest reports there can be are read by the strictest reader
// that we know, which is ours, and fit into a mail.
func TestTheLargestReportsAreRead(t *testing.T) {
	long := strings.TrimSuffix(strings.Repeat(strings.Repeat("a", 63)+".", 4), ".")[:253-9]
	var lines, hosts []string
	for range 100 {
		lines = append(lines, strings.Repeat("<", 1024))
		hosts = append(hosts, "*."+long)
	}
	var texts, details []PolicyResult
	for i := range 1000 {
		domain := fmt.Sprintf("%d.%s", i, long[:200])
		texts = append(texts, PolicyResult{Policy: Policy{Type: STS, Domain: domain, Strings: lines, MXHosts: hosts}, Summary: Summary{1, 0}})
		p := PolicyResult{Policy: Policy{Type: STS, Domain: domain}, Summary: Summary{0, MaxCount}}
		for j := range 20 {
			p.Failures = append(p.Failures, FailureDetail{
				Type: CertificateHostMismatch, MXHost: long, HELO: long, Sessions: MaxCount - int64(j),
				Info: "https://example.com/" + strings.Repeat("a", 400), Reason: strings.Repeat("a", 64),
			})
		}
		details = append(details, p)
	}
	for name, policies := range map[string][]PolicyResult{"texts": texts, "details": details, "both": slices.Concat(texts[:500], details[500:])} {
		r := newReport(t, policies)
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if len(text) > maxInflated || len(text) < 1<<20 {
			t.Errorf("%s: %d octets of JSON", name, len(text))
		}
		m, err := r.Message("tls@example.com")
		if err != nil || len(m) > 10<<20 {
			t.Errorf("%s: a mail of %d octets, %v", name, len(m), err)
		}
		back, err := ParseReport(bytes.NewReader(m))
		if err != nil || len(back.Policies) != 1000 {
			t.Errorf("%s: %v", name, err)
		}
		if words := r.Text(); len(words) > 100<<10 {
			t.Errorf("%s: %d octets to read", name, len(words))
		}
	}
}
