package collect

import (
	"context"
	"sync"
	"time"
)

// loop seals days that are over, and hands what is due to a bounded number of
// goroutines, until ctx ends.
func (r *Reporter) loop(ctx context.Context, running *sync.WaitGroup) {
	places := make(chan struct{}, atOnce)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for lookAt := instant(0); ctx.Err() == nil; {
		if now := r.clock.mono(); now >= lookAt {
			lookAt = now + r.look()
		}
		t, wait := r.jobs.next(r.clock.mono())
		if t == nil {
			timer.Reset(max(min(wait, lookAt-r.clock.mono()), 0))
			select {
			case <-ctx.Done():
			case <-timer.C:
			case <-r.jobs.wake:
			}
			continue
		}
		select {
		case <-ctx.Done():
			r.jobs.again(t)
			r.jobs.leave(t, r.clock.mono())
		case places <- struct{}{}:
			running.Go(func() {
				defer func() { <-places }()
				r.work(ctx, t)
				r.jobs.leave(t, r.clock.mono())
			})
		}
	}
}

// look seals the days that are over, drops those that are out of place, and
// returns how long nothing needs to be looked at.
func (r *Reporter) look() (wait time.Duration) {
	now, steady := r.time()
	wait = longestNap
	for _, day := range r.Collector.Days() {
		switch {
		case misplaced(day, now):
			if steady { // else it is the word of one clock against another's
				r.dropDay(day)
			}
		case now.Before(sealAt(day)):
			wait = min(wait, sealAt(day).Sub(now))
		case !r.jobs.isSealed(day):
			within := spread(r.Jitter, day, now)
			n := r.seal(day, within)
			r.logger.Info("a day is over; its reports are due", "day", day.Format(time.DateOnly), "domains", n, "within", within)
		}
	}
	return wait
}

// seal ends a day: from here on its counts stand still, and each of its reports
// has a time of its own. It returns how many reports there are.
func (r *Reporter) seal(day time.Time, within time.Duration) int {
	r.Collector.seal(day)
	domains := r.Collector.domains(day)
	r.jobs.seal(day, domains, r.clock.mono(), within)
	return len(domains)
}

// dropDay makes everything of a day due now, so that it is found to be out of
// place, told and forgotten.
func (r *Reporter) dropDay(day time.Time) {
	if !r.jobs.isSealed(day) {
		n := r.seal(day, 1)
		r.logger.Warn("the reports of a day too far from today are dropped", "day", day.Format(time.DateOnly), "domains", n)
		return
	}
	r.jobs.hurry(day, r.clock.mono())
}

// time returns the time of day to go by, and whether the clocks agree on it.
func (r *Reporter) time() (now time.Time, steady bool) {
	r.guardMu.Lock()
	was := r.guard.steady
	now, steady = r.guard.now(r.clock)
	r.guardMu.Unlock()
	if was && !steady {
		r.logger.Warn("the clock jumped, or the machine slept; a jump ahead is believed when it has lasted", "wait", settling)
	}
	return now, steady
}
