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
	f := finder{c: c, places: make(chan struct{}, maxFlights), warn: time.NewTicker(warnEvery)}
	defer f.flights.Wait()
	defer f.warn.Stop()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-f.warn.C:
			f.tell(ctx)
			continue
		case <-c.wake:
		case <-timer.C:
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
	warn    *time.Ticker
	warned  uint64 // how much had found no room when the operator was last told

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

// take returns the names if they are due, and how long until there may be more.
func (a *again) take() (names []string, wait time.Duration) {
	if len(a.names) == 0 {
		return nil, warnEvery
	}
	if wait = time.Until(a.due); wait > 0 {
		return nil, wait
	}
	names, a.names = a.names, nil
	return names, warnEvery
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
		if err := f.takePlace(ctx); err != nil {
			return err
		}
		f.flights.Go(func() {
			defer func() { <-f.places }()
			f.fly(ctx, name)
		})
	}
	return nil
}

// takePlace waits until there are fewer than maxFlights. That may take long, while
// DNS does not answer.
func (f *finder) takePlace(ctx context.Context) error {
	for {
		select {
		case f.places <- struct{}{}:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-f.warn.C:
			f.tell(ctx)
		}
	}
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
		if joined := strings.Join(rua, " "); joined != t.rua {
			c.setRUA(t, joined)
		}
	}
}

// setRUA keeps where reports go. If it is longer than the room kept for it, and
// there is no other, it has to be looked up once more when the report is due.
func (c *Collector) setRUA(t *tally, rua string) {
	cost := stringCost(rua)
	if t.rua == "" {
		cost -= ruaRoom
	}
	if c.budget.grow(t, cost, overflow) {
		t.rua = rua
	}
}

// tell tells the operator if more found no room than the last time.
func (f *finder) tell(ctx context.Context) {
	st := f.c.Stats()
	over := st.NoRoom + st.OverflowPolicies + st.OverflowDetails
	if log := f.c.Logger; log != nil && over > f.warned {
		log.LogAttrs(ctx, slog.LevelWarn, "TLS reports: not everything found room; more Memory may help",
			slog.Uint64("sessions_unreported", st.NoRoom), slog.Uint64("policies_abridged", st.OverflowPolicies),
			slog.Uint64("failures_abridged", st.OverflowDetails), slog.Int64("bytes", st.Bytes), slog.Int("domains", st.Domains))
	}
	f.warned = over
}
