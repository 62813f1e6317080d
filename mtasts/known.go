package mtasts

import "time"

// absence is "the domain has no record": when DNS said so, and for how many
// seconds that counts. Most of the domains mail goes to are absences, so it is
// one word: the seconds take the lowest nine bits, whether the Store was read the
// tenth, and the moment is rounded up to a multiple of 1024 ns.
type absence int64

const (
	absenceBits   = 10
	absenceUnread = 1 << 9            // the Store could not be read, and may hold a policy
	absenceTTL    = absenceUnread - 1 // enough for the seconds of maxAbsence
)

func newAbsence(checked instant, ttl time.Duration) absence {
	const mask = 1<<absenceBits - 1
	return absence((int64(checked)+mask)&^mask | int64(ttl/time.Second))
}

func (a absence) checked() instant { return instant(a &^ (1<<absenceBits - 1)) }
func (a absence) expires() instant { return a.checked() + instant(a&absenceTTL)*time.Second }

// known answers from memory, if memory has an answer, and starts what is due. All
// that is known of a domain changes under one lock, the shard's, so no answer that
// lets mail go in clear is given beside a fresh policy (R4).
func (c *Client) known(name string) (r Result, ok bool) {
	now := c.clock.now()
	s := c.memory.shard(name)
	s.Lock()
	h := s.policies[name]
	if h == nil || !h.fresh(now) {
		defer s.Unlock()
		return c.without(name, h, now)
	}
	c.memory.touch(s, h, now)
	r = c.applied(h)
	next := h.due()
	due := now >= next
	if due {
		h.begin(now)
	} else if h.places() == 1 { // hot answers are in no budget
		c.keep(r, now, min(next, h.expires()+1))
	}
	c.tell(s.unlock())
	if due {
		c.attendSoon(name)
	}
	return r, true
}

// peek is known for an operator: nothing is used by it, and nothing begins.
func (c *Client) peek(name string) (Result, bool) {
	now := c.clock.now()
	s := c.memory.shard(name)
	s.Lock()
	defer s.Unlock()
	if h := s.policies[name]; h != nil && h.fresh(now) {
		return c.applied(h), true
	}
	return c.without(name, s.policies[name], now)
}

// without answers for a domain without a fresh policy: with an absence, with
// the silence of DNS a moment ago, or with the failure of the GET for the id. h is
// what is held all the same, or nil. Under the shard's lock.
func (c *Client) without(name string, h *held, now instant) (r Result, ok bool) {
	r.Domain = name
	if h != nil && h.lapsed(now) {
		r.Lapsed = h.policy
	}
	if a, ok := c.absences.Get(name); ok && now < a.expires() {
		r.Checked = c.clock.wall(a.checked())
		if r.unread = a&absenceUnread != 0; !r.unread {
			c.keep(r, now, a.expires())
		}
		return r, true
	}
	l, ok := c.lookUnder(h, name)
	r.unread = l.unread
	switch {
	case !ok || now >= l.nextTXT:
		return r, false
	case l.silent:
		r.Indeterminate = true
		return r, true
	case l.backedOff(now):
		r.Checked = c.clock.wall(l.lastTXT)
		r.Failure = l.tell()
		return r, true
	}
	return r, false
}

// keep keeps an answer ready to hand out. Under the shard's lock.
func (c *Client) keep(r Result, now, until instant) {
	c.hot.keep(r, now, until)
	c.clock.remember(now)
}

// change locks name's shard for a change of what is known of it.
func (c *Client) change(name string) *shard {
	s := c.memory.shard(name)
	s.Lock()
	c.hot.drop(name)
	return s
}

// lookFor returns what discovery saw of a domain without a fresh policy: for
// one whose policy expired that is what was seen while it held.
func (c *Client) lookFor(name string) (look, bool) {
	s := c.memory.shard(name)
	s.Lock()
	defer s.Unlock()
	return c.lookUnder(s.policies[name], name)
}

// lookUnder is lookFor under the shard's lock.
func (c *Client) lookUnder(h *held, name string) (l look, ok bool) {
	if l, ok = c.looks.Get(name); !ok && h != nil {
		l, ok = h.lookOf(), true
		l.weaker, l.record = nil, nil
	}
	return l, ok
}

// lastLook replaces r, an answer without a policy, by a policy that was
// installed since it was formed (R4), and fills in what lapsed.
func (c *Client) lastLook(r Result) Result {
	s := c.memory.shard(r.Domain)
	s.Lock()
	defer s.Unlock()
	now := c.clock.now()
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
func (c *Client) result(h *held, now instant) Result {
	r := c.applied(h)
	if !h.fresh(now) {
		r.Policy = nil
	}
	if h.lapsed(now) {
		r.Lapsed = h.policy
	}
	return r
}

// applied is the Result in which h's policy is in force, fresh or not.
func (c *Client) applied(h *held) Result {
	r := Result{
		Domain: h.domain(), Policy: h.policy, ID: h.id(),
		Fetched: c.clock.wall(h.fetched), Checked: c.clock.wall(h.checked), Expires: c.clock.wall(h.expires()),
	}
	if h.state != nil {
		r.Failure = h.state.tell()
	}
	return r
}

// orNil keeps a nil *Error from becoming an error that is not nil.
func (e *Error) orNil() error {
	if e == nil {
		return nil
	}
	return e
}
