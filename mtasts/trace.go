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
	// Checked: DNS was asked for the record of domain. It has this id, or err says
	// why there is none: no record, several, a malformed one, or no answer.
	Checked func(domain, id string, err error)
	// Fetched: a GET ended.
	Fetched func(Fetch)
	// Changed: a fresh policy was replaced by one with another text. Weaker says
	// that it asks for less than the old one, or names other MX hosts.
	Changed func(old, new Result, weaker bool)
	// RenewalFailing: renewing a policy that asks for something failed three
	// times or more; Failure says why, and Expires until when there is time to
	// mend it (RFC 8461, section 10.2).
	RenewalFailing func(Result)
	// Evicted: a policy was dropped from memory to make room. Called under a
	// lock of the Client's.
	Evicted func(Result)
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

// hash identifies a policy's text in a log.
func (p *Policy) hash() string {
	sum := sha256.Sum256([]byte(p.text))
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
