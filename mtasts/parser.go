package mtasts

import (
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/strictmx/strictmx/internal/dnsname"
	"github.com/strictmx/strictmx/internal/tagvalue"
	"github.com/strictmx/strictmx/tlsrpt"
)

const (
	policyVersion = "STSv1"
	byteOrderMark = "\uFEFF"
)

// parser holds what is known of a policy while its lines are read.
type parser struct {
	policy Policy // its MX and Problems are still below
	whole  bool   // the policy keeps the whole text, and may point into it

	version, maxAge bool // seen; the mode is seen when there is one
	mx              []string
	skippedMX       bool
	badMX           *ParseError // the first one
	problems        []Problem
	moreProblems    int
}

func (p *parser) parse(text string) error {
	// One allocation of the right size for all but odd texts.
	p.mx = make([]string, 0, min(strings.Count(text, "mx:"), maxMX))
	rest, marked := strings.CutPrefix(text, byteOrderMark)
	if marked {
		p.problem(1, tlsrpt.ReasonByteOrderMark, "")
	}
	for n := 1; rest != ""; n++ {
		// LF or CRLF, mixed at will, and the last is optional (RFC 8461, section
		// 3.2 and erratum 6253). A CR anywhere else is part of a value, where none
		// may be.
		line, after, ok := strings.Cut(rest, "\n")
		if ok {
			line = strings.TrimSuffix(line, "\r")
		}
		rest = after
		if err := p.line(n, line); err != nil {
			return err
		}
	}
	return p.missing(text)
}

// line takes one line into the policy, or leaves a problem. It fails where the
// policy cannot be used at all.
func (p *parser) line(n int, line string) error {
	body := tagvalue.TrimRight(tagvalue.TrimLeft(line))
	if body == "" {
		p.problem(n, tlsrpt.ReasonBlankLine, "")
		return nil
	}
	key, value, ok := strings.Cut(body, ":")
	if !ok {
		p.problem(n, tlsrpt.ReasonBadLine, line)
		return nil
	}
	name := tagvalue.TrimRight(key)
	value = tagvalue.TrimLeft(value)
	if !tagvalue.Name(name) {
		p.problem(n, tlsrpt.ReasonBadLine, line)
		return nil
	}
	if line[0] == ' ' || line[0] == '\t' {
		p.problem(n, tlsrpt.ReasonIndentedLine, line)
	}
	if len(name) != len(key) {
		p.problem(n, tlsrpt.ReasonBlankBeforeColon, line)
	}
	switch name {
	case "version":
		return p.takeVersion(n, line, value)
	case "mode":
		return p.takeMode(n, line, value)
	case "max_age":
		return p.takeMaxAge(n, line, value)
	case "mx":
		p.takeMX(n, line, value)
	default:
		p.takeExtension(n, line, name, value)
	}
	return nil
}

func (p *parser) takeVersion(n int, line, value string) error {
	if p.version {
		p.problem(n, tlsrpt.ReasonDuplicateField, line)
		return nil
	}
	if value != policyVersion {
		return lineError(n, tlsrpt.ReasonBadVersion, line)
	}
	p.version = true
	return nil
}

func (p *parser) takeMode(n int, line, value string) error {
	if p.policy.Mode != "" {
		p.problem(n, tlsrpt.ReasonDuplicateField, line)
		return nil
	}
	switch value {
	case string(ModeEnforce):
		p.policy.Mode = ModeEnforce
	case string(ModeTesting):
		p.policy.Mode = ModeTesting
	case string(ModeNone):
		p.policy.Mode = ModeNone
	default:
		return lineError(n, tlsrpt.ReasonBadMode, line)
	}
	return nil
}

func (p *parser) takeMaxAge(n int, line, value string) error {
	if p.maxAge {
		p.problem(n, tlsrpt.ReasonDuplicateField, line)
		return nil
	}
	if value == "" || len(value) > 10 { // 1*10(DIGIT)
		return lineError(n, tlsrpt.ReasonBadMaxAge, line)
	}
	var seconds time.Duration
	for i := 0; i < len(value); i++ {
		if value[i] < '0' || value[i] > '9' {
			return lineError(n, tlsrpt.ReasonBadMaxAge, line)
		}
		seconds = 10*seconds + time.Duration(value[i]-'0')
	}
	if seconds > maxMaxAge/time.Second {
		// The grammar allows more digits than the maximum has (erratum 7282), and
		// to refuse the policy would leave the mail unprotected (AMB-12).
		p.problem(n, tlsrpt.ReasonMaxAgeCapped, line)
		seconds = maxMaxAge / time.Second
	}
	p.maxAge = true
	p.policy.MaxAge = seconds * time.Second
	return nil
}

