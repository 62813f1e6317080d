package tlsrpt

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/strictmx/strictmx/internal/dnsname"
)

const (
	textWidth     = 72
	maxTextGroups = 20 // failures of one policy that are explained
	maxTextHosts  = 20 // hosts named for one failure
	maxTextPolicy = 50 // policies that are told
)

// Text returns the report as a person reads it, in lines of plain ASCII that end
// with "\n": for each policy what became of the sessions, and for each failure
// the hosts concerned, how often, and what to do.
//
// It holds our own words, names of DNS and counts, and nothing else that the
// report says: no text of a policy, no reason of a kind that we do not know. So
// it is fit for a mail and a terminal, whoever wrote the report.
func (r *Report) Text() string {
	t := &text{}
	t.line("TLS report about " + cmp.Or(r.about(), "a domain"))
	t.line("Day:  " + r.Range.words())
	if from := r.Submitter(); from != "" {
		t.line("From: " + from)
	}
	t.line("")
	t.headline(r.Policies)
	for i, p := range r.Policies {
		if i == maxTextPolicy {
			t.line("")
			t.line(plural(int64(len(r.Policies)-i), "more policy is", "more policies are") + " in the report itself.")
			break
		}
		t.policy(p)
	}
	return t.b.String()
}

// words says which time it is: a day, as a rule.
func (d DateRange) words() string {
	const day = "Monday, 2 January 2006"
	start, end := d.Start.UTC(), d.End.UTC()
	if full := Day(start); start.Equal(full.Start) && !end.Before(full.End) && end.Before(full.End.Add(2*time.Second)) {
		return start.Format(day) + " (UTC)"
	}
	return start.Format(time.DateTime) + " to " + end.Format(time.DateTime) + " (UTC)"
}

// text collects lines.
type text struct{ b strings.Builder }

func (t *text) line(s string) { t.b.WriteString(s + "\n") }

// wrapped writes words in lines of up to 72 characters, each after an indent.
func (t *text) wrapped(indent, words string) {
	line := indent
	for word := range strings.FieldsSeq(words) {
		if line != indent && len(line)+len(word) >= textWidth {
			t.line(line)
			line = indent
		}
		if line != indent {
			line += " "
		}
		line += word
	}
	t.line(line)
}

// headline says the whole in one sentence. Sums over policies would count
// sessions twice, since each policy judges all of them.
func (t *text) headline(policies []PolicyResult) {
	bad := 0
	for _, p := range policies {
		if p.Summary.Failed > 0 {
			bad++
		}
	}
	switch {
	case bad == 0:
		t.line("All is well: no session failed.")
	case len(policies) == 1:
		t.line("Some sessions failed. What to do is said below each failure.")
	default:
		t.wrapped("", fmt.Sprintf("Sessions failed under %d of %d policies. What to do is said below each failure.", bad, len(policies)))
	}
}

// policy tells what became of the sessions that one policy judged.
func (t *text) policy(p PolicyResult) {
	title, meaning := p.Policy.words()
	t.line("")
	t.line(title)
	t.line(strings.Repeat("-", min(len(title), textWidth)))
	t.line(p.Summary.words())
	if p.Summary.Failed > 0 && meaning != "" {
		t.wrapped("", meaning)
	}
	groups := groupFailures(p.Failures)
	for i, g := range groups {
		if i == maxTextGroups {
			t.line("")
			t.line("  " + plural(int64(len(groups)-i), "more kind of failure is", "more kinds of failure are") + " in the report itself.")
			break
		}
		t.failure(g, p.Policy.Domain)
	}
}

// words names the policy, and says what it does to mail. Of its text nothing but
// the mode is taken, which is one of three words.
func (p Policy) words() (title, meaning string) {
	of := " of " + cmp.Or(shownName(p.Domain), "a domain")
	switch {
	case p.Type == NoPolicyFound:
		return "No policy found for " + cmp.Or(shownName(p.Domain), "a domain"), ""
	case p.Type == TLSA:
		return "DANE: TLSA records" + of, "Mail is held back from hosts that fail."
	case p.Type != STS:
		return "A policy of another kind" + of, ""
	case len(p.Strings) == 0:
		return "MTA-STS policy" + of + ", which could not be had", ""
	}
	for _, line := range p.Strings {
		key, mode, _ := strings.Cut(line, ":")
		if key != "mode" {
			continue
		}
		switch mode = strings.TrimSpace(mode); mode {
		case "enforce":
			return "MTA-STS policy" + of + ", mode " + mode, "Mail is held back from hosts that fail."
		case "testing":
			return "MTA-STS policy" + of + ", mode " + mode, "Mail goes through all the same while the mode is testing."
		case "none":
			return "MTA-STS policy" + of + ", mode " + mode, ""
		}
	}
	return "MTA-STS policy" + of, ""
}

// words tells the sums.
func (s Summary) words() string {
	good, bad := number(s.Successful), number(s.Failed)
	switch {
	case s == Summary{}:
		return "There were no sessions."
	case s.Failed == 0 && s.Successful == 1:
		return "The only session succeeded."
	case s.Failed == 0:
		return "All " + good + " sessions succeeded."
	case s.Successful == 0 && s.Failed == 1:
		return "The only session failed."
	case s.Successful == 0:
		return "All " + bad + " sessions failed."
	}
	share := 100 * float64(s.Failed) / (float64(s.Failed) + float64(s.Successful))
	return fmt.Sprintf("%s failed, %s succeeded (%s %% failed).", plural(s.Failed, "session", "sessions"), good, percent(share))
}

// percent never rounds something to nothing, or to all.
func percent(share float64) string {
	switch {
	case share < 0.1:
		return "less than 0.1"
	case share > 99.9:
		return "more than 99.9"
	}
	return strconv.FormatFloat(share, 'f', 1, 64)
}

// shownName returns a name of DNS, or "" for what is none.
func shownName(name string) string {
	name, err := dnsname.Host(name)
	if err != nil {
		return ""
	}
	return name
}

func plural(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return number(n) + " " + many
}

// number writes thousands apart: 1,234,567.
func number(n int64) string {
	digits := strconv.FormatInt(n, 10)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
