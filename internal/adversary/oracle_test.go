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
// library. From that it works out what must be known.
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
	if len(o.broken) < 3 || len(o.broken) < 30 && !slices.ContainsFunc(o.broken, func(b string) bool { return strings.HasPrefix(b, invariant+":") }) {
		o.broken = append(o.broken, invariant+": "+fmt.Sprintf(format, args...))
	}
	o.note("BROKEN "+invariant+": "+format, args...)
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
	return k != nil && (!o.s.small || k.end > o.flooded || o.protected(h))
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

// restarted begins a new Client, which knows nothing.
func (o *oracle) restarted() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.generation > 0 {
		o.lapses()
	}
	o.generation++
	o.started = o.now()
	o.domains = make(map[string]*history)
	clear(o.expected)
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

type txtQuery struct {
	domain     string
	generation int
}

func (o *oracle) askedTXT(domain string) txtQuery {
	o.mu.Lock()
	defer o.mu.Unlock()
	h, now := o.history(domain), o.now()
	o.stats.txts++
	h.asking++
	if h.asking > 1 {
		o.breach("I8", "%d queries for the record of %s in the air at once", h.asking, domain)
	}
	switch {
	case o.s.small || now-h.txtEnd >= o.leastTXT(h, now):
	case h.refreshing && now-h.refreshed >= 30*time.Second: // a Refresh looks once in 30 seconds, whoever else did (R7)
		h.refreshed = now
	default:
		o.breach("I8", "TXT of %s asked %v after the last answer", domain, now-h.txtEnd)
	}
	h.queries = append(h.queries, now)
	if n := len(h.queries); n > 45 && o.forgotten < now-5*time.Minute {
		if now-h.queries[n-46] < 5*time.Minute {
			o.breach("I8", "more than 45 TXT queries for %s within 5 minutes", domain)
		}
	}
	return txtQuery{domain, o.generation}
}

// leastTXT is the distance that queries keep (R8, R2, R7).
func (o *oracle) leastTXT(h *history, now time.Duration) time.Duration {
	switch {
	case h.silent:
		return 15 * time.Second
	case h.known().fresh(h.txtEnd) && h.known().fresh(now):
		return time.Minute
	}
	return 30 * time.Second
}

func (o *oracle) toldTXT(q txtQuery, r reply) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if q.generation != o.generation {
		return
	}
	h, now := o.history(q.domain), o.now()
	h.asking--
	h.txtEnd, h.silent = now, r.err != nil || r.panics
	held := h.known().fresh(now) && o.sure(h)
	switch {
	case r.panics:
		o.panicked, h.txtEnd, h.queries = now, long, nil
	case r.err != nil:
		h.silentAt = now
	case r.id != "":
		if r.id != h.id {
			h.failedID = ""
		}
		h.id = r.id
	case !held:
		h.failedID = ""
		h.absentAt, h.absentAs = now, min(max(r.TTL, 30*time.Second), 5*time.Minute)
		if r.Secure && len(r.Records) == 0 {
			h.ended = now
		}
		if o.lapsed(h, now) != nil && !o.s.small {
			h.absentAs = 30 * time.Second
		}
	}
	if q.domain == victim {
		o.note("TXT -> id %q, %d records, ttl %v, err %v", r.id, len(r.Records), r.TTL, r.err)
	}
}

func (o *oracle) askedGET(domain string) *get {
	o.mu.Lock()
	defer o.mu.Unlock()
	const bucket, every = 3, 5 * time.Minute
	h, now := o.history(domain), o.now()
	o.stats.gets++
	h.inAir++
	if h.inAir > 1 {
		o.breach("I8", "%d GETs for %s in the air at once", h.inAir, domain)
	}
	h.budget = max(h.budget, now) + every
	if h.budget-now > bucket*every {
		o.breach("I8", "GETs for %s: more than 3 and one every 5 minutes", domain)
	}
	if !h.known().fresh(now) && h.failedID == h.id && h.id != "" && now < h.failedAt+5*time.Minute && !o.s.small {
		o.breach("I8", "a GET for %s %v after one for the same id failed, and nothing protects", domain, now-h.failedAt)
	}
	return &get{domain: domain, generation: o.generation, start: now, id: h.id}
}

// toldGET ends a GET; f is what it brought, nil if nothing of use.
func (o *oracle) toldGET(g *get, f *facts) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if g.generation != o.generation || g.done {
		return
	}
	g.done = true
	h, now := o.history(g.domain), o.now()
	h.inAir--
	g.end = now
	if f == nil {
		h.failedAt, h.failedID = now, g.id
		if g.domain == victim {
			o.note("GET since %s -> failed", stamp(g.start))
		}
		return
	}
	if g.domain == victim {
		o.note("GET since %s -> %v", stamp(g.start), *f)
	}
	g.facts = *f
	h.failedID = ""
	if old := h.known(); old.fresh(now) && o.sure(h) && !old.facts.equal(*f) {
		o.expected[g.start] = f.weaker(old.facts)
	}
	if g.domain == victim {
		o.lapsesOf(h, now)
	}
	h.gets = append(h.gets, g)
}

// brokeGET ends a GET of which the library learned nothing, by our own fault.
func (o *oracle) brokeGET(g *get) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if g.generation == o.generation {
		o.history(g.domain).inAir--
		o.panicked = o.now()
	}
	g.done = true
}

// changed is the hook Trace.Changed.
func (o *oracle) changed(fetched time.Time, domain string, weaker bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	start := fetched.Sub(o.base)
	want, ok := o.expected[start]
	delete(o.expected, start)
	if ok && want != weaker {
		o.breach("I6", "Changed says weaker: %v, of the GET at %s", weaker, stamp(start))
	}
	if !ok && domain == victim && !o.s.small && o.forgotten < start {
		o.breach("I6", "Changed fired for the GET at %s, which changed nothing", stamp(start))
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
