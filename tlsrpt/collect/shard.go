package collect

import (
	"slices"
	"sync"
	"time"
)

// shard holds the tallies of the domains whose names fall into it.
type shard struct {
	mu     sync.Mutex
	stats  counts                    // guarded by mu, as is all below
	days   map[day]map[string]*tally // by domain
	todo   []string                  // domains whose record is to be looked up
	sealed sealedDays
	swept  day      // the UTC day of the last sweep
	_      [64]byte // no two shards in one cache line
}

// day is a UTC day, counted from 1970.
type day int32

func dayOf(t time.Time) day {
	const seconds = 24 * 60 * 60
	n := t.Unix()
	if n < 0 {
		n -= seconds - 1 // division rounds towards zero
	}
	return day(n / seconds)
}

func (d day) time() time.Time { return time.Unix(0, 0).UTC().AddDate(0, 0, int(d)) }

// tally is what is known of one domain on one day. There may be a million of
// them: it is 64 bytes.
type tally struct {
	rua       string // the addresses of its record, joined by blanks; "" while it is not known
	entries   []entry
	sessions  int64
	cost      int32  // bytes that the budget knows of
	slot      uint16 // of its parent in the budget
	pending   bool   // counted among the pending
	unchecked bool   // the record was not looked up for this day
	connected bool   // a session reached EHLO (R17)
}

func (s *shard) find(d day, domain string) *tally { return s.days[d][domain] }

func (s *shard) add(d day, domain string, t *tally) {
	if s.days == nil {
		s.days = make(map[day]map[string]*tally)
	}
	if s.days[d] == nil {
		s.days[d] = make(map[string]*tally)
	}
	s.days[d][domain] = t
}

// remove forgets a tally and returns it; nil if there is none. s is locked.
func (c *Collector) remove(s *shard, d day, domain string) *tally {
	t := s.days[d][domain]
	if t == nil {
		return nil
	}
	delete(s.days[d], domain)
	if len(s.days[d]) == 0 {
		delete(s.days, d) // the map as well: it keeps the size it once had
	}
	c.budget.release(t)
	return t
}

// removeDay forgets all tallies of a day, and returns how many sessions they held,
// which are to be counted anew. s is locked.
func (c *Collector) removeDay(s *shard, d day) uint64 {
	var sessions int64
	for domain := range s.days[d] {
		sessions += c.remove(s, d, domain).sessions
	}
	s.stats.Held -= uint64(sessions)
	return uint64(sessions)
}

// sweep drops the days of a shard that are out of place, once a day, unless there is
// a Reporter. s is locked.
func (c *Collector) sweep(s *shard, now time.Time) {
	if c.reported.Load() {
		return
	}
	for d := range s.days {
		if misplaced(d.time(), now) {
			s.stats.Stale += c.removeDay(s, d)
		}
	}
}

// sealedDays are the days to which nothing is added any more: the latest of
// them, sorted. Events of days before are misdated.
type sealedDays []day

const maxSealedDays = 32

func (s sealedDays) has(d day) bool {
	_, ok := slices.BinarySearch(s, d)
	return ok
}

func (s *sealedDays) add(d day) {
	if i, ok := slices.BinarySearch(*s, d); !ok {
		*s = slices.Insert(*s, i, d)
	}
	*s = slices.Delete(*s, 0, max(len(*s)-maxSealedDays, 0))
}
