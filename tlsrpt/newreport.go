package tlsrpt

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/strictmx/strictmx/internal/dnsname"
)

// NewReport makes the report of one UTC day about one recipient domain, and
// refuses what may not be sent: a submitter whose Check fails, a domain that is no
// name of two labels or more, a day that is not over, policies without a
// session or more than 1,000 of them, and sums that cannot be.
//
// What the policies hold is put in order, so that the same sessions give the
// same report byte for byte: equal policies are added up, and equal failure
// details; all of it is cleaned, see [Policy.Clean] and [FailureDetail.Clean].
// Where there is more than readers take (10,000 failure details, and what makes
// 10 MiB of JSON) those with the fewest sessions are left out; the sums remain
// as they were. What policies points to is not changed.
func NewReport(s Submitter, domain string, day time.Time, policies []PolicyResult) (*Report, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	contact, err := s.contact()
	if err != nil {
		return nil, err
	}
	name, err := dnsname.Domain(domain)
	if err != nil || dnsname.Labels(name) < 2 { // as DKIM has names (RFC 8460, section 5.3)
		return nil, errors.New("report: " + cleanText(domain) + " is no domain that a report can be about")
	}
	r := &Report{Organization: s.Organization, Range: Day(day), Contact: contact.address(), Domain: name}
	switch {
	case r.Range.Start.Year() < 1970 || r.Range.Start.Year() > 9999: // what a file name and RFC 3339 can say
		return nil, fmt.Errorf("report about %s: a day in the year %d", name, r.Range.Start.Year())
	case time.Now().Before(r.Range.End.Add(time.Second)): // RFC 8460, section 4.1
		return nil, fmt.Errorf("report about %s: %s is not over in UTC", name, r.Range.Start.Format(time.DateOnly))
	}
	r.ID = reportID(s, contact.domain, name, r.Range.Start)
	if r.Policies, err = canonicalPolicies(policies); err != nil {
		return nil, fmt.Errorf("report about %s: %w", name, err)
	}
	r.fit()
	return r, nil
}

// canonicalPolicies returns a clean copy of what is to be reported, in order and
// added up. A policy without a session is left out (RFC 8460, section 4.1).
func canonicalPolicies(policies []PolicyResult) ([]PolicyResult, error) {
	out := make([]PolicyResult, 0, len(policies))
	for i, p := range policies {
		policy, err := checkedPolicy(p.Policy)
		if err == nil {
			err = checkCounts(p)
		}
		if err != nil {
			return nil, fmt.Errorf("policies[%d]: %w", i, err)
		}
		if p.Summary == (Summary{}) {
			continue
		}
		var details []FailureDetail
		for _, d := range p.Failures {
			details = append(details, d.Clean())
		}
		out = append(out, PolicyResult{policy, p.Summary, details})
	}
	out = addUp(out, comparePolicies, func(a *PolicyResult, b PolicyResult) {
		a.Summary.Successful = addCounts(a.Summary.Successful, b.Summary.Successful)
		a.Summary.Failed = addCounts(a.Summary.Failed, b.Summary.Failed)
		a.Failures = append(a.Failures, b.Failures...)
	})
	for i := range out {
		out[i].Failures = addUp(out[i].Failures, compareDetails, func(a *FailureDetail, b FailureDetail) {
			a.Sessions = addCounts(a.Sessions, b.Sessions)
		})
	}
	switch {
	case len(out) == 0:
		return nil, errors.New("there were no sessions: nothing to report")
	case len(out) > maxPolicies:
		return nil, errors.New("more than 1,000 policies: nobody reads as many")
	}
	return out, nil
}

// checkCounts refuses sums that cannot be.
func checkCounts(p PolicyResult) error {
	s := p.Summary
	switch {
	case s.Successful < 0 || s.Failed < 0 || s.Successful > MaxCount || s.Failed > MaxCount:
		return errors.New("summary: a count is negative or above MaxCount")
	case s.Failed == 0 && len(p.Failures) > 0:
		return errors.New("there are failure details, but no session failed")
	}
	for i, d := range p.Failures {
		if d.Sessions < 1 || d.Sessions > MaxCount {
			return fmt.Errorf("failure-details[%d]: a count is below 1 or above MaxCount", i)
		}
	}
	return nil
}

// addUp sorts a list and merges what is equal in it.
func addUp[T any](list []T, compare func(a, b T) int, merge func(a *T, b T)) []T {
	slices.SortStableFunc(list, compare)
	out := list[:0]
	for _, x := range list {
		if last := len(out) - 1; last >= 0 && compare(out[last], x) == 0 {
			merge(&out[last], x)
		} else {
			out = append(out, x)
		}
	}
	return out
}

// addCounts adds what is no more than MaxCount each, and stays there.
func addCounts(a, b int64) int64 { return min(a+b, MaxCount) }
