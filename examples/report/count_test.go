package main

import (
	"math"
	"testing"

	"github.com/strictmx/strictmx/tlsrpt"
)

func TestSumsStayAtTheLargestNumber(t *testing.T) {
	c := counts{}
	for range 2000 {
		c.add(counts{tlsrpt.MaxCount, 1})
	}
	if c.Good != math.MaxInt64 || c.Bad != 2000 || c.all() != math.MaxInt64 {
		t.Errorf("%+v, together %d", c, c.all())
	}
	if got := sum(-5, 3); got != 3 {
		t.Errorf("a negative count made it %d", got)
	}
	if got, want := group(c.Good), "at least 9,223,372,036,854,775,807"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestNumbersForPeople(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 7: "7", 999: "999", 1000: "1,000", 1234567: "1,234,567", tlsrpt.MaxCount: "9,007,199,254,740,991"} {
		if got := group(n); got != want {
			t.Errorf("%d is %s, want %s", n, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0", 999999999: "999,999,999", 1e9: "1G", tlsrpt.MaxCount: "9.007P", math.MaxInt64: "≥ 9.223E"} {
		if got := brief(n); got != want {
			t.Errorf("in a column %d is %s, want %s", n, got, want)
		}
	}
	for n, want := range map[float64]string{0.5: "0.5", 800: "800", 1000: "1k", 1500: "1.5k", 2e6: "2M", 8e18: "8E", 2e19: "20E"} {
		if got := short(n); got != want {
			t.Errorf("%g is %s, want %s", n, got, want)
		}
	}
	for c, want := range map[counts]string{
		{}: "no sessions", {5, 0}: "100 %", {0, 5}: "0.0 %", {1, 1}: "50.0 %", {999999, 1}: "99.9 %", {2, 1}: "66.6 %",
		{math.MaxInt64, 1}: "99.9 %", {math.MaxInt64, math.MaxInt64}: "50.0 %",
	} {
		if got := c.percent(); got != want {
			t.Errorf("%+v is %s, want %s", c, got, want)
		}
	}
	if plural(1, "day") != "1 day" || plural(0, "day") != "0 days" || plural(int64(1200), "day") != "1,200 days" {
		t.Error("plural")
	}
}
