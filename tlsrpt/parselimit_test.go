package tlsrpt

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// R21: each bound, at its edge and beyond it.
func TestParseReportBounds(t *testing.T) {
	list := func(n int, one string) string { return strings.TrimSuffix(strings.Repeat(one+",", n), ",") }
	details := `{"failure-details":[` + list(5000, "{}") + `]}`
	nested := func(n int) string { return around(strings.Repeat(`{"x":`, n) + "0" + strings.Repeat("}", n)) }
	nestedLists := func(n int) string { return around(`{"x":` + strings.Repeat("[", n) + strings.Repeat("]", n) + "}") }
	long := func(n int) string {
		return strings.TrimSuffix(around(``), "}") + `,"x":"` + strings.Repeat("a", n) + `"}`
	}
	fill := len(long(0))
	parts := func(n int) string {
		var b strings.Builder
		b.WriteString("Content-Type: multipart/mixed; boundary=x\r\n\r\n")
		for range n - 1 {
			b.WriteString("--x\r\nContent-Type: text/plain\r\n\r\nhello\r\n")
		}
		return b.String() + "--x\r\nContent-Type: application/tlsrpt+json\r\n\r\n" + around(``) + "\r\n--x--\r\n"
	}
	for _, c := range []struct{ name, in, err string }{
		{"1,000 policies", around(list(1000, "{}")), ""},
		{"1,001 policies", around(list(1001, "{}")), "report, policies[1000] (octet 3197): more than 1,000 policies"},
		{"10,000 details in all", around(details + "," + details), ""},
		{"10,001 details in all", around(details + "," + details + `,{"failure-details":[{}]}`),
			"report, policies[2].failure-details[0] (octet 30261): more than 10,000 failure details"},
		{"16 levels", nested(14), ""},
		{"17 levels", nested(15), "report, policies[0] (octet 267): nested deeper than 16 levels"},
		{"16 levels of lists", nestedLists(13), ""},
		{"17 levels of lists", nestedLists(14), "report, policies[0] (octet 215): nested deeper than 16 levels"},
		{"10 MiB of JSON", long(10<<20 - fill), ""},
		{"an octet more", long(10<<20 - fill + 1), "report (octet 10485760): larger than 10 MiB of JSON"},
		{"an octet more that was gzip", zipped(t, long(10<<20-fill+1)), "report (octet 10485760): larger than 10 MiB of JSON"},
		{"8 parts", parts(8), ""},
		{"9 parts", parts(9), "report: a mail with more than 8 parts"},
		{"a header of 1 MiB", "X: " + strings.Repeat("a", 1<<20) + "\r\n\r\n", "report: no report: neither JSON nor gzip nor a mail"},
	} {
		_, err := ParseReport(strings.NewReader(c.in))
		if got := fmt.Sprint(err); c.err == "" && err != nil || c.err != "" && got != c.err {
			t.Errorf("%s: %v\nwant %s", c.name, err, c.err)
		}
	}
}

// R21: too much text is cut, since the rest is worth reading.
func TestParseReportCutsTexts(t *testing.T) {
	long := strings.Repeat("ä", 600) // 1,200 octets
	strs := func(n int, one string) string { return strings.TrimSuffix(strings.Repeat(`"`+one+`",`, n), ",") }
	r, err := ParseReport(strings.NewReader(around(
		`{"policy":{"policy-string":[` + strs(101, "x"+long) + `],"mx-host":[` + strs(101, "a") + `]}},` +
			`{"policy":{"policy-type":"tlsa","policy-string":["[` + strings.ReplaceAll(strs(150, "3 1 1"), `"`, `\"`) + `]"]}},` +
			`{"policy":{"policy-type":"tlsa","policy-string":"[` + strings.ReplaceAll(strs(5000, "3 1 1"), `"`, `\"`) + `]"}}`)))
	if err != nil {
		t.Fatal(err)
	}
	first, packed, tooLong := r.Policies[0].Policy, r.Policies[1].Policy, r.Policies[2].Policy
	if len(first.Strings) != 100 || len(first.MXHosts) != 100 || first.Strings[0] != "x"+strings.Repeat("ä", 511) {
		t.Errorf("%d strings, %d hosts, the first %d octets", len(first.Strings), len(first.MXHosts), len(first.Strings[0]))
	}
	if len(packed.Strings) != 100 || packed.Strings[99] != "3 1 1" {
		t.Errorf("packed: %q", packed.Strings)
	}
	if len(tooLong.Strings) != 1 || len(tooLong.Strings[0]) != 1024 {
		t.Errorf("packed, and too long: %q", tooLong.Strings)
	}
}

