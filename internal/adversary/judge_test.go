package adversary

import (
	"context"
	"errors"
	"time"

	"github.com/strictmx/strictmx/mtasts"
)

// question is what was known when the library was asked.
type question struct {
	at, deadline time.Duration
	known        *get
	count        int // of GETs that ended well
	sure         bool
	generation   int
	refresh      bool
	lifted       bool // not knowing holds nothing back: an error is as good as "indeterminate"
}

func (o *oracle) ask(deadline time.Duration) question {
	o.mu.Lock()
	defer o.mu.Unlock()
	h := o.history(victim)
	o.lapses()
	h.lookedUp = o.now()
	return question{at: o.now(), deadline: deadline, known: h.known(), count: len(h.gets), sure: o.sure(h), generation: o.generation}
}

func (o *oracle) askRefresh() question {
	q := o.ask(forth)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.history(victim).refreshing = true
	q.refresh = true
	return q
}

// covered reports whether a policy was held from the question to now. Then
// nothing hides it.
func (q question) covered(h *history, now time.Duration) bool {
	if !q.known.fresh(q.at) || !q.sure {
		return false
	}
	switch k := h.known(); len(h.gets) - q.count {
	case 0:
		return k == q.known && k.fresh(now)
	case 1:
		return k.end <= q.known.expires() && k.fresh(now)
	}
	return false
}

// judge checks an answer.
func (o *oracle) judge(q question, r mtasts.Result, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now, h := o.now(), o.history(victim)
	o.stats.answers++
	if q.refresh {
		h.refreshing = false
	}
	if q.generation != o.generation {
		return // it was closed meanwhile
	}
	covered := q.covered(h, now)
	if covered && !q.refresh && now != q.at {
		o.breach("I17", "Lookup took %v with a policy in memory", now-q.at)
	}
	if q.refresh && now > q.at+10*time.Second {
		o.breach("R7", "Refresh took %v", now-q.at)
	}
	if q.lifted && r.Indeterminate {
		return
	}
	if err != nil {
		o.note("asked at %s: error %v", stamp(q.at), err)
		o.judgeError(q, h, covered, err)
		return
	}
	o.note("asked at %s: %v", stamp(q.at), shown{r})
	o.stats.causes[r.Cause()]++
	o.used(q, h, covered)
	if r.Policy != nil {
		o.judgePolicy(q, h, covered, r)
	} else {
		o.judgeAbsence(q, h, covered, r)
	}
	if k := o.lapsed(h, now); r.Policy == nil && (r.Lapsed == nil) != (k == nil) && o.sure(h) && q.known == k && k != nil && k.facts.mode == mtasts.ModeEnforce {
		o.breach("R30", "the policy that lapsed at %s is not told of", stamp(k.expires()))
	}
	if r.Lapsed != nil {
		o.keep(r.Lapsed)
	}
	if errors.Is(r.Failure, context.DeadlineExceeded) || errors.Is(r.Failure, context.Canceled) {
		o.breach("R34", "a failure looks like the end of the caller's own context")
	}
	o.judgeRecovery(q, h, r)
}

// used counts the days on which a policy was used.
func (o *oracle) used(q question, h *history, covered bool) {
	switch day := int(q.at / day); {
	case !covered:
		h.days, h.day = 0, -1
	case !q.refresh && day != h.day:
		h.day = day
		h.days++
	}
}

func (o *oracle) judgeError(q question, h *history, covered bool, err error) {
	now := o.now()
	switch {
	case covered:
		o.breach("I1", "an error, although a policy is in force: %v", err)
	case errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled):
		if now < q.deadline {
			o.breach("R34", "%v, although the caller had time left", err)
		}
	case errors.Is(err, mtasts.ErrBusy):
		if !q.refresh && !o.excused(h, q.at) && !o.s.small { // a Refresh does not wait for long
			o.breach("I12", "%v, although the domain did nothing to deserve it", err)
		}
	case o.panicked >= q.at:
	default:
		o.breach("I12", "%v", err)
	}
}

// excused reports whether the budget of GETs may be spent while nothing that came
// of it is remembered: after Forget, a panic, or a denial that came later.
func (o *oracle) excused(h *history, now time.Duration) bool {
	lost := max(o.forgotten, o.panicked, h.absentAt)
	return h.budget-now > 10*time.Minute && lost > now-15*time.Minute
}

