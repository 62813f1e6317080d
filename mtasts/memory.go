package mtasts

import (
	"hash/maphash"
	"sync"
	"time"

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

// memory holds policies, bounded in places and by parent, in shards
// that do not wait for each other.
type memory struct {
	shards   []shard
	seed     maphash.Seed
	epoch    time.Duration // from 1970 to the instant 0
	capacity int           // places in one shard
	parents  parents
	// left is told under the shard's lock of a policy that was dropped or had no
	// room, before anybody can miss it: it may be in the Store.
	left func(domain string)
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
	for s.protected > m.mostProtected() {
		m.drop(s, s.lists[protectedRank].prev)
	}
}

// mostProtected is how many places of a shard the protected may take.
func (m *memory) mostProtected() int { return m.capacity - m.capacity/probation }

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
		m.leave(s, h)
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
	m.leave(s, h)
}

func (m *memory) leave(s *shard, h *held) {
	s.gone = append(s.gone, h)
	if m.left != nil {
		m.left(h.domain())
	}
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
