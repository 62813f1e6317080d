package main

import (
	"fmt"
	"math"
	"strconv"
)

// counts are sessions, or sums of them.
type counts struct{ Good, Bad int64 }

func (c *counts) add(other counts) {
	c.Good = sum(c.Good, other.Good)
	c.Bad = sum(c.Bad, other.Bad)
}

func (c counts) all() int64 { return sum(c.Good, c.Bad) }

// sum adds what reports count, and stays at the largest number rather than
// become a negative one.
func sum(a, b int64) int64 {
	a, b = max(a, 0), max(b, 0)
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// percent is the share of good sessions. It is cut, not rounded: 100 % means
// all of them.
func (c counts) percent() string {
	if c.Good <= 0 && c.Bad <= 0 {
		return "no sessions"
	}
	if c.Bad <= 0 {
		return "100 %"
	}
	share := float64(c.Good) / (float64(c.Good) + float64(c.Bad))
	return fmt.Sprintf("%.1f %%", math.Min(math.Floor(share*1000)/10, 99.9))
}

// group writes a count with commas. The largest number stands for all beyond.
func group(n int64) string {
	digits := strconv.FormatInt(n, 10)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	if n == math.MaxInt64 {
		return "at least " + digits
	}
	return digits
}

// brief is group for a column: what is very long is rounded.
func brief(n int64) string {
	switch {
	case n == math.MaxInt64:
		return "≥ " + short(float64(n))
	case n >= 1e9:
		return short(float64(n))
	}
	return group(n)
}

// short writes a count with few digits.
func short(n float64) string {
	units := []string{"", "k", "M", "G", "T", "P", "E"}
	i := 0
	for n >= 1000 && i < len(units)-1 {
		n, i = n/1000, i+1
	}
	return strconv.FormatFloat(n, 'g', 4, 64) + units[i]
}

// plural is "1 report" or "2 reports".
func plural[N int | int64](n N, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return group(int64(n)) + " " + word + "s"
}
