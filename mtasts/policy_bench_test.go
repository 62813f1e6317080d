package mtasts

import (
	"fmt"
	"strings"
	"testing"
)

const typicalPolicy = "version: STSv1\r\nmode: enforce\r\nmx: smtp.google.com\r\nmx: aspmx.l.google.com\r\nmx: *.aspmx.l.google.com\r\nmax_age: 86400\r\n"

func BenchmarkParsePolicy(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParsePolicy(typicalPolicy); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMatch(b *testing.B) {
	p, err := ParsePolicy(typicalPolicy)
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name, host string
		want       bool
	}{
		{"literal", "smtp.google.com", true},
		{"wildcard", "alt1.aspmx.l.google.com", true},
		{"wildcard-dot", "alt1.aspmx.l.google.com.", true},
		{"upper", "ALT1.ASPMX.L.GOOGLE.COM", true},
		{"none", "mx.attacker.example", false},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if p.Match(c.host) != c.want {
					b.Fatal(c.host)
				}
			}
		})
	}
}

// STS-81: the largest texts, each the worst of its kind.
func BenchmarkParseLargestPolicy(b *testing.B) {
	const head = "version: STSv1\nmode: enforce\nmax_age: 1\nmx: a.example\n"
	fields := head
	for i := range 64 {
		fields += fmt.Sprintf("f%d: x\n", i)
	}
	for _, c := range []struct{ name, head, line string }{
		{"mx", head, "mx: a\n"},
		{"upper", head, "mx: A\n"},
		{"junk", head, "\n"},
		{"fields", fields, "z:x\n"},
	} {
		text := c.head + strings.Repeat(c.line, (64<<10-len(c.head))/len(c.line))
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ParsePolicy(text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
