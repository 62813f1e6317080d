package mtasts

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/strictmx/strictmx/internal/dnsname"
)

const (
	usedLately  = 30 * 24 * time.Hour // Run renews no policy that was not used for longer, AMB-48
	minRunAge   = time.Hour           // of max_age: shorter ones are renewed by Lookup alone
	runAhead    = time.Minute         // what is due so soon is done together
	runEvery    = 100 * time.Millisecond
	runRound    = 256
	longestNap  = 24 * time.Hour
	shortestNap = time.Second
)

// Run keeps the policies used in the last 30 days fresh until ctx ends, so that
// no Lookup finds one expired (RFC 8461, section 3.3). Each is fetched when a
// third of its max_age has passed, at the latest daily; enforce policies first,
// and those used most. It returns ctx's error, or [ErrClosed]. One Run for a
// Client is enough; without one, Lookup renews what it uses.
func (c *Client) Run(ctx context.Context) error {
	if err := c.open(); err != nil {
		return err
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-c.ctx.Done():
			return ErrClosed
		case <-c.rescan:
		case <-timer.C:
		}
		due, next := c.due()
		for _, h := range due {
			if err := c.renewOne(ctx, h.domain()); err != nil {
				return err
			}
		}
		if len(due) > 0 {
			next = c.clock.now() + shortestNap // some are left, or failed, or come back soon
		}
		c.runNext.Store(int64(next))
		timer.Reset(max(next-c.clock.now(), shortestNap))
	}
}

// wakeRun makes Run look again at what is due.
func (c *Client) wakeRun() {
	select {
	case c.rescan <- struct{}{}:
	default:
	}
}

// due returns the policies to renew now, the most urgent first and not more
// than one round is to take, and when the next one is due if there are none.
func (c *Client) due() (due []held, next instant) {
	now := c.clock.now()
	next = now + longestNap
	for h := range c.memory.all {
		switch {
		case !h.fresh(now):
			c.bury(h.domain())
		case h.policy.MaxAge < minRunAge || now-instant(h.minute)*time.Minute > usedLately:
		case h.nextGET() <= now+runAhead:
			due = append(due, h)
		default:
			next = min(next, h.nextGET())
		}
	}
	slices.SortFunc(due, func(a, b held) int { return urgency(&a, &b) })
	return due[:min(len(due), runRound)], next
}

// urgency orders renewals: enforce first, used on most days, least life left.
func urgency(a, b *held) int {
	return cmp.Or(
		-cmp.Compare(strength(a.policy.Mode), strength(b.policy.Mode)),
		-cmp.Compare(a.days, b.days),
		cmp.Compare(a.expires(), b.expires()))
}

// renewOne starts one renewal as soon as there is a place for it, and waits for
// its turn after it. Where the domain's owner has more than his share of the
// places, the renewal is left to the next round.
func (c *Client) renewOne(ctx context.Context, name string) error {
	release, err := c.background.acquire(ctx, dnsname.Parent(name))
	switch {
	case err == ErrBusy:
		return nil
	case err != nil:
		return err
	}
	c.jobs.run(func() { c.attend(name, runAhead) }, release)
	pace := time.NewTimer(runEvery)
	defer pace.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-c.ctx.Done():
		return ErrClosed
	case <-pace.C:
		return nil
	}
}

// bury forgets a policy that expired too long ago to be told of.
func (c *Client) bury(name string) {
	s := c.change(name)
	defer s.Unlock()
	if h := s.policies[name]; h != nil {
		if h.old(c.clock.now()) {
			c.memory.remove(s, h)
		}
	}
}
