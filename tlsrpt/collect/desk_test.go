package collect

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strictmx/strictmx/resolver"
	"github.com/strictmx/strictmx/tlsrpt"
)

// desk is a Reporter with everything around it that tests want to turn: DNS,
// receivers, the caller's queue, and both clocks. It lives in a synctest bubble,
// where it is midnight, 2000-01-01, and takes events for real.
type desk struct {
	t *testing.T
	c *Collector
	r *Reporter

	mu      sync.Mutex
	records map[string]string // TXT by domain; errSilence: DNS does not answer
	faults  map[string]func(*http.Request) (*http.Response, error)
	mailing error    // of Send
	sent    []sent   // what was accepted
	tried   []sent   // what was offered
	told    []string // what the hooks said
	step    time.Duration
}

// sent is one report at one destination.
type sent struct {
	to     string // the URL, or the mailbox
	at     time.Time
	body   string // gzipped
	report tlsrpt.Report
}

const silence = "no answer"

var us = tlsrpt.Submitter{Organization: "Sender Example", Contact: "tls@sender.example"}

func newDesk(t *testing.T) *desk {
	d := &desk{t: t, records: make(map[string]string), faults: make(map[string]func(*http.Request) (*http.Response, error))}
	d.c = &Collector{clock: d.wall, Resolver: d}
	d.r = &Reporter{
		Collector: d.c, Submitter: us, Resolver: d, Send: d.send, Transport: d, seed: 1,
		Trace: &Trace{
			Delivered: func(v Delivery) { d.tell("delivered", v, nil) },
			Failed:    func(v Delivery, err error, next time.Time) { d.tell("failed", v, err) },
			GaveUp:    func(v Delivery, err error) { d.tell("gave up", v, err) },
			RecordChanged: func(domain string, day time.Time, was, now []string) {
				d.tell("changed", Delivery{Domain: domain}, nil)
			},
		},
	}
	base := time.Now()
	d.r.clock = &clock{wall: d.wall, mono: func() instant { return time.Since(base) }}
	return d
}

// wall is the time of day by the machine's clock, which somebody may have set.
func (d *desk) wall() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return time.Now().Round(0).Add(d.step)
}

// set moves the wall clock from what it says now.
func (d *desk) set(by time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.step += by
}

func (d *desk) TXT(_ context.Context, name string) (resolver.Answer[string], error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	txt := d.records[strings.TrimPrefix(name, "_smtp._tls.")]
	switch txt {
	case silence:
		return resolver.Answer[string]{}, &resolver.Error{}
	case "":
		return resolver.Answer[string]{NXDomain: true}, nil
	}
	return resolver.Answer[string]{Records: []string{txt}}, nil
}

// publish sets the record of a domain.
func (d *desk) publish(domain string, rua ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.records[domain] = "v=TLSRPTv1; rua=" + strings.Join(rua, ",")
	if len(rua) == 1 && (rua[0] == silence || rua[0] == "") {
		d.records[domain] = rua[0]
	}
}

// RoundTrip is every receiver on the web. A host takes what it gets, unless it has a fault.
func (d *desk) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	fault := d.faults[req.URL.Host]
	d.mu.Unlock()
	got := d.read(req.URL.String(), body)
	resp := &http.Response{StatusCode: http.StatusOK}
	if fault != nil {
		resp, err = fault(req)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tried = append(d.tried, got)
	if err != nil {
		return nil, err
	}
	if resp.Body == nil {
		resp.Body = http.NoBody
	}
	if resp.StatusCode/100 == 2 {
		d.sent = append(d.sent, got)
	}
	return resp, nil
}

// send is the caller's queue.
func (d *desk) send(_ context.Context, m Mail) error {
	body, err := m.Report.Gzip()
	if err != nil {
		return err
	}
	got := d.read(m.To, body)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tried = append(d.tried, got)
	if d.mailing != nil {
		return d.mailing
	}
	d.sent = append(d.sent, got)
	return nil
}

func (d *desk) read(to string, body []byte) sent {
	got := sent{to: to, at: time.Now(), body: string(body)}
	z, err := gzip.NewReader(bytes.NewReader(body))
	if err == nil {
		err = json.NewDecoder(z).Decode(&struct {
			ID *string `json:"report-id"`
			*tlsrpt.Report
		}{&got.report.ID, &got.report})
	}
	if err != nil {
		d.t.Errorf("a report that cannot be read: %v", err)
	}
	return got
}

func (d *desk) tell(what string, v Delivery, err error) {
	text := what + " " + v.Domain
	if v.RUA != "" {
		text += " " + v.RUA
	}
	if err != nil {
		text += ": " + err.Error()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.told = append(d.told, text)
}

// sessions counts good sessions with each domain now, by the wall clock.
func (d *desk) sessions(n int, domains ...string) {
	for _, domain := range domains {
		e := session(domain, enforce(domain))
		e.Time = d.wall()
		for range n {
			d.c.Observe(e)
		}
	}
}

// run runs the Reporter until stop is called, which waits for its end.
func (d *desk) run() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- d.r.Run(ctx) }()
	return func() {
		d.t.Helper()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			d.t.Errorf("Run = %v, want ctx's error", err)
		}
	}
}

// got, offered and heard are what was accepted, what was tried, and what the
// hooks said so far.
func (d *desk) got() []sent     { return copied(d, &d.sent) }
func (d *desk) offered() []sent { return copied(d, &d.tried) }
func (d *desk) heard() []string { return copied(d, &d.told) }

func copied[T any](d *desk, list *[]T) []T {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(*list)
}

// accepted lists "destination domain" of what was accepted, sorted.
func (d *desk) accepted() []string {
	var out []string
	for _, s := range d.got() {
		out = append(out, s.to+" "+s.about())
	}
	slices.Sort(out)
	return out
}

// about names the domain and the day of a report.
func (s sent) about() string {
	domain := ""
	if len(s.report.Policies) > 0 {
		domain = s.report.Policies[0].Policy.Domain
	}
	return domain + " " + s.report.Range.Start.Format(time.DateOnly)
}

// balance fails the test unless every session is accounted for (I13): what the
// Collector is rid of is in the Reporter's sums, and nothing was accepted twice
// by one destination (I19).
func (d *desk) balance() ReporterStats {
	d.t.Helper()
	cs, rs := sum(d.t, d.c), d.r.Stats()
	var sessions uint64
	for _, c := range []Count{rs.Delivered, rs.GivenUp, rs.OverCap, rs.Suppressed, rs.NoSend, rs.Stale, rs.NotConnected, rs.Unwanted} {
		sessions += c.Sessions
	}
	if sessions != cs.Released {
		d.t.Errorf("%d sessions in %+v, and %d released by %+v", sessions, rs, cs.Released, cs)
	}
	if all := d.accepted(); len(slices.Compact(slices.Clone(all))) != len(all) {
		d.t.Errorf("accepted twice: %q", all)
	}
	return rs
}

// bubble runs a test in fake time.
func bubble(t *testing.T, f func(t *testing.T, d *desk)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, newDesk(t)) })
}

// status is a fault: a reply.
func status(code int) func(*http.Request) (*http.Response, error) {
	return func(*http.Request) (*http.Response, error) { return &http.Response{StatusCode: code}, nil }
}

// until sleeps to a moment of the bubble's time, by the monotonic clock.
func until(s string) { time.Sleep(time.Until(utc(s))); synctest.Wait() }

func expect(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

var (
	zeroIP      netip.Addr
	policyFetch = tlsrpt.Failure{Type: tlsrpt.STSPolicyFetchError, Reason: tlsrpt.ReasonTimeout}
)
