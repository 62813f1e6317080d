package collect

import (
	"math"
	"net/netip"
	"testing"
	"time"

	"github.com/strictmx/strictmx/tlsrpt"
)

// noon is the time of most sessions in these tests; their clock stands there.
var noon = time.Date(2026, 5, 14, 12, 0, 0, 0, time.UTC)

func newCollector() *Collector { return &Collector{clock: func() time.Time { return noon }} }

var (
	ourIP   = netip.MustParseAddr("2a01:4f8::25")
	theirIP = netip.MustParseAddr("93.184.216.34")

	selfSigned = tlsrpt.Failure{Type: tlsrpt.CertificateNotTrusted, Reason: tlsrpt.ReasonSelfSigned}
	expired    = tlsrpt.Failure{Type: tlsrpt.CertificateExpired}
	mismatch   = tlsrpt.Failure{Type: tlsrpt.CertificateHostMismatch}
)

// enforce is a policy of a domain, a new one at each call.
func enforce(domain string) *tlsrpt.Policy {
	return &tlsrpt.Policy{
		Type: tlsrpt.STS, Domain: domain, MXHosts: []string{"*." + domain, "mx.backup.test"},
		Strings: []string{"version: STSv1", "mode: enforce", "mx: *." + domain, "mx: mx.backup.test", "max_age: 604800"},
	}
}

// session is a session with the MX host of a domain, judged by one policy.
func session(domain string, p *tlsrpt.Policy, failures ...tlsrpt.Failure) tlsrpt.Event {
	return tlsrpt.Event{
		Time: noon, Domain: domain, MXHost: "mx." + domain, HELO: "mx." + domain, SendingIP: ourIP, ReceivingIP: theirIP,
		Outcomes: []tlsrpt.Outcome{{Policy: p, Failures: failures}},
	}
}

// only returns the one tally of the day of the tests.
func only(t *testing.T, c *Collector) Tally {
	t.Helper()
	var all []Tally
	for tally := range c.Tallies(noon) {
		all = append(all, tally)
	}
	if len(all) != 1 {
		t.Fatalf("%d tallies, want one: %+v", len(all), all)
	}
	return all[0]
}

// sum fails the test unless every session seen is accounted for (I13), and
// returns the stats.
func sum(t *testing.T, c *Collector) Stats {
	t.Helper()
	st := c.Stats()
	if st.Seen != st.Held+st.Released+st.Stale+st.Unwanted+st.NoRoom+st.Late+st.Misdated+st.Malformed {
		t.Errorf("sessions are missing: %+v", st)
	}
	var held uint64
	for _, day := range c.Days() {
		for tally := range c.Tallies(day) {
			held += uint64(tally.Sessions)
			if tally.Sessions == 0 || len(tally.Policies) == 0 {
				t.Errorf("an empty tally: %+v", tally)
			}
		}
	}
	if held != st.Held {
		t.Errorf("%d sessions in tallies, %d held", held, st.Held)
	}
	return st
}

// want makes it known that a domain wants reports.
func want(c *Collector, domain string) {
	c.open()
	c.records.open()
	c.records.cache.Put(domain, found{rua: []string{"mailto:tls@" + domain}, until: math.MaxInt64})
}
