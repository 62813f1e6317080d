package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/strictmx/strictmx/tlsrpt"
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

// reported returns the lines of the table of reports, without its head.
func reported(stdout string) []string {
	_, rest, _ := strings.Cut(stdout, "\n\nREPORT OF ")
	text, _, _ := strings.Cut(rest, "\n\n")
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	return lines[min(1, len(lines)):]
}

// decoded returns the reports, which stand between the table and the summary.
func decoded(t *testing.T, stdout string) []*tlsrpt.Report {
	t.Helper()
	var reports []*tlsrpt.Report
	for line := range strings.Lines(stdout) {
		if !strings.HasPrefix(line, "{") {
			continue
		}
		r, err := tlsrpt.ParseReport(strings.NewReader(line))
		if err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		reports = append(reports, r)
	}
	return reports
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
