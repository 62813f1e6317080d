package tlsrpt

import (
	"bytes"
	"encoding/base64"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"net/netip"
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
