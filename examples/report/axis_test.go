package main

import (
	"testing"
	"time"
)

func dayOfDate(y, m, d int) int {
	return dayNumber(time.Date(y, time.Month(m), d, 0, 0, 0, 0, time.UTC))
}

func daysFrom(first, n int) []int {
	var days []int
	for i := range n {
		days = append(days, first+i)
	}
	return days
}

func TestAxisHasRoomForAnyDays(t *testing.T) {
	first := dayOfDate(2026, 1, 1) // a Thursday
	for _, c := range []struct {
		name     string
		days     []int
		slots    int
		word     string
		row, end string
	}{
		{"one day", daysFrom(first, 1), 1, "day", "2026-01-01", "2026-01-01"},
		{"as many days as there is room for", daysFrom(first, 62), 62, "day", "2026-01-01", "2026-03-03"},
		{"one more day makes weeks, from Monday", daysFrom(first, 63), 10, "week", "2025-12-29", "2026-03-02"},
		{"400 days", daysFrom(first, 400), 58, "week", "2025-12-29", "2027-02-01"},
		{"five years", daysFrom(first, 5*365), 60, "month", "2026-01", "2030-12"},
		{"ten years", daysFrom(first, 10*365), 10, "year", "2026", "2035"},
		{"a short gap is empty days", []int{first, first + 7}, 8, "day", "2026-01-01", "2026-01-08"},
		{"a long gap is one slot", []int{first, first + 8, first + 9}, 4, "day", "2026-01-01", "2026-01-10"},
		{"a date far off takes two slots", append([]int{dayOfDate(1, 1, 1)}, append(daysFrom(first, 10), dayOfDate(9999, 12, 31))...), 14, "day", "0001-01-01", "9999-12-31"},
	} {
		a := newAxis(c.days, 62)
		last := len(a.Slots) - 1
		if len(a.Slots) != c.slots || a.Unit.Word != c.word || a.row(0) != c.row || a.row(last) != c.end {
			t.Errorf("%s: %d slots of a %s, %s to %s", c.name, len(a.Slots), a.Unit.Word, a.row(0), a.row(last))
		}
		checkSpread(t, c.name, a, c.days)
	}
	if a := newAxis(nil, 62); len(a.Slots) != 0 || a.Unit.Word != "day" {
		t.Errorf("without days: %+v", a)
	}
}

// checkSpread proves that no count is lost or doubled, nor lands in a gap.
func checkSpread(t *testing.T, name string, a axis, days []int) {
	t.Helper()
	in := map[int]counts{undated: {Bad: 1}}
	for _, d := range days {
		in[d] = counts{1, 2}
	}
	slots, without := a.spread(in)
	var all counts
	for i, c := range slots {
		if a.Slots[i].Missing > 0 && c != (counts{}) {
			t.Errorf("%s: %+v in a gap", name, c)
		}
		all.add(c)
	}
	if n := int64(len(days)); all != (counts{n, 2 * n}) || without != (counts{Bad: 1}) {
		t.Errorf("%s: %+v and %+v of %d days", name, all, without, n)
	}
}

func TestMoreYearsThanRoom(t *testing.T) {
	var days []int
	for y := range 100 {
		days = append(days, dayOfDate(1000+y*20, 6, 1), dayOfDate(1001+y*20, 6, 1))
	}
	a := newAxis(days, 62)
	if len(a.Slots) != 62 || a.row(61) != "2981" || a.row(0) != "2580 and before" {
		t.Errorf("%d slots, %q to %q", len(a.Slots), a.row(0), a.row(len(a.Slots)-1))
	}
	checkSpread(t, "a thousand years", a, days)
}

func TestGapsSayHowLongTheyAre(t *testing.T) {
	a := newAxis([]int{dayOfDate(2026, 1, 1), dayOfDate(2026, 2, 1)}, 62)
	if len(a.Slots) != 3 || a.row(1) != "30 days without a report" {
		t.Errorf("%d slots, %q", len(a.Slots), a.row(1))
	}
}

func TestDaysBeforeTheEpoch(t *testing.T) {
	for _, date := range []time.Time{time.Date(1969, 12, 31, 23, 59, 59, 0, time.UTC), time.Date(1, 1, 1, 12, 0, 0, 0, time.UTC)} {
		if got := dayTime(dayNumber(date)); !got.Equal(date.Truncate(24 * time.Hour)) {
			t.Errorf("%v is in day %v", date, got)
		}
	}
}
