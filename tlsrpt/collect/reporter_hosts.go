package collect

import (
	"strings"
	"sync"
	"time"

	"github.com/strictmx/strictmx/cache"
	"github.com/strictmx/strictmx/internal/dnsname"
)

const (
	atOnceByOwner = 4 // of the POSTs being made
	// A host that gave no answer so often in a row is left alone for a minute, and
	// for twice as long each time it fails again.
	patienceWithHost = 3
	firstHold        = time.Minute
	longestHold      = 30 * time.Minute
	// busyWait is how long a report waits that finds its host busy with others.
	busyWait   = 15 * time.Second
	maxTracked = 4096 // hosts
)

// hosts keeps one host that is slow, or down, from taking all the places: a
// vendor that collects for fifty thousand domains, or somebody who wants the
// reports of others never to leave. Places are counted for all hosts with one
// owner together, failures for each.
type hosts struct {
	states cache.LRU[hostState]
	mu     sync.Mutex
	busy   map[string]int // POSTs being made, by owner; guarded by mu
}

type hostState struct {
	failures  int // in a row
	heldUntil instant
}

// enter takes one of the places of a host's owner, or says how long to stay away,
// and whether because the host failed. That is no reason where it is the last
// chance.
func (h *hosts) enter(host string, now instant, last bool) (wait time.Duration, held bool) {
	if s, _ := h.states.Get(host); s.heldUntil > now && !last {
		return s.heldUntil - now, true
	}
	owner := dnsname.Parent(host)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.busy[owner] >= atOnceByOwner {
		return busyWait, false
	}
	if h.busy == nil {
		h.busy = make(map[string]int)
	}
	h.busy[owner]++
	return 0, false
}

// leave gives the place back. A host that answered is as good as any; one that
// failed may be held.
func (h *hosts) leave(host string, now instant, ok bool) {
	h.states.Update(host, func(s hostState, _ bool) (hostState, bool) {
		if ok {
			return hostState{}, false
		}
		s.failures++
		if over := s.failures - patienceWithHost; over >= 0 {
			s.heldUntil = now + min(firstHold<<min(over, 16), longestHold)
		}
		return s, true
	})
	owner := dnsname.Parent(host)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.busy[owner]--; h.busy[owner] <= 0 {
		delete(h.busy, owner)
	}
}

// mailboxKey is a mailbox as it is counted and suppressed. Its host may tell the
// cases of a local part apart, and hardly any does.
func mailboxKey(address string) string { return dnsname.Lower(address) }

// withoutTag is the mailbox that most hosts deliver "local+tag@host" to.
func withoutTag(address string) string {
	at := strings.LastIndexByte(address, '@')
	if plus := strings.IndexByte(address, '+'); plus >= 0 && plus < at {
		return address[:plus] + address[at:]
	}
	return address
}
