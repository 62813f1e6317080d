package tlsrpt

import (
	"bufio"
	"encoding/base64"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"net/textproto"
	"strings"

	"github.com/strictmx/strictmx/internal/dnsname"
)

const (
	maxHeader  = 1 << 20 // octets of the header of a mail
	maxNesting = 4       // multiparts and mails within each other
)

// parseMail finds the report in a mail and reads it (RFC 8460, section 5.3).
// Nothing is believed of how the parts are labelled where they can be looked at.
func parseMail(in *bufio.Reader) (*Report, error) {
	skipEnvelope(in)
	header := &limited{r: in, left: maxHeader, text: "no report: neither JSON nor gzip nor a mail"}
	m, err := mail.ReadMessage(header)
	if err != nil {
		return nil, reportError("no report: neither JSON nor gzip nor a mail", err)
	}
	header.left = maxInput
	w := walker{domain: m.Header.Get("TLS-Report-Domain")}
	w.visit(part{textproto.MIMEHeader(m.Header), m.Body})
	for len(w.open) > 0 && w.report == nil && w.err == nil {
		w.next()
	}
	switch {
	case w.err != nil:
		return nil, w.err
	case w.report == nil && w.fault != nil:
		return nil, w.fault
	case w.report == nil:
		return nil, &ReportError{Text: "a mail without a report in it"}
	}
	if domain, err := dnsname.Domain(w.domain); err == nil {
		w.report.Domain = domain
	}
	return w.report, nil
}

// skipEnvelope drops the line that mailbox files begin with.
func skipEnvelope(in *bufio.Reader) {
	if head, _ := in.Peek(len("From ")); string(head) != "From " {
		return
	}
	for {
		if _, err := in.ReadSlice('\n'); err != bufio.ErrBufferFull {
			return
		}
	}
}

// part is a mail or one part of one: something with a header.
type part struct {
	header textproto.MIMEHeader
	body   io.Reader
}

// walker looks through a mail for the first part that is a report.
type walker struct {
	open   []*multipart.Reader // within each other
	mails  int                 // within each other
	parts  int
	domain string // what a header says that the report is about

	report *Report
	fault  error // why the first part that might have been a report is none
	err    error
}

// next visits the next part of the innermost multipart.
func (w *walker) next() {
	last := len(w.open) - 1
	p, err := w.open[last].NextRawPart()
	switch {
	case err == io.EOF:
		w.open = w.open[:last]
	case err != nil:
		w.err = reportError("a mail that is damaged or cut", err)
	case w.parts == maxParts:
		w.err = &ReportError{Text: "a mail with more than 8 parts"}
	default:
		w.parts++
		w.visit(part{p.Header, p})
	}
}

// visit opens a part that has parts, and reads one that is a report.
func (w *walker) visit(p part) {
	kind, params := mediaType(p.header.Get("Content-Type"))
	_, disposition := mediaType(p.header.Get("Content-Disposition"))
	name := strings.ToLower(disposition["filename"] + " " + params["name"])
	switch {
	case strings.HasPrefix(kind, "multipart/"):
		if len(w.open) < maxNesting && params["boundary"] != "" {
			w.open = append(w.open, multipart.NewReader(p.body, params["boundary"]))
		}
	case kind == "message/rfc822":
		w.forwarded(p)
	case strings.HasPrefix(kind, "text/") && !strings.Contains(name, ".json"), kind == "" && name == " ":
		// for people
	default:
		w.read(p, strings.HasPrefix(kind, "application/tlsrpt"))
	}
}

// forwarded visits a mail within a mail.
func (w *walker) forwarded(p part) {
	if w.mails++; w.mails > maxNesting {
		return
	}
	header := &limited{r: decoded(p), left: maxHeader, text: "a header of more than 1 MiB"}
	m, err := mail.ReadMessage(header)
	if err != nil {
		return
	}
	header.left = maxInput
	if domain := m.Header.Get("TLS-Report-Domain"); domain != "" {
		w.domain = domain
	}
	w.visit(part{textproto.MIMEHeader(m.Header), m.Body})
}

// read reads a part that may be a report by its content. Only a part that says
// that it is one, and is none, ends the search.
func (w *walker) read(p part, says bool) {
	in := bufio.NewReader(decoded(p))
	var err error
	switch start := sniff(in); {
	case start.gzip:
		w.report, err = parseGzip(in)
	case start.json:
		w.report, err = parseJSON(in)
	case says:
		err = &ReportError{Text: "the part of the mail that should be the report is neither JSON nor gzip"}
	}
	switch {
	case says:
		w.err = err
	case w.fault == nil:
		w.fault = err
	}
}

// decoded undoes the transfer encoding (RFC 2045, section 6).
func decoded(p part) io.Reader {
	switch strings.ToLower(strings.TrimSpace(p.header.Get("Content-Transfer-Encoding"))) {
	case "base64":
		return base64.NewDecoder(base64.StdEncoding, unblanked{p.body})
	case "quoted-printable":
		return quotedprintable.NewReader(p.body)
	}
	return p.body
}

// unblanked drops blanks, which base64 may be broken by (RFC 2045, section 6.8).
type unblanked struct{ r io.Reader }

func (u unblanked) Read(b []byte) (int, error) {
	n, err := u.r.Read(b)
	kept := b[:0]
	for _, c := range b[:n] {
		if c > ' ' {
			kept = append(kept, c)
		}
	}
	return len(kept), err
}

// mediaType is mime.ParseMediaType for the fields that real mail has: a
// parameter that is doubled or broken does not lose the others.
func mediaType(field string) (kind string, params map[string]string) {
	kind, params, err := mime.ParseMediaType(field)
	if err == nil {
		return kind, params
	}
	kind, rest, _ := strings.Cut(field, ";")
	params = make(map[string]string)
	for p := range strings.SplitSeq(rest, ";") {
		key, value, _ := strings.Cut(p, "=")
		key = strings.ToLower(strings.TrimSpace(key))
		if _, double := params[key]; !double {
			params[key] = strings.Trim(strings.TrimSpace(value), `"`)
		}
	}
	return strings.ToLower(strings.TrimSpace(kind)), params
}
