package mtasts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strictmx/strictmx/resolver"
)

// world is DNS and a policy host in memory, for bubbles of fake time.
type world struct {
	mu      sync.Mutex
	domains map[string]*domain
	delay   time.Duration // of each answer
	inAir   int
	most    int // GETs at a time
}

type domain struct {
	txt    []string
	ttl    time.Duration
	secure bool
	dnsErr error

	status  int
	text    string
	header  http.Header
	httpErr error

	asked, got int
	asks, gets []time.Time
}

func newWorld() *world { return &world{domains: make(map[string]*domain)} }

// set changes a domain; the zero domain has no record and no policy host.
func (w *world) set(name string, change func(*domain)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change(w.at(name))
}

func (w *world) at(name string) *domain {
	d := w.domains[name]
	if d == nil {
		d = &domain{ttl: time.Minute}
		w.domains[name] = d
	}
	return d
}

func (w *world) counts(name string) (asked, got int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	d := w.at(name)
	return d.asked, d.got
}

// publish gives a domain a record and a policy.
func (w *world) publish(name, id, text string) {
	w.set(name, func(d *domain) {
		d.txt, d.dnsErr = []string{"v=STSv1; id=" + id}, nil
		d.status, d.text, d.httpErr = http.StatusOK, text, nil
	})
}

var errDown = errors.New("down")

func (w *world) TXT(ctx context.Context, name string) (resolver.Answer[string], error) {
	name, ok := strings.CutPrefix(name, "_mta-sts.")
	if !ok {
		panic("TXT asked at " + name)
	}
	w.mu.Lock()
	d := w.at(name)
	d.asked++
	d.asks = append(d.asks, time.Now())
	w.mu.Unlock()
	if err := w.sleep(ctx); err != nil {
		return resolver.Answer[string]{}, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return resolver.Answer[string]{Records: d.txt, TTL: d.ttl, Secure: d.secure, NXDomain: d.txt == nil}, d.dnsErr
}

func (w *world) RoundTrip(req *http.Request) (*http.Response, error) {
	name, ok := strings.CutPrefix(req.URL.Host, "mta-sts.")
	if !ok || req.URL.Scheme != "https" || req.URL.Path != "/.well-known/mta-sts.txt" || req.Method != http.MethodGet {
		panic("request for " + req.URL.String())
	}
	w.mu.Lock()
	d := w.at(name)
	d.got++
	d.gets = append(d.gets, time.Now())
	w.inAir++
	w.most = max(w.most, w.inAir)
	w.mu.Unlock()
	err := w.sleep(req.Context())
	w.mu.Lock()
	defer w.mu.Unlock()
	w.inAir--
	switch {
	case err != nil:
		return nil, err
	case d.httpErr != nil:
		return nil, d.httpErr
	}
	status := d.status
	if status == 0 {
		status = http.StatusNotFound
	}
	header := http.Header{"Content-Type": {"text/plain"}}
	if d.header != nil {
		header = d.header
	}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(d.text)), Request: req}, nil
}

func (w *world) sleep(ctx context.Context) error {
	w.mu.Lock()
	delay := w.delay
	w.mu.Unlock()
	if delay == 0 {
		return ctx.Err()
	}
	t := time.NewTimer(delay)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// text is a policy with one MX host.
func text(mode Mode, maxAge time.Duration, mx ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "version: STSv1\nmode: %s\n", mode)
	for _, mx := range mx {
		fmt.Fprintf(&b, "mx: %s\n", mx)
	}
	fmt.Fprintf(&b, "max_age: %d\n", int(maxAge/time.Second))
	return b.String()
}

const day = 24 * time.Hour

// bubble runs f with a Client in a world, in fake time, and closes it.
func bubble(t *testing.T, f func(t *testing.T, w *world, c *Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		c := &Client{Resolver: w, Transport: w}
		defer c.Close()
		f(t, w, c)
	})
}

func lookup(t *testing.T, c *Client, name string) Result {
	t.Helper()
	r, err := c.Lookup(t.Context(), name)
	if err != nil {
		t.Fatalf("Lookup(%q): %v", name, err)
	}
	synctest.Wait() // what it started in the background
	return r
}

func mode(r Result) Mode {
	if r.Policy == nil {
		return ""
	}
	return r.Policy.Mode
}

func wantMode(t *testing.T, r Result, want Mode) {
	t.Helper()
	if mode(r) != want {
		t.Fatalf("at %v: mode %q, want %q (%+v)", time.Now().UTC().Format("Jan 2 15:04:05"), mode(r), want, r)
	}
}

func wantReason(t *testing.T, r Result, want string) {
	t.Helper()
	e, _ := r.Failure.(*Error)
	got := ""
	if e != nil {
		got = string(e.Type) + "/" + e.Reason
	}
	if got != want {
		t.Fatalf("failure %q, want %q", got, want)
	}
}

func (w *world) want(t *testing.T, name string, asked, got int) {
	t.Helper()
	if a, g := w.counts(name); a != asked || g != got {
		t.Fatalf("at %v: %d TXT queries and %d GETs, want %d and %d", time.Now().UTC().Format("Jan 2 15:04:05"), a, g, asked, got)
	}
}

// install makes c hold a policy as though a GET had fetched it.
func install(t testing.TB, c *Client, name, id, text string, start instant) Result {
	t.Helper()
	h, err := newHeld(name, id, text, start)
	if err != nil {
		t.Fatal(err)
	}
	return c.notePolicy(h, look{id: id, lastTXT: start, nextTXT: start + maxTXT}, text)
}
