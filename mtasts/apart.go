package mtasts

import (
	"context"
	"time"
)

// beside answers with h, a policy of the Store's that memory has no room for, unless
// its owner has a newer one: what is due is looked at first, where memory would
// have looked in the background, and not before its time. Whatever goes wrong with
// that, h is in force. renew: an old GET is worth another one, as in a Refresh.
func (c *Client) beside(ctx context.Context, name, parent string, h *held, began instant, renew bool) (Result, error) {
	if r, ok := c.known(name); ok || c.ConfirmWeaker { // only memory can wait for a second GET
		return c.unless(r, h), nil
	}
	if l, ok := c.lookFor(name); !ok || c.clock.now() >= l.nextTXT {
		if err := c.lookTXT(ctx, name, parent, began); err == ErrClosed {
			return Result{}, err
		}
	}
	r, known := c.known(name)
	l, ok := c.lookFor(name)
	if known || !ok || l.id == "" {
		return c.unless(r, h), nil
	}
	b := *h
	l.undated = h.lookOf().undated
	b.checked, b.ttl = l.lastTXT, uint16(clampTTL(l.nextTXT-l.lastTXT, minTXT, maxTXT)/time.Second)
	b.set(l)
	if now := c.clock.now(); b.nextGET() > now && !(renew && now-b.fetched >= stale && !l.backedOff(now)) {
		return c.applied(&b), nil
	}
	r, err := c.get(ctx, name, parent, errand{began: began})
	if err == ErrClosed {
		return Result{}, err
	}
	return c.unless(r, &b), nil
}

// unless is r if that has a policy, else h, with what failed.
func (c *Client) unless(r Result, h *held) Result {
	if r.Policy != nil {
		return r
	}
	kept := c.applied(h)
	if r.Failure != nil {
		kept.Failure = r.Failure
	}
	return kept
}
