package tlsrpt

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/strictmx/strictmx/internal/tagvalue"
)

const (
	recordVersion = "v=TLSRPTv1" // RFC 8460, section 3: case-sensitive, the first field
	maxURIs       = 4            // R17; a report goes to every one of them
	maxExtensions = 64           // more are checked, but not kept
	maxProblems   = 16           // more are counted, but not kept
)

// Record is the TXT record at "_smtp._tls." that says who wants reports about a
// domain (RFC 8460, section 3).
type Record struct {
	// RUA are the URIs that reports go to, each of the form "mailto:..." or
	// "https://...", normalised: at most four, all rua fields together, in the
	// order published and without duplicates. [Mailbox] reads those of mailto.
	// A record without any asks for nothing.
	RUA []string
	// Extensions are the fields that RFC 8460 does not define, at most 64.
	Extensions []Extension
	// Problems say what was skipped, and why; empty for a clean record.
	Problems []Problem
}

// Extension is a field that RFC 8460 does not define.
type Extension struct{ Name, Value string }

// Problem is something in a record that was skipped, and why: the record counts
// without it, and its owner would like to know. [Advice] tells what to do about
// the reason.
//
// The reasons are:
//
//	bad-uri             this is no URI
//	exclamation-mark    the URI holds a "!", such as the size limits of DMARC
//	uri-scheme          the URI is neither mailto nor https
//	bad-mailbox         what follows mailto: is no address that mail can be sent to
//	bad-endpoint        the https URI has no public DNS name as its host, a port
//	                    other than 443, a user, a fragment, or over 1 KiB
//	duplicate-uri       the URI was there before
//	too-many-uris       there were four good ones before
//	more-problems       the list was cut; the text is how many are not shown
//
// and, of a Record that [Lookup] returns without any URI, those of a
// [RecordError] and
//
//	tlsrpt-missing      there is no record, or the name is one that can have none
//	tlsrpt-multiple     there is more than one record
type Problem struct {
	Text   string // what it is about, cleaned and cut; for display alone
	Reason string // of the form [a-z0-9-]{1,64}
}

// RecordError says why a TXT string is no record at all. The reasons are:
//
//	tlsrpt-invalid      a field is not of the form name=value, or the version is
//	                    not v=TLSRPTv1
//	missing-rua         there is no rua
type RecordError Problem

// Error is one line of printable ASCII.
func (e *RecordError) Error() string {
	return "tlsrpt: " + e.Reason + ": " + strconv.QuoteToASCII(e.Text)
}

// ParseRecord parses the text of one TXT record, its character-strings joined. An
// error, a [*RecordError], says that it is no record: a field is malformed, or
// there is no rua. A URI that is no good is skipped, whatever stands beside
// it, and noted in Problems; so a Record may come without any RUA.
func ParseRecord(txt string) (Record, error) {
	var r Record
	more, seen := 0, false
	s := tagvalue.Scan(txt, recordVersion)
	for {
		name, value, ok := s.Next()
		if !ok {
			break
		}
		switch {
		case name == "rua": // may occur more than once (AMB-34)
			seen = true
			more += r.addURIs(value)
		case !tagvalue.Name(name) || !tagvalue.Value(value):
			return Record{}, recordError(ReasonTLSRPTInvalid, txt)
		case len(r.Extensions) < maxExtensions:
			r.Extensions = append(r.Extensions, Extension{Name: strings.Clone(name), Value: strings.Clone(value)})
		}
	}
	switch {
	case s.Err() != nil:
		return Record{}, recordError(ReasonTLSRPTInvalid, txt)
	case !seen:
		return Record{}, recordError(ReasonMissingRUA, txt)
	}
	if more > 0 {
		r.Problems = append(r.Problems, Problem{Text: strconv.Itoa(more), Reason: ReasonMoreProblems})
	}
	return r, nil
}

// addURIs adds the URIs of one rua field, and returns how many problems there was
// no room for.
func (r *Record) addURIs(list string) (more int) {
	// Blanks may stand around the comma, and nowhere else (RFC 8460, section 3).
	for text := range strings.SplitSeq(list, ",") {
		text = tagvalue.TrimLeft(tagvalue.TrimRight(text))
		uri, reason := "", ReasonTooManyURIs
		if len(r.RUA) < maxURIs {
			uri, reason = parseURI(text)
			for _, other := range r.RUA {
				if reason == "" && other == uri {
					reason = ReasonDuplicateURI
				}
			}
		}
		switch {
		case reason == "":
			r.RUA = append(r.RUA, uri)
		case len(r.Problems) < maxProblems:
			r.Problems = append(r.Problems, Problem{Text: strings.Clone(cleanText(text)), Reason: reason})
		default:
			more++
		}
	}
	return more
}

// String returns the record in its plainest form: the version and one rua,
// without blanks and without what is unknown. It parses to the same RUA. A
// record without RUA is "".
func (r Record) String() string {
	if len(r.RUA) == 0 {
		return ""
	}
	return recordVersion + ";rua=" + strings.Join(r.RUA, ",")
}

func recordError(reason, txt string) error {
	return &RecordError{Text: strings.Clone(cleanText(txt)), Reason: reason}
}

const maxForeignText = 128 // R16

// cleanText makes a foreign text fit to show: printable ASCII, a "?" for each
// character of another kind, cut at 128. A text that is fit already is not
// copied.
func cleanText(s string) string {
	n := 0
	for n < min(len(s), maxForeignText) && ' ' <= s[n] && s[n] <= '~' {
		n++
	}
	if n == len(s) || n == maxForeignText {
		return s[:n]
	}
	b := append(make([]byte, 0, maxForeignText), s[:n]...)
	for s = s[n:]; s != "" && len(b) < maxForeignText; {
		r, size := utf8.DecodeRuneInString(s)
		if r < ' ' || r > '~' {
			r = '?'
		}
		b = append(b, byte(r))
		s = s[size:]
	}
	return string(b)
}
