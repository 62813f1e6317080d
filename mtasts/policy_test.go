package mtasts

import (
	"bytes"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
	"unsafe"
)

// A policy holds on to the text it keeps and to no other.
func TestPolicyPinsNothing(t *testing.T) {
	inside := func(s, in string) bool {
		a, b := uintptr(unsafe.Pointer(unsafe.StringData(s))), uintptr(unsafe.Pointer(unsafe.StringData(in)))
		return s != "" && b <= a && a < b+uintptr(len(in))
	}
	small := with("mx: A.example\nnote: b\nmx: c.example\njunk")
	for _, text := range []string{small, small + strings.Repeat("x", 60<<10)} {
		p, err := ParsePolicy(text)
		if err != nil {
			t.Fatal(err)
		}
		kept := append(slices.Clone(p.MX), p.text, string(p.Mode), p.Extensions[0].Name, p.Extensions[0].Value, p.Problems[0].Text, p.Problems[0].Reason)
		for _, s := range kept {
			if inside(s, text) {
				t.Errorf("%.20q is part of the text of %d bytes", s, len(text))
			}
		}
		if whole := len(text) < 8<<10; inside(p.MX[1], p.text) != whole {
			t.Errorf("mx is part of the kept text: %v, want %v", !whole, whole)
		}
		if cap(p.MX) != len(p.MX) || cap(p.Extensions) != len(p.Extensions) || cap(p.Problems) != len(p.Problems) {
			t.Errorf("spare capacity: %d %d %d", cap(p.MX), cap(p.Extensions), cap(p.Problems))
		}
	}
	if size := unsafe.Sizeof(Policy{}); size > 112 { // a size class of the allocator
		t.Errorf("a Policy has %d bytes", size)
	}
	_, err := ParsePolicy(with("mode: " + strings.Repeat("x", 100)))
	if e := err.(*ParseError); inside(e.Text, small) || len(e.Text) > 128 {
		t.Errorf("%q", e.Text)
	}
}

