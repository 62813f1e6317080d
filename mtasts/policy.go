package mtasts

import (
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/strictmx/strictmx/tlsrpt"
)

const (
	maxPolicyBytes = 64 << 10               // RFC 8461, section 3.3
	maxKeptBytes   = 8 << 10                // of the text, for reports: R11
	maxMX          = 1000                   // R11
	maxProblems    = 32                     // R11
	maxMaxAge      = 31557600 * time.Second // RFC 8461, section 3.2
)

// ParsePolicy parses the text of a policy (RFC 8461, section 3.2). The error is
// a [*ParseError].
//
// It is strict where the text decides something, and lenient elsewhere, since
// refusing a policy means to deliver unprotected: blank, indented and junk lines,
// a byte order mark and a malformed mx among good ones leave a [Problem], and
// what is left of the policy is used. Nothing that is skipped or repaired ever
// names another host or lowers the mode. Of two lines with one key the first
// counts, and the other is not looked at.
func ParsePolicy(text string) (*Policy, error) {
	if len(text) <= maxKeptBytes {
		// A copy, so that the policy holds on to nothing but what it keeps.
		text = strings.Clone(text)
	}
	return parsePolicy(text)
}

// parsePolicy parses a text that is the policy's to keep, if it is short enough
// to be kept as a whole: then all that is cut from it costs no memory of its own.
func parsePolicy(text string) (*Policy, error) {
	if len(text) > maxPolicyBytes {
		return nil, &ParseError{Reason: tlsrpt.ReasonPolicyTooLarge}
	}
	p := parser{whole: len(text) <= maxKeptBytes}
	if err := p.parse(text); err != nil {
		return nil, err
	}
	policy := p.policy
	policy.MX = compact(p.mx)
	policy.Extensions = compact(policy.Extensions)
	policy.Problems = compact(p.finalProblems())
	policy.text = text
	if !p.whole {
		policy.text = strings.Clone(cutText(text))
	}
	return &policy, nil
}

// Lines returns the policy as served, line by line without the terminators, for
// the policy-string of a report (RFC 8460, section 4.5): lines that we skip, too,
// and at most the first 8 KiB. Bytes that are no UTF-8 are replaced. A policy that
// was not parsed gives the lines of String.
func (p *Policy) Lines() []string {
	if p.text == "" {
		return servedLines(p.String())
	}
	return servedLines(p.text)
}

// String returns the policy in its canonical text: it parses to the same policy,
// without the problems.
func (p *Policy) String() string {
	text := p.print(": ")
	if len(text) > maxPolicyBytes {
		// It came from a text without blanks, and that is how it fits again.
		text = strings.TrimSuffix(p.print(":"), "\n")
	}
	return text
}

func (p *Policy) print(colon string) string {
	var b strings.Builder
	line := func(key, value string) {
		b.WriteString(key)
		b.WriteString(colon)
		b.WriteString(value)
		b.WriteByte('\n')
	}
	line("version", policyVersion)
	line("mode", string(p.Mode))
	for _, mx := range p.MX {
		line("mx", mx)
	}
	line("max_age", strconv.FormatInt(int64(p.MaxAge/time.Second), 10))
	for _, e := range p.Extensions {
		line(e.Name, e.Value)
	}
	return b.String()
}

// LogValue shows what an operator wants to know, in bounded size.
func (p *Policy) LogValue() slog.Value {
	const shown = 8
	if p == nil {
		return slog.StringValue("none")
	}
	attrs := []slog.Attr{
		slog.String("mode", string(p.Mode)),
		slog.Any("mx", p.MX[:min(len(p.MX), shown)]),
		slog.Duration("max_age", p.MaxAge),
	}
	if more := len(p.MX) - shown; more > 0 {
		attrs = append(attrs, slog.Int("more_mx", more))
	}
	if len(p.Problems) > 0 {
		attrs = append(attrs, slog.Int("problems", len(p.Problems)))
	}
	return slog.GroupValue(attrs...)
}

// weakens reports whether putting next in the place of old gives up something
// that old protected: a lower mode, or other MX hosts, be they more or fewer
// (R29).
func weakens(old, next *Policy) bool {
	if old == nil || old.Mode == ModeNone {
		return false
	}
	return strength(next.Mode) < strength(old.Mode) || !sameSet(old.MX, next.MX)
}

func strength(m Mode) int {
	switch m {
	case ModeEnforce:
		return 2
	case ModeTesting:
		return 1
	}
	return 0
}

func sameSet(a, b []string) bool {
	if slices.Equal(a, b) {
		return true
	}
	return slices.Equal(sortedSet(a), sortedSet(b))
}

func sortedSet(s []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(s)))
}

// servedLines splits a text as served, policy or not, into the lines that a report
// may hold. The last terminator ends a line and begins none.
func servedLines(text string) []string {
	if len(text) > maxKeptBytes {
		text = strings.Clone(cutText(text))
	}
	if text == "" {
		return nil
	}
	lines := make([]string, 0, strings.Count(text, "\n")+1)
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		line = strings.TrimSuffix(line, "\r")
		lines = append(lines, strings.ToValidUTF8(line, "\uFFFD"))
	}
	return lines
}

// cutText cuts a text to what reports may hold, at the end of a line. The piece
// of a line that is longer by itself is better than nothing.
func cutText(text string) string {
	text = text[:maxKeptBytes]
	if i := strings.LastIndexByte(text, '\n'); i >= 0 {
		text = text[:i+1]
	}
	return text
}

// compact returns s without spare capacity, nil for none: a million policies are
// kept in memory.
func compact[T any](s []T) []T {
	switch len(s) {
	case 0:
		return nil
	case cap(s):
		return s
	}
	c := make([]T, len(s))
	copy(c, s)
	return c
}
