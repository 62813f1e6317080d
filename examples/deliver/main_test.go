package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/strictmx/strictmx/strictmxtest"
)

// deliver runs the program in this process.
func deliver(t *testing.T, stdin string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	status = run(t.Context(), args, strings.NewReader(stdin), &out, &errs)
	return status, out.String(), errs.String()
}

// table returns the rows of the table by their first column; columns are two
// blanks or more apart.
func table(stdout string) map[string][]string {
	rows := make(map[string][]string)
	text, _, _ := strings.Cut(stdout, "\n\n")
	for line := range strings.Lines(text) {
		cells := regexp.MustCompile(` {2,}`).Split(strings.TrimSpace(line), -1)
		rows[cells[0]] = cells[1:]
	}
	return rows
}

// decoded returns the events, which stand between the table and the summary.
func decoded(t *testing.T, stdout string) []jsonEvent {
	t.Helper()
	var events []jsonEvent
	for line := range strings.Lines(stdout) {
		if !strings.HasPrefix(line, "{") {
			continue
		}
		var e jsonEvent
		d := json.NewDecoder(strings.NewReader(line))
		d.DisallowUnknownFields()
		if err := d.Decode(&e); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		events = append(events, e)
	}
	return events
}

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
		if e.Time.IsZero() || e.MXHost == "" || len(e.Policies) != 1 || e.Policies[0].Domain != e.Domain {
			t.Errorf("event %+v", e)
		}
		result := string(e.Policies[0].Type)
		for _, f := range e.Policies[0].Failures {
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

// outside is a world as another program sees it: through flags.
type outside struct {
	*strictmxtest.World
	flags []string
	eml   string
}

func newOutside(t *testing.T) *outside {
	t.Helper()
	w := strictmxtest.New(t)
	if w.MX("mx.a.example").Addr() != fmt.Sprintf("%s:%d", w.MX("mx.a.example").IP(), w.Port()) {
		t.Skip("this system has one loopback address: no port is common to all MX hosts; run this where 127.0.0.0/8 is loopback, as on Linux")
	}
	dir := t.TempDir()
	o := &outside{World: w, eml: filepath.Join(dir, "message.eml")}
	roots := filepath.Join(dir, "roots.pem")
	for name, content := range map[string][]byte{o.eml: []byte("Subject: x\n\nHello.\n"), roots: w.RootsPEM()} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	o.flags = []string{
		"-dns", w.DNS.Addr(), "-port", strconv.Itoa(w.Port()), "-roots", roots,
		"-policy-host", w.PolicyHost.Addr(), "-allow-private", "-helo", "mail.sender.example",
	}
	w.Domain("a.example").MX("mx.a.example").Policy(strictmxtest.PolicyText("enforce", "mx.a.example"))
	w.Domain("b.example").MX("mx.b.example").Policy(strictmxtest.PolicyText("enforce", "mx.b.example"))
	w.MX("mx.b.example").Certificate(strictmxtest.Expired)
	w.Domain("c.example").MX("mx.c.example")
	w.MX("mx.c.example").Refuse("nobody@c.example", 550)
	return o
}

func (o *outside) args(more ...string) []string { return append(slices.Clone(o.flags), more...) }

func TestRealDeliveries(t *testing.T) {
	const from = "alice@sender.example"
	for _, c := range []struct {
		name   string
		to     []string
		status int
		rows   map[string]string // recipient: outcome
		says   string            // on stderr
	}{
		{"all delivered", []string{"-to", "x@a.example,y@a.example", "-to", "z@c.example"}, exitDone, map[string]string{
			"x@a.example": "delivered, verified", "y@a.example": "delivered, verified", "z@c.example": "delivered, verified",
		}, ""},
		{"some deferred", []string{"-to", "x@a.example, x@b.example"}, exitDeferred, map[string]string{
			"x@a.example": "delivered, verified", "x@b.example": "deferred 451 4.7.5",
		}, "deliver: x@b.example: outbound: b.example via mx.b.example: 451 4.7.5: found certificate-expired"},
		{"one refused for good", []string{"-to", "x@b.example", "-to", "nobody@c.example"}, exitRefused, map[string]string{
			"x@b.example": "deferred 451 4.7.5", "nobody@c.example": "refused 550 5.1.1",
		}, "deliver: nobody@c.example: outbound: c.example via mx.c.example: 550"},
		{"an address that outbound refuses loses no other", []string{"-to", "x@a.example", "-to", "<x@a.example"}, exitRefused, map[string]string{
			"x@a.example": "delivered, verified", "<x@a.example": "refused 553 5.1.3",
		}, "deliver: <x@a.example: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := newOutside(t)
			args := append(o.args("-from", from), c.to...)
			status, stdout, stderr := deliver(t, "", append(args, o.eml)...)
			if status != c.status || !strings.Contains(stderr, c.says) || (stderr == "") != (c.says == "") {
				t.Errorf("status %d, stderr %s", status, stderr)
			}
			got := table(stdout)
			delete(got, "RECIPIENT")
			for to, outcome := range c.rows {
				if row := got[to]; len(row) != 4 || row[2] != outcome {
					t.Errorf("%s: %q, want %q", to, row, outcome)
				}
			}
			if len(got) != len(c.rows) {
				t.Errorf("rows %q", got)
			}
			if n := len(o.MX("mx.b.example").Messages()); n != 0 {
				t.Errorf("%d messages at a host with an expired certificate", n)
			}
		})
	}
}

