package mtasts

import (
	"strings"
	"testing"

	"github.com/strictmx/strictmx/internal/dnsname"
)

func TestMatch(t *testing.T) {
	label := strings.Repeat("a", 63)
	base := strings.Repeat(label+".", 3) + strings.Repeat("b", 59) // 251: "x." fits before it, "xx." does not
	for _, c := range []struct {
		name     string
		patterns string
		host     string
		want     bool
	}{
		{"a literal names one host", "mail.example.com", "mail.example.com", true},                       // STS-110
		{"any one pattern will do", "a.example b.example", "b.example", true},                            // STS-108
		{"a host that no pattern names is refused", "a.example b.example", "c.example", false},           // STS-108
		{"a policy without patterns names nobody", "", "a.example", false},                               // STS-108
		{"a wildcard stands for one label", "*.example.com", "mail.example.com", true},                   // STS-109
		{"not for none", "*.example.com", "example.com", false},                                          // STS-109
		{"not for an empty one", "*.example.com", ".example.com", false},                                 // STS-109
		{"not for two", "*.example.com", "foo.bar.example.com", false},                                   // STS-109
		{"not for part of one", "*.example.com", "xexample.com", false},                                  // STS-109
		{"a literal matches no subdomain", "example.com", "mail.example.com", false},                     // STS-110
		{"nor a longer name", "example.com", "badexample.com", false},                                    // STS-110
		{"nor its parent", "mail.example.com", "example.com", false},                                     // STS-110
		{"case does not count", "mail.example.com", "MAIL.Example.COM", true},                            // STS-111
		{"nor under a wildcard", "*.example.com", "MAIL.Example.COM", true},                              // STS-111
		{"only ASCII has case", "k.example", "\u212a.example", true},                                     // idna maps the Kelvin sign before names are compared
		{"a trailing dot does not count", "mail.example.com", "mail.example.com.", true},                 // STS-112
		{"nor under a wildcard", "*.example.com", "mail.example.com.", true},                             // STS-112
		{"two dots are no name", "mail.example.com", "mail.example.com..", false},                        // STS-112
		{"U-labels are converted", "*.xn--bcher-kva.example", "mx.b\u00fccher.example", true},            // STS-113
		{"in upper case, too", "mx.xn--bcher-kva.example", "MX.B\u00dcCHER.example.", true},              // STS-113
		{"under the wildcard, too", "*.example", "b\u00fccher.example", true},                            // STS-113
		{"two dots are no name in Unicode either", "*.example", "b\u00fccher.example..", false},          // STS-113
		{"an A-label is a label", "*.example", "xn--bcher-kva.example", true},                            // STS-113
		{"a wildcard as host matches no literal", "mail.example.com", "*.example.com", false},            // STS-114
		{"nor itself", "*.example.com", "*.example.com", false},                                          // STS-114
		{"the domain itself may be named", "example.com", "example.com", true},                           // STS-115
		{"the domain is not under its wildcard", "*.example.com mail.example.com", "example.com", false}, // STS-115
		{"an address never matches", "192.0.2.1", "192.0.2.1", false},                                    // STS-117
		{"nor with a dot", "192.0.2.1", "192.0.2.1.", false},                                             // STS-117
		{"nor a wildcard", "*.0.2.1", "192.0.2.1", false},                                                // STS-117
		{"nor in brackets", "192.0.2.1", "[192.0.2.1]", false},                                           // STS-117
		{"nor in other digits", "192.0.2.1", "\uff11\uff19\uff12.0.2.1", false},                          // STS-117
		{"nor IPv6", "2001.example", "2001:db8::1", false},                                               // STS-117
		{"a host may have an underscore", "*.example.com", "mx_1.example.com", true},                     // CERT-22
		{"a label has 63 octets", "*.example", label + ".example", true},
		{"not 64", "*.example", label + "a.example", false},
		{"a name has 253 octets", "*." + base, "x." + base, true},
		{"not 254", "*." + base, "xx." + base, false},
		{"a blank is no letter", "*.example", "a b.example", false},
		{"nor is a NUL", "*.example", "a\x00.example", false},
		{"nor what is no UTF-8", "*.example", "a\xff.example", false},
		{"a port is not part of a name", "mx.example", "mx.example:25", false},
		{"an empty host is none", "mx.example", "", false},
		{"nor is the root", "mx.example", ".", false},
		{"a single label may be named", "localhost", "localhost", true},
		{"and is under no wildcard", "*.localhost", "localhost", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &Policy{MX: strings.Fields(c.patterns)}
			if got := p.Match(c.host); got != c.want {
				t.Errorf("%q names %q: %v", c.patterns, c.host, got)
			}
		})
	}
}

