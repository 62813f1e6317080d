package mtasts

import (
	"context"
	"iter"

	"github.com/strictmx/strictmx/internal/dnsname"
)

// Forget removes all that is known of domain, as an operator may want after
// its owner asked. What is on its way is not stopped, and the budget of GETs
// stays. It fails with [ErrClosed] alone.
func (c *Client) Forget(ctx context.Context, domain string) error {
	if err := c.open(); err != nil {
		return err
	}
	name, err := dnsname.Domain(domain)
	if err != nil {
		return nil
	}
	s := c.change(name)
	defer s.Unlock()
	if h := s.policies[name]; h != nil {
		c.memory.remove(s, h)
	}
	c.absences.Delete(name)
	c.looks.Delete(name)
	c.refused.Delete(name)
	return nil
}

// Policies returns every policy in memory, the lapsed ones included, and the
// domains whose discovery failed, in no order. It stops with ctx's error when
// ctx ends. Domains without a policy are not among them. To be seen here is no
// use of a policy, and starts nothing.
func (c *Client) Policies(ctx context.Context) iter.Seq2[Result, error] {
	return func(yield func(Result, error) bool) {
		if err := c.open(); err != nil {
			yield(Result{}, err)
			return
		}
		for h := range c.memory.all {
			if err := ctx.Err(); err != nil {
				yield(Result{}, err)
				return
			}
			if now := c.clock.now(); (h.fresh(now) || h.lapsed(now)) && !yield(c.result(&h, now), nil) {
				return
			}
		}
		for name := range c.looks.All() {
			if err := ctx.Err(); err != nil {
				yield(Result{}, err)
				return
			}
			r, ok := c.peek(name)
			if ok && r.Policy == nil && r.Lapsed == nil && (r.Failure != nil || r.Indeterminate) && !yield(r, nil) {
				return
			}
		}
	}
}

// Stats counts what a Client holds.
type Stats struct {
	Policies int // those that lapsed lately included
	Absences int // some may have expired
	Failures int // domains whose discovery is not complete: most because it failed
	// Lost counts the protected enforce policies, used on two days or more, that
	// were dropped while fresh because memory was full. More than zero: raise
	// Capacity.
	Lost uint64
}

// Stats returns the counts of this moment.
func (c *Client) Stats() Stats {
	c.once.Do(c.start)
	st := Stats{Absences: c.absences.Len(), Failures: c.looks.Len(), Lost: c.lost.Load()}
	for i := range c.memory.shards {
		s := &c.memory.shards[i]
		s.Lock()
		st.Policies += len(s.policies)
		s.Unlock()
	}
	return st
}
