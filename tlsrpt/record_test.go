package tlsrpt

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// reasonsOf joins the reasons of a record's problems.
func reasonsOf(r Record) string {
	var words []string
	for _, p := range r.Problems {
		words = append(words, p.Reason)
	}
	return strings.Join(words, " ")
}

// reasonOf returns the reason of a *RecordError, "" for nil.
func reasonOf(err error) string {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*RecordError](err); ok {
		return e.Reason
	}
	return "not a *RecordError: " + err.Error()
}

func TestParseRecord(t *testing.T) {
	const a, b = "mailto:a@x.test", "https://r.test/"
	name32 := "a" + strings.Repeat("_-.9", 7) + "xyz"
	for _, c := range []struct {
		name, in string
		rua      []string
		reason   string // of the error, or of the problems
	}{
		{"a record has a version and a rua", "v=TLSRPTv1; rua=mailto:a@x.test", []string{a}, ""},
		{"blanks around the semicolon are optional", "v=TLSRPTv1;rua=mailto:a@x.test", []string{a}, ""},
		{"a semicolon may end it", "v=TLSRPTv1 ;rua=mailto:a@x.test;", []string{a}, ""},                                    // RPT-16
		{"an empty field may not", "v=TLSRPTv1;rua=mailto:a@x.test;;", nil, "tlsrpt-invalid"},                              // RPT-16
		{"nor a blank", "v=TLSRPTv1;rua=mailto:a@x.test ", nil, "tlsrpt-invalid"},                                          // RPT-16
		{"case counts in the version", "v=tlsrptv1; rua=mailto:a@x.test", nil, "tlsrpt-invalid"},                           // RPT-04
		{"case counts in its tag", "V=TLSRPTv1; rua=mailto:a@x.test", nil, "tlsrpt-invalid"},                               // RPT-04
		{"the version comes first", "rua=mailto:a@x.test; v=TLSRPTv1", nil, "tlsrpt-invalid"},                              // RPT-04
		{"a longer version is another one", "v=TLSRPTv10; rua=mailto:a@x.test", nil, "tlsrpt-invalid"},                     // RPT-04
		{"a rua is required", "v=TLSRPTv1", nil, "missing-rua"},                                                            // RPT-07
		{"a semicolon is no rua", "v=TLSRPTv1;", nil, "missing-rua"},                                                       // RPT-07
		{"another field is no rua", "v=TLSRPTv1; foo=bar", nil, "missing-rua"},                                             // RPT-07
		{"case counts in rua", "v=TLSRPTv1; RUA=mailto:a@x.test", nil, "missing-rua"},                                      // RPT-07
		{"commas separate URIs", "v=TLSRPTv1; rua=mailto:a@x.test,https://r.test/", []string{a, b}, ""},                    // RPT-08
		{"blanks may stand around the comma", "v=TLSRPTv1; rua=mailto:a@x.test \t, \thttps://r.test/", []string{a, b}, ""}, // RPT-08
		{"but in no URI", "v=TLSRPTv1; rua=mailto:a@x.test b,https://r.test/", []string{b}, "bad-uri"},                     // RPT-08
		{"a second rua adds to the first", "v=TLSRPTv1; rua=mailto:a@x.test; rua=https://r.test/", []string{a, b}, ""},     // RPT-09, AMB-34
		{"whatever stands between them", "v=TLSRPTv1; x=y; rua=https://r.test/; x=z; rua=mailto:a@x.test", []string{b, a}, ""},
		{"a raw semicolon ends the field", "v=TLSRPTv1; rua=https://r.test/?a=1;b=2", []string{"https://r.test/?a=1"}, ""},                  // RPT-11
		{"a raw exclamation mark costs that URI", "v=TLSRPTv1; rua=mailto:a@x.test!10m,https://r.test/", []string{b}, "exclamation-mark"},   // RPT-12
		{"encoded ones stay encoded in https", "v=TLSRPTv1; rua=https://r.test/%2C%21%3B", []string{"https://r.test/%2C%21%3B"}, ""},        // RPT-10
		{"other schemes are ignored", "v=TLSRPTv1; rua=http://r.test/,ftp://r.test/,mailto:a@x.test", []string{a}, "uri-scheme uri-scheme"}, // RPT-13
		{"even when nothing is left", "v=TLSRPTv1; rua=http://r.test/", nil, "uri-scheme"},                                                  // RPT-13
		{"case does not count in a scheme", "v=TLSRPTv1; rua=MailTo:a@x.test,HTTPS://r.test/", []string{a, b}, ""},                          // RPT-13
		{"a bare address is no URI", "v=TLSRPTv1; rua=a@x.test", nil, "uri-scheme"},                                                         // RPT-14
		{"unknown fields are ignored", "v=TLSRPTv1; " + name32 + "=!<>:@; rua=mailto:a@x.test; foo=bar", []string{a}, ""},                   // RPT-15
		{"but not malformed ones", "v=TLSRPTv1; rua=mailto:a@x.test; foo=x=y", nil, "tlsrpt-invalid"},                                       // RPT-15
		{"nor empty ones", "v=TLSRPTv1; rua=mailto:a@x.test; foo=", nil, "tlsrpt-invalid"},                                                  // RPT-15
		{"nor names of 33", "v=TLSRPTv1; rua=mailto:a@x.test; " + name32 + "x=1", nil, "tlsrpt-invalid"},                                    // RPT-15
		{"nor a field without equals sign", "v=TLSRPTv1; rua=mailto:a@x.test; foo", nil, "tlsrpt-invalid"},                                  // RPT-15
		{"nor blanks around it", "v=TLSRPTv1; rua = mailto:a@x.test", nil, "tlsrpt-invalid"},                                                // RPT-15
		{"a second version is an unknown field", "v=TLSRPTv1; v=TLSRPTv1; rua=mailto:a@x.test", []string{a}, ""},
		{"an empty rua has one bad URI", "v=TLSRPTv1; rua=", nil, "bad-uri"},
		{"a comma too many costs nothing else", "v=TLSRPTv1; rua=,mailto:a@x.test,", []string{a}, "bad-uri bad-uri"},
		{"a percent sign without its digits costs the URI", "v=TLSRPTv1; rua=mailto:d-%d@x.test,https://r.test/%,mailto:a@x.test", []string{a}, "bad-uri bad-uri"},
		{"bytes beyond ASCII cost the URI", "v=TLSRPTv1; rua=https://b\u00fccher.test/,mailto:a@x.test", []string{a}, "bad-uri"},
		{"a duplicate is skipped", "v=TLSRPTv1; rua=mailto:a@x.test, MAILTO:a@X.test; rua=mailto:%61@x.test?subject=b", []string{a}, "duplicate-uri duplicate-uri"},
		{"reports may go to any domain", "v=TLSRPTv1; rua=https://reports.vendor.test/x", []string{"https://reports.vendor.test/x"}, ""}, // RPT-21
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := ParseRecord(c.in)
			if !slices.Equal(r.RUA, c.rua) {
				t.Errorf("ParseRecord(%q) = %q, want %q", c.in, r.RUA, c.rua)
			}
			if got := reasonOf(err) + reasonsOf(r); got != c.reason {
				t.Errorf("ParseRecord(%q): reason %q, want %q", c.in, got, c.reason)
			}
			if err != nil && (r.Extensions != nil || r.Problems != nil) {
				t.Errorf("ParseRecord(%q) = %v beside an error", c.in, r)
			}
		})
	}
}

