package mtasts

import (
	"crypto/sha256"
	"encoding/hex"
	"sync"
	"time"
)

// Trace is a set of hooks, for metrics and logs of the caller's own. Any may be
// nil. They are called from several goroutines at once, outside of the path of
// answers from memory, and must not block or call the Client.
type Trace struct {
	// Checked: DNS was asked for a record.
	Checked func(Check)
	// Fetched: a GET ended.
	Fetched func(Fetch)
	// Changed: a fresh policy was replaced by one with another text. Weaker says
	// that it asks for less than the old one, or names other MX hosts.
	Changed func(old, new Result, weaker bool)
	// RenewalFailing: renewing a policy that asks for something failed three
	// times or more; Failure says why, and Expires until when there is time to
	// mend it (RFC 8461, section 10.2).
	RenewalFailing func(Result)
	// Evicted: a policy was dropped from memory to make room, or had none.
	Evicted func(Result)
}

// Check is one look at the record of a domain.
type Check struct {
	Domain string
	ID     string // of the record; "" where there is no valid one
	// Reason is "" for a valid record, else one of the reasons of package tlsrpt:
	// txt-missing, txt-multiple, txt-invalid or dns-failure.
	Reason string
	TTL    time.Duration // of the answer; negative: not known
	Err    error         // nil where ID is not ""
}

// Fetch is one GET of a policy.
type Fetch struct {
	Domain   string
	ID       string // of the record; "" where none was seen
	Start    time.Time
	Duration time.Duration
	Policy   *Policy // nil where Err is not
	Err      error   // an [*Error]
}

// hash identifies a policy in a log: by what it says and, as far as it is kept,
// how.
func (p *Policy) hash() string {
	sum := sha256.Sum256([]byte(p.String() + p.text))
	return hex.EncodeToString(sum[:8])
}

// limiter lets through a burst of 20 and then one a second.
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
