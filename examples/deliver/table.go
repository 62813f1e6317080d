package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/strictmx/strictmx/outbound"
	"github.com/strictmx/strictmx/tlsrpt"
)

// row is one line of the table: what became of a message for one recipient.
type row struct{ to, policy, host, outcome, reported string }

func (r row) cells() []string { return []string{r.to, r.policy, r.host, r.outcome, r.reported} }

// rows tells what became of a message, or of a dry run.
func (s *sender) rows(receipts []outbound.Receipt, dryRun bool) []row {
	var rows []row
	for _, r := range receipts {
		line := s.row(r)
		if dryRun {
			line.outcome = ready(line.outcome)
		}
		rows = append(rows, line)
	}
	return rows
}

// ready is what a dry run says of a host that would get the message.
func ready(outcome string) string { return strings.Replace(outcome, "delivered", "ready", 1) }

// row tells a Receipt. Where there is no policy, its column says why.
func (s *sender) row(r outbound.Receipt) row {
	policy := string(r.Cause)
	if r.Policy.Policy != nil {
		policy = string(r.Policy.Policy.Mode)
	}
	return row{
		to: r.Recipient, policy: cmp.Or(policy, "unknown"), host: cmp.Or(r.Host, "-"),
		outcome: outcome(r), reported: reported(r.Domain, s.events.all()),
	}
}

func outcome(r outbound.Receipt) string {
	code := fmt.Sprintf("%d %d.%d.%d", r.Code, r.EnhancedCode[0], r.EnhancedCode[1], r.EnhancedCode[2])
	switch {
	case r.Err == nil && r.Level == outbound.Clear:
		return "delivered in clear"
	case r.Err == nil:
		return "delivered, " + r.Level.String()
	case r.Temporary():
		return "deferred " + code
	}
	return "refused " + code
}

// reported says in a few words what the events of a domain say: by which kind of policy each
// session was judged, and what was wrong with it.
func reported(domain string, events []tlsrpt.Event) string {
	var b strings.Builder
	last := tlsrpt.PolicyType("")
	for _, e := range events {
		if e.Domain != domain {
			continue
		}
		for _, o := range e.Outcomes {
			switch {
			case o.Policy.Type != last:
				fmt.Fprintf(&b, "; %s: ", o.Policy.Type)
				last = o.Policy.Type
			default:
				b.WriteString(", ")
			}
			b.WriteString(failures(o.Failures))
		}
	}
	return cmp.Or(strings.TrimPrefix(b.String(), "; "), "nothing")
}

func failures(all []tlsrpt.Failure) string {
	var words []string
	for _, f := range all {
		words = append(words, f.String())
	}
	return cmp.Or(strings.Join(words, " + "), "ok")
}

// printTable prints rows in columns. Colour says the same as the word.
func printTable(w io.Writer, first string, rows []row) error {
	rows = slices.Insert(slices.Clone(rows), 0, row{first, "POLICY", "HOST", "OUTCOME", "REPORTED"})
	widths := make([]int, len(rows[0].cells()))
	for _, r := range rows {
		for i, cell := range r.cells() {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	colour := colours(w)
	var table strings.Builder
	for _, r := range rows {
		var line strings.Builder
		for i, cell := range r.cells() {
			padding := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2)
			first, _, _ := strings.Cut(cell, " ")
			if code := colour[strings.TrimSuffix(first, ",")]; code != "" {
				cell = code + cell + "\x1b[0m"
			}
			line.WriteString(cell + padding)
		}
		table.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	_, err := io.WriteString(w, table.String())
	return err
}

// colours is empty where w is no terminal, or where the user wants none.
func colours(w io.Writer) map[string]string {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return nil
	}
	if info, err := f.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return nil
	}
	return map[string]string{"delivered": "\x1b[32m", "ready": "\x1b[32m", "deferred": "\x1b[33m", "refused": "\x1b[31m"}
}

// printEvents prints each event as one line of JSON.
func printEvents(w io.Writer, events []tlsrpt.Event) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	for _, e := range events {
		e.Time = e.Time.UTC()
		if err := enc.Encode(e); err != nil {
			return err
		}
	}
	return nil
}
