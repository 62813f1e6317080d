package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/strictmx/strictmx/tlsrpt"
)

// plain is a report of one day with one policy, of sessions good and bad.
func plain(org, domain string, day int, good, bad int64, failures ...tlsrpt.FailureDetail) *tlsrpt.Report {
	return &tlsrpt.Report{
		Organization: org, Contact: "tls@" + org + ".example", ID: fmt.Sprintf("%s-%s-%d", org, domain, day),
		Range: tlsrpt.Day(time.Date(2026, 1, 1+day, 0, 0, 0, 0, time.UTC)),
		Policies: []tlsrpt.PolicyResult{{
			Policy:  tlsrpt.Policy{Type: tlsrpt.STS, Domain: domain, Strings: []string{"version: STSv1", "mode: enforce"}},
			Summary: tlsrpt.Summary{Successful: good, Failed: bad}, Failures: failures,
		}},
	}
}

// added is the result of reports.
func added(reports ...*tlsrpt.Report) *result {
	t := newTally()
	for _, r := range reports {
		t.add(r)
	}
	return t.result()
}

func asJSON(t *testing.T, r *tlsrpt.Report) []byte {
	t.Helper()
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func write(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func html(t *testing.T, r *result) string {
	t.Helper()
	var b bytes.Buffer
	if err := writePage(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func tables(t *testing.T, r *result) string {
	t.Helper()
	var b bytes.Buffer
	if err := printTables(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// crowd is more of everything than is shown: 400 days, 130 domains, 9 policies
// and 40 failing hosts of one, 60 organisations, the largest counts, long names.
func crowd() []*tlsrpt.Report {
	var all []*tlsrpt.Report
	long := strings.Repeat("a-rather-long-label-", 3) + "abc"
	long = strings.Join([]string{long, long, long, "example"}, ".")
	for day := range 400 {
		bad := int64(day % 7 * 3)
		all = append(all, plain("alder", "example.com", day, 1000+int64(day), bad,
			tlsrpt.FailureDetail{Type: tlsrpt.CertificateExpired, MXHost: fmt.Sprintf("mx%d.example.com", day%40), Sessions: bad + 1}))
	}
	for i := range 130 {
		all = append(all, plain(fmt.Sprint("org", i%60), fmt.Sprintf("d%03d.example", i), i, int64(i), 0))
	}
	for i := range 9 {
		r := plain("birch", "example.com", i*40, 10, 0)
		r.Policies[0].Policy = tlsrpt.Policy{Type: tlsrpt.PolicyType(fmt.Sprint("kind", i)), Domain: "example.com"}
		all = append(all, r)
	}
	r := plain(strings.Repeat("Wide ", 50), long, 3, tlsrpt.MaxCount, tlsrpt.MaxCount,
		tlsrpt.FailureDetail{Type: tlsrpt.ValidationFailure, Reason: strings.Repeat("reason", 100), MXHost: long, Sessions: tlsrpt.MaxCount})
	r.Contact = strings.Repeat("c", 300) + "@" + long
	return append(all, r)
}

// world has organisations that write in all directions, and weeks without a
// report.
func world() []*tlsrpt.Report {
	var all []*tlsrpt.Report
	for i, org := range []string{"Почта России", "דואר ישראל בע\"מ", "البريد (مصر)", "日本郵便株式会社", "Österreichische Post AG", "ไปรษณีย์ไทย"} {
		for day := range 9 {
			r := plain("alder", "example.org", day*day+i, 40+int64(day), 3,
				tlsrpt.FailureDetail{Type: tlsrpt.CertificateNotTrusted, Reason: "שרשרת", MXHost: "mx.example.org", Sessions: 3})
			r.Organization = org
			all = append(all, r)
		}
	}
	return all
}
