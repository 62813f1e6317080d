package collect

import (
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/strictmx/strictmx/tlsrpt"
)

// Tally is what was counted for one recipient domain on one UTC day: a report
// without its frame, which is tlsrpt.NewReport(submitter, t.Domain, t.Day, t.Policies).
// It is plain data, a copy, and the caller's own.
type Tally struct {
	Day    time.Time `json:"day"` // 00:00 UTC
	Domain string    `json:"domain"`
	// RUA is where the domain wanted its reports when its record was looked up;
	// nil while that is not known.
	RUA []string `json:"rua,omitempty"`
	// Connected: a host answered in a session, so a report is of use to somebody. That
	// is an event with a HELO or a ReceivingIP, with a policy that is satisfied, or
	// with a failure that only a host can cause, such as a certificate's. A failure to
	// fetch the policy is none, nor is a host that the policy does not name.
	Connected bool  `json:"connected"`
	Sessions  int64 `json:"sessions"`
	// Policies has one element for each policy that judged a session, at least one.
	Policies []tlsrpt.PolicyResult `json:"policies"`
}

// Days returns the UTC days that there are tallies of, oldest first.
func (c *Collector) Days() []time.Time {
	c.open()
	seen := make(map[day]bool)
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		for d := range s.days {
			seen[d] = true
		}
		s.mu.Unlock()
	}
	var days []time.Time
	for _, d := range slices.Sorted(maps.Keys(seen)) {
		days = append(days, d.time())
	}
	return days
}

// Tallies yields what was counted on the UTC day that day is in, in the order of
// the domains' names. Each is made when it is yielded, and no lock is held
// meanwhile: sessions go on being counted. Whoever makes reports of them waits until
// the day is over and half an hour more, and then calls Forget.
func (c *Collector) Tallies(day time.Time) iter.Seq[Tally] {
	return func(yield func(Tally) bool) {
		for _, domain := range c.domains(day) {
			if t, ok := c.tally(day, domain); ok && !yield(t) {
				return
			}
		}
	}
}

// domains returns the names of the domains that have a tally on a day, sorted.
func (c *Collector) domains(day time.Time) []string {
	c.open()
	d := dayOf(day)
	var names []string
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		names = slices.AppendSeq(names, maps.Keys(s.days[d]))
		s.mu.Unlock()
	}
	slices.Sort(names)
	return names
}

// tally returns a copy of what was counted for a domain on a day.
func (c *Collector) tally(day time.Time, domain string) (Tally, bool) {
	c.open()
	d := dayOf(day)
	s := c.shard(domain)
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.find(d, domain)
	if t == nil {
		return Tally{}, false
	}
	out := Tally{
		Day: d.time(), Domain: domain, Connected: t.connected, Sessions: t.sessions,
		Policies: make([]tlsrpt.PolicyResult, 0, len(t.entries)),
	}
	if t.rua != "" {
		out.RUA = strings.Split(t.rua, " ")
	}
	for i := range t.entries {
		out.Policies = append(out.Policies, t.entries[i].result(domain))
	}
	return out, true
}

// seal ends a day: when it returns, no tally of that day grows any more. What comes
// later is counted as late.
func (c *Collector) seal(day time.Time) {
	c.open()
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		s.sealed.add(dayOf(day))
		s.mu.Unlock()
	}
}

// Forget ends the UTC day that day is in, and drops what was counted on it: for those
// who make reports themselves, and are done with that day. Sessions of it that come
// later are counted as late. It returns the number of sessions dropped, which is more
// than Tallies told of if some came since. A day that a [Reporter] is to report must
// not be forgotten.
func (c *Collector) Forget(day time.Time) (sessions int64) {
	c.seal(day)
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		n := c.removeDay(s, dayOf(day))
		s.stats.Released += n
		s.mu.Unlock()
		sessions += int64(n)
	}
	return sessions
}

// drop forgets the tally of a domain on a day, whose report was delivered or is
// not to be. It returns the number of its sessions.
func (c *Collector) drop(day time.Time, domain string) int64 {
	c.open()
	s := c.shard(domain)
	s.mu.Lock()
	defer s.mu.Unlock()
	t := c.remove(s, dayOf(day), domain)
	if t == nil {
		return 0
	}
	s.stats.Held -= uint64(t.sessions)
	s.stats.Released += uint64(t.sessions)
	return t.sessions
}
