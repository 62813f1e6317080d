package tlsrpt

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares with a file of testdata, or writes it.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s is, %v\n%s\nnow it is\n%s", path, err, want, got)
	}
}

// RPT-55..RPT-59, RPT-62..RPT-64, RPT-65, RPT-66, RPT-67, RPT-68, RPT-69..RPT-71, RPT-72,
// RPT-73..RPT-75, RPT-77..RPT-80, RPT-83, RPT-84: a report that uses
// everything, read as it is served.
func TestReportGolden(t *testing.T) {
	r := theReport(t)
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "report.json", append(text, '\n'))
	golden(t, "report.txt", []byte(r.Text()))
	back, err := ParseReport(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	back.Domain = r.Domain
	if !reflect.DeepEqual(back, r) {
		t.Errorf("read again it is %+v, want %+v", back, r)
	}
	var plain Report // and as anybody's Go program reads it
	if err := json.Unmarshal(text, &plain); err != nil || plain.Range != r.Range || len(plain.Policies) != len(r.Policies) {
		t.Errorf("%+v, %v", plain, err)
	}
}

func onePolicy(good, bad int64, failures ...FailureDetail) []PolicyResult {
	return []PolicyResult{{Policy: Policy{Type: STS, Domain: "example.com"}, Summary: Summary{good, bad}, Failures: failures}}
}

// What may not be sent is refused, with a word on why.
func TestNewReportRefuses(t *testing.T) {
	good := onePolicy(1, 0)
	with := func(change func(*Submitter)) Submitter {
		s := theSubmitter()
		change(&s)
		return s
	}
	ours := theSubmitter()
	for _, c := range []struct {
		name, domain string
		s            Submitter
		policies     []PolicyResult
		err          string
	}{
		// RPT-56
		{"no organisation", "example.com", with(func(s *Submitter) { s.Organization = " " }), good, "Organization is empty"},
		{"an organisation of two lines", "example.com", with(func(s *Submitter) { s.Organization = "A\r\nBcc: all" }), good, "control character"},
		{"an organisation that is not UTF-8", "example.com", with(func(s *Submitter) { s.Organization = "\xff" }), good, "not UTF-8"},
		{"a long organisation", "example.com", with(func(s *Submitter) { s.Organization = strings.Repeat("a", 256) }), good, "255"},
		// RPT-60
		{"no contact", "example.com", with(func(s *Submitter) { s.Contact = "" }), good, "Contact is empty"},
		{"a contact with a name", "example.com", with(func(s *Submitter) { s.Contact = "TLS <tls@example.org>" }), good, "plain address"},
		{"a contact that is a URI", "example.com", with(func(s *Submitter) { s.Contact = "mailto:tls@example.org" }), good, "plain address"},
		{"a contact without a domain", "example.com", with(func(s *Submitter) { s.Contact = "tls" }), good, "plain address"},
		{"a contact of one label", "example.com", with(func(s *Submitter) { s.Contact = "tls@localhost" }), good, "two labels"}, // RPT-102
		{"a contact at an address", "example.com", with(func(s *Submitter) { s.Contact = "tls@[192.0.2.1]" }), good, "plain address"},
		// RPT-91
		{"a node with other characters", "example.com", with(func(s *Submitter) { s.Node = "mx-1" }), good, "Node"},
		{"a long node", "example.com", with(func(s *Submitter) { s.Node = strings.Repeat("a", 33) }), good, "Node"},
		{"a domain that is none", "exa mple.com", ours, good, "exa mple.com is no domain"},
		{"a domain of one label", "localhost", ours, good, "localhost is no domain"}, // RPT-102
		{"an address", "192.0.2.1", ours, good, "192.0.2.1 is no domain"},
		// RPT-85
		{"no policies", "example.com", ours, nil, "no sessions"},
		{"no sessions", "example.com", ours, onePolicy(0, 0), "no sessions"},
		{"a policy of another type", "example.com", ours, []PolicyResult{{Policy: Policy{Type: "x", Domain: "a.test"}, Summary: Summary{1, 0}}}, "policies[0]: policy-type x"}, // RPT-64
		{"a policy without a domain", "example.com", ours, []PolicyResult{{Policy: Policy{Type: STS}, Summary: Summary{1, 0}}}, "policies[0]: policy-domain"},
		// RPT-79
		{"a negative sum", "example.com", ours, onePolicy(-1, 0), "policies[0]: summary"},
		{"a negative sum of failures", "example.com", ours, onePolicy(0, -1), "policies[0]: summary"},
		{"a sum beyond 2^53-1", "example.com", ours, onePolicy(MaxCount+1, 0), "policies[0]: summary"},
		{"a failure without a session", "example.com", ours, onePolicy(0, 1, FailureDetail{Type: DANERequired}), "policies[0]: failure-details[0]"},
		{"a failure beyond 2^53-1", "example.com", ours, onePolicy(0, 1, FailureDetail{Sessions: MaxCount + 1}), "policies[0]: failure-details[0]"},
		{"a failure where none failed", "example.com", ours, onePolicy(1, 0, FailureDetail{Sessions: 1}), "no session failed"},
		{"1,001 policies", "example.com", ours, manyPolicies(1001), "more than 1,000 policies"},
	} {
		r, err := NewReport(c.s, c.domain, theDay, c.policies)
		if err == nil || r != nil || !strings.Contains(err.Error(), c.err) || !isPrintable(err.Error()) {
			t.Errorf("%s: %+v, %v; want %q", c.name, r, err, c.err)
		}
	}
}

