package tlsrpt

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// escape takes what follows a backslash in a string, and the escapes that
// belong to it: a character outside the first plane is written as two halves.
// A half alone is no character (RFC 7493, section 2.1) and becomes U+FFFD.
func (s *scanner) escape(limit int) {
	var half rune
	for s.err == nil {
		r := s.escaped()
		if half != 0 {
			if both := utf16.DecodeRune(half, r); both != utf8.RuneError {
				s.put(both, limit)
				return
			}
			s.put(half, limit)
			half = 0
		}
		if !utf16.IsSurrogate(r) || s.at() != '\\' {
			s.put(r, limit)
			return
		}
		s.pos++
		half = r
	}
}

// put appends a character to the text, if that fits.
func (s *scanner) put(r rune, limit int) {
	if len(s.text) < limit {
		s.text = utf8.AppendRune(s.text, r) // U+FFFD for a half
	}
}

// escaped takes what one escape stands for: a character, or half of one.
func (s *scanner) escaped() rune {
	const short, meaning = `"\/bfnrt`, "\"\\/\b\f\n\r\t"
	c := s.at()
	if c == 'u' {
		s.pos++
		return s.hex()
	}
	i := strings.IndexByte(short, c)
	if i < 0 {
		s.fail("an escape in a string is none of JSON")
		return 0
	}
	s.pos++
	return rune(meaning[i])
}

func (s *scanner) hex() (r rune) {
	for range 4 {
		digit := hexValue(s.at())
		if digit < 0 {
			s.fail("an escape in a string has no four hexadecimal digits")
			return 0
		}
		r = r<<4 | rune(digit)
		s.pos++
	}
	return r
}
