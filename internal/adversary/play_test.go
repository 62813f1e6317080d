package adversary

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strictmx/strictmx/mtasts"
)

// player plays a schedule.
type player struct {
	s      *schedule
	w      *world
	c      *mtasts.Client
	run    chan error
	stop   context.CancelFunc
	crowd  sync.WaitGroup
	floods int
	store  *store
	sender *sender
}

// play plays a schedule in a bubble of its own, and returns what the oracle
// says of it. That the bubble ends proves that nothing is left running (I15).
func play(t *testing.T, s *schedule) *oracle {
	var o *oracle
	synctest.Test(t, func(t *testing.T) {
		o = newOracle(s)
		p := &player{s: s, w: newWorld(s, o)}
		p.start()
		for _, m := range s.moves {
			o.mu.Lock()
			o.note("-- %v", m)
			o.mu.Unlock()
			p.move(m)
		}
		p.crowd.Wait()
		synctest.Wait()
		o.settle()
		p.close()
		p.w.servers.Wait()
		o.finish()
	})
	return o
}

func (p *player) start() {
	p.c = &mtasts.Client{Resolver: p.w, Transport: p.w, Capacity: 64, Trace: &mtasts.Trace{
		Changed: func(_, r mtasts.Result, weaker bool) { p.w.changed(r.Fetched, r.Domain, weaker) },
	}}
	if p.s.small {
		p.c.Capacity = 24
	}
	if p.s.stored {
		if p.store == nil {
			p.store = newStore()
		}
		p.c.Store = p.store
	}
	p.w.restarted()
	p.c.Stats() // its time begins now
	if p.s.layer == layerDelivery {
		p.sender = newSender(p)
	}
	if p.s.run {
		var ctx context.Context
		ctx, p.stop = context.WithCancel(context.Background())
		c, run := p.c, make(chan error, 1)
		go func() { run <- c.Run(ctx) }()
		p.run = run
	}
}

func (p *player) close() {
	p.c.Close()
	if p.run != nil {
		p.stop()
		<-p.run
	}
}

func (p *player) move(m move) {
	d := newDice(m.salt, uint64(m.kind))
	switch m.kind {
	case moveDeliver:
		for range m.n {
			if p.s.layer == layerDelivery {
				p.sender.send(d)
			} else {
				p.lookup(context.Background(), forth)
			}
			time.Sleep(m.every)
		}
	case moveCrowd:
		p.crowdOf(d, m.n, m.every)
		if d.chance(50) {
			p.crowd.Wait()
		}
	case moveRefresh:
		for range m.n {
			synctest.Wait()
			q := p.w.askRefresh()
			r, err := p.c.Refresh(context.Background(), victim)
			p.w.judge(q, r, err)
			time.Sleep(m.every)
		}
	case moveForget:
		p.crowd.Wait()
		synctest.Wait()
		p.w.settle()
		p.w.forget(victim)
		p.c.Forget(context.Background(), victim)
	case moveRestart:
		p.crowdOf(d, 3, m.every)
		time.Sleep(m.every)
		synctest.Wait() // what was fetched by now is kept
		p.w.restarted()
		p.close()
		p.crowd.Wait()
		p.start()
	case moveWindow:
		p.w.setWires(m.wires)
	case moveLeave:
		p.w.setWires(wires{})
	case moveChange:
		p.w.change(m.truth, m.sameID)
	case moveNewID:
		p.w.newID()
	case moveFlood:
		p.flood(m)
	case moveJump:
		time.Sleep(p.w.jump(m.every))
	case moveMoment:
		time.Sleep(max(p.w.until(m.moment)+m.every, 0))
	}
}

// lookup asks once. Nothing else happens at the same moment.
func (p *player) lookup(ctx context.Context, deadline time.Duration) {
	synctest.Wait()
	p.w.settle()
	q := p.w.ask(deadline)
	r, err := p.c.Lookup(ctx, victim)
	p.w.judge(q, r, err)
}

// crowdOf lets n callers ask within a time, some of whom have little patience.
func (p *player) crowdOf(d dice, n int, within time.Duration) {
	for range n {
		after, patience := d.between(0, within), d.between(time.Millisecond, 10*time.Second)
		if d.chance(60) {
			patience = never
		}
		c, generation := p.c, p.w.generation
		p.crowd.Go(func() {
			time.Sleep(after)
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			q := p.w.ask(p.w.now() + patience)
			q.generation = generation
			r, err := c.Lookup(ctx, victim)
			p.w.judge(q, r, err)
		})
	}
}

// flood asks for junk domains. The hogs' callers wait while the play goes on.
func (p *player) flood(m move) {
	p.floods++
	format := [...]string{
		junkAbsent:   "absent%d-%d.example",
		junkPolicies: "policy%d-%d.example",
		junkHogs:     "hog%d-%d.junk.example",
	}[m.junk]
	p.w.flood(p.w.now() + time.Minute)
	c, flood := p.c, p.floods
	var all sync.WaitGroup
	for i := range m.n {
		all.Go(func() { c.Lookup(context.Background(), fmt.Sprintf(format, flood, i)) })
	}
	if m.junk == junkHogs {
		p.crowd.Go(all.Wait)
		time.Sleep(time.Second)
		return
	}
	all.Wait()
	p.w.flood(p.w.now())
}

// jump is a time to let pass: where Run renews a policy every few minutes, more
// than hours of it show nothing new.
func (o *oracle) jump(d time.Duration) time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	if k := o.history(victim).known(); k != nil && k.facts.maxAge < day {
		return min(d, 9*time.Hour)
	}
	return d
}

// until is the time to a moment that matters, as far as the oracle knows of one.
func (o *oracle) until(m moment) time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	h, now := o.history(victim), o.now()
	k := h.known()
	at := now
	switch m {
	case momentExpiry:
		if k != nil {
			longest := 8 * day
			if o.s.layer == layerDelivery {
				longest = 2 * day
			}
			at = min(k.expires(), now+longest)
		}
	case momentLastHour:
		if k != nil && k.expires() < now+2*day {
			at = k.expires() - 40*time.Minute
		}
	case momentRenewal:
		if k != nil {
			at = k.start + min(day, max(k.facts.maxAge/3, 20*time.Minute))
		}
	case momentBackOffEnd:
		at = h.failedAt + 5*time.Minute
	case momentAbsenceEnd:
		at = h.absentAt + h.absentAs
	case momentSilenceEnd:
		at = h.silentAt + 15*time.Second
	case momentMidnight:
		at = (now/day + 1) * day // the bubble begins at one
	}
	return at - now
}
