package tlsrpt

import (
	"bufio"
	"bytes"
	"io"
)

// What ParseReport takes, however much a stranger sends (R21).
const (
	maxInput    = 16 << 20 // octets of a file or mail; base64 makes 10 MiB into 14
	maxInflated = 10 << 20 // octets of JSON
	maxPolicies = 1000
	maxDetails  = 10000 // failure details of all policies
	maxList     = 100   // strings of one list
	maxString   = 1 << 10
	maxDepth    = 16
	maxParts    = 8 // MIME parts of a mail
)

// ParseReport reads a report: JSON, gzip, or a whole mail that carries one of
// both. It finds out by itself which.
//
// Senders differ, and what can be understood is taken: lists that are one
// string, counts that are strings, times without a zone (UTC), members that
// are missing, null, empty or unknown, result types that nobody registered, a
// set of TLSA records packed into one string. What is no address becomes the
// zero Addr. A count above [MaxCount] becomes that.
//
// Memory is bounded whatever comes. Of a list of strings the first 100 are
// kept, of a string the first 1,024 octets. Beyond 1,000 policies, 10,000
// failure details in all, 16 levels of nesting, 10 MiB of JSON, 16 MiB of input
// or 8 MIME parts there is an error, as there is for what is no JSON, for a
// negative count, and for a missing date-range or list of policies. The errors
// are of type [*ReportError].
//
// All of the texts are a stranger's words. They are valid UTF-8 and nothing
// more: never print them as they are. [Report.Text] does not.
func ParseReport(r io.Reader) (*Report, error) {
	in := bufio.NewReader(&limited{r: r, left: maxInput, text: "larger than 16 MiB"})
	switch start := sniff(in); {
	case start.json:
		return parseJSON(in)
	case start.gzip:
		return parseGzip(in)
	case start.fault != "":
		return nil, &ReportError{Text: start.fault}
	}
	return parseMail(in)
}

// start is what the first octets tell.
type start struct {
	json, gzip bool
	fault      string
}

// sniff looks at the first octets and takes only what is nothing: a byte order
// mark and blanks before JSON.
func sniff(in *bufio.Reader) start {
	for {
		head, err := in.Peek(4)
		switch {
		case len(head) == 0 && err == io.EOF:
			return start{fault: "empty"}
		case bytes.HasPrefix(head, []byte("\x1f\x8b")): // RFC 1952, section 2.3.1
			return start{gzip: true}
		case bytes.HasPrefix(head, []byte("PK\x03\x04")):
			return start{fault: "a zip archive: unpack it first"}
		case bytes.HasPrefix(head, []byte("\xff\xfe")), bytes.HasPrefix(head, []byte("\xfe\xff")):
			return start{fault: "a text in UTF-16: save it as UTF-8"}
		case bytes.HasPrefix(head, []byte("\xef\xbb\xbf")):
			in.Discard(3)
		case len(head) > 0 && isBlank(head[0]):
			head, _ = in.Peek(in.Buffered())
			n := 1
			for n < len(head) && isBlank(head[n]) {
				n++
			}
			in.Discard(n)
		default:
			return start{json: len(head) > 0 && (head[0] == '{' || head[0] == '[')}
		}
	}
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// limited ends with an error where there is more to read than allowed.
type limited struct {
	r    io.Reader
	left int64
	text string
}

func (l *limited) Read(b []byte) (int, error) {
	if l.left == 0 {
		var one [1]byte
		n, err := l.r.Read(one[:])
		if n > 0 {
			err = &ReportError{Text: l.text}
		}
		return 0, err
	}
	n, err := l.r.Read(b[:min(int64(len(b)), l.left)])
	l.left -= int64(n)
	return n, err
}
