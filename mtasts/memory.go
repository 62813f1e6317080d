package mtasts

import (
	"hash/maphash"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/strictmx/strictmx/internal/ablation"
	"github.com/strictmx/strictmx/internal/dnsname"
)

const (
	defaultCapacity = 100_000
	maxShards       = 48   // fills the tables of Go's maps well at a million policies
	minPerShard     = 1024 // fewer entries than this are not worth a shard

	// bytesPerPlace times the capacity is the budget in bytes (R11). A policy of
	// usual size costs about 400 and takes one place; one of the largest takes 80.
	bytesPerPlace = 1024
	heldOverhead  = 512 // structs, map slot and list links of one entry, and its look

	probation     = 8                   // 1/8 of the places are for policies that are not protected
	protectedDays = 2                   // used on so many days, a policy is protected (R11)
	lapsedFor     = 30 * 24 * time.Hour // how long an expired policy is remembered (R30)
)

// held is a policy in memory, and all that is known of its domain. A shard's
// lock guards it; what is inside policy and state is never changed. There may be
// a million of them: it is 80 bytes.
type held struct {
	names  string // the domain, and the id the policy was fetched under
	policy *Policy
	// state is what the last looks said, where that is more than "the record
	// has our id, and the last GET succeeded"; else nil.
	state *look

	fetched instant // start of the GET
	checked instant // last answer to the question for the id

	minute    uint32 // last use, in minutes since 1970; a day begins at midnight UTC
	own       uint32 // when this process last fetched it or took it over, in the same
	ttl       uint16 // seconds from checked to the next id check
	kept      uint16 // the day of the last use that the Store knows of
	days      uint8  // number of days on which it was used, up to 255
	jitter    uint8  // 1/256ths of the time by which its GET comes earlier
	domainLen uint8  // of names
	// hint: it comes from a Store and enforces nothing, so that nothing is lost by
	// asking its owner first. It is not in force until that was tried in vain (R6).
	hint bool

	prev, next *held // in the list of its rank, most recently used first
}

// newHeld parses the text that was served for a domain. All strings in the
// result are cut from one.
func newHeld(domain, id, text string, start instant) (*held, error) {
	all := domain + id + text
	names := all[:len(domain)+len(id)]
	p, err := parsePolicy(all[len(names):])
	if err != nil {
		return nil, err
	}
	if len(text) > maxKeptBytes {
		names = strings.Clone(names)
	}
	return &held{names: names, domainLen: uint8(len(domain)), policy: p, fetched: start, checked: start, jitter: uint8(rand.N(256))}, nil
}

func (h *held) domain() string { return h.names[:h.domainLen] }
func (h *held) id() string     { return h.names[h.domainLen:] }

func (h *held) expires() instant       { return h.fetched + h.policy.MaxAge }
func (h *held) lives(now instant) bool { return now <= h.expires() } // inclusive: STS-84
func (h *held) fresh(now instant) bool { return !h.hint && h.lives(now) }
func (h *held) old(now instant) bool   { return now-h.expires() > lapsedFor }

// lapsed: it expired lately, and that is a loss. One that asked for nothing is none.
func (h *held) lapsed(now instant) bool {
	return !h.lives(now) && !h.old(now) && h.policy.Mode != ModeNone && !ablation.Off(ablation.LapsedTold)
}

// rank is the order of eviction, lowest first (R11).
func (h *held) rank() int {
	switch {
	case h.policy.Mode == ModeNone:
		return 0
	case h.policy.Mode == ModeTesting:
		return 1
	case h.days < protectedDays || ablation.Off(ablation.Ranks):
		return 2
	}
	return protectedRank
}

const (
	protectedRank = 3
	ranks         = protectedRank + 1
)

// places is how many of the capacity h takes.
func (h *held) places() int {
	n := heldOverhead + len(h.names) + len(h.policy.text)
	for _, mx := range h.policy.MX {
		n += 16 + len(mx)
	}
	for _, x := range h.policy.Extensions {
		n += 32 + len(x.Name) + len(x.Value)
	}
	for _, p := range h.policy.Problems {
		n += 40 + len(p.Text)
	}
	return 1 + (n-1)/bytesPerPlace
}

func (h *held) unlink() {
	h.prev.next, h.next.prev = h.next, h.prev
	h.prev, h.next = nil, nil
}

func (h *held) linkAfter(head *held) {
	h.prev, h.next = head, head.next
	head.next.prev, head.next = h, h
}

// memory holds policies, bounded in places and by parent, in shards
// that do not wait for each other.
type memory struct {
	shards   []shard
	seed     maphash.Seed
	epoch    time.Duration // from 1970 to the instant 0
	capacity int           // places in one shard
	parents  parents
}

type shard struct {
	sync.Mutex
	policies map[string]*held
	used     int // places
	// protected of them are those of the highest rank. They never fill the shard,
	// or no newcomer could stay long enough to become one of them.
	protected int
	lists     [ranks]held // sentinels
	gone      []*held     // evicted, and not told of yet: hooks are not called under the lock
}

