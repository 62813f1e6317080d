package dnsname

import (
	"errors"
	"strings"
	"testing"
)

// R22: one canonicaliser for every name.
func TestHost(t *testing.T) {
	label63 := strings.Repeat("a", 63)
	long := strings.Repeat(label63+".", 3) + strings.Repeat("b", 61) // 253
	for _, c := range []struct {
		name, in, want string
		err            error
	}{
		{"a canonical name stays as it is", "mx.example.com", "mx.example.com", nil},
		{"case and a trailing dot do not count", "MX.Example.COM.", "mx.example.com", nil},      // STS-06
		{"U-labels become A-labels", "mx.b\u00fccher.example", "mx.xn--bcher-kva.example", nil}, // STS-05
		{"sharp s is kept, not mapped to ss", "stra\u00dfe.example", "xn--strae-oqa.example", nil},
		{"an ideographic full stop separates labels", "mx\u3002example", "mx.example", nil},
		{"an underscore is an opaque letter", "mx_1.example.com", "mx_1.example.com", nil}, // CERT-22
		{"a single label is a name", "localhost", "localhost", nil},                        // STS-09
		{"a label of 63 octets fits", label63 + ".example", label63 + ".example", nil},
		{"a name of 253 octets fits", long, long, nil},
		{"a name of 253 octets and a dot fits", long + ".", long, nil},
		{"a name of 254 octets does not", long + "b", "", ErrInvalid},
		{"a label of 64 octets does not", label63 + "a.example", "", ErrInvalid},
		{"empty", "", "", ErrInvalid},
		{"the root", ".", "", ErrInvalid},
		{"two dots", "a..b", "", ErrInvalid},
		{"a leading dot", ".a", "", ErrInvalid},
		{"two trailing dots", "a.b..", "", ErrInvalid},
		{"a wildcard is not a host", "*.example.com", "", ErrInvalid}, // STS-114
		{"a blank", "a b.example", "", ErrInvalid},
		{"a NUL", "a\x00.example", "", ErrInvalid},
		{"invalid UTF-8", "a\xff.example", "", ErrInvalid},
		{"the Kelvin sign folds to k in idna alone", "\u212aelvin.example", "kelvin.example", nil},
		{"a path", "../x", "", ErrInvalid},
		{"IPv4", "192.0.2.1", "", ErrAddress},                      // SMTP-10
		{"IPv4 with a trailing dot", "192.0.2.1.", "", ErrAddress}, // STS-117
		{"full-width digits are IPv4, too", "\uff11.2.3.4", "", ErrAddress},
		{"IPv4 as C writes it", "127.0X1", "", ErrAddress}, // R22
		{"IPv4 in one number", "0x7f000001", "", ErrAddress},
		{"nothing after 0x is a number to some", "127.0x", "", ErrAddress},
		{"a host that begins like one", "0x7f.example.com", "0x7f.example.com", nil},
		{"a last label that only begins like one", "mx.0xg", "mx.0xg", nil},
		{"a literal", "[192.0.2.1]", "", ErrAddress},              // STS-04
		{"an IPv6 literal", "[IPv6:2001:db8::1]", "", ErrAddress}, // STS-04
		{"IPv6", "2001:db8::1", "", ErrAddress},
		{"a port is not part of a name", "mx.example.com:25", "", ErrInvalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Host(c.in)
			if got != c.want || !errors.Is(err, c.err) {
				t.Errorf("Host(%q) = %q, %v; want %q, %v", c.in, got, err, c.want, c.err)
			}
		})
	}
}

// STS-08: a domain must leave room for "_mta-sts.".
func TestDomainLeavesRoomForThePrefix(t *testing.T) {
	label63 := strings.Repeat("a", 63)
	fits := strings.Repeat(label63+".", 3) + strings.Repeat("b", 52) // 244
	if _, err := Domain(fits); err != nil {
		t.Errorf("Domain of %d octets: %v", len(fits), err)
	}
	if _, err := Domain(fits + "b"); !errors.Is(err, ErrInvalid) {
		t.Errorf("Domain of %d octets: %v, want ErrInvalid", len(fits)+1, err)
	}
}

func TestParent(t *testing.T) {
	for name, want := range map[string]string{
		"a.b.example.com":  "example.com",
		"example.com":      "example.com",
		"x.example.co.uk":  "example.co.uk",
		"com":              "com",
		"localhost":        "localhost",
		"user.github.io":   "user.github.io", // a private suffix: its users are strangers to each other
		"a.user.github.io": "user.github.io",
	} {
		if got := Parent(name); got != want {
			t.Errorf("Parent(%q) = %q, want %q", name, got, want)
		}
	}
}

// R22: case is folded as DNS does, for A to Z alone.
func TestLetters(t *testing.T) {
	for _, c := range []struct {
		a, b  string
		equal bool
	}{
		{"mx.example", "MX.Example", true}, {"mx.example", "mx.example", true}, {"mx.example", "mx.examplf", false},
		{"mx", "mx.", false}, {"[", "{", false}, {"kelvin", "\u212aelvin", false}, {"k", "\u212a", false},
	} {
		if got := EqualFold(c.a, c.b); got != c.equal {
			t.Errorf("EqualFold(%q, %q) = %v", c.a, c.b, got)
		}
		if lower := Lower(c.b) == Lower(c.a); lower != c.equal {
			t.Errorf("Lower(%q) = %q, Lower(%q) = %q", c.a, Lower(c.a), c.b, Lower(c.b))
		}
	}
	if Labels("mx.example.com") != 3 || Labels("localhost") != 1 {
		t.Error("Labels is wrong")
	}
	if !IsASCII("mx.example") || IsASCII("m\u00fcx") {
		t.Error("IsASCII is wrong")
	}
}

func TestCanonicalNamesAreNotCopied(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() {
		if _, err := Host("mail.example.com."); err != nil {
			t.Fatal(err)
		}
		if _, err := Domain("example.com"); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func FuzzHost(f *testing.F) {
	for _, s := range []string{"a.b", "B\u00fccher.example.", "[::1]", "1.2.3.4", "xn--a", "\u212a", "..", "a\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name, err := Host(s)
		if err != nil {
			if name != "" {
				t.Fatalf("Host(%q) = %q beside an error", s, name)
			}
			return
		}
		again, err := Host(name)
		if err != nil || again != name {
			t.Fatalf("Host(%q) = %q, and again %q, %v", s, name, again, err)
		}
		if len(name) > maxName || strings.ContainsAny(name, "/\\*\x00 \n") {
			t.Fatalf("Host(%q) = %q", s, name)
		}
	})
}
