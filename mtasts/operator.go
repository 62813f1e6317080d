package mtasts

import (
	"context"
	"errors"
	"iter"

	"github.com/strictmx/strictmx/internal/dnsname"
)

// Forget removes all that is known of domain, as an operator may want after
// its owner asked. What is on its way is not stopped, and the budget of GETs
// stays. It fails with [ErrClosed], or because the Store does: then a later Lookup
// may find the policy there.
func (c *Client) Forget(ctx context.Context, domain string) error {
	if err := c.open(); err != nil {
		return err
	}
	name, err := dnsname.Domain(domain)
	if err != nil {
		return nil
	}
	if c.Store != nil { // first, or a Lookup finds it there again
		err = c.erase(name)
	}
	if c.Shared != nil {
		err = errors.Join(err, c.withdraw(name))
	}
	if !c.clear(name) || c.Store == nil {
		return err
	}
	return errors.Join(err, c.erase(name)) // what was in memory may have been written meanwhile
}

// clear removes what memory knows of name, and reports whether that was a policy.
func (c *Client) clear(name string) bool {
	s := c.change(name)
	defer s.Unlock()
	h := s.policies[name]
	if h != nil {
		c.memory.remove(s, h)
	}
	c.absences.Delete(name)
	c.looks.Delete(name)
	c.refused.Delete(name)
	c.readings.Delete(name)
	c.unsaved.Delete(name)
	return h != nil
}

// Policies returns every policy in memory, the lapsed ones included, the domains
// whose discovery failed, and then what only the Store holds, in no order. One that
// moves between the two meanwhile may be seen twice, or not. It stops with ctx's
// error when ctx ends, and with the Store's when that cannot be listed; an entry
// that cannot be read is an error with its Domain, and the rest follows. Domains without a policy are not among them. To be seen here is no
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
			h.hint = false // an operator wants to see it
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
		if c.Store != nil {
			c.stored(ctx, yield)
		}
	}
}

// stored yields what the Store holds and memory does not.
func (c *Client) stored(ctx context.Context, yield func(Result, error) bool) {
	for key, err := range c.Store.Keys(ctx, entryPrefix) {
		if err != nil {
			yield(Result{}, err)
			return
		}
		name := entryDomain(key)
		if _, ok := c.snapshot(name); ok || name == "" {
			continue
		}
		h, err := c.load(c.Store, name)
		switch now := c.clock.now(); {
		case ctx.Err() != nil:
			yield(Result{}, ctx.Err())
			return
		case err != nil:
			if !yield(Result{Domain: name}, &storeError{slim(err)}) {
				return
			}
		case h == nil || !h.lives(now) && !h.lapsed(now):
		case !yield(c.result(h, now), nil):
			return
		}
	}
}

// Stats counts what a Client holds.
type Stats struct {
	Policies int // those that lapsed lately included
	Absences int // some may have expired
	Failures int // domains whose discovery is not complete: most because it failed
	// Lost counts the protected enforce policies, used on two days or more, that
	// were dropped while fresh because memory was full, and are in no Store. More than zero: raise
	// Capacity.
	Lost uint64
	// Unsaved counts the policies that the Store could not take so far; a restart
	// would forget them. More than zero for long: see to the Store.
	Unsaved int
	// StoreErrors counts what went wrong with the Store: reads and writes that
	// failed, and entries that held nothing of use.
	StoreErrors uint64
}

// Stats returns the counts of this moment.
func (c *Client) Stats() Stats {
	c.once.Do(c.start)
	st := Stats{Absences: c.absences.Len(), Failures: c.looks.Len(), Lost: c.lost.Load(), Unsaved: c.unsaved.Len(), StoreErrors: c.storeErrors.Load()}
	for i := range c.memory.shards {
		s := &c.memory.shards[i]
		s.Lock()
		st.Policies += len(s.policies)
		s.Unlock()
	}
	return st
}
