package collect

import (
	"math/rand/v2"
	"time"

	"github.com/strictmx/strictmx/tlsrpt"
)

const (
	// settling is how long a day stays open after its end. A session belongs to the
	// day in which it was judged, and is observed right then; half an hour leaves
	// room for an Observer in between that batches, and for clocks that disagree.
	settling = 30 * time.Minute
	// defaultJitter spreads the reports of all senders over the first four hours of
	// the day (RFC 8460, section 4.1).
	defaultJitter = 4 * time.Hour
	// staleAfter the end of its day a report is of no use (RFC 8460, section 5.5).
	staleAfter = 48 * time.Hour

	firstRetry   = 5 * time.Minute
	longestRetry = 4 * time.Hour
	retryFor     = 24 * time.Hour // from the first attempt on, RFC 8460, section 5.5
	// lookUpFor is how long a record that DNS does not give is asked for before the
	// one from the time of the sessions stands in (AMB-35).
	lookUpFor = time.Hour
	// longestNap is what a timer is trusted with: those of a machine that sleeps
	// stand still.
	longestNap = 10 * time.Minute
)

// endOf returns the first moment after the UTC day that t is in.
func endOf(t time.Time) time.Time { return tlsrpt.Day(t).Start.AddDate(0, 0, 1) }

// sealAt returns when no more sessions of a day are waited for. Nothing is sent
// before (RFC 8460, section 4.1).
func sealAt(day time.Time) time.Time { return endOf(day).Add(settling) }

// staleAt returns when what has not been sent of a day is given up.
func staleAt(day time.Time) time.Time { return endOf(day).Add(staleAfter) }

// misplaced reports whether a day is so far from now, in either direction, that
// only a clock that was wrong, or a machine that was down, explains it.
func misplaced(day, now time.Time) bool {
	return !now.Before(staleAt(day)) || tlsrpt.Day(day).Start.After(now.Add(staleAfter))
}

// spread returns how long the reports of a day, sealed now, are spread over. A day
// that is late has less time left; half of it is kept for second attempts.
func spread(jitter time.Duration, day, now time.Time) time.Duration {
	if jitter <= 0 {
		jitter = defaultJitter
	}
	return max(min(jitter, staleAt(day).Sub(now)/2), 1)
}

// patience returns how long a report that is first attempted now is tried for.
func patience(day, now time.Time) time.Duration {
	return min(retryFor, staleAt(day).Sub(now))
}

// backoff returns the wait after so many failed attempts, at least one.
func backoff(attempts int) time.Duration {
	wait := firstRetry
	for ; attempts > 1 && wait < longestRetry; attempts-- {
		wait *= 2
	}
	return min(wait, longestRetry)
}

// nextTry returns when to try again after so many failed attempts, a quarter
// earlier at most, so that those who failed together do not come back together.
// The last attempt is made at the limit, and none after.
func nextTry(attempts int, now, limit instant, rnd *rand.Rand) (next instant, ok bool) {
	if now >= limit {
		return 0, false
	}
	wait := backoff(attempts)
	wait -= time.Duration(rnd.Int64N(int64(wait / 4)))
	return min(now+wait, limit), true
}
