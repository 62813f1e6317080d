package mtasts

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// with returns the text of a good policy with one line more, or with another
// one in its place.
func with(line string) string {
	key, _, _ := strings.Cut(line, ":")
	text := ""
	for _, l := range []string{"version: STSv1", "mode: enforce", "mx: mx.example.com", "max_age: 86400"} {
		if k, _, _ := strings.Cut(l, ":"); k != strings.TrimSpace(key) {
			text += l + "\n"
		}
	}
	return text + line + "\n"
}

func TestParsePolicy(t *testing.T) {
	const (
		version, mode, mx, age = "version: STSv1\n", "mode: enforce\n", "mx: mx.example.com\n", "max_age: 86400\n"
		good                   = version + mode + mx + age
	)
	for _, c := range []struct {
		name, in string
		reason   string // of the refusal
	}{
		{"four lines make a policy", good, ""},
		{"it has a version", mode + mx + age, "missing-version"},                                      // STS-60
		{"case counts in the version", with("version: stsv1"), "bad-version"},                         // STS-60
		{"another version is not ours", with("version: STSv2"), "bad-version"},                        // STS-60
		{"nothing follows the version", with("version: STSv1; mode: none"), "bad-version"},            // STS-60
		{"it has a mode", version + mx + age, "missing-mode"},                                         // STS-61
		{"case counts in the mode", with("mode: Enforce"), "bad-mode"},                                // STS-61
		{"the mode of an old draft is none", with("mode: report"), "bad-mode"},                        // STS-61
		{"the mode is not empty", with("mode:"), "bad-mode"},                                          // STS-61
		{"a mode in brackets is none", with("mode: [testing]"), "bad-mode"},                           // STS-61
		{"a comment after the mode makes it none", with("mode: enforce # or testing"), "bad-mode"},    // STS-61
		{"it has a max_age", version + mode + mx, "missing-max-age"},                                  // STS-62
		{"max_age has no sign", with("max_age: -1"), "bad-max-age"},                                   // STS-62
		{"not even a plus", with("max_age: +1"), "bad-max-age"},                                       // STS-62
		{"max_age is whole", with("max_age: 1.5"), "bad-max-age"},                                     // STS-62
		{"max_age has no unit", with("max_age: 7d"), "bad-max-age"},                                   // STS-62
		{"max_age is not empty", with("max_age:"), "bad-max-age"},                                     // STS-62
		{"max_age has at most 10 digits", with("max_age: 00000000001"), "bad-max-age"},                // STS-62
		{"max_age has ASCII digits", with("max_age: \u0661"), "bad-max-age"},                          // STS-62
		{"a carriage return alone ends no line", strings.ReplaceAll(good, "\n", "\r"), "bad-version"}, // STS-63
		{"it is part of the value", with("mode: enforce\rmode: none"), "bad-mode"},                    // STS-63
		{"the last terminator is a whole one", strings.TrimSuffix(good, "\n") + "\r", "bad-max-age"},  // STS-63
		{"case counts in the key version", with("Version: STSv1")[len(version):], "missing-version"},  // STS-68
		{"case counts in the key mode", version + "MODE: enforce\n" + mx + age, "missing-mode"},       // STS-68
		{"case counts in the key mx", version + mode + "MX: mx.example.com\n" + age, "missing-mx"},    // STS-68
		{"case counts in the key max_age", version + mode + mx + "Max_Age: 1\n", "missing-max-age"},   // STS-68
		{"max-age is not max_age", version + mode + mx + "max-age: 1\n", "missing-max-age"},           // STS-68
		{"a bad first mode is not made good by a second", "mode: garbage\n" + good, "bad-mode"},       // STS-70
		{"nor is a bad first version", "version: STSv2\n" + good, "bad-version"},                      // STS-70
		{"nor a bad first max_age", "max_age: 1d\n" + good, "bad-max-age"},                            // STS-70
		{"a list is no pattern", with("mx: a.example, b.example"), "bad-mx"},                          // STS-72
		{"nor are two hosts", with("mx: a.example b.example"), "bad-mx"},                              // STS-72
		{"nor is an item of a YAML list", version + mode + age + "mx:\n  - a.example\n", "bad-mx"},    // STS-72
		{"nor is a host with its priority", with("mx: Priority 10: a.example"), "bad-mx"},             // STS-72
		{"enforce needs an mx", version + mode + age, "missing-mx"},                                   // STS-73
		{"so does testing", version + "mode: testing\n" + age, "missing-mx"},                          // STS-73
		{"a misspelt mx is none", version + mode + age + "nmx: a.example\n", "missing-mx"},            // STS-73
		{"mode none needs no mx", version + "mode: none\n" + age, ""},                                 // STS-74, AMB-15
		{"and may have some", version + "mode: none\n" + age + mx, ""},                                // STS-74
		{"it needs a max_age", version + "mode: none\n", "missing-max-age"},                           // STS-74
		{"it needs a version", "mode: none\n" + age, "missing-version"},                               // STS-74
		{"an empty body is no policy", "", "empty-policy"},                                            // STS-79
		{"nor are blank lines", "\uFEFF\r\n \t\n\n", "empty-policy"},                                  // STS-79
		{"nor is a page", "<!DOCTYPE html>\n<p>version: STSv1</p>\n", "html"},                         // STS-79
		{"nor is JSON", "{\"version\": \"STSv1\",\n\"mode\": \"enforce\"}\n", "json"},                 // STS-79
		{"nor is UTF-16", "\xff\xfev\x00e\x00r\x00s\x00", "utf-16"},                                   // STS-79
		{"nor is UTF-16 of the other order", "\xfe\xff\x00v\x00e\x00r", "utf-16"},                     // STS-79
		{"nor is UTF-16 without its mark", "v\x00e\x00r\x00s\x00", "utf-16"},                          // STS-79
		{"a byte is no policy", "v", "missing-version"},
		{"a text of 64 KiB is read", good + strings.Repeat("#", 64<<10-len(good)), ""},                           // R11
		{"a longer one is refused, not cut", good + strings.Repeat("#", 64<<10-len(good)+1), "policy-too-large"}, // R11
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := ParsePolicy(c.in)
			if got := reasonOf(err); got != c.reason {
				t.Errorf("ParsePolicy(%.200q): reason %q, want %q", c.in, got, c.reason)
			}
			if (p == nil) != (err != nil) {
				t.Errorf("ParsePolicy(%.200q) = %v, %v", c.in, p, err)
			}
		})
	}
}

