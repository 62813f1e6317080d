package collect

import (
	"hash/maphash"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/strictmx/strictmx/internal/dnsname"
	"github.com/strictmx/strictmx/tlsrpt"
)

// Collector is a [tlsrpt.Observer] that counts sessions by UTC day, recipient
// domain, policy and failure. The zero value works; a Collector must not be
// copied, and its fields must not change after its first use. All methods may
// be called at once from many goroutines.
//
// Who has no [Reporter] reads a day with Tallies when it is over, and calls Forget when
// done with it. What nobody forgets is dropped two days after the end of its day, so
// that there is room to go on counting.
//
// Observe alone is enough to count. While Run runs, the TLS-RPT record of each
// domain is looked up behind the scenes, and domains that ask for no reports
// take no room.
type Collector struct {
	// Memory bounds, in bytes, all that is held for the reports to come. If
	// zero, 512 MiB, which is room for a million domains with a policy each.
	// Domains of which it is not known yet whether they want reports get a
	// quarter, and one registrable domain with all its names 1 % of either. What
	// finds no room is counted all the same: see [Stats].
	Memory int64
	// MaskSendingIP leaves the address that a session came from out of reports
	// (RFC 8460, section 8).
	MaskSendingIP bool
	// Resolver looks up TLS-RPT records for Run. If nil, a zero
	// [resolver.Client].
	Resolver tlsrpt.Resolver
	// Logger is told, at most every ten minutes, when something found no room. If
	// nil, silent.
	Logger *slog.Logger

	once    sync.Once
	seed    maphash.Seed
	budget  budget
	records records
	guests  guests
	shards  []shard
	wake    chan struct{} // for Run: there is something to look up
	running atomic.Bool
	// reported: a Reporter gives up days itself, by a clock that it has checked.
	reported atomic.Bool
	clock    func() time.Time
}

const (
	numShards = 64
	// misdatedAfter is how far from now the time of an event may be. Reports of
	// days long gone are not sent (RPT-120), and the future is a broken clock.
	misdatedAfter = 48 * time.Hour

	// One record is remembered for so many bytes of Memory, beside it: that most
	// domains want no reports is worth knowing.
	bytesPerRecord = 4 << 10
	minRecords     = 1_000
	maxRecords     = 100_000
)

func (c *Collector) open() {
	c.once.Do(func() {
		c.seed = maphash.MakeSeed()
		c.budget.init(c.Memory)
		c.records.resolver = c.Resolver
		c.records.capacity = int(min(max(c.budget.memory/bytesPerRecord, minRecords), maxRecords))
		c.guests.capacity = c.records.capacity / recordsPerGuest
		c.shards = make([]shard, numShards)
		c.wake = make(chan struct{}, 1)
		if c.clock == nil {
			c.clock = time.Now
		}
	})
}

func (c *Collector) shard(domain string) *shard {
	return &c.shards[maphash.String(c.seed, domain)%numShards]
}

// Observe counts a session. It does no I/O, starts nothing, and on what was
// seen before it does not allocate. Nothing of e is kept.
func (c *Collector) Observe(e tlsrpt.Event) {
	c.open()
	domain, err := dnsname.Domain(e.Domain)
	day := dayOf(e.Time)
	now := c.clock()
	away := now.Sub(e.Time.Round(0)) // by the wall clock: a report is about dates

	s := c.shard(domain)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Seen++
	if today := dayOf(now); s.swept != today {
		s.swept = today
		c.sweep(s, now)
	}
	switch {
	case err != nil || !usable(e.Outcomes):
		s.stats.Malformed++
	case away > misdatedAfter || away < -misdatedAfter:
		s.stats.Misdated++
	case s.sealed.has(day):
		s.stats.Late++
	default:
		c.count(s, day, domain, &e)
	}
}

// usable reports whether there is a policy that a report can tell of.
func usable(outcomes []tlsrpt.Outcome) bool {
	for i := range outcomes {
		if p := outcomes[i].Policy; p != nil && letterOf(p.Type) != 0 {
			return true
		}
	}
	return false
}

// count adds a session to the tally of its domain. s is locked.
func (c *Collector) count(s *shard, day day, domain string, e *tlsrpt.Event) {
	t := s.find(day, domain)
	if t == nil {
		if t, domain = c.admit(s, day, domain); t == nil {
			return
		}
	}
	x := counter{c: c, s: s, t: t, domain: domain, e: e}
	counted := false
	for i := range e.Outcomes {
		if x.outcome(&e.Outcomes[i]) {
			counted = true
		}
	}
	if !counted {
		s.stats.NoRoom++
		if t.sessions == 0 {
			c.ask(s, domain, t)
			c.remove(s, day, domain)
		}
		return
	}
	if t.sessions == 0 && t.unchecked && c.running.Load() { // else requeue finds it
		s.todo = append(s.todo, domain)
		c.wakeRun()
	}
	t.sessions++
	s.stats.Held++
	t.connected = t.connected || connected(e)
}

// admit makes a tally for a domain that is new on its day; nil if it is to have
// none, which is then counted. s is locked.
//
// Slots are for domains with a TLS-RPT record (R26). Where it is not known yet, the
// domain is pending; one that had a record lately or the day before is not, and
// looked up again all the same. It returns the name as well, as a string of our own.
func (c *Collector) admit(s *shard, day day, domain string) (*tally, string) {
	f, known := c.records.known(domain)
	if known = known && !f.silent; known && len(f.rua) == 0 { // RPT-20
		s.stats.Unwanted++
		return nil, ""
	}
	t := &tally{slot: c.budget.slot(dnsname.Parent(domain)), unchecked: !known}
	if known {
		t.rua = strings.Join(f.rua, " ")
	} else if f, ok := c.records.recalled(domain); ok {
		t.rua = strings.Join(f.rua, " ")
	} else if before := s.find(day-1, domain); before != nil {
		t.rua = before.rua
	}
	cost := tallyCost(domain) + stringCost(t.rua)
	if t.pending = t.rua == ""; t.pending {
		cost += ruaRoom
	}
	if !c.budget.grow(t, cost, ordinary) {
		s.stats.NoRoom++
		c.ask(s, domain, t)
		return nil, ""
	}
	domain = strings.Clone(domain) // it may be a part of something large
	s.add(day, domain, t)
	return t, domain
}

// wakeRun tells Run that there is something to do, if it sleeps.
func (c *Collector) wakeRun() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}
