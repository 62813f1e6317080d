package tlsrpt

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"reflect"
	"strings"
	"testing"
)

// FuzzReport: whatever words a report is made of, what NewReport lets pass is
// I-JSON without null (RPT-54, RPT-123), the same when read again, and a mail of
// ASCII lines with the headers that it should have and no others.
func FuzzReport(f *testing.F) {
	f.Add("Example Mail", "tls@example.org", "", "example.com", "tls@example.com", "mode: enforce", "mx.example.com", "tls-version", "https://example.org/", []byte{8, 8, 8, 8}, int64(3))
	f.Add("B\u00fccher, \u672c", "\"a b\"@b\u00fccher.example", "1", "EXAMPLE.com.", `"x y"@example.com`, "<html>\x00\xff\u2028", "*.example.com", "Bad Cert", "x:\u00e4", make([]byte, 16), int64(1))
	f.Add("a\r\nBcc: x@y.test", "tls@example.org\r\nX: y", "\r\n", "example.com\r\n", "tls@example.com\r\nX: y", "a\r\nb", "a\r\nb", "a\r\nb", "a\r\nb", []byte{10, 0, 0, 1}, int64(-1))
	f.Add("Example Mail", "tls@example.org", "", "example.com", "tls@example.com", `["3 1 1 AB"]`, "", "", "", []byte{8, 8, 8, 8}, int64(3))
	f.Fuzz(func(t *testing.T, organization, contact, node, domain, to, line, host, reason, info string, ip []byte, n int64) {
		addr, _ := netip.AddrFromSlice(ip)
		s := Submitter{Organization: organization, Contact: contact, Node: node}
		r, err := NewReport(s, domain, theDay, []PolicyResult{{
			Policy:  Policy{Type: STS, Domain: domain, Strings: []string{line, host}, MXHosts: []string{host, line}},
			Summary: Summary{Successful: n, Failed: n},
			Failures: []FailureDetail{
				{Type: CertificateExpired, Reason: reason, MXHost: host, HELO: line, Info: info, SendingIP: addr, ReceivingIP: addr, Sessions: n},
				{Type: ResultType(reason), Reason: line, MXHost: line, HELO: host, Info: line, Sessions: n},
			},
		}})
		if err != nil {
			if !isPrintable(err.Error()) || len(err.Error()) > 512 {
				t.Fatalf("%q", err)
			}
			return
		}
		checkBounds(t, r)
		text, err := json.Marshal(r)
		if err != nil || hasNull(t, text) {
			t.Fatalf("%v: %s", err, text)
		}
		message, err := r.Message(to)
		if err != nil {
			if !isPrintable(err.Error()) {
				t.Errorf("%q", err)
			}
			if message, err = r.Message("tls@example.com"); err != nil {
				t.Fatal(err)
			}
		}
		for line := range strings.SplitSeq(string(message), "\r\n") {
			if !isPrintable(line) || len(line) > 998 {
				t.Errorf("the line %q", line)
			}
		}
		header, _, file := openMail(t, message)
		if len(header) != len(SignedHeaders()) || header.Get("TLS-Report-Domain") != r.Domain || header.Get("Subject") != r.Subject() {
			t.Errorf("headers %v", header)
		}
		for kind, in := range map[string][]byte{"JSON": text, "gzip": file, "a mail": message} {
			back, err := ParseReport(bytes.NewReader(in))
			if err != nil {
				t.Fatalf("as %s: %v", kind, err)
			}
			back.Domain = r.Domain
			if !reflect.DeepEqual(back, r) {
				t.Errorf("as %s:\n%+v\n%+v", kind, back, r)
			}
		}
	})
}

// hasNull reports whether there is a null anywhere in a JSON text.
func hasNull(t *testing.T, text []byte) bool {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	for d.More() {
		token, err := d.Token()
		if err != nil {
			t.Fatal(err)
		}
		if token == nil {
			return true
		}
	}
	return false
}
