package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode/utf8"
)

// What is shown in a terminal; what is beyond is summed up in a line.
const (
	terminalDomains  = 20
	terminalPolicies = 6
	terminalSlots    = 31
	terminalFailures = 12
	terminalTodos    = 15
	terminalOrgs     = 15
	terminalWidth    = 60 // of one cell or name; the page has all of it
)

// printTables prints everything, for people and for grep: one column begins
// two blanks after another. Colour says the same as the column.
func printTables(w io.Writer, r *result) error {
	t := terminal{colours: colours(w)}
	if r.Sample {
		t.f("A made-up sample. For your own: report FILE or DIRECTORY (report -h explains).\n\n")
	}
	t.f("TLS reports about %s, %s\n", r.subject(), span(r.Days))
	t.f("%s\n%s, %s bad: %s good\n", r.from(), plural(r.All.all(), "session"), group(r.All.Bad), r.All.percent())
	domains, rest := some(r.Domains, terminalDomains)
	for _, d := range domains {
		t.domain(d)
	}
	if len(rest) > 0 {
		t.f("\n")
		t.beyond(len(rest), "domain", sumOf(rest, func(d domainResult) int64 { return d.Sessions.all() }))
	}
	t.todos(r.Todos, r.nothing())
	t.orgs(r.Orgs)
	_, err := io.WriteString(w, t.out.String())
	return err
}

type terminal struct {
	out     strings.Builder
	colours map[string]string
}

func (t *terminal) f(format string, args ...any) { fmt.Fprintf(&t.out, format, args...) }

func (t *terminal) domain(d domainResult) {
	scale := newAxis(d.Days, terminalSlots)
	policies, more := some(d.Policies, terminalPolicies)
	for _, p := range policies {
		t.f("\n")
		t.policy(d.Name, p, scale)
	}
	t.beyond(len(more), "policy", sumOf(more, func(p *policy) int64 { return p.Sessions.all() }))
	t.failures(d)
}

func (t *terminal) policy(domain string, p *policy, scale axis) {
	head := domain + ": " + p.label()
	if scale.Unit.Word != "day" {
		head += ", by " + scale.Unit.Word
	}
	rows := [][]string{{head, "GOOD", "BAD", ""}}
	slots, without := scale.spread(p.days)
	for i, c := range slots {
		if c != (counts{}) {
			rows = append(rows, countsRow("  "+scale.row(i), c))
		}
	}
	if without != (counts{}) {
		rows = append(rows, countsRow("  no date", without))
	}
	if len(rows) != 2 { // head and one day: the sum would say it again
		rows = append(rows, countsRow("  sum", p.Sessions))
	}
	t.table(rows, 1, 2, 3)
}

// beyond sums up what is not shown.
func (t *terminal) beyond(n int, word string, sessions int64) {
	if n > 0 {
		t.f("  %s\n", beyond(n, word, sessions))
	}
}

func countsRow(label string, c counts) []string {
	return []string{label, group(c.Good), group(c.Bad), c.percent()}
}

// failures has the words of strangers in the last columns, where letters of any
// width and direction move nothing else.
func (t *terminal) failures(d domainResult) {
	if len(d.Failures) == 0 {
		return
	}
	shown, more := some(d.Failures, terminalFailures)
	rows := [][]string{{"  SESSIONS", "HOST", "TYPE", "REPORTED BY"}}
	for _, f := range shown {
		kind := f.Kind
		if f.Reason != "" {
			kind += " (" + f.Reason + ")"
		}
		rows = append(rows, []string{group(f.Sessions), cmp.Or(f.Host, "-"), kind, list(f.orgs, 3, terminalWidth)})
	}
	t.title(d.Name + ": failures")
	t.table(rows, 0)
	t.beyond(len(more), "kind", sumOf(more, func(f *failure) int64 { return f.Sessions }))
}

func (t *terminal) title(s string) { t.f("\n%s\n", t.style("", s, true)) }

func (t *terminal) todos(all []*todo, nothing string) {
	t.title("What to do")
	if len(all) == 0 {
		t.f("  %s\n", nothing)
	}
	shown, more := some(all, terminalTodos)
	for _, d := range shown {
		t.f("  %s\n      %s: %s\n", d.Advice, list(d.kinds, 2, terminalWidth), d.where())
	}
	t.beyond(len(more), "thing", sumOf(more, func(d *todo) int64 { return d.Sessions }))
}

// where says how often and where something is wrong.
func (d *todo) where() string {
	s := plural(d.Sessions, "session")
	if len(d.hosts) > 0 {
		s += " at " + list(d.hosts, 3, terminalWidth)
	}
	if len(d.domains) > 0 {
		s += ", mail to " + list(d.domains, 3, terminalWidth)
	}
	return s
}

func (t *terminal) orgs(all []*org) {
	shown, more := some(all, terminalOrgs)
	rows := [][]string{{"  REPORTS", "SESSIONS", "BAD", "ORGANISATION"}}
	for _, o := range shown {
		who := shorten(o.Name, terminalWidth)
		if o.Contact != "" && o.Contact != o.Name {
			who += " (" + shorten(o.Contact, terminalWidth) + ")"
		}
		rows = append(rows, []string{group(int64(o.Reports)), group(o.Sessions.all()), group(o.Sessions.Bad), who})
	}
	t.title("Reported by")
	t.table(rows, 0, 1, 2)
	t.beyond(len(more), "organisation", sumOf(more, func(o *org) int64 { return o.Sessions.all() }))
}

// table prints rows in columns; those in right are numbers. The first row is
// the head. The last column may have any length if it is no number.
func (t *terminal) table(rows [][]string, right ...int) {
	last := len(rows[0]) - 1
	widths := make([]int, len(rows[0]))
	for _, r := range rows {
		for i := range r {
			if i == last && !slices.Contains(right, i) {
				continue
			}
			r[i] = shorten(r[i], terminalWidth)
			widths[i] = max(widths[i], utf8.RuneCountInString(r[i]))
		}
	}
	for n, r := range rows {
		var line strings.Builder
		for i, cell := range r {
			pad := strings.Repeat(" ", max(widths[i]-utf8.RuneCountInString(cell), 0))
			styled := t.style(rows[0][i], cell, n == 0)
			if slices.Contains(right, i) {
				line.WriteString(pad + styled + "  ")
			} else {
				line.WriteString(styled + pad + "  ")
			}
		}
		t.f("%s\n", strings.TrimRight(line.String(), " "))
	}
}

func (t *terminal) style(column, cell string, head bool) string {
	code := ""
	switch {
	case head:
		code = t.colours["head"]
	case column == "BAD" && cell != "0":
		code = t.colours["bad"]
	}
	if code == "" || cell == "" {
		return cell
	}
	return code + cell + "\x1b[0m"
}

// colours is empty where w is no terminal, or where the user wants none.
func colours(w io.Writer) map[string]string {
	if !isDevice(w) || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return nil
	}
	return map[string]string{"head": "\x1b[1m", "bad": "\x1b[31m"}
}
