package mtasts

import (
	"context"
	"errors"
	"time"

	"github.com/strictmx/strictmx/internal/ablation"
	"github.com/strictmx/strictmx/internal/dnsname"
	"github.com/strictmx/strictmx/resolver"
	"github.com/strictmx/strictmx/tlsrpt"
)

// discover looks for the policy of a domain of which nothing is known, or too
// little. Each step leaves in memory what it found, and the answer is what
// memory then says.
func (c *Client) discover(ctx context.Context, name string, renew bool) (Result, error) {
	const rounds = 6 // three are enough unless memory drops what we just learned
	began := c.clock.now()
	parent := dnsname.Parent(name)
	for range rounds {
		read, err := c.recall(ctx, name, began)
		if err != nil {
			return Result{}, err
		}
		switch r, ok := c.known(name); {
		case ok && !r.unread && (r.Policy != nil || read.err == nil):
			return r, nil
		case read.apart != nil: // whatever was seen beside it
			return c.beside(ctx, name, parent, read.apart, began, renew)
		case ok && read.err != nil:
			return Result{}, read.err
		case ok:
			c.vouch(name)
			continue
		}
		l, ok := c.lookFor(name)
		if !ok || c.clock.now() >= l.nextTXT {
			if err := c.lookTXT(ctx, name, parent, began); err != nil {
				return Result{}, err
			}
			continue
		}
		r, err := c.get(ctx, name, parent, errand{began: began})
		switch {
		case err == nil && r.Policy == nil && read.err != nil:
			return Result{}, read.err
		case err == nil && r.Policy == nil && r.unread:
			continue // memory lost what it had, or that it was read: read again
		}
		return r, err
	}
	return Result{}, ErrBusy
}

// snapshot copies what is held for name, fresh or not.
func (c *Client) snapshot(name string) (held, bool) {
	s := c.memory.shard(name)
	s.Lock()
	defer s.Unlock()
	h := s.policies[name]
	if h == nil {
		return held{}, false
	}
	return *h, true
}

// asked is when DNS was last asked for name's record, as far as memory knows.
func (c *Client) asked(name string) instant {
	last := instant(-1 << 62)
	if a, ok := c.absences.Get(name); ok {
		last = a.checked()
	}
	if l, ok := c.looks.Get(name); ok {
		last = max(last, l.lastTXT)
	}
	if h, ok := c.snapshot(name); ok {
		last = max(last, h.checked)
		if h.state != nil {
			last = max(last, h.state.lastTXT)
		}
	}
	return last
}

// lookTXT asks DNS for the record, unless that was done since the moment given.
func (c *Client) lookTXT(ctx context.Context, name, parent string, since instant) error {
	if c.asked(name) >= since {
		return nil
	}
	_, err := c.looking.do(ctx, name, c.txtPool.placeFor(parent), func() (struct{}, error) {
		return struct{}{}, c.askTXT(name, since)
	})
	return err
}

// askTXT is the work of one flight.
func (c *Client) askTXT(name string, since instant) error {
	if c.asked(name) >= since {
		return nil // a flight that landed while we took our place
	}
	ctx, cancel := context.WithTimeout(c.ctx, txtTimeout)
	defer cancel()
	a, err := c.resolver.TXT(ctx, "_mta-sts."+name)
	if c.ctx.Err() != nil {
		return ErrClosed
	}
	var rec Record
	if err == nil {
		rec, err = selectRecord(a.Records)
		if err != nil {
			if ended := c.noteNoRecord(name, a, err); ended != nil && c.Store != nil {
				c.end(ended)
			}
		} else {
			c.noteRecord(name, a, rec)
		}
	} else {
		c.noteSilence(name, err)
	}
	if c.trace.Checked != nil {
		c.trace.Checked(Check{Domain: name, ID: rec.ID, Reason: recordReason(err), TTL: a.TTL, Err: slim(err)})
	}
	return nil
}

// noteRecord keeps what a valid record said.
func (c *Client) noteRecord(name string, a resolver.Answer[string], rec Record) {
	ttl := clampTTL(a.TTL, ablation.Kept(ablation.CheckFloor, minTXT, time.Second), maxTXT)
	s := c.change(name)
	defer s.Unlock()
	now := c.clock.now()
	if h := s.policies[name]; h != nil && h.fresh(now) {
		h.checked, h.ttl = now, uint16(ttl/time.Second)
		l := h.lookOf()
		l.found(rec.ID, now, ttl)
		h.set(l)
		return
	}
	l, _ := c.lookUnder(s.policies[name], name)
	l.unread = c.unread(name)
	l.found(rec.ID, now, ttl)
	c.looks.Put(name, l)
	c.absences.Delete(name)
}

// found notes a valid record. That a GET failed counts while the id is the same.
func (l *look) found(id string, now instant, ttl time.Duration) {
	if l.failID != id {
		l.failID, l.fails = "", 0
	}
	l.id, l.record = id, nil
	l.answered(now, ttl)
}

