package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/strictmx/strictmx/outbound"
)

// row is what became of a message for one recipient.
type row struct{ to, policy, host, outcome string }

// rows tells what became of a message, or of a dry run. Where there is no policy,
// its column says why.
func rows(receipts []outbound.Receipt, dryRun bool) []row {
	var rows []row
	for _, r := range receipts {
		policy := string(r.Cause)
		if r.Policy.Policy != nil {
			policy = string(r.Policy.Policy.Mode)
		}
		line := row{to: r.Recipient, policy: cmp.Or(policy, "unknown"), host: cmp.Or(r.Host, "-"), outcome: outcome(r)}
		if dryRun {
			line.outcome = ready(line.outcome)
		}
		rows = append(rows, line)
	}
	return rows
}

// ready is what a dry run says of a host that would get the message.
func ready(outcome string) string { return strings.Replace(outcome, "delivered", "ready", 1) }

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

// printRows prints what became of a message for each recipient.
func printRows(w io.Writer, first string, rows []row) error {
	lines := [][]string{{first, "POLICY", "HOST", "OUTCOME"}}
	for _, r := range rows {
		lines = append(lines, []string{r.to, r.policy, r.host, r.outcome})
	}
	return printTable(w, lines)
}

// printTable prints lines in columns. Colour says the same as the word.
func printTable(w io.Writer, lines [][]string) error {
	widths := make([]int, len(lines[0]))
	for _, line := range lines {
		for i, cell := range line {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	colour := colours(w)
	var table strings.Builder
	for _, cells := range lines {
		var line strings.Builder
		for i, cell := range cells {
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
