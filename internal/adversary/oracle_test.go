package adversary

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/strictmx/strictmx/mtasts"
	"github.com/strictmx/strictmx/tlsrpt"
)

// An oracle knows what the fake servers sent, and when, and nothing of the
// library. From that it works out what must be known. What it holds the library
// to are the invariants, and rules that show by themselves:
//
//	I1   under a policy in force nothing else is answered, and no mail goes to a host that it does
//	     not name or that does not prove itself, by whatever way
//	I2   where nothing is enforced no mail is held back for a policy
//	I3   what the owner publishes is in force ten minutes after the attacker left, and never for too long
//	I4   a policy lapses only if it could not be renewed for the last two thirds of its life
//	I5   a policy is never replaced by one that was fetched before it
//	I6   a policy comes from a GET of ours and nowhere else, and each change is told
//	I8   GETs and queries keep their distance
//	I9   no absence, failure or silence is believed for more than five minutes, nor one seen beside a policy
//	I10  a delivery that is not protected has one cause, the right one
//	I11  nothing that anyone can say is permanent under a policy in force
//	I12  overload and panics are errors, and only where they are deserved
//	I13  a session is told once, and truly
//	I15  all ends with Close: else the bubble does not
//	I16  junk pushes out no policy that was used on two days; it shows as I1 or I17
//	I17  what is in memory takes no time
//	I20  what was handed out never changes
//	R7 a Refresh takes ten seconds at most, R14 only proof counts as verified, R25 no Plan lives longer than
//	ten minutes, R30 what lapsed is told of, R34 no error looks like the end of a context that has not ended,
//	R35 nothing from before TLS is seen after it, R36 no retry in clear where TLS is asked for
type oracle struct {
	s    *schedule
	base time.Time // of the bubble

	mu         sync.Mutex // guards what follows
	trace      []line
	broken     []string // invariants
	generation int      // of the Client; what an old one asked for counts no more
	started    time.Duration
	flooded    time.Duration // until when junk may push out what is not protected
	forgotten  time.Duration
	quiet      time.Duration // since when nothing has changed, and nobody interferes
	wires      wires
	truth      truth
	good       []span // when a GET would have succeeded
	panicked   time.Duration
	domains    map[string]*history
	handed     map[*mtasts.Policy]string // values handed out, as they were
	expected   map[time.Duration]bool    // by the start of a GET: Changed must fire, and whether it says weaker
	hinted     bool                      // the last GET replaced a hint, which may have been in force
	told       []tlsrpt.Event
	stats      stats
}

// history is what one domain's servers saw.
type history struct {
	gets       []*get // that ended well, in order
	inAir      int
	budget     time.Duration // when the bucket of GETs is full again (R7)
	asking     int
	txtEnd     time.Duration // of the last query
	silent     bool          // which brought no answer
	queries    []time.Duration
	id         string        // in the last valid record
	refreshing bool          // a Refresh is on its way
	refreshed  time.Duration // when one last asked
	lookedUp   time.Duration
	judged     *get // the policy whose end was looked at
	day        int  // of the last use; uses count by day (R11)
	days       int

	absentAt time.Duration // the last denial while nothing was held
	absentAs time.Duration // and for how long it counts
	silentAt time.Duration
	failedAt time.Duration // the last GET that failed
	failedID string
	ended    time.Duration // the last denial that DNSSEC vouched for while nothing was held
}

// get is a GET. One that ended well is never changed again.
type get struct {
	domain     string
	generation int
	start, end time.Duration
	id         string // of the record when it began
	facts      facts
	done       bool
}

// span is a time during which the wire and the policy host were well.
type span struct{ from, to time.Duration }

const (
	long  = -1 << 62 // ago
	forth = 1 << 62
)

func (g *get) expires() time.Duration { return g.start + g.facts.maxAge }

// fresh: its policy holds (STS-84).
func (g *get) fresh(at time.Duration) bool { return g != nil && at <= g.expires() }

type line struct {
	at     time.Duration
	format string
	args   []any
}

// newOracle must be called in the bubble.
func newOracle(s *schedule) *oracle {
	return &oracle{
		s: s, base: time.Now(), domains: make(map[string]*history), flooded: long, forgotten: long, panicked: long,
		stats: newStats(), handed: make(map[*mtasts.Policy]string), expected: make(map[time.Duration]bool),
	}
}

func (o *oracle) now() time.Duration { return time.Since(o.base) }

// note adds a line to the trace; under the lock.
func (o *oracle) note(format string, args ...any) {
	o.trace = append(o.trace, line{o.now(), format, args})
}

// breach notes a broken invariant; under the lock.
func (o *oracle) breach(invariant, format string, args ...any) {
	if !o.broke(invariant) || len(o.broken) < 3 {
		o.broken = append(o.broken, invariant+": "+fmt.Sprintf(format, args...))
	}
	o.note("BROKEN "+invariant+": "+format, args...)
}

// broke reports whether an invariant was broken before.
func (o *oracle) broke(invariant string) bool {
	return slices.ContainsFunc(o.broken, func(b string) bool { return strings.HasPrefix(b, invariant+":") })
}

