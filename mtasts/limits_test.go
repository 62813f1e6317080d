package mtasts

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/strictmx/strictmx/resolver"
)

func isContextError(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// hanging answers nothing until the request's context ends; with headers it
// sends them, and then a byte a second.
type hanging struct{ headers bool }

func (h *hanging) RoundTrip(req *http.Request) (*http.Response, error) {
	if !h.headers {
		<-req.Context().Done()
		return nil, req.Context().Err()
	}
	return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"text/plain"}}, Body: io.NopCloser(&drip{req.Context()})}, nil
}

type drip struct{ ctx context.Context }

func (d *drip) Read(p []byte) (int, error) {
	select {
	case <-time.After(time.Second):
		p[0] = 'v'
		return 1, nil
	case <-d.ctx.Done():
		return 0, d.ctx.Err()
	}
}

func TestABodyThatDripsEnds(t *testing.T) { // STS-47
	bubble(t, func(t *testing.T, w *world, c *Client) {
		w.publish("example.com", "1", "")
		c.Transport = &hanging{headers: true}
		began := time.Now()
		wantReason(t, lookup(t, c, "example.com"), "sts-policy-fetch-error/timeout")
		if took := time.Since(began); took != getTimeout {
			t.Errorf("took %v", took)
		}
	})
}

// R10: a thousand domains at once open a bounded number of connections, and one
// owner's domains only his share of them.
func TestPoolsBoundTheWork(t *testing.T) {
	for _, c := range []struct {
		name, format string
		most         int
	}{
		{"strangers", "d%d.example", getPlaces},
		{"one owner's", "d%d.evil.example", getPlaces / 16},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world, cl *Client) {
				w.delay = 10 * time.Millisecond
				var wg sync.WaitGroup
				for i := range 1000 {
					name := fmt.Sprintf(c.format, i)
					w.publish(name, "1", text(ModeEnforce, day, "mx.example.com"))
					wg.Go(func() {
						if r, err := cl.Lookup(t.Context(), name); err != nil || mode(r) != ModeEnforce {
							t.Errorf("%s: %+v, %v", name, r, err)
						}
					})
				}
				wg.Wait()
				if w.most != c.most {
					t.Errorf("%d GETs at a time, want %d", w.most, c.most)
				}
			})
		})
	}
}

// R10, I12: a full pool is an error, never "no policy".
func TestAFullPoolMeansTryLater(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, c *Client) {
		w.delay = 9 * time.Second
		var wg sync.WaitGroup
		var busy atomic.Int32
		for i := range 100 {
			wg.Go(func() {
				switch _, err := c.Lookup(t.Context(), fmt.Sprintf("d%d.evil.example", i)); {
				case errors.Is(err, ErrBusy):
					busy.Add(1)
				case err != nil:
					t.Error(err)
				}
			})
		}
		time.Sleep(time.Second)
		began := time.Now()
		if _, err := c.Lookup(t.Context(), "example.com"); err != nil { // others are not held up
			t.Error(err)
		}
		if took := time.Since(began); took != w.delay {
			t.Errorf("a stranger to the crowd waited %v", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		wg.Go(func() { c.Lookup(t.Context(), "x1.evil.example") })
		if _, err := c.Lookup(ctx, "x2.evil.example"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, want the caller's own error", err)
		}
		wg.Wait()
		if n := busy.Load(); n != 100-32 { // 16 at once, twice within the time a caller waits
			t.Errorf("%d of 100 were told to try later", n)
		}
	})
}

type resolverFunc func(context.Context, string) (resolver.Answer[string], error)

func (f resolverFunc) TXT(ctx context.Context, name string) (resolver.Answer[string], error) {
	return f(ctx, name)
}

