package collect

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/strictmx/strictmx/tlsrpt"
)

// R26: one registrable domain, with all the names below it, gets 1 %.
func TestOneParentGetsItsShareOfMemory(t *testing.T) {
	c := newCollector()
	c.Memory = 16 << 20
	for i := range 10_000 {
		domain := fmt.Sprintf("d%d.attacker.example", i)
		want(c, domain)
		c.Observe(session(domain, enforce(domain)))
	}
	st := sum(t, c)
	if st.Bytes > c.Memory/parentShare || st.Bytes < c.Memory/parentShare/2 || st.NoRoom == 0 {
		t.Errorf("%+v", st)
	}
	for i := range 1000 {
		domain := fmt.Sprintf("innocent%d.example", i)
		want(c, domain)
		c.Observe(session(domain, enforce(domain)))
	}
	if after := sum(t, c); after.Held-st.Held < 1000-30 { // a few share the attacker's slot
		t.Errorf("%d of 1000 others found room", after.Held-st.Held)
	}
}

// R26: junk domains are pending, and so get a quarter of the memory for as long as
// nobody knows that they have no record.
func TestJunkDomainsPushNobodyOut(t *testing.T) {
	c := newCollector()
	c.Memory = 4 << 20
	for i := range 20_000 {
		domain := fmt.Sprintf("junk%d.example", i)
		c.Observe(session(domain, enforce(domain)))
	}
	st := sum(t, c)
	if st.PendingBytes > c.Memory/pendingShare || st.PendingBytes < c.Memory/pendingShare/2 || st.NoRoom == 0 || st.Bytes != st.PendingBytes {
		t.Errorf("%+v", st)
	}
	for i := range 5000 {
		domain := fmt.Sprintf("wants%d.example", i)
		want(c, domain)
		c.Observe(session(domain, enforce(domain)))
	}
	if after := sum(t, c); after.Held-st.Held != 5000 {
		t.Errorf("%+v", after)
	}
}

// With the memory full, what is held goes on being counted, and the budget is
// kept (I15).
func TestAFullMemoryKeepsTheTotals(t *testing.T) {
	c := newCollector()
	c.Memory = 1 << 20
	domain := func(i int) string { return fmt.Sprintf("domain%d.example", i) }
	for i := range 5000 {
		want(c, domain(i))
		c.Observe(session(domain(i), enforce(domain(i))))
	}
	held := sum(t, c).Held
	if held == 0 || held == 5000 {
		t.Fatalf("%d sessions held", held)
	}
	for range 3 {
		for i := range 5000 {
			c.Observe(session(domain(i), enforce(domain(i)), selfSigned))
		}
	}
	st := sum(t, c)
	if st.Held != 4*held || st.Bytes > c.Memory || st.OverflowDetails == 0 {
		t.Errorf("%d were held before: %+v", held, st)
	}
	byHost := 0
	for tally := range c.Tallies(noon) {
		result := tally.Policies[0]
		if result.Summary != (tlsrpt.Summary{Successful: 1, Failed: 3}) {
			t.Fatalf("%+v", tally)
		}
		for _, d := range result.Failures {
			if d.Sessions == 3 && d.MXHost != "" {
				byHost++
			}
		}
	}
	if byHost < 100 {
		t.Errorf("the reserve told of %d hosts", byHost)
	}
	// A policy that is new goes to the bare one of its type, or its session is
	// counted as one without room.
	for i := range 5000 {
		c.Observe(session(domain(i), &tlsrpt.Policy{Type: tlsrpt.STS, Domain: domain(i), Strings: []string{strings.Repeat("x", 8000)}}))
	}
	if st := sum(t, c); st.OverflowPolicies == 0 || st.Bytes > c.Memory {
		t.Errorf("%+v", st)
	}
}