// A clean policy has no problems, whichever of its spellings is used.
func TestPolicySpellings(t *testing.T) {
	for _, c := range []struct{ name, in string }{
		{"LF", "version: STSv1\nmode: testing\nmx: a.example\nmx: *.b.example\nmax_age: 604800\n"},                                  // STS-63
		{"CRLF", "version: STSv1\r\nmode: testing\r\nmx: a.example\r\nmx: *.b.example\r\nmax_age: 604800\r\n"},                      // STS-63
		{"both", "version: STSv1\r\nmode: testing\nmx: a.example\r\nmx: *.b.example\nmax_age: 604800\r\n"},                          // STS-63
		{"no last terminator", "version: STSv1\nmode: testing\nmx: a.example\nmx: *.b.example\nmax_age: 604800"},                    // STS-64
		{"no blank after the colon", "version:STSv1\nmode:testing\nmx:a.example\nmx:*.b.example\nmax_age:604800\n"},                 // STS-65
		{"many, and at the end", "version:  STSv1 \nmode:\t\ttesting \t\nmx: a.example\t\nmx: *.b.example \nmax_age: 604800  \r\n"}, // STS-65
		{"another order", "max_age: 604800\nmx: a.example\nmode: testing\nmx: *.b.example\nversion: STSv1\n"},                       // STS-67
		{"upper-case hosts", "version: STSv1\nmode: testing\nmx: A.Example\nmx: *.B.EXAMPLE\nmax_age: 604800\n"},
		{"leading zeros", "version: STSv1\nmode: testing\nmx: a.example\nmx: *.b.example\nmax_age: 0000604800\n"}, // STS-62
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := ParsePolicy(c.in)
			if err != nil {
				t.Fatal(err)
			}
			if p.Mode != ModeTesting || !slices.Equal(p.MX, []string{"a.example", "*.b.example"}) || p.MaxAge != 7*24*time.Hour || len(p.Problems) != 0 || len(p.Extensions) != 0 {
				t.Errorf("got %+v", p)
			}
		})
	}
}

