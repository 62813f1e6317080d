package mtasts

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// ParseError says why a text is no policy, or a TXT string no record.
//
// Its reasons, and those of a [Problem], are the whole of this list. Of a
// record:
//
//	bad-record             a field is not of the form name=value, or the version is not v=STSv1
//	missing-id             there is no id
//	bad-id                 the id is not 1 to 32 ASCII letters and digits
//
// Of a text that is no policy:
//
//	empty-policy           there is nothing but blanks
//	policy-too-large       the text is over 64 KiB
//	utf-16, html, json     what is served instead of UTF-8 text with a "key: value" on each line
//	missing-version        there is no version line; keys are lower-case
//	missing-mode           there is no mode line
//	missing-max-age        there is no max_age line
//	missing-mx             there is no mx line, and the mode is not none
//	bad-version            the version is not STSv1
//	bad-mode               the mode is not enforce, testing or none
//	bad-max-age            max_age is not 1 to 10 digits
//	bad-mx                 none of the mx lines holds a host name, or "*." before one
//
// Of a policy that is used all the same:
//
//	bad-mx                 the value of this mx line is no host name; the line is skipped
//	bad-line               the line is no field; it is skipped
//	duplicate-field        the first line with this key counts, this one is skipped
//	too-many-mx            the mx lines after the first 1000 are skipped
//	too-many-extensions    the unknown fields after the first 64 are skipped
//	max-age-capped         max_age is over 31557600 and taken for that
//	mx-ip-address          the pattern has the shape of an IP address and matches no host
//	byte-order-mark        the text begins with one; it is skipped
//	blank-line             the line is empty; it is skipped
//	indented-line          there are blanks before the key; the line counts
//	blank-before-colon     there are blanks after the key; the line counts
//	more-problems          the list was cut; the text is how many are not shown
type ParseError struct {
	Line   int    // counted from 1 in the text as served; 0: the text as a whole
	Reason string // of the form [a-z0-9-]{1,64}
	Text   string // the line, cleaned and cut; for display alone
}

// Error is one line of printable ASCII.
func (e *ParseError) Error() string {
	b := make([]byte, 0, 64+2*len(e.Text))
	b = append(b, "mtasts: "...)
	if e.Line > 0 {
		b = append(b, "policy line "...)
		b = strconv.AppendInt(b, int64(e.Line), 10)
		b = append(b, ": "...)
	}
	b = append(b, e.Reason...)
	if e.Text != "" {
		b = append(b, ": "...)
		b = strconv.AppendQuoteToASCII(b, e.Text)
	}
	return string(b)
}

const maxForeignText = 128 // R16

// clean makes a foreign text fit to show: printable ASCII, a "?" for each
// character of another kind, cut at 128. A text that is fit already is not
// copied.
func clean(s string) string {
	if len(s) > maxForeignText && isPrintable(s[:maxForeignText]) {
		return s[:maxForeignText]
	}
	if isPrintable(s) {
		return s
	}
	b := make([]byte, 0, maxForeignText)
	for s != "" && len(b) < maxForeignText {
		r, n := utf8.DecodeRuneInString(s)
		s = s[n:]
		switch {
		case r == '\t':
			b = append(b, ' ')
		case ' ' <= r && r <= '~':
			b = append(b, byte(r))
		default:
			b = append(b, '?')
		}
	}
	return string(b)
}

func isPrintable(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) < 0
}