// R20: a panic in a hook or a log handler holds nobody up.
func TestAPanicInAHookLocksNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		oops := func() { panic("oops") }
		c := &Client{Resolver: w, Transport: w, Capacity: 1, Trace: &Trace{
			Checked:        func(Check) { oops() },
			Fetched:        func(Fetch) { oops() },
			Changed:        func(_, _ Result, _ bool) { oops() },
			RenewalFailing: func(Result) { oops() },
			Evicted:        func(Result) { oops() },
		}}
		defer c.Close()
		for i := range 40 {
			name := fmt.Sprintf("d%d.example", i%4)
			w.publish(name, fmt.Sprint(i), text([]Mode{ModeEnforce, ModeNone}[i/8%2], day, "mx.example.com"))
			w.set(name, func(d *domain) { d.status = []int{200, 200, 200, 500}[i/4%4] })
			c.Lookup(t.Context(), name)
			c.Refresh(t.Context(), name)
			c.Stats()
			time.Sleep(10 * time.Minute)
		}
	})
}

// What is lost when memory is full is named in the log.
func TestTheLogNamesWhatIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		c := &Client{Resolver: newWorld(), Transport: newWorld(), Capacity: 16, Logger: slog.New(slog.NewJSONHandler(&log, nil))}
		defer c.Close()
		c.open()
		fill(t, c, 16, "e%d.example", ModeEnforce)
		for range 2 { // all protected, which is more than are kept so
			for i := range 16 {
				c.known(fmt.Sprintf("e%d.example", i))
			}
			time.Sleep(day)
		}
		if st := c.Stats(); st.Lost != 2 || !strings.Contains(log.String(), `"domain":"e`) {
			t.Errorf("%+v, %s", st, log.String())
		}
	})
}

// R20, I12: a panic is an error for all who wait.
func TestAPanicIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &Client{Resolver: resolverFunc(func(context.Context, string) (resolver.Answer[string], error) {
			time.Sleep(time.Second)
			panic("oops")
		})}
		defer c.Close()
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if r, err := c.Lookup(t.Context(), "example.com"); err == nil || strings.Contains(err.Error(), "oops") {
					t.Errorf("%+v, %v", r, err)
				}
			})
		}
		wg.Wait()
	})
}

// I15: Close ends and waits for all that runs; the bubble fails if it does not.
func TestCloseLeavesNothingRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		c := &Client{Resolver: w, Transport: &hanging{}}
		w.delay = time.Second
		w.publish("a.example", "1", "")
		w.publish("b.example", "1", "")
		run := make(chan error, 1)
		go func() { run <- c.Run(context.Background()) }()
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		go c.Lookup(ctx, "a.example")
		waiting := make(chan error, 1)
		go func() {
			_, err := c.Lookup(context.Background(), "b.example")
			waiting <- err
		}()
		time.Sleep(2 * time.Second)
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-waiting; !errors.Is(err, ErrClosed) {
			t.Errorf("the caller that waited got %v", err)
		}
		if err := <-run; !errors.Is(err, ErrClosed) {
			t.Errorf("Run returned %v", err)
		}
		if _, err := c.Lookup(t.Context(), "a.example"); !errors.Is(err, ErrClosed) {
			t.Errorf("Lookup after Close: %v", err)
		}
		if _, err := c.Refresh(t.Context(), "a.example"); !errors.Is(err, ErrClosed) {
			t.Errorf("Refresh after Close: %v", err)
		}
		if err := c.Forget(t.Context(), "a.example"); !errors.Is(err, ErrClosed) {
			t.Errorf("Forget after Close: %v", err)
		}
		for _, err := range c.Policies(t.Context()) {
			if !errors.Is(err, ErrClosed) {
				t.Errorf("Policies after Close: %v", err)
			}
		}
		c.Close()
	})
}