func manyPolicies(n int) []PolicyResult {
	var out []PolicyResult
	for i := range n {
		out = append(out, PolicyResult{Policy: Policy{Type: TLSA, Domain: fmt.Sprintf("mx%d.example.com", i)}, Summary: Summary{Successful: 1}})
	}
	return out
}

// RPT-115: not before the day is over in UTC. RPT-46: the local zone is nobody's
// business.
func TestNewReportWaitsForTheEndOfTheDay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // at 2000-01-01 00:00:00 UTC
		today := time.Now()
		west := time.FixedZone("west", -12*3600)
		if _, err := NewReport(theSubmitter(), "example.com", today.Add(-1).In(west), onePolicy(1, 0)); err != nil {
			t.Errorf("the day before, at midnight: %v", err)
		}
		time.Sleep(24*time.Hour - 1)
		const want = "report about example.com: 2000-01-01 is not over in UTC"
		if _, err := NewReport(theSubmitter(), "example.com", today.In(west), onePolicy(1, 0)); fmt.Sprint(err) != want {
			t.Errorf("just before midnight: %v", err)
		}
		time.Sleep(2 * time.Nanosecond)
		if _, err := NewReport(theSubmitter(), "example.com", today, onePolicy(1, 0)); err != nil {
			t.Errorf("after midnight: %v", err)
		}
	})
	for _, day := range []time.Time{{}, time.Date(1969, 12, 31, 0, 0, 0, 0, time.UTC), time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)} {
		if _, err := NewReport(theSubmitter(), "example.com", day, onePolicy(1, 0)); err == nil {
			t.Errorf("a report of %v", day)
		}
	}
}

// RPT-49, RPT-50, RPT-58: the same sessions make the same report, in whatever
// order and pieces they come.
func TestNewReportIsCanonical(t *testing.T) {
	want := theReport(t)
	random := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		var pieces []PolicyResult
		for _, p := range want.Policies {
			for _, d := range p.Failures {
				half := d.Sessions / 2
				d.Sessions -= half
				pieces = append(pieces, PolicyResult{p.Policy, Summary{Failed: d.Sessions}, []FailureDetail{d}})
				p.Summary.Failed -= d.Sessions
				if d.Sessions = half; half > 0 {
					pieces = append(pieces, PolicyResult{p.Policy, Summary{Failed: half}, []FailureDetail{d}})
					p.Summary.Failed -= half
				}
			}
			pieces = append(pieces, PolicyResult{Policy: p.Policy, Summary: p.Summary})
		}
		random.Shuffle(len(pieces), func(i, j int) { pieces[i], pieces[j] = pieces[j], pieces[i] })
		before := fmt.Sprint(pieces)
		got, err := NewReport(theSubmitter(), "EXAMPLE.com.", theDay, pieces)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%v\n%+v\n%+v", err, got, want)
		}
		if fmt.Sprint(pieces) != before {
			t.Fatal("what NewReport was given was changed") // I20
		}
		a, err1 := got.Gzip()
		b, err2 := want.Gzip()
		if err1 != nil || err2 != nil || !bytes.Equal(a, b) {
			t.Fatal("two reports that are the same differ in their octets", err1, err2)
		}
	}
}

