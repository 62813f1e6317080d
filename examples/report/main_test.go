package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// report runs the program in this process.
func report(t *testing.T, stdin io.Reader, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	status = run(args, stdin, &out, &errs)
	return status, out.String(), errs.String()
}

func TestANewcomerSeesASample(t *testing.T) {
	terminal, err := os.Open(os.DevNull) // a character device, as a terminal is
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	status, out, errs := report(t, terminal)
	if status != exitDone || errs != "" || !strings.HasPrefix(out, "A made-up sample.") {
		t.Fatalf("status %d\n%s%s", status, out, errs)
	}
	if _, again, _ := report(t, nil, "-sample"); again != out {
		t.Error("-sample shows something else")
	}
}

func TestTheTablesOfTheSample(t *testing.T) {
	_, out, _ := report(t, nil, "-sample")
	for _, want := range []string{
		"TLS reports about example.com and example.net, 2026-03-02 to 2026-03-15\n70 reports by 3 organisations\n26,442 sessions, 1,580 bad: 94.0 % good\n",
		"\nexample.com: sts, mode enforce    GOOD    BAD\n  2026-03-02                     1,298      0   100 %\n",
		"\n  2026-03-10                     1,064    454  70.0 %\n",
		"\n  sum                           14,377  1,353  91.3 %\n",
		"\nexample.com: tlsa at mx1.example.com   GOOD  BAD\n",
		"\nexample.com: failures\n  SESSIONS  HOST             TYPE                                    REPORTED BY\n" +
			"     1,293  mx2.example.com  certificate-expired                     Alder Mail, Birch & Post Ltd, Cedar Webmail\n",
		"\n        33  -                   sts-policy-fetch-error (http-503)     Alder Mail, Birch & Post Ltd\n",
		"\nWhat to do\n  Renew the certificate, and reload the server: it still serves the old one.\n      certificate-expired: 1,293 sessions at mx2.example.com, mail to example.com\n",
		"\nReported by\n  REPORTS  SESSIONS    BAD  ORGANISATION\n       28    17,511  1,021  Alder Mail (tls-reports@alder.example)\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("there is no\n%s", want)
		}
	}
	for line := range strings.Lines(out) {
		if strings.TrimRight(line, " \n") != strings.TrimSuffix(line, "\n") {
			t.Errorf("blanks at the end of %q", line)
		}
	}
	if t.Failed() {
		t.Log(out)
	}
}

func TestUsage(t *testing.T) {
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"-nonsense"}, "not defined: -nonsense"},
		{[]string{"-sample", "x.json"}, `-sample shows no files, and "x.json" was given`},
		{[]string{"-html"}, "flag needs an argument: -html"},
		{[]string{"main.go", "-html", "page.html"}, `"-html" is no file: flags go before the files`},
	} {
		status, out, errs := report(t, nil, c.args...)
		if status != exitUsage || out != "" || !strings.Contains(errs, c.says) || strings.Count(errs, "\n") != 1 {
			t.Errorf("report %q: status %d, %s%s", c.args, status, out, errs)
		}
	}
	status, out, errs := report(t, nil, "-h")
	if status != exitDone || errs != "" || !strings.Contains(out, "-html") || !strings.Contains(out, "Exit status:\n   0  every report was read") {
		t.Errorf("status %d\n%s%s", status, out, errs)
	}
}

func TestAPageOfWhat(t *testing.T) {
	terminal, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	var errs bytes.Buffer
	file := filepath.Join(t.TempDir(), "mine.json.gz")
	if status := run([]string{"-html", file}, terminal, io.Discard, &errs); status != exitUsage || !strings.Contains(errs.String(), "-html needs reports to show") {
		t.Errorf("status %d, %s", status, &errs)
	}
}

func TestAPageInsteadOfTables(t *testing.T) {
	file := filepath.Join(t.TempDir(), "page.html")
	status, out, errs := report(t, nil, "-html", file, "-sample")
	if want := file + ": 70 reports by 3 organisations; 26,442 sessions, 1,580 of them bad\n"; status != exitDone || errs != "" || out != want {
		t.Errorf("status %d, %q%s, want %q", status, out, errs, want)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, out, _ := report(t, nil, "-html", "-", "-sample"); out != string(b) {
		t.Error("the page on standard output is another")
	}
}

// full is a disk with no space left.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

func TestWhatCannotBePrintedIsNoSuccess(t *testing.T) {
	for _, args := range [][]string{{"-sample"}, {"-sample", "-html", "-"}, {"-sample", "-html", filepath.Join(t.TempDir(), "x")}} {
		var errs bytes.Buffer
		if status := run(args, nil, full{}, &errs); status != exitOutput || !strings.Contains(errs.String(), "no space left") {
			t.Errorf("status %d, %s", status, &errs)
		}
	}
}

func TestAPageStaysWhereNothingCouldBeRead(t *testing.T) {
	file := filepath.Join(t.TempDir(), "page.html")
	write(t, file, []byte("yesterday's"))
	if status, _, _ := report(t, strings.NewReader("x"), "-html", file, "-"); status != exitUnread {
		t.Errorf("status %d", status)
	}
	if b, _ := os.ReadFile(file); string(b) != "yesterday's" {
		t.Errorf("the page is now %q", b)
	}
}
