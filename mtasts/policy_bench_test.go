package mtasts

import "testing"

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
