package tlsrpt

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// RPT-78, R16
func TestNamesGivenInHELO(t *testing.T) {
	for in, want := range map[string]string{
		"mx.example.com":           "mx.example.com",
		"MX.Example.COM.":          "mx.example.com",
		"mx":                       "mx",
		"[93.184.216.34]":          "[93.184.216.34]",
		"[ipv6:2A01:4F8::25]":      "[IPv6:2a01:4f8::25]",
		"[IPv6:2a01:4f8::25]":      "[IPv6:2a01:4f8::25]",
		"[::ffff:93.184.216.34]":   "[93.184.216.34]",
		"[10.0.0.1]":               "", // not public
		"[IPv6:2a01:4f8::25%eth0]": "",
		"[93.184.216.34":           "",
		"[ 93.184.216.34 ]":        "",
		"[]":                       "",
		"[IPv6:]":                  "",
		"93.184.216.34":            "",
		"mx.example.com at night":  "",
		"<script>":                 "",
		"mx\x00.example":           "",
		"\xff":                     "",
		strings.Repeat("a.", 2000): "",
	} {
		if got := (FailureDetail{HELO: in}).Clean().HELO; got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
		if got := (FailureDetail{MXHost: in}).Clean().MXHost; strings.HasPrefix(want, "[") && got != "" {
			t.Errorf("%q is an MX host", got) // RPT-77: a name of DNS
		}
	}
}

// RPT-54, RPT-122
func TestLinesOfAPolicy(t *testing.T) {
	for in, want := range map[string]string{
		"mode: enforce ":           "mode: enforce ", // as served
		"mode:\tenforce":           "mode: enforce",
		"a\x00b\r\x7f\u0085":       "a\ufffdb\ufffd\ufffd\ufffd",
		"a\xff\xfeb\xff":           "a\ufffdb\ufffd", // one for each run of bytes
		"\xed\xa0\x80":             "\ufffd",         // a lone surrogate
		"\ufffe\ufdd0\U0010ffff":   "\ufffd\ufffd\ufffd",
		"x" + rep("\x80", 9000):    "x\ufffd",
		rep("\x01", 400):           rep("\ufffd", 341), // of three octets each
		rep("\U0001fffe", 300):     rep("\ufffd", 300),
		rep("a", 1023) + "\u00e4":  rep("a", 1023),
		rep("a", 1022) + "\u00e4b": rep("a", 1022) + "\u00e4",
	} {
		got := Policy{Type: STS, Domain: "a.test", Strings: []string{in}}.Clean().Strings
		if len(got) != 1 || got[0] != want {
			t.Errorf("%.40q becomes %.80q, want %.40q", in, got, want)
		}
	}
}

func rep(s string, n int) string { return strings.Repeat(s, n) }

// A policy that a report cannot name is told by what Clean leaves out.
func TestPoliciesWithoutANameOrType(t *testing.T) {
	for _, p := range []Policy{{Type: STS, Domain: "a b"}, {Type: STS}, {Type: "mine", Domain: "a.test"}} {
		if clean := p.Clean(); clean.Domain != "" && clean.Type != "" {
			t.Errorf("%+v becomes %+v", p, clean)
		}
	}
}

// FuzzClean: what was cleaned is fit for a report, within its bounds, and the same
// when it is cleaned again.
func FuzzClean(f *testing.F) {
	f.Add("version: STSv1|mode: enforce", "*.example.com|mx.example.com", "mx.example.com", "[IPv6:2A01:4F8::25]", "self-signed", "https://a.test/?a", []byte{8, 8, 8, 8}, 1)
	f.Add("a\nb|\x00|\xff\xfe|\ufffe", "*.|*.*.a|MX.A.", "[8.8.8.8]", "[::ffff:8.8.8.8]", "Bad Reason", "javascript: alert(1)", make([]byte, 16), 60)
	f.Add("\x80\u00e4|\U0001fffe", "b\u00fccher.example", "\x1b[31m", "[", "", "https:", []byte(nil), 3000)
	f.Fuzz(func(t *testing.T, lines, patterns, host, helo, reason, info string, ip []byte, n int) {
		n = 1 + int(uint(n)%4000)
		p := Policy{Type: STS, Domain: host, Strings: strings.Split(lines, "|"), MXHosts: strings.Split(patterns, "|")}
		long := strings.Repeat(p.Strings[0], min(n, 1+10_000/(1+len(p.Strings[0]))))
		for i := range n {
			p.Strings, p.MXHosts = append(p.Strings, long[i%(len(long)+1):]), append(p.MXHosts, p.MXHosts[0])
		}
		clean := p.Clean()
		if again := clean.Clean(); !reflect.DeepEqual(again, clean) {
			t.Fatalf("%q became %q", clean, again)
		}
		size := 0
		for _, line := range clean.Strings {
			size += len(line) + 1
			if len(line) > maxString || !utf8.ValidString(line) || strings.ContainsFunc(line, unicode.IsControl) {
				t.Errorf("the line %q", line)
			}
		}
		if size > maxPolicyText || len(clean.Strings) > maxList || len(clean.MXHosts) > maxList || len(strings.Join(clean.MXHosts, " ")) >= maxPolicyText {
			t.Errorf("%d lines of %d octets, %d patterns", len(clean.Strings), size, len(clean.MXHosts))
		}
		addr, _ := netip.AddrFromSlice(ip)
		d := FailureDetail{Type: ResultType(reason), Reason: reason, Info: info, MXHost: host, HELO: helo, SendingIP: addr.WithZone("x"), ReceivingIP: addr, Sessions: 3}.Clean()
		if d != d.Clean() || d.Sessions != 3 {
			t.Errorf("%+v became %+v", d, d.Clean())
		}
	})
}
