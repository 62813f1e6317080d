package collect

import (
	"net/netip"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/strictmx/strictmx/internal/dnsname"
	"github.com/strictmx/strictmx/internal/publicaddr"
	"github.com/strictmx/strictmx/tlsrpt"
)

// R16
func TestNamesOfServersAreCleaned(t *testing.T) {
	for in, want := range map[string]string{
		"mx.example.com":           "mx.example.com",
		"MX.Example.COM.":          "mx.example.com",
		"mx":                       "mx",
		"[93.184.216.34]":          "[93.184.216.34]",
		"[ipv6:2A01:4F8::25]":      "[IPv6:2a01:4f8::25]",
		"[IPv6:2a01:4f8::25]":      "[IPv6:2a01:4f8::25]",
		"[::ffff:93.184.216.34]":   "[93.184.216.34]",
		"[10.0.0.1]":               "", // not public
		"[IPv6:fe80::1%eth0]":      "",
		"[93.184.216.34":           "",
		"[]":                       "",
		"[IPv6:]":                  "",
		"93.184.216.34":            "",
		"mx.example.com at night":  "",
		"<script>":                 "",
		"mx\x00.example":           "",
		"\xff":                     "",
		strings.Repeat("a.", 2000): "",
	} {
		if got := cleanHost(in); got != want {
			t.Errorf("cleanHost(%q) = %q, want %q", in, got, want)
		}
	}
}

// RPT-54, RPT-122
func TestLinesOfAPolicyAreCleaned(t *testing.T) {
	for _, tt := range []struct {
		in    string
		limit int
		want  string
	}{
		{"mode: enforce ", 100, "mode: enforce "}, // as served
		{"mode:\tenforce", 100, "mode: enforce"},
		{"a\x00b\r\x7f\u0085", 100, "a\ufffdb\ufffd\ufffd\ufffd"},
		{"\xff\xfe", 100, "\ufffd\ufffd"},
		{"\xed\xa0\x80", 100, "\ufffd\ufffd\ufffd"}, // a lone surrogate
		{"über", 1, ""},
		{"über", 2, "ü"},
		{"x\xff", 3, "x"},
		{"", 0, ""},
		{"abc", 0, ""},
	} {
		if got := cleanLine(tt.in, tt.limit); got != tt.want {
			t.Errorf("cleanLine(%q, %d) = %q, want %q", tt.in, tt.limit, got, tt.want)
		}
	}
}

// An event that was cleaned once is counted as the same again.
func TestWhatNeedsCleaningIsOneEntry(t *testing.T) {
	c := newCollector()
	dirty := &tlsrpt.Policy{
		Type: tlsrpt.STS, Domain: "Example.COM", Strings: []string{"mode:\tenforce", "a\nb", "\xff"}, MXHosts: []string{"MX.example.com", "no host", "*.Example.com."},
	}
	for range 3 {
		e := session("example.com", dirty, tlsrpt.Failure{Type: "my-own", Reason: "It broke!", Info: "javascript: alert(1)"})
		e.MXHost, e.HELO, e.ReceivingIP = "MX.Example.COM.", "<script>", netip.MustParseAddr("10.0.0.1")
		e.SendingIP = netip.AddrFrom16(netip.MustParseAddr("93.184.216.34").As16())
		c.Observe(e)
	}
	// Nor is a line that holds the mark between lines taken for two.
	c.Observe(session("example.com", &tlsrpt.Policy{Type: tlsrpt.STS, Domain: "example.com", Strings: []string{"a", "b"}}))
	c.Observe(session("example.com", &tlsrpt.Policy{Type: tlsrpt.STS, Domain: "example.com", Strings: []string{"a\nb"}}))
	tally := only(t, c)
	if len(tally.Policies) != 3 {
		t.Fatalf("%+v", tally.Policies)
	}
	p := tally.Policies[0]
	if got := strings.Join(p.Policy.Strings, "|") + " " + strings.Join(p.Policy.MXHosts, "|"); got != "mode: enforce|a\ufffdb|\ufffd mx.example.com|*.example.com" || p.Policy.Domain != "example.com" {
		t.Errorf("%q of %s", got, p.Policy.Domain)
	}
	want := tlsrpt.FailureDetail{
		Type: tlsrpt.ValidationFailure, Reason: tlsrpt.ReasonUnknown, MXHost: "mx.example.com", SendingIP: netip.MustParseAddr("93.184.216.34"), Sessions: 3,
	}
	if len(p.Failures) != 1 || p.Failures[0] != want {
		t.Errorf("got %+v, want %+v", p.Failures, want)
	}
}

func checkPolicy(t *testing.T, p tlsrpt.Policy) {
	t.Helper()
	if name, err := dnsname.Host(p.Domain); err != nil || name != p.Domain {
		t.Errorf("policy domain %q", p.Domain)
	}
	for _, line := range p.Strings {
		if !utf8.ValidString(line) || strings.ContainsFunc(line, unicode.IsControl) || len(line) > maxPolicyText {
			t.Errorf("line %q", line)
		}
	}
	for _, mx := range p.MXHosts {
		if clean, ok := cleanPattern(mx); !ok || clean != mx {
			t.Errorf("pattern %q", mx)
		}
	}
}

func checkDetail(t *testing.T, d tlsrpt.FailureDetail) {
	t.Helper()
	f := tlsrpt.Failure{Type: d.Type, Reason: d.Reason, Info: d.Info}
	if f != f.Clean() || d.Sessions < 1 || d.MXHost != cleanHost(d.MXHost) || d.HELO != cleanHost(d.HELO) || len(d.MXHost)+len(d.HELO) > 2*255 {
		t.Errorf("%+v", d)
	}
	for _, a := range []netip.Addr{d.SendingIP, d.ReceivingIP} {
		if a.IsValid() && !publicaddr.Is(a) {
			t.Errorf("%+v", d)
		}
	}
}
