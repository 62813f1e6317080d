package collect

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// R20: whatever the caller plugged in may panic, and costs one attempt.
func TestPanicsAreErrors(t *testing.T) {
	for _, c := range []struct {
		name string
		rua  string
		plug func(d *desk, panics func())
	}{
		{"Send", "mailto:tls@a.test", func(d *desk, panics func()) {
			d.r.Send = func(ctx context.Context, m Mail) error { panics(); return d.send(ctx, m) }
		}},
		{"Transport", "https://a.test/", func(d *desk, panics func()) {
			d.faults["a.test"] = func(*http.Request) (*http.Response, error) { panics(); return &http.Response{StatusCode: 200}, nil }
		}},
		{"Resolver", "https://a.test/", func(d *desk, panics func()) {
			d.r.Resolver = txtFunc(func(ctx context.Context, name string) ([]string, error) {
				panics()
				a, err := d.TXT(ctx, name)
				return a.Records, err
			})
		}},
		{"Trace", "https://a.test/", func(d *desk, panics func()) {
			was := *d.r.Trace
			d.r.Trace.Delivered = func(v Delivery) { was.Delivered(v); panics() }
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, d *desk) {
				n := 0
				c.plug(d, func() {
					if n++; n == 1 {
						panic("plugged in")
					}
				})
				d.publish("a.test", c.rua)
				d.sessions(1, "a.test")
				defer d.run()()
				until("2000-01-02T12:00:00Z")
				if rs := d.balance(); rs.Delivered != (Count{1, 1}) || n == 0 {
					t.Errorf("stats %+v", rs)
				}
			})
		})
	}
}

// A Send that never comes back has a minute, and its ctx says so.
func TestSendHasAMinute(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		var took time.Duration
		d.r.Send = func(ctx context.Context, m Mail) error {
			start := time.Now()
			<-ctx.Done()
			took = time.Since(start)
			return ctx.Err()
		}
		d.publish("a.test", "mailto:tls@a.test")
		d.sessions(1, "a.test")
		defer d.run()()
		until("2000-01-02T04:35:00Z")
		if rs := d.balance(); took != time.Minute || rs.Attempts == 0 || rs.Pending != 1 {
			t.Errorf("took %v, stats %+v", took, rs)
		}
	})
}

// A vendor that is down, or one that swallows connections on purpose, does not
// keep the reports of others waiting.
func TestASlowHostKeepsNobodyWaiting(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		d.r.PerHost = 1e6
		var posts, most, now atomic.Int32
		d.faults["tarpit.test"] = func(r *http.Request) (*http.Response, error) {
			posts.Add(1)
			most.Store(max(most.Load(), now.Add(1)))
			defer now.Add(-1)
			<-r.Context().Done()
			return nil, context.Cause(r.Context())
		}
		const n = 1000
		for i := range n {
			domain := fmt.Sprintf("d%d.test", i)
			if d.publish(domain, "https://tarpit.test/"); i%10 == 0 {
				d.publish(domain, "https://good.test/")
			}
			d.sessions(1, domain)
		}
		defer d.run()()
		until("2000-01-02T04:31:00Z")
		if got := len(d.accepted()); got != n/10 {
			t.Errorf("%d of %d reports to a good host went out in time", got, n/10)
		}
		if most.Load() > atOnceByOwner || posts.Load() > 100 {
			t.Errorf("%d POSTs to the bad one, %d at once", posts.Load(), most.Load())
		}
		// It comes back, and gets what is its.
		d.mu.Lock()
		d.faults["tarpit.test"] = nil
		d.mu.Unlock()
		until("2000-01-02T16:00:00Z")
		if got := len(d.accepted()); got != n {
			t.Errorf("%d of %d reports were accepted in the end", got, n)
		}
		d.balance()
	})
}

// A host that is down for good costs few attempts, and its reports are given up in
// time.
func TestAHostThatIsDownForGood(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		d.faults["down.test"] = func(*http.Request) (*http.Response, error) { return nil, errors.New("refused") }
		for i := range 100 {
			domain := fmt.Sprintf("d%d.test", i)
			d.publish(domain, "https://down.test/")
			d.sessions(1, domain)
		}
		defer d.run()()
		until("2000-01-04T01:00:00Z")
		rs := d.balance()
		if rs.GivenUp != (Count{100, 100}) || rs.Pending != 0 || rs.Attempts > 500 {
			t.Errorf("stats %+v", rs)
		}
	})
}

// I13, I19: whatever DNS and the receivers do, what was recorded is reported or
// shown, to the session, and no destination accepts a report twice.
func TestEveryReportIsAccountedFor(t *testing.T) {
	for seed := range uint64(5) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			bubble(t, func(t *testing.T, d *desk) { randomDays(t, d, rand.New(rand.NewPCG(seed, 1))) })
		})
	}
}

