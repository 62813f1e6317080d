package main

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestTextIsOneHarmlessLine(t *testing.T) { // R21
	for _, c := range []struct{ name, in, want string }{
		{"letters of any script stay", "Grüße, Почта, 郵便 & Co. (7)", "Grüße, Почта, 郵便 & Co. (7)"},
		{"escape sequences lose their beginning", "a\x1b[31mb\u009b2Jc", "a[31mb2Jc"},
		{"bidi controls are dropped", "a\u202eb\u2066c\u2069d\u200ee\u061cf", "abcdef"},
		{"what cannot be seen is dropped", "a\u200bb\ufeffc\u00add\U000e0041e\u3164f", "abcdef"},
		{"line ends and blanks are one blank", " a\r\n\tb\u2028c\u00a0\u3000d ", "a b c d"},
		{"octets that are no UTF-8 are seen as such", "a\xffb", "a\ufffdb"},
		{"two accents are enough for a letter", "e\u0301\u0302\u0303\u0304x", "e\u0301\u0302x"},
		{"what is dropped makes no room for more accents", "e\u0301\u0302\x01\u0303\u200b\u0304x", "e\u0301\u0302x"},
		{"nothing is left of nothing", "\x00\u202e \n", ""},
	} {
		if got := text(c.in); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	if got := text(strings.Repeat("ü", maxText+1)); got != strings.Repeat("ü", maxText)+"…" {
		t.Errorf("a long one is cut at %d runes", utf8.RuneCountInString(got))
	}
}

func TestNamesAreASCII(t *testing.T) { // R21
	for _, c := range []struct{ name, in, want string }{
		{"case and the last dot do not count", "MX1.Example.COM.", "mx1.example.com"},
		{"a letter that looks like another shows its number", "p\u0430ypal.example", `p\u0430ypal.example`},
		{"the Kelvin sign is no k", "\u212a.example", `\u212a.example`},
		{"an emoji shows its number", "\U0001f4a9", `\U0001f4a9`},
		{"controls are dropped", "mx\x1b[1m\u202e.example", "mx[1m.example"},
		{"an IP address stays", "2001:db8::1", "2001:db8::1"},
	} {
		if got := name(c.in); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func FuzzText(f *testing.F) {
	for _, s := range hostile("http://127.0.0.1/") {
		f.Add(s)
	}
	f.Add("w\u0302\u0336\x01\u0335")
	f.Fuzz(func(t *testing.T, s string) {
		for _, got := range []string{text(s), line(s), name(s)} {
			if !utf8.ValidString(got) || utf8.RuneCountInString(got) > max(maxLine+1, 10*maxName+1) {
				t.Fatalf("%q becomes %q", s, got)
			}
			for _, r := range got {
				if r != ' ' && (unicode.In(r, unicode.C, unicode.Z)) {
					t.Fatalf("%q is left of %q", r, s)
				}
			}
		}
		if got := text(text(s)); got != text(s) && utf8.RuneCountInString(text(s)) <= maxText {
			t.Fatalf("cleaned again, %q is %q", text(s), got)
		}
	})
}
