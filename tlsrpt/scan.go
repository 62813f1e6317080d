package tlsrpt

import (
	"errors"
	"io"
	"unicode/utf8"
)

const (
	scanWindow = 32 << 10 // octets of the input that are looked at together
	maxNumber  = 64       // octets of a number that are kept
)

// scanner takes JSON (RFC 8259) apart while it is read. It holds one window of
// the input and one string, whatever comes; its depth is a number, not a stack
// of calls. The first fault ends it: every method after that does nothing, and
// more is false.
type scanner struct {
	src    io.Reader // nil: what is in buf is all
	srcErr error     // came with the last octets
	buf    []byte
	pos, n int   // the next octet in buf, and how many there are
	base   int64 // octets of the input before buf

	open  [maxDepth]byte // the brackets that are open
	depth int
	first bool   // nothing was read since the last opening bracket
	text  []byte // the last string or number

	err *ReportError
}

// fail keeps the first fault and where it is.
func (s *scanner) fail(text string) {
	if s.err == nil {
		s.err = &ReportError{Offset: s.base + int64(s.pos), Text: text}
	}
}

// failed keeps an error of the reader beneath.
func (s *scanner) failed(err error) {
	if s.err != nil {
		return
	}
	if s.err, _ = errors.AsType[*ReportError](err); s.err == nil {
		s.err = &ReportError{Text: "cannot be read to its end", Err: err}
	}
	s.err.Offset = s.base + int64(s.pos)
}

// fill reads the next window. It is false at the end of the input.
func (s *scanner) fill() bool {
	if s.err != nil || s.src == nil {
		return false
	}
	s.base += int64(s.n)
	s.pos, s.n = 0, 0
	for range 100 { // as bufio: a reader that gives nothing is broken
		if s.srcErr != nil {
			break
		}
		if s.n, s.srcErr = s.src.Read(s.buf); s.n > 0 {
			return true
		}
	}
	if s.srcErr == nil {
		s.srcErr = io.ErrNoProgress
	}
	if s.srcErr != io.EOF {
		s.failed(s.srcErr)
	}
	return false
}

// at returns the next octet without taking it; 0 at the end, and for a NUL,
// which JSON has nowhere.
func (s *scanner) at() byte {
	if s.pos == s.n && !s.fill() {
		return 0
	}
	return s.buf[s.pos]
}

// peek is at after blanks.
func (s *scanner) peek() byte {
	for {
		switch c := s.at(); c {
		case ' ', '\t', '\r', '\n':
			s.pos++
		default:
			return c
		}
	}
}

// enter opens an object or an array.
func (s *scanner) enter(bracket byte) {
	if s.depth == maxDepth {
		s.fail("nested deeper than 16 levels")
	}
	if s.err != nil {
		return
	}
	s.pos++
	s.open[s.depth] = bracket
	s.depth++
	s.first = true
}

// more reports whether another element or member follows, and takes the comma
// before it or the bracket at the end.
func (s *scanner) more() bool {
	if s.err != nil {
		return false
	}
	c := s.peek()
	switch {
	case c == s.open[s.depth-1]+2: // "]" and "}" stand two after "[" and "{"
		s.pos++
		s.depth--
		s.first = false
		return false
	case s.first:
		s.first = false
	case c == ',':
		s.pos++
	default:
		s.fail("a comma or a closing bracket is missing")
	}
	return s.err == nil
}

// key takes the name of a member and the colon after it. The name is good until
// the next call.
func (s *scanner) key() []byte {
	if s.peek() != '"' {
		s.fail("the name of a member is missing")
		return nil
	}
	name := s.str(maxString)
	if s.peek() != ':' {
		s.fail("the colon after the name of a member is missing")
		return nil
	}
	s.pos++
	return name
}

// skip takes one value, whatever it is.
func (s *scanner) skip() {
	floor := s.depth
	s.value()
	for s.err == nil && s.depth > floor {
		if !s.more() {
			continue
		}
		if s.open[s.depth-1] == '{' {
			s.key()
		}
		s.value()
	}
}

// value takes a value that is no object or array, or opens it.
func (s *scanner) value() {
	switch c := s.peek(); {
	case c == '{', c == '[':
		s.enter(c)
	case c == '"':
		s.str(0)
	case c == 't':
		s.word("true")
	case c == 'f':
		s.word("false")
	case c == 'n':
		s.word("null")
	case c == '-', isDigit(c):
		s.number()
	default:
		s.fail("a value is missing, or is none of JSON")
	}
}

func (s *scanner) word(w string) {
	for i := range len(w) {
		if s.at() != w[i] {
			s.fail("a value is none of JSON")
			return
		}
		s.pos++
	}
}

// number takes a number. Its text is good until the next call.
func (s *scanner) number() []byte {
	s.text = s.text[:0]
	if s.at() == '-' {
		s.take()
	}
	if s.at() == '0' {
		s.take() // and no digit after it
	} else {
		s.digits()
	}
	if s.at() == '.' {
		s.take()
		s.digits()
	}
	if c := s.at(); c == 'e' || c == 'E' {
		s.take()
		if c := s.at(); c == '+' || c == '-' {
			s.take()
		}
		s.digits()
	}
	return s.text
}

// digits takes one digit or more.
func (s *scanner) digits() {
	if !isDigit(s.at()) {
		s.fail("a number without digits")
	}
	for isDigit(s.at()) {
		s.take()
	}
}

func (s *scanner) take() {
	s.keep(s.buf[s.pos:s.pos+1], maxNumber)
	s.pos++
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// str takes a string and returns at most limit octets of it, cut between
// characters. What is not UTF-8 becomes U+FFFD. The text is good until the next
// call.
func (s *scanner) str(limit int) []byte {
	s.pos++
	s.text = s.text[:0]
	for s.err == nil {
		w := s.buf[s.pos:s.n]
		i := 0
		for i < len(w) && w[i] >= ' ' && w[i] != '"' && w[i] != '\\' {
			i++
		}
		s.keep(w[:i], limit+utf8.UTFMax)
		s.pos += i
		switch {
		case i == len(w):
			if !s.fill() {
				s.fail("a string without an end")
			}
		case w[i] == '"':
			s.pos++
			s.text = cut(valid(s.text), limit)
			return s.text
		case w[i] == '\\':
			s.pos++
			s.escape(limit + utf8.UTFMax)
		default:
			s.fail("a control character in a string")
		}
	}
	return nil
}

// keep appends to the text what fits into the limit.
func (s *scanner) keep(b []byte, limit int) {
	s.text = append(s.text, b[:min(len(b), max(0, limit-len(s.text)))]...)
}

// valid replaces each octet that is not part of a character.
func valid(b []byte) []byte {
	if utf8.Valid(b) {
		return b
	}
	out := make([]byte, 0, len(b)+2*utf8.UTFMax)
	for _, r := range string(b) {
		out = utf8.AppendRune(out, r)
	}
	return out
}

// cut returns at most limit octets of valid UTF-8.
func cut[T string | []byte](text T, limit int) T {
	if len(text) <= limit {
		return text
	}
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return text[:limit]
}
