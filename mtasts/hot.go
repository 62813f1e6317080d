package mtasts

import (
	"hash/maphash"
	"sync/atomic"
	"time"
)

// hot holds the answers that are asked for again and again, ready to hand out:
// one load and one comparison, where memory needs a lock, a map and the clock.
// An answer in it is what memory would say until the moment given with it.
type hot struct {
	seed maphash.Seed
	sets []hotSet
}

type hotAnswer struct {
	name   string
	until  instant // not an answer at this moment or later
	result Result
}

const (
	hotSets = 4096 // of two places each
	// hotFor bounds how long memory hears nothing of the uses of an answer.
	hotFor = time.Minute
	// hotMargin is how much before its end an answer is left to memory, which reads
	// the clock: so late may the timer of a starved machine be.
	hotMargin = time.Second
)

type hotSet [2]atomic.Pointer[hotAnswer]

func newHot() hot { return hot{seed: maphash.MakeSeed(), sets: make([]hotSet, hotSets)} }

func (h *hot) set(name string) *hotSet { return &h.sets[maphash.String(h.seed, name)%hotSets] }

// get returns the answer for name, given a moment that is not before now. A
// name in another spelling than the canonical one is not found.
func (h *hot) get(name string, latest instant) *Result {
	set := h.set(name)
	for i := range set {
		if a := set[i].Load(); a != nil && a.name == name && latest < a.until {
			return &a.result
		}
	}
	return nil
}

// keep keeps an answer until the moment given, unless both its places are
// taken. Under the lock of name's shard, as is drop: so nothing is kept that was
// formed before a change.
func (h *hot) keep(r Result, now, until instant) {
	if until = min(until-hotMargin, now+hotFor); now >= until {
		return
	}
	set := h.set(r.Domain)
	for i := range set {
		if a := set[i].Load(); a == nil || a.name == r.Domain || now >= a.until {
			set[i].Store(&hotAnswer{name: r.Domain, until: until, result: r})
			return
		}
	}
}

// drop forgets the answer for name.
func (h *hot) drop(name string) {
	set := h.set(name)
	for i := range set {
		if a := set[i].Load(); a != nil && a.name == name {
			set[i].CompareAndSwap(a, nil)
		}
	}
}