func TestAMessageFromStandardInputGoesOutWhole(t *testing.T) {
	o := newOutside(t)
	status, stdout, stderr := deliver(t, "Subject: x\n\n.\nHello.", o.args("-from", "", "-to", "x@a.example", "-")...)
	got := o.MX("mx.a.example").Messages()
	if status != exitDone || len(got) != 1 {
		t.Fatalf("status %d, %d messages; %s%s", status, len(got), stdout, stderr)
	}
	if m := got[0]; m.From != "" || m.Data != "Subject: x\r\n\r\n.\r\nHello.\r\n" || m.TLS == nil || m.HELO != "mail.sender.example" {
		t.Errorf("got %+v", m)
	}
	if !strings.HasSuffix(stdout, "\n\n1 of 1 delivered, 0 deferred, 0 refused for good; sessions to report: 1\n") {
		t.Error(stdout)
	}
}

func TestADryRunStopsBeforeMAIL(t *testing.T) {
	o := newOutside(t)
	status, stdout, stderr := deliver(t, "", o.args("-dry-run", "-to", "x@a.example,y@A.example,x@b.example")...)
	if status != exitDeferred || !strings.Contains(stderr, "found certificate-expired") {
		t.Errorf("status %d, %s", status, stderr)
	}
	got := table(stdout)
	if len(got) != 3 || got["a.example"][2] != "ready, verified" || got["b.example"][2] != "deferred 451 4.7.5" {
		t.Errorf("table %q", got)
	}
	var commands []string
	for _, s := range o.MX("mx.a.example").Sessions() {
		commands = append(commands, s.Commands...)
	}
	if want := []string{"EHLO mail.sender.example", "STARTTLS", "EHLO mail.sender.example", "QUIT"}; !slices.Equal(commands, want) {
		t.Errorf("commands %q", commands)
	}
}

func TestADryRunGoesOnToTheNextHost(t *testing.T) {
	o := newOutside(t)
	o.Domain("d.example").MX("mx1.d.example", "mx2.d.example")
	o.MX("mx1.d.example").Fault(strictmxtest.DropAfterHandshake)
	status, stdout, stderr := deliver(t, "", o.args("-dry-run", "-to", "x@d.example")...)
	if row := table(stdout)["d.example"]; status != exitDone || row[1] != "mx2.d.example" {
		t.Errorf("status %d, %q, %s", status, row, stderr)
	}
	o.MX("mx2.d.example").Fault(strictmxtest.DropAfterHandshake)
	status, stdout, stderr = deliver(t, "", o.args("-dry-run", "-to", "x@d.example")...)
	if row := table(stdout)["d.example"]; status != exitDeferred || !strings.HasPrefix(row[2], "deferred 451 4.4.2") {
		t.Errorf("status %d, %q, %s", status, row, stderr)
	}
}

// R19: an address that is not public is not connected to unless the user says so.
func TestPrivateAddressesWantAFlag(t *testing.T) {
	o := newOutside(t)
	o.flags = slices.DeleteFunc(o.flags, func(f string) bool { return f == "-allow-private" })
	status, stdout, stderr := deliver(t, "", o.args("-from", "", "-to", "x@a.example", o.eml)...)
	if status != exitDeferred || o.MX("mx.a.example").Connections() != 0 {
		t.Errorf("status %d\n%s%s", status, stdout, stderr)
	}
}

func TestPolicyHostsAreFoundByName(t *testing.T) {
	o := newOutside(t)
	i := slices.Index(o.flags, "-policy-host")
	o.flags = slices.Delete(o.flags, i, i+2) // where port 443 is closed
	_, stdout, _ := deliver(t, "", o.args("-from", "", "-to", "x@a.example", o.eml)...)
	if row := table(stdout)["x@a.example"]; row[0] != "failed" || row[3] != "sts: sts-policy-fetch-error (connection)" {
		t.Errorf("row %q", row)
	}
}

