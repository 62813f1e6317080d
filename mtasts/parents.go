package mtasts

import (
	"hash/maphash"
	"strings"
	"sync"
)

const (
	parentShare    = 100 // one parent holds at most 1/100 of the places (R11)
	minParentShare = 16
	maxParentSlots = 1 << 16
)

// parents counts the places that are taken by the hash of the parent, the
// registrable domain. Parents that share a slot share its bound, which costs an
// unlucky one a place in memory and nothing else; the seed keeps luck out of an
// attacker's hands.
type parents struct {
	seed  maphash.Seed
	limit int

	mu    sync.Mutex
	count []int // made at the first use
	slots int
}

func (p *parents) init(capacity int) {
	p.seed = maphash.MakeSeed()
	p.limit = max(capacity/parentShare, minParentShare)
	for p.slots = 256; p.slots < maxParentSlots && p.slots < capacity; {
		p.slots *= 2
	}
}

// add changes the count of a parent, and returns it.
func (p *parents) add(parent string, n int) int {
	i := maphash.String(p.seed, parent) % uint64(p.slots)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.count == nil {
		p.count = make([]int, p.slots)
	}
	p.count[i] += n
	return p.count[i]
}

// admit says whether h's parent may take so many places more, and makes room
// among the parent's own where that is easy: in the shard, and of no higher rank.
// A parent that holds nothing may hold one policy of any size.
func (m *memory) admit(s *shard, h *held, parent string, more int) bool {
	const look = 256
	taken := m.parents.add(parent, 0)
	over := taken + more - m.parents.limit
	if over <= 0 || taken == 0 {
		return true
	}
	suffix := "." + parent
	seen := 0
	var room []*held
	for r := 0; r <= h.rank() && r < protectedRank; r++ {
		head := &s.lists[r]
		for v := head.prev; over > 0 && v != head && seen < look; v = v.prev {
			if seen++; v.domain() == parent || strings.HasSuffix(v.domain(), suffix) {
				over -= v.places()
				room = append(room, v)
			}
		}
	}
	if over > 0 {
		return false
	}
	for _, v := range room {
		m.drop(s, v)
	}
	return true
}
