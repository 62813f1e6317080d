package mtasts

import (
	"sync/atomic"
	"time"
)

// instant is a moment as the time since the Client's first use, by the
// monotonic clock: a wall clock that steps makes no policy immortal and ends
// none before its time (R23).
type instant = time.Duration

// clock is the Client's. Reading it costs as much as a map or two, so a reading
// serves for a little while: a timer, armed with the reading, ends that while.
type clock struct {
	base time.Time
	// coarse is grain after a reading that is younger than that, so not before
	// now; or 0. Where the timer is late it may be before now by as much.
	coarse atomic.Int64
	timer  *time.Timer
}

const grain = 20 * time.Millisecond

func newClock() *clock {
	c := &clock{base: time.Now()}
	c.timer = time.AfterFunc(time.Hour, func() { c.coarse.Store(0) })
	c.timer.Stop()
	return c
}

func (c *clock) now() instant { return time.Since(c.base) }

func (c *clock) wall(i instant) time.Time { return c.base.Add(i) }

// stamp is what the wall clock showed at i, and at is the instant of a stamp: by
// what the wall clock shows now, since that of a machine which has just started is
// often set a little later. They are for what outlives the process, and for
// nothing else (R23).
func (c *clock) stamp(i instant) time.Time {
	now := time.Now()
	return now.Round(0).Add(i - now.Sub(c.base))
}

func (c *clock) at(stamp time.Time) instant {
	now := time.Now()
	return now.Sub(c.base) - now.Round(0).Sub(stamp.Round(0))
}

// latest returns a moment that is not before now, but for a late timer, and less
// than grain after it, if one is at hand.
func (c *clock) latest() (instant, bool) {
	i := c.coarse.Load()
	return instant(i), i != 0
}

// remember makes the reading now serve for a while.
func (c *clock) remember(now instant) {
	if c.coarse.Load() == 0 && c.coarse.CompareAndSwap(0, int64(now+grain)) {
		c.timer.Reset(grain)
	}
}

func (c *clock) stop() { c.timer.Stop() }
