package collect

import (
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/strictmx/strictmx/tlsrpt"
)

// What a report would not show apart is counted as one: a Tally is what the
// report of it says, to the last policy and detail.
func TestATallyIsWhatItsReportSays(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	c := newCollector()
	for range 8_000 {
		c.Observe(randomEvent(r))
	}
	checkTallies(t, c)
}

// FuzzTally is the same for texts that strangers have thought about.
func FuzzTally(f *testing.F) {
	f.Add("version: STSv1|mode: enforce", "*.example.com", "mx.example.com", "self-signed", "https://a.test/?a", 0)
	f.Add("a\xff\xfeb|\ufffe|\ufdd0|", "MX.A.|*.*", "[ipv6:2A01:4F8::25]", "Not A Reason", "https:", 1100)
	f.Add("|", "b\u00fccher.example", "mx\x00", "", "a b", 9000)
	f.Fuzz(func(t *testing.T, lines, patterns, name, reason, info string, n int) {
		c := newCollector()
		long := strings.Repeat("x", int(uint(n)%10_000))
		for i, typ := range []tlsrpt.PolicyType{tlsrpt.STS, tlsrpt.TLSA, tlsrpt.NoPolicyFound} {
			for _, tail := range []string{"", "a", "b", "\xff"} {
				p := &tlsrpt.Policy{Type: typ, Domain: name, Strings: append(split(lines), long+tail), MXHosts: append(split(patterns), name)}
				failure := tlsrpt.Failure{Type: tlsrpt.CertificateExpired, Reason: reason, Info: info}
				e := session("example.com", p, failure, tlsrpt.Failure{Type: tlsrpt.ResultType(name), Reason: info, Info: info + tail})
				e.MXHost, e.HELO = name+tail, name
				e.SendingIP = randomAddr(rand.New(rand.NewPCG(uint64(n), uint64(i))))
				c.Observe(e)
			}
		}
		checkTallies(t, c)
	})
}

// checkTallies makes the reports of all that c holds, and compares.
func checkTallies(t *testing.T, c *Collector) {
	t.Helper()
	who := tlsrpt.Submitter{Organization: "Example Mail", Contact: "tls@example.org"}
	seen := 0
	for _, day := range c.Days() {
		for tally := range c.Tallies(day) {
			seen++
			r, err := tlsrpt.NewReport(who, tally.Domain, tally.Day, tally.Policies)
			if err != nil {
				t.Fatal(err)
			}
			if len(r.Policies) != len(tally.Policies) {
				t.Fatalf("%d policies of %s become %d in its report", len(tally.Policies), tally.Domain, len(r.Policies))
			}
			for _, p := range tally.Policies {
				i := slices.IndexFunc(r.Policies, func(q tlsrpt.PolicyResult) bool { return reflect.DeepEqual(p.Policy, q.Policy) })
				if i < 0 {
					t.Fatalf("the report does not tell of %.300q", p.Policy)
				}
				checkSame(t, p, r.Policies[i])
			}
		}
	}
	if seen == 0 {
		t.Fatal("nothing was counted")
	}
}

func checkSame(t *testing.T, counted, told tlsrpt.PolicyResult) {
	t.Helper()
	if counted.Summary != told.Summary || len(counted.Failures) != len(told.Failures) {
		t.Fatalf("%+v and %d details become %+v and %d", counted.Summary, len(counted.Failures), told.Summary, len(told.Failures))
	}
	for _, d := range counted.Failures {
		if !slices.Contains(told.Failures, d) {
			t.Errorf("the report does not tell of %+v", d)
		}
	}
}

// The daemon that collects the Datagram's sessions is told of a policy in the words
// of a report.
func TestTheDaemonIsToldWhatAReportSays(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	long := strings.Repeat("x", 1024)
	for range 300 {
		p := &tlsrpt.Policy{Type: tlsrpt.STS, Domain: "example.com"}
		for range 1 + r.IntN(120) {
			p.Strings = append(p.Strings, pick(r, long+"tail", "a\xff\xfeb", "\ufffe\ufdd0", randomText(r)))
			p.MXHosts = append(p.MXHosts, randomText(r))
		}
		e := session("example.com", p)
		d, err := readDatagram(appendDatagram(nil, &e, plainRecord, false))
		if err != nil {
			t.Fatal(err)
		}
		c := newCollector()
		c.Observe(e)
		shown := only(t, c).Policies[0].Policy
		shown.Strings = slices.DeleteFunc(shown.Strings, func(line string) bool { return line == "" }) // it takes no empty ones
		if told := d.policies[0]; !slices.Equal(told.strings, shown.Strings) || !slices.Equal(told.hosts, shown.MXHosts) {
			t.Fatalf("the daemon is told %.300q %.300q, a report shows %.600q", told.strings, told.hosts, shown)
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
	if clean := p.Clean(); p.Domain == "" || !reflect.DeepEqual(clean, p) {
		t.Errorf("%.300q is not clean: %.300q", p, clean)
	}
}

func checkDetail(t *testing.T, d tlsrpt.FailureDetail) {
	t.Helper()
	if d != d.Clean() || d.Sessions < 1 || len(d.MXHost)+len(d.HELO) > 2*255 {
		t.Errorf("%+v", d)
	}
}