func (l *look) answered(now instant, ttl time.Duration) {
	l.nextTXT, l.lastTXT, l.silent, l.silences = now+ttl, now, false, 0
}

func (l *look) unanswered(now instant, least time.Duration) {
	l.silent, l.silences, l.lastTXT = true, min(l.silences+1, 100), now
	l.nextTXT = now + max(ablation.Kept(ablation.SilenceKept, silence(l.silences), time.Second), least)
}

// noteNoRecord keeps that DNS answered, and has no record we can use. Beside a
// fresh policy that is a failure to report and nothing more (RFC 8461, section
// 3.1); else it is an absence. It returns a policy that ended for good.
func (c *Client) noteNoRecord(name string, a resolver.Answer[string], why error) (ended *held) {
	s := c.change(name)
	defer s.Unlock()
	now := c.clock.now()
	h := s.policies[name]
	c.trust(h, now)
	if h != nil && h.fresh(now) && !ablation.Off(ablation.AbsenceBeside) {
		ttl := clampTTL(a.TTL, minTXT, maxAbsence)
		h.checked, h.ttl = now, uint16(ttl/time.Second)
		l := h.lookOf()
		l.answered(now, ttl)
		l.record = &Error{Domain: name, Type: tlsrpt.STSPolicyFetchError, Reason: recordReason(why), Err: slim(why)}
		h.set(l)
		return nil
	}
	ttl := clampTTL(a.TTL, minAbsence, maxAbsence)
	switch {
	case h == nil:
	case a.Secure && len(a.Records) == 0:
		c.memory.remove(s, h) // an authentic end: it lapsed for good (R30)
		ended = h
	default:
		if h.lapsed(now) && !ablation.Off(ablation.AbsenceShort) {
			ttl = minAbsence
		}
		h.checked, h.ttl = now, uint16(ttl/time.Second)
		l := h.lookOf() // what was seen while it held counts no more
		l.answered(now, ttl)
		h.set(l)
	}
	absent := newAbsence(now, ttl)
	if c.unread(name) {
		absent |= absenceUnread
	}
	c.absences.Put(name, absent)
	c.looks.Delete(name)
	return ended
}

// noteSilence keeps that DNS did not answer.
func (c *Client) noteSilence(name string, why error) {
	s := c.change(name)
	defer s.Unlock()
	now := c.clock.now()
	c.trust(s.policies[name], now)
	if h := s.policies[name]; h != nil && h.fresh(now) {
		l := h.lookOf()
		l.unanswered(now, minTXT)
		l.record = &Error{Domain: name, Type: tlsrpt.STSPolicyFetchError, Reason: tlsrpt.ReasonDNS, Err: slim(why)}
		h.set(l)
		return
	}
	l, _ := c.lookUnder(s.policies[name], name)
	l.unread = c.unread(name)
	l.unanswered(now, 0)
	c.looks.Put(name, l)
}

// recordReason says why there is no record: what is not one of our own errors
// came from the resolver.
func recordReason(why error) string {
	switch {
	case why == nil:
		return ""
	case errors.Is(why, errTXTNone):
		return tlsrpt.ReasonTXTMissing
	case errors.Is(why, errTXTMultiple):
		return tlsrpt.ReasonTXTMultiple
	case errors.Is(why, errTXTInvalid):
		return tlsrpt.ReasonTXTInvalid
	}
	return tlsrpt.ReasonDNS
}

// lookOf copies h's state, or makes one that says that all is well.
func (h *held) lookOf() look {
	if h.state != nil {
		return *h.state
	}
	return look{id: h.id(), nextTXT: h.checked + instant(h.ttl)*time.Second, lastTXT: h.checked}
}

// set gives h a new state, or none if it has nothing to say.
func (h *held) set(l look) {
	l.begun = 0
	h.state = &l
	if l.id == h.id() && !l.silent && l.misses == 0 && l.record == nil && l.weaker == nil && l.noGET == 0 && !l.undated {
		h.state = nil
	}
}

// errand is what a caller wants of a GET: a policy where none is fresh, or a
// newer one than any fetched before it began.
type errand struct {
	began instant
	renew bool
}

// get fetches the policy under the id seen last. Should the address of the
// policy host have had its share of our connections, callers wait for their
// turn here, where they hold no place.
func (c *Client) get(ctx context.Context, name, parent string, e errand) (Result, error) {
	for {
		r, err := c.fetching.do(ctx, name, c.getPool.placeFor(parent), func() (Result, error) { return c.fetch(name, e) })
		turn, ok := errors.AsType[*turnError](err)
		if !ok {
			if err == nil && r.Policy == nil && !ablation.Off(ablation.LastLook) {
				r = c.lastLook(r)
			}
			return r, err
		}
		if c.clock.now()-e.began > maxTurns {
			return Result{}, ErrBusy
		}
		timer := time.NewTimer(turn.wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return Result{}, ctx.Err()
		case <-c.ctx.Done():
			timer.Stop()
			return Result{}, ErrClosed
		}
	}
}
