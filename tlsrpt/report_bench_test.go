package tlsrpt

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"testing"
)

// sums are the results of a policy with n failure details.
func sums(n int) []PolicyResult {
	p := PolicyResult{
		Policy: Policy{
			Type: STS, Domain: "example.com", MXHosts: []string{"*.example.com"},
			Strings: []string{"version: STSv1", "mode: enforce", "mx: *.example.com", "max_age: 604800"},
		},
		Summary: Summary{Successful: 1000, Failed: 1e6},
	}
	for i := range n {
		p.Failures = append(p.Failures, FailureDetail{
			Type: ValidationFailure, Reason: ReasonTLSVersion, Sessions: int64(i + 1),
			MXHost: fmt.Sprintf("mx%d.example.com", i%50), HELO: fmt.Sprintf("mx%d.example.com", i%50),
			SendingIP:   netip.AddrFrom4([4]byte{8, 8, byte(i), byte(i >> 8)}),
			ReceivingIP: netip.AddrFrom4([4]byte{9, 9, byte(i % 50), 9}),
		})
	}
	return []PolicyResult{p}
}

func newReport(t testing.TB, policies []PolicyResult) *Report {
	t.Helper()
	r, err := NewReport(theSubmitter(), "example.com", theDay, policies)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func BenchmarkParseReport(b *testing.B) {
	r := newReport(b, sums(4200))
	text, err := json.Marshal(r)
	if err != nil {
		b.Fatal(err)
	}
	z, err := r.Gzip()
	if err != nil {
		b.Fatal(err)
	}
	mail, err := r.Message("tls@example.com")
	if err != nil {
		b.Fatal(err)
	}
	for name, in := range map[string][]byte{"json": text, "gzip": z, "mail": mail} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text))) // of JSON
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ParseReport(bytes.NewReader(in)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// A domain of most days: one policy, two failures.
func BenchmarkNewReport(b *testing.B) {
	policies := sums(2)
	b.Run("NewReport", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			newReport(b, policies)
		}
	})
	r := newReport(b, policies)
	b.Run("Gzip", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := r.Gzip(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Message", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := r.Message("tls@example.com"); err != nil {
				b.Fatal(err)
			}
		}
	})
}
