package mtasts

import (
	"time"

	"github.com/strictmx/strictmx/internal/ablation"
)

const (
	budgetBurst = 3               // GETs for one domain, whatever for, R7
	budgetEvery = 5 * time.Minute // and one more
)

// spend takes one GET from name's budget, or says how long there is none. The
// number kept is the moment at which the budget is full again.
func (c *Client) spend(name string, now instant) (wait time.Duration) {
	c.budgets.Update(name, func(full instant, _ bool) (instant, bool) {
		full = max(full, now)
		if wait = full + budgetEvery - now - budgetBurst*budgetEvery; wait > 0 && !ablation.Off(ablation.Budget) {
			return full, true
		}
		wait = 0
		return full + budgetEvery, true
	})
	return wait
}

// refund gives back a GET that was not made.
func (c *Client) refund(name string) {
	c.budgets.Update(name, func(full instant, ok bool) (instant, bool) { return full - budgetEvery, ok })
}

// standIn answers when name's budget of GETs is spent: with the last policy for
// five minutes after its GET (R8), else with the failure that is remembered. A
// domain spends its budget by failing, or by policies that hold for seconds.
// Where neither is remembered the caller has to wait (I12).
func (c *Client) standIn(name string, now, refill instant) (Result, error) {
	c.postpone(name, refill)
	if h, ok := c.snapshot(name); ok && (h.fresh(now) || now-h.fetched <= ablation.Kept(ablation.StandIn, standIn, 0)) {
		return c.applied(&h), nil
	}
	if h, ok := c.refused.Get(name); ok && now-h.fetched <= standIn {
		return c.applied(h), nil
	}
	if l, ok := c.lookFor(name); ok && l.failure != nil && now-l.lastFail <= backOff { // I9
		return c.lastLook(Result{Domain: name, Failure: l.failure, unread: l.unread}), nil
	}
	return Result{}, ErrBusy
}

// postpone keeps renewals from being tried before the moment given.
func (c *Client) postpone(name string, until instant) {
	s := c.change(name)
	defer s.Unlock()
	if h := s.policies[name]; h != nil {
		l := h.lookOf()
		l.noGET = until
		h.set(l)
	}
}
