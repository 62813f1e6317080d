package collect

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func utc(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		panic(err)
	}
	return t
}

// RPT-115, I19: a day is a UTC day, and it is over when it is over in UTC.
func TestWhenADayIsSealed(t *testing.T) {
	pacific := time.FixedZone("", 13*60*60)
	for _, c := range []struct {
		name          string
		day           time.Time
		sealed, stale string
	}{
		{"half an hour after midnight, two days more", utc("2024-05-01T00:00:00Z"), "2024-05-02T00:30:00Z", "2024-05-04T00:00:00Z"},
		{"any moment stands for its day", utc("2024-05-01T23:59:59Z"), "2024-05-02T00:30:00Z", "2024-05-04T00:00:00Z"},
		{"where it is tomorrow already, the day is UTC's", time.Date(2024, 5, 2, 12, 0, 0, 0, pacific), "2024-05-02T00:30:00Z", "2024-05-04T00:00:00Z"},
		{"a leap day is a day", utc("2024-02-29T12:00:00Z"), "2024-03-01T00:30:00Z", "2024-03-03T00:00:00Z"},
		{"the last of a year", utc("2024-12-31T12:00:00Z"), "2025-01-01T00:30:00Z", "2025-01-03T00:00:00Z"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := sealAt(c.day); !got.Equal(utc(c.sealed)) {
				t.Errorf("sealed at %v, want %s", got, c.sealed)
			}
			if got := staleAt(c.day); !got.Equal(utc(c.stale)) {
				t.Errorf("stale at %v, want %s", got, c.stale)
			}
		})
	}
}

// RPT-120: what is more than two days over is dropped, and so is the far future.
func TestMisplaced(t *testing.T) {
	day := utc("2024-05-10T00:00:00Z")
	for now, want := range map[string]bool{
		"2024-05-07T23:59:59Z": true,
		"2024-05-08T00:00:00Z": false,
		"2024-05-10T12:00:00Z": false,
		"2024-05-12T23:59:59Z": false,
		"2024-05-13T00:00:00Z": true,
	} {
		if got := misplaced(day, utc(now)); got != want {
			t.Errorf("at %s: %v, want %v", now, got, want)
		}
	}
}

// RPT-114: reports are spread over four hours, or over half of what is left.
func TestSpread(t *testing.T) {
	day := utc("2024-05-01T00:00:00Z")
	for _, c := range []struct {
		jitter time.Duration
		now    string
		want   time.Duration
	}{
		{0, "2024-05-02T00:30:00Z", 4 * time.Hour},
		{time.Hour, "2024-05-02T00:30:00Z", time.Hour},
		{100 * time.Hour, "2024-05-02T00:00:00Z", 24 * time.Hour},
		{0, "2024-05-03T22:00:00Z", time.Hour},
		{0, "2024-05-05T00:00:00Z", 1}, // there is nothing left; what is to be dropped has no time to lose
	} {
		if got := spread(c.jitter, day, utc(c.now)); got != c.want {
			t.Errorf("spread(%v) at %s = %v, want %v", c.jitter, c.now, got, c.want)
		}
	}
}

// RPT-113: retries come at growing gaps, and end 24 hours after the first attempt.
func TestRetries(t *testing.T) {
	for seed := range uint64(100) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		limit := instant(retryFor)
		var gaps []time.Duration
		now := instant(0)
		for attempts := 1; ; attempts++ {
			next, ok := nextTry(attempts, now, limit, rnd)
			if !ok {
				break
			}
			gap := next - now
			if full := backoff(attempts); gap > full || gap < full*3/4 && next != limit {
				t.Fatalf("after %d attempts a gap of %v, want %v or a quarter less", attempts, gap, full)
			}
			gaps = append(gaps, gap)
			now = next
		}
		if now != limit {
			t.Errorf("the last attempt was at %v, want at 24 h", now)
		}
		if n := len(gaps); n < 10 || n > 14 {
			t.Errorf("%d retries: %v", n, gaps)
		}
		if last := gaps[:6]; !slices.IsSorted(last) {
			t.Errorf("gaps do not grow: %v", last)
		}
	}
	for attempts, want := range map[int]time.Duration{1: 5 * time.Minute, 2: 10 * time.Minute, 6: 160 * time.Minute, 7: 4 * time.Hour, 1000: 4 * time.Hour} {
		if got := backoff(attempts); got != want {
			t.Errorf("backoff(%d) = %v, want %v", attempts, got, want)
		}
	}
}

// A report that is first tried late has less than 24 hours.
func TestPatience(t *testing.T) {
	day := utc("2024-05-01T00:00:00Z")
	for now, want := range map[string]time.Duration{
		"2024-05-02T00:30:00Z": 24 * time.Hour,
		"2024-05-03T00:00:00Z": 24 * time.Hour,
		"2024-05-03T23:00:00Z": time.Hour,
	} {
		if got := patience(day, utc(now)); got != want {
			t.Errorf("at %s: %v, want %v", now, got, want)
		}
	}
}
