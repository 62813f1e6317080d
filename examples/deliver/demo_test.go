package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/strictmx/strictmx/strictmxtest"
)

var demoTable = map[string][]string{
	"DOMAIN":            {"POLICY", "HOST", "OUTCOME", "REPORTED"},
	"valid.example":     {"enforce", "mx.valid.example", "delivered, verified", "sts: ok"},
	"forged-mx.example": {"enforce", "mx.attacker.example", "deferred 451 4.7.5", "sts: validation-failure (sts-mx-mismatch)"},
	"stripped.example":  {"enforce", "mx.stripped.example", "deferred 451 4.7.5", "sts: starttls-not-supported"},
	"expired.example":   {"enforce", "mx.expired.example", "deferred 451 4.7.5", "sts: certificate-expired"},
	"misnamed.example":  {"enforce", "mx.misnamed.example", "deferred 451 4.7.5", "sts: certificate-host-mismatch"},
	"untrusted.example": {"enforce", "mx.untrusted.example", "deferred 451 4.7.5", "sts: certificate-not-trusted (unknown-authority)"},
	"testing.example":   {"testing", "mx.testing.example", "delivered, encrypted", "sts: certificate-not-trusted (self-signed)"},
	"none.example":      {"none", "mx.none.example", "delivered in clear", "no-policy-found: starttls-not-supported"},
	"absent.example":    {"absent", "mx.absent.example", "delivered, verified", "no-policy-found: ok"},
	"unreached.example": {"failed", "mx.unreached.example", "delivered, verified", "sts: sts-policy-fetch-error (connection)"},
	"cached.example":    {"enforce", "mx.cached.example", "delivered, verified", "sts: ok"},
	"corrected.example": {"enforce", "mx.corrected.example", "delivered, verified", "sts: validation-failure (sts-mx-mismatch), ok"},
	"null-mx.example":   {"absent", "-", "refused 556 5.1.10", "nothing"},
}

func TestTheDemoShowsHowEachDomainFares(t *testing.T) {
	status, stdout, stderr := deliver(t, "")
	if status != exitDone || stderr != "" {
		t.Errorf("status %d, %s", status, stderr)
	}
	got := table(stdout)
	for domain, want := range demoTable {
		if !slices.Equal(got[domain], want) {
			t.Errorf("%s %q, want %q", domain, got[domain], want)
		}
	}
	if len(got) != len(demoTable) {
		t.Errorf("%d rows, want %d", len(got), len(demoTable))
	}
	for line := range strings.Lines(stdout) {
		if !strings.HasPrefix(line, "{") && len(line) > 121 || strings.Contains(line, "\x1b") {
			t.Errorf("%q is too long, or has colour", line)
		}
	}
	if want := "7 of 13 delivered, 5 deferred, 1 refused for good; sessions to report: 13; each domain fared as it had to\n"; !strings.HasSuffix(stdout, "\n\n"+want) {
		t.Errorf("the summary of\n%s\nis not %s", stdout, want)
	}
}

func TestTheDemosEventsAreInTheWordsOfTheRFC(t *testing.T) {
	_, stdout, _ := deliver(t, "")
	results := make(map[string][]string)
	for _, e := range decoded(t, stdout) {
		if e.Time.IsZero() || e.MXHost == "" || len(e.Outcomes) != 1 || e.Outcomes[0].Policy.Domain != e.Domain {
			t.Errorf("event %+v", e)
		}
		result := string(e.Outcomes[0].Policy.Type)
		for _, f := range e.Outcomes[0].Failures {
			result += " " + string(f.Type)
		}
		results[e.Domain] = append(results[e.Domain], result)
	}
	for domain, want := range map[string][]string{
		"valid.example":     {"sts"},
		"stripped.example":  {"sts starttls-not-supported"},
		"testing.example":   {"sts certificate-not-trusted"},
		"absent.example":    {"no-policy-found"},
		"corrected.example": {"sts validation-failure", "sts"},
		"null-mx.example":   nil,
	} {
		if !slices.Equal(results[domain], want) {
			t.Errorf("%s: %q, want %q", domain, results[domain], want)
		}
	}
}

func TestADryRunOfTheDemoDeliversNothing(t *testing.T) {
	status, stdout, stderr := deliver(t, "", "-dry-run", "-v")
	if status != exitDone {
		t.Errorf("status %d, %s", status, stderr)
	}
	got := table(stdout)
	for domain, want := range demoTable {
		want = slices.Clone(want)
		want[2] = strings.Replace(want[2], "delivered", "ready", 1)
		if !slices.Equal(got[domain], want) {
			t.Errorf("%s %q, want %q", domain, got[domain], want)
		}
	}
	for _, word := range []string{"7 of 13 ready", "451 4.7.5: found certificate-expired", "\n    Renew the certificate"} {
		if !strings.Contains(stdout+stderr, word) {
			t.Errorf("no %q in\n%s%s", word, stdout, stderr)
		}
	}
}

// A demo that agrees with itself whatever happens would show nothing.
func TestTheDemoNoticesWhatIsWrong(t *testing.T) {
	w := strictmxtest.New(t)
	w.MX("mx.a.example")
	delivered := row{"a.example", "enforce", "mx.a.example", "delivered, verified", "sts: ok"}
	deferred := delivered
	deferred.outcome = "deferred 451 4.7.5"
	for _, c := range []struct {
		name      string
		want, got row
		dryRun    bool
		wrong     string
	}{
		{"a row that differs", deferred, delivered, false, "got {a.example"},
		{"a message that the host has not seen", delivered, delivered, false, "0 messages arrived"},
		{"nothing", deferred, deferred, false, ""},
		{"a delivery in a dry run", delivered, delivered, true, "got {a.example"},
	} {
		if wrong := check(w, c.want, c.got, c.dryRun); !strings.HasPrefix(wrong, c.wrong) || (wrong == "") != (c.wrong == "") {
			t.Errorf("%s: %q, want %q", c.name, wrong, c.wrong)
		}
	}
}
