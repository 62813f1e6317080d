package outbound

import (
	"errors"
	"strings"
	"testing"
)

func TestParseMailbox(t *testing.T) {
	long := strings.Repeat("a", 64)
	tests := []struct {
		in, want string // want "": refused
		err      error
	}{
		{in: "b@example.com", want: "b@example.com"},
		{in: "B@Example.COM.", want: "B@example.com"},
		{in: "b@bücher.example", want: "b@xn--bcher-kva.example"}, // STS-05
		{in: "jörg@example.com", want: "jörg@example.com"},
		{in: "b+tag=x%y!z@example.com", want: "b+tag=x%y!z@example.com"},
		{in: "odd..dots.@example.com", want: "odd..dots.@example.com"},
		{in: `"two words"@example.com`, want: `"two words"@example.com`},
		{in: `"a@b"@example.com`, want: `"a@b"@example.com`},
		{in: `"q\"\\"@example.com`, want: `"q\"\\"@example.com`},
		{in: long + "12@example.com", want: long + "12@example.com"},
		{in: "b@[192.0.2.1]", want: "b@[192.0.2.1]"},
		{in: "b@[IPv6:2001:db8::1]", want: "b@[IPv6:2001:db8::1]"},
		{in: "", err: errSyntax},
		{in: "@", err: errSyntax},
		{in: "@example.com", err: errSyntax},
		{in: "b@", err: errSyntax},
		{in: "b", err: errSyntax},
		{in: "<b@example.com>", err: errSyntax},
		{in: "b c@example.com", err: errSyntax},
		{in: "b@c@example.com", err: errSyntax},
		{in: "@relay.test:b@example.com", err: errSyntax},
		{in: "b\r\nDATA@example.com", err: errSyntax},
		{in: "b\n@example.com", err: errSyntax},
		{in: "b\x00@example.com", err: errSyntax},
		{in: "b\x7f@example.com", err: errSyntax},
		{in: "b\xff@example.com", err: errSyntax},
		{in: "b@example.com\r\nDATA", err: errSyntax},
		{in: "b@example.com> SIZE=1", err: errSyntax},
		{in: "b@exa\tmple.com", err: errSyntax},
		{in: `"b\` + "\n" + `"@example.com`, err: errSyntax},
		{in: "\"b\r\nDATA\"@example.com", err: errSyntax},
		{in: `"b`, err: errSyntax},
		{in: `"@example.com`, err: errSyntax},
		{in: `"b"c"@example.com`, err: errSyntax},
		{in: `"b\"@example.com`, err: errSyntax},
		{in: `"b"c@example.com`, err: errSyntax},
		{in: strings.Repeat("a", 300) + "@example.com", err: errSyntax},
		{in: "b@192.0.2.1", err: errBareIP}, // SMTP-10
		{in: "b@2001:db8::1", err: errBareIP},
		{in: "b@a..example", err: errNotDomain},
		{in: "b@exa<mple.com", err: errNotDomain},
		{in: "b@" + long[:63] + ".example", want: "b@" + long[:63] + ".example"},
		{in: "b@" + long + ".example", err: errNotDomain},
		{in: "b@[192.0.2.1", err: errNotDomain},
		{in: "b@[2001:db8::1]", err: errNotDomain}, // the tag is missing
		{in: "b@[IPv6:192.0.2.1]", err: errNotDomain},
		{in: "b@[IPv6:fe80::1%eth0]", err: errNotDomain},
	}
	for _, tt := range tests {
		t.Run(tt.in, func(t *testing.T) {
			got, err := parseMailbox(tt.in)
			if !errors.Is(err, tt.err) || got.String() != tt.want {
				t.Errorf("got %q, %v; want %q, %v", got, err, tt.want, tt.err)
			}
		})
	}
}

// Whatever is accepted cannot end the command it stands in, and means the same
// when it is read again.
func FuzzParseMailbox(f *testing.F) {
	for _, s := range []string{
		"b@example.com", `"a b"@example.com`, "b\r\nDATA@example.com", "b@[192.0.2.1]", "jörg@bücher.example", `"\>"@a.test`, "b@c>", "",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := parseMailbox(s)
		if err != nil {
			return
		}
		wire := a.String()
		quoted := strings.HasPrefix(wire, `"`)
		if strings.ContainsFunc(wire, func(r rune) bool { return r < ' ' || r == 0x7f }) || !quoted && strings.ContainsAny(wire, "<> ") {
			t.Errorf("%q became %q", s, wire)
		}
		if strings.ContainsAny(a.domain, "<> \"\\") {
			t.Errorf("%q has the domain %q", s, a.domain)
		}
		if again, err := parseMailbox(wire); err != nil || again != a {
			t.Errorf("%q became %q, and that %q, %v", s, wire, again, err)
		}
	})
}
