package adversary

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/strictmx/strictmx/resolver"
)

var (
	errServfail = errors.New("SERVFAIL")
	errReset    = errors.New("connection reset by peer")
)

// world is everything beyond the wires. It tells the oracle what it sent.
type world struct {
	*oracle
	mu      sync.Mutex // guards what follows
	dice    dice
	truth   truth
	version int // of the id
	stale   facts
	signed  bool
	wires   wires

	mx2      chain // what the second MX host shows, by the owner's own fault
	mx2NoTLS bool
	servers  sync.WaitGroup
}

func newWorld(s *schedule, o *oracle) *world {
	w := &world{oracle: o, dice: newDice(s.seed, 1<<32), truth: s.truth, version: 1, stale: s.stale, signed: s.signed, mx2: s.mx2, mx2NoTLS: s.mx2NoTLS}
	o.published(w.truth)
	return w
}

// change publishes something else.
func (w *world) change(t truth, sameID bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.truth = t
	if !sameID {
		w.version++
	}
	w.published(t)
}

func (w *world) newID() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.version++
	w.published(w.truth)
}

func (w *world) setWires(to wires) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wires = to
	w.wiresAre(to)
}

// sleep waits like a packet on its way.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

const never = 100 * year

// reply is what DNS will say.
type reply struct {
	resolver.Answer[string]
	id     string // of the valid record in it; "": there is none
	err    error
	after  time.Duration
	panics bool
}

// TXT answers for every domain of the world.
func (w *world) TXT(ctx context.Context, name string) (resolver.Answer[string], error) {
	domain := strings.TrimPrefix(name, "_mta-sts.")
	q := w.askedTXT(domain)
	r := w.dns(domain)
	if err := sleep(ctx, r.after); err != nil {
		r = reply{err: err}
	}
	w.toldTXT(q, r)
	if r.panics {
		panic("the resolver breaks")
	}
	return r.Answer, r.err
}

func (w *world) dns(domain string) reply {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case domain == victim:
		return w.dnsOfVictim()
	case strings.HasPrefix(domain, "absent"):
		return absent(w.dice, 5*time.Minute)
	}
	return record(w.dice, "1", time.Hour)
}

func (w *world) dnsOfVictim() reply {
	d, strategy, ttl := w.dice, w.wires.dns, w.truth.ttl
	if strategy == dnsMixed {
		strategy = pick(d, dnsHonest, drawDNS(d))
	}
	id := fmt.Sprintf("v%d", w.version)
	forged := strategy == dnsDenied || strategy == dnsGarbled || strategy == dnsForged || strategy == dnsPredicted
	if w.signed && forged {
		strategy = dnsFailing // the resolver sees that it is forged
	}
	var r reply
	switch strategy {
	case dnsDenied:
		return absent(d, time.Hour)
	case dnsGarbled:
		r = absent(d, pick(d, 0, time.Hour))
		r.Records = pick(d, []string{"v=STSv1; id=a-b"}, []string{"v=STSv1; id=1", "v=STSv1; id=2"}, []string{"v=spf1 -all"})
		return r
	case dnsForged:
		return record(d, fmt.Sprintf("forged%d", d.IntN(1000)), pick(d, 0, 0, time.Hour))
	case dnsPredicted:
		return record(d, fmt.Sprintf("v%d", w.version+1), pick(d, 0, time.Hour))
	case dnsFailing:
		return reply{err: errServfail, after: latency(d)}
	case dnsSilent:
		return reply{after: never}
	case dnsPanics:
		return reply{after: latency(d), panics: true}
	}
	if r = record(d, id, ttl); !w.truth.record {
		r = absent(d, ttl)
	}
	r.Secure = w.signed
	if strategy == dnsSlow {
		r.after = d.between(2*time.Second, 8*time.Second)
	}
	return r
}

func latency(d dice) time.Duration { return d.between(time.Millisecond, 200*time.Millisecond) }

