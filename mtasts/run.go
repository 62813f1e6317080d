package mtasts

import (
	"cmp"
	"context"
	"math"
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
	shortestNap = 10 * time.Second
)

// Run keeps the policies used in the last 30 days fresh until ctx ends, so that
// no Lookup finds one expired (RFC 8461, section 3.3). Each is fetched when a
// third of its max_age has passed, at the latest daily; enforce policies first,
// and those used most. It returns ctx's error, or [ErrClosed]. One Run for a
// Client is enough; without one, Lookup renews what it uses. Renewals begin at
// most ten a second. From the Store Run takes what was used before the start, as
// far as memory has room for it, and to the Store it writes again what failed.
func (c *Client) Run(ctx context.Context) error {
	if err := c.open(); err != nil {
		return err
	}
	defer c.alsoWalk(ctx)()
	timer := time.NewTimer(0)
	defer timer.Stop()
	scanned := instant(-shortestNap)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-c.ctx.Done():
			return ErrClosed
		case <-c.rescan:
			if early := scanned + shortestNap - c.clock.now(); early > 0 {
				timer.Reset(early)
				continue
			}
		case <-timer.C:
		}
		scanned = c.clock.now()
		c.runNext.Store(math.MaxInt64) // what is installed during the scan wakes us again
		due, next := c.due()
		for _, h := range due {
			if err := c.renewOne(ctx, h.domain()); err != nil {
				return err
			}
		}
		if len(due) > 0 {
			next = c.clock.now() + shortestNap // some are left, or failed, or come back soon
		}
		next = c.saveAll(next)
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
		case !h.lives(now):
			c.bury(h.domain())
		case h.policy.MaxAge < minRunAge || c.unused(&h, now):
		case h.dueSoon(now, runAhead):
			due = append(due, h)
		default:
			next = min(next, h.nextGET())
		}
	}
	slices.SortFunc(due, func(a, b held) int { return urgency(&a, &b) })
	return c.fairRound(due), next
}

// unused: no mail went there for so long that nobody renews it unasked.
func (c *Client) unused(h *held, now instant) bool {
	return c.memory.epoch+now-instant(h.minute)*time.Minute > usedLately
}

// fairRound takes as many of the most urgent as one round is to have, and of each
// parent's no more than it has places in the background: whoever owns a thousand
// policies that are always due does not keep the others waiting.
func (c *Client) fairRound(due []held) []held {
	round := due[:0]
	taken := make(map[string]int64)
	for _, h := range due {
		parent := dnsname.Parent(h.domain())
		if taken[parent]++; taken[parent] <= c.background.share && len(round) < runRound {
			round = append(round, h)
		}
	}
	return round
}

// urgency orders renewals: enforce first, used on most days, least life left.
func urgency(a, b *held) int {
	return cmp.Or(
		-cmp.Compare(strength(a.policy.Mode), strength(b.policy.Mode)),
		-cmp.Compare(a.days, b.days),
		cmp.Compare(a.expires(), b.expires()))
}

// renewOne starts one renewal as soon as there is a place for it, and waits for
// its turn after it. Where the domain's owner has his share of the places
// already, the renewal is left to the next round.
func (c *Client) renewOne(ctx context.Context, name string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(c.ctx, func() { cancel(ErrClosed) })()
	release, err := c.background.acquireIfShare(ctx, dnsname.Parent(name))
	switch {
	case err == ErrBusy:
		return nil
	case err != nil:
		return context.Cause(ctx)
	}
	c.jobs.run(func() { c.attend(name, runAhead) }, release)
	pace := time.NewTimer(runEvery)
	defer pace.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
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
