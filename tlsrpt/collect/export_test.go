package collect

import "time"

// What the tests from outside need to let a day pass.

// SetClock gives a Collector another wall clock, before its first use.
func (c *Collector) SetClock(wall func() time.Time) { c.clock = wall }

// SetClock gives a Reporter other clocks, before its first use.
func (r *Reporter) SetClock(wall func() time.Time, mono func() time.Duration) {
	r.clock = &clock{wall: wall, mono: mono}
}

// Wake lets Run look at the clock now, and returns when it has.
func (r *Reporter) Wake() {
	r.once.Do(r.start)
	for range 3 { // one in the channel, one that shows that it was taken, one that the loop went round
		r.jobs.wake <- struct{}{}
	}
}

// Idle reports whether nothing that is due is left to do.
func (r *Reporter) Idle() bool {
	r.jobs.mu.Lock()
	defer r.jobs.mu.Unlock()
	return len(r.jobs.queue) == int(r.jobs.stats.Pending) && (len(r.jobs.queue) == 0 || r.jobs.queue[0].due > r.clock.mono())
}