// However full the memory, where a domain wants its reports is kept once it is
// known: the room for it was there from the start.
func TestAFullMemoryKeepsWhereReportsGo(t *testing.T) {
	c := newCollector()
	c.Observe(session("example.com", enforce("example.com")))
	c.Observe(session("greedy.example", enforce("greedy.example")))
	c.budget.all.Store(c.budget.memory)
	c.learn("example.com", []string{rua})
	c.learn("greedy.example", []string{"https://greedy.example/" + strings.Repeat("x", 1000)})
	var got []string
	for tally := range c.Tallies(noon) {
		got = append(got, tally.RUA...)
	}
	if !slices.Equal(got, []string{rua}) {
		t.Errorf("%q", got)
	}
	if st := sum(t, c); st.Bytes > c.budget.memory || st.PendingBytes != 0 {
		t.Errorf("%+v", st)
	}

	// A domain costs the same whether its record was known first or last.
	first, last := newCollector(), newCollector()
	want(first, "example.com")
	first.Observe(session("example.com", enforce("example.com")))
	last.Observe(session("example.com", enforce("example.com")))
	last.learn("example.com", []string{"mailto:tls@example.com"})
	if a, b := first.Stats().Bytes, last.Stats().Bytes; a != b {
		t.Errorf("%d bytes, or %d", a, b)
	}
}

// A memory in which there is room for a domain and none for a policy holds nothing.
func TestATallyWithoutPoliciesIsNone(t *testing.T) {
	c := newCollector()
	c.Memory = int64(tallyCost("example.com")+stringCost("mailto:tls@example.com")) * 10 / 9
	want(c, "example.com")
	c.Observe(session("example.com", enforce("example.com")))
	if st := sum(t, c); st.NoRoom != 1 || st.Domains != 0 || st.Bytes != 0 {
		t.Errorf("%+v", st)
	}
}

// I15: what the budget believes is what the runtime says, nearly, whatever is held.
func TestTheEstimateOfMemoryIsTrue(t *testing.T) {
	for _, tt := range []struct {
		name string
		fill func(c *Collector)
	}{
		{"many domains that do well", func(c *Collector) { fill(c, 10_000) }},
		{"many details", func(c *Collector) {
			for i := range 200 {
				p := enforce(fmt.Sprintf("domain%d.example", i))
				for j := range 100 {
					e := session(p.Domain, p, selfSigned)
					e.HELO, e.MXHost = fmt.Sprintf("h%d.%s.example", j, strings.Repeat("x", 60)), fmt.Sprintf("mx%d.example.com", j)
					c.Observe(e)
				}
			}
		}},
		{"many large policies", func(c *Collector) {
			for i := range 200 {
				domain := fmt.Sprintf("domain%d.example", i)
				for j := range 12 {
					c.Observe(session(domain, &tlsrpt.Policy{Type: tlsrpt.STS, Domain: domain, Strings: append(slices.Repeat([]string{strings.Repeat("x", 1000)}, j), fmt.Sprint("id: ", j))}))
				}
			}
		}},
		{"names that are small parts of large messages", func(c *Collector) {
			for i := range 200 {
				e := session(fmt.Sprintf("domain%d.example", i), enforce("mx.backup.test"), selfSigned)
				message := strings.Repeat("x", 64<<10) + e.Domain + e.MXHost
				names := message[64<<10:]
				e.Domain, e.MXHost, e.HELO = names[:len(e.Domain)], names[len(e.Domain):], names
				c.Observe(e)
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newCollector()
			c.open()
			c.records.capacity = 1 // it is not what is measured
			before := heap()
			tt.fill(c)
			held := float64(heap() - before)
			estimate := float64(c.Stats().Bytes)
			if ratio := held / estimate; ratio > 1 || ratio < 0.7 {
				t.Errorf("%.0f bytes held, %.0f in the books: %.2f", held, estimate, ratio)
			}
			runtime.KeepAlive(c)
		})
	}
}

// A session with something known costs no allocation.
func TestObserveDoesNotAllocate(t *testing.T) {
	c := newCollector()
	c.open()
	c.records.open()
	c.records.cache.Put("unwanted.example", found{until: time.Duration(1<<63 - 1)})
	p, literal := enforce("example.com"), session("example.com", enforce("example.com"), expired)
	literal.HELO = "[93.184.216.34]"
	for _, tt := range []struct {
		name string
		e    tlsrpt.Event
	}{
		{"success", session("example.com", p)},
		{"the same policy at another address", session("example.com", enforce("example.com"))},
		{"failures", session("example.com", p, selfSigned, expired)},
		{"a server without a name", literal},
		{"a domain that wants no reports", session("unwanted.example", p)},
		{"another day, long gone", tlsrpt.Event{Domain: "example.com", Outcomes: literal.Outcomes}},
	} {
		c.Observe(tt.e)
		if n := testing.AllocsPerRun(200, func() { c.Observe(tt.e) }); n != 0 {
			t.Errorf("%s: %v allocations", tt.name, n)
		}
	}
}