func TestRecordOfManyURIs(t *testing.T) { // R17(a), RPT-22
	var uris []string
	for i := range 100 {
		uris = append(uris, fmt.Sprintf("mailto:a%d@x.test", i))
	}
	r, err := ParseRecord("v=TLSRPTv1; rua=mailto:@,http://x.test," + strings.Join(uris[:50], ",") + "; rua=" + strings.Join(uris[50:], ","))
	if err != nil || !slices.Equal(r.RUA, uris[:4]) {
		t.Errorf("got %q, %v; want the first four good ones", r.RUA, err)
	}
	want := "bad-mailbox uri-scheme" + strings.Repeat(" too-many-uris", 14) + " more-problems"
	if got := reasonsOf(r); got != want {
		t.Errorf("problems %q, want %q", got, want)
	}
	if got := r.Problems[16].Text; got != "82" { // 2 + 96 - 16
		t.Errorf("%s problems are not shown, want 82", got)
	}
}

func TestRecordKeepsUnknownFieldsWithinBounds(t *testing.T) {
	r, err := ParseRecord("v=TLSRPTv1; a=1; rua=mailto:a@x.test; b=2")
	if want := []Extension{{"a", "1"}, {"b", "2"}}; err != nil || !slices.Equal(r.Extensions, want) {
		t.Errorf("got %v, %v; want %v", r.Extensions, err, want)
	}
	text := "v=TLSRPTv1; rua=mailto:a@x.test" + strings.Repeat("; f=1", 1000)
	if r, err = ParseRecord(text); err != nil || len(r.Extensions) != 64 {
		t.Errorf("%d extensions kept, %v; want 64", len(r.Extensions), err)
	}
	if _, err = ParseRecord(text + "; _=1"); reasonOf(err) != "tlsrpt-invalid" {
		t.Errorf("a malformed field after the 64th: %v", err)
	}
}

