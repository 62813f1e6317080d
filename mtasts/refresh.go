package mtasts

import (
	"context"

	"github.com/strictmx/strictmx/internal/ablation"
	"github.com/strictmx/strictmx/internal/dnsname"
)

// refresh looks again, whatever is known.
func (c *Client) refresh(ctx context.Context, name string) (Result, error) {
	parent := dnsname.Parent(name)
	// One look serves all Refreshes of 30 seconds (R7); that of a Lookup before
	// them serves none, since what it saw is what failed.
	now := c.clock.now()
	look := now
	c.refreshes.Update(name, func(last instant, ok bool) (instant, bool) {
		if ok && now-last < lookTogether && !ablation.Off(ablation.RefreshShared) {
			look = last
		}
		return look, true
	})
	if h, ok := c.snapshot(name); !ok || !h.fresh(now) {
		if _, err := c.recall(ctx, name, now); err != nil {
			return Result{}, err
		}
	}
	if err := c.lookTXT(ctx, name, parent, look); err != nil {
		return Result{}, err
	}
	now = c.clock.now() // DNS may have taken its time
	h, ok := c.snapshot(name)
	if !ok || !h.fresh(now) {
		return c.discover(ctx, name, true)
	}
	l := h.lookOf()
	lastGET := h.fetched
	if l.fails > 0 {
		lastGET = max(lastGET, l.lastFail)
	}
	if (l.id != h.id() || now-lastGET >= stale) && !l.backedOff(now) {
		return c.get(ctx, name, parent, errand{began: now, renew: true})
	}
	return c.result(&h, now), nil
}