// printed is the trace; of a broken one only what led to it.
func (o *oracle) printed(whole bool) string {
	var b strings.Builder
	lines := o.trace
	if at := slices.IndexFunc(lines, func(l line) bool { return strings.HasPrefix(l.format, "BROKEN") }); at >= 0 && !whole {
		lines = lines[max(at-60, 0) : at+1]
	}
	for _, l := range lines {
		fmt.Fprintf(&b, "  %14s  %s\n", stamp(l.at), fmt.Sprintf(l.format, l.args...))
	}
	return b.String()
}

func stamp(d time.Duration) string {
	return fmt.Sprintf("%3dd %s", d/day, time.Time{}.Add(d%day).Format("15:04:05.000"))
}

func (o *oracle) history(domain string) *history {
	h := o.domains[domain]
	if h == nil {
		h = &history{absentAt: long, silentAt: long, failedAt: long, ended: long, txtEnd: long, refreshed: long, lookedUp: long, budget: long, day: -1}
		o.domains[domain] = h
	}
	return h
}

// known is the policy that the last GET brought.
func (h *history) known() *get {
	if len(h.gets) == 0 {
		return nil
	}
	return h.gets[len(h.gets)-1]
}

// sure reports whether what is known cannot have been pushed out of memory.
func (o *oracle) sure(h *history) bool {
	k := h.known()
	if o.hint(k) {
		return false
	}
	return k != nil && (!o.s.small || k.end > o.flooded || o.protected(h))
}

// hint: it was kept over a restart and enforces nothing, so that it waits for its
// owner's word.
func (o *oracle) hint(k *get) bool {
	return k != nil && k.generation != o.generation && k.facts.mode != mtasts.ModeEnforce
}

// protected: an enforce policy used on two days is not evicted for junk (I16).
func (o *oracle) protected(h *history) bool {
	return h.known().facts.mode == mtasts.ModeEnforce && h.days >= 2
}

func (o *oracle) published(t truth) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.truth = t
	o.restless()
}

func (o *oracle) wiresAre(w wires) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.wires = w
	o.restless()
}

// restless notes that something changed.
func (o *oracle) restless() {
	now := o.now()
	o.quiet = now
	well := o.truth.host == hostUp && (o.wires.https == httpsHonest || o.wires.https == httpsSlow)
	last := len(o.good) - 1
	switch open := last >= 0 && o.good[last].to == forth; {
	case well && !open:
		o.good = append(o.good, span{now, forth})
	case !well && open:
		o.good[last].to = now
	}
}

// restarted begins a new Client, which knows nothing but what its Store holds.
func (o *oracle) restarted() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.generation > 0 {
		o.lapses()
	}
	o.generation++
	o.started = o.now()
	old := o.domains[victim]
	o.domains = make(map[string]*history)
	clear(o.expected)
	if h := o.history(victim); o.s.stored && old != nil {
		h.gets, h.judged, h.lookedUp, h.ended = old.gets, old.judged, old.lookedUp, old.ended
		if k := h.known(); k != nil && k.facts.maxAge == 0 { // that is not kept (AMB-11)
			h.gets = nil
		}
	}
}

// forget is what Forget does: the budget stays, and what is on its way.
func (o *oracle) forget(domain string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.lapses()
	o.forgotten = o.now()
	h := o.history(domain)
	h.gets, h.days, h.day, h.txtEnd, h.failedID = nil, 0, -1, long, ""
	clear(o.expected)
}

// flood notes that junk comes in until then.
func (o *oracle) flood(until time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.flooded = max(o.flooded, until)
	o.quiet = max(o.quiet, until)
	if h := o.history(victim); h.known() != nil && !o.protected(h) {
		h.days = 0
	}
}

// lapsed is an enforce policy that expired in the last 30 days, while nothing
// authentic ended it (R30).
func (o *oracle) lapsed(h *history, now time.Duration) *get {
	k := h.known()
	if k == nil || k.fresh(now) || now-k.expires() > 30*day || h.ended > k.end || k.facts.mode == mtasts.ModeNone {
		return nil
	}
	return k
}

// lapses judges the policy that ends here without having been replaced.
func (o *oracle) lapses() { o.lapsesOf(o.history(victim), o.now()) }

// lapsesOf checks that a policy which expired before now could not have been
// renewed (I4): whoever lets us through for an hour is noticed, and towards the
// end of its life for half of what is left.
func (o *oracle) lapsesOf(h *history, now time.Duration) {
	k := h.known()
	const slack = 6 * time.Minute // one GET of the budget, and its way
	if k == nil || now <= k.expires() || k == h.judged {
		return
	}
	h.judged = k
	if k.facts.maxAge < time.Hour || !o.s.run || o.s.small || h.lookedUp < k.expires()-29*day {
		return // nobody promised to renew it
	}
	for _, g := range o.good {
		from := max(g.from, k.start+k.facts.maxAge/3)
		try := from + min(time.Hour, (k.expires()-from)/2) + slack
		if try <= min(g.to, k.expires()) {
			o.breach("I4", "the policy fetched at %s lapsed at %s, though a GET would have succeeded from %s on",
				stamp(k.start), stamp(k.expires()), stamp(from))
			return
		}
	}
}
