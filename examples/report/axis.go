package main

import (
	"slices"
	"time"
)

const secondsOfDay = 24 * 60 * 60

// dayNumber is the UTC day of t, counted from 1970-01-01.
func dayNumber(t time.Time) int {
	s := t.Unix()
	if s < 0 {
		s -= secondsOfDay - 1
	}
	return int(s / secondsOfDay)
}

func dayTime(day int) time.Time { return time.Unix(int64(day)*secondsOfDay, 0).UTC() }

func isoDay(day int) string { return dayTime(day).Format(time.DateOnly) }

// unit is a step of time: days, or where they would be too many, weeks, months
// or years.
type unit struct {
	Word, Head string              // "week", and what a column of them is headed
	row, tick  string              // layouts for a table and for a chart
	index      func(day int) int   // the step that a day is in, counted without gaps
	start      func(index int) int // the first day of a step
}

var units = [...]unit{ // never changed
	{"day", "day", time.DateOnly, "2 Jan", func(d int) int { return d }, func(i int) int { return i }},
	{"week", "week from", time.DateOnly, "2 Jan", func(d int) int { return floorDiv(d+3, 7) }, func(i int) int { return i*7 - 3 }}, // Mondays
	{"month", "month", "2006-01", "Jan 2006", monthIndex, monthStart},
	{"year", "year", "2006", "2006", func(d int) int { return dayTime(d).Year() }, yearStart},
}

func monthIndex(day int) int {
	t := dayTime(day)
	return t.Year()*12 + int(t.Month()) - 1
}

func monthStart(index int) int {
	return dayNumber(time.Date(floorDiv(index, 12), time.Month(index-12*floorDiv(index, 12)+1), 1, 0, 0, 0, 0, time.UTC))
}

func yearStart(year int) int { return dayNumber(time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)) }

func floorDiv(a, b int) int {
	if a < 0 {
		a -= b - 1
	}
	return a / b
}

// axis is the time that reports cover, in slots for rows and bars.
type axis struct {
	Unit  unit
	Slots []slot
	place map[int]int // from the index of a step to its slot
}

// slot is one step, or a gap.
type slot struct {
	day     int  // the first
	Missing int  // > 0: a gap of so many steps, of which no report came
	Earlier bool // this step and all before
}

const maxEmpty = 6 // empty steps that are shown each; a longer gap is one slot

// newAxis lays out days, sorted and distinct, in at most limit slots. A gap takes
// one slot, so that one report with a date far off leaves the others their room.
func newAxis(days []int, limit int) axis {
	var a axis
	for _, u := range units {
		if a = layOut(u, days); len(a.Slots) <= limit {
			return a
		}
	}
	first := len(a.Slots) - limit // the rest is in one slot, before all others
	for i := range a.place {
		a.place[i] = max(a.place[i]-first, 0)
	}
	a.Slots = a.Slots[first:]
	a.Slots[0].Earlier, a.Slots[0].Missing = true, 0
	return a
}

func layOut(u unit, days []int) axis {
	a := axis{Unit: u, place: make(map[int]int)}
	last := 0
	for n, d := range days {
		i := u.index(d)
		if n > 0 && i == last {
			continue
		}
		if missing := i - last - 1; n > 0 && missing > maxEmpty {
			a.Slots = append(a.Slots, slot{day: u.start(last + 1), Missing: missing})
		} else if n > 0 {
			for j := last + 1; j < i; j++ {
				a.place[j] = len(a.Slots)
				a.Slots = append(a.Slots, slot{day: u.start(j)})
			}
		}
		a.place[i] = len(a.Slots)
		a.Slots = append(a.Slots, slot{day: u.start(i)})
		last = i
	}
	return a
}

// spread puts the counts of days into the slots; what has no date is apart.
func (a axis) spread(days map[int]counts) (slots []counts, without counts) {
	slots = make([]counts, len(a.Slots))
	for d, c := range days {
		if d == undated {
			without.add(c)
			continue
		}
		slots[a.place[a.Unit.index(d)]].add(c)
	}
	return slots, without
}

// row names a slot in a table.
func (a axis) row(i int) string {
	s := a.Slots[i]
	start := dayTime(s.day).Format(a.Unit.row)
	switch {
	case s.Missing > 0:
		return plural(s.Missing, a.Unit.Word) + " without a report"
	case s.Earlier:
		return start + " and before"
	}
	return start
}

// span says which days there are, first to last.
func span(days []int) string {
	switch len(days) {
	case 0:
		return "no dates"
	case 1:
		return isoDay(days[0])
	}
	return isoDay(slices.Min(days)) + " to " + isoDay(slices.Max(days))
}
