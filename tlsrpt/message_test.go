package tlsrpt

import (
	"bytes"
	"encoding/base64"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"net/netip"
	"net/textproto"
	"reflect"
	"strings"
	"testing"
	"time"
)

var theDay = time.Date(2024, 5, 2, 17, 30, 0, 0, time.UTC)

func theSubmitter() Submitter {
	return Submitter{Organization: "Example Mail", Contact: "tls@reports.example.org"}
}

// theReport is one that uses everything.
func theReport(t testing.TB) *Report {
	t.Helper()
	sending, receiving := netip.MustParseAddr("8.8.4.4"), netip.MustParseAddr("2620:fe::fe")
	r, err := NewReport(theSubmitter(), "example.com", theDay, []PolicyResult{{
		Policy: Policy{
			Type: STS, Domain: "example.com", MXHosts: []string{"mx1.example.com", "*.mail.example.com"},
			Strings: []string{"version: STSv1", "mode: enforce", "mx: mx1.example.com", "mx: *.mail.example.com", "max_age: 604800"},
		},
		Summary: Summary{Successful: 12034, Failed: 40},
		Failures: []FailureDetail{
			{Type: STSPolicyFetchError, Reason: HTTPReason(404), Sessions: 3},
			{Type: CertificateExpired, MXHost: "mx1.example.com", HELO: "mx1.example.com", SendingIP: sending, ReceivingIP: receiving, Sessions: 25},
			{Type: CertificateExpired, MXHost: "mx2.mail.example.com", SendingIP: sending, ReceivingIP: receiving, Sessions: 11},
			{
				Type: ValidationFailure, Reason: ReasonSTSMXMismatch, MXHost: "mx.example.net", Sessions: 1,
				Info: "https://example.org/help?topic=mx",
			},
		},
	}, {
		Policy:   Policy{Type: TLSA, Domain: "mx1.example.com", Strings: []string{"3 1 1 " + strings.Repeat("0f", 32)}},
		Summary:  Summary{Failed: 1},
		Failures: []FailureDetail{{Type: DNSSECInvalid, MXHost: "mx1.example.com", Sessions: 1}},
	}, {
		Policy:  Policy{Type: NoPolicyFound, Domain: "example.com"},
		Summary: Summary{Successful: 1},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// openMail takes a mail apart as its receiver does, and not with our own parser.
func openMail(t testing.TB, message []byte) (header mail.Header, text string, report []byte) {
	t.Helper()
	m, err := mail.ReadMessage(bytes.NewReader(message))
	if err != nil {
		t.Fatal(err)
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/report" || params["report-type"] != "tlsrpt" {
		t.Errorf("the mail is a %s %v, %v", kind, params, err) // RPT-94
	}
	parts := multipart.NewReader(m.Body, params["boundary"])
	first, err := parts.NextRawPart()
	if err != nil {
		t.Fatal(err)
	}
	words, err := io.ReadAll(first)
	if kind := first.Header.Get("Content-Type"); err != nil || kind != "text/plain; charset=us-ascii" || len(words) == 0 { // RPT-95
		t.Errorf("the first part is %q with %d octets, %v", kind, len(words), err)
	}
	second, err := parts.NextRawPart()
	if err != nil {
		t.Fatal(err)
	}
	kind, params, err = mime.ParseMediaType(second.Header.Get("Content-Type"))
	if err != nil || kind != "application/tlsrpt+gzip" || second.Header.Get("Content-Transfer-Encoding") != "base64" { // RPT-96
		t.Errorf("the second part is a %s, %v", kind, err)
	}
	if params["name"] != second.FileName() {
		t.Errorf("the second part is called %q and %q", params["name"], second.FileName())
	}
	report, err = io.ReadAll(base64.NewDecoder(base64.StdEncoding, second))
	if err != nil {
		t.Error(err)
	}
	if _, err := parts.NextRawPart(); err != io.EOF {
		t.Errorf("after the second part: %v", err)
	}
	return m.Header, string(words), report
}

func TestMessage(t *testing.T) {
	r := theReport(t)
	message, err := r.Message("tls@example.com")
	if err != nil {
		t.Fatal(err)
	}
	header, words, report := openMail(t, message)
	for name, want := range map[string]string{
		"From":                 "Example Mail <tls@reports.example.org>", // RPT-116
		"To":                   "tls@example.com",
		"Tls-Report-Domain":    "example.com",         // RPT-98
		"Tls-Report-Submitter": "reports.example.org", // RPT-99
		"Tls-Required":         "No",                  // RPT-118
		"Auto-Submitted":       "auto-generated",      // RPT-117
		"Mime-Version":         "1.0",
		"Subject":              "Report Domain: example.com Submitter: reports.example.org Report-ID: <" + r.ID + ">", // RPT-101
	} {
		if got := header[name]; len(got) != 1 || got[0] != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if date, err := header.Date(); err != nil || time.Since(date).Abs() > time.Minute {
		t.Errorf("Date: %v, %v", date, err)
	}
	if unfolded := strings.ReplaceAll(words, "\r\n", "\n"); !strings.HasPrefix(unfolded, r.Text()) {
		t.Errorf("the part for people is\n%s", unfolded)
	}
	if z, err := r.Gzip(); err != nil || !bytes.Equal(report, z) {
		t.Errorf("the part for programs is not what Gzip returns, %v", err)
	}
	back, err := ParseReport(bytes.NewReader(message))
	if err != nil || !reflect.DeepEqual(back, r) {
		t.Errorf("read again it is %+v, %v\nwant %+v", back, err, r)
	}
}

// RPT-103, RPT-117, RPT-119, RPT-61: what identifies a report and a mail.
func TestMessageIDs(t *testing.T) {
	id := func(m []byte, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		header, _, _ := openMail(t, m)
		return header.Get("Message-ID")
	}
	r := theReport(t)
	first := id(r.Message("a@example.com"))
	if left, right, _ := strings.Cut(strings.Trim(first, "<>"), "@"); !isDotAtom(left) || right != "reports.example.org" || first != "<"+left+"@"+right+">" {
		t.Errorf("the Message-ID is %s", first)
	}
	if again := id(theReport(t).Message("a@example.com")); again != first {
		t.Errorf("a second try has the Message-ID %s, the first %s", again, first)
	}
	if other := id(r.Message("b@example.com")); other == first {
		t.Errorf("two recipients have the Message-ID %s", first)
	}
	if again := theReport(t); again.ID != r.ID || again.Filename() != r.Filename() {
		t.Errorf("the same report again is %s, was %s", again.ID, r.ID)
	}
	node, contact := theSubmitter(), theSubmitter()
	node.Node = "b"
	contact.Contact = "tls@example.org"
	seen := map[string]string{r.ID: "the report"}
	for name, other := range map[string]func() (*Report, error){
		"of another node":      func() (*Report, error) { return NewReport(node, "example.com", theDay, onePolicy(1, 0)) },
		"of another submitter": func() (*Report, error) { return NewReport(contact, "example.com", theDay, onePolicy(1, 0)) },
		"about another domain": func() (*Report, error) { return NewReport(theSubmitter(), "example.net", theDay, onePolicy(1, 0)) },
		"of another day": func() (*Report, error) {
			return NewReport(theSubmitter(), "example.com", theDay.AddDate(0, 0, 1), onePolicy(1, 0))
		},
	} {
		r, err := other()
		if err != nil {
			t.Fatal(err)
		}
		if seen[r.ID] != "" {
			t.Errorf("a report %s has the ID of one %s", name, seen[r.ID])
		}
		seen[r.ID] = name
	}
}

// RPT-86, RPT-88, RPT-89, RPT-90, RPT-91, RPT-92, RPT-97, RPT-101: one source for all names.
func TestFilenameAndSubject(t *testing.T) {
	s := theSubmitter()
	s.Contact = "tls@bücher.example" // RPT-89, RPT-102: in A-labels
	r, err := NewReport(s, "Exämple.com", theDay, onePolicy(1, 0))
	if err != nil {
		t.Fatal(err)
	}
	left, _, _ := strings.Cut(r.ID, "@")
	if want := "xn--bcher-kva.example!xn--exmple-cua.com!1714608000!1714694399!" + left + ".json.gz"; r.Filename() != want {
		t.Errorf("the file is %s, want %s", r.Filename(), want)
	}
	if want := "Report Domain: xn--exmple-cua.com Submitter: xn--bcher-kva.example Report-ID: <" + left + "@xn--bcher-kva.example>"; r.Subject() != want {
		t.Errorf("the subject is %s, want %s", r.Subject(), want)
	}
	if r.Submitter() != "xn--bcher-kva.example" || r.Contact != "tls@xn--bcher-kva.example" {
		t.Errorf("the submitter is %s, the contact %s", r.Submitter(), r.Contact)
	}
	m, err := r.Message("tls@example.com")
	if err != nil {
		t.Fatal(err)
	}
	back, err := ParseReport(bytes.NewReader(m))
	if err != nil || back.Filename() != r.Filename() || back.Subject() != r.Subject() {
		t.Errorf("%v, %v", back, err)
	}
	hostile := &Report{Domain: "../../etc", Contact: "x@y/z", ID: "../a\r\nb@c"}
	if got := hostile.Filename(); got != "unknown!unknown!0!0!ab.json.gz" {
		t.Errorf("the file of a hostile report is %q", got)
	}
	if got := hostile.Subject(); got != "Report Domain: unknown Submitter: unknown Report-ID: <unknown>" {
		t.Errorf("the subject of a hostile report is %q", got)
	}
}

// Names and addresses, however hostile, add no header and no octet outside ASCII, and
// no line is too long. RPT-93, RPT-100: the lines are those of a mail that can be signed.
func TestMessageIsWellFormed(t *testing.T) {
	long := strings.TrimSuffix(strings.Repeat(strings.Repeat("a", 63)+".", 4), ".")[:244]
	for _, c := range []struct{ name, organization, from, contact, domain, to string }{
		{"plain", "Example", "Example", "tls@example.org", "example.com", "tls@example.com"},
		{"words with signs", `Example "Mail", Inc. \o/ <x@y.test>`, `Example "Mail", Inc. \o/ <x@y.test>`, "tls@example.org", "example.com", "tls@example.com"},
		{"not ASCII", "Bücher, 本 & Söhne", "Bücher, 本 & Söhne", "tls@example.org", "example.com", "tls@example.com"},
		{"what looks encoded", "=?utf-8?q?x?=", "=?utf-8?q?x?=", "tls@example.org", "example.com", "tls@example.com"},
		{"lines, in a report that was read", "A\r\nBcc: all@example.net\r\n\r\nhello\x00", "A Bcc: all@example.net hello", "tls@example.org", "example.com", "tls@example.com"},
		{"nothing to show, in a report that was read", "\r\n", "", "tls@example.org", "example.com", "tls@example.com"},
		{"long words", strings.Repeat("long ", 51), strings.TrimSpace(strings.Repeat("long ", 51)), "tls@example.org", "example.com", "tls@example.com"},
		{"long and not ASCII", strings.Repeat("ä", 127), strings.Repeat("ä", 127), "tls@example.org", "example.com", "tls@example.com"},
		{"not UTF-8, in a report that somebody made", strings.Repeat("\x80", 300), "\ufffd", "tls@example.org", "example.com", "tls@example.com"},
		{"long names", "Example", "Example", "t@" + long, long, "t@" + long},
		{"a quoted recipient", "Example", "Example", "tls@example.org", "example.com", `"a b"@example.com`},
	} {
		r := theReport(t)
		r.Organization, r.Domain, r.Contact = c.organization, c.domain, c.contact
		left, _, _ := strings.Cut(r.ID, "@")
		r.ID = left + "@" + r.Submitter()
		m, err := r.Message(c.to)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		isLong := strings.Contains(c.name, "long names")
		for line := range strings.SplitSeq(string(m), "\r\n") {
			if !isPrintable(line) || len(line) > 998 || len(line) > 76 && !isLong && !strings.Contains(line, "name=") {
				t.Errorf("%s: the line %q", c.name, line)
			}
		}
		header, _, _ := openMail(t, m)
		if len(header) != 12-1 {
			t.Errorf("%s: headers %v", c.name, header)
		}
		for _, name := range SignedHeaders() {
			if len(header[textproto.CanonicalMIMEHeaderKey(name)]) != 1 {
				t.Errorf("%s: there are %q of %s", c.name, header[name], name)
			}
		}
		from, err1 := header.AddressList("From")
		to, err2 := header.AddressList("To")
		if err1 != nil || err2 != nil || len(from) != 1 || len(to) != 1 || from[0].Name != c.from || from[0].Address != c.contact {
			t.Errorf("%s: from %v to %v, %v %v", c.name, from, to, err1, err2)
		}
		if got, err := ParseReport(bytes.NewReader(m)); err != nil || got.Domain != c.domain || got.Subject() != header.Get("Subject") {
			t.Errorf("%s: %v, %v", c.name, got, err)
		}
	}
}

func TestMessageRefuses(t *testing.T) {
	for _, to := range []string{
		"", "tls", "@example.com", "tls@", "tls@localhost", "tls@[192.0.2.1]", "tls@example.com\r\nBcc: x@y.test", "a@b.test,c@d.test",
		"<tls@example.com>", "-f@example.com", "|sh@example.com", "/tmp/x@example.com", "\"\r\n\"@example.com", "tl\u00e4s@example.com", // R18
		strings.Repeat("a", 240) + "@example.com", strings.Repeat("a", 5000),
	} {
		if m, err := theReport(t).Message(to); err == nil || !isPrintable(err.Error()) {
			t.Errorf("to %q: %v\n%s", to, err, m)
		}
	}
	for name, change := range map[string]func(*Report){
		"a contact that is none":           func(r *Report) { r.Contact = "tls" },
		"a contact that is not canonical":  func(r *Report) { r.Contact = "tls@Reports.Example.org" },
		"no domain":                        func(r *Report) { r.Domain = "" },
		"a domain that is not canonical":   func(r *Report) { r.Domain = "Example.com" },
		"an ID without a domain":           func(r *Report) { r.ID = "a" },
		"an ID of two lines":               func(r *Report) { r.ID = "a\r\nb@reports.example.org" },
		"an ID of another domain":          func(r *Report) { r.ID = "a@example.net" }, // RPT-99
		"an ID that would close its own >": func(r *Report) { r.ID = "a>@reports.example.org" },
		"a domain of one label":            func(r *Report) { r.Domain = "localhost" },
	} {
		r := theReport(t)
		change(r)
		if m, err := r.Message("tls@example.com"); err == nil || !isPrintable(err.Error()) {
			t.Errorf("%s: %v\n%s", name, err, m)
		}
	}
}
