package main

import (
	"fmt"
	"math"
	"strconv"
)

// The drawing of a chart, in its own units: about one to a pixel of a phone.
const (
	chartWidth  = 360.0
	chartHeight = 128.0
	chartLeft   = 34.0 // room for the numbers of the axis
	chartRight  = 2.0
	chartTop    = 10.0
	chartBottom = 20.0
	widestBar   = 26.0
	leastBar    = 2.0  // what is not zero is seen
	tickRoom    = 56.0 // between two dates
	chartFloor  = chartHeight - chartBottom
	chartScale  = chartFloor - chartTop
)

// chart is a picture of sessions by day: a bar each, the good ones with the bad
// ones on top. All is ready to print; none of it is a stranger's word.
type chart struct {
	Width, Height string
	Left, Right   string // of the plot
	Top, Base     string
	Label         string // where the numbers of the axis end
	Bars          []bar
	Lines         []mark // across, with numbers
	Ticks         []mark // dates
	Gaps          []mark // where reports are missing
	Says          string // the picture in words
}

type bar struct {
	X, Width        string
	GoodY, GoodHigh string // GoodHigh is "" where there are none
	BadY, BadHigh   string
	Says            string
}

type mark struct{ X, Y, Text, Anchor string }

// newChart draws what happened in each slot.
func newChart(a axis, slots []counts) chart {
	c := chart{Width: number(chartWidth), Height: number(chartHeight),
		Left: number(chartLeft), Right: number(chartWidth - chartRight), Label: number(chartLeft - 5),
		Top: number(chartTop), Base: number(chartFloor)}
	top := 1.0
	for _, s := range slots {
		top = max(top, float64(s.Good)+float64(s.Bad))
	}
	top = roundUp(top)
	c.Lines = lines(top)
	step := (chartWidth - chartLeft - chartRight) / float64(max(len(slots), 1))
	wide := min(step*0.74, widestBar)
	for i, s := range slots {
		middle := chartLeft + step*(float64(i)+0.5)
		if a.Slots[i].Missing > 0 {
			c.Gaps = append(c.Gaps, mark{X: number(middle), Text: a.row(i)})
			continue
		}
		if s != (counts{}) {
			c.Bars = append(c.Bars, newBar(middle-wide/2, wide, s, top, a.row(i)))
		}
	}
	c.Ticks = ticks(a, step)
	c.Says = says(a, slots)
	return c
}

func newBar(x, wide float64, s counts, top float64, day string) bar {
	b := bar{X: number(x), Width: number(wide), Says: day + ": " + goodAndBad(s)}
	y := chartFloor
	if s.Good > 0 {
		high := max(float64(s.Good)/top*chartScale, leastBar)
		y -= high
		b.GoodY, b.GoodHigh = number(y), number(high)
	}
	if s.Bad > 0 {
		high := max(float64(s.Bad)/top*chartScale, leastBar)
		b.BadY, b.BadHigh = number(y-high), number(high)
	}
	return b
}

// roundUp returns the next number with one digit that is easy to halve.
func roundUp(n float64) float64 {
	if n <= 1 {
		return 1
	}
	ten := math.Pow(10, math.Floor(math.Log10(n)))
	for _, m := range []float64{1, 2, 4, 6, 8} {
		if n <= m*ten {
			return m * ten
		}
	}
	return 10 * ten
}

// lines are at half and full height.
func lines(top float64) []mark {
	all := []mark{{Y: number(chartTop), Text: short(top)}}
	if top >= 2 {
		all = append(all, mark{Y: number(chartTop + chartScale/2), Text: short(top / 2)})
	}
	return all
}

// ticks are dates with room between them: the first, and those from there on
// which still leave room for the next.
func ticks(a axis, step float64) []mark {
	var all []mark
	next := 0.0
	for i, s := range a.Slots {
		middle := chartLeft + step*(float64(i)+0.5)
		t := mark{X: number(middle), Y: number(chartHeight - 6), Text: dayTime(s.day).Format(a.Unit.tick), Anchor: "middle"}
		switch {
		case middle < next || s.Missing > 0:
			continue
		case middle-chartLeft < tickRoom/2:
			t.X, t.Anchor = number(max(middle-widestBar/2, chartLeft)), "start"
		case middle+tickRoom/2 > chartWidth:
			t.X, t.Anchor = number(chartWidth-chartRight), "end"
		}
		all = append(all, t)
		next = middle + tickRoom
	}
	return all
}

// says puts the picture into words.
func says(a axis, slots []counts) string {
	var all counts
	shown, bad, worst := 0, 0, 0
	for i, s := range slots {
		if s == (counts{}) {
			continue
		}
		shown++
		all.add(s)
		if s.Bad > 0 {
			bad++
		}
		if s.Bad > slots[worst].Bad {
			worst = i
		}
	}
	text := fmt.Sprintf("%s: %s.", plural(shown, a.Unit.Word), goodAndBad(all))
	if bad > 0 {
		text += fmt.Sprintf(" Bad ones in %s of them, most in %s: %s.", group(int64(bad)), a.row(worst), group(slots[worst].Bad))
	}
	return text
}

func goodAndBad(c counts) string { return group(c.Good) + " good, " + group(c.Bad) + " bad" }

// number writes a coordinate.
func number(f float64) string {
	return strconv.FormatFloat(math.Round(f*10)/10, 'f', -1, 64)
}

// dates writes a span of days as people do.
func dates(days []int) string {
	if len(days) == 0 {
		return "no dates"
	}
	first, last := dayTime(days[0]), dayTime(days[len(days)-1])
	const full = "2 January 2006"
	switch {
	case first.Equal(last):
		return last.Format(full)
	case first.Year() != last.Year():
		return first.Format(full) + " to " + last.Format(full)
	case first.Month() != last.Month():
		return first.Format("2 January") + " to " + last.Format(full)
	}
	return first.Format("2") + " to " + last.Format(full)
}
