package mtasts

import (
	"crypto/sha256"
	"time"

	"github.com/strictmx/strictmx/internal/ablation"
)

// The times between looks. Every number is a default of the rules named.
const (
	minTXT     = time.Minute      // between id checks, R8
	maxTXT     = time.Hour        // an id is never believed for longer
	unknownTTL = 5 * time.Minute  // of a resolver that does not tell, R8
	minAbsence = 30 * time.Second // R2
	maxAbsence = 5 * time.Minute  // R2, I9
	minSilence = 15 * time.Second // after DNS did not answer, doubling, R8
	maxSilence = 5 * time.Minute

	backOff    = 5 * time.Minute // after a failed GET: RFC 8461, section 3.3; R3
	maxBackOff = time.Hour       // under a fresh policy
	standIn    = 5 * time.Minute // R8

	maxRenewal   = 24 * time.Hour // R1
	minRenewal   = 20 * time.Minute
	renewalShare = 3
)

// look is what discovery has seen of a domain, beside or instead of a policy.
// It is a value: a new look replaces an old one as a whole.
type look struct {
	id      string  // of the last valid record; "" when none was seen
	nextTXT instant // DNS is not asked before
	lastTXT instant // when DNS was last asked

	silent   bool  // DNS did not answer the last time
	silences uint8 // in a row

	failID   string // the id whose GET failed
	lastFail instant
	fails    uint8 // GETs for failID that failed, in a row
	misses   uint8 // GETs that failed since the last good one, whatever the id
	failure  *Error

	unread  bool // seen while it was not known what the Store holds
	undated bool // the age of the policy is not known: a GET is due

	noGET  instant  // no GET before: none was left of the domain's share
	begun  instant  // a Lookup started what was due
	record *Error   // what is amiss with the record while a policy is in force
	weaker *pending // a weaker policy that waits to be confirmed (R29)
}

// pending is a weaker policy that was served once, and under which id.
type pending struct {
	text [sha256.Size]byte
	id   string
	seen instant
}

// tell is the failure that a Result tells of.
func (l *look) tell() error {
	switch {
	case l.fails > 0 && l.failure != nil:
		return l.failure
	case l.record != nil:
		return l.record
	}
	return nil
}

// clampTTL bounds for how long an answer counts.
func clampTTL(ttl, low, high time.Duration) time.Duration {
	if ttl < 0 {
		ttl = unknownTTL
	}
	return min(max(ttl, low), high)
}

// silence is how long "DNS did not answer" is remembered (R8).
func silence(n uint8) time.Duration {
	return min(minSilence<<min(max(n, 1)-1, 10), maxSilence)
}

// backedOff says whether the GET for the record's id must wait although no
// policy protects: five minutes, however often it failed (R3).
func (l look) backedOff(now instant) bool {
	return l.failID == l.id && l.fails > 0 && now < l.lastFail+ablation.Kept(ablation.BackOff, backOff, maxBackOff)
}

// nextTXT is when the id is due to be looked at.
func (h *held) nextTXT() instant {
	return h.lookOf().nextTXT
}

// nextGET is when the policy is due to be fetched again (R1): in good time
// before it expires, whatever the record says, and at once when its id is new.
func (h *held) nextGET() instant {
	if h.state != nil {
		return max(h.dueGET(), h.state.noGET)
	}
	return h.dueGET()
}

func (h *held) dueGET() instant {
	l := h.lookOf()
	switch {
	case l.fails > 0 && l.failID == l.id:
		return h.retryGET(l)
	case l.weaker != nil && l.weaker.id == l.id:
		return min(l.weaker.seen+confirmAfter, h.expires())
	case l.id != h.id() || l.undated:
		return 0 // an id that was not tried yet
	}
	every := ablation.Kept(ablation.Renewal, min(maxRenewal, max(h.policy.MaxAge/renewalShare, minRenewal)), 2*h.policy.MaxAge)
	return h.fetched + every - every/10*instant(h.jitter)/256
}

// dueSoon says whether the GET is due within the time given; one that failed is
// never tried before its time, since there are only so many.
func (h *held) dueSoon(now instant, ahead time.Duration) bool {
	if h.lookOf().fails > 0 {
		ahead = 0
	}
	return h.nextGET() <= now+ahead
}

// retryGET is when a GET that failed is tried again (R1, R3).
func (h *held) retryGET(l look) instant {
	wait := min(backOff<<min(l.fails-1, 10), maxBackOff)
	if l.failID == h.id() { // a renewal
		wait = [...]time.Duration{10 * time.Minute, 30 * time.Minute, time.Hour}[min(l.fails, 3)-1]
	}
	// Towards the end of its life the tries come closer, so that whoever stops
	// blocking us before it ends does so in time (I4).
	left := (h.expires() - l.lastFail) / 2
	return l.lastFail + min(wait, ablation.Kept(ablation.RenewalAtEnd, max(left, time.Minute), wait))
}

// due is when a Lookup has something to start: an id check or a GET. What one
// started and no place was free for is started again by a later one.
func (h *held) due() instant {
	due := min(h.nextTXT(), h.nextGET())
	if h.state != nil && h.state.begun > 0 {
		due = max(due, h.state.begun+retryDue)
	}
	return due
}

// begin notes that what is due was started.
func (h *held) begin(now instant) {
	l := h.lookOf()
	l.begun = now
	h.state = &l
}
