package mtasts

import (
	"math/rand/v2"
	"strings"

	"github.com/strictmx/strictmx/internal/ablation"
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