func TestMaxAge(t *testing.T) {
	for _, c := range []struct {
		in      string
		want    time.Duration
		problem string
	}{
		{"0", 0, ""},                                             // STS-78, AMB-11
		{"1", time.Second, ""},                                   //
		{"31557600", 31557600 * time.Second, ""},                 // STS-77
		{"31557601", 31557600 * time.Second, "max-age-capped"},   // AMB-12
		{"9999999999", 31557600 * time.Second, "max-age-capped"}, // AMB-12
		{"4294967297", 31557600 * time.Second, "max-age-capped"}, // no overflow
		{"0000000000", 0, ""},                                    //
	} {
		p, err := ParsePolicy(with("max_age: " + c.in))
		if err != nil {
			t.Errorf("%s: %v", c.in, err)
			continue
		}
		if p.MaxAge != c.want || reasons(p) != c.problem {
			t.Errorf("%s: %v, %q; want %v, %q", c.in, p.MaxAge, reasons(p), c.want, c.problem)
		}
	}
}

func reasons(p *Policy) string {
	var r []string
	for _, problem := range p.Problems {
		r = append(r, problem.Reason)
	}
	return strings.Join(r, " ")
}

// What is odd and decides nothing is skipped, and said; the rest of the policy
// holds (AMB-13, AMB-14).
func TestLeniency(t *testing.T) {
	const clean = "version: STSv1\nmode: enforce\nmx: mx.example.com\nmax_age: 86400\n"
	for _, c := range []struct {
		name, in string
		problems string
	}{
		{"a blank line at the end", clean + "\n", "blank-line"},
		{"blank lines within", strings.ReplaceAll(clean, "\nmode", "\r\n \t\r\n\nmode"), "blank-line blank-line"},
		{"a byte order mark", "\uFEFF" + clean, "byte-order-mark"},
		{"an indented line counts", strings.ReplaceAll(clean, "mx:", "  mx:"), "indented-line"},            // STS-66
		{"also with a tab", strings.ReplaceAll(clean, "mode:", "\tmode:"), "indented-line"},                // STS-66
		{"a blank before the colon", strings.ReplaceAll(clean, "mode:", "mode \t:"), "blank-before-colon"}, // STS-66
		{"a comment", "# mode: none\n" + clean, "bad-line"},
		{"a comment without a colon", clean + "# redeploy", "bad-line"},
		{"an mx in a comment is no mx", "#mx: evil.example\n# mx: evil.example\n" + clean, "bad-line bad-line"}, // STS-82
		{"YAML front matter", "---\nlayout: none\n---\n\n" + clean, "bad-line bad-line blank-line"},
		{"a lone key", clean + "version\n", "bad-line"},
		{"bytes that are no UTF-8", clean + "note: caf\xe9\n", "bad-line"},                                          // STS-69
		{"an unknown field without a value", clean + "note: \t\n", "bad-line"},                                      // STS-69
		{"a tab within a value", clean + "note: a\tb\n", "bad-line"},                                                // STS-69
		{"a name of 33 characters", clean + strings.Repeat("n", 33) + ": a\n", "bad-line"},                          // STS-69
		{"a later mode is not looked at", clean + "mode: none\nmode: garbage\n", "duplicate-field duplicate-field"}, // STS-70, AMB-16
		{"nor is a later max_age", clean + "max_age: 1\nmax_age: x\n", "duplicate-field duplicate-field"},           // STS-70, AMB-16
		{"nor is a later version", clean + "version: STSv2\n", "duplicate-field"},                                   // STS-70, AMB-16
		{"a bad mx among good ones", clean + "mx: alt*.example.com\n", "bad-mx"},                                    // AMB-14, STS-82
		{"also before them", "mx: *\n" + clean, "bad-mx"},                                                           // AMB-14, STS-82
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := ParsePolicy(c.in)
			if err != nil {
				t.Fatal(err)
			}
			if p.Mode != ModeEnforce || p.MaxAge != 24*time.Hour || !slices.Equal(p.MX, []string{"mx.example.com"}) {
				t.Errorf("got %+v", p)
			}
			if got := reasons(p); got != c.problems {
				t.Errorf("problems %q, want %q", got, c.problems)
			}
		})
	}
}

