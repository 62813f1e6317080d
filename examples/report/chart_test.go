package main

import (
	"strconv"
	"testing"

	"github.com/strictmx/strictmx/tlsrpt"
)

func coordinate(t *testing.T, s string) float64 {
	t.Helper()
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// Every bar is inside of the picture, stands on the axis, is seen however
// little it stands for, and leaves its neighbours alone.
func TestBarsStayInThePicture(t *testing.T) {
	for _, n := range []int{1, 2, 14, 62, 400} {
		a := newAxis(daysFrom(dayOfDate(2026, 1, 1), n), pageSlots)
		for _, c := range []counts{{1, 0}, {0, 1}, {1, 1}, {1000000, 1}, {1, 1000000}, {tlsrpt.MaxCount, tlsrpt.MaxCount}, {1 << 62, 1 << 62}} {
			slots := make([]counts, len(a.Slots))
			for i := range slots {
				slots[i] = c
			}
			picture := newChart(a, slots)
			if len(picture.Bars) != len(slots) {
				t.Fatalf("%d bars of %d", len(picture.Bars), len(slots))
			}
			end := chartLeft - 0.1
			for _, b := range picture.Bars {
				x, wide := coordinate(t, b.X), coordinate(t, b.Width)
				if x < end || wide < 2 || x+wide > chartWidth-chartRight+0.1 {
					t.Errorf("%d bars, %+v: from %g to %g", n, c, x, x+wide)
				}
				end = x + wide
				checkHeight(t, b, c)
			}
		}
	}
}

func checkHeight(t *testing.T, b bar, c counts) {
	t.Helper()
	floor := chartFloor
	if (b.GoodHigh != "") != (c.Good > 0) || (b.BadHigh != "") != (c.Bad > 0) {
		t.Errorf("%+v is drawn as %+v", c, b)
	}
	for _, part := range [][2]string{{b.GoodY, b.GoodHigh}, {b.BadY, b.BadHigh}} {
		if part[1] == "" {
			continue
		}
		y, high := coordinate(t, part[0]), coordinate(t, part[1])
		if high < leastBar || y+high > floor+0.11 || y+high < floor-0.11 || y < chartTop-2*leastBar {
			t.Errorf("%+v: a part from %g to %g, on %g", c, y, y+high, floor)
		}
		floor = y
	}
}

func TestDatesUnderAChartHaveRoom(t *testing.T) {
	for _, n := range []int{1, 2, 3, 7, 14, 31, 62, 400, 3000, 9000} {
		a := newAxis(daysFrom(dayOfDate(2026, 1, 1), n), pageSlots)
		picture := newChart(a, make([]counts, len(a.Slots)))
		if len(picture.Ticks) == 0 {
			t.Errorf("%d days: no date", n)
		}
		last := -1000.0
		for _, tick := range picture.Ticks {
			x := coordinate(t, tick.X)
			if x-last < tickRoom/2 || x < chartLeft || x > chartWidth {
				t.Errorf("%d days: %q at %g, the one before at %g", n, tick.Text, x, last)
			}
			last = x
		}
	}
}

func TestAGapIsALineAndNoBar(t *testing.T) {
	day := dayOfDate(2026, 1, 1)
	days := map[int]counts{day: {1, 0}, day + 1: {}, day + 40: {2, 1}}
	a := newAxis([]int{day, day + 1, day + 40}, pageSlots)
	slots, _ := a.spread(days)
	picture := newChart(a, slots)
	if len(picture.Bars) != 2 || len(picture.Gaps) != 1 || picture.Gaps[0].Text != "38 days without a report" {
		t.Errorf("%d bars, gaps %+v", len(picture.Bars), picture.Gaps)
	}
	if want := "2 days: 3 good, 1 bad. Bad ones in 1 of them, most in 2026-02-10: 1."; picture.Says != want {
		t.Errorf("%q, want %q", picture.Says, want)
	}
}

func TestTheAxisIsRound(t *testing.T) {
	for n, want := range map[float64]float64{0: 1, 1: 1, 2: 2, 3: 4, 5: 6, 7: 8, 9: 10, 11: 20, 1518: 2000, 4001: 6000, 1.8e19: 2e19} {
		if got := roundUp(n); got != want {
			t.Errorf("%g becomes %g, want %g", n, got, want)
		}
	}
}

func TestSpansOfDays(t *testing.T) {
	for want, days := range map[string][]int{
		"no dates": nil, "2 March 2026": {dayOfDate(2026, 3, 2)},
		"2 to 15 March 2026":                 {dayOfDate(2026, 3, 2), dayOfDate(2026, 3, 15)},
		"28 February to 2 March 2026":        {dayOfDate(2026, 2, 28), dayOfDate(2026, 3, 2)},
		"31 December 2025 to 1 January 2026": {dayOfDate(2025, 12, 31), dayOfDate(2026, 1, 1)},
	} {
		if got := dates(days); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
