// Package tagvalue reads the grammar that two TXT records share: a version,
// then fields of the form name=value, each after a semicolon (RFC 8461,
// section 3.1; RFC 8460, section 3).
//
//	v=STSv1; id=20260417T000000
//	v=TLSRPTv1; rua=mailto:tls@example.com,https://example.com/tls
//
// The two differ in what a value may hold, so this package finds the fields
// and leaves their values to the caller.
package tagvalue

import (
	"errors"
	"strings"
)

var (
	// ErrNone says that no record is of the wanted version: there is nothing to
	// parse.
	ErrNone = errors.New("no record of this version")
	// ErrSeveral says that more than one record is: none of them counts.
	ErrSeveral = errors.New("more than one record of this version")
	// ErrVersion says that the record does not begin with the wanted version.
	ErrVersion = errors.New("the record does not begin with its version")
	// ErrField says that something between two semicolons is no name=value.
	ErrField = errors.New("not a field of the form name=value")
)

// Select returns the one record of a TXT RRset that is of the given version,
// such as "v=STSv1". It fails with [ErrNone] or [ErrSeveral]. The record may
// still be malformed.
//
// The RFCs contradict themselves about "v=STSv1 ;" (erratum 6285): the grammar
// allows the blank, but a record that does not begin with "v=STSv1;" is to be
// dropped where there are several. Both hold here: what stands alone is judged
// by the grammar, what stands among others by its first bytes (AMB-01).
func Select(txts []string, version string) (string, error) {
	if len(txts) == 1 {
		if rest, ok := strings.CutPrefix(txts[0], version); ok && (rest == "" || isDelimiter(rest[0])) {
			return txts[0], nil
		}
		return "", ErrNone
	}
	found := -1
	for i, txt := range txts {
		if rest, ok := strings.CutPrefix(txt, version); !ok || rest == "" || rest[0] != ';' {
			continue
		}
		if found >= 0 {
			return "", ErrSeveral
		}
		found = i
	}
	if found < 0 {
		return "", ErrNone
	}
	return txts[found], nil
}

// Scanner walks the fields of one record, in order, without an allocation.
type Scanner struct {
	rest string
	err  error
}

// Scan starts after the version, which must be the first thing in the record,
// byte for byte.
func Scan(record, version string) Scanner {
	rest, ok := strings.CutPrefix(record, version)
	if !ok || rest != "" && !isDelimiter(rest[0]) {
		return Scanner{err: ErrVersion}
	}
	return Scanner{rest: rest}
}

// Next returns the next field; ok is false at the end of the record and at the
// first error. The name is whatever stands before the first "=", the value
// what follows it; a field without "=" is an error.
func (s *Scanner) Next() (name, value string, ok bool) {
	if s.err != nil || s.rest == "" {
		return "", "", false
	}
	// *WSP ";" *WSP, and after the last field the ";" is what may end the record
	// (RFC 8461, section 3.1); a blank without it may not.
	rest := TrimLeft(s.rest)
	if rest == "" || rest[0] != ';' {
		return s.fail()
	}
	rest = TrimLeft(rest[1:])
	if rest == "" {
		s.rest = ""
		return "", "", false
	}
	end := strings.IndexByte(rest, ';')
	last := end < 0
	if last {
		end = len(rest)
	}
	field := TrimRight(rest[:end])
	eq := strings.IndexByte(field, '=')
	if eq < 0 || last && len(field) < end {
		return s.fail()
	}
	s.rest = rest[len(field):]
	return field[:eq], field[eq+1:], true
}

// Err returns the error that ended the walk: [ErrVersion], [ErrField] or nil.
func (s *Scanner) Err() error { return s.err }

func (s *Scanner) fail() (name, value string, ok bool) {
	s.err = ErrField
	return "", "", false
}

// Name reports whether s is well-formed as the name of a field that the RFCs
// do not define: a letter or digit, then up to 31 more of these, "_", "-" and
// ".". The lines of a policy have names of the same form (RFC 8461, section
// 3.2).
func Name(s string) bool {
	if s == "" || len(s) > 32 || !IsAlphanumeric(s[0]) {
		return false
	}
	for i := 1; i < len(s); i++ {
		if c := s[i]; !IsAlphanumeric(c) && c != '_' && c != '-' && c != '.' {
			return false
		}
	}
	return true
}

// Value reports whether s is well-formed as the value of such a field: printable
// ASCII but blank, "=" and ";", at least one.
func Value(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '=' || c == ';' {
			return false
		}
	}
	return s != ""
}

// Alphanumeric reports whether s holds 1 to limit ASCII letters and digits and
// nothing else.
func Alphanumeric(s string, limit int) bool {
	for i := 0; i < len(s); i++ {
		if !IsAlphanumeric(s[i]) {
			return false
		}
	}
	return s != "" && len(s) <= limit
}

// IsAlphanumeric reports whether c is a letter or digit of ASCII.
func IsAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

func isDelimiter(c byte) bool { return c == ';' || c == ' ' || c == '\t' }

// TrimLeft returns s without the blanks and tabs at its beginning.
func TrimLeft(s string) string {
	for s != "" && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	return s
}

// TrimRight returns s without the blanks and tabs at its end.
func TrimRight(s string) string {
	for s != "" && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}
