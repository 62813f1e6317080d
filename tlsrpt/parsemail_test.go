package tlsrpt

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"mime/quotedprintable"
	"reflect"
	"strings"
	"testing"
)

func crlf(lines ...string) string { return strings.Join(lines, "\r\n") + "\r\n" }

// RPT-124: mails as senders and those who forward them make them.
func TestParseReportFindsTheReportInAMail(t *testing.T) {
	report := around(`{"policy":{"policy-type":"sts"}}`)
	want := parsed(PolicyResult{Policy: Policy{Type: STS}})
	b64 := func(s string) string {
		text := base64.StdEncoding.EncodeToString([]byte(s))
		return text[:76] + " \r\n\t" + text[76:]
	}
	z := b64(zipped(t, report))
	var qp bytes.Buffer
	w := quotedprintable.NewWriter(&qp)
	if _, err := w.Write([]byte(report)); err != nil {
		t.Fatal(err)
	}
	w.Close()
	part := func(headers, body string) string {
		return crlf("--x", "Content-Type: text/plain", "", "The report is {attached}.", "--x", headers, "", body, "--x--")
	}
	mixed := "Content-Type: multipart/report; report-type=tlsrpt; boundary=x\r\n"
	b64header := "\r\nContent-Transfer-Encoding: base64"
	good := mixed + "\r\n" + part("Content-Type: application/tlsrpt+gzip"+b64header, z)
	for _, c := range []struct{ name, domain, in string }{
		{"gzip, as it should be", "example.com", "TLS-Report-Domain: Example.COM\r\n" + good},
		{"JSON in quoted-printable", "", mixed + "\r\n" + part("Content-Type: application/tlsrpt+json\r\nContent-Transfer-Encoding: Quoted-Printable", qp.String())},
		{"JSON in 8bit", "", mixed + "\r\n" + part("Content-Type: application/tlsrpt+json", report)},
		{"JSON that says it is gzip", "", mixed + "\r\n" + part("Content-Type: application/tlsrpt+gzip"+b64header, b64(report))},
		{"gzip that says it is JSON", "", mixed + "\r\n" + part("Content-Type: application/tlsrpt+json"+b64header, z)},
		{"gzip of another type", "", mixed + "\r\n" + part("Content-Type: application/gzip; name=r.json.gz"+b64header, z)},
		{"a file of no type", "", mixed + "\r\n" + part("Content-Type: application/octet-stream"+b64header, z)},
		{"a file that is known by its name alone", "", mixed + "\r\n" + part("Content-Disposition: attachment; filename=a!b.JSON.gz"+b64header, z)},
		{"a file that says it is text", "", mixed + "\r\n" + part("Content-Type: text/plain; name=\"a.json\"", report)},
		{"the only part", "", crlf("Content-Type: application/tlsrpt+gzip"+b64header, "", z)},
		{"bare line feeds", "", strings.ReplaceAll(good, "\r\n", "\n")},
		{"blank lines and the line of a mailbox file first", "", "\r\nFrom sender Thu May  2 00:00:00 2024\n" + good},
		{"a parameter that is there twice", "", strings.Replace(good, "; report-type=tlsrpt;", `; report-type="tlsrpt"; report-type=tlsrpt;`, 1)},
		{"a multipart within another", "", crlf("Content-Type: multipart/mixed; boundary=y", "", "--y", good, "--y--")},
		{"after an image and a file of another kind", "", strings.Replace(good, "--x\r\nContent-Type: application/tlsrpt+gzip",
			"--x\r\nContent-Type: image/png\r\n\r\n\x89PNG\r\n--x\r\nContent-Type: application/rtf\r\n\r\n{\\rtf1}\r\n--x\r\nContent-Type: application/tlsrpt+gzip", 1)},
		{"forwarded as an attachment", "example.com", crlf("TLS-Report-Domain: example.net", "Content-Type: multipart/mixed; boundary=y", "",
			"--y", "Content-Type: message/rfc822", "", "TLS-Report-Domain: example.com\r\n"+good, "--y--")},
		{"forwarded, a mail without a domain", "example.net", crlf("TLS-Report-Domain: example.net", "Content-Type: message/rfc822"+b64header, "",
			base64.StdEncoding.EncodeToString([]byte(good)))},
		{"a domain that is none", "", "TLS-Report-Domain: <script>\r\n" + good},
	} {
		want.Domain = c.domain
		if got, err := ParseReport(strings.NewReader(c.in)); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\ngot  %+v, %v\nwant %+v", c.name, got, err, want)
		}
	}
}

func TestParseReportOfAMailWithoutOne(t *testing.T) {
	multi := func(parts ...string) string {
		return "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n" + strings.Join(parts, "\r\n--x\r\n") + "\r\n--x--\r\n"
	}
	deep := multi("Content-Type: application/json\r\n\r\n" + around(``))
	for i := range 4 {
		y := fmt.Sprint("y", i)
		deep = crlf("Content-Type: multipart/mixed; boundary="+y, "", "--"+y, deep, "--"+y+"--")
	}
	for _, c := range []struct{ name, in, want string }{
		{"words alone", crlf("Subject: hello", "", "hello"), "report: a mail without a report in it"},
		{"other files alone", multi("Content-Type: image/png\r\n\r\n\x89PNG"), "report: a mail without a report in it"},
		{"a multipart without a boundary", crlf("Content-Type: multipart/mixed", "", "--x", "", around(``)), "report: a mail without a report in it"},
		{"too deep", deep, "report: a mail without a report in it"},
		{"a forwarded mail that is none", crlf("Content-Type: message/rfc822", "", "hello"), "report: a mail without a report in it"},
		{"a file that is no report", multi("Content-Type: application/json\r\n\r\n{}", "Content-Type: application/json\r\n\r\n[]"),
			"report (octet 2): no report: it has no list of policies"},
		{"a report that is none", multi("Content-Type: application/tlsrpt+json\r\n\r\nhello", "Content-Type: application/json\r\n\r\n"+around(``)),
			"report: the part of the mail that should be the report is neither JSON nor gzip"},
		{"base64 that is none", crlf("Content-Type: application/tlsrpt+json", "Content-Transfer-Encoding: base64", "", "e30=!!!!"),
			"report (octet 2): cannot be read to its end: illegal base64 data at input byte 4"},
		{"nothing but a header", "Subject: hello", "report: a mail without a report in it"},
		{"cut between the parts", crlf("Content-Type: multipart/mixed; boundary=x", "", "--x", "", "hello"), "report: a mail that is damaged or cut: "},
	} {
		r, err := ParseReport(strings.NewReader(c.in))
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: %+v, %v\nwant %s", c.name, r, err, c.want)
		}
	}
}