// STS-80, RPT-71: a report shows the lines as served, all of them.
func TestLines(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     []string
	}{
		{"as served", "Version: x\r\n\r\n# c\nversion: STSv1\nmode:  none \t\r\nmax_age: 1",
			[]string{"Version: x", "", "# c", "version: STSv1", "mode:  none \t", "max_age: 1"}},
		{"the last terminator begins no line", "version: STSv1\nmode: none\nmax_age: 1\n",
			[]string{"version: STSv1", "mode: none", "max_age: 1"}},
		{"a blank line at the end is one", "version: STSv1\nmode: none\nmax_age: 1\n\n",
			[]string{"version: STSv1", "mode: none", "max_age: 1", ""}},
		{"what is no UTF-8 is replaced", "version: STSv1\nmode: none\nmax_age: 1\nx: \xe9\xff!\n",
			[]string{"version: STSv1", "mode: none", "max_age: 1", "x: \ufffd!"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := ParsePolicy(c.in)
			if err != nil {
				t.Fatal(err)
			}
			if got := p.Lines(); !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	p := &Policy{Mode: ModeTesting, MX: []string{"a.example"}, MaxAge: time.Minute}
	if got, want := p.Lines(), []string{"version: STSv1", "mode: testing", "mx: a.example", "max_age: 60"}; !slices.Equal(got, want) {
		t.Errorf("a policy made by hand: %q, want %q", got, want)
	}
	if servedLines("") != nil {
		t.Error("an empty text has no lines")
	}
}

func TestString(t *testing.T) {
	p, err := ParsePolicy("\uFEFFmax_age:0001\n junk\n\nnote:x  y\nmode:enforce\nmx:A.example\nversion:STSv1\nmx:*.b.example")
	if err != nil {
		t.Fatal(err)
	}
	const want = "version: STSv1\nmode: enforce\nmx: a.example\nmx: *.b.example\nmax_age: 1\nnote: x  y\n"
	if got := p.String(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// The canonical text of a policy that just fitted into 64 KiB fits, too.
func TestStringFits(t *testing.T) {
	text := "version:STSv1\nmode:enforce\nmax_age:31557600\n" + strings.Repeat("mx:a\n", 999) + "mx:b\nx:"
	text += strings.Repeat("y", 64<<10-len(text))
	p, err := ParsePolicy(text)
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParsePolicy(p.String())
	if err != nil || !samePolicy(p, again) {
		t.Errorf("%d bytes: %v", len(p.String()), err)
	}
}

func samePolicy(a, b *Policy) bool {
	return a.Mode == b.Mode && a.MaxAge == b.MaxAge && slices.Equal(a.MX, b.MX) && slices.Equal(a.Extensions, b.Extensions)
}

func TestPolicyLogValue(t *testing.T) {
	var b bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
	p, err := ParsePolicy(with(strings.Repeat("mx: a.example\n", 10) + "junk"))
	if err != nil {
		t.Fatal(err)
	}
	logger.Info("x", "policy", p)
	logger.Info("x", "policy", (*Policy)(nil))
	for _, want := range []string{"policy.mode=enforce", "a.example", "policy.max_age=24h", "policy.more_mx=2", "policy.problems=1", "policy=none"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%s has no %s", b.String(), want)
		}
	}
}

func TestParseErrorIsCleanAndBounded(t *testing.T) { // R16
	for _, text := range []string{
		with("mode: \x1b[2J" + strings.Repeat("\u202e\"", 1000)),
		with("version: \t" + strings.Repeat("\\\"", 1000)),
		strings.Repeat("\xff", 5000), "<html>" + strings.Repeat("\"", 500),
	} {
		_, err := ParsePolicy(text)
		if msg := err.Error(); !isPrintable(msg) || len(msg) > 512 || strings.Contains(msg, "\n") {
			t.Errorf("%d bytes: %q", len(msg), msg)
		}
	}
	_, err := ParsePolicy("version: STSv1\nmode: enforced\n")
	if got, want := err.Error(), `mtasts: policy line 2: bad-mode: "mode: enforced"`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// R29: a change that gives up what the old policy protected is told apart.
func TestWeakens(t *testing.T) {
	policy := func(m Mode, mx ...string) *Policy { return &Policy{Mode: m, MX: mx} }
	for _, c := range []struct {
		name      string
		old, next *Policy
		want      bool
	}{
		{"the first policy weakens nothing", nil, policy(ModeNone), false},
		{"the same does not", policy(ModeEnforce, "a", "b"), policy(ModeEnforce, "a", "b"), false},
		{"order and repetition do not count", policy(ModeEnforce, "a", "b", "c", "a"), policy(ModeEnforce, "c", "b", "a"), false},
		{"a higher mode does not", policy(ModeTesting, "a"), policy(ModeEnforce, "a"), false},
		{"testing for enforce does", policy(ModeEnforce, "a"), policy(ModeTesting, "a"), true},
		{"none for enforce does", policy(ModeEnforce, "a"), policy(ModeNone), true},
		{"none for testing does", policy(ModeTesting, "a"), policy(ModeNone, "a"), true},
		{"another host does", policy(ModeEnforce, "a"), policy(ModeEnforce, "b"), true},
		{"one host more does", policy(ModeEnforce, "a"), policy(ModeEnforce, "a", "b"), true},
		{"one host less does", policy(ModeEnforce, "a", "b"), policy(ModeEnforce, "a"), true},
		{"another host with a higher mode does", policy(ModeTesting, "a"), policy(ModeEnforce, "b"), true},
		{"none protects nothing", policy(ModeNone, "a"), policy(ModeTesting, "b"), false},
	} {
		if got := weakens(c.old, c.next); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func TestParsePolicyAllocations(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() {
		if _, err := ParsePolicy(typicalPolicy); err != nil {
			t.Fatal(err)
		}
	}); n > 3 { // the policy, its text, its list of patterns
		t.Errorf("%v allocations, want 3", n)
	}
}

// Parse, print, parse again: the same policy, within bounds, and no host in it
// that the text does not name.
func FuzzParsePolicy(f *testing.F) {
	for _, s := range []string{
		typicalPolicy, "version: STSv1\nmode: none\nmax_age: 0", with("mx: *"), with("mx: 1.2.3.4\nnote: x y\nnote: z"), with("\n\n\n # x"),
		"\uFEFF version : STSv1\r\n\tmode:testing\nmx: A.example\nmax_age: 9999999999\r\n", "\xff\xfev\x00", "<html>", "{}", "", "a: \xff\n:\n::\n",
		with(strings.Repeat("x\n", 40)), with(strings.Repeat("mx: a.b\n", 1001)), "version: STSv1\rmode: none\rmax_age: 1",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParsePolicy(s)
		if err != nil {
			if msg := err.Error(); p != nil || reasonOf(err) == "" || !isPrintable(msg) || len(msg) > 512 {
				t.Fatalf("%q: %v, %q", s, p, msg)
			}
			return
		}
		checkPolicy(t, s, p)
		again, err := ParsePolicy(p.String())
		if err != nil || !samePolicy(p, again) || again.String() != p.String() {
			t.Fatalf("%q: %+v, and again %+v, %v", s, p, again, err)
		}
	})
}

// checkPolicy holds what is true of every policy parsed from text.
func checkPolicy(t *testing.T, text string, p *Policy) {
	t.Helper()
	if len(p.MX) > 1000 || len(p.Extensions) > 64 || len(p.Problems) > 33 || len(p.text) > 8<<10 || p.MaxAge < 0 || p.MaxAge > 31557600*time.Second {
		t.Fatalf("%q: out of bounds: %+v", text, p)
	}
	if len(p.MX) == 0 && p.Mode != ModeNone {
		t.Fatalf("%q: %s without mx", text, p.Mode)
	}
	named := map[string]bool{} // what the text names, by the plainest reading
	for line := range strings.SplitSeq(strings.TrimPrefix(text, "\uFEFF"), "\n") {
		if key, value, ok := strings.Cut(strings.TrimSuffix(line, "\r"), ":"); ok && strings.Trim(key, " \t") == "mx" {
			named[strings.ToLower(strings.Trim(value, " \t"))] = true
		}
	}
	for _, mx := range p.MX {
		if !named[mx] || strings.Contains(mx[1:], "*") || mx == "*" {
			t.Fatalf("%q: %q is not named", text, mx)
		}
	}
	for _, problem := range p.Problems {
		if !isPrintable(problem.Text) || len(problem.Text) > 128 || problem.Reason == "" || problem.Line > strings.Count(text, "\n")+1 {
			t.Fatalf("%q: %+v", text, problem)
		}
	}
	lines := p.Lines()
	for _, line := range lines {
		if !utf8.ValidString(line) || strings.Contains(line, "\n") {
			t.Fatalf("%q: line %q", text, line)
		}
	}
	if len(text) <= 8<<10 {
		n := strings.Count(text, "\n")
		if !strings.HasSuffix(text, "\n") {
			n++
		}
		if len(lines) != n {
			t.Fatalf("%q: %d lines, want %d", text, len(lines), n)
		}
	}
}
