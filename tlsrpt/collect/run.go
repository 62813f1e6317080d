package collect

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"
)

const (
	maxFlights = 64               // lookups of one Run at once
	busyPause  = time.Second / 10 // until a parent's share of lookups is free again
	failPause  = time.Minute      // until DNS is asked again; records may answer for it (RPT-23)
	warnEvery  = 10 * time.Minute // R16
)

// Run looks up the TLS-RPT records of the domains that are new on their day, until
// ctx ends. A domain without one takes no more room (RFC 8460, section 3); where
// DNS does not answer, what was counted is kept and DNS asked again. It returns
// ctx's error, and then nothing of it is left running. A second Run at the same
// time is an error. [Reporter.Run] runs it too.
func (c *Collector) Run(ctx context.Context) error {
	c.open()
	if !c.running.CompareAndSwap(false, true) {
		return errors.New("collect: this Collector is running already; one Run, or that of its Reporter, is enough")
	}
	defer c.running.Store(false)
	c.requeue()
	f := finder{c: c, places: make(chan struct{}, maxFlights)}
	defer f.flights.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	warn := time.NewTicker(warnEvery)
	defer warn.Stop()
	var warned uint64
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-c.wake:
		case <-timer.C:
		case <-warn.C:
			warned = c.warn(ctx, warned)
			continue
		}
		next, err := f.round(ctx)
		if err != nil {
			return err
		}
		timer.Reset(next)
	}
}

// finder is the work of one Run.
type finder struct {
	c       *Collector
	places  chan struct{} // one taken by each flight
	flights sync.WaitGroup

	mu     sync.Mutex
	busy   again // guarded by mu, as is silent
	silent again
}

// again are domains to look up again, all at one time.
type again struct {
	names []string
	due   time.Time
}

// add puts a name on the list. The first one decides when it is due.
func (a *again) add(name string, pause time.Duration) {
	if len(a.names) == 0 {
		a.due = time.Now().Add(pause)
	}
	a.names = append(a.names, name)
}

// take returns the names if they are due, and else how long that takes.
func (a *again) take() (names []string, wait time.Duration) {
	if len(a.names) == 0 {
		return nil, warnEvery
	}
	if wait = time.Until(a.due); wait > 0 {
		return nil, wait
	}
	names, a.names = a.names, nil
	return names, 0
}

// round looks up all that is to be looked up now, and says when to come again.
func (f *finder) round(ctx context.Context) (next time.Duration, err error) {
	f.mu.Lock()
	busy, wait1 := f.busy.take()
	silent, wait2 := f.silent.take()
	f.mu.Unlock()
	if err := f.lookup(ctx, busy); err != nil {
		return 0, err
	}
	for i := range f.c.shards {
		s := &f.c.shards[i]
		s.mu.Lock()
		names := s.todo
		s.todo = nil
		s.mu.Unlock()
		if err := f.lookup(ctx, names); err != nil {
			return 0, err
		}
	}
	return min(wait1, wait2), f.lookup(ctx, silent)
}

// lookup begins a flight for each domain that still needs it.
func (f *finder) lookup(ctx context.Context, names []string) error {
	for _, name := range names {
		if !f.c.unchecked(name) {
			continue
		}
		select {
		case f.places <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		f.flights.Go(func() {
			defer func() { <-f.places }()
			f.fly(ctx, name)
		})
	}
	return nil
}

// fly learns what a domain wants. If it cannot now, nothing is lost (RPT-23).
func (f *finder) fly(ctx context.Context, name string) {
	found, err := f.c.records.lookup(ctx, name)
	if err == nil {
		f.c.learn(name, found.rua)
		return
	}
	f.mu.Lock()
	if err == errBusy {
		f.busy.add(name, busyPause)
	} else {
		f.silent.add(name, failPause)
	}
	f.mu.Unlock()
	f.c.wakeRun()
}

// requeue lists all domains to look up, since an earlier Run may have taken some
// and ended.
func (c *Collector) requeue() {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		s.todo = nil
		for _, tallies := range s.days {
			for name, t := range tallies {
				if t.unchecked {
					s.todo = append(s.todo, name)
				}
			}
		}
		s.mu.Unlock()
	}
}

// unchecked reports whether a record is to be looked up.
func (c *Collector) unchecked(domain string) bool {
	s := c.shard(domain)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, tallies := range s.days {
		if t := tallies[domain]; t != nil && t.unchecked {
			return true
		}
	}
	return false
}

// learn brings the tallies of a domain to what its record says.
func (c *Collector) learn(domain string, rua []string) {
	s := c.shard(domain)
	s.mu.Lock()
	defer s.mu.Unlock()
	for d, tallies := range s.days {
		t := tallies[domain]
		if t == nil || !t.unchecked {
			continue
		}
		if len(rua) == 0 { // RPT-20
			c.remove(s, d, domain)
			s.stats.Held -= uint64(t.sessions)
			s.stats.Unwanted += uint64(t.sessions)
			continue
		}
		t.unchecked = false
		c.budget.settle(t)
		c.setRUA(t, rua)
	}
}

// setRUA keeps where reports go, if there is room. Without, they are looked up
// when the report is due.
func (c *Collector) setRUA(t *tally, rua []string) {
	joined := strings.Join(rua, " ")
	if joined != t.rua && c.budget.grow(t, stringCost(joined), overflow) {
		t.rua = joined
	}
}

// warn tells the operator when more found no room than before, and returns how
// much that is.
func (c *Collector) warn(ctx context.Context, warned uint64) uint64 {
	st := c.Stats()
	over := st.NoRoom + st.OverflowPolicies + st.OverflowDetails
	if c.Logger != nil && over > warned {
		c.Logger.LogAttrs(ctx, slog.LevelWarn, "TLS reports: not everything found room; more Memory may help",
			slog.Uint64("sessions_unreported", st.NoRoom), slog.Uint64("policies_abridged", st.OverflowPolicies),
			slog.Uint64("failures_abridged", st.OverflowDetails), slog.Int64("bytes", st.Bytes), slog.Int("domains", st.Domains))
	}
	return over
}