// endless repeats a text after another, for ever, and counts what was read.
type endless struct {
	next, then string
	read       int
}

func (e *endless) Read(b []byte) (n int, err error) {
	for n < len(b) {
		if e.next == "" {
			e.next = e.then
		}
		m := copy(b[n:], e.next)
		e.next = e.next[m:]
		n += m
	}
	e.read += n
	return n, nil
}

// R21: whatever comes without an end, reading ends, and memory stays small.
func TestParseReportOfEndlessInput(t *testing.T) {
	open := strings.TrimSuffix(around(``), "]}")
	mail := "Content-Type: multipart/report; boundary=x\r\n\r\n"
	forward := "Content-Type: message/rfc822\r\n\r\n"
	base64Zeros := base64.StdEncoding.EncodeToString(make([]byte, 57)) + "\r\n"
	for name, in := range map[string]*endless{
		"blanks":                      {"", " ", 0},
		"blanks in JSON":              {"{", "\n", 0},
		"brackets":                    {`{"x":`, "[", 0},
		"objects":                     {"", `{"x":`, 0},
		"a string":                    {`{"x":"`, strings.Repeat("a", 4096), 0},
		"a string of escapes":         {`{"organization-name":"`, strings.Repeat(`\ud83d\ude00`, 400), 0},
		"a string that is not UTF-8":  {`{"organization-name":"`, strings.Repeat("\xff", 4096), 0},
		"the name of a member":        {`{"`, strings.Repeat("a", 4096), 0},
		"a number":                    {`{"x":`, strings.Repeat("1", 4096), 0},
		"members":                     {"{", `"x":0,`, 0},
		"policies":                    {open, `{},`, 0},
		"policies that are none":      {open, `0,`, 0},
		"details":                     {open + `{"failure-details":[`, `{"result-type":"a"},{"result-type":"b"},`, 0},
		"strings of a policy":         {open + `{"policy":{"policy-string":[`, `"aaaa",`, 0},
		"packed strings":              {open + `{"policy":{"policy-string":[`, `"[\"` + strings.Repeat("a", 3000) + `\"]",`, 0},
		"a packed string":             {open + `{"policy":{"policy-string":["[\"`, strings.Repeat("a", 4096), 0},
		"large policies":              {open, `{"policy":{"policy-domain":"` + strings.Repeat("a", 1000) + `","policy-string":["` + strings.Repeat(`a","`, 100) + `"]}},`, 0},
		"blanks after the report":     {around(``), " ", 0},
		"empty gzips":                 {"", zipped(t, ""), 0},
		"gzips of blanks":             {"", zipped(t, strings.Repeat(" ", 1<<16)), 0},
		"a header":                    {"X: ", "aaaaaaaa", 0},
		"headers":                     {"", "X: a\r\n", 0},
		"headers after an envelope":   {"From ", "aaaaaaaa", 0},
		"a preamble":                  {mail, "hello\r\n", 0},
		"parts":                       {mail, "--x\r\n\r\n", 0},
		"headers of a part":           {mail + "--x\r\n", "X: a\r\n", 0},
		"multiparts in each other":    {mail, "--x\r\n" + mail, 0},
		"mails in each other":         {"", forward, 0},
		"mails in parts":              {mail, "--x\r\n" + forward, 0},
		"a part for people":           {mail + "--x\r\nContent-Type: text/plain\r\n\r\n", "hello\r\n", 0},
		"base64":                      {mail + "--x\r\nContent-Type: application/tlsrpt+gzip\r\nContent-Transfer-Encoding: base64\r\n\r\nH4sI", base64Zeros, 0},
		"blanks in base64":            {mail + "--x\r\nContent-Type: application/tlsrpt+gzip\r\nContent-Transfer-Encoding: base64\r\n\r\n", "\r\n", 0},
		"blanks in quoted-printable":  {mail + "--x\r\nContent-Type: application/tlsrpt+json\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n", "=\r\n", 0},
		"a line of quoted-printable":  {mail + "--x\r\nContent-Type: application/tlsrpt+json\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n{", "=20", 0},
		"a boundary that never comes": {"Content-Type: multipart/report; boundary=" + strings.Repeat("x", 70) + "\r\n\r\n", "--" + strings.Repeat("x", 69), 0},
	} {
		in.then = strings.Repeat(in.then, 1+4096/len(in.then)) // in as many pieces as real input
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		r, err := ParseReport(in)
		runtime.ReadMemStats(&after)
		if _, ok := errors.AsType[*ReportError](err); !ok {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
		if in.read > maxInput+64<<10 {
			t.Errorf("%s: %d octets were read", name, in.read)
		}
		// All that was ever allocated, kept or not.
		if used := after.TotalAlloc - before.TotalAlloc; used > 5*maxInflated {
			t.Errorf("%s: %d MiB of memory for %d KiB", name, used>>20, in.read>>10)
		}
	}
}

// R21: a bomb is not inflated beyond the limit, wherever it lies.
func TestParseReportStopsAGzipBomb(t *testing.T) {
	bomb := zipped(t, `{"x":"`+strings.Repeat("a", 32<<20)+`"}`)
	for name, in := range map[string]string{
		"alone": bomb,
		"in a mail": "Content-Type: application/tlsrpt+gzip\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
			base64.StdEncoding.EncodeToString([]byte(bomb)),
	} {
		counted := &counter{r: strings.NewReader(in)}
		_, err := ParseReport(counted)
		if err == nil || err.Error() != "report (octet 10485760): larger than 10 MiB of JSON" {
			t.Errorf("%s: %v", name, err)
		}
		if counted.n > len(in)/2 {
			t.Errorf("%s: %d of %d octets were read", name, counted.n, len(in))
		}
	}
}

type counter struct {
	r io.Reader
	n int
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += n
	return n, err
}

// R21: no text that was read is longer than said, or not UTF-8.
func checkBounds(t *testing.T, r *Report) {
	t.Helper()
	texts := []string{r.Organization, r.Contact, r.ID, r.Domain}
	details := 0
	for _, p := range r.Policies {
		texts = append(texts, string(p.Policy.Type), p.Policy.Domain)
		texts = slices.Concat(texts, p.Policy.Strings, p.Policy.MXHosts)
		if len(p.Policy.Strings) > maxList || len(p.Policy.MXHosts) > maxList {
			t.Error("a list that is too long")
		}
		for _, d := range p.Failures {
			details++
			texts = append(texts, string(d.Type), d.MXHost, d.HELO, d.Info, d.Reason)
			if d.Sessions < 0 || d.Sessions > MaxCount {
				t.Errorf("%d sessions", d.Sessions)
			}
		}
	}
	if len(r.Policies) > maxPolicies || details > maxDetails {
		t.Errorf("%d policies, %d details", len(r.Policies), details)
	}
	for _, text := range texts {
		if len(text) > maxString || !utf8.ValidString(text) {
			t.Errorf("a text of %d octets: %q", len(text), text)
		}
	}
}
