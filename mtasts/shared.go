package mtasts

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/strictmx/strictmx/cache"
	"github.com/strictmx/strictmx/internal/dnsname"
)

const (
	sharedLimit  = 50 * time.Millisecond // R9: nobody waits longer for a fleet
	sharedPlaces = 64
	ownEvery     = 36 * time.Hour // R24: so often at least a policy is fetched here

	breakerFirst = time.Second // for which a store that failed is left alone, doubling
	breakerMost  = time.Minute
)

// consult brings into memory what the fleet knows of name, where that may fill a
// hole, renew or strengthen: it has to be in force still, and adopt sees to the
// rest (R6). What the fleet's store does wrong costs a moment and nothing else (R9).
func (c *Client) consult(name string) {
	if c.Shared == nil || !c.breaker.closed(c.clock.now()) {
		return
	}
	value, err := callStore(c, c.shared, name, sharedLimit, func(ctx context.Context) ([]byte, error) {
		return c.Shared.Get(ctx, entryKey(name))
	})
	if errors.Is(err, cache.ErrNotFound) {
		err, value = nil, nil
	}
	if err != errStoreBusy { // one parent's share of the places says nothing of the store
		c.breaker.note(c.clock.now(), err)
	}
	if err != nil {
		c.trouble("the fleet's store cannot be read", name, err)
		return
	}
	if value == nil {
		return
	}
	h, _, undated, err := c.decode(name, value)
	if err != nil {
		c.trouble("the fleet's store holds something that is no policy of this domain's", name, err)
		return
	}
	if undated { // or it would begin anew each time it is read, and be newer than all that was fetched here
		c.misdated.Put(name, struct{}{})
		c.trouble("the fleet's store holds a policy with an impossible time; it is not used", name, nil)
		return
	}
	now := c.clock.now()
	if !h.lives(now) {
		return
	}
	h.own = c.memory.minute(now) // this process's own GETs count from here
	c.adopt(h, false)
}

// sparesGET reports whether somebody else's GET of h's domain may stand for one
// that is due here: not for ever, and not when there is little time left (R24).
func (c *Client) sparesGET(h *held, now instant) bool {
	return c.Shared != nil && now-h.fetched < h.policy.MaxAge/2 && c.memory.epoch+now-instant(h.own)*time.Minute < ownEvery
}

// share gives the fleet a policy that was fetched here, in the background and
// without a promise.
func (c *Client) share(h *held, text string) {
	if c.Shared == nil || !c.breaker.closed(c.clock.now()) {
		return
	}
	name := h.domain()
	release, ok := c.shared.tryAcquire(dnsname.Parent(name))
	if !ok {
		return
	}
	e, expires := c.entryOf(h, text)
	e.used, e.days = 0, 0 // by whom?
	_, misdated := c.misdated.Get(name)
	c.jobs.run(func() {
		ctx, cancel := context.WithTimeout(c.ctx, writeLimit)
		defer cancel()
		_, err := protect(func() (struct{}, error) {
			if misdated { // nothing would ever be newer
				if err := c.Shared.Delete(ctx, entryKey(name)); err != nil {
					return struct{}{}, err
				}
				c.misdated.Delete(name)
			}
			return struct{}{}, c.Shared.PutIfNewer(ctx, entryKey(name), e.encode(), e.version(), expires)
		})
		if c.breaker.note(c.clock.now(), err); err != nil {
			c.trouble("a policy could not be given to the fleet", name, err)
		}
	}, release)
}

// withdraw removes what the fleet's store holds of name.
func (c *Client) withdraw(name string) error {
	_, err := callStore(c, c.shared, name, writeLimit, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, c.Shared.Delete(ctx, entryKey(name))
	})
	return err
}

// breaker leaves a store alone for a while when it failed.
type breaker struct {
	mu    sync.Mutex
	until instant
	fails int
}

func (b *breaker) closed(now instant) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return now >= b.until
}

func (b *breaker) note(now instant, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err == nil {
		b.until, b.fails = 0, 0
		return
	}
	b.until = now + min(breakerFirst<<min(b.fails, 10), breakerMost)
	b.fails++
}
