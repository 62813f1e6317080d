package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// result is a tally in the order in which it is shown: what needs work first.
type result struct {
	Sample              bool // made up by us
	Reports, Duplicates int
	Contradictions      int // reports under an id that another has
	All                 counts
	Days                []int // sorted
	Todos               []*todo
	Domains             []domainResult
	Orgs                []*org
}

type domainResult struct {
	*domain
	Days     []int // sorted
	Policies []*policy
	Failures []*failure
}

func (t *tally) result() *result {
	r := &result{
		Reports: t.reports, Duplicates: t.duplicates, Contradictions: t.contradictions, All: t.all,
		Days:  slices.Sorted(maps.Keys(t.days)),
		Todos: slices.Collect(maps.Values(t.advice)),
		Orgs:  slices.Collect(maps.Values(t.orgs)),
	}
	slices.SortFunc(r.Todos, func(a, b *todo) int {
		return cmp.Or(cmp.Compare(b.Sessions, a.Sessions), cmp.Compare(a.Advice, b.Advice))
	})
	slices.SortFunc(r.Orgs, func(a, b *org) int {
		return cmp.Or(cmp.Compare(b.Sessions.all(), a.Sessions.all()), cmp.Compare(a.Name, b.Name))
	})
	for _, d := range t.domains {
		r.Domains = append(r.Domains, d.result())
	}
	slices.SortFunc(r.Domains, func(a, b domainResult) int {
		return cmp.Or(worse(a.Sessions, b.Sessions), cmp.Compare(len(b.Failures), len(a.Failures)), cmp.Compare(a.Name, b.Name))
	})
	return r
}

func (d *domain) result() domainResult {
	r := domainResult{domain: d, Policies: slices.Collect(maps.Values(d.policies)), Failures: slices.Collect(maps.Values(d.failures))}
	for _, p := range r.Policies {
		for day := range p.days {
			if day != undated {
				r.Days = append(r.Days, day)
			}
		}
	}
	slices.Sort(r.Days)
	r.Days = slices.Compact(r.Days)
	slices.SortFunc(r.Policies, func(a, b *policy) int {
		return cmp.Or(worse(a.Sessions, b.Sessions), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.At, b.At))
	})
	slices.SortFunc(r.Failures, func(a, b *failure) int {
		return cmp.Or(cmp.Compare(b.Sessions, a.Sessions), cmp.Compare(a.Kind, b.Kind),
			cmp.Compare(a.Host, b.Host), cmp.Compare(a.Reason, b.Reason))
	})
	return r
}

// worse puts more bad sessions first, and then more sessions.
func worse(a, b counts) int {
	return cmp.Or(cmp.Compare(b.Bad, a.Bad), cmp.Compare(b.all(), a.all()))
}

// subject says what the reports are about.
func (r *result) subject() string {
	switch len(r.Domains) {
	case 1:
		return r.Domains[0].Name
	case 2:
		return r.Domains[0].Name + " and " + r.Domains[1].Name
	}
	return plural(len(r.Domains), "domain")
}

// from says what was read, and from how many.
func (r *result) from() string {
	s := plural(r.Reports, "report") + " by " + plural(len(r.Orgs), "organisation")
	if r.Duplicates > 0 {
		s += fmt.Sprintf("; %s not counted again", plural(r.Duplicates, "duplicate"))
	}
	if r.Contradictions > 0 {
		s += fmt.Sprintf("; %s under the name of another that says something else", plural(r.Contradictions, "report"))
	}
	return s
}

// summary is everything in one line.
func (r *result) summary() string {
	return fmt.Sprintf("%s; %s, %s of them bad", r.from(), plural(r.All.all(), "session"), group(r.All.Bad))
}

// nothing says why there is nothing to do, or nothing known to do.
func (r *result) nothing() string {
	if r.All.Bad > 0 {
		return "Ask who reported bad sessions why they were: none of them says so."
	}
	return "Nothing: no failure was reported."
}

// label names a policy: "sts, mode enforce" or "tlsa at mx1.example.com".
func (p *policy) label() string {
	s := p.Kind
	if len(p.modes) > 0 {
		s += ", mode " + strings.Join(slices.Sorted(maps.Keys(p.modes)), " and ")
	}
	if p.At != "" {
		s += " at " + p.At
	}
	return s
}

// some returns the first few of a list, and how many there are beyond.
func some[T any](all []T, limit int) (shown, rest []T) {
	n := min(len(all), limit)
	return all[:n], all[n:]
}

// list names the largest few of m, each cut to width: "a, b and 3 more".
func list(m map[string]int64, limit, width int) string {
	shown, rest := some(ranked(m), limit)
	for i, name := range shown {
		shown[i] = shorten(name, width)
	}
	s := strings.Join(shown, ", ")
	if len(rest) > 0 {
		s += " and " + group(int64(len(rest))) + " more"
	}
	return s
}

// shorten cuts s to width runes.
func shorten(s string, width int) string {
	if utf8.RuneCountInString(s) <= width {
		return s
	}
	return string([]rune(s)[:width-1]) + "…"
}

// when says from which days the reports of o are.
func (o *org) when() string {
	days := slices.Sorted(maps.Keys(o.days))
	if len(days) > 0 && days[0] == undated {
		days = days[1:]
	}
	return dates(days)
}
