package collect

import (
	"hash/maphash"
	"sync/atomic"
)

const (
	defaultMemory = 512 << 20

	// One parent, a registrable domain, holds at most 1/100 of the memory (R26): it
	// can make up any number of domains. In a small memory it is this much.
	parentShare    = 100
	minParentShare = 32 << 10
	// Domains whose record is not known yet hold at most a quarter: of junk domains
	// hardly one has a record, and they must not push out those that do.
	pendingShare = 4
	// One sixteenth of each share is kept for the overflow of what is held already.
	reserveShare = 16
)

// budget counts the bytes held in all, for domains that are pending, and by
// parent. Parents are counted by the hash of their name: those that fall together
// share their bound, which costs an unlucky one some of its room, and the seed
// keeps luck out of an attacker's hands.
type budget struct {
	seed    maphash.Seed
	all     share
	pending share
	parents []share
}

// share is a bound, and what is taken of it.
type share struct {
	limit int64
	taken atomic.Int64
}

// rank says which part of the memory something may be taken from.
type rank uint8

const (
	ordinary rank = iota // not the reserve
	overflow             // all of it
)

func (b *budget) init(memory int64) {
	if memory <= 0 {
		memory = defaultMemory
	}
	b.seed = maphash.MakeSeed()
	b.all.limit = memory
	b.pending.limit = memory / pendingShare
	slots := 256
	for slots < 1<<16 && int64(slots) < memory>>15 {
		slots *= 2
	}
	b.parents = make([]share, slots)
	for i := range b.parents {
		b.parents[i].limit = max(memory/parentShare, minParentShare)
	}
}

// slot returns where a parent is counted.
func (b *budget) slot(parent string) uint16 {
	return uint16(maphash.String(b.seed, parent) % uint64(len(b.parents)))
}

// grow takes n bytes more for t, and reports whether there was room.
func (b *budget) grow(t *tally, n int, r rank) bool {
	if !b.all.take(n, r) {
		return false
	}
	if parent := &b.parents[t.slot]; parent.take(n, r) {
		if !t.pending || b.pending.take(n, r) {
			t.cost += int32(n)
			return true
		}
		parent.give(n)
	}
	b.all.give(n)
	return false
}

// settle counts t no longer among the pending.
func (b *budget) settle(t *tally) {
	if t.pending {
		t.pending = false
		b.pending.give(int(t.cost))
	}
}

// release gives back all that t held.
func (b *budget) release(t *tally) {
	b.settle(t)
	b.parents[t.slot].give(int(t.cost))
	b.all.give(int(t.cost))
	t.cost = 0
}

func (s *share) take(n int, r rank) bool {
	limit := s.limit
	if r != overflow {
		limit -= limit / reserveShare
	}
	if s.taken.Add(int64(n)) > limit {
		s.give(n)
		return false
	}
	return true
}

func (s *share) give(n int) { s.taken.Add(-int64(n)) }
