package tlsrpt

import (
	"bufio"
	"compress/gzip"
	"errors"
	"io"
	"strconv"
	"strings"
)

// parseGzip reads what inflates to JSON.
func parseGzip(r io.Reader) (*Report, error) {
	z, err := gzip.NewReader(r)
	if err != nil {
		return nil, reportError("gzip that cannot be read", err)
	}
	in := bufio.NewReader(inflated(z)) // also the blanks before JSON are
	if start := sniff(in); !start.json {
		return nil, &ReportError{Text: "gzip of something that is no JSON"}
	}
	return parseJSON(in)
}

// inflated limits JSON, which was gzipped or not.
func inflated(r io.Reader) io.Reader {
	return &limited{r: r, left: maxInflated, text: "larger than 10 MiB of JSON"}
}

// reportError keeps the words of a fault that was found further down.
func reportError(text string, err error) error {
	if e, ok := errors.AsType[*ReportError](err); ok {
		return e
	}
	return &ReportError{Text: text, Err: err}
}

// parseJSON reads JSON without blanks before it.
func parseJSON(r io.Reader) (*Report, error) {
	p := decoder{policy: -1, detail: -1}
	p.src = inflated(r)
	p.buf = make([]byte, scanWindow)
	p.text = make([]byte, 0, maxString)
	p.whole()
	if p.err != nil {
		p.err.Where = p.where()
		return nil, p.err
	}
	return &p.report, nil
}

// decoder knows the members of a report. A fault stops the scanner, so what it
// says of where it is remains true of the fault.
type decoder struct {
	scanner
	report Report

	object  string // the object it is in: date-range, policy, summary or none
	member  string // the member it reads, "" for one that nobody knows
	policy  int    // the index of the policy it is in, or -1
	detail  int    // and of the failure detail
	details int    // in all policies

	hasRange, hasPolicies bool

	last     FailureDetail // most details repeat most of the one before
	from, to address
}

// members are the names of RFC 8460, section 4.4, and one that two senders
// write instead. It is never changed.
var members = map[string]string{
	"organization-name": "organization-name", "date-range": "date-range", "contact-info": "contact-info",
	"report-id": "report-id", "policies": "policies",
	"start-datetime": "start-datetime", "end-datetime": "end-datetime",
	"policy": "policy", "summary": "summary", "failure-details": "failure-details",
	"policy-type": "policy-type", "policy-string": "policy-string", "policy-domain": "policy-domain", "mx-host": "mx-host",
	"total-successful-session-count": "total-successful-session-count",
	"total-failure-session-count":    "total-failure-session-count",
	"result-type":                    "result-type", "sending-mta-ip": "sending-mta-ip", "receiving-ip": "receiving-ip",
	"receiving-mx-hostname": "receiving-mx-hostname", "receiving-mx-host-name": "receiving-mx-hostname",
	"receiving-mx-helo": "receiving-mx-helo", "failed-session-count": "failed-session-count",
	"additional-information": "additional-information", "failure-reason-code": "failure-reason-code",
}

// name takes the name of a member; "" for one that nobody knows.
func (p *decoder) name() string {
	name := members[string(p.key())]
	if p.err == nil {
		p.member = name
	}
	return name
}

// where names the place for an error.
func (p *decoder) where() string {
	var b strings.Builder
	if p.policy >= 0 {
		b.WriteString("policies[" + strconv.Itoa(p.policy) + "].")
	}
	if p.detail >= 0 {
		b.WriteString("failure-details[" + strconv.Itoa(p.detail) + "].")
	}
	if p.object != "" {
		b.WriteString(p.object + ".")
	}
	return strings.TrimSuffix(b.String()+p.member, ".")
}

