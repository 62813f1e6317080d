package mtasts

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestParseRecord(t *testing.T) {
	id32 := strings.Repeat("aZ09", 8)
	name32 := "a" + strings.Repeat("_-.9", 7) + "xyz"
	for _, c := range []struct {
		name, in string
		id       string // "": refused
		reason   string
	}{
		{"a record has a version and an id", "v=STSv1; id=20260417T000000;", "20260417T000000", ""},
		{"blanks around the semicolon are optional", "v=STSv1;id=1", "1", ""},
		{"case counts in the version tag", "V=STSv1; id=1", "", "bad-record"},                        // STS-18
		{"case counts in the version", "v=stsv1; id=1", "", "bad-record"},                            // STS-18
		{"the version comes first", "id=1; v=STSv1", "", "bad-record"},                               // STS-18
		{"a longer version is another one", "v=STSv10; id=1", "", "bad-record"},                      // STS-18
		{"no blank before the version", " v=STSv1; id=1", "", "bad-record"},                          // STS-18
		{"no blanks around its equals sign", "v = STSv1; id=1", "", "bad-record"},                    // STS-18
		{"a higher version is not ours", "v=STSv2; id=1", "", "bad-record"},                          // STS-19
		{"an id is required", "v=STSv1", "", "missing-id"},                                           // STS-20
		{"a semicolon is no id", "v=STSv1;", "", "missing-id"},                                       // STS-20
		{"another field is no id", "v=STSv1; foo=bar", "", "missing-id"},                             // STS-20
		{"an id has up to 32 letters and digits", "v=STSv1; id=" + id32, id32, ""},                   // STS-21
		{"33 are too many", "v=STSv1; id=" + id32 + "x", "", "bad-id"},                               // STS-21
		{"an id is not empty", "v=STSv1; id=", "", "bad-id"},                                         // STS-21
		{"an id has no underscore", "v=STSv1; id=a_b", "", "bad-id"},                                 // STS-21
		{"an id has no hyphen", "v=STSv1; id=2020-01-01", "", "bad-id"},                              // STS-21, AMB-02
		{"case counts in id", "v=STSv1; ID=1", "", "missing-id"},                                     // STS-22
		{"no blanks around its equals sign either", "v=STSv1; id = 1", "", "bad-record"},             // STS-22
		{"the order of the fields is free", "v=STSv1; foo=bar; id=1", "1", ""},                       // STS-23
		{"unknown fields are ignored", "v=STSv1; id=1; a.b-c_d=!", "1", ""},                          // STS-24
		{"their names have up to 32 characters", "v=STSv1; id=1; " + name32 + "=~", "1", ""},         // STS-24
		{"33 are too many", "v=STSv1; id=1; " + name32 + "x=1", "", "bad-record"},                    // STS-25
		{"no equals sign in their values", "v=STSv1; id=1; foo=b=c", "", "bad-record"},               // STS-25
		{"no blank in their values", "v=STSv1; id=1; foo=a b", "", "bad-record"},                     // STS-25
		{"their values are not empty", "v=STSv1; id=1; foo=", "", "bad-record"},                      // STS-25
		{"they have a value", "v=STSv1; id=1; foo", "", "bad-record"},                                // STS-25
		{"their names begin with a letter or digit", "v=STSv1; id=1; _x=1", "", "bad-record"},        // STS-25
		{"tabs separate as blanks do", "v=STSv1\t;\tid=1", "1", ""},                                  // STS-26
		{"a semicolon may end the record", "v=STSv1; id=1;", "1", ""},                                // STS-27
		{"blanks may follow it", "v=STSv1; id=1; ", "1", ""},                                         // STS-27
		{"no field is empty", "v=STSv1;; id=1", "", "bad-record"},                                    // STS-28
		{"also not at the end", "v=STSv1; id=1;;", "", "bad-record"},                                 // STS-28
		{"also not with a blank", "v=STSv1; id=1; ;", "", "bad-record"},                              // STS-28
		{"no blank ends the record", "v=STSv1; id=1 ", "", "bad-record"},                             // STS-28
		{"also not after a field that does not count", "v=STSv1; id=1; id=2 ", "", "bad-record"},     // STS-28
		{"a record is ASCII", "v=STSv1; id=1; foo=caf\u00e9", "", "bad-record"},                      // STS-29
		{"in its names, too", "v=STSv1; id=1; \u00e9=1", "", "bad-record"},                           // STS-29
		{"and in the id", "v=STSv1; id=\u0661", "", "bad-id"},                                        // STS-29
		{"the first id counts", "v=STSv1; id=1; id=2", "1", ""},                                      // STS-30
		{"a second version is ignored", "v=STSv1; id=1; v=STSv2", "1", ""},                           // STS-30
		{"later duplicates are not looked at", "v=STSv1; id=1; id=a b=c; foo=1; foo=a=b", "1", ""},   // STS-30
		{"a malformed first id is not made good by a second", "v=STSv1; id=a-b; id=2", "", "bad-id"}, // STS-31
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := ParseRecord(c.in)
			if r.ID != c.id {
				t.Errorf("ParseRecord(%q) = %q, want %q", c.in, r.ID, c.id)
			}
			if got := reasonOf(err); got != c.reason {
				t.Errorf("ParseRecord(%q): reason %q, want %q", c.in, got, c.reason)
			}
			if err != nil && len(r.Extensions) != 0 {
				t.Errorf("ParseRecord(%q) = %v beside an error", c.in, r)
			}
		})
	}
}

// reasonOf returns the reason of a *ParseError, "" for nil.
func reasonOf(err error) string {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*ParseError](err); ok {
		return e.Reason
	}
	return "not a *ParseError: " + err.Error()
}

