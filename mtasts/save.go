package mtasts

import (
	"context"
	"time"
)

const (
	saveAgain  = time.Minute // after a policy could not be written
	maxUnsaved = 10_000      // policies that are to be written again
)

// save writes a policy to the Store, and notes when it could not: that costs
// durability and nothing else (STS-102). The Store keeps an expired policy for as
// long as it is told of. One with a max_age of 0 is not kept, and ends what was
// kept before (AMB-11). h is the caller's copy.
func (c *Client) save(h *held, text string) error {
	name, now := h.domain(), c.clock.now()
	e, expires := c.entryOf(h, text)
	_, err := callStore(c, c.writes, name, writeLimit, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, c.Store.PutIfNewer(ctx, entryKey(name), e.encode(), e.version(), expires)
	})
	if err != nil {
		c.unsaved.Put(name, now+saveAgain)
		if int64(now+saveAgain) < c.runNext.Load() { // Run may have looked before this was known
			c.wakeRun()
		}
		c.trouble("a policy could not be written to the store; it is known until a restart", name, err)
		return err
	}
	c.unsaved.Delete(name)
	s := c.memory.shard(name)
	s.Lock()
	defer s.Unlock()
	if in := s.policies[name]; in != nil && in.fetched == h.fetched {
		in.kept = uint16(h.minute / minutesPerDay)
	}
	return nil
}

// entryOf is the entry of a policy, and when it expires.
func (c *Client) entryOf(h *held, text string) (e entry, expires time.Time) {
	e = entry{
		domain: h.domain(), id: h.id(), start: c.clock.stamp(h.fetched), text: text,
		used: c.clock.stamp(instant(h.minute)*time.Minute-c.memory.epoch).Unix() / secondsPerDay, days: h.days,
	}
	if h.policy.MaxAge == 0 {
		return e, e.start
	}
	return e, e.start.Add(h.policy.MaxAge + lapsedFor)
}

// saveNew writes a policy that was just fetched, before anybody gets it: what a
// caller relied on outlives the process.
func (c *Client) saveNew(h *held, text string) {
	if c.Store == nil && c.Shared == nil {
		return
	}
	s := c.memory.shard(h.domain())
	s.Lock()
	now := *h
	s.Unlock()
	if c.Store != nil {
		if _, ahead := c.ahead.Get(now.domain()); ahead && c.erase(now.domain()) == nil { // nothing would ever be newer
			c.ahead.Delete(now.domain())
		}
		_ = c.save(&now, text)
	}
	c.share(&now, text)
}

// saved reports whether memory may forget a policy without losing it.
func (c *Client) saved(name string) bool {
	if c.Store == nil {
		return false
	}
	_, failed := c.unsaved.Peek(name)
	return !failed
}

// saveDue writes the policy of name if the Store lacks it, or does not know yet
// that it was used on another day. It returns the Store's error.
func (c *Client) saveDue(name string) error {
	if c.Store == nil {
		return nil
	}
	h, ok := c.snapshot(name)
	at, failed := c.unsaved.Get(name)
	switch {
	case !ok:
		c.unsaved.Delete(name)
		return nil
	case failed && c.clock.now() < at, !failed && uint16(h.minute/minutesPerDay) == h.kept:
		return nil
	}
	return c.save(&h, h.policy.served())
}

// served is the text as it was served, or where that was too long to be kept, one
// that says the same.
func (p *Policy) served() string {
	if q, err := ParsePolicy(p.text); err == nil && q.String() == p.String() {
		return p.text
	}
	return p.String()
}

// saveAll writes what could not be written before, until that fails again. It
// returns when there is more to write.
func (c *Client) saveAll(next instant) instant {
	for name, at := range c.unsaved.All() {
		if c.ctx.Err() != nil || c.clock.now() >= at && c.saveDue(name) != nil {
			return min(next, c.clock.now()+saveAgain)
		}
		if at > c.clock.now() {
			next = min(next, at)
		}
	}
	return next
}

// erase removes what the Store holds of name.
func (c *Client) erase(name string) error {
	_, err := callStore(c, c.writes, name, writeLimit, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, c.Store.Delete(ctx, entryKey(name))
	})
	return err
}

// end removes what the Store holds of name unless that is newer than h, whose
// domain said in a way that proves it that it has no policy any more (R30).
func (c *Client) end(h *held) {
	const after = time.Millisecond // of all that is known of one GET, and before another
	start := c.clock.stamp(h.fetched)
	name := h.domain()
	_, err := callStore(c, c.writes, name, writeLimit, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, c.Store.PutIfNewer(ctx, entryKey(name), nil, start.Add(after).UnixNano(), start)
	})
	if err != nil {
		c.trouble("a policy that ended could not be removed from the store", name, err)
	}
}

// trouble counts and tells of a Store's failure, at a bounded rate.
func (c *Client) trouble(what, domain string, err error) {
	if c.ctx.Err() != nil {
		return
	}
	c.storeErrors.Add(1)
	args := []any{"domain", domain}
	if err != nil {
		args = append(args, "error", slim(err))
	}
	c.warnOf(&c.troubles, what, args...)
}
