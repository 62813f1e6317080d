package adversary

import (
	"time"
)

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
		o.hinted = o.hint(h.known())
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
	if !ok && domain == victim && !o.s.small && o.forgotten < start && !o.hinted {
		o.breach("I6", "Changed fired for the GET at %s, which changed nothing", stamp(start))
	}
}