func TestRecordKeepsUnknownFieldsWithinBounds(t *testing.T) {
	r, err := ParseRecord("v=STSv1; a=1; id=x; b=2; a=3")
	want := []Extension{{"a", "1"}, {"b", "2"}}
	if err != nil || !slices.Equal(r.Extensions, want) {
		t.Errorf("got %v, %v; want %v", r.Extensions, err, want)
	}
	var b strings.Builder
	b.WriteString("v=STSv1; id=x")
	for i := range 1000 {
		fmt.Fprintf(&b, "; f%d=1", i)
	}
	r, err = ParseRecord(b.String())
	if err != nil || len(r.Extensions) != 64 { // R11
		t.Errorf("%d extensions kept, %v; want 64", len(r.Extensions), err)
	}
	if _, err = ParseRecord(b.String() + "; _=1"); reasonOf(err) != "bad-record" {
		t.Errorf("a malformed field after the 64th: %v", err)
	}
}

// The three ways in which an RRset holds no record are told apart.
func TestSelectRecord(t *testing.T) {
	for _, c := range []struct {
		name string
		in   []string
		id   string
		err  error
	}{
		{"no records", nil, "", errTXTNone},                                                                      // STS-15
		{"one record", []string{"v=STSv1; id=1"}, "1", nil},                                                      // STS-14
		{"unrelated records are dropped", []string{"v=spf1 -all", "v=STSv1; id=1"}, "1", nil},                    // STS-14
		{"unrelated records alone are none", []string{"v=spf1 -all"}, "", errTXTNone},                            // STS-14
		{"two identical ones are none", []string{"v=STSv1; id=1", "v=STSv1; id=1"}, "", errTXTMultiple},          // STS-15
		{"a malformed one counts", []string{"v=STSv1; id=1", "v=STSv1; id=bad-id"}, "", errTXTMultiple},          // STS-15
		{"one that is malformed is none", []string{"v=STSv1; id=2020-01-01"}, "", errTXTInvalid},                 // STS-16
		{"also beside an unrelated one", []string{"v=spf1 -all", "v=STSv1; id=2020-01-01"}, "", errTXTInvalid},   // STS-16
		{"a version without a semicolon is malformed", []string{"v=STSv1 id=1"}, "", errTXTInvalid},              // STS-16
		{"another version beside ours does not count", []string{"v=STSv2; id=1", "v=STSv1; id=2"}, "2", nil},     // STS-19
		{"another version is none", []string{"v=STSv2; id=1"}, "", errTXTNone},                                   // STS-19
		{"a single one may have a blank before the semicolon", []string{"v=STSv1 ; id=1"}, "1", nil},             // AMB-01
		{"one of several may not", []string{"v=STSv1 ; id=1", "v=spf1 -all"}, "", errTXTNone},                    // AMB-01
		{"and does not stand in the way of a better one", []string{"v=STSv1 ; id=1", "v=STSv1; id=2"}, "2", nil}, // AMB-01
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := selectRecord(c.in)
			if r.ID != c.id || !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
				t.Errorf("selectRecord(%q) = %q, %v; want %q, %v", c.in, r.ID, err, c.id, c.err)
			}
			if c.err == errTXTInvalid && reasonOf(err) == "" {
				t.Errorf("selectRecord(%q): %v does not say what to fix", c.in, err)
			}
		})
	}
}

// R16: what a record says is shown in one line of printable ASCII.
func TestRecordErrorIsClean(t *testing.T) {
	_, err := ParseRecord("v=STSv1; id=\x1b[31m\r\n\u202e" + strings.Repeat("\xff", 1000))
	if msg := err.Error(); !isPrintable(msg) || len(msg) > 512 || !strings.Contains(msg, "bad-id") {
		t.Errorf("%q", msg)
	}
}

func TestParseRecordAllocations(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() {
		if _, err := ParseRecord("v=STSv1; id=20260417T000000;"); err != nil {
			t.Fatal(err)
		}
	}); n > 1 { // the id, so that it does not hold on to the text
		t.Errorf("%v allocations, want 1", n)
	}
	if n := testing.AllocsPerRun(100, func() {
		if _, err := selectRecord(nil); err != errTXTNone {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations for an absence, want 0", n)
	}
}

func BenchmarkParseRecord(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseRecord("v=STSv1; id=20260417T000000;"); err != nil {
			b.Fatal(err)
		}
	}
}

// A record that parses is the same when it is printed and parsed again.
func FuzzParseRecord(f *testing.F) {
	for _, s := range []string{
		"v=STSv1; id=20260417T000000;", "v=STSv1;id=1;a=b;c=d", "v=STSv1 ; id=1 ; ", "v=STSv1; id=1; id=2", "v=STSv1; id=a-b",
		"v=STSv1;;", "v=STSv1", "v=STSv2; id=1", "v=STSv1; id=1; foo=b=c", "v=STSv1; \xff=1; id=1", "",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseRecord(s)
		if err != nil {
			if msg := err.Error(); reasonOf(err) == "" || !isPrintable(msg) || len(msg) > 512 {
				t.Fatalf("%q: %q", s, msg)
			}
			return
		}
		text := "v=STSv1; id=" + r.ID
		for _, e := range r.Extensions {
			text += "; " + e.Name + "=" + e.Value
		}
		again, err := ParseRecord(text)
		if err != nil || again.ID != r.ID || !slices.Equal(again.Extensions, r.Extensions) {
			t.Fatalf("%q: %v, and again %v, %v", s, r, again, err)
		}
	})
}