// What may stand in a report, field by field.
func TestNewReportCleans(t *testing.T) {
	ip := netip.MustParseAddr
	detail := func(d FailureDetail) FailureDetail {
		d.Sessions = 1
		r := newReport(t, onePolicy(0, 1, d))
		d = r.Policies[0].Failures[0]
		d.Sessions = 0
		return d
	}
	const expired = CertificateExpired
	for _, c := range []struct {
		name     string
		in, want FailureDetail
	}{
		// RPT-76
		{"IPv4 in IPv6 is IPv4", FailureDetail{Type: expired, SendingIP: ip("::ffff:8.8.8.8")}, FailureDetail{Type: expired, SendingIP: ip("8.8.8.8")}},
		{"a zone is dropped", FailureDetail{Type: expired, ReceivingIP: ip("2620:fe::fe%eth0")}, FailureDetail{Type: expired, ReceivingIP: ip("2620:fe::fe")}},
		// R16
		{"no address inside a network", FailureDetail{Type: expired, SendingIP: ip("10.0.0.1"), ReceivingIP: ip("::1")}, FailureDetail{Type: expired}},
		{"a link-local address is dropped", FailureDetail{Type: expired, SendingIP: ip("fe80::1%eth0")}, FailureDetail{Type: expired}},
		{"an address for documents is dropped", FailureDetail{Type: expired, SendingIP: ip("192.0.2.1")}, FailureDetail{Type: expired}},
		// RPT-77
		{"a host has its canonical name", FailureDetail{Type: expired, MXHost: "MX.Example.COM."}, FailureDetail{Type: expired, MXHost: "mx.example.com"}},
		{"a host is in A-labels", FailureDetail{Type: expired, MXHost: "bücher.example"}, FailureDetail{Type: expired, MXHost: "xn--bcher-kva.example"}},
		{"a host that is none is dropped", FailureDetail{Type: expired, MXHost: "mx\r\n.example"}, FailureDetail{Type: expired}},
		// RPT-78
		{"a name given in HELO", FailureDetail{Type: expired, HELO: "MX"}, FailureDetail{Type: expired, HELO: "mx"}},
		{"a literal given in HELO", FailureDetail{Type: expired, HELO: "[IPv6:2620:FE::fe]"}, FailureDetail{Type: expired, HELO: "[IPv6:2620:fe::fe]"}},
		{"an IPv4 literal given in HELO", FailureDetail{Type: expired, HELO: "[8.8.8.8]"}, FailureDetail{Type: expired, HELO: "[8.8.8.8]"}},
		{"a literal of a network inside", FailureDetail{Type: expired, HELO: "[10.0.0.1]"}, FailureDetail{Type: expired}},
		{"words given in HELO", FailureDetail{Type: expired, HELO: "hello <b>"}, FailureDetail{Type: expired}},
		// RPT-81, R16
		{"a reason of no form that we have", FailureDetail{Type: expired, Reason: "Hello World"}, FailureDetail{Type: expired, Reason: ReasonUnknown}},
		{"a type that nobody registered", FailureDetail{Type: "x"}, FailureDetail{Type: ValidationFailure, Reason: ReasonUnknown}},
		// RPT-82
		{"a URI", FailureDetail{Type: expired, Info: "https://x.test/i?id=1"}, FailureDetail{Type: expired, Info: "https://x.test/i?id=1"}},
		{"a URI with a blank", FailureDetail{Type: expired, Info: "https://x.test/ i"}, FailureDetail{Type: expired}},
		{"a URI with a quote", FailureDetail{Type: expired, Info: `https://x.test/"`}, FailureDetail{Type: expired}},
		{"a relative URI", FailureDetail{Type: expired, Info: "//x.test/i"}, FailureDetail{Type: expired}},
		{"a scheme alone", FailureDetail{Type: expired, Info: "https:"}, FailureDetail{Type: expired}},
	} {
		if got := detail(c.in); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

func TestNewReportCleansPolicies(t *testing.T) {
	lines := []string{"a"}
	for _, c := range []struct {
		name     string
		in, want Policy
	}{
		// RPT-67, RPT-83
		{"nothing but type and domain without a policy", Policy{Type: NoPolicyFound, Domain: "A.test", Strings: lines, MXHosts: lines}, Policy{Type: NoPolicyFound, Domain: "a.test"}},
		{"no mx-host for TLSA", Policy{Type: TLSA, Domain: "a.test", Strings: lines, MXHosts: lines}, Policy{Type: TLSA, Domain: "a.test", Strings: lines}},
		// RPT-66, RPT-73
		{"names in A-labels", Policy{Type: STS, Domain: "bücher.example", MXHosts: []string{"*.bücher.example", "MX.example.", "*", "*.*.a", "", "a b"}},
			Policy{Type: STS, Domain: "xn--bcher-kva.example", MXHosts: []string{"*.xn--bcher-kva.example", "mx.example"}}},
		// RPT-71, RPT-122
		{"every line as it was served", Policy{Type: STS, Domain: "a.test", Strings: []string{"version: STSv1", "", "mode: enforced ", "<html>&\u2028", "mx:\tx"}},
			Policy{Type: STS, Domain: "a.test", Strings: []string{"version: STSv1", "", "mode: enforced ", "<html>&\u2028", "mx: x"}}},
		// RPT-54
		{"I-JSON", Policy{Type: STS, Domain: "a.test", Strings: []string{"a\xff\xfeb", "\x00\x1b[31m\u0085\x7f", "\ufffe\ufdd0\U0001ffff"}},
			Policy{Type: STS, Domain: "a.test", Strings: []string{"a\ufffdb", "\ufffd\ufffd[31m\ufffd\ufffd", "\ufffd\ufffd\ufffd"}}},
		{"no lines but empty ones are none", Policy{Type: STS, Domain: "a.test", Strings: []string{"", ""}, MXHosts: []string{"?"}}, Policy{Type: STS, Domain: "a.test"}},
		// RPT-51
		{"100 lines and 100 patterns", Policy{Type: STS, Domain: "a.test", Strings: slices.Repeat([]string{"a"}, 101), MXHosts: slices.Repeat([]string{"mx.test"}, 101)},
			Policy{Type: STS, Domain: "a.test", Strings: slices.Repeat([]string{"a"}, 100), MXHosts: slices.Repeat([]string{"mx.test"}, 100)}},
		{"lines of 1,024 octets", Policy{Type: TLSA, Domain: "a.test", Strings: []string{strings.Repeat("\u00e4", 513), "a" + strings.Repeat("\u00e4", 513)}},
			Policy{Type: TLSA, Domain: "a.test", Strings: []string{strings.Repeat("\u00e4", 512), "a" + strings.Repeat("\u00e4", 511)}}},
		{"8 KiB of lines", Policy{Type: TLSA, Domain: "a.test", Strings: slices.Repeat([]string{strings.Repeat("a", 1024)}, 9)},
			Policy{Type: TLSA, Domain: "a.test", Strings: append(slices.Repeat([]string{strings.Repeat("a", 1024)}, 7), strings.Repeat("a", 8192-7*1025-1))}},
		{"8 KiB of patterns", Policy{Type: STS, Domain: "a.test", MXHosts: slices.Repeat([]string{strings.Repeat("a.", 63) + "a"}, 70)},
			Policy{Type: STS, Domain: "a.test", MXHosts: slices.Repeat([]string{strings.Repeat("a.", 63) + "a"}, 64)}},
	} {
		got := newReport(t, []PolicyResult{{Policy: c.in, Summary: Summary{1, 0}}}).Policies[0].Policy
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// Sums stay at the largest number that a report may hold (R26).
func TestNewReportSaturates(t *testing.T) {
	d := FailureDetail{Type: CertificateExpired, Sessions: MaxCount}
	r := newReport(t, append(onePolicy(MaxCount, MaxCount, d, d), onePolicy(1, MaxCount, d)...))
	if got := r.Policies[0]; len(r.Policies) != 1 || got.Summary != (Summary{MaxCount, MaxCount}) || len(got.Failures) != 1 || got.Failures[0].Sessions != MaxCount {
		t.Errorf("%+v", r.Policies)
	}
}