func newMemory(capacity int, base time.Time) *memory {
	n := min(max(capacity/minPerShard, 1), maxShards)
	m := &memory{
		shards: make([]shard, n), seed: maphash.MakeSeed(),
		epoch: time.Duration(base.UnixNano()), capacity: (capacity + n - 1) / n,
	}
	for i := range m.shards {
		s := &m.shards[i]
		for r := range s.lists {
			s.lists[r].prev, s.lists[r].next = &s.lists[r], &s.lists[r]
		}
	}
	m.parents.init(capacity)
	return m
}

func (m *memory) shard(domain string) *shard {
	return &m.shards[maphash.String(m.seed, domain)%uint64(len(m.shards))]
}

// minute counts the minutes since 1970.
func (m *memory) minute(at instant) uint32 {
	return uint32(max(m.epoch+at, 0) / time.Minute)
}

const minutesPerDay = 24 * 60

// touch notes a use. The list is put in order once a minute for each policy,
// so that a hit costs a comparison.
func (m *memory) touch(s *shard, h *held, now instant) {
	minute := m.minute(now)
	if minute == h.minute && h.days > 0 {
		return
	}
	was := h.rank()
	if h.days == 0 || minute/minutesPerDay != h.minute/minutesPerDay {
		h.days += min(1, 255-h.days)
	}
	h.minute = minute
	h.unlink()
	h.linkAfter(&s.lists[h.rank()])
	if h.rank() == protectedRank && was < protectedRank {
		s.protected += h.places()
		m.boundProtected(s)
	}
}

// boundProtected drops the least recently used of the protected while they take
// more than their part.
func (m *memory) boundProtected(s *shard) {
	for s.protected > m.capacity-m.capacity/probation {
		m.drop(s, s.lists[protectedRank].prev)
	}
}

// put installs h for its domain in place of what was there, if there is room for
// it; under s's lock.
func (m *memory) put(s *shard, h *held, now instant) {
	parent := dnsname.Parent(h.domain())
	more := h.places()
	if old := s.policies[h.domain()]; old != nil {
		h.minute, h.days, h.kept = max(h.minute, old.minute), max(h.days, old.days), max(h.kept, old.kept)
		more -= old.places()
		m.remove(s, old)
	}
	if more > 0 && !m.admit(s, h, parent, more) || h.rank() < protectedRank && h.places() > m.capacity-s.protected {
		s.gone = append(s.gone, h)
		return
	}
	if s.policies == nil {
		s.policies = make(map[string]*held)
	}
	s.policies[h.domain()] = h
	s.used += h.places()
	m.parents.add(parent, h.places())
	h.linkAfter(&s.lists[h.rank()])
	if h.rank() == protectedRank {
		s.protected += h.places()
		m.boundProtected(s)
	}
	for s.used > m.capacity {
		m.evict(s, h, now)
	}
}

func (m *memory) remove(s *shard, h *held) {
	delete(s.policies, h.domain())
	s.used -= h.places()
	h.unlink()
	if h.rank() == protectedRank {
		s.protected -= h.places()
	}
	m.parents.add(dnsname.Parent(h.domain()), -h.places())
}

// evict removes the policy whose loss costs least: an expired one if one is
// found near the end of a list or by a few samples, else the least recently used
// of the lowest rank. What is protected makes no room for what is not: then the newcomer goes (I16).
func (m *memory) evict(s *shard, newcomer *held, now instant) {
	const near = 8
	samples := 0
	for _, h := range s.policies {
		if h != newcomer && !h.fresh(now) {
			m.drop(s, h)
			return
		}
		if samples++; samples == near {
			break
		}
	}
	victim := newcomer
	for r := range s.lists {
		head := &s.lists[r]
		h := head.prev
		for range near {
			if h == head {
				break
			}
			if h != newcomer && !h.fresh(now) {
				m.drop(s, h)
				return
			}
			if victim == newcomer && r <= max(newcomer.rank(), protectedRank-1) {
				victim = h
			}
			h = h.prev
		}
	}
	m.drop(s, victim)
}

func (m *memory) drop(s *shard, h *held) {
	m.remove(s, h)
	s.gone = append(s.gone, h)
}

// unlock returns what was evicted under the lock.
func (s *shard) unlock() (gone []*held) {
	gone, s.gone = s.gone, nil
	s.Unlock()
	return gone
}

// all copies the entries of one shard after another; none is held twice, and
// no lock is held while the caller looks at them.
func (m *memory) all(yield func(held) bool) {
	var batch []held
	for i := range m.shards {
		s := &m.shards[i]
		batch = batch[:0]
		s.Lock()
		for _, h := range s.policies {
			batch = append(batch, *h)
		}
		s.Unlock()
		for _, h := range batch {
			if !yield(h) {
				return
			}
		}
	}
}
