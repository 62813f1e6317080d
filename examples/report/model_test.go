package main

import (
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/strictmx/strictmx/tlsrpt"
)

func TestSumsByDomainPolicyAndDay(t *testing.T) {
	expired := tlsrpt.FailureDetail{Type: tlsrpt.CertificateExpired, MXHost: "MX1.a.example.", Sessions: 2}
	again := expired
	again.MXHost = "mx1.a.example"
	r := added(
		plain("alder", "a.example", 0, 10, 2, expired),
		plain("birch", "A.example.", 0, 5, 3, again, again),
		plain("alder", "a.example", 1, 7, 0),
		plain("alder", "b.example", 1, 100, 0),
	)
	if r.Reports != 4 || r.All != (counts{122, 5}) || len(r.Domains) != 2 || len(r.Orgs) != 2 || len(r.Days) != 2 {
		t.Fatalf("%+v", r)
	}
	a := r.Domains[0] // the one with failures comes first
	if a.Name != "a.example" || len(a.Policies) != 1 || a.Sessions != (counts{22, 5}) {
		t.Fatalf("%+v", a)
	}
	p := a.Policies[0]
	if p.label() != "sts, mode enforce" || p.days[r.Days[0]] != (counts{15, 5}) || p.days[r.Days[1]] != (counts{7, 0}) {
		t.Errorf("%s: %v", p.label(), p.days)
	}
	if len(a.Failures) != 1 || a.Failures[0].Sessions != 6 || a.Failures[0].Host != "mx1.a.example" || list(a.Failures[0].orgs, 3, 60) != "birch, alder" {
		t.Errorf("failures %+v", a.Failures[0])
	}
	if o := r.Orgs[0]; o.Name != "alder" || o.Reports != 3 || o.Contact != "tls@alder.example" || o.when() != "1 to 2 January 2026" {
		t.Errorf("%+v, %s", o, o.when())
	}
}

