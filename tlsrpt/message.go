package tlsrpt

import (
	"encoding/base64"
	"errors"
	"mime"
	"strings"
	"time"
	"unicode"

	"github.com/strictmx/strictmx/internal/dnsname"
)

// Message returns the mail that takes the report to one recipient, an address
// such as [Mailbox] returns: a multipart/report with the report in words and the
// report itself (RFC 8460, section 5.3), in ASCII with CRLF, ready for
// DATA but for one thing: it must be signed before it is sent, by the domain
// of Contact, with all of [SignedHeaders] and without "l=" (section 3). Receivers
// ignore reports that are not.
//
// Send it with a null envelope sender, past all policies of the recipient's
// domain (outbound.Envelope.Report): it may be about them.
//
// Message fails where to is no address, and for a report that could not be
// sent as it is, such as one that was read. Two calls differ in Date alone; the
// Message-ID belongs to the report and the recipient.
func (r *Report) Message(to string) ([]byte, error) {
	recipient, ok := parseAddrSpec(to)
	if !ok {
		return nil, errors.New("report: the recipient " + cleanText(to) + " is no address of the form local@domain")
	}
	if err := r.mailable(); err != nil {
		return nil, err
	}
	body, err := r.Gzip()
	if err != nil {
		return nil, err
	}
	left, right, _ := strings.Cut(r.ID, "@")
	m := mailWriter{boundary: "=_" + digest(r.ID)} // "=_" is in no line of base64 and of no text of ours
	m.field("Date", time.Now().UTC().Format(time.RFC1123Z))
	m.field("From", append(displayName(r.Organization), "<"+r.Contact+">")...)
	m.field("To", recipient.address())
	m.field("Subject", r.subject()...)
	m.field("Message-ID", "<"+left+"."+digest(recipient.address())+"@"+right+">")
	m.field("TLS-Report-Domain", r.about())
	m.field("TLS-Report-Submitter", r.Submitter())
	m.field("TLS-Required", "No")               // RFC 8689, section 3: also for the hops after the next
	m.field("Auto-Submitted", "auto-generated") // RFC 3834, section 5.1
	m.field("MIME-Version", "1.0")
	m.field("Content-Type", "multipart/report;", `report-type="tlsrpt";`, `boundary="`+m.boundary+`"`)
	m.line("")
	m.line("This is a TLS report in MIME format (RFC 8460).")
	m.line("")
	m.words(r.Text() + "\nAn answer to this mail reaches whoever sends these reports.\n")
	m.attachment(r.Filename(), body)
	m.line("--" + m.boundary + "--")
	return m.b, nil
}

// mailable refuses a report whose headers would be false or malformed.
func (r *Report) mailable() error {
	contact, ok := parseAddrSpec(r.Contact)
	_, right, _ := strings.Cut(r.ID, "@")
	domain := r.about()
	switch {
	case !ok || contact.address() != r.Contact:
		return errors.New("report: contact-info is no address: a mail of it would have no sender")
	case domain == "" || domain != r.Domain || dnsname.Labels(domain) < 2:
		return errors.New("report: Domain is no name of two labels or more: a mail of it would have no TLS-Report-Domain")
	case !isReportID(r.ID) || right != contact.domain: // RFC 8460, section 5.3: they must match
		return errors.New("report: report-id is not of the form id@submitter: NewReport makes one")
	}
	return nil
}

// isReportID reports whether an ID can stand between angle brackets, as a msg-id
// (RFC 5322, section 3.6.4).
func isReportID(id string) bool {
	left, right, _ := strings.Cut(id, "@")
	host, ok := publicHost(right)
	return isDotAtom(left) && len(left) <= maxLocalPart && ok && host == right
}

// displayName returns the words of a name as a header has them: as they are, in
// quotes, or encoded (RFC 2047). No control character gets through.
func displayName(name string) []string {
	name = strings.ToValidUTF8(name, "\ufffd")
	name = strings.Join(strings.FieldsFunc(cut(name, maxOrganization), func(r rune) bool {
		return unicode.IsControl(r) || unicode.IsSpace(r)
	}), " ")
	if name == "" {
		return nil
	}
	if !dnsname.IsASCII(name) {
		// B, since Q may not hold "," and others here; in pieces, since a line
		// of them is shorter than others (RFC 2047, sections 2 and 5).
		var words []string
		for name != "" {
			piece := cut(name, 39)
			words = append(words, mime.BEncoding.Encode("utf-8", piece))
			name = name[len(piece):]
		}
		return words
	}
	if strings.ContainsAny(name, `()<>[]:;@\,."`) || strings.Contains(name, "=?") {
		name = quote(name)
	}
	return strings.Split(name, " ")
}

// mailWriter is a mail that is being written.
type mailWriter struct {
	b        []byte
	boundary string
}

func (m *mailWriter) line(s string) { m.b = append(append(m.b, s...), "\r\n"...) }

const maxLine = 76 // RFC 2047, section 2; for others it could be 78 (RFC 5322, section 2.1.1)

// field writes a header, folded between words where the line would be too long.
func (m *mailWriter) field(name string, words ...string) {
	line := name + ":"
	for i, w := range words {
		if i > 0 && len(line)+len(" ")+len(w) > maxLine { // never an empty first line
			m.line(line)
			line = ""
		}
		line += " " + w
	}
	m.line(line)
}

// words writes the part for people.
func (m *mailWriter) words(text string) {
	m.line("--" + m.boundary)
	m.field("Content-Type", "text/plain;", "charset=us-ascii")
	m.field("Content-Transfer-Encoding", "7bit")
	m.line("")
	for line := range strings.Lines(text) {
		m.line(strings.TrimSuffix(line, "\n"))
	}
}

// attachment writes the part for programs.
func (m *mailWriter) attachment(name string, body []byte) {
	m.line("--" + m.boundary)
	m.field("Content-Type", MediaType+";", `name="`+name+`"`)
	m.field("Content-Disposition", "attachment;", `filename="`+name+`"`)
	m.field("Content-Transfer-Encoding", "base64")
	m.line("")
	text := base64.StdEncoding.EncodeToString(body)
	for len(text) > 0 {
		n := min(len(text), 76) // RFC 2045, section 6.8
		m.line(text[:n])
		text = text[n:]
	}
}