// What is skipped is shown in printable ASCII, and not at length.
func TestRecordTextsAreClean(t *testing.T) { // R16
	const hostile = "\x1b[31m\r\n\u202e\t\""
	long := strings.Repeat("\xff", 1000)
	_, err := ParseRecord("v=TLSRPTv1; " + hostile + long)
	if msg := err.Error(); !isClean(msg) || len(msg) > 512 || !strings.Contains(msg, "tlsrpt-invalid") {
		t.Errorf("%q", msg)
	}
	r, err := ParseRecord("v=TLSRPTv1; rua=" + hostile + long + ",mailto:" + strings.Repeat("a", 1000) + ",mailto:\u00e9")
	if err != nil || len(r.Problems) != 3 {
		t.Fatalf("%v, %v", r, err)
	}
	for _, p := range r.Problems {
		if !isClean(p.Text) || len(p.Text) > 128 {
			t.Errorf("%d octets: %q", len(p.Text), p.Text)
		}
	}
	if got := r.Problems[2].Text; got != "mailto:?" {
		t.Errorf("got %q, want a question mark for the letter", got)
	}
}

func isClean(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) < 0
}

func TestRecordString(t *testing.T) {
	r, err := ParseRecord("v=TLSRPTv1 ; x=y ; rua=MAILTO:a%2Bb@X.test?subject=x , https://R.test:443 ; rua=http://r.test/;")
	const want = "v=TLSRPTv1;rua=mailto:a+b@x.test,https://r.test/"
	if err != nil || r.String() != want {
		t.Errorf("%q, %v; want %q", r, err, want)
	}
	if got := (Record{Extensions: []Extension{{"a", "b"}}}).String(); got != "" {
		t.Errorf("a record that asks for nothing: %q", got)
	}
}

func TestParseRecordAllocations(t *testing.T) {
	// The list and its URI, which does not hold on to the text.
	if n := testing.AllocsPerRun(100, func() {
		if _, err := ParseRecord("v=TLSRPTv1; rua=mailto:tls@example.com"); err != nil {
			t.Fatal(err)
		}
	}); n > 2 {
		t.Errorf("%v allocations, want 2", n)
	}
}

func BenchmarkParseRecord(b *testing.B) {
	for name, txt := range map[string]string{
		"mailto": "v=TLSRPTv1; rua=mailto:tls-reports@example.com",
		"both":   "v=TLSRPTv1; rua=mailto:tls-reports@example.com,https://reports.example.com/v1/tls-rpt",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ParseRecord(txt); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// A record that parses asks for the same when it is printed and parsed again,
// and every one of its URIs is fit to use.
func FuzzParseRecord(f *testing.F) {
	for _, s := range []string{
		"v=TLSRPTv1; rua=mailto:a@x.test", "v=TLSRPTv1;rua=https://r.test/?a=1;b=2;", "v=TLSRPTv1 ; rua=mailto:%22a%2C%5C%22b%22@x.test , HTTPS://R.test:443",
		"v=TLSRPTv1; rua=mailto:a%21b%2Bc%25d@x.test!10m,a@x.test; rua=mailto:a@b%C3%BCcher.test?to=b@x.test", "v=TLSRPTv1;;", "v=TLSRPTv1; rua=",
		"v=TLSRPTv1; rua=https://[::1]/,https://u@r.test/,https://r.test/#f,mailto:a@[192.0.2.1]", "v=TLSRPTv2; rua=mailto:a@x.test", "",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseRecord(s)
		if err != nil {
			if msg := err.Error(); reasonOf(err) == "" || !isClean(msg) || len(msg) > 512 {
				t.Fatalf("%q: %q", s, msg)
			}
			return
		}
		if len(r.RUA) > 4 || len(r.Problems) > 17 || len(r.Extensions) > 64 {
			t.Fatalf("%q: over a bound: %v", s, r)
		}
		for _, p := range r.Problems {
			if !isClean(p.Text) || len(p.Text) > 128 || Advice(Failure{Reason: p.Reason}) == "" {
				t.Fatalf("%q: problem %q", s, p)
			}
		}
		for _, uri := range r.RUA {
			address, ok := Mailbox(uri)
			if ok != strings.HasPrefix(uri, "mailto:") || !ok && !strings.HasPrefix(uri, "https://") {
				t.Fatalf("%q: %q is %q, %v", s, uri, address, ok)
			}
			if !isClean(address) || len(address) > 254 || strings.ContainsAny(uri, " ,;!\"<>") || ok && strings.ContainsAny(address[:1], "-|/") {
				t.Fatalf("%q: %q is %q", s, uri, address)
			}
		}
		if len(r.RUA) == 0 {
			return
		}
		again, err := ParseRecord(r.String())
		if err != nil || !slices.Equal(again.RUA, r.RUA) || len(again.Problems) != 0 {
			t.Fatalf("%q: %v, and again %v, %v", s, r, again, err)
		}
	})
}
