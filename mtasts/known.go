package mtasts

import (
	"time"
)

// absence is "the domain has no record": when DNS said so, and for how many
// seconds that counts. Most of the domains mail goes to are absences, so it is
// one word: the seconds take the lowest nine bits, and the moment is rounded
// up to a multiple of 512 ns.
type absence int64

const absenceBits = 9 // enough for the seconds of maxAbsence

func newAbsence(checked instant, ttl time.Duration) absence {
	const mask = 1<<absenceBits - 1
	return absence((int64(checked)+mask)&^mask | int64(ttl/time.Second))
}

func (a absence) checked() instant { return instant(a &^ (1<<absenceBits - 1)) }
func (a absence) expires() instant {
	return a.checked() + instant(a&(1<<absenceBits-1))*time.Second
}

// known answers from memory, if memory has an answer. What lets mail go in
// clear is read first and the policies last, so that no such answer is given
// beside a fresh policy, whatever is installed in between (R4).
func (c *Client) known(name string) (Result, bool) {
	now := c.now()
	a, absent := c.absences.Get(name)
	r, fresh := c.held(name, now)
	switch {
	case fresh:
		return r, true
	case absent && now < a.expires():
		r.Checked = c.base.Add(a.checked())
		return r, true
	}
	l, ok := c.lookFor(name)
	if !ok {
		return Result{}, false
	}
	if r, ok = c.settled(name, l, now); !ok {
		return Result{}, false
	}
	return c.lastLook(r), true
}

// held answers with the policy in force, if there is one, and starts what is
// due for it. Else the Result has the domain, and the policy that lapsed lately.
func (c *Client) held(name string, now instant) (r Result, fresh bool) {
	r.Domain = name
	s := c.memory.shard(name)
	s.Lock()
	h := s.policies[name]
	if h == nil {
		s.Unlock()
		return r, false
	}
	if !h.fresh(now) {
		if h.lapsed(now) {
			r.Lapsed = h.policy
		}
		s.Unlock()
		return r, false
	}
	c.memory.touch(s, h, now)
	due := now >= h.wake
	if due {
		h.wake = now + retryWake
	}
	c.fill(&r, h)
	s.Unlock()
	if due {
		c.attendSoon(name)
	}
	return r, true
}

// lookFor returns what discovery saw of a domain without a fresh policy: for
// one whose policy expired that is what was seen while it held.
func (c *Client) lookFor(name string) (look, bool) {
	if l, ok := c.looks.Get(name); ok {
		return l, true
	}
	if h, ok := c.snapshot(name); ok {
		return h.lookOf(), true
	}
	return look{}, false
}

// settled turns a look into an answer, if it is one: DNS was silent a moment
// ago, or the GET for the id failed. An answer has no policy.
func (c *Client) settled(name string, l look, now instant) (Result, bool) {
	r := Result{Domain: name}
	switch {
	case now >= l.nextTXT:
		return r, false
	case l.silent:
		r.Indeterminate = true
		return r, true
	case l.backedOff(now):
		r.Checked = c.base.Add(l.lastTXT)
		r.Failure = l.tell()
		return r, true
	}
	return r, false
}

// lastLook replaces r, an answer without a policy, by a policy that was
// installed since it was formed (R4), and fills in what lapsed.
func (c *Client) lastLook(r Result) Result {
	s := c.memory.shard(r.Domain)
	s.Lock()
	defer s.Unlock()
	now := c.now()
	h := s.policies[r.Domain]
	switch {
	case h == nil:
	case h.fresh(now):
		return c.result(h, now)
	case h.lapsed(now):
		r.Lapsed = h.policy
	}
	return r
}

// result is what h says at the moment now; under the shard's lock, or of a copy.
func (c *Client) result(h *held, now instant) (r Result) {
	c.fill(&r, h)
	if !h.fresh(now) {
		r.Policy, r.Lapsed = nil, h.policy
	}
	return r
}

func (c *Client) fill(r *Result, h *held) {
	r.Domain, r.Policy, r.ID = h.domain, h.policy, h.id
	r.Fetched, r.Checked, r.Expires = c.base.Add(h.fetched), c.base.Add(h.checked), c.base.Add(h.expires())
	if h.state != nil {
		r.Failure = h.state.tell()
	}
}

// orNil keeps a nil *Error from becoming an error that is not nil.
func (e *Error) orNil() error {
	if e == nil {
		return nil
	}
	return e
}
