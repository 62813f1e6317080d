package collect

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// ReporterStats says what became of every report, and of the sessions in it. A
// report is counted when all is done for it: until then its sessions are Held in
// the [Stats] of the Collector, and afterwards Released, which is the sum of the
// Sessions here.
type ReporterStats struct {
	// Pending are reports of sealed days for which there is still something to do.
	Pending uint64
	// Delivered: accepted by one destination at least (RFC 8460, section 3).
	Delivered Count
	// GivenUp: accepted by none within 24 hours, or refused for good; or DNS never
	// said where to.
	GivenUp Count
	// The rest were given up for a reason of their own; see the error of the same
	// name. Where several destinations had several, GivenUp comes first.
	OverCap, Suppressed, NoSend, Stale, NotConnected, Unwanted Count

	// Accepted counts reports by destination, and so do Overflow, the reports over
	// PerMailbox or PerHost. Attempts counts all attempts, the accepted ones too.
	Accepted, Overflow, Attempts uint64
}

// Count is a number of reports and of the sessions in them.
type Count struct{ Reports, Sessions uint64 }

// of returns where a report is counted that ended for this reason.
func (s *ReporterStats) of(why error) *Count {
	switch {
	case why == nil:
		return &s.Delivered
	case errors.Is(why, ErrOverCap):
		return &s.OverCap
	case errors.Is(why, ErrSuppressed):
		return &s.Suppressed
	case errors.Is(why, ErrNoSend):
		return &s.NoSend
	case errors.Is(why, ErrStale):
		return &s.Stale
	case errors.Is(why, ErrNotConnected):
		return &s.NotConnected
	case errors.Is(why, ErrUnwanted):
		return &s.Unwanted
	}
	return &s.GivenUp
}

// Stats returns what the Reporter did so far.
func (r *Reporter) Stats() ReporterStats {
	r.jobs.mu.Lock()
	defer r.jobs.mu.Unlock()
	return r.jobs.stats
}

// limiter lets through a burst of 20 and then one a second, so that whoever
// owns many domains does not fill the log.
type limiter struct {
	mu         sync.Mutex
	full       instant
	suppressed uint64
}

// allow reports whether one more may pass now, and how many did not since the
// last one that did.
func (l *limiter) allow(now instant) (suppressed uint64, ok bool) {
	const every, burst = time.Second, 20
	l.mu.Lock()
	defer l.mu.Unlock()
	l.full = max(l.full, now)
	if l.full+every-now > burst*every {
		l.suppressed++
		return 0, false
	}
	l.full += every
	suppressed, l.suppressed = l.suppressed, 0
	return suppressed, true
}

// calmHandler is the handler of the caller's Logger, whose panics end no more than
// the line (R20).
type calmHandler struct{ slog.Handler }

func (h calmHandler) Enabled(ctx context.Context, level slog.Level) (on bool) {
	_ = protect("the Logger", func() error { on = h.Handler.Enabled(ctx, level); return nil })
	return on
}

func (h calmHandler) Handle(ctx context.Context, line slog.Record) error {
	return protect("the Logger", func() error { return h.Handler.Handle(ctx, line) })
}