func (o *oracle) judgePolicy(q question, h *history, covered bool, r mtasts.Result) {
	now := o.now()
	o.keep(r.Policy)
	start := r.Fetched.Sub(o.base)
	var g *get
	for i := len(h.gets) - 1; i >= 0 && g == nil; i-- {
		if h.gets[i].start == start {
			g = h.gets[i]
		}
	}
	switch {
	case g == nil:
		if q.at > o.forgotten {
			o.breach("I6", "a policy that no GET at %s brought", stamp(start))
		}
		return
	case !g.facts.are(r.Policy):
		o.breach("I6", "the GET at %s brought %v, not %v", stamp(start), g.facts, r.Policy)
	case q.known != nil && g.start < q.known.start:
		o.breach("I5", "the GET at %s, although one at %s is known", stamp(g.start), stamp(q.known.start))
	case covered && len(h.gets) == q.count && g != q.known:
		o.breach("I1", "the GET at %s, although the policy in force is of %s", stamp(g.start), stamp(q.known.start))
	case !g.fresh(now) && g.end < q.at && now-g.start > 5*time.Minute: // R8
		o.breach("I3", "a policy that expired %v ago", now-g.expires())
	case r.Expires.Sub(o.base) != g.expires():
		o.breach("I3", "Expires is %s, not %s", stamp(r.Expires.Sub(o.base)), stamp(g.expires()))
	}
}

// judgeAbsence checks that an answer without a policy is a fact that was seen
// lately (I9, I10, I12).
func (o *oracle) judgeAbsence(q question, h *history, covered bool, r mtasts.Result) {
	if covered {
		o.breach("I1", "cause %q, although the policy fetched at %s is in force", r.Cause(), stamp(q.known.start))
		return
	}
	const forget = 5 * time.Minute
	since := func(at, within time.Duration) bool { return at+within+time.Millisecond >= q.at }
	switch {
	case r.Indeterminate && r.Failure != nil:
		o.breach("I10", "both indeterminate and failed")
	case r.Indeterminate:
		if !since(h.silentAt, forget) {
			o.breach("I9", "indeterminate, although DNS was last silent at %s", stamp(h.silentAt))
		}
	case r.Failure != nil:
		if !since(h.failedAt, forget) {
			o.breach("I9", "failed, although a GET last failed at %s", stamp(h.failedAt))
		}
	case !since(h.absentAt, h.absentAs):
		o.breach("I9", "absent, although that was last said at %s, for %v", stamp(h.absentAt), h.absentAs)
	}
}

// judgeRecovery checks that what the owner publishes is in force once nobody
// interferes any more.
func (o *oracle) judgeRecovery(q question, h *history, r mtasts.Result) {
	if !o.wires.honest() || !o.truth.published() {
		return
	}
	right := r.Policy != nil && o.truth.policy.are(r.Policy)
	calm := q.at - o.quiet
	switch {
	case right:
	case !q.known.fresh(q.at) && calm >= 10*time.Minute:
		o.breach("I3", "cause %q after %v of calm", r.Cause(), calm)
	case o.s.run && calm >= 26*time.Hour:
		o.breach("I3", "an old policy after %v of calm", calm)
	}
}

// keep remembers a value that was handed out.
func (o *oracle) keep(p *mtasts.Policy) {
	if _, ok := o.handed[p]; !ok {
		o.handed[p] = p.String()
	}
}

// settle is called when nothing is on its way any more.
func (o *oracle) settle() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for start, weaker := range o.expected {
		if h := o.history(victim); o.sure(h) || !weaker {
			o.breach("I6", "the GET at %s changed the policy (weaker: %v), and nobody was told", stamp(start), weaker)
		}
	}
	clear(o.expected)
}

// finish is called at the end.
func (o *oracle) finish() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.lapses()
	for p, was := range o.handed {
		if p.String() != was {
			o.breach("I20", "a policy changed after it was handed out")
		}
	}
	o.stats.hours = o.now().Hours()
}

// shown prints a Result in the trace.
type shown struct{ r mtasts.Result }

func (s shown) String() string {
	if s.r.Policy == nil {
		return "cause " + string(s.r.Cause())
	}
	return string(s.r.Policy.Mode) + " fetched " + s.r.Fetched.Format("02 15:04:05.000")
}
