package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/strictmx/strictmx/cache"
)

// leaserChecks is the contract of cache.Leaser, clause by clause.
func leaserChecks() []check {
	return []check{
		{name: "a lease has one holder", run: oneHolder},
		{name: "the lease of a holder that dies ends by itself", run: holderDies},
		{name: "a holder may extend its lease", run: extendLease},
		{name: "a lease may be extended to less", run: shortenLease},
		{name: "a released lease is free", run: releaseLease},
		{name: "nobody releases the lease of another", run: releaseOther},
		{name: "who had a lease may take it again", run: retakeLease},
		{name: "leases of odd names are told apart", run: oddLeases},
		{name: "names that can be none are refused", run: hostileLeases},
		{name: "leases and entries do not meet", run: leasesAndEntries},
		{name: "nothing is leased for a context that has ended", run: endedContextLease},
		{name: "of many at once one gets it", run: leaseRace},
		{name: "two processes do not hold one lease", needs: needsAgain, run: leaseBetween},
		{name: "a store that fails grants no lease", needs: needsBreak, run: brokenLease},
	}
}

// expiresIn is n units from now, and never for 0.
func (w *world) expiresIn(n int) (t time.Time) {
	if n > 0 {
		t = time.Now().Add(time.Duration(n) * w.unit)
	}
	return t
}

func (w *world) leaser(s cache.Store) cache.Leaser {
	w.Helper()
	l, ok := s.(cache.Leaser)
	if !ok {
		w.Fatalf("%T is no cache.Leaser", s)
	}
	return l
}

// lease calls Lease and checks what comes out.
func (w *world) lease(s cache.Store, name, holder string, units int, want bool) {
	w.Helper()
	held, err := w.leaser(s).Lease(w.ctx, name, holder, time.Duration(units)*w.unit)
	if err != nil || held != want {
		w.Fatalf("Lease(%q) for %s = %v, %v; want %v", name, holder, held, err, want)
	}
}

func (w *world) release(s cache.Store, name, holder string) {
	w.Helper()
	if err := w.leaser(s).Release(w.ctx, name, holder); err != nil {
		w.Fatalf("Release(%q) for %s: %v", name, holder, err)
	}
}

func oneHolder(w *world) {
	w.lease(w.store, "refresh", "a", 10, true)
	w.lease(w.store, "refresh", "b", 10, false)
	w.lease(w.store, "refresh", "a", 10, true) // it has it already
	w.lease(w.store, "report", "b", 10, true)
	w.lease(w.store, "report", "a", 10, false)
}

func holderDies(w *world) {
	w.lease(w.store, "refresh", "a", 2, true)
	w.sleep(w.unit)
	w.lease(w.store, "refresh", "b", 2, false) // which does not extend it
	w.sleep(w.unit)
	w.lease(w.store, "refresh", "b", 2, true)
	w.lease(w.store, "refresh", "a", 2, false)
}

func extendLease(w *world) {
	w.lease(w.store, "refresh", "a", 2, true)
	w.sleep(w.unit)
	w.lease(w.store, "refresh", "a", 3, true) // until 4
	w.sleep(2 * w.unit)
	w.lease(w.store, "refresh", "b", 1, false)
	w.sleep(w.unit)
	w.lease(w.store, "refresh", "b", 1, true)
}

func shortenLease(w *world) {
	w.lease(w.store, "refresh", "a", 100, true)
	w.lease(w.store, "refresh", "a", 1, true)
	w.sleep(w.unit)
	w.lease(w.store, "refresh", "b", 1, true)
}

func releaseLease(w *world) {
	w.release(w.store, "refresh", "a") // which nobody has
	w.lease(w.store, "refresh", "a", 10, true)
	w.release(w.store, "refresh", "a")
	w.lease(w.store, "refresh", "b", 10, true)
}

func releaseOther(w *world) {
	w.lease(w.store, "refresh", "a", 3, true)
	w.release(w.store, "refresh", "b")
	w.lease(w.store, "refresh", "b", 10, false)
	w.sleep(3 * w.unit)
	w.lease(w.store, "refresh", "b", 10, true)
	w.release(w.store, "refresh", "a") // too late: it is b's by now
	w.lease(w.store, "refresh", "a", 10, false)
}

func retakeLease(w *world) {
	w.lease(w.store, "refresh", "a", 1, true)
	w.sleep(w.unit)
	w.lease(w.store, "refresh", "a", 2, true)
	w.lease(w.store, "refresh", "b", 1, false)
}