func TestAnInterruptDefers(t *testing.T) {
	o := newOutside(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errs bytes.Buffer
	status := run(ctx, o.args("-from", "", "-to", "x@a.example", o.eml), strings.NewReader(""), &out, &errs)
	if status != exitDeferred || !strings.Contains(out.String(), "0 of 1 delivered, 1 deferred") {
		t.Errorf("status %d\n%s%s", status, &out, &errs)
	}
}

func TestBadInput(t *testing.T) {
	dir := t.TempDir()
	empty, good := filepath.Join(dir, "empty"), filepath.Join(dir, "good")
	for name, text := range map[string]string{empty: "\n", good: "Subject: x\n\nx\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	envelope := []string{"-from", "a@sender.example", "-to", "b@example.com"}
	for _, c := range []struct {
		args   []string
		status int
		says   string
	}{
		{[]string{"-nonsense"}, exitUsage, "not defined: -nonsense"},
		{[]string{"-from", "a@sender.example", good}, exitUsage, "-to is missing"},
		{[]string{good}, exitUsage, "-to is missing"},
		{[]string{"-dns", "127.0.0.1"}, exitUsage, "-to is missing"},
		{[]string{"-to", ", ,", "-dry-run"}, exitUsage, "-to is missing"},
		{[]string{"-to", "b@example.com", good}, exitUsage, "-from is missing"},
		{envelope, exitUsage, "the message is missing"},
		{append(envelope, good, "-dry-run"), exitUsage, "flags before its name"},
		{[]string{"-dry-run", "-to", "example.com"}, exitUsage, `-to "example.com" is no mail address`},
		{[]string{"-dry-run", "-to", "b@"}, exitUsage, `-to "b@" is no mail address`},
		{[]string{"-dry-run", "-to", "b@example.com\nRCPT TO:<c@example.com>"}, exitUsage, "is no mail address"},
		{[]string{"-from", "alice", "-to", "b@example.com", good}, exitUsage, `-from "alice" is no mail address`},
		{append(envelope, "-port", "smtp", good), exitUsage, `-port "smtp" is no port`},
		{append(envelope, "-port", "0", good), exitUsage, `-port "0" is no port`},
		{append(envelope, "-dns", "ns.example.com", good), exitUsage, `-dns "ns.example.com" is no IP address`},
		{append(envelope, "-policy-host", "127.0.0.1", good), exitUsage, "want address:port"},
		{append(envelope, "-timeout", "-1s", good), exitUsage, "-timeout -1s is negative"},
		{append(envelope, filepath.Join(dir, "gone")), exitInput, "gone: no such file"},
		{append(envelope, dir), exitInput, "is a directory"},
		{append(envelope, empty), exitInput, "is empty"},
		{append(envelope, "-"), exitInput, "the message - is empty"},
		{append(envelope, "-roots", filepath.Join(dir, "gone"), good), exitInput, "gone: no such file"},
		{append(envelope, "-roots", good, good), exitInput, "good holds no certificate in PEM"},
	} {
		status, stdout, stderr := deliver(t, "", c.args...)
		if status != c.status || !strings.Contains(stderr, c.says) || stdout != "" || strings.Count(stderr, "\n") != 1 {
			t.Errorf("deliver %q: status %d, want %d saying %q; got %s%s", c.args, status, c.status, c.says, stdout, stderr)
		}
	}
}

func TestHelpExplainsTheExitStatus(t *testing.T) {
	status, stdout, stderr := deliver(t, "", "-h")
	if status != exitDone || stderr != "" || !strings.Contains(stdout, "-dry-run") || !strings.Contains(stdout, "Exit status:\n   0  delivered") {
		t.Errorf("status %d\n%s%s", status, stdout, stderr)
	}
}

// full is a disk with no space left.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

func TestATableThatCannotBePrintedIsNoSuccess(t *testing.T) {
	var errs bytes.Buffer
	if status := run(t.Context(), nil, nil, full{}, &errs); status != exitOutput || !strings.Contains(errs.String(), "no space left") {
		t.Errorf("status %d, %s", status, &errs)
	}
}

func TestColoursAreForTerminalsWhoseUsersLikeThem(t *testing.T) {
	device, err := os.Open(os.DevNull) // a character device, as a terminal is
	if err != nil {
		t.Fatal(err)
	}
	defer device.Close()
	for _, c := range []struct {
		noColor, term string
		want          bool
	}{{"", "xterm", true}, {"1", "xterm", false}, {"", "dumb", false}} {
		t.Setenv("NO_COLOR", c.noColor)
		t.Setenv("TERM", c.term)
		if got := colours(device) != nil; got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
	if colours(new(bytes.Buffer)) != nil {
		t.Error("colour in a file")
	}
}