func TestProblemNamesItsLine(t *testing.T) {
	p, err := ParsePolicy("version: STSv1\r\nmode: enforce\r\n\r\nmx: a.example\r\n mx: b.\x1b\u00fc\texample\r\nmax_age: 1\r\n")
	if err != nil {
		t.Fatal(err)
	}
	want := []Problem{
		{3, "blank-line", ""},
		{5, "indented-line", " mx: b.?? example"},
		{5, "bad-mx", " mx: b.?? example"},
	}
	if !slices.Equal(p.Problems, want) {
		t.Errorf("got %v, want %v", p.Problems, want)
	}
}

func TestUnknownFieldsAreIgnored(t *testing.T) { // STS-69
	name32 := strings.Repeat("n", 32)
	p, err := ParsePolicy(with("foo: bar  baz\nkaffee: caf\u00e9 :=;\n" + name32 + ":x\nfoo: \x00\nMode: none"))
	want := []Extension{{"foo", "bar  baz"}, {"kaffee", "caf\u00e9 :=;"}, {name32, "x"}, {"Mode", "none"}}
	if err != nil || !slices.Equal(p.Extensions, want) || reasons(p) != "duplicate-field" {
		t.Errorf("got %+v, %v; want %q", p, err, want)
	}
}

func TestPatterns(t *testing.T) {
	label := strings.Repeat("a", 63)
	long := strings.Repeat(label+".", 3) + strings.Repeat("b", 61) // 253
	for pattern, want := range map[string]bool{
		"mail.example.com": true, "*.example.com": true, "MX.Example.com": true, "localhost": true, "*.example": true,
		"1-2.example": true, "3com.example": true, "a--b.example": true, label + ".example": true, long: true, "*." + long[2:]: true,
		"mx.xn--bcher-kva.example": true,  // STS-76
		"mx.b\u00fccher.example":   false, // STS-76
		// STS-75
		"": false, "*": false, "*.": false, "mx*.e.test": false, "*.*.e.test": false, "a.*.e.test": false, ".e.test": false, "*..e.test": false,
		"e.test.": false, ".": false, "mx_1.e.test": false, "mx-.e.test": false, "-mx.e.test": false, "mx.e.test-": false, "*.-e.test": false,
		"[192.0.2.1]": false, "*e.test": false, "mx..e.test": false, "2001:db8::1": false, "mx.e.test:25": false, "<mx>.e.test": false,
		label + "a.example": false, long + "b": false, "*." + long: false, "mx.e.test\x00": false, "\u212a.example": false, "://e.test": false,
		"mx.e.test # comment": false,
	} {
		p, err := ParsePolicy(with("mx: " + pattern))
		if (err == nil) != want {
			t.Errorf("mx %q: %v, want valid: %v", pattern, err, want)
			continue
		}
		if !want {
			if reasonOf(err) != "bad-mx" {
				t.Errorf("mx %q: %v", pattern, err)
			}
			if p, err := ParsePolicy(with("mx: good.example\nmx: " + pattern)); err != nil || !slices.Equal(p.MX, []string{"good.example"}) {
				t.Errorf("mx %q beside a good one: %v, %v", pattern, p, err)
			}
			continue
		}
		if !slices.Equal(p.MX, []string{strings.ToLower(pattern)}) || len(p.Problems) != 0 {
			t.Errorf("mx %q: got %q, %v", pattern, p.MX, p.Problems)
		}
	}
}

