package mtasts

import (
	"crypto/sha256"
	"log/slog"
	"time"

	"github.com/strictmx/strictmx/internal/ablation"
)

const (
	tellAfter = 3 // failed renewals, until the operator hears of it, STS-95
	shortLife = 24 * time.Hour
)

// noteFailure keeps that the GET for id failed. A fresh policy stays in force,
// with its id, so that the new one is tried again (RFC 8461, section 3.3; STS-89).
func (c *Client) noteFailure(name, id string, failure *Error) Result {
	s := c.change(name)
	now := c.clock.now()
	h := s.policies[name]
	c.trust(h, now)
	if h == nil || !h.fresh(now) || ablation.Off(ablation.LastLook) {
		l, _ := c.lookUnder(h, name)
		l.unread = l.unread || c.unread(name) // the look that the GET began with may be gone
		l.fail(id, failure, now)
		c.looks.Put(name, l)
		r := Result{Domain: name, Failure: failure, unread: l.unread}
		if l.lastTXT != 0 {
			r.Checked = c.clock.wall(l.lastTXT)
		}
		if h != nil && h.lapsed(now) {
			r.Lapsed = h.policy
		}
		s.Unlock()
		c.logger.Debug("no policy could be fetched", "domain", name, "error", failure)
		return r
	}
	l := h.lookOf()
	l.fail(id, failure, now)
	h.set(l)
	r := c.result(h, now)
	s.Unlock()
	if l.misses >= tellAfter && r.Policy.Mode != ModeNone {
		c.warn("the policy cannot be renewed", "domain", name, "mode", r.Policy.Mode, "expires", r.Expires, "failures", int(l.misses), "error", failure)
		if c.trace.RenewalFailing != nil {
			c.trace.RenewalFailing(r)
		}
	}
	return r
}

func (l *look) fail(id string, failure *Error, now instant) {
	if l.failID != id {
		l.failID, l.fails = id, 0
	}
	if l.id == "" {
		l.id = id
	}
	l.fails, l.misses = min(l.fails+1, 100), min(l.misses+1, 100)
	l.lastFail, l.failure = now, failure
}

// notePolicy installs a policy, and with it its id and the time of the GET, in
// one step (STS-91), unless a later GET did so first (R5). l is what had been seen
// of the domain when the GET began; what was seen of the record since then counts
// more, or a new id would be forgotten.
func (c *Client) notePolicy(h *held, l look, text string) Result {
	name := h.domain()
	s := c.change(name)
	now := c.clock.now()
	var was Result
	weaker := false
	old := s.policies[name]
	if since, ok := c.looks.Get(name); ok && since.lastTXT > l.lastTXT {
		l = since
	}
	if old != nil && old.lookOf().lastTXT > l.lastTXT {
		l = old.lookOf()
	}
	if a, ok := c.absences.Get(name); ok && a.checked() > l.lastTXT {
		l.answered(a.checked(), a.expires()-a.checked())
	}
	if old != nil && h.fetched <= old.fetched {
		defer s.Unlock()
		return c.result(old, now)
	}
	if old != nil && old.fresh(now) {
		was = c.result(old, now)
		weaker = weakens(old.policy, h.policy)
		// One that ends within the day in place of one that would not have is as
		// good as weaker: the next may say anything.
		short := old.policy.Mode != ModeNone && h.expires() < old.expires() && h.policy.MaxAge < shortLife
		if c.ConfirmWeaker && (weaker || short) && !old.confirms(h.id(), text, h.fetched) {
			s.Unlock()
			c.warn("a weaker policy waits to be confirmed", "domain", name, "held", old.policy, "served", h.policy)
			return was
		}
	}
	h.seen(l)
	r := c.applied(h)
	c.install(s, old, h, now)
	c.tell(s.unlock())
	c.announce(was, r, weaker)
	return r
}

// seen takes over what had been seen of the record.
func (h *held) seen(l look) {
	if l.lastTXT != 0 {
		h.checked = l.lastTXT
	}
	h.ttl = uint16(clampTTL(l.nextTXT-h.checked, minTXT, maxTXT) / time.Second)
	if l.silent || l.record != nil || l.id != h.id() { // still amiss, which the policy cannot mend
		h.state = &look{id: l.id, nextTXT: l.nextTXT, lastTXT: l.lastTXT, silent: l.silent, silences: l.silences, record: l.record}
	}
}

// install puts h into memory; under s's lock.
func (c *Client) install(s *shard, old, h *held, now instant) {
	name := h.domain()
	c.absences.Delete(name)
	c.looks.Delete(name)
	renewed := old != nil && old.fresh(now)
	c.memory.put(s, h, now)
	switch {
	case s.policies[name] != h: // no room: it stands in while the budget of GETs is spent
		c.looks.Put(name, h.lookOf())
		c.refused.Put(name, h)
	case !renewed: // somebody asked for it, and uses it: Run renews it from now on
		c.memory.touch(s, h, now)
	}
	if h.policy.MaxAge >= minRunAge && int64(h.nextGET()) < c.runNext.Load() {
		c.wakeRun()
	}
}

// confirms reports whether a weaker text was served before, long enough ago,
// and else remembers it.
func (h *held) confirms(id, text string, start instant) bool {
	sum := sha256.Sum256([]byte(text))
	l := h.lookOf()
	if l.weaker != nil && l.weaker.text == sum && start-l.weaker.seen >= confirmAfter {
		return true
	}
	next := &pending{text: sum, id: id, seen: start}
	if l.weaker != nil && l.weaker.text == sum {
		next.seen = l.weaker.seen
	}
	l.weaker = next
	l.failID, l.fails, l.misses = "", 0, 0 // the GET did not fail
	h.set(l)
	return false
}

// announce tells who wants to know that a policy came in the place of another
// one (R29).
func (c *Client) announce(old, new Result, weaker bool) {
	if old.Policy == nil || !weaker && old.Policy.hash() == new.Policy.hash() || ablation.Off(ablation.ChangeTold) {
		return
	}
	if weaker {
		c.warnOf(&c.weakenings, "a policy was replaced by a weaker one", "domain", new.Domain,
			"old", old.Policy, "old_hash", old.Policy.hash(), "new", new.Policy, "new_hash", new.Policy.hash())
	}
	if c.trace.Changed != nil {
		c.trace.Changed(old, new, weaker)
	}
}

// tell tells of policies that were dropped to make room. It may be called by a
// Lookup, which has no part in what a hook does.
func (c *Client) tell(gone []*held) {
	defer func() {
		if recover() != nil {
			c.logger.Error("a hook panicked")
		}
	}()
	for _, h := range gone {
		now := c.clock.now()
		if h.rank() == protectedRank && h.fresh(now) && !c.saved(h.domain()) {
			c.lost.Add(1)
			c.warn("memory is full: an enforce policy in use was dropped; raise Capacity", "domain", h.domain())
		}
		if c.trace.Evicted != nil {
			c.trace.Evicted(c.result(h, now))
		}
	}
}

// warn logs what others can cause, at a bounded rate (R16). Weakenings have a
// rate of their own, so that nothing drowns them.
func (c *Client) warn(msg string, args ...any) { c.warnOf(&c.warnings, msg, args...) }

func (c *Client) warnOf(l *limiter, msg string, args ...any) {
	if suppressed, ok := l.allow(c.clock.now()); ok {
		if suppressed > 0 {
			args = append(args, slog.Uint64("suppressed", suppressed))
		}
		c.logger.Warn(msg, args...)
	}
}
