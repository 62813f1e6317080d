package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/strictmx/strictmx/strictmxtest"
)

var demoTable = map[string][]string{
	"DOMAIN":            {"POLICY", "HOST", "OUTCOME"},
	"valid.example":     {"enforce", "mx.valid.example", "delivered, verified"},
	"forged-mx.example": {"enforce", "mx.attacker.example", "deferred 451 4.7.5"},
	"stripped.example":  {"enforce", "mx.stripped.example", "deferred 451 4.7.5"},
	"expired.example":   {"enforce", "mx.expired.example", "deferred 451 4.7.5"},
	"misnamed.example":  {"enforce", "mx.misnamed.example", "deferred 451 4.7.5"},
	"untrusted.example": {"enforce", "mx.untrusted.example", "deferred 451 4.7.5"},
	"testing.example":   {"testing", "mx.testing.example", "delivered, encrypted"},
	"none.example":      {"none", "mx.none.example", "delivered in clear"},
	"absent.example":    {"absent", "mx.absent.example", "delivered, verified"},
	"unreached.example": {"failed", "mx.unreached.example", "delivered, verified"},
	"cached.example":    {"enforce", "mx.cached.example", "delivered, verified"},
	"corrected.example": {"enforce", "mx.corrected.example", "delivered, verified"},
	"null-mx.example":   {"absent", "-", "refused 556 5.1.10"},
}

var demoReports = []string{
	"valid.example sts 1 0",
	"forged-mx.example sts 0 1 validation-failure (sts-mx-mismatch)",
	"stripped.example sts 0 1 starttls-not-supported",
	"expired.example sts 0 1 certificate-expired",
	"misnamed.example sts 0 1 certificate-host-mismatch",
	"untrusted.example sts 0 1 certificate-not-trusted (unknown-authority)",
	"testing.example sts 0 1 certificate-not-trusted (self-signed)",
	"none.example no-policy-found 0 1 starttls-not-supported",
	"absent.example no-policy-found 1 0",
	"unreached.example sts 0 1 sts-policy-fetch-error (connection)",
	"cached.example sts 1 0",
	"corrected.example sts 1 0",
	"corrected.example sts 0 1 validation-failure (sts-mx-mismatch)",
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
	if reports := reported(stdout); !slices.Equal(reports, demoReports) {
		t.Errorf("reports %q", reports)
	}
	lines := strings.Split(stdout, "\n")
	for _, line := range lines {
		if len(line) > 120 || strings.Contains(line, "\x1b") {
			t.Errorf("%q is too long, or has colour", line)
		}
	}
	if len(lines) > 40 {
		t.Errorf("%d lines are more than a screen", len(lines))
	}
	if want := "7 of 13 delivered, 5 deferred, 1 refused for good; sessions in reports: 13; each domain fared as it had to\n"; !strings.HasSuffix(stdout, "\n\n"+want) {
		t.Errorf("the summary of\n%s\nis not %s", stdout, want)
	}
}

// The JSON is what a receiver of reports reads.
func TestTheDemosReportsAreInTheWordsOfTheRFC(t *testing.T) {
	_, stdout, _ := deliver(t, "", "-json")
	var lines []string
	ids := make(map[string]bool)
	for _, r := range decoded(t, stdout) {
		if r.Contact != sendersMail || r.Organization == "" || ids[r.ID] || !strings.HasSuffix(r.ID, "@sender.example") ||
			r.Range.End.Sub(r.Range.Start) != 24*time.Hour-time.Second || time.Now().Before(r.Range.End) || time.Since(r.Range.End) > 25*time.Hour {
			t.Errorf("report %+v", r)
		}
		ids[r.ID] = true
		for _, p := range r.Policies {
			r.Domain = p.Policy.Domain
		}
		for _, line := range short(r) {
			lines = append(lines, strings.TrimSpace(strings.Join(line, " ")))
		}
	}
	if !slices.Equal(lines, demoReports) {
		t.Errorf("reports %q", lines)
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
	delivered := row{"a.example", "enforce", "mx.a.example", "delivered, verified"}
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
