package tlsrpt

import (
	"cmp"
	"slices"
)

// How much JSON a report may become, so that every reader takes it and it is
// small enough for mail (RFC 8460, section 5.2): less than maxInflated.
const (
	maxPolicyJSON = 5 << 20 // all policies without their failure details
	maxDetailJSON = 4 << 20
	maxEscaped    = len(`\u003c`) // octets that one octet of text may become
	aroundPolicy  = 300           // octets of names, brackets and sums
	aroundDetail  = 300
)

// fit leaves out what is too much: texts of policies from the last one on, and
// details with the fewest sessions.
func (r *Report) fit() {
	size := 0
	for i := range r.Policies {
		p := &r.Policies[i].Policy
		size += aroundPolicy + len(p.Domain)
		for _, line := range p.Strings {
			size += maxEscaped*len(line) + len(`"",`)
		}
		for _, mx := range p.MXHosts {
			size += len(mx) + len(`"",`)
		}
		if size > maxPolicyJSON {
			p.Strings, p.MXHosts = nil, nil
			size = maxPolicyJSON
		}
	}
	floor, ties := r.threshold()
	if floor == 0 {
		return
	}
	for i := range r.Policies {
		r.Policies[i].Failures = slices.DeleteFunc(r.Policies[i].Failures, func(d FailureDetail) bool {
			if d.Sessions == floor {
				ties--
				return ties < 0
			}
			return d.Sessions < floor
		})
	}
}

// threshold returns the number of sessions of the first detail that is too much,
// and how many of those with just that number are kept.
func (r *Report) threshold() (floor int64, ties int) {
	var all []FailureDetail
	for _, p := range r.Policies {
		all = append(all, p.Failures...)
	}
	// Most sessions first; of those with equal numbers, as they stand.
	slices.SortStableFunc(all, func(a, b FailureDetail) int { return cmp.Compare(b.Sessions, a.Sessions) })
	size := 0
	for i, d := range all {
		if i == 0 || d.Sessions != all[i-1].Sessions {
			ties = 0
		}
		size += aroundDetail + len(d.MXHost) + len(d.HELO) + len(d.Info)
		if i == maxDetails || size > maxDetailJSON {
			return d.Sessions, ties
		}
		ties++
	}
	return 0, 0
}