func TestAReportThatComesTwiceCountsOnce(t *testing.T) {
	first := plain("alder", "a.example", 0, 10, 2)
	other, otherDay, noID := plain("birch", "a.example", 0, 1, 0), plain("alder", "a.example", 1, 1, 0), plain("alder", "a.example", 0, 1, 0)
	other.ID, otherDay.ID, noID.ID = first.ID, first.ID, ""
	noID2 := plain("alder", "a.example", 0, 2, 0)
	noID2.ID = ""
	r := added(first, first, other, otherDay, noID, noID2, noID)
	if r.Reports != 5 || r.Duplicates != 2 || r.All != (counts{15, 2}) {
		t.Errorf("%d reports, %d duplicates, %+v", r.Reports, r.Duplicates, r.All)
	}
	if got, want := r.from(), "5 reports by 2 organisations; 2 duplicates not counted again"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// Anyone can send a report, and guess the id of the one that is to be overlooked.
func TestAForgedReportHidesNoOther(t *testing.T) {
	forged, real := plain("alder", "a.example", 0, 5, 0), plain("alder", "a.example", 0, 3, 900)
	forged.ID = real.ID
	r := added(forged, real, forged)
	if r.Reports != 2 || r.Duplicates != 1 || r.Contradictions != 1 || r.All != (counts{8, 900}) {
		t.Errorf("%d reports, %d duplicates, %d contradictions, %+v", r.Reports, r.Duplicates, r.Contradictions, r.All)
	}
	if !strings.Contains(r.from(), "1 report under the name of another") {
		t.Error(r.from())
	}
}

func TestTheLargestCountsSaturate(t *testing.T) {
	var reports []*tlsrpt.Report
	for day := range 1500 {
		reports = append(reports, plain("alder", "a.example", day, tlsrpt.MaxCount, tlsrpt.MaxCount,
			tlsrpt.FailureDetail{Type: tlsrpt.CertificateExpired, MXHost: "mx", Sessions: tlsrpt.MaxCount}))
	}
	r := added(reports...)
	if r.All != (counts{math.MaxInt64, math.MaxInt64}) || r.Domains[0].Failures[0].Sessions != math.MaxInt64 || r.Todos[0].Sessions != math.MaxInt64 {
		t.Errorf("%+v", r.All)
	}
	for _, out := range []string{html(t, r), tables(t, r)} {
		if strings.Contains(out, "-9,") || !strings.Contains(out, "at least 9,223,372,036,854,775,807") || strings.Contains(out, "NaN") || strings.Contains(out, "Inf") {
			t.Error("sums overflowed, or are not shown")
		}
	}
}

func TestTLSACountsForTheRecipientDomain(t *testing.T) {
	tlsa := tlsrpt.PolicyResult{Policy: tlsrpt.Policy{Type: tlsrpt.TLSA, Domain: "mx.other.example"}, Summary: tlsrpt.Summary{Successful: 1}}
	both, named, alone := plain("a", "x.example", 0, 1, 0), plain("b", "", 0, 1, 0), plain("c", "", 0, 1, 0)
	both.Policies = append([]tlsrpt.PolicyResult{tlsa}, both.Policies...)
	named.Domain, named.Policies = "x.example", []tlsrpt.PolicyResult{tlsa}
	alone.Policies = []tlsrpt.PolicyResult{tlsa}
	r := added(both, named, alone)
	if len(r.Domains) != 2 || r.Domains[0].Name != "x.example" || r.Domains[1].Name != "mx.other.example" {
		t.Fatalf("%+v", r.Domains)
	}
	if p := r.Domains[0].Policies[0]; p.label() != "tlsa at mx.other.example" || p.Sessions.Good != 2 {
		t.Errorf("%s %+v", p.label(), p.Sessions)
	}
	if p := r.Domains[1].Policies[0]; p.label() != "tlsa" {
		t.Error(p.label())
	}
	if d := added(plain("a", "", 0, 1, 0)).Domains[0]; d.Name != "(no domain)" {
		t.Error(d.Name)
	}
}

func TestTheModeIsOfThePolicy(t *testing.T) {
	a, b, c := plain("a", "x.example", 0, 1, 0), plain("a", "x.example", 1, 1, 0), plain("a", "x.example", 2, 1, 0)
	b.Policies[0].Policy.Strings = []string{"version: STSv1", "mode:testing "}
	c.Policies[0].Policy.Strings = []string{"mode: \x1b[31menforced", "mode: none"} // the first counts, and is none of the three
	if got := added(a, b, c).Domains[0].Policies[0].label(); got != "sts, mode enforce and testing" {
		t.Error(got)
	}
}

func TestTheDayOfAReport(t *testing.T) {
	at := func(s string) time.Time {
		d, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	for _, c := range []struct{ name, start, end, want string }{
		{"to the last second", "2026-01-02T00:00:00Z", "2026-01-02T23:59:59Z", "2026-01-02"},
		{"to the first second of the next", "2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z", "2026-01-02"},
		{"of local time", "2026-01-01T22:00:00Z", "2026-01-02T21:59:59Z", "2026-01-02"},
		{"with the ends exchanged", "2026-01-02T23:59:59Z", "2026-01-02T00:00:00Z", "2026-01-02"},
	} {
		if got := isoDay(dayOf(tlsrpt.DateRange{Start: at(c.start), End: at(c.end)})); got != c.want {
			t.Errorf("%s: %s", c.name, got)
		}
	}
	if got := dayOf(tlsrpt.DateRange{}); got != undated {
		t.Error(got)
	}
	if got := isoDay(dayOf(tlsrpt.DateRange{End: at("2026-01-02T23:59:59Z")})); got != "2026-01-02" {
		t.Error(got)
	}
}

func TestWhatToDo(t *testing.T) {
	own := tlsrpt.FailureDetail{Type: tlsrpt.ValidationFailure, Reason: tlsrpt.ReasonSTSMXMismatch, MXHost: "mx9", Sessions: 1}
	free := tlsrpt.FailureDetail{Type: tlsrpt.CertificateExpired, Reason: "X509_V_ERR_CERT_HAS_EXPIRED", HELO: "helo", Sessions: 2}
	none := tlsrpt.FailureDetail{Type: tlsrpt.CertificateExpired, Reason: "certificate-expired", ReceivingIP: netip.MustParseAddr("192.0.2.1"), Sessions: 3}
	strange := tlsrpt.FailureDetail{Type: "odd", Sessions: 4}
	r := added(plain("a", "x.example", 0, 0, 10, own, free, none, strange), plain("b", "y.example", 0, 0, 1, own))
	var got []string
	for _, d := range r.Todos {
		got = append(got, d.Advice+" "+list(d.kinds, 3, 60)+": "+d.where())
	}
	want := []string{
		tlsrpt.Advice(tlsrpt.Failure{Type: tlsrpt.CertificateExpired}) + " certificate-expired: 5 sessions at 192.0.2.1, helo, mail to x.example",
		"Ask who reported it what it means: RFC 8460 knows no such result type. odd: 4 sessions, mail to x.example",
		tlsrpt.Advice(tlsrpt.Failure{Type: tlsrpt.ValidationFailure, Reason: tlsrpt.ReasonSTSMXMismatch}) +
			" validation-failure (sts-mx-mismatch): 2 sessions at mx9, mail to x.example, y.example",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if f := r.Domains[0].Failures[1]; f.Kind != "certificate-expired" || f.Reason != "" || f.Host != "192.0.2.1" {
		t.Errorf("a reason that says the type again is shown: %+v", f)
	}
}

func TestNamelessSenders(t *testing.T) {
	a, b := plain("", "x.example", 0, 1, 0), plain("\u202e", "x.example", 1, 1, 0)
	b.Contact = ""
	r := added(a, b)
	if len(r.Orgs) != 2 || r.Orgs[0].Name != "(no name)" || r.Orgs[1].Name != "tls@.example" {
		t.Errorf("%+v %+v", r.Orgs[0], r.Orgs[1])
	}
}
