package collect

import (
	"testing"
	"time"
)

// R23: what the guard makes of a clock, a reading at a time.
func TestGuard(t *testing.T) {
	const h = time.Hour
	start := utc("2024-05-01T12:00:00Z")
	type reading struct {
		mono, wall time.Duration // since the first; what the two clocks say
		want       time.Duration // what is believed
		steady     bool
	}
	for _, c := range []struct {
		name     string
		readings []reading
	}{
		{"a good clock is believed", []reading{{0, 0, 0, true}, {h, h, h, true}, {100 * h, 100 * h, 100 * h, true}}},
		{"one that is slewed is followed", []reading{
			{0, 0, 0, true}, {h, h + 50*time.Second, h + 50*time.Second, true}, {2 * h, 2*h + 100*time.Second, 2*h + 100*time.Second, true}}},
		{"set back an hour: believed at once, for nothing may be early", []reading{
			{0, 0, 0, true}, {h, 0, 0, false}, {h + 29*time.Minute, 29 * time.Minute, 29 * time.Minute, false}, {h + 30*time.Minute, 30 * time.Minute, 30 * time.Minute, true}}},
		{"forth a year and back: nobody noticed", []reading{
			{0, 0, 0, true}, {h, 8760 * h, h, false}, {h + 10*time.Minute, 8760*h + 10*time.Minute, h + 10*time.Minute, false},
			{h + 20*time.Minute, h + 20*time.Minute, h + 20*time.Minute, false}, {2 * h, 2 * h, 2 * h, true}}},
		{"a sleep of three days: believed when it has lasted", []reading{
			{0, 0, 0, true}, {h, 73 * h, h, false}, {h + 29*time.Minute, 73*h + 29*time.Minute, h + 29*time.Minute, false}, {h + 30*time.Minute, 73*h + 30*time.Minute, 73*h + 30*time.Minute, true}}},
		{"a clock that jumps again has to last again", []reading{
			{0, 0, 0, true}, {h, 10 * h, h, false}, {h + 20*time.Minute, 50 * h, h + 20*time.Minute, false}, {h + 40*time.Minute, 50*h + 20*time.Minute, h + 40*time.Minute, false},
			{h + 50*time.Minute, 50*h + 30*time.Minute, 50*h + 30*time.Minute, true}}},
		{"one that fell behind while it was ahead", []reading{
			{0, 0, 0, true}, {h, 10 * h, h, false}, {2 * h, 0, 0, false}, {3 * h, h, h, true}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var now reading
			clk := &clock{wall: func() time.Time { return start.Add(now.wall) }, mono: func() instant { return 7*h + now.mono }}
			var g guard
			for i, r := range c.readings {
				now = r
				got, steady := g.now(clk)
				if got := got.Sub(start); got != r.want || steady != r.steady {
					t.Errorf("reading %d: %v after the start, steady %v; want %v, %v", i, got, steady, r.want, r.steady)
				}
			}
		})
	}
}

func TestClockIsTheMachines(t *testing.T) {
	c := newClock()
	if away := time.Since(c.wall()).Abs(); away > time.Minute {
		t.Errorf("the wall clock is %v off", away)
	}
	if a, b := c.mono(), c.mono(); a < 0 || b < a {
		t.Errorf("monotonic time went from %v to %v", a, b)
	}
}