func oddLeases(w *world) {
	for _, name := range validKeys() {
		w.lease(w.store, name, "holder", 10, true)
	}
	for _, name := range validKeys() {
		w.lease(w.store, name, "x", 10, false)
	}
	for _, holder := range validKeys() { // all of them others
		if holder != "a" {
			w.lease(w.store, "lease", "a", 10, true)
			w.lease(w.store, "lease", holder, 10, false)
		}
	}
}

func hostileLeases(w *world) {
	l := w.leaser(w.store)
	for _, bad := range invalidKeys() {
		for _, c := range []struct{ name, holder string }{{bad, "a"}, {"refresh", bad}} {
			if held, err := l.Lease(w.ctx, c.name, c.holder, w.unit); held || !errors.Is(err, cache.ErrKey) {
				w.Errorf("Lease(%.100q) for %.100q = %v, %v; want ErrKey", c.name, c.holder, held, err)
			}
			if err := l.Release(w.ctx, c.name, c.holder); !errors.Is(err, cache.ErrKey) {
				w.Errorf("Release(%.100q) for %.100q: %v, want ErrKey", c.name, c.holder, err)
			}
		}
	}
	for _, ttl := range []time.Duration{0, -1, -time.Hour} {
		if held, err := l.Lease(w.ctx, "refresh", "a", ttl); held || err == nil {
			w.Errorf("Lease for %v = %v, %v; want an error", ttl, held, err)
		}
	}
	w.lease(w.store, "refresh", "b", 1, true)
}

func leasesAndEntries(w *world) {
	w.put(w.store, "a", "entry", 1)
	w.lease(w.store, "a", "holder", 10, true)
	w.want(w.store, "a", "entry")
	w.put(w.store, "a", "newer", 2)
	w.want(w.store, "a", "newer")
	w.wantKeys(w.store, "", "a")
	w.delete(w.store, "a")
	w.wantNone(w.store, "a")
	w.lease(w.store, "a", "other", 10, false)
	w.put(w.store, "a", "entry", 1)
	w.release(w.store, "a", "holder")
	w.want(w.store, "a", "entry")
	w.lease(w.store, "b", "holder", 10, true)
	w.wantNone(w.store, "b")
	w.wantKeys(w.store, "", "a")
}

func endedContextLease(w *world) {
	ended, cancel := context.WithCancel(w.ctx)
	cancel()
	if held, err := w.leaser(w.store).Lease(ended, "refresh", "a", w.unit); held || !errors.Is(err, context.Canceled) {
		w.Errorf("Lease = %v, %v; want context.Canceled", held, err)
	}
	w.lease(w.store, "refresh", "b", 10, true)
	if err := w.leaser(w.store).Release(ended, "refresh", "b"); !errors.Is(err, context.Canceled) {
		w.Errorf("Release: %v, want context.Canceled", err)
	}
	w.lease(w.store, "refresh", "a", 10, false)
}

// contest lets many holders go for one lease, again and again, and checks that
// of each round one gets it.
func contest(w *world, stores ...cache.Store) {
	const holders, rounds = 8, 4
	for round := range rounds {
		var won atomic.Int32
		var wg sync.WaitGroup
		for n := range holders {
			wg.Go(func() {
				l := w.leaser(stores[n%len(stores)])
				held, err := l.Lease(w.ctx, "refresh", fmt.Sprintf("holder%d", n), 3*w.unit)
				if err != nil {
					w.Errorf("Lease: %v", err)
				}
				if held {
					won.Add(1)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			w.Fatalf("%d of %d hold the lease in round %d, want one", won.Load(), holders, round)
		}
		w.sleep(3 * w.unit) // and then all of them die
	}
}

func leaseRace(w *world) { contest(w, w.store) }

func leaseBetween(w *world) { contest(w, w.store, w.again(), w.again()) }

func brokenLease(w *world) {
	w.suite.Break(w.TB, w.store)
	if held, err := w.leaser(w.store).Lease(w.ctx, "refresh", "a", w.unit); held || err == nil {
		w.Errorf("Lease = %v, %v; want an error", held, err)
	}
	if err := w.leaser(w.store).Release(w.ctx, "refresh", "a"); err == nil {
		w.Error("Release = nil, want an error")
	}
}
