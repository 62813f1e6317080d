package tlsrpt

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
)

// What each kind of policy and sum is called.
func TestTextOfAPolicy(t *testing.T) {
	sts := func(lines ...string) Policy { return Policy{Type: STS, Domain: "example.com", Strings: lines} }
	expired := FailureDetail{Type: CertificateExpired, Sessions: 1}
	for _, c := range []struct {
		policy Policy
		sums   Summary
		want   []string
	}{
		{sts("version: STSv1", "mode: enforce"), Summary{2, 0}, []string{"MTA-STS policy of example.com, mode enforce", "All 2 sessions succeeded."}},
		{sts("mode:testing"), Summary{0, 1234567}, []string{
			"MTA-STS policy of example.com, mode testing", "All 1,234,567 sessions failed.", "Mail goes through all the same while the mode is testing.",
		}},
		{sts("mode: none"), Summary{1, 0}, []string{"MTA-STS policy of example.com, mode none", "The only session succeeded."}},
		{sts("mode: enforced"), Summary{0, 1}, []string{"MTA-STS policy of example.com", "The only session failed."}},
		{sts(), Summary{1, 1}, []string{"MTA-STS policy of example.com, which could not be had", "1 session failed, 1 succeeded (50.0 % failed)."}},
		{Policy{Type: TLSA, Domain: "mx.example.com"}, Summary{999, 1}, []string{
			"DANE: TLSA records of mx.example.com", "1 session failed, 999 succeeded (0.1 % failed).", "Mail is held back from hosts that fail.",
		}},
		{Policy{Type: NoPolicyFound, Domain: "example.com"}, Summary{1000, 0}, []string{"No policy found for example.com", "All 1,000 sessions succeeded."}},
		{Policy{Type: "moon", Domain: "a b"}, Summary{}, []string{"A policy of another kind of a domain", "There were no sessions."}},
		{Policy{Type: NoPolicyFound}, Summary{100000, 1}, []string{"No policy found for a domain", "1 session failed, 100,000 succeeded (less than 0.1 % failed)."}},
		{sts("mode: none"), Summary{1, 100000}, []string{"MTA-STS policy of example.com, mode none", "100,000 sessions failed, 1 succeeded (more than 99.9 % failed)."}},
		{sts("mode: none"), Summary{MaxCount, MaxCount}, []string{
			"MTA-STS policy of example.com, mode none", "9,007,199,254,740,991 sessions failed, 9,007,199,254,740,991 succeeded (50.0 % failed).",
		}},
	} {
		r := Report{Policies: []PolicyResult{{Policy: c.policy, Summary: c.sums}}}
		if c.sums.Failed > 0 {
			r.Policies[0].Failures = []FailureDetail{expired}
		}
		words := strings.Split(r.Text(), "\n")
		got := []string{words[5]}
		for _, line := range words[7:] {
			if line == "" {
				break
			}
			got = append(got, line)
		}
		if strings.Join(got, "|") != strings.Join(c.want, "|") {
			t.Errorf("%+v:\ngot  %q\nwant %q", c.policy, got, c.want)
		}
	}
}

func TestTextOfADay(t *testing.T) {
	at := func(s string) time.Time {
		d, ok := parseTime(s)
		if !ok {
			t.Fatal(s)
		}
		return d
	}
	for _, c := range []struct{ start, end, want string }{
		{"2024-05-02T00:00:00Z", "2024-05-02T23:59:59Z", "Thursday, 2 May 2024 (UTC)"},
		{"2024-05-02T00:00:00Z", "2024-05-03T00:00:00Z", "Thursday, 2 May 2024 (UTC)"},
		{"2024-05-02T00:00:00Z", "2024-05-03T00:00:01Z", "2024-05-02 00:00:00 to 2024-05-03 00:00:01 (UTC)"},
		{"2024-05-02T01:00:00+02:00", "2024-05-02T23:59:59Z", "2024-05-01 23:00:00 to 2024-05-02 23:59:59 (UTC)"},
	} {
		if got := (DateRange{at(c.start), at(c.end)}).words(); got != c.want {
			t.Errorf("%s to %s is %s, want %s", c.start, c.end, got, c.want)
		}
	}
}

// R17(d): nothing that a stranger wrote is shown, but names of DNS and counts.
func TestTextShowsNoForeignWords(t *testing.T) {
	const foreign = "Visit-evil"
	r := &Report{
		Organization: foreign, Contact: foreign + "@example.org", ID: foreign, Domain: foreign + "/x",
		Policies: []PolicyResult{{
			Policy:  Policy{Type: STS, Domain: "<" + foreign + ">", Strings: []string{"mode: " + foreign, foreign}, MXHosts: []string{foreign}},
			Summary: Summary{1, 5},
			Failures: []FailureDetail{
				{Type: foreign, Reason: foreign, HELO: foreign, MXHost: foreign + "!", Info: foreign, Sessions: 2},
				{Type: CertificateNotTrusted, Reason: strings.ToLower(foreign), MXHost: "mx.example.com", Sessions: 1},
				{Type: CertificateExpired, Reason: "http-" + foreign, Sessions: 1},
				{Type: STSPolicyFetchError, Reason: "http-" + strings.ToLower(foreign), Sessions: 1},
				{Type: STSPolicyFetchError, Reason: ReasonTimeout, Sessions: math.MaxInt32},
			},
		}},
	}
	words := r.Text()
	if strings.Contains(strings.ToLower(words), "evil") {
		t.Errorf("a stranger's words are shown:\n%s", words)
	}
	for _, want := range []string{"a failure of another kind: 2 sessions", "certificate-not-trusted: 1 session", "    mx.example.com  1\n", "From: example.org\n", "(timeout): 2,147,483,647"} {
		if !strings.Contains(words, want) {
			t.Errorf("%q is missing in\n%s", want, words)
		}
	}
}

// What is too much to read is said in one line, and the advice names the domain.
func TestTextIsShort(t *testing.T) {
	var p PolicyResult
	p.Policy = Policy{Type: STS, Domain: "example.com"}
	p.Summary.Failed = 1
	for i := range 21 {
		p.Failures = append(p.Failures, FailureDetail{Type: STSPolicyFetchError, Reason: HTTPReason(400 + i), Sessions: 1})
		p.Failures = append(p.Failures, FailureDetail{Type: STSWebPKIInvalid, MXHost: fmt.Sprintf("mx%d.example.com", i), Sessions: int64(i + 1)})
	}
	r := &Report{Domain: "example.com"}
	for range 51 {
		r.Policies = append(r.Policies, p)
	}
	words := r.Text()
	for _, want := range []string{
		"Sessions failed under 51 of 51 policies.", "    mx20.example.com  21\n", "    mx1.example.com   2\n    and 1 more host\n", "Install a certificate for mta-sts.example.com from a public CA",
		"  2 more kinds of failure are in the report itself.\n", "\n1 more policy is in the report itself.\n",
	} {
		if !strings.Contains(words, want) {
			t.Errorf("%q is missing in\n%.4000s", want, words)
		}
	}
	if strings.Contains(words, "mx0.example.com") {
		t.Error("a host too many is shown")
	}
	for line := range strings.Lines(words) {
		if len(line) > textWidth+1 {
			t.Errorf("%d characters: %s", len(line)-1, line)
		}
	}
}