func (p *parser) takeMX(n int, line, value string) {
	switch {
	case !isPattern(value):
		if p.badMX == nil {
			p.badMX = lineError(n, tlsrpt.ReasonBadMX, line)
		}
		p.problem(n, tlsrpt.ReasonBadMX, line)
		return
	case len(p.mx) == maxMX:
		if !p.skippedMX {
			p.skippedMX = true
			p.problem(n, tlsrpt.ReasonTooManyMX, line)
		}
		return
	case isAddress(value):
		p.problem(n, tlsrpt.ReasonAddress, line)
	}
	p.mx = append(p.mx, p.own(dnsname.Lower(value), value))
}

func (p *parser) takeExtension(n int, line, name, value string) {
	ext := p.policy.Extensions
	switch {
	case slices.ContainsFunc(ext, func(e Extension) bool { return e.Name == name }):
		p.problem(n, tlsrpt.ReasonDuplicateField, line)
	case !isExtensionValue(value):
		p.problem(n, tlsrpt.ReasonBadLine, line)
	case len(ext) == maxExtensions:
		p.problem(n, tlsrpt.ReasonTooManyExtensions, line)
	default:
		p.policy.Extensions = append(ext, Extension{Name: p.own(name, name), Value: p.own(value, value)})
	}
}

// missing says what the lines did not: nil when they made a policy.
func (p *parser) missing(text string) error {
	switch {
	case !p.version:
		start := strings.TrimLeft(strings.TrimPrefix(text, byteOrderMark), " \t\r\n")
		first, _, _ := strings.Cut(start, "\n")
		return &ParseError{Reason: instead(start), Text: strings.Clone(clean(strings.TrimSuffix(first, "\r")))}
	case p.policy.Mode == "":
		return &ParseError{Reason: tlsrpt.ReasonMissingMode}
	case !p.maxAge:
		return &ParseError{Reason: tlsrpt.ReasonMissingMaxAge}
	case len(p.mx) > 0 || p.policy.Mode == ModeNone: // RFC 8461, section 3.2
		return nil
	case p.badMX != nil:
		return p.badMX
	}
	return &ParseError{Reason: tlsrpt.ReasonMissingMX}
}

// instead names what is served where a text without a version line is not even
// meant to be a policy, by its first bytes that are no blanks.
func instead(start string) string {
	switch {
	case start == "":
		return tlsrpt.ReasonEmptyPolicy
	case strings.HasPrefix(start, "\xFF\xFE"), strings.HasPrefix(start, "\xFE\xFF"), // its byte order marks
		strings.IndexByte(start[:min(2, len(start))], 0) >= 0:
		return tlsrpt.ReasonUTF16
	case start[0] == '<':
		return tlsrpt.ReasonHTML
	case start[0] == '{', start[0] == '[':
		return tlsrpt.ReasonJSON
	}
	return tlsrpt.ReasonMissingVersion
}

// own returns s, which may be part of the text, as something the policy may keep.
// It is a copy unless the whole text is kept, or s is a copy of from already.
func (p *parser) own(s, from string) string {
	if p.whole || s != from {
		return s
	}
	return strings.Clone(s)
}

// problem notes that something was skipped. A text of nothing but problems costs
// no more than one with a few.
func (p *parser) problem(n int, reason, line string) {
	if len(p.problems) == maxProblems {
		p.moreProblems++
		return
	}
	shown := clean(line)
	if !p.whole {
		shown = strings.Clone(shown)
	}
	p.problems = append(p.problems, Problem{Line: n, Reason: reason, Text: shown})
}

func (p *parser) finalProblems() []Problem {
	if p.moreProblems == 0 {
		return p.problems
	}
	return append(p.problems, Problem{Reason: tlsrpt.ReasonMoreProblems, Text: strconv.Itoa(p.moreProblems) + " more"})
}

func lineError(n int, reason, line string) *ParseError {
	return &ParseError{Line: n, Reason: reason, Text: strings.Clone(clean(line))}
}

// isExtensionValue: printable ASCII or UTF-8, blanks inside only (RFC 8461,
// section 3.2). The blanks around it are gone already.
func isExtensionValue(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] == 0x7f {
			return false
		}
	}
	return s != "" && utf8.ValidString(s)
}