func TestWarmLookupDoesNotAllocate(t *testing.T) { // I17
	w := newWorld()
	c := &Client{Resolver: w, Transport: w}
	defer c.Close()
	w.publish("held.example", "1", text(ModeEnforce, 365*day, "mx.example.com"))
	w.set("held.example", func(d *domain) { d.ttl = time.Hour })
	w.set("absent.example", func(d *domain) { d.ttl = time.Hour })
	for _, name := range []string{"held.example", "absent.example"} {
		if _, err := c.Lookup(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(100, func() { c.Lookup(t.Context(), name) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func TestHeldIsSmall(t *testing.T) { // R11: a million of them have to fit
	if n := unsafe.Sizeof(held{}); n > 80 {
		t.Errorf("held has %d bytes", n)
	}
	if n := unsafe.Sizeof(Policy{}); n > 112 {
		t.Errorf("Policy has %d bytes", n)
	}
}

// fill installs policies as though fetched, without the work.
func fill(t *testing.T, c *Client, n int, format string, mode Mode) {
	t.Helper()
	for i := range n {
		time.Sleep(time.Millisecond)
		install(t, c, fmt.Sprintf(format, i), "1", text(mode, 365*day, "mx.example.com"), c.clock.now())
	}
}

func held4(c *Client, n int, format string) (count int) {
	for i := range n {
		if _, ok := c.snapshot(fmt.Sprintf(format, i)); ok {
			count++
		}
	}
	return count
}

// R11, I16, STS-106: no flood pushes out an enforce policy used on two days.
func TestFloodsDoNotEvictWhatIsUsed(t *testing.T) {
	for _, flood := range []struct {
		name, format string
		mode         Mode
	}{
		{"of enforce policies used once", "j%d.example", ModeEnforce},
		{"of testing policies", "j%d.example", ModeTesting},
		{"of one owner's policies", "j%d.evil.example", ModeEnforce},
	} {
		t.Run(flood.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				c := &Client{Resolver: w, Transport: w, Capacity: 2000}
				defer c.Close()
				c.open()
				fill(t, c, 1000, "busy%d.example", ModeEnforce)
				for range 2 {
					for i := range 1000 {
						wantMode(t, lookup(t, c, fmt.Sprintf("busy%d.example", i)), ModeEnforce)
					}
					time.Sleep(6 * time.Hour)
				}
				time.Sleep(12 * time.Hour)
				for i := range 1000 {
					lookup(t, c, fmt.Sprintf("busy%d.example", i))
				}
				fill(t, c, 20000, flood.format, flood.mode)
				if n := held4(c, 1000, "busy%d.example"); n != 1000 {
					t.Errorf("%d of 1000 left", n)
				}
				st := c.Stats()
				if st.Policies > 2000 || st.Lost != 0 {
					t.Errorf("%+v", st)
				}
				if n := held4(c, 20000, "j%d.evil.example"); n > 2000/parentShare {
					t.Errorf("one parent holds %d places", n)
				}
			})
		})
	}
}

// R11: expired first, then none, testing, and enforce policies used once.
func TestOrderOfEviction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var gone []string
		c := &Client{Resolver: newWorld(), Transport: newWorld(), Capacity: 50, Trace: &Trace{Evicted: func(r Result) { gone = append(gone, r.Domain) }}}
		defer c.Close()
		c.open()
		for i := range 10 {
			install(t, c, fmt.Sprintf("x%d.example", i), "1", text(ModeEnforce, time.Second, "mx.example.com"), instant(i+1))
		}
		fill(t, c, 10, "e%d.example", ModeEnforce)
		fill(t, c, 10, "t%d.example", ModeTesting)
		fill(t, c, 10, "n%d.example", ModeNone)
		fill(t, c, 10, "f%d.example", ModeEnforce)
		time.Sleep(time.Minute)
		fill(t, c, 40, "new%d.example", ModeEnforce)
		order := ""
		for _, name := range gone {
			if !strings.HasSuffix(order, name[:1]) {
				order += name[:1]
			}
		}
		if order != "xnte" || len(gone) != 40 {
			t.Errorf("%d evicted, in the order %q: %v", len(gone), order, gone)
		}
	})
}