// A policy made by hand may spell its patterns as it likes, and is no wider for
// what is no pattern.
func TestMatchOfPatternsMadeByHand(t *testing.T) {
	if p := (&Policy{MX: []string{"MX.Example.com"}}); !p.Match("mx.example.com") {
		t.Error("upper case in a pattern")
	}
	p := &Policy{MX: []string{"", "*", "*.", ".", "*example.com", ".example.com"}}
	for _, host := range []string{"", ".", "..", "a", "a.", "example.com", "a.example.com"} {
		if p.Match(host) {
			t.Errorf("%q matches %q", p.MX, host)
		}
	}
}

func TestMatchDoesNotAllocate(t *testing.T) {
	p, err := ParsePolicy(typicalPolicy)
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]bool{
		"smtp.google.com": true, "alt1.aspmx.l.google.com": true, "alt1.aspmx.l.google.com.": true, "ALT1.ASPMX.L.Google.COM": true,
		"mx.attacker.example": false, "192.0.2.1": false, "*.aspmx.l.google.com": false,
	} {
		if n := testing.AllocsPerRun(100, func() {
			if p.Match(host) != want {
				t.Errorf("Match(%q) = %v", host, !want)
			}
		}); n != 0 {
			t.Errorf("Match(%q): %v allocations, want 0", host, n)
		}
	}
}

// naiveMatch is section 4.1 of RFC 8461 as one would write it without a clock.
func naiveMatch(patterns []string, host string) bool {
	name, err := dnsname.Host(host)
	if err != nil {
		return false
	}
	labels := strings.Split(name, ".")
	for _, pattern := range patterns {
		want := strings.Split(pattern, ".")
		if len(want) != len(labels) {
			continue
		}
		same := true
		for i := range want {
			if want[i] != labels[i] && (i > 0 || want[i] != "*" || len(want) == 1) {
				same = false
			}
		}
		if same {
			return true
		}
	}
	return false
}

func FuzzMatch(f *testing.F) {
	f.Add("*.example.com", "mail.example.com", "A.Example.com.")
	f.Add("a.example", "*.b.example", "x.b.example..")
	f.Add("192.0.2.1", "*.0.2.1", "192.0.2.1")
	f.Add("*.xn--bcher-kva.example", "k.example", "\u212a.example")
	f.Add("*.example", "a", "b\u00fccher.example")
	f.Add("localhost", "*.a", "*.a")
	f.Add("*."+strings.Repeat(strings.Repeat("a", 63)+".", 3)+strings.Repeat("b", 59), "x", "xx."+strings.Repeat(strings.Repeat("a", 63)+".", 3)+strings.Repeat("b", 59))
	f.Fuzz(func(t *testing.T, a, b, host string) {
		p, err := ParsePolicy("version: STSv1\nmode: enforce\nmax_age: 1\nmx: " + a + "\nmx: " + b + "\n")
		if err != nil {
			return
		}
		if got, want := p.Match(host), naiveMatch(p.MX, host); got != want {
			t.Fatalf("%q names %q: %v, want %v", p.MX, host, got, want)
		}
	})
}
