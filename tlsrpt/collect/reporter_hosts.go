package collect

import (
	"time"

	"github.com/strictmx/strictmx/cache"
	"github.com/strictmx/strictmx/internal/dnsname"
)

const (
	perHostAtOnce = 4 // of the POSTs being made
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
// reports of others never to leave.
type hosts struct {
	states cache.LRU[hostState]
}

type hostState struct {
	busy, failures int
	heldUntil      instant
}

// enter takes one of a host's places, or says how long to stay away, and whether
// because it failed. That is no reason where it is the last chance.
func (h *hosts) enter(host string, now instant, last bool) (wait time.Duration, held bool) {
	h.states.Update(host, func(s hostState, _ bool) (hostState, bool) {
		switch {
		case s.heldUntil > now && !last:
			wait, held = s.heldUntil-now, true
		case s.busy >= perHostAtOnce:
			wait = busyWait
		default:
			s.busy++
		}
		return s, true
	})
	return wait, held
}

// leave gives the place back. A host that answered well is as good as any; one
// that failed may be held.
func (h *hosts) leave(host string, now instant, ok bool) {
	h.states.Update(host, func(s hostState, _ bool) (hostState, bool) {
		s.busy = max(s.busy-1, 0) // its state may have made room for another's
		if ok {
			s.failures, s.heldUntil = 0, 0
			return s, s.busy > 0
		}
		s.failures++
		if over := s.failures - patienceWithHost; over >= 0 {
			s.heldUntil = now + min(firstHold<<min(over, 16), longestHold)
		}
		return s, true
	})
}

// mailboxKey is a mailbox as it is counted and suppressed. Its host may tell the
// cases of a local part apart, and hardly any does.
func mailboxKey(address string) string { return dnsname.Lower(address) }
