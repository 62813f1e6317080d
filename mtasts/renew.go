package mtasts

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/strictmx/strictmx/internal/ablation"
	"github.com/strictmx/strictmx/internal/dnsname"
	"github.com/strictmx/strictmx/resolver"
	"github.com/strictmx/strictmx/tlsrpt"
)

const (
	retryDue     = 30 * time.Second // until a Lookup starts again what no place was free for
	confirmAfter = time.Hour        // R29
	// maxInvalidText of a text that is no policy are kept beside the failure, for
	// its owner to see (RPT-122).
	maxInvalidText  = 1 << 10
	maxInvalidLines = 32
)

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
	var next *held
	if err == nil {
		if next, err = newHeld(name, l.id, text, start); err == nil {
			next.own = c.memory.minute(start)
		}
	}
	var policy *Policy
	var failure *Error
	if err != nil {
		failure = policyError(name, text, err)
	} else {
		policy = next.policy
	}
	if c.trace.Fetched != nil {
		c.trace.Fetched(Fetch{
			Domain: name, ID: l.id, Start: c.clock.wall(start), Duration: c.clock.now() - start,
			Policy: policy, Err: failure.orNil(),
		})
	}
	if failure != nil {
		return c.noteFailure(name, l.id, failure), nil
	}
	r := c.notePolicy(next, l, text)
	if r.Policy == next.policy {
		c.saveNew(next, text)
	}
	return r, nil
}

func policyError(name, text string, err error) *Error {
	e := &Error{Domain: name, Type: tlsrpt.STSPolicyFetchError, Reason: tlsrpt.ReasonUnknown, Err: err}
	if pe, ok := errors.AsType[*ParseError](err); ok {
		e.Type, e.Reason = tlsrpt.STSPolicyInvalid, pe.Reason
		lines := servedLines(strings.Clone(text[:min(len(text), maxInvalidText)]))
		e.Lines = compact(lines[:min(len(lines), maxInvalidLines)])
	} else if fe, ok := errors.AsType[*fetchError](err); ok {
		e.Type, e.Reason, e.Err = fe.Type, fe.Reason, fe.Err
	}
	e.Err = slim(e.Err)
	return e
}

// slim makes an error fit to be remembered for a stranger: of others than our
// own, which are bounded, only the text is kept, since some hold all the
// certificates that were sent. Nor is one a context's any more, which would look
// like that of the caller's (R34).
func slim(err error) error {
	if err == nil || err == errTimeout || err == errTXTNone || err == errTXTMultiple || ablation.Off(ablation.OwnDeadline) {
		return err
	}
	if e, ok := errors.AsType[*ParseError](err); ok {
		return e
	}
	if e, ok := errors.AsType[*resolver.Error](err); ok && e.Kind != resolver.KindCanceled {
		return e
	}
	if e, ok := errors.AsType[*resolver.NonPublicError](err); ok {
		return e
	}
	return &remembered{strconv.QuoteToASCII(clean(err.Error()))}
}

// remembered is the text of an error, quoted.
type remembered struct{ text string }

func (e *remembered) Error() string { return e.text }

func busyUnless(ok bool) error {
	if ok {
		return nil
	}
	return ErrBusy
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
	next := h.nextTXT()
	if h.hint { // what was seen of its domain is beside it
		l, _ := c.lookFor(name)
		next = l.nextTXT
	}
	if now := c.clock.now(); now >= next {
		_, _ = c.looking.do(c.ctx, name, noPlace, func() (struct{}, error) { return struct{}{}, c.askTXT(name, now) })
		if h, ok = c.snapshot(name); !ok {
			return
		}
	}
	if now := c.clock.now(); h.dueSoon(now, ahead) && c.sparesGET(&h, now) {
		c.consult(name)
		if h, ok = c.snapshot(name); !ok {
			return
		}
	}
	if now := c.clock.now(); h.dueSoon(now, ahead) {
		_, _ = c.fetching.do(c.ctx, name, noPlace, func() (Result, error) { return c.fetch(name, errand{began: now, renew: true}) })
	}
	_ = c.saveDue(name)
}

func noPlace(context.Context) (func(), error) { return func() {}, nil }
