package tlsrpt

import (
	"bytes"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxPacked is how much is looked at of a string that may be a packed list.
const maxPacked = 16 << 10

// scalar takes a value and returns the text of a string or number. Anything
// else is nil, as if it were not there.
func (p *decoder) scalar(limit int) []byte {
	switch c := p.peek(); {
	case c == '"':
		return p.str(limit)
	case c == '-', isDigit(c):
		return p.number()
	}
	p.skip()
	return nil
}

// string takes a text. One that is the same as another is not copied.
func (p *decoder) string(same string) string {
	b := p.scalar(maxString)
	if string(b) == same {
		return same
	}
	return string(b)
}

// list takes strings, the first 100 of them. They may be longer than a string
// of a report, since it is not known yet whether they are packed lists.
func (p *decoder) list() []string {
	var list []string
	take := func() {
		if text := p.scalar(maxPacked); text != nil && len(list) < maxList {
			list = append(list, string(text))
		}
	}
	if p.peek() != '[' {
		take() // as in appendix B of the RFC
		return list
	}
	p.enter('[')
	for p.more() {
		take()
	}
	return list
}

// tidy brings the lists of a policy to their final form: nil where no string
// says anything. Only TLSA records are known to be packed; in a policy that was
// served, such a line is what was served.
func (p *Policy) tidy() {
	var lines []string
	for _, line := range p.Strings {
		if p.Type == TLSA {
			lines = addTLSA(lines, line)
		} else {
			lines = append(lines, short(line))
		}
	}
	if !slices.ContainsFunc(lines, func(s string) bool { return s != "" }) {
		lines = nil
	}
	p.Strings = lines
	var hosts []string
	for _, host := range p.MXHosts {
		if host != "" {
			hosts = append(hosts, short(host))
		}
	}
	p.MXHosts = hosts
}

// short cuts a text, and lets go of what it was cut from.
func short(text string) string {
	if len(text) <= maxString {
		return text
	}
	return strings.Clone(cut(text, maxString))
}

// addTLSA appends a record, or those that are packed in a string.
func addTLSA(list []string, text string) []string {
	packed, ok := unpack(text)
	if !ok && len(text) > maxString {
		text = short(text)
		packed, ok = unpack(text) // or it would be another text when read again
	}
	if !ok {
		packed = []string{text}
	}
	return append(list, packed[:min(len(packed), maxList-len(list))]...)
}

// unpack reads a list that was written as JSON into one string.
func unpack(text string) (list []string, ok bool) {
	const start = `["`
	if !strings.HasPrefix(text, start) || !strings.HasSuffix(text, `"]`) {
		return nil, false
	}
	s := scanner{buf: []byte(text), n: len(text)}
	s.enter('[')
	for s.more() {
		if s.peek() != '"' {
			return nil, false
		}
		one := string(s.str(maxString))
		if strings.HasPrefix(one, start) {
			return nil, false // no list of lists
		}
		list = append(list, one)
	}
	return list, s.err == nil && s.pos == s.n
}

// count takes a number of sessions, as a number or a string.
func (p *decoder) count() int64 {
	n, fault := parseCount(p.scalar(maxNumber))
	if fault != "" {
		p.fail(fault)
	}
	return n
}

// parseCount reads a number as JSON has it. Above [MaxCount] there is MaxCount.
func parseCount(b []byte) (n int64, fault string) {
	b = bytes.TrimSpace(b)
	outside := func(r rune) bool { return !strings.ContainsRune("0123456789+-.eE", r) }
	if len(b) == 0 {
		return 0, ""
	}
	f, err := strconv.ParseFloat(string(b), 64)
	switch {
	case f < 0:
		return 0, "a negative count"
	case bytes.ContainsFunc(b, outside), len(b) >= maxNumber, err != nil && f == 0:
		return 0, "no count"
	case f >= MaxCount: // and beyond the range of a float64
		return MaxCount, ""
	}
	return int64(f), "" // exact below 2^53
}

// time takes a time.
func (p *decoder) time() time.Time {
	t, ok := parseTime(string(p.scalar(maxString)))
	if !ok {
		p.fail("no date and time as in RFC 3339")
	}
	return t
}

// parseTime reads a time of RFC 3339, to the second. Without a zone it is UTC,
// and without a time it is midnight.
func parseTime(text string) (time.Time, bool) {
	text = strings.ToUpper(strings.TrimSpace(text))
	for _, layout := range [...]string{
		time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05Z07:00", time.DateTime, time.DateOnly,
	} {
		if t, err := time.Parse(layout, text); err == nil {
			t = t.UTC().Truncate(time.Second)
			return t, t.Year() >= 1 && t.Year() <= 9999 // the zone may lead out of what can be written
		}
	}
	return time.Time{}, false
}

// address is the last one that was read, and its text.
type address struct {
	text string
	ip   netip.Addr
}

// ip takes an address; zero for what is none.
func (p *decoder) ip(last *address) netip.Addr {
	b := p.scalar(maxString)
	if string(b) != last.text {
		last.text = string(b)
		last.ip = parseIP(last.text)
	}
	return last.ip
}

// parseIP reads an address, also as an address literal of SMTP.
func parseIP(text string) netip.Addr {
	text = strings.TrimSpace(text)
	if inner, ok := strings.CutPrefix(text, "["); ok {
		text = strings.TrimPrefix(strings.TrimSuffix(inner, "]"), "IPv6:")
	}
	ip, err := netip.ParseAddr(text)
	if err != nil || ip.Zone() != "" {
		return netip.Addr{}
	}
	return ip.Unmap()
}
