package tlsrpt

import (
	"strconv"
	"strings"
)

// ReportError says why something cannot be read as a report.
type ReportError struct {
	// Where names the member, such as
	// "policies[2].failure-details[0].failed-session-count"; "" for the whole.
	Where string
	// Offset counts the octets of JSON before the fault, after base64 and gzip.
	Offset int64
	Text   string // what is wrong, in our words
	Err    error  // the error of the reader, if it was that
}

// Error is one line of printable ASCII.
func (e *ReportError) Error() string {
	var b strings.Builder
	b.WriteString("report")
	if e.Where != "" {
		b.WriteString(", " + e.Where)
	}
	if e.Offset > 0 {
		b.WriteString(" (octet " + strconv.FormatInt(e.Offset, 10) + ")")
	}
	b.WriteString(": " + e.Text)
	if e.Err != nil {
		b.WriteString(": " + cleanText(e.Err.Error())) // it may hold what strangers wrote
	}
	return b.String()
}

// Unwrap returns the error of the reader.
func (e *ReportError) Unwrap() error { return e.Err }
