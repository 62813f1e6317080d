package collect

import (
	"strings"

	"github.com/strictmx/strictmx/tlsrpt"
)

// entry counts the sessions that one policy of a domain judged.
//
// The policy is kept as one string, since most of what a Collector holds are
// policies: a letter for its type, its domain unless that is the recipient
// domain, each line after a "\n" and each mx pattern after a NUL. What was
// cleaned has neither, so text and numbers together say what the policy was.
type entry struct {
	policy      string
	details     []tlsrpt.FailureDetail
	successful  int64
	failed      int64
	lines, mxes uint16
}

const (
	lineMark = '\n'
	mxMark   = '\x00'
)

// letterOf returns the letter of a policy type; 0 for one that is none.
func letterOf(t tlsrpt.PolicyType) byte {
	switch t {
	case tlsrpt.STS:
		return 's'
	case tlsrpt.TLSA:
		return 't'
	case tlsrpt.NoPolicyFound:
		return 'n'
	}
	return 0
}

func typeOf(letter byte) tlsrpt.PolicyType {
	switch letter {
	case 's':
		return tlsrpt.STS
	case 't':
		return tlsrpt.TLSA
	}
	return tlsrpt.NoPolicyFound
}

// holds reports whether e is the entry of p, whatever its pointer (RPT-50). It is
// false for a policy that needs cleaning. It does not allocate.
func (e *entry) holds(p *tlsrpt.Policy, domain string) bool {
	if int(e.lines) != len(p.Strings) || int(e.mxes) != len(p.MXHosts) || e.policy[0] != letterOf(p.Type) {
		return false
	}
	rest, ok := e.policy[1:], true
	if p.Domain != domain {
		if rest, ok = strings.CutPrefix(rest, p.Domain); !ok || p.Domain == "" {
			return false
		}
	}
	for _, line := range p.Strings {
		if rest, ok = cutMarked(rest, lineMark, line); !ok {
			return false
		}
	}
	for _, mx := range p.MXHosts {
		if rest, ok = cutMarked(rest, mxMark, mx); !ok {
			return false
		}
	}
	return rest == ""
}

func cutMarked(s string, mark byte, text string) (rest string, ok bool) {
	if len(s) == 0 || s[0] != mark {
		return "", false
	}
	return strings.CutPrefix(s[1:], text)
}

// newEntry makes the entry of a policy, as a report shows it.
func newEntry(p *tlsrpt.Policy, domain string) entry {
	clean := p.Clean()
	var b strings.Builder
	b.WriteByte(letterOf(clean.Type))
	if clean.Domain != domain {
		b.WriteString(clean.Domain)
	}
	for _, line := range clean.Strings {
		b.WriteByte(lineMark)
		b.WriteString(line)
	}
	for _, mx := range clean.MXHosts {
		b.WriteByte(mxMark)
		b.WriteString(mx)
	}
	return entry{
		policy: strings.Clone(b.String()), // to its size
		lines:  uint16(len(clean.Strings)), mxes: uint16(len(clean.MXHosts)),
	}
}

// bare is the entry where the policies of one type go for which there is no
// room (RPT-51): it tells the type and the domain alone.
func bare(letter byte) entry { return entry{policy: string(rune(letter))} }

// result is e as a report shows it.
func (e *entry) result(domain string) tlsrpt.PolicyResult {
	head, mxes, _ := strings.Cut(e.policy[1:], string(mxMark))
	name, lines, _ := strings.Cut(head, string(lineMark))
	if name == "" {
		name = domain
	}
	r := tlsrpt.PolicyResult{
		Policy:   tlsrpt.Policy{Type: typeOf(e.policy[0]), Domain: name},
		Summary:  tlsrpt.Summary{Successful: e.successful, Failed: e.failed},
		Failures: append([]tlsrpt.FailureDetail(nil), e.details...),
	}
	if e.lines > 0 {
		r.Policy.Strings = strings.Split(lines, string(lineMark))
	}
	if e.mxes > 0 {
		r.Policy.MXHosts = strings.Split(mxes, string(mxMark))
	}
	return r
}
