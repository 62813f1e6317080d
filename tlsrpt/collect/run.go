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
	failPause = time.Minute      // until DNS is asked again; records may answer for it (RPT-23)
	warnEvery = 10 * time.Minute // R16
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
	f := finder{c: c, landed: make(chan landing, maxLookups), warn: time.NewTicker(warnEvery)}
	defer f.flights.Wait()
	defer f.warn.Stop()
	f.gather()
	for {
		f.fly(ctx)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-f.warn.C:
			f.tell(ctx)
		case <-c.wake:
			f.gather()
		case l := <-f.landed:
			f.land(l)
		case <-f.rested:
			f.add(f.silent)
			f.silent, f.rested = nil, nil
		}
	}
}

// finder is the work of one Run. But for the flights, it is done by one goroutine.
type finder struct {
	c       *Collector
	turns   turns
	flights sync.WaitGroup
	landed  chan landing // has room for all flights
	silent  []string     // domains that DNS did not answer for
	rested  <-chan time.Time
	warn    *time.Ticker
	warned  uint64 // how much had found no room when the operator was last told
}

// gather takes over the domains that are new.
func (f *finder) gather() {
	for i := range f.c.shards {
		s := &f.c.shards[i]
		s.mu.Lock()
		names := s.todo
		s.todo = nil
		s.mu.Unlock()
		f.add(names)
	}
	f.add(f.c.guests.take())
}

func (f *finder) add(names []string) {
	for _, name := range names {
		f.turns.add(name)
	}
}

// fly begins a flight for each domain whose turn it is.
func (f *finder) fly(ctx context.Context) {
	for {
		name, ok := f.turns.next(func(name string) bool { return f.c.guests.has(name) || f.c.unchecked(name) })
		if !ok {
			return
		}
		f.flights.Go(func() {
			found, err := f.c.records.lookup(ctx, name)
			if err == nil {
				f.c.learn(name, found.rua)
			}
			f.landed <- landing{name, found, err}
		})
	}
}

// land ends a flight. If nothing could be learned, nothing is lost (RPT-23): those
// domains are looked up again, all at one time.
func (f *finder) land(l landing) {
	f.turns.land(l.domain)
	f.c.guests.leave(l.domain)
	if l.err == nil {
		return
	}
	if f.silent = append(f.silent, l.domain); f.rested == nil {
		f.rested = time.After(failPause)
	}
}

// requeue lists all domains to look up, since an earlier Run may have taken some
// and ended.
func (c *Collector) requeue() {
	c.guests.restart()
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