// whole reads the one object that the input is, and what may follow it, which
// is nothing.
func (p *decoder) whole() {
	if p.peek() != '{' {
		p.fail("JSON, but no object")
	}
	p.enter('{')
	for p.more() {
		switch p.name() {
		case "organization-name":
			p.report.Organization = p.string("")
		case "date-range":
			p.inside("date-range", p.rangeMember)
		case "contact-info":
			p.report.Contact = p.string("")
		case "report-id":
			p.report.ID = p.string("")
		case "policies":
			c := p.peek()
			p.hasPolicies = c == '[' || c == '{'
			p.each(p.onePolicy)
		default:
			p.skip()
		}
	}
	if p.err == nil {
		p.member = ""
	}
	switch {
	case p.peek() != 0 || p.pos < p.n:
		p.fail("something follows the report")
	case !p.hasPolicies:
		p.fail("no report: it has no list of policies")
	case !p.hasRange:
		p.fail("no report: it has no date-range")
	}
}

// inside reads the members of an object, which is called name.
func (p *decoder) inside(name string, member func(string)) {
	if p.peek() != '{' {
		p.skip()
		return
	}
	p.object, p.member = name, ""
	p.enter('{')
	for p.more() {
		member(p.name())
	}
	if p.err == nil {
		p.object, p.member = "", name
	}
}

// each reads a list of objects, or the one object where there should be a list.
func (p *decoder) each(one func()) {
	switch p.peek() {
	case '{':
		one()
	case '[':
		p.enter('[')
		for p.more() {
			if p.peek() == '{' {
				one()
			} else {
				p.skip()
			}
		}
	default:
		p.skip()
	}
}

func (p *decoder) rangeMember(name string) {
	d := &p.report.Range
	switch name {
	case "start-datetime":
		d.Start = p.time()
		p.hasRange = true
	case "end-datetime":
		d.End = p.time()
	default:
		p.skip()
	}
}

func (p *decoder) onePolicy() {
	p.policy, p.member = len(p.report.Policies), ""
	if p.policy == maxPolicies {
		p.fail("more than 1,000 policies")
		return
	}
	var result PolicyResult
	p.enter('{')
	for p.more() {
		switch p.name() {
		case "policy":
			p.inside("policy", func(name string) { p.policyMember(name, &result.Policy) })
			result.Policy.tidy()
		case "summary":
			p.inside("summary", func(name string) { p.summaryMember(name, &result.Summary) })
		case "failure-details":
			p.each(func() { p.oneDetail(&result.Failures) })
		default:
			p.skip()
		}
	}
	p.report.Policies = append(p.report.Policies, result)
	if p.err == nil {
		p.policy, p.member = -1, "policies"
	}
}

func (p *decoder) policyMember(name string, to *Policy) {
	switch name {
	case "policy-type":
		to.Type = PolicyType(p.string(string(STS)))
	case "policy-string":
		to.Strings = p.list()
	case "policy-domain":
		to.Domain = p.string(p.report.Domain)
	case "mx-host":
		to.MXHosts = p.list()
	default:
		p.skip()
	}
}

func (p *decoder) summaryMember(name string, to *Summary) {
	switch name {
	case "total-successful-session-count":
		to.Successful = p.count()
	case "total-failure-session-count":
		to.Failed = p.count()
	default:
		p.skip()
	}
}

func (p *decoder) oneDetail(to *[]FailureDetail) {
	p.detail, p.member = len(*to), ""
	if p.details == maxDetails {
		p.fail("more than 10,000 failure details")
		return
	}
	p.details++
	var d FailureDetail
	p.enter('{')
	for p.more() {
		switch p.name() {
		case "result-type":
			d.Type = ResultType(p.string(string(p.last.Type)))
		case "sending-mta-ip":
			d.SendingIP = p.ip(&p.from)
		case "receiving-mx-hostname":
			d.MXHost = p.string(p.last.MXHost)
		case "receiving-mx-helo":
			d.HELO = p.string(p.last.HELO)
		case "receiving-ip":
			d.ReceivingIP = p.ip(&p.to)
		case "failed-session-count":
			d.Sessions = p.count()
		case "additional-information":
			d.Info = p.string(p.last.Info)
		case "failure-reason-code":
			d.Reason = p.string(p.last.Reason)
		default:
			p.skip()
		}
	}
	*to = append(*to, d)
	p.last = d
	if p.err == nil {
		p.detail, p.member = -1, "failure-details"
	}
}