func TestBytesAreBounded(t *testing.T) { // R11
	synctest.Test(t, func(t *testing.T) {
		c := &Client{Resolver: newWorld(), Transport: newWorld(), Capacity: 1000}
		defer c.Close()
		c.open()
		var b strings.Builder
		b.WriteString("version: STSv1\nmode: enforce\nmax_age: 86400\n")
		for i := range 1000 {
			fmt.Fprintf(&b, "mx: mx%d.%s.example\n", i, strings.Repeat("a", 40))
		}
		for i := range 60 {
			time.Sleep(time.Millisecond)
			install(t, c, fmt.Sprintf("d%d.example", i), "1", b.String(), c.clock.now())
		}
		if n := c.Stats().Policies; n > 20 || n == 0 {
			t.Errorf("%d policies of 80 KB in a budget of 1 MB", n)
		}
	})
}

// R11: one parent's share is bounded in shards of any number, and what is held
// is renewed all the same.
func TestOneParentsShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &Client{Resolver: newWorld(), Transport: newWorld(), Capacity: 8 * minPerShard}
		defer c.Close()
		c.open()
		fill(t, c, 1000, "d%d.evil.example", ModeEnforce)
		limit := 8 * minPerShard / parentShare
		if n := held4(c, 1000, "d%d.evil.example"); n != limit {
			t.Fatalf("%d places, want %d", n, limit)
		}
		c.memory.parents.add("evil.example", 100) // others took the last places
		fill(t, c, 1000, "d%d.evil.example", ModeEnforce)
		if n := held4(c, 1000, "d%d.evil.example"); n < limit/2 {
			t.Errorf("%d places after a renewal", n)
		}
	})
}

// R7: a GET that was not made is none of the budget's, and nothing is held
// against the domain.
func TestTurnsCostNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		tries := 0
		c := &Client{Resolver: w, Transport: roundTripFunc(func(r *http.Request) (*http.Response, error) {
			if tries++; tries < 10 {
				return nil, fmt.Errorf("dial: %w", errors.Join(&turnError{wait: time.Second}, &turnError{wait: time.Second}))
			}
			return w.RoundTrip(r)
		})}
		defer c.Close()
		w.publish("example.com", "1", text(ModeEnforce, day, "mx.example.com"))
		wantMode(t, lookup(t, c, "example.com"), ModeEnforce)
		w.want(t, "example.com", 1, 1)

		// An address that was tried and failed is a failure, whatever the others are.
		c.http = roundTripFunc(func(*http.Request) (*http.Response, error) {
			return nil, errors.Join(&turnError{wait: time.Second}, errDown)
		})
		w.publish("mixed.example", "1", "")
		if r := lookup(t, c, "mixed.example"); r.Cause() != CauseFailed {
			t.Errorf("%+v", r)
		}

		// Who has no deadline does not wait for ever.
		c.http = roundTripFunc(func(*http.Request) (*http.Response, error) { return nil, &turnError{wait: time.Second} })
		w.publish("busy.example", "1", "")
		if r, err := c.Lookup(t.Context(), "busy.example"); !errors.Is(err, ErrBusy) {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

// R10, R7: an address has four connections from us at a time, a burst of 200,
// and 20 a second.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns()
		a := netip.MustParseAddr("192.0.2.1")
		take := func(a netip.Addr) func() {
			leave, err := turns.take(a)
			if err != nil {
				return nil
			}
			return leave
		}
		var open []func()
		for range turnsAtOnce {
			open = append(open, take(a))
		}
		if take(a) != nil || take(netip.MustParseAddr("::ffff:192.0.2.1")) != nil {
			t.Error("more than four at once")
		}
		for _, leave := range open {
			leave()
		}
		count := func() (n int) {
			for {
				leave := take(a)
				if leave == nil {
					return n
				}
				leave()
				n++
			}
		}
		if n := count(); n != turnBurst-turnsAtOnce {
			t.Errorf("a burst of %d", n+turnsAtOnce)
		}
		time.Sleep(time.Second)
		if n := count(); n != turnsPerSecond {
			t.Errorf("%d in a second", n)
		}
		b, c := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2")
		for range turnsAtOnce {
			take(b)
		}
		if take(c) != nil {
			t.Error("two addresses of one /64 have shares of their own")
		}
	})
}
