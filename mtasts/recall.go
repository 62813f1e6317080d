package mtasts

import (
	"context"
	"errors"
	"time"

	"github.com/strictmx/strictmx/internal/dnsname"
)

// skew is by how much clocks may differ that are right.
const skew = time.Minute

// reading is what became of the last try to read a domain's entry. One without an
// error is kept only while memory has what the Store had.
type reading struct {
	at  instant
	err error
	// apart is a policy that memory had no room for. It is for those who waited for
	// this reading, which is not kept.
	apart *held
}

// recall brings into memory what the Store holds of name, unless it was read
// since the moment given, or could not be read a moment ago. Its error is that of
// who cannot wait; that the Store could not be read is in the reading.
func (c *Client) recall(ctx context.Context, name string, since instant) (reading, error) {
	if c.Store == nil && c.Shared == nil {
		return reading{}, nil
	}
	if r, ok := c.readings.Get(name); ok && (r.at >= since || r.err != nil && c.clock.now() < r.at+readAgain) {
		return r, nil
	}
	return c.recalling.do(ctx, name, noPlace, func() (reading, error) { return c.read(name), nil })
}

// read is the work of one flight.
func (c *Client) read(name string) reading {
	r := reading{at: c.clock.now()}
	var h *held
	var err error
	if c.Store != nil {
		h, err = c.load(c.Store, name)
	}
	if err != nil {
		r.err = &storeError{slim(err)}
		c.trouble("the store cannot be read", name, err)
	}
	if h != nil {
		c.readings.Delete(name) // that there is none is true no more
		c.adopt(h, false)
	}
	r = c.settle(name, r, h)
	if r.err != nil {
		return r // what the fleet has may weaken what cannot be read, and outlive it there (I6)
	}
	if h, ok := c.snapshot(name); r.apart == nil && !(ok && h.fresh(c.clock.now())) {
		c.consult(name)
	}
	return r
}

// settle keeps the reading, unless memory did not keep h, what was read.
func (c *Client) settle(name string, r reading, h *held) reading {
	s := c.change(name)
	defer s.Unlock()
	if h != nil && s.policies[name] == nil && h.fresh(c.clock.now()) {
		r.apart = h
		return r
	}
	c.readings.Put(name, r)
	c.vouchUnder(name)
	return r
}

// vouch notes that the Store was read, and holds no more than memory does: so
// what was learned of name while that could not be said may be said now (R9).
func (c *Client) vouch(name string) {
	s := c.change(name)
	defer s.Unlock()
	c.vouchUnder(name)
}

// vouchUnder is vouch under the shard's lock: without it a policy may leave memory
// after it was read, and before this is said.
func (c *Client) vouchUnder(name string) {
	if c.unread(name) {
		return
	}
	c.absences.Update(name, func(a absence, ok bool) (absence, bool) { return a &^ absenceUnread, ok })
	c.looks.Update(name, func(l look, ok bool) (look, bool) {
		l.unread = false
		return l, ok
	})
}

// unread reports whether it is not known what the Store holds of name beside what
// memory does: not where too much was read meanwhile to remember, nor where
// memory had no room for it, or dropped it.
func (c *Client) unread(name string) bool {
	if c.Store == nil {
		return false
	}
	r, ok := c.readings.Get(name)
	return !ok || r.err != nil
}

// restore makes a policy of the Store's entry. What cannot be one is removed, or
// it would be in the way of the next; one with an impossible time is corrected.
func (c *Client) restore(name string, value []byte) (*held, error) {
	h, e, undated, err := c.decode(name, value)
	if errors.Is(err, errEntryNewer) {
		return nil, err
	}
	if err != nil {
		c.trouble("the store held something that is no policy of this domain's; it is removed", name, err)
		_ = c.erase(name)
		return nil, nil
	}
	h.minute, h.days = c.memory.minute(min(c.clock.at(noon(e.used)), c.clock.now())), e.days
	h.kept = uint16(h.minute / minutesPerDay)
	switch {
	case undated && e.start.After(c.clock.stamp(h.fetched)):
		c.ahead.Put(name, struct{}{})
		c.meet(h, e)
	case undated:
		_ = c.save(h, e.text)
	}
	return h, nil
}

// meet notes in the Store since when a policy is held whose start is yet to come, so
// that it lives from then on, once (R6, R23). Its start stays: the clock that is
// wrong may be the one of this moment, and is set a little later.
func (c *Client) meet(h *held, e entry) {
	met := c.clock.stamp(h.fetched)
	switch {
	case e.met.IsZero():
	case met.Sub(e.met).Abs() < skew:
		return
	default: // that time was impossible, too, and what says so is not newer
		_ = c.erase(e.domain)
	}
	e.met = met
	_, err := callStore(c, c.writes, e.domain, writeLimit, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, c.Store.PutIfNewer(ctx, entryKey(e.domain), e.encode(), e.version(), e.start.Add(h.policy.MaxAge+lapsedFor))
	})
	if err != nil {
		c.trouble("a policy with an impossible time could not be corrected in the store", e.domain, err)
	}
}

