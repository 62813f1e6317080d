package collect

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/strictmx/strictmx/tlsrpt"
)

// RPT-51, R26: a host that gives itself another name each time takes a bounded
// room, and no session falls out of the totals.
func TestNamesOfAHostileHostAreBounded(t *testing.T) {
	const sessions = 5_000
	for _, tt := range []struct {
		name   string
		mxHost string // of session i
		types  []tlsrpt.Failure
	}{
		{"one host", "mx.example.com", []tlsrpt.Failure{selfSigned}},
		{"three hosts", "mx%d.example.com", []tlsrpt.Failure{selfSigned, expired}},
		{"a host each time", "%d.mx.example.com", []tlsrpt.Failure{selfSigned, expired, {Type: tlsrpt.ValidationFailure, Reason: "tls-version"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, p := newCollector(), enforce("example.com")
			for i := range sessions {
				e := session("example.com", p, tt.types...)
				e.HELO = fmt.Sprintf("h%d.example.com", i)
				switch strings.IndexByte(tt.mxHost, '%') {
				case -1:
				case 0:
					e.MXHost = fmt.Sprintf(tt.mxHost, i)
				default:
					e.MXHost = fmt.Sprintf(tt.mxHost, i%3)
				}
				c.Observe(e)
			}
			result := only(t, c).Policies[0]
			if result.Summary.Failed != sessions || len(result.Failures) > 64+64+len(tt.types) {
				t.Errorf("%d failed, %d details", result.Summary.Failed, len(result.Failures))
			}
			sums := make(map[tlsrpt.ResultType]int64)
			overflow := 0
			for _, d := range result.Failures {
				sums[d.Type] += d.Sessions
				if d.HELO == "" && !d.ReceivingIP.IsValid() {
					overflow++
					if d.Type == tlsrpt.ValidationFailure && d.Reason != tlsrpt.ReasonUnknown {
						t.Errorf("%+v", d) // RPT-37
					}
				}
			}
			for _, f := range tt.types {
				if sums[f.Type] != sessions {
					t.Errorf("%s: %d sessions in details", f.Type, sums[f.Type])
				}
			}
			if overflow == 0 {
				t.Error("no detail stands for the rest")
			}
			if st := sum(t, c); st.OverflowDetails == 0 || st.Bytes > 100<<10 {
				t.Errorf("%+v", st)
			}
		})
	}
}

// A second host is told of by name although the first has filled the details (R26).
func TestOneHostDoesNotHideAnother(t *testing.T) {
	c, p := newCollector(), enforce("example.com")
	for i := range 1000 {
		e := session("example.com", p, selfSigned)
		e.HELO = fmt.Sprintf("h%d.example.com", i)
		c.Observe(e)
	}
	for range 7 {
		e := session("example.com", p, selfSigned, selfSigned)
		e.MXHost = "mx2.example.com"
		c.Observe(e)
	}
	want := tlsrpt.FailureDetail{Type: tlsrpt.CertificateNotTrusted, MXHost: "mx2.example.com", Sessions: 7}
	details := only(t, c).Policies[0].Failures
	if got := details[len(details)-1]; got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// RPT-51: whoever changes the policy all the time gets a bounded report, with all
// sessions in it.
func TestPoliciesOfADomainAreBounded(t *testing.T) {
	c := newCollector()
	types := []tlsrpt.PolicyType{tlsrpt.STS, tlsrpt.TLSA, tlsrpt.NoPolicyFound}
	for i := range 3000 {
		c.Observe(session("example.com", &tlsrpt.Policy{Type: types[i%3], Domain: fmt.Sprintf("mx%d.example.com", i), Strings: []string{fmt.Sprint("id: ", i)}}))
	}
	var sessions int64
	bare := make(map[tlsrpt.PolicyType]bool)
	policies := only(t, c).Policies
	for _, p := range policies {
		sessions += p.Summary.Successful
		if p.Policy.Strings == nil && p.Policy.Domain == "example.com" {
			bare[p.Policy.Type] = true
		}
	}
	if sessions != 3000 || len(policies) != 8+3 || len(bare) != 3 {
		t.Errorf("%d sessions, %d policies, bare: %v", sessions, len(policies), bare)
	}
	if st := sum(t, c); st.OverflowPolicies != 3000-8 {
		t.Errorf("%+v", st)
	}
}

// RPT-51, RPT-122
func TestTheTextOfAPolicyIsBounded(t *testing.T) {
	c := newCollector()
	p := &tlsrpt.Policy{Type: tlsrpt.STS, Domain: "example.com"}
	for i := range 5000 {
		p.Strings = append(p.Strings, strings.Repeat("ü", 50))
		p.MXHosts = append(p.MXHosts, fmt.Sprintf("mx%d.example.com", i))
	}
	for range 3 {
		c.Observe(session("example.com", p))
	}
	c.Observe(session("example.com", &tlsrpt.Policy{Type: tlsrpt.STS, Domain: "example.com", Strings: []string{strings.Repeat("\xff", 100_000)}}))
	c.Observe(session("example.com", &tlsrpt.Policy{Type: tlsrpt.STS, Domain: "example.com", Strings: make([]string, 100_000)}))
	policies := only(t, c).Policies
	if len(policies) != 3 || policies[0].Summary.Successful != 3 {
		t.Fatalf("%d policies", len(policies))
	}
	if n, mxes := len(policies[0].Policy.Strings), len(policies[0].Policy.MXHosts); n < 80 || n > 100 || mxes != 100 {
		t.Errorf("%d lines, %d patterns", n, mxes)
	}
	for _, p := range policies {
		checkPolicy(t, p.Policy)
		if text := strings.Join(p.Policy.Strings, "\n"); len(text) >= 8<<10 || !utf8.ValidString(text) {
			t.Errorf("a text of %d bytes", len(text))
		}
	}
}

func TestCountsSaturate(t *testing.T) { // R26
	c := newCollector()
	e := session("example.com", enforce("example.com"), selfSigned)
	c.Observe(e)
	entry := &c.shard("example.com").find(dayOf(noon), "example.com").entries[0]
	entry.failed, entry.successful, entry.details[0].Sessions = tlsrpt.MaxCount-1, tlsrpt.MaxCount-1, tlsrpt.MaxCount-1
	for range 3 {
		c.Observe(e)
		c.Observe(session("example.com", enforce("example.com")))
	}
	result := only(t, c).Policies[0]
	if result.Summary != (tlsrpt.Summary{Successful: tlsrpt.MaxCount, Failed: tlsrpt.MaxCount}) || result.Failures[0].Sessions != tlsrpt.MaxCount {
		t.Errorf("%+v", result)
	}
}

// R16, RPT-51, RPT-54: whatever strangers say, a tally holds nothing but clean
// names, words of ours, public addresses and text without control characters.
func TestHostileTextGoesNoFurther(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	c := newCollector()
	for range 8_000 {
		c.Observe(randomEvent(r))
	}
	seen := 0
	for _, day := range c.Days() {
		for tally := range c.Tallies(day) {
			for _, p := range tally.Policies {
				checkPolicy(t, p.Policy)
				for _, d := range p.Failures {
					seen++
					checkDetail(t, d)
				}
			}
		}
	}
	if seen < 1000 {
		t.Errorf("only %d details", seen)
	}
}
