package collect

import "time"

// instant is a moment as the time since the Reporter's first use, by the
// monotonic clock, which no step of the wall clock moves (R23).
type instant = time.Duration

// clock is where a Reporter reads the time: what the wall says, and how long it
// has been running. The two part when somebody sets the clock, and when the
// machine sleeps, as monotonic time then stands still.
type clock struct {
	wall func() time.Time
	mono func() instant
}

func newClock() *clock {
	base := time.Now()
	return &clock{
		wall: func() time.Time { return time.Now().Round(0) },
		mono: func() instant { return time.Since(base) },
	}
}

// slack is how far the two clocks may part between two readings without being
// said to have: the wall clock is slewed, and leaps by a second.
const slack = time.Minute

// guard reads the wall clock with suspicion. A day is over when a careful person
// would say so: a clock that was set back is believed at once, one that is ahead
// of what has passed only when it has been so for a while. Guard is not safe for
// concurrent use.
type guard struct {
	started bool
	origin  time.Time // wall time at instant 0, as believed
	ahead   time.Time // wall time at instant 0, as claimed by a clock that jumped ahead; zero: none did
	since   instant   // when that, or a step back, was seen
	steady  bool      // no step within the settling time
}

// now returns the time of day to go by, never later than what the wall says, and
// whether both clocks have agreed for a while. A day may be sealed by the one,
// and is given up only if the other holds as well.
func (g *guard) now(c *clock) (now time.Time, steady bool) {
	wall, mono := c.wall().UTC(), c.mono()
	origin := wall.Add(-mono)
	step := origin.Sub(g.origin)
	switch {
	case !g.started:
		g.started, g.steady, g.origin = true, true, origin
	case step < -slack: // set back: nothing may be early
		g.origin, g.ahead, g.since, g.steady = origin, time.Time{}, mono, false
	case step <= slack: // as ever
		g.origin, g.ahead = origin, time.Time{}
		g.steady = g.steady || mono-g.since >= settling
	case g.ahead.IsZero() || origin.Sub(g.ahead).Abs() > slack: // ahead, and not as before
		g.ahead, g.since, g.steady = origin, mono, false
	case mono-g.since >= settling: // ahead for long enough to be believed
		g.origin, g.ahead, g.steady = origin, time.Time{}, true
	}
	return earlier(wall, g.origin.Add(mono)), g.steady
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