// decode makes a policy of an entry. Where this clock is wrong, or the one was by
// which it was fetched, its age is not known: then it is as of now, and a GET is due
// (R6, STS-104).
func (c *Client) decode(name string, value []byte) (h *held, e entry, undated bool, err error) {
	if e, err = decodeEntry(name, string(value)); err != nil {
		return nil, e, false, err
	}
	now := c.clock.now()
	start := c.clock.at(e.start)
	undated = start > now+skew || now-start > maxMaxAge+lapsedFor
	if met := c.clock.at(e.met); start > now+skew && !e.met.IsZero() && met <= now && now-met <= maxMaxAge+lapsedFor {
		start = met
	} else if undated || start > now {
		start = now - 1 // before the GET that may be due
	}
	if h, err = newHeld(name, e.id, e.text, start); err != nil {
		return nil, e, false, err
	}
	if h.policy.MaxAge == 0 { // such a one is not kept (AMB-11)
		return nil, e, false, errEntryInvalid
	}
	h.own = c.memory.minute(start)
	if undated {
		l := h.lookOf()
		l.undated = true
		h.set(l)
	}
	return h, e, undated, nil
}

// noon of a day counted from 1970: its middle, which no clock that is set right
// by a little moves into another day.
func noon(day int64) time.Time { return time.Unix(day*secondsPerDay+secondsPerDay/2, 0) }

// adopt takes a policy of a Store's into memory, if it is newer than what is there
// and, where that is in force or may be, asks for no less (R5, I6). ifRoom: only where
// it pushes nothing out. It reports whether memory has it, or a newer one.
func (c *Client) adopt(h *held, ifRoom bool) bool {
	name, known := h.domain(), h.kept
	s := c.change(name)
	now := c.clock.now()
	old := s.policies[name]
	fresh := old != nil && old.fresh(now)
	h.hint = h.policy.Mode != ModeEnforce && !fresh
	switch {
	case h.old(now), old != nil && (h.fetched <= old.fetched || !h.lives(now)),
		old != nil && old.lives(now) && (weakens(old.policy, h.policy) || h.expires() < old.expires()),
		h.hint && old != nil && old.lapsed(now) && weakens(old.policy, h.policy), // its loss is still told of (R30)
		ifRoom && !c.memory.hasRoom(s, h):
		s.Unlock()
		return true
	}
	var was Result
	if l, ok := c.looks.Get(name); fresh {
		was = c.result(old, now)
		h.seen(old.lookOf())
	} else if ok && h.fresh(now) && l.lastTXT > h.checked && h.state == nil {
		h.seen(l)
	}
	if old != nil {
		h.own = old.own
	}
	c.memory.put(s, h, now)
	h.kept = known
	r := c.applied(h)
	kept := s.policies[name] == h
	if kept && h.fresh(now) { // else what was seen is all that keeps us from looking again
		c.absences.Delete(name)
		c.looks.Delete(name)
	}
	if kept && h.policy.MaxAge >= minRunAge && int64(h.nextGET()) < c.runNext.Load() {
		c.wakeRun()
	}
	c.tell(s.unlock())
	c.announce(was, r, false)
	return kept
}

// trust puts in force what a Store held and what enforces nothing, now that
// discovery brought nothing else. Under the shard's lock.
func (c *Client) trust(h *held, now instant) {
	if h == nil || !h.hint || !h.lives(now) {
		return
	}
	h.hint = false
	name := h.domain()
	if l, ok := c.looks.Get(name); ok {
		l.unread = false
		if l.lastTXT != 0 {
			h.checked, h.ttl = l.lastTXT, uint16(clampTTL(l.nextTXT-l.lastTXT, minTXT, maxTXT)/time.Second)
		}
		h.set(l)
	}
	c.looks.Delete(name)
	c.absences.Delete(name)
}

// hasRoom reports whether h needs nothing that another policy has. Under the
// shard's lock.
func (m *memory) hasRoom(s *shard, h *held) bool {
	bound := m.capacity
	if h.rank() == protectedRank {
		bound = m.mostProtected()
	}
	return s.used+h.places() <= m.capacity && s.protected+h.places() <= bound &&
		m.parents.add(dnsname.Parent(h.domain()), 0)+h.places() <= m.parents.limit
}
