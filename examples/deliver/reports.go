package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/strictmx/strictmx/outbound"
	"github.com/strictmx/strictmx/tlsrpt"
)

// reports makes the report of each domain with a session, in the order of the
// receipts. One that cannot be made is an error, beside the others.
func (s *sender) reports(by tlsrpt.Submitter, receipts []outbound.Receipt) ([]*tlsrpt.Report, []error) {
	var reports []*tlsrpt.Report
	var errs []error
	for _, day := range s.sessions.Days() { // two, where midnight has just passed
		for t := range s.sessions.Tallies(day) {
			r, err := tlsrpt.NewReport(by, t.Domain, t.Day, t.Policies)
			if err == nil {
				err = readBack(r)
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("the report on %s: %w", t.Domain, err))
				continue
			}
			reports = append(reports, r)
		}
	}
	order := make(map[string]int)
	for i, r := range receipts {
		order[r.Domain] = i
	}
	slices.SortStableFunc(reports, func(a, b *tlsrpt.Report) int { return order[a.Domain] - order[b.Domain] })
	return reports, errs
}

// readBack reads a report as whoever gets it would, and finds the same in it.
func readBack(r *tlsrpt.Report) error {
	file, err := r.Gzip()
	if err != nil {
		return err
	}
	got, err := tlsrpt.ParseReport(bytes.NewReader(file))
	if err != nil {
		return err
	}
	sent, err := json.Marshal(r)
	if err != nil {
		return err
	}
	read, err := json.Marshal(got)
	if err == nil && !bytes.Equal(read, sent) {
		err = fmt.Errorf("%s reads back as %s", sent, read)
	}
	return err
}

// short is a report in lines of a table: the kind of each policy, the sessions that
// satisfied it and those that did not, and what was wrong with these.
func short(r *tlsrpt.Report) [][]string {
	var lines [][]string
	for _, p := range r.Policies {
		var wrong []string
		for _, f := range p.Failures {
			wrong = append(wrong, tlsrpt.Failure{Type: f.Type, Reason: f.Reason}.String())
		}
		good, bad := strconv.FormatInt(p.Summary.Successful, 10), strconv.FormatInt(p.Summary.Failed, 10)
		lines = append(lines, []string{r.Domain, string(p.Policy.Type), good, bad, strings.Join(wrong, ", ")})
	}
	return lines
}

// printReports prints reports, at least one: each in short, or as its JSON on one line.
func printReports(w io.Writer, reports []*tlsrpt.Report, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		for _, r := range reports {
			if err := enc.Encode(r); err != nil {
				return err
			}
		}
		return nil
	}
	head := "REPORT OF " + reports[0].Range.Start.Format(time.DateOnly)
	lines := [][]string{{head, "POLICY", "GOOD", "BAD", "WHAT WAS WRONG"}}
	for _, r := range reports {
		lines = append(lines, short(r)...)
	}
	return printTable(w, lines)
}

// told counts the sessions in reports.
func told(reports []*tlsrpt.Report) (sessions int64) {
	for _, r := range reports {
		for _, p := range r.Policies {
			sessions += p.Summary.Successful + p.Summary.Failed
		}
	}
	return sessions
}
