package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/strictmx/strictmx/tlsrpt"
)

func TestNoReportSteersTheTerminal(t *testing.T) { // R21
	for _, s := range hostile("http://127.0.0.1/") {
		for _, out := range []string{tables(t, added(everywhere(s))), throughJSON(t, s)} {
			checkPlain(t, s, out)
			for line := range strings.Lines(out) {
				if n := utf8.RuneCountInString(line); n > 10*terminalWidth {
					t.Errorf("%.40q makes a line of %d runes", s, n)
				}
			}
		}
	}
}

// throughJSON is what the program itself prints of a report that says s.
func throughJSON(t *testing.T, s string, flags ...string) string {
	t.Helper()
	status, out, errs := report(t, bytes.NewReader(asJSON(t, everywhere(s))), append(flags, "-")...)
	if status != exitDone || errs != "" {
		t.Fatalf("%.40q: status %d, %s", s, status, errs)
	}
	return out
}

// checkPlain finds what is neither seen nor a line end.
func checkPlain(t *testing.T, s, out string) {
	t.Helper()
	if !utf8.ValidString(out) {
		t.Errorf("%.40q: no UTF-8", s)
	}
	for _, r := range out {
		if r != '\n' && r != ' ' && unicode.In(r, unicode.C, unicode.Z) {
			t.Errorf("%.40q: the output has %q", s, r)
			return
		}
	}
}

func TestTablesAreBounded(t *testing.T) {
	out := tables(t, added(crowd()...))
	for _, want := range []string{
		"TLS reports about 132 domains, 2026-01-01 to 2027-02-04\n",
		"\nexample.com: sts, mode enforce, by month",
		"\n  2026-01  ", "\n  2027-02  ",
		"\n  and 4 more policies, 40 sessions\n",
		"\n  and 28 more kinds, ",
		"\n  and 112 more domains, ",
		"\n  and 48 more organisations, ",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("there is no %q", want)
		}
	}
	if n := strings.Count(out, "\n"); n > 700 {
		t.Errorf("%d lines", n)
	}
	if t.Failed() {
		t.Log(out)
	}
}

func TestTablesOfNothingOfOneDayAndOfNoDate(t *testing.T) {
	if out := tables(t, added()); !strings.Contains(out, "about 0 domains, no dates\n0 reports by 0 organisations\n0 sessions, 0 bad: ") {
		t.Error(out)
	}
	one := plain("alder", "a.example", 0, 3, 0)
	out := tables(t, added(one))
	if strings.Contains(out, "  sum ") || !strings.Contains(out, "\n  2026-01-01                     3    0  100 %\n") ||
		!strings.Contains(out, "\nWhat to do\n  Nothing: no failure was reported.\n") {
		t.Error(out)
	}
	when := plain("alder", "a.example", 1, 4, 0)
	when.Range = tlsrpt.DateRange{}
	out = tables(t, added(one, when))
	if !strings.Contains(out, "\n  no date                        4    0  100 %\n  sum                            7    0  100 %\n") {
		t.Error(out)
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

func TestColourChangesNoColumn(t *testing.T) {
	one := terminal{}
	two := terminal{colours: map[string]string{"head": "\x1b[1m", "bad": "\x1b[31m"}}
	for _, t := range []*terminal{&one, &two} {
		t.table([][]string{{"DAY", "GOOD", "BAD"}, {"2026-01-01", "10", "3"}, {"2026-01-02", "7", "0"}}, 1, 2)
	}
	if got := strings.NewReplacer("\x1b[1m", "", "\x1b[31m", "", "\x1b[0m", "").Replace(two.out.String()); got != one.out.String() {
		t.Errorf("%q, want %q", got, one.out.String())
	}
	if !strings.Contains(two.out.String(), "\x1b[31m3\x1b[0m\n") || strings.Contains(two.out.String(), "\x1b[31m0") {
		t.Errorf("%q", two.out.String())
	}
}
