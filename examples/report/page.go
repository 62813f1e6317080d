package main

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strconv"
)

// What is shown in the page; what is beyond is summed up.
const (
	pageDomains  = 20 // with pictures
	pageIndex    = 40 // in the list of domains
	pagePolicies = 6  // of a domain
	pageSlots    = 62 // bars of a chart
	pageFailures = 12 // of a domain
	pageTodos    = 20
	pageOrgs     = 25
	pageNames    = 3 // hosts, domains or organisations in one sentence
)

//go:embed page.html
var pageText string

// pageView is a result in words and coordinates, for the template.
type pageView struct {
	Sample, Failing                bool
	Subject, When, From            string
	Good, Bad, All, Percent        string
	Todos                          []todoView
	Nothing                        string // what to say if there are none
	Index                          []indexView
	Domains                        []domainView
	Orgs                           []orgView
	MoreTodos, MoreIndex, MoreOrgs string // what is beyond
}

type todoView struct{ Advice, Kinds, Sessions, Hosts, Domains string }

type indexView struct {
	ID                       string // "" where the domain is not shown below
	Name, Good, Bad, Percent string
	Failing                  bool
}

type domainView struct {
	ID, Name, When string
	Policies       []policyView
	MorePolicies   string
	Failures       []failureView
	MoreFailures   string
	Failing        bool
	Wide           bool // the failures have a row of their own
}

type policyView struct {
	ID, Label, Good, Bad, Percent string
	Chart                         chart
	Step, Head                    string // "week", and the head of a column of them
	Rows                          []rowView
}

type rowView struct {
	Label, Good, Bad, Percent string
	Failing                   bool
}

type failureView struct {
	Kind, Reason, Host, Sessions, Share string
	Orgs                                []string
	MoreOrgs                            string
}

type orgView struct {
	Name, Contact, Reports, Sessions, Bad, When string
	Failing                                     bool
}

// writePage writes one HTML page that is whole in itself. html/template
// escapes what strangers said, and the page has it in no attribute, no style
// and no link.
func writePage(w io.Writer, r *result) error {
	t, err := template.New("page").Parse(pageText)
	if err != nil {
		return err
	}
	return t.Execute(w, view(r))
}

func view(r *result) pageView {
	v := pageView{
		Sample: r.Sample, Subject: r.subject(), When: dates(r.Days), From: r.from(),
		Good: group(r.All.Good), Bad: group(r.All.Bad), All: group(r.All.all()), Percent: r.All.percent(),
		Failing: r.All.Bad > 0, Nothing: r.nothing(),
	}
	todos, more := some(r.Todos, pageTodos)
	for _, t := range todos {
		v.Todos = append(v.Todos, todoView{t.Advice, list(t.kinds, pageNames, maxName), plural(t.Sessions, "session"),
			list(t.hosts, pageNames, maxName), list(t.domains, pageNames, maxName)})
	}
	v.MoreTodos = beyond(len(more), "thing", sumOf(more, func(t *todo) int64 { return t.Sessions }))
	v.index(r.Domains)
	shown, _ := some(r.Domains, pageDomains)
	for i, d := range shown {
		v.Domains = append(v.Domains, viewDomain(i, d))
	}
	v.orgs(r.Orgs)
	return v
}

// index lists the domains where there are several.
func (v *pageView) index(all []domainResult) {
	if len(all) < 2 {
		return
	}
	shown, more := some(all, pageIndex)
	for i, d := range shown {
		x := indexView{"", d.Name, brief(d.Sessions.Good), brief(d.Sessions.Bad), d.Sessions.percent(), d.Sessions.Bad > 0}
		if i < pageDomains {
			x.ID = domainID(i)
		}
		v.Index = append(v.Index, x)
	}
	v.MoreIndex = beyond(len(more), "domain", sumOf(more, func(d domainResult) int64 { return d.Sessions.all() }))
}

func domainID(i int) string { return "d" + strconv.Itoa(i+1) }

func viewDomain(i int, d domainResult) domainView {
	v := domainView{ID: domainID(i), Name: d.Name, When: dates(d.Days), Failing: d.Sessions.Bad > 0}
	scale := newAxis(d.Days, pageSlots)
	policies, more := some(d.Policies, pagePolicies)
	for j, p := range policies {
		v.Policies = append(v.Policies, viewPolicy(fmt.Sprintf("%sp%d", v.ID, j+1), p, scale))
	}
	v.MorePolicies = beyond(len(more), "policy", sumOf(more, func(p *policy) int64 { return p.Sessions.all() }))
	failures, rest := some(d.Failures, pageFailures)
	for _, f := range failures {
		v.Failures = append(v.Failures, viewFailure(f, failures[0].Sessions))
	}
	v.MoreFailures = beyond(len(rest), "kind", sumOf(rest, func(f *failure) int64 { return f.Sessions }))
	v.Wide = len(policies)%2 == 0
	return v
}

func viewFailure(f *failure, most int64) failureView {
	v := failureView{Kind: f.Kind, Reason: f.Reason, Host: f.Host, Sessions: brief(f.Sessions)}
	v.Share = number(float64(f.Sessions) / max(float64(most), 1) * 100)
	orgs, more := some(ranked(f.orgs), pageNames)
	v.Orgs = orgs
	if len(more) > 0 {
		v.MoreOrgs = " and " + group(int64(len(more))) + " more"
	}
	return v
}

func viewPolicy(id string, p *policy, scale axis) policyView {
	slots, without := scale.spread(p.days)
	v := policyView{
		ID: id, Label: p.label(), Good: group(p.Sessions.Good), Bad: group(p.Sessions.Bad), Percent: p.Sessions.percent(),
		Step: scale.Unit.Word, Head: scale.Unit.Head, Chart: newChart(scale, slots),
	}
	for i, c := range slots {
		if c != (counts{}) {
			v.Rows = append(v.Rows, viewRow(scale.row(i), c))
		}
	}
	if without != (counts{}) {
		v.Rows = append(v.Rows, viewRow("no date", without))
	}
	return v
}

func viewRow(label string, c counts) rowView {
	return rowView{label, brief(c.Good), brief(c.Bad), c.percent(), c.Bad > 0}
}

func (v *pageView) orgs(all []*org) {
	shown, more := some(all, pageOrgs)
	for _, o := range shown {
		v.Orgs = append(v.Orgs, orgView{o.Name, o.Contact, plural(o.Reports, "report"),
			brief(o.Sessions.all()), brief(o.Sessions.Bad), o.when(), o.Sessions.Bad > 0})
	}
	v.MoreOrgs = beyond(len(more), "organisation", sumOf(more, func(o *org) int64 { return o.Sessions.all() }))
}

// beyond is "and 3 more domains, 120 sessions", or "".
func beyond(n int, word string, sessions int64) string {
	if n == 0 {
		return ""
	}
	words := word + "s"
	switch {
	case n == 1:
		words = word
	case word == "policy":
		words = "policies"
	}
	return fmt.Sprintf("and %s more %s, %s", group(int64(n)), words, plural(sessions, "session"))
}

func sumOf[T any](all []T, count func(T) int64) int64 {
	var n int64
	for _, x := range all {
		n = sum(n, count(x))
	}
	return n
}