func randomDays(t *testing.T, d *desk, rnd *rand.Rand) {
	var mu sync.Mutex
	draw := func(n int) int {
		mu.Lock()
		defer mu.Unlock()
		return rnd.IntN(n)
	}
	pick := func(of ...string) string { return of[draw(len(of))] }
	d.r.PerMailbox, d.r.PerHost, d.r.seed = 5, 8, rnd.Uint64()
	d.r.Send = func(ctx context.Context, m Mail) error {
		if draw(3) == 0 {
			return errors.New("queue is full")
		}
		return d.send(ctx, m)
	}
	for i := range 8 {
		d.faults[fmt.Sprintf("h%d.test", i)] = func(r *http.Request) (*http.Response, error) {
			switch draw(4) {
			case 0:
				return nil, errors.New("refused")
			case 1:
				return &http.Response{StatusCode: 500 - draw(300)}, nil
			}
			return &http.Response{StatusCode: 200}, nil
		}
	}
	rua := func() string {
		return strings.NewReplacer("#", fmt.Sprint(draw(8))).Replace(
			pick("https://h#.test/", "mailto:tls@m#.test", "https://h#.test/,mailto:tls@m#.test", silence, "", "ftp://x.test/"))
	}
	stop := d.run()
	for range 4 * 24 {
		domain := fmt.Sprintf("d%d.test", draw(30))
		d.publish(fmt.Sprintf("d%d.test", draw(30)), rua())
		d.sessions(1+draw(9), domain)
		if draw(20) == 0 {
			d.r.Suppress(fmt.Sprintf("tls@m%d.test", draw(8)))
		}
		if draw(10) == 0 { // the process ends and begins again, with all it knows
			stop()
			stop = d.run()
		}
		time.Sleep(time.Duration(draw(int(2 * time.Hour))))
	}
	time.Sleep(4 * 24 * time.Hour)
	stop()
	rs, cs := d.balance(), d.c.Stats()
	if cs.Held != 0 || rs.Pending != 0 || rs.Delivered.Reports == 0 {
		t.Errorf("four days later: %+v, %+v", rs, cs)
	}
	// What receivers got is what was delivered.
	got := make(map[string]int64)
	for _, s := range d.got() {
		got[s.about()] = s.report.Policies[0].Summary.Successful
	}
	var sessions uint64
	for _, n := range got {
		sessions += uint64(n)
	}
	if sessions != rs.Delivered.Sessions || len(got) != int(rs.Delivered.Reports) {
		t.Errorf("receivers got %d sessions in %d reports; delivered %+v", sessions, len(got), rs.Delivered)
	}
}

// What is wrong with our own report is not held against its host.
func TestAReportThatCannotBeMade(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		d.r.Jitter = time.Nanosecond
		for i := range 20 {
			d.publish(fmt.Sprintf("d%d", i), "https://vendor.test/") // one label: no report can be about it
			d.sessions(1, fmt.Sprintf("d%d", i))
		}
		d.publish("good.test", "https://vendor.test/")
		d.sessions(1, "good.test")
		defer d.run()()
		until("2000-01-02T00:31:00Z")
		expect(t, "accepted", d.accepted(), "https://vendor.test/ good.test 2000-01-01")
		until("2000-01-04T00:00:00Z")
		if rs := d.balance(); rs.GivenUp != (Count{20, 20}) {
			t.Errorf("stats %+v", rs)
		}
	})
}

// R16: whoever owns a thousand domains does not fill the log.
func TestTheLogIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		var log bytes.Buffer
		d.r.Logger = slog.New(slog.NewTextHandler(&log, nil))
		d.r.Send, d.r.Jitter = nil, time.Nanosecond
		for i := range 1000 {
			domain := fmt.Sprintf("d%d.test", i)
			d.publish(domain, "mailto:tls@"+domain)
			d.sessions(1, domain)
		}
		defer d.run()()
		until("2000-01-02T02:00:00Z")
		d.publish("last.test", "mailto:tls@last.test")
		d.sessions(1, "last.test")
		until("2000-01-03T02:00:00Z")
		lines := strings.Split(strings.TrimSpace(log.String()), "\n")
		if len(lines) < 20 || len(lines) > 30 {
			t.Errorf("%d lines", len(lines))
		}
		if last := lines[len(lines)-1]; !strings.Contains(last, "domain=last.test") || !strings.Contains(last, "suppressed=980") {
			t.Errorf("the last one: %s", last)
		}
		if rs := d.balance(); rs.NoSend.Reports != 1001 {
			t.Errorf("stats %+v", rs)
		}
	})
}

// A Collector that is run by somebody else cannot be run by the Reporter, which
// says so and ends.
func TestCollectorThatRunsAlready(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- d.c.Run(ctx) }()
		time.Sleep(time.Second)
		if err := d.r.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "Collector is running already") {
			t.Errorf("Run = %v", err)
		}
		cancel()
		<-done
	})
}
