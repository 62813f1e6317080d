package collect

import (
	"cmp"
	"context"
	"net/url"
	"slices"
	"strings"

	"github.com/strictmx/strictmx/internal/dnsname"
	"github.com/strictmx/strictmx/tlsrpt"
)

// work does what is due for one report, and puts it back unless that was all.
// What is left undone since ctx ended was not tried.
func (r *Reporter) work(ctx context.Context, t *task) {
	now, steady := r.time()
	tally, ok := r.Collector.tally(t.day.start, t.domain)
	switch {
	case !ok: // the Collector learned that nobody asked for it
		r.finish(t, ErrUnwanted)
		return
	case steady && misplaced(t.day.start, now):
		r.abandon(t, &tally, ErrStale)
		return
	case now.Before(sealAt(t.day.start)): // the clock was set back since
		t.due = r.clock.mono() + longestNap
		r.jobs.again(t)
		return
	case !tally.Connected:
		r.abandon(t, &tally, ErrNotConnected)
		return
	}
	if !t.begun {
		t.begun, t.first = true, r.clock.mono()
		t.limit = t.first + patience(t.day.start, now)
	}
	if t.targets == nil && !r.findTargets(ctx, t, &tally) {
		return
	}
	r.deliver(ctx, t, &tally)
	r.settle(t)
}

// settle puts a report back until its next destination is due, or ends it.
func (r *Reporter) settle(t *task) {
	open := false
	for i := range t.targets {
		if g := &t.targets[i]; !g.done {
			if !open || g.due < t.due {
				t.due = g.due
			}
			open = true
		}
	}
	if open {
		r.jobs.again(t)
		return
	}
	r.finish(t, verdict(t.targets))
}

// verdict is what became of a report: nil if one destination accepted it, else the
// error that tells most.
func verdict(targets []target) error {
	var why error
	var s ReporterStats
	for i := range targets {
		err := targets[i].err
		if err == nil {
			return nil
		}
		if why == nil || s.of(why) != &s.GivenUp {
			why = err
		}
	}
	return why
}

// abandon gives up a report with all that is left of it.
func (r *Reporter) abandon(t *task, tally *Tally, why error) {
	if t.targets == nil {
		r.gaveUp(delivery(t, tally, nil), why)
		r.finish(t, why)
		return
	}
	for i := range t.targets {
		if g := &t.targets[i]; !g.done {
			r.close(t, tally, g, why)
		}
	}
	r.finish(t, verdict(t.targets))
}

// finish is the end of a report, for this reason or none.
func (r *Reporter) finish(t *task, why error) {
	r.jobs.end(t, why, r.Collector.drop(t.day.start, t.domain))
}

// findTargets asks DNS where a report goes to, and reports whether that is known
// now. If not, the task was put back or ended.
func (r *Reporter) findTargets(ctx context.Context, t *task, tally *Tally) bool {
	now, err := r.record(ctx, t.domain)
	if ctx.Err() != nil {
		r.jobs.again(t)
		return false
	}
	if err != nil {
		t.lookups++
		limit := t.limit
		if tally.RUA != nil {
			limit = min(limit, t.first+lookUpFor) // then the snapshot stands in (AMB-35)
		}
		if next, ok := r.jobs.retry(t.lookups, r.clock.mono(), limit); ok {
			t.due = next
			r.jobs.again(t)
			return false
		}
		if tally.RUA == nil {
			r.abandon(t, tally, err)
			return false
		}
		now = tally.RUA
	}
	both := union(tally.RUA, now)
	if len(both) == 0 {
		r.abandon(t, tally, ErrUnwanted)
		return false
	}
	if tally.RUA != nil && !sameSet(tally.RUA, now) {
		r.recordChanged(t, tally.RUA, now)
	}
	t.targets = make([]target, len(both))
	for i, rua := range both {
		t.targets[i] = r.target(t, tally, rua)
	}
	return true
}

func (r *Reporter) record(ctx context.Context, domain string) (rua []string, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, lookupTimeout, errTimeout)
	defer cancel()
	err = protect("the Resolver", func() error {
		rec, err := tlsrpt.Lookup(ctx, r.resolver, domain)
		rua = rec.RUA
		return err
	})
	return rua, err
}

// target makes the job of one destination; one that cannot be served is done at
// once.
func (r *Reporter) target(t *task, tally *Tally, rua string) target {
	g := target{rua: rua}
	if mailbox, ok := tlsrpt.Mailbox(rua); ok {
		g.mailbox = mailbox
		g.host = mailbox[strings.LastIndexByte(mailbox, '@')+1:]
	} else if u, err := url.Parse(rua); err == nil {
		g.host = u.Hostname()
	}
	switch {
	case g.mailbox != "" && r.Send == nil:
		r.close(t, tally, &g, ErrNoSend)
	case g.mailbox != "" && r.isSuppressed(g.mailbox):
		r.close(t, tally, &g, ErrSuppressed)
	case !r.unlimited(&g) && !r.jobs.admit(t, &g, cmp.Or(r.PerMailbox, defaultPerMailbox), cmp.Or(r.PerHost, defaultPerHost)):
		r.jobs.count(func(s *ReporterStats) { s.Overflow++ })
		r.close(t, tally, &g, ErrOverCap)
	}
	return g
}

// unlimited reports whether the operator lets a destination have any number.
func (r *Reporter) unlimited(g *target) (yes bool) {
	if r.Unlimited == nil {
		return false
	}
	if err := protect("Unlimited", func() error {
		mailbox := mailboxKey(g.mailbox)
		yes = mailbox != "" && (r.Unlimited(mailbox) || r.Unlimited(withoutTag(mailbox))) ||
			r.Unlimited(g.host) || r.Unlimited(dnsname.Parent(g.host))
		return nil
	}); err != nil {
		r.warn("Unlimited failed", "error", err)
	}
	return yes
}

// union is what either names, in order.
func union(a, b []string) []string {
	out := slices.Clone(a)
	for _, s := range b {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

func sameSet(a, b []string) bool { return len(union(a, b)) == len(a) && len(union(b, a)) == len(b) }