func TestEveryMXCounts(t *testing.T) { // STS-71
	p, err := ParsePolicy(with("mx: b.example\nmx: a.example\nmx: b.example"))
	if want := []string{"b.example", "a.example", "b.example"}; err != nil || !slices.Equal(p.MX, want) || len(p.Problems) != 0 {
		t.Errorf("got %+v, %v; want %q", p, err, want)
	}
}

// A pattern with the shape of an address is well-formed, so the policy holds; it
// only names nobody.
func TestAddressAsPattern(t *testing.T) {
	p, err := ParsePolicy(with("mx: 192.0.2.1"))
	if err != nil || p.Match("192.0.2.1") || reasons(p) != "mx-ip-address" { // STS-117
		t.Errorf("got %+v, %v", p, err)
	}
}

// STS-81, R11: whatever is served, a policy has a size.
func TestPolicyBounds(t *testing.T) {
	const head = "version: STSv1\nmode: enforce\nmax_age: 1\n"
	fill := func(format string) string {
		var b strings.Builder
		b.WriteString(head)
		for i := 0; ; i++ {
			line := fmt.Sprintf(format, i)
			if b.Len()+len(line) > 64<<10 {
				return b.String()
			}
			b.WriteString(line)
		}
	}
	t.Run("mx", func(t *testing.T) {
		p, err := ParsePolicy(fill("mx: mx%d.example\n"))
		if err != nil || len(p.MX) != 1000 || cap(p.MX) != 1000 || p.MX[999] != "mx999.example" || reasons(p) != "too-many-mx" {
			t.Errorf("%d mx, %v, %v", len(p.MX), p.Problems, err)
		}
	})
	t.Run("extensions", func(t *testing.T) {
		p, err := ParsePolicy(fill("mx: a.example\next%d: x\n"))
		if err != nil || len(p.Extensions) != 64 || cap(p.Extensions) != 64 || p.Extensions[63].Name != "ext63" {
			t.Errorf("%d extensions, %v", len(p.Extensions), err)
		}
	})
	t.Run("problems", func(t *testing.T) {
		p, err := ParsePolicy(head + "mx: a.example\n" + strings.Repeat("junk\n", 100))
		if err != nil || len(p.Problems) != 33 || cap(p.Problems) != 33 || p.Problems[32] != (Problem{0, "more-problems", "68 more"}) {
			t.Errorf("%v, %v", p.Problems, err)
		}
		p, err = ParsePolicy(head + "mx: a.example\n" + strings.Repeat("junk\n", 32))
		if err != nil || len(p.Problems) != 32 || p.Problems[31].Reason != "bad-line" {
			t.Errorf("%v, %v", p.Problems, err)
		}
	})
	t.Run("text", func(t *testing.T) {
		text := fill("mx: mx%d.example\r\n")
		p, err := ParsePolicy(text)
		if err != nil {
			t.Fatal(err)
		}
		lines := p.Lines()
		kept := len(strings.Join(lines, "\r\n")) + 2
		if kept > 8<<10 || kept < 8<<10-100 || !slices.Equal(lines, strings.Split(strings.ReplaceAll(text, "\r", ""), "\n")[:len(lines)]) {
			t.Errorf("%d bytes kept in %d lines", kept, len(lines))
		}
	})
	t.Run("one long line", func(t *testing.T) {
		p, err := ParsePolicy(strings.Repeat("\u00fc", 8000) + "\n" + head + "mx: a.example\n")
		if err != nil {
			t.Fatal(err)
		}
		if lines := p.Lines(); len(lines) != 1 || len(lines[0]) > 8<<10 || !utf8.ValidString(lines[0]) {
			t.Errorf("%d lines", len(lines))
		}
	})
	t.Run("its text says so when nothing else would", func(t *testing.T) {
		p, err := ParsePolicy(head + "mx: a.example\n" + strings.Repeat("x", 9000))
		if err != nil || len(p.Problems) != 1 || len(p.Problems[0].Text) != 128 { // R16
			t.Errorf("%v, %v", p.Problems, err)
		}
	})
}
