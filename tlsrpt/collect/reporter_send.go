package collect

import (
	"context"
	"errors"
	"time"

	"github.com/strictmx/strictmx/tlsrpt"
)

// built is a report as it is sent, made when the first destination is found ready
// for it.
type built struct {
	report *tlsrpt.Report
	body   []byte
	err    error
}

func (r *Reporter) build(t *task, tally *Tally) *built {
	b := new(built)
	b.err = protect("the making of a report", func() (err error) {
		if b.report, err = tlsrpt.NewReport(r.Submitter, t.domain, t.day.start, tally.Policies); err == nil {
			b.body, err = b.report.Gzip()
		}
		return err
	})
	return b
}

// deliver offers a report to each of its destinations that is due.
func (r *Reporter) deliver(ctx context.Context, t *task, tally *Tally) {
	var b *built
	for i := range t.targets {
		g := &t.targets[i]
		switch {
		case ctx.Err() != nil:
			return
		case g.done || g.due > r.clock.mono():
			continue
		case g.mailbox != "" && r.isSuppressed(g.mailbox): // by the bounce of another report
			r.close(t, tally, g, ErrSuppressed)
			continue
		case g.mailbox == "" && !r.enter(t, tally, g):
			continue
		}
		if b == nil {
			b = r.build(t, tally)
		}
		err := b.err
		switch {
		case err != nil:
		case g.mailbox != "":
			err = r.mail(ctx, t, g, b)
		default:
			err = protect("the Transport", func() error { return r.poster.post(ctx, g.rua, b.body) })
		}
		if g.mailbox == "" {
			ours := b.err != nil || ctx.Err() != nil // the host had no part in it
			r.hosts.leave(g.host, r.clock.mono(), ours || isUp(err))
		}
		r.attempted(ctx, t, tally, g, b, err)
	}
}

// mail builds the message and hands it to Send.
func (r *Reporter) mail(ctx context.Context, t *task, g *target, b *built) error {
	ctx, cancel := context.WithTimeoutCause(ctx, sendTimeout, errTimeout)
	defer cancel()
	return protect("Send", func() error {
		message, err := b.report.Message(g.mailbox)
		if err != nil {
			return err
		}
		return r.Send(ctx, Mail{Domain: t.domain, To: g.mailbox, Message: message, Report: b.report})
	})
}

// enter takes a place at the host of an https destination. If there is none, the
// destination waits. At its limit it does not wait for a host that failed: a
// destination that was never tried has its one attempt then, and the failures of
// others end nobody's report (R17).
func (r *Reporter) enter(t *task, tally *Tally, g *target) bool {
	now := r.clock.mono()
	last := now >= t.limit && g.tries == 0
	wait, held := r.hosts.enter(g.host, now, last)
	switch {
	case wait == 0:
		return true
	case held && now >= t.limit:
		r.close(t, tally, g, g.err)
	case held:
		g.due = min(now+wait+r.jobs.chance(wait/2), max(t.limit, now+1))
	default:
		g.due = now + wait + r.jobs.chance(wait)
	}
	return false
}

// attempted notes what became of an attempt. One that was cut short by the end of
// ctx counts for nothing.
func (r *Reporter) attempted(ctx context.Context, t *task, tally *Tally, g *target, b *built, err error) {
	if err != nil && ctx.Err() != nil {
		return
	}
	g.tries++
	g.err = err
	r.jobs.count(func(s *ReporterStats) {
		s.Attempts++
		if err == nil {
			s.Accepted++
		}
	})
	d := delivery(t, tally, g)
	if b.report != nil {
		d.ID = b.report.ID
	}
	if err == nil {
		g.done = true
		r.delivered(d)
		return
	}
	now := r.clock.mono()
	next, ok := r.jobs.retry(g.tries, now, t.limit)
	if !ok || g.mailbox != "" && isPermanent(err) {
		g.done = true
		r.gaveUp(d, err)
		return
	}
	g.due = next
	r.failed(d, err, next-now)
}

// close ends the job of a destination without an attempt.
func (r *Reporter) close(t *task, tally *Tally, g *target, why error) {
	g.done, g.err = true, why
	r.gaveUp(delivery(t, tally, g), why)
}

// isPermanent reports whether an error of Send says that there is no use in another
// try. Those of package net and of the system have a Temporary method, too, which is
// false for most: it means another thing, and comes with a Timeout method.
func isPermanent(err error) bool {
	var e interface{ Temporary() bool }
	if !errors.As(err, &e) {
		return false
	}
	_, system := e.(interface{ Timeout() bool })
	return !system && !e.Temporary()
}

// isUp reports whether a host is well: it gave an answer, of any kind. A 503 may
// be the answer to one path alone, and whoever publishes a record chooses the path:
// it must not keep the reports of others from a host that takes them.
func isUp(err error) bool {
	e, ok := errors.AsType[*PostError](err)
	return err == nil || ok && e.Status != 0
}

func delivery(t *task, tally *Tally, g *target) Delivery {
	d := Delivery{Domain: t.domain, Day: t.day.start, Sessions: tally.Sessions}
	if g != nil {
		d.RUA, d.Attempt = g.rua, g.tries
	}
	return d
}

func (r *Reporter) delivered(d Delivery) {
	r.logger.Debug("report delivered", "domain", d.Domain, "day", d.Day.Format(time.DateOnly), "rua", d.RUA, "attempt", d.Attempt)
	if r.trace.Delivered != nil {
		r.hook(func() { r.trace.Delivered(d) })
	}
}

func (r *Reporter) failed(d Delivery, err error, wait time.Duration) {
	r.logger.Debug("report not accepted, to be tried again", "domain", d.Domain, "rua", d.RUA, "attempt", d.Attempt, "wait", wait, "error", err)
	if r.trace.Failed != nil {
		next := r.clock.wall().Add(wait)
		r.hook(func() { r.trace.Failed(d, err, next) })
	}
}

func (r *Reporter) gaveUp(d Delivery, why error) {
	log := r.warn
	if why == ErrNotConnected || why == ErrUnwanted { // as it should be: nothing to do
		log = r.logger.Debug
	}
	log("report given up", "domain", d.Domain, "day", d.Day.Format(time.DateOnly), "rua", d.RUA, "error", why)
	if r.trace.GaveUp != nil {
		r.hook(func() { r.trace.GaveUp(d, why) })
	}
}

func (r *Reporter) recordChanged(t *task, was, now []string) {
	r.warn("the TLS-RPT record changed since the sessions; both get the report", "domain", t.domain)
	if r.trace.RecordChanged != nil {
		r.hook(func() { r.trace.RecordChanged(t.domain, t.day.start, was, now) })
	}
}

// hook calls one of the caller's, which may panic.
func (r *Reporter) hook(f func()) {
	if err := protect("a hook of Trace", func() error { f(); return nil }); err != nil {
		r.warn("a hook failed", "error", err)
	}
}

// warn logs what strangers can bring about, at a bounded rate (R16).
func (r *Reporter) warn(message string, attrs ...any) {
	suppressed, ok := r.warnings.allow(r.clock.mono())
	switch {
	case !ok:
		return
	case suppressed > 0:
		attrs = append(attrs, "suppressed", suppressed)
	}
	r.logger.Warn(message, attrs...)
}
