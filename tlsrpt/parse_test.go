package tlsrpt

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// around puts policies into a report.
func around(policies string) string {
	return `{"organization-name":"Example","date-range":{"start-datetime":"2024-05-02T00:00:00Z","end-datetime":"2024-05-02T23:59:59Z"},` +
		`"contact-info":"tls@example.org","report-id":"1@example.org","policies":[` + policies + `]}`
}

// parsed is what around makes of policies.
func parsed(policies ...PolicyResult) *Report {
	return &Report{Organization: "Example", Contact: "tls@example.org", ID: "1@example.org", Range: Day(theDay), Policies: policies}
}

func zipped(t testing.TB, s string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := io.WriteString(z, s); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// RPT-75, RPT-124: what senders get wrong and a reader can understand.
func TestParseReportTakesWhatSendersWrite(t *testing.T) {
	details := func(s string) string { return around(`{"failure-details":[` + s + `]}`) }
	failed := func(d FailureDetail) *Report { return parsed(PolicyResult{Failures: []FailureDetail{d}}) }
	policy := func(p Policy) *Report { return parsed(PolicyResult{Policy: p}) }
	for _, c := range []struct {
		name, in string
		want     *Report
	}{
		{"a byte order mark and blanks come first", "\ufeff \r\n\t" + around(``) + "\r\n", parsed()},
		{"a policy is one object instead of a list", strings.NewReplacer("[{", "{", "}]", "}").Replace(around(`{"policy":{"policy-type":"sts"}}`)), policy(Policy{Type: STS})},
		{"mx-host is one string, as in appendix B", around(`{"policy":{"policy-type":"sts","mx-host":"*.example.com"}}`),
			policy(Policy{Type: STS, MXHosts: []string{"*.example.com"}})},
		{"policy-string is one string", around(`{"policy":{"policy-string":"version: STSv1"}}`), policy(Policy{Strings: []string{"version: STSv1"}})},
		{"a set of TLSA records is packed into one string", around(`{"policy":{"policy-type":"tlsa","policy-string":["[\"3 1 1 AB\",\"3 1 1 CD\"]"]}}`),
			policy(Policy{Type: TLSA, Strings: []string{"3 1 1 AB", "3 1 1 CD"}})},
		{"what only looks packed stays as it is", around(`{"policy":{"policy-type":"tlsa","policy-string":["[\"a\" ,b\"]"]}}`), policy(Policy{Type: TLSA, Strings: []string{`["a" ,b"]`}})},
		{"a list of packed lists stays as it is", around(`{"policy":{"policy-string":["[\"[\\\"a\\\"]\"]"],"policy-type":"tlsa"}}`), policy(Policy{Type: TLSA, Strings: []string{`["[\"a\"]"]`}})},
		{"a policy of another type has the lines it has", around(`{"policy":{"policy-type":"sts","policy-string":["[\"a\"]"]}}`), policy(Policy{Type: STS, Strings: []string{`["a"]`}})},
		{"a list of nulls and empty strings is none", around(`{"policy":{"policy-string":["",null],"mx-host":["",null]}}`), policy(Policy{})},
		{"members are null", around(`{"policy":null,"summary":null,"failure-details":null}`), parsed(PolicyResult{})},
		{"members are missing", around(`{},{"policy":{},"summary":{},"failure-details":[]}`), parsed(PolicyResult{}, PolicyResult{})},
		{"strings are empty", details(`{"result-type":"dane-required","sending-mta-ip":"","receiving-mx-hostname":"","failed-session-count":""}`),
			failed(FailureDetail{Type: DANERequired})},
		{"members and result types are unknown", details(`{"result-type":"moon-phase","x":[{"y":[1,2.5e-3,true,false,null,"\u00e4"]}]}`), failed(FailureDetail{Type: "moon-phase"})},
		{"a text is a number", around(`{"policy":{"policy-domain":12}}`), policy(Policy{Domain: "12"})},
		{"a text is an object", around(`{"policy":{"policy-domain":{"a":1}}}`), policy(Policy{})},
		{"a policy is a text", around(`"sts",{}`), parsed(PolicyResult{})},
		{"counts are strings", around(`{"summary":{"total-successful-session-count":"12","total-failure-session-count":" 3 "}}`), parsed(PolicyResult{Summary: Summary{Successful: 12, Failed: 3}})},
		{"counts have a fraction or an exponent", around(`{"summary":{"total-successful-session-count":12.0,"total-failure-session-count":1e3}}`),
			parsed(PolicyResult{Summary: Summary{Successful: 12, Failed: 1000}})},
		{"counts are beyond 2^53-1", around(`{"summary":{"total-successful-session-count":9007199254740992,"total-failure-session-count":1e999}}`),
			parsed(PolicyResult{Summary: Summary{Successful: MaxCount, Failed: MaxCount}})},
		{"the largest count is exact", details(`{"failed-session-count":9007199254740991}`), failed(FailureDetail{Sessions: MaxCount})},
		{"an address is none", details(`{"sending-mta-ip":"2001:db8::g","receiving-ip":"fe80::1%eth0"}`), failed(FailureDetail{})},
		{"an address is IPv4 in IPv6, or a literal", details(`{"sending-mta-ip":"::ffff:192.0.2.1","receiving-ip":"[IPv6:2001:DB8:0::1]"}`),
			failed(FailureDetail{SendingIP: netip.MustParseAddr("192.0.2.1"), ReceivingIP: netip.MustParseAddr("2001:db8::1")})},
		{"the MX host has the name that two senders write", details(`{"receiving-mx-host-name":"mx.example.com"}`), failed(FailureDetail{MXHost: "mx.example.com"})},
		{"every other member of a failure", details(`{"receiving-mx-helo":"mx","additional-information":"https://example.org/a b","failure-reason-code":"\ud83d\ude00\n"}`),
			failed(FailureDetail{HELO: "mx", Info: "https://example.org/a b", Reason: "\U0001f600\n"})},
		{"a text is not UTF-8", details(`{"failure-reason-code":"a` + "\xff\xc3" + `b\ud800c"}`), failed(FailureDetail{Reason: "a\ufffd\ufffdb\ufffdc"})},
		{"members come twice", around(`{"policy":{"policy-domain":"a","policy-domain":"b"}}`), policy(Policy{Domain: "b"})},
	} {
		for kind, in := range map[string]io.Reader{
			"": strings.NewReader(c.in), " octet by octet": iotest.OneByteReader(strings.NewReader(c.in)),
			" as gzip": strings.NewReader(zipped(t, c.in)), " with the end at once": iotest.DataErrReader(strings.NewReader(c.in)),
		} {
			if got, err := ParseReport(in); err != nil || !reflect.DeepEqual(got, c.want) {
				t.Errorf("%s%s:\ngot  %+v, %v\nwant %+v", c.name, kind, got, err, c.want)
			}
		}
	}
}

// RPT-57, RPT-124
func TestParseReportTimes(t *testing.T) {
	for text, want := range map[string]time.Time{
		"2024-05-02T00:00:00Z":             time.Date(2024, 5, 2, 0, 0, 0, 0, time.UTC),
		"2024-05-02T00:00:00":              time.Date(2024, 5, 2, 0, 0, 0, 0, time.UTC),
		"2024-05-02T23:59:59.9999999":      time.Date(2024, 5, 2, 23, 59, 59, 0, time.UTC),
		"2024-05-02T23:59:59.999999+00:00": time.Date(2024, 5, 2, 23, 59, 59, 0, time.UTC),
		"2024-05-02t02:00:00+02:00":        time.Date(2024, 5, 2, 0, 0, 0, 0, time.UTC),
		"2024-05-02 00:00:00":              time.Date(2024, 5, 2, 0, 0, 0, 0, time.UTC),
		" 2024-05-02 00:00:00Z":            time.Date(2024, 5, 2, 0, 0, 0, 0, time.UTC),
		"2024-05-02":                       time.Date(2024, 5, 2, 0, 0, 0, 0, time.UTC),
	} {
		r, err := ParseReport(strings.NewReader(strings.Replace(around(``), "2024-05-02T00:00:00Z", text, 1)))
		if err != nil || !r.Range.Start.Equal(want) || r.Range.Start.Location() != time.UTC {
			t.Errorf("%s: %+v, %v", text, r, err)
		}
	}
	for _, text := range []string{"", "yesterday", "2024-05-32T00:00:00Z", "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00", "1714608000"} {
		_, err := ParseReport(strings.NewReader(strings.Replace(around(``), "2024-05-02T00:00:00Z", text, 1)))
		const want = "report, date-range.start-datetime (octet "
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// What is no report, and what the error says of it.
func TestParseReportErrors(t *testing.T) {
	in := around(`{},{"failure-details":[{},{"failed-session-count":1}]}`)
	for _, c := range []struct{ name, in, want string }{
		{"nothing", "", "report: empty"},
		{"blanks", " \n", "report: empty"},
		{"a zip archive", "PK\x03\x04....", "report: a zip archive: unpack it first"},
		{"UTF-16", "\xff\xfe{\x00", "report: a text in UTF-16: save it as UTF-8"},
		{"prose", "Hello world", "report: no report: neither JSON nor gzip nor a mail: malformed"},
		{"a list", "[]", "report: JSON, but no object"},
		{"another object", `{"a":1}`, "report (octet 7): no report: it has no list of policies"},
		{"policies are no list", strings.Replace(in, `"policies":`, `"policies":7,"x":`, 1), "report (octet 259): no report: it has no list of policies"},
		{"no date", strings.Replace(in, `date-range`, `range`, 1), "report (octet 248): no report: it has no date-range"},
		{"two reports", in + in, "report (octet 253): something follows the report"},
		{"a NUL follows", in + "\x00", "report (octet 253): something follows the report"},
		{"a cut report", in[:len(in)-1], "report, policies (octet 252): a comma or a closing bracket is missing"},
		{"a report cut in a name", in[:210], "report, policies[1] (octet 210): a string without an end"},
		{"a negative count", strings.Replace(in, ":1}", ":-1}", 1), "report, policies[1].failure-details[1].failed-session-count (octet 249): a negative count"},
		{"a negative count in a string", strings.Replace(in, ":1}", `:"-1"}`, 1), "report, policies[1].failure-details[1].failed-session-count (octet 251): a negative count"},
		{"a count that is none", strings.Replace(in, ":1}", `:"many"}`, 1), "report, policies[1].failure-details[1].failed-session-count (octet 253): no count"},
		{"a count that is infinite", strings.Replace(in, ":1}", `:"Inf"}`, 1), "report, policies[1].failure-details[1].failed-session-count (octet 252): no count"},
		{"a count of more digits than anybody needs", strings.Replace(in, ":1}", ":0."+strings.Repeat("0", 100)+"1}", 1), "report, policies[1].failure-details[1].failed-session-count (octet 350): no count"},
		{"a number without digits", strings.Replace(in, ":1}", ":1.}", 1), "report, policies[1].failure-details[1].failed-session-count (octet 249): a number without digits"},
		{"a sum that is none", around(`{"summary":{"total-failure-session-count":-1}}`), "report, policies[0].summary.total-failure-session-count (octet 241): a negative count"},
		{"a word that is none", around(`{"policy":nil}`), "report, policies[0].policy (octet 208): a value is none of JSON"},
		{"an escape that is none", around(`{"policy":{"policy-domain":"\x"}}`), "report, policies[0].policy.policy-domain (octet 226): an escape in a string is none of JSON"},
		{"gzip of something else", zipped(t, "hello"), "report: gzip of something that is no JSON"},
		{"a broken gzip header", "\x1f\x8bxxxxxxxxxx", "report: gzip that cannot be read: gzip: invalid header"},
		{"a cut gzip", zipped(t, in)[:len(zipped(t, in))-1], "report (octet 253): cannot be read to its end: unexpected EOF"},
	} {
		r, err := ParseReport(strings.NewReader(c.in))
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: %+v, %v\nwant %s", c.name, r, err, c.want)
			continue
		}
		if _, ok := errors.AsType[*ReportError](err); !ok || r != nil {
			t.Errorf("%s: %T with %+v", c.name, err, r)
		}
	}
}

// The reader's own error can be found, and is shown as one line of ASCII (R16).
func TestParseReportTellsTheReadersError(t *testing.T) {
	foreign := errors.New("line one\r\nline\x1b[31m two \u202e")
	for _, start := range []string{"", "{", around("")[:100], "Subject: x\r\n", "\x1f\x8b"} {
		_, err := ParseReport(io.MultiReader(strings.NewReader(start), iotest.ErrReader(foreign)))
		if !errors.Is(err, foreign) {
			t.Errorf("after %q: %v", start, err)
			continue
		}
		for _, c := range []byte(err.Error()) {
			if c < ' ' || c > '~' {
				t.Errorf("after %q: %q", start, err.Error())
				break
			}
		}
	}
	if _, err := ParseReport(io.MultiReader(strings.NewReader("{"), stuck{})); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("a reader that gives nothing: %v", err)
	}
}

// stuck is a reader that gives neither octets nor an error.
type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, nil }

// RPT-76: what is written is in the form of RFC 5952.
func TestParseReportWritesCanonicalAddresses(t *testing.T) {
	r, err := ParseReport(strings.NewReader(around(`{"failure-details":[{"sending-mta-ip":"2001:DB8:abcd:0012::1"}]}`)))
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(r.Policies[0].Failures[0].SendingIP); got != "2001:db8:abcd:12::1" {
		t.Error(got)
	}
}