func record(d dice, id string, ttl time.Duration) reply {
	return reply{Answer: resolver.Answer[string]{Records: []string{"v=STSv1; id=" + id + ";"}, TTL: ttl}, id: id, after: latency(d)}
}

func absent(d dice, ttl time.Duration) reply {
	return reply{Answer: resolver.Answer[string]{NXDomain: true, TTL: ttl}, after: latency(d)}
}

// response is what a policy host will say.
type response struct {
	facts  *facts // nil: no valid policy
	status int
	text   string
	err    error
	after  time.Duration // until the headers
	body   time.Duration // and until the end of the body
	broken bool          // the body breaks off
	panics bool
}

// RoundTrip answers for every policy host of the world.
func (w *world) RoundTrip(req *http.Request) (*http.Response, error) {
	domain := strings.TrimPrefix(req.URL.Host, "mta-sts.")
	g := w.askedGET(domain)
	r := w.policyHost(domain)
	if err := sleep(req.Context(), r.after); err != nil {
		r = response{err: err}
	}
	switch {
	case r.panics:
		w.brokeGET(g)
		panic("the transport breaks")
	case r.err != nil:
		w.toldGET(g, nil)
		return nil, r.err
	}
	return &http.Response{
		StatusCode: r.status,
		Header:     http.Header{"Content-Type": {"text/plain"}},
		Body: &body{ctx: req.Context(), r: strings.NewReader(r.text), wait: r.body, broken: r.broken,
			failed: func() { w.toldGET(g, nil) },
			whole:  func() { w.toldGET(g, r.facts) }},
	}, nil
}

func (w *world) policyHost(domain string) response {
	w.mu.Lock()
	defer w.mu.Unlock()
	d := w.dice
	if domain != victim {
		f := facts{mode: "enforce", mx: []string{"mx.junk.example"}, maxAge: 7 * day}
		r := serve(d, f)
		if strings.HasPrefix(domain, "hog") {
			r.body = 25 * time.Second
		}
		return r
	}
	strategy := w.wires.https
	if strategy == httpsMixed {
		strategy = pick(d, httpsHonest, drawHTTPS(d))
	}
	r := w.honestHost(d)
	switch strategy {
	case httpsSlow:
		r.after = d.between(time.Second, 8*time.Second)
		r.body = d.between(0, 15*time.Second)
	case httpsCut:
		r.err = errReset
	case httpsReset:
		r.broken = true
	case httpsHeld:
		r.after = never
	case httpsDripped:
		r.body = never
	case httpsSteered:
		r = serve(d, w.stale)
	case httpsPanics:
		r.panics = true
	}
	return r
}

func (w *world) honestHost(d dice) response {
	switch w.truth.host {
	case hostMissing:
		return response{status: http.StatusNotFound, after: latency(d)}
	case hostInvalid:
		return response{status: http.StatusOK, text: "version: STSv1\nmode: enforced\n", after: latency(d)}
	}
	return serve(d, w.truth.policy)
}

func serve(d dice, f facts) response {
	return response{facts: &f, status: http.StatusOK, text: f.text(), after: latency(d)}
}

// body is a text on its way. Once it was read to its end, or will not be, it says so.
type body struct {
	ctx           context.Context
	r             *strings.Reader
	wait          time.Duration
	broken        bool
	whole, failed func()
}

func (b *body) Read(p []byte) (int, error) {
	if b.wait > 0 {
		if err := sleep(b.ctx, b.wait); err != nil {
			b.failed()
			return 0, err
		}
		b.wait = 0
	}
	if b.broken && int64(b.r.Len()) < b.r.Size()/2 {
		b.failed()
		return 0, io.ErrUnexpectedEOF
	}
	n, err := b.r.Read(p[:min(len(p), int(b.r.Size()/2)+1)])
	if err == io.EOF {
		b.whole()
	}
	return n, err
}

func (b *body) Close() error {
	b.failed()
	return nil
}
