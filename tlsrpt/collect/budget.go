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
	// hardly one has a record, and they must not push out those that do. One parent
	// has its share of the quarter, not more: its name servers can be silent for days.
	pendingShare = 4
	// One sixteenth of each share is kept for the overflow of what is held already.
	reserveShare = 16
)

// budget counts the bytes held: in all, by pending domains, and by parent. Parents
// are counted by the hash of their name: those that fall together share their
// bound, which costs an unlucky one some of its room, and the seed keeps luck
// out of an attacker's hands.
type budget struct {
	memory  int64
	seed    maphash.Seed
	all     atomic.Int64
	pending atomic.Int64
	parents []parentBytes
}

type parentBytes struct{ all, pending atomic.Int64 }

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
	b.memory = memory
	b.seed = maphash.MakeSeed()
	slots := 256
	for slots < 1<<16 && int64(slots) < memory>>15 {
		slots *= 2
	}
	b.parents = make([]parentBytes, slots)
}

// slot returns where a parent is counted.
func (b *budget) slot(parent string) uint16 {
	return uint16(maphash.String(b.seed, parent) % uint64(len(b.parents)))
}

// grow takes n bytes more for t, and reports whether there was room. There always
// is where n is negative.
func (b *budget) grow(t *tally, n int, r rank) bool {
	parent := &b.parents[t.slot]
	switch {
	case !take(&b.all, b.memory, n, r):
		return false
	case !take(&parent.all, shareOf(b.memory), n, r):
		b.all.Add(-int64(n))
		return false
	case t.pending && !b.takePending(parent, n, r):
		parent.all.Add(-int64(n))
		b.all.Add(-int64(n))
		return false
	}
	t.cost += int32(n)
	return true
}

// shareOf is what one parent may hold of so much memory.
func shareOf(memory int64) int64 { return max(memory/parentShare, minParentShare) }

func (b *budget) takePending(parent *parentBytes, n int, r rank) bool {
	if !take(&b.pending, b.memory/pendingShare, n, r) {
		return false
	}
	if !take(&parent.pending, shareOf(b.memory/pendingShare), n, r) {
		b.pending.Add(-int64(n))
		return false
	}
	return true
}

func take(from *atomic.Int64, limit int64, n int, r rank) bool {
	if r != overflow {
		limit -= limit / reserveShare
	}
	if from.Add(int64(n)) <= limit || n <= 0 {
		return true
	}
	from.Add(-int64(n))
	return false
}

// settle counts t no longer among the pending.
func (b *budget) settle(t *tally) {
	if t.pending {
		t.pending = false
		b.parents[t.slot].pending.Add(-int64(t.cost))
		b.pending.Add(-int64(t.cost))
	}
}

// release gives back all that t held.
func (b *budget) release(t *tally) {
	b.settle(t)
	b.parents[t.slot].all.Add(-int64(t.cost))
	b.all.Add(-int64(t.cost))
	t.cost = 0
}
