package mtasts

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/strictmx/strictmx/internal/ablation"
	"github.com/strictmx/strictmx/internal/dnsname"
	"github.com/strictmx/strictmx/tlsrpt"
)

const (
	budgetBurst = 3               // GETs for one domain, whatever for, R7
	budgetEvery = 5 * time.Minute // and one more

	retryDue     = 30 * time.Second // until a Lookup starts again what no place was free for
	confirmAfter = time.Hour        // R29
	// maxInvalidText of a text that is no policy are kept beside the failure, for
	// its owner to see (RPT-122).
	maxInvalidText = 1 << 10

	tellAfter = 3 // failed renewals, until the operator hears of it, STS-95
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

// fetch is the work of one flight: a GET, if name may have one, and what it
// changes. A policy that was fetched since the caller began is its to use, even
// if the max_age is 0 (AMB-11).
func (c *Client) fetch(name string, e errand) (Result, error) {
	start := c.clock.now()
	h, ok := c.snapshot(name)
	fresh := ok && h.fresh(start)
	if ok && h.fetched >= e.began || fresh && !e.renew {
		return c.applied(&h), nil
	}
	l, _ := c.lookFor(name)
	if fresh {
		l = h.lookOf()
	} else if r, ok := c.known(name); ok || l.id == "" {
		return r, busyUnless(ok) // something landed while we took our place
	}
	if wait := c.spend(name, start); wait > 0 {
		return c.standIn(name, start, start+wait)
	}
	text, err := c.getText(name)
	if c.ctx.Err() != nil {
		return Result{}, ErrClosed
	}
	if turn, ok := errors.AsType[*turnError](err); ok {
		c.refund(name)
		c.postpone(name, c.clock.now()+turn.wait)
		return Result{}, err
	}
	next := &held{}
	if err == nil {
		next, err = newHeld(name, l.id, text, start)
	}
	var failure *Error
	if err != nil {
		next, failure = &held{}, policyError(name, text, err)
	}
	if c.trace.Fetched != nil {
		c.trace.Fetched(Fetch{
			Domain: name, ID: l.id, Start: c.clock.wall(start), Duration: c.clock.now() - start,
			Policy: next.policy, Err: failure.orNil(),
		})
	}
	if failure != nil {
		return c.noteFailure(name, l.id, failure), nil
	}
	return c.notePolicy(next, l, text), nil
}

func policyError(name, text string, err error) *Error {
	e := &Error{Domain: name, Type: tlsrpt.STSPolicyFetchError, Reason: tlsrpt.ReasonUnknown, Err: err}
	if pe, ok := errors.AsType[*ParseError](err); ok {
		e.Type, e.Reason = tlsrpt.STSPolicyInvalid, pe.Reason
		e.Lines = servedLines(strings.Clone(text[:min(len(text), maxInvalidText)]))
	} else if fe, ok := errors.AsType[*fetchError](err); ok {
		e.Type, e.Reason, e.Err = fe.Type, fe.Reason, fe.Err
	}
	return e
}

func busyUnless(ok bool) error {
	if ok {
		return nil
	}
	return ErrBusy
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
	if l, ok := c.lookFor(name); ok && l.failure != nil && now-l.lastFail <= backOff { // I9
		return c.lastLook(Result{Domain: name, Failure: l.failure}), nil
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

// noteFailure keeps that the GET for id failed. A fresh policy stays in force,
// with its id, so that the new one is tried again (RFC 8461, section 3.3; STS-89).
func (c *Client) noteFailure(name, id string, failure *Error) Result {
	s := c.change(name)
	now := c.clock.now()
	h := s.policies[name]
	if h == nil || !h.fresh(now) || ablation.Off(ablation.LastLook) {
		l, _ := c.lookUnder(h, name)
		l.fail(id, failure, now)
		c.looks.Put(name, l)
		r := Result{Domain: name, Failure: failure}
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
	if l.fails >= tellAfter && r.Policy.Mode != ModeNone {
		c.warn("the policy cannot be renewed", "domain", name, "mode", r.Policy.Mode, "expires", r.Expires, "failures", int(l.fails), "error", failure)
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
	l.fails = min(l.fails+1, 100)
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
		if weaker && c.ConfirmWeaker && !old.confirms(text, h.fetched) {
			s.Unlock()
			c.warn("a weaker policy waits to be confirmed", "domain", name, "held", old.policy, "served", h.policy)
			return was
		}
	}
	h.seen(l)
	r := c.applied(h)
	c.install(s, old, h, now)
	s.Unlock()
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
	case s.policies[name] != h: // no room: what was seen of the record is kept all the same
		c.looks.Put(name, h.lookOf())
	case !renewed: // somebody asked for it, and uses it: Run renews it from now on
		c.memory.touch(s, h, now)
	}
	if int64(h.nextGET()) < c.runNext.Load() {
		c.wakeRun()
	}
}

// confirms reports whether a weaker text was served before, long enough ago,
// and else remembers it.
func (h *held) confirms(text string, start instant) bool {
	l := h.lookOf()
	if l.weaker != nil && l.weaker.text == text && start-l.weaker.seen >= confirmAfter {
		return true
	}
	if l.weaker == nil || l.weaker.text != text {
		l.weaker = &pending{text: text, seen: start}
	}
	h.set(l)
	return false
}

// announce tells who wants to know that a policy came in the place of another
// one (R29).
func (c *Client) announce(old, new Result, weaker bool) {
	if old.Policy == nil || old.Policy.text == new.Policy.text || ablation.Off(ablation.ChangeTold) {
		return
	}
	if weaker {
		c.warn("a policy was replaced by a weaker one", "domain", new.Domain,
			"old", old.Policy, "old_hash", old.Policy.hash(), "new", new.Policy, "new_hash", new.Policy.hash())
	}
	if c.trace.Changed != nil {
		c.trace.Changed(old, new, weaker)
	}
}

// attendSoon starts what is due for name in the background, if there is a
// place; if not, a later Lookup does.
func (c *Client) attendSoon(name string) {
	if release, ok := c.background.tryAcquire(dnsname.Parent(name)); ok {
		c.jobs.run(func() { c.attend(name, 0) }, release)
	}
}

// attend looks at the record and fetches the policy of name, as far as either
// is due, or the GET soon. It runs on a place of the background's, and leaves
// what it found in memory; whoever shares its flights gets the errors.
func (c *Client) attend(name string, ahead time.Duration) {
	h, ok := c.snapshot(name)
	if !ok {
		return
	}
	if now := c.clock.now(); now >= h.nextTXT() {
		_, _ = c.looking.do(c.ctx, name, noPlace, func() (struct{}, error) { return struct{}{}, c.askTXT(name, now) })
		if h, ok = c.snapshot(name); !ok {
			return
		}
	}
	if now := c.clock.now(); now+ahead >= h.nextGET() {
		_, _ = c.fetching.do(c.ctx, name, noPlace, func() (Result, error) { return c.fetch(name, errand{began: now, renew: true}) })
	}
}

func noPlace(context.Context) (func(), error) { return func() {}, nil }

func (c *Client) evicted(h *held) {
	now := c.clock.now()
	if h.rank() == protectedRank && h.fresh(now) {
		c.lost.Add(1)
		c.warn("memory is full: an enforce policy in use was dropped; raise Capacity", "domain", h.domain)
	}
	if c.trace.Evicted != nil {
		c.trace.Evicted(c.result(h, now))
	}
}

// warn logs what others can cause, at a bounded rate (R16).
func (c *Client) warn(msg string, args ...any) {
	if suppressed, ok := c.warnings.allow(c.clock.now()); ok {
		if suppressed > 0 {
			args = append(args, slog.Uint64("suppressed", suppressed))
		}
		c.logger.Warn(msg, args...)
	}
}
