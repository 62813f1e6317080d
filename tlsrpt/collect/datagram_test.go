package collect

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strictmx/strictmx/tlsrpt"
)

// inbox is a socket within a bubble: what is sent to it is read as by a strict
// daemon, unless it has an error to give.
type inbox struct {
	t     *testing.T
	mu    sync.Mutex
	err   error
	until int // the try that is the last to get err; 0: all get it
	tries int
	told  []told
}

func (x *inbox) send(b []byte) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.tries++
	if x.err == errFull {
		time.Sleep(tryEvery)
	}
	if x.err != nil && (x.until == 0 || x.tries <= x.until) {
		return x.err
	}
	d, err := readDatagram(b)
	if err != nil {
		x.t.Errorf("the daemon dies: %v: %s", err, b)
	}
	x.told = append(x.told, d)
	return nil
}

func (x *inbox) Close() error { return nil }

// domains returns those that datagrams were about, in order.
func (x *inbox) domains() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	var names []string
	for _, d := range x.told {
		names = append(names, d.domain)
	}
	return strings.Join(names, " ")
}

func (x *inbox) fail(err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.err = err
}

// start runs d in the bubble with an inbox in the place of the daemon, until the
// test ends or stop is called.
func start(t *testing.T, d *Datagram) (x *inbox, stop func()) {
	x = &inbox{t: t}
	d.Path = "/collectd.sock"
	d.connect = func() (outbox, error) { return x, nil }
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- d.Run(ctx) }()
	return x, sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != context.Canceled {
			t.Errorf("Run ended with %v", err)
		}
	})
}

func observe(d *Datagram, domains ...string) {
	for _, domain := range domains {
		d.Observe(session(domain, enforce(domain)))
	}
}

// wantStats compares the stats, and whether all that was seen is accounted for.
func wantStats(t *testing.T, d *Datagram, want DatagramStats) {
	t.Helper()
	got := d.Stats()
	if got != want {
		t.Errorf("stats are %+v, want %+v", got, want)
	}
	if got.Seen != got.Sent+got.Unwanted+got.Malformed+got.Overflow+got.Unknown+got.Late+got.Busy+got.Failed+uint64(got.Waiting) { // I13
		t.Errorf("sessions are missing: %+v", got)
	}
}

// Sessions are told of domains that have a record, in its plainest form, and of
// no others.
func TestDatagramTellsWhoAsks(t *testing.T) { // RPT-20
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var asked []string // guarded by mu
		d := &Datagram{Resolver: txtFunc(func(_ context.Context, name string) ([]string, error) {
			mu.Lock()
			asked = append(asked, name)
			mu.Unlock()
			if name == "_smtp._tls.x.test" {
				return []string{"v=TLSRPTv1; a=b; rua=mailto:tls%2Ba@X.test!10m , HTTPS://r.test ; rua=mailto:tls@x.test;"}, nil
			}
			return nil, nil
		})}
		observe(d, "X.test.", "none.test") // before Run
		x, stop := start(t, d)
		defer stop()
		synctest.Wait()
		observe(d, "none.test", "x.test", "none.test", "192.0.2.1", "")
		d.Observe(tlsrpt.Event{Domain: "x.test"})
		synctest.Wait()
		if got := x.domains(); got != "x.test x.test" {
			t.Errorf("told of %q", got)
		}
		if got, want := x.told[0].record, "v=TLSRPTv1;rua=https://r.test/,mailto:tls@x.test"; got != want {
			t.Errorf("the record is told as %q, want %q", got, want)
		}
		mu.Lock()
		defer mu.Unlock()
		slices.Sort(asked)
		if !slices.Equal(asked, []string{"_smtp._tls.none.test", "_smtp._tls.x.test"}) {
			t.Errorf("DNS was asked for %q", asked)
		}
		wantStats(t, d, DatagramStats{Seen: 8, Sent: 2, Unwanted: 3, Malformed: 3})
	})
}

// A session waits until DNS says who wants to hear of it.
func TestDatagramWaitsForDNS(t *testing.T) { // RPT-23
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		d := &Datagram{Resolver: txtFunc(func(ctx context.Context, name string) ([]string, error) {
			switch age := time.Since(began); {
			case name == "_smtp._tls.never.test", name == "_smtp._tls.later.test" && age < 40*time.Second:
				return nil, errDNS
			case name == "_smtp._tls.panic.test":
				panic("in a Resolver")
			}
			return wanting(ctx, name)
		})}
		x, stop := start(t, d)
		defer stop()
		observe(d, "never.test", "later.test", "panic.test", "x.test")
		synctest.Wait()
		if got := x.domains(); got != "x.test" {
			t.Errorf("at once: told of %q", got)
		}
		time.Sleep(30 * time.Second)
		observe(d, "later.test")
		synctest.Wait()
		wantStats(t, d, DatagramStats{Seen: 5, Sent: 1, Waiting: 4})
		time.Sleep(30 * time.Second)
		if got := x.domains(); got != "x.test later.test later.test" {
			t.Errorf("after a minute: told of %q", got)
		}
		time.Sleep(5 * time.Minute)
		wantStats(t, d, DatagramStats{Seen: 5, Sent: 3, Unknown: 2})
		observe(d, "never.test") // and nothing is left of the others
		synctest.Wait()
		wantStats(t, d, DatagramStats{Seen: 6, Sent: 3, Unknown: 2, Waiting: 1})
		stop()
		wantStats(t, d, DatagramStats{Seen: 6, Sent: 3, Unknown: 3})
	})
}

// Name servers that are slow hold up neither other domains nor Run's end.
func TestDatagramOfSlowDomains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &Datagram{Queue: 64, Resolver: txtFunc(func(ctx context.Context, name string) ([]string, error) {
			if strings.HasSuffix(name, ".slow.test") {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return wanting(ctx, name)
		})}
		x, stop := start(t, d)
		defer stop()
		for i := range 50 {
			observe(d, fmt.Sprintf("d%d.slow.test", i))
			synctest.Wait()
		}
		observe(d, "x.test")
		synctest.Wait()
		if got := x.domains(); got != "x.test" {
			t.Errorf("told of %q", got)
		}
		// One parent has a small share of the room.
		wantStats(t, d, DatagramStats{Seen: 51, Sent: 1, Overflow: 46, Waiting: 4})
		for i := range 100 {
			observe(d, fmt.Sprintf("a.d%d.slow.test", i), fmt.Sprintf("d%d.test", i))
			synctest.Wait()
		}
		began := time.Now()
		stop()
		if time.Since(began) != 0 {
			t.Errorf("Run took %v to end", time.Since(began))
		}
		wantStats(t, d, DatagramStats{Seen: 251, Sent: 101, Overflow: 146, Unknown: 4})
	})
}

// Of one registrable domain a few records are looked up at a time, and the others
// have their turn.
func TestDatagramOfManySubdomains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &Datagram{Resolver: txtFunc(func(ctx context.Context, name string) ([]string, error) {
			time.Sleep(100 * time.Millisecond)
			return wanting(ctx, name)
		})}
		_, stop := start(t, d)
		defer stop()
		for i := range 20 {
			observe(d, fmt.Sprintf("d%d.x.test", i))
		}
		time.Sleep(time.Second / 2)
		wantStats(t, d, DatagramStats{Seen: 20, Sent: 4, Waiting: 16})
		time.Sleep(10 * time.Second)
		wantStats(t, d, DatagramStats{Seen: 20, Sent: 20})
	})
}

// A session is told on its day, or not at all: the daemon has no other way to
// know when it was.
func TestDatagramIsNeverLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &Datagram{Resolver: txtFunc(wanting)}
		observe(d, "x.test")
		time.Sleep(time.Minute)
		observe(d, "y.test")
		time.Sleep(4 * time.Minute)
		x, stop := start(t, d)
		defer stop()
		synctest.Wait()
		if got := x.domains(); got != "y.test" {
			t.Errorf("told of %q", got)
		}
		wantStats(t, d, DatagramStats{Seen: 2, Sent: 1, Late: 1})
	})
}

// There is room for so many sessions and no more, of whatever domains.
func TestDatagramRoomIsBounded(t *testing.T) { // I15
	synctest.Test(t, func(t *testing.T) {
		d := &Datagram{Queue: 100, Resolver: txtFunc(func(ctx context.Context, _ string) ([]string, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})}
		for i := range 150 {
			observe(d, fmt.Sprintf("d%d.test", i))
		}
		wantStats(t, d, DatagramStats{Seen: 150, Overflow: 50, Waiting: 100}) // nothing runs yet
		_, stop := start(t, d)
		defer stop()
		synctest.Wait()
		for i := range 150 {
			observe(d, fmt.Sprintf("e%d.test", i))
			synctest.Wait()
		}
		wantStats(t, d, DatagramStats{Seen: 300, Overflow: 200, Waiting: 100})
		time.Sleep(10 * time.Minute)
		wantStats(t, d, DatagramStats{Seen: 300, Overflow: 200, Unknown: 100})
	})
}

// Domains that DNS does not answer for leave room for others, and those that were
// known lately need none.
func TestDatagramOfSilentDomains(t *testing.T) { // R26
	synctest.Test(t, func(t *testing.T) {
		d := &Datagram{Queue: 400, Resolver: txtFunc(func(ctx context.Context, name string) ([]string, error) {
			switch {
			case strings.HasPrefix(name, "_smtp._tls.silent"):
				return nil, errDNS
			case strings.HasPrefix(name, "_smtp._tls.slow"):
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return wanting(ctx, name)
		})}
		_, stop := start(t, d)
		defer stop()
		observe(d, "lately.test")
		synctest.Wait()
		time.Sleep(2 * recordLife)
		for i := range 1000 {
			observe(d, fmt.Sprintf("silent%d.test", i))
			synctest.Wait()
		}
		wantStats(t, d, DatagramStats{Seen: 1001, Sent: 1, Unknown: 900, Waiting: 100})
		for i := range 100 {
			observe(d, fmt.Sprintf("x%d.test", i))
			synctest.Wait()
		}
		wantStats(t, d, DatagramStats{Seen: 1101, Sent: 101, Unknown: 900, Waiting: 100})
		for i := range 400 { // the first time, each may be one that answers
			observe(d, fmt.Sprintf("slow%d.test", i))
			synctest.Wait()
		}
		observe(d, "lately.test", "new.test")
		synctest.Wait()
		wantStats(t, d, DatagramStats{Seen: 1503, Sent: 102, Unknown: 900, Overflow: 101, Waiting: 400})
	})
}

// The daemon is lost and found: what comes meanwhile is counted, and the operator
// is told, but not all the time.
func TestDatagramOfALostDaemon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		d := &Datagram{Resolver: txtFunc(wanting), Logger: slog.New(slog.NewTextHandler(&log, nil))}
		x, stop := start(t, d)
		defer stop()
		x.fail(errFull)
		for range 10 {
			observe(d, "x.test")
		}
		time.Sleep(time.Second)
		wantStats(t, d, DatagramStats{Seen: 10, Busy: 10})
		x.fail(os.ErrPermission)
		observe(d, "x.test")
		time.Sleep(time.Minute)
		observe(d, "x.test")
		synctest.Wait()
		wantStats(t, d, DatagramStats{Seen: 12, Busy: 10, Failed: 2})
		x.fail(nil)
		observe(d, "x.test", "x.test")
		synctest.Wait()
		wantStats(t, d, DatagramStats{Seen: 14, Sent: 2, Busy: 10, Failed: 2})
		if got, again := strings.Count(log.String(), "takes no datagrams"), strings.Count(log.String(), "datagrams again"); got != 2 || again != 1 {
			t.Errorf("the log says %d times that it is lost, and %d times that it is found:\n%s", got, again, &log)
		}
	})
}

// However short Timeout is, a daemon that is busy is tried again.
func TestDatagramTriesTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &Datagram{Resolver: txtFunc(wanting), Timeout: tryEvery / 1000}
		x, stop := start(t, d)
		defer stop()
		x.err, x.until = errFull, 1
		observe(d, "x.test")
		time.Sleep(time.Second)
		synctest.Wait()
		if x.tries != 2 {
			t.Errorf("%d tries", x.tries)
		}
		wantStats(t, d, DatagramStats{Seen: 1, Sent: 1})
		x.until = 0
		observe(d, "x.test")
		time.Sleep(time.Second)
		synctest.Wait()
		if x.tries != 4 {
			t.Errorf("%d tries", x.tries)
		}
		wantStats(t, d, DatagramStats{Seen: 2, Sent: 1, Busy: 1})
	})
}

// A caller's fields stay as they are, so that the defaults are no surprise.
func TestDatagramKeepsItsFields(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &Datagram{Resolver: txtFunc(wanting)}
		_, stop := start(t, d)
		defer stop()
		observe(d, "x.test")
		synctest.Wait()
		if d.Queue != 0 || d.Timeout != 0 || d.Logger != nil {
			t.Errorf("Queue is %d, Timeout %v, Logger %v", d.Queue, d.Timeout, d.Logger)
		}
	})
}

// What is queued when Run's time is over is still sent, if the daemon takes it.
func TestDatagramLastWords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &Datagram{Resolver: txtFunc(wanting), Timeout: 300 * time.Millisecond}
		_, stop := start(t, d)
		observe(d, "x.test")
		synctest.Wait()
		stop()
		for range 10 {
			observe(d, "x.test")
		}
		observe(d, "y.test")
		wantStats(t, d, DatagramStats{Seen: 12, Sent: 1, Waiting: 11})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := d.Run(ctx); err != context.Canceled {
			t.Errorf("Run ended with %v", err)
		}
		wantStats(t, d, DatagramStats{Seen: 12, Sent: 11, Unknown: 1})

		x := &inbox{t: t, err: errFull}
		d.connect = func() (outbox, error) { return x, nil }
		for range 100 {
			observe(d, "x.test")
		}
		began := time.Now()
		if err := d.Run(ctx); err != context.Canceled {
			t.Errorf("Run ended with %v", err)
		}
		if took := time.Since(began); took > lastWords+d.Timeout {
			t.Errorf("Run took %v to end", took)
		}
		if st := d.Stats(); st.Waiting != 0 || st.Busy == 0 || st.Busy+st.Failed != 100 {
			t.Errorf("%+v", st)
		}
	})
}

func TestDatagramRunErrors(t *testing.T) {
	if err := new(Datagram).Run(t.Context()); err == nil || !strings.Contains(err.Error(), "Path is empty") {
		t.Errorf("without a path: %v", err)
	}
	long := &Datagram{Path: "/" + strings.Repeat("a", 200)}
	if err := long.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "use a shorter one") && !strings.Contains(err.Error(), "does not have") {
		t.Errorf("with a long path: %v", err)
	}
	synctest.Test(t, func(t *testing.T) {
		d := &Datagram{Resolver: txtFunc(wanting)}
		_, stop := start(t, d)
		defer stop()
		synctest.Wait()
		if err := d.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "has a Run already") {
			t.Errorf("a second Run: %v", err)
		}
	})
}

func TestDatagramObserveDoesNotAllocate(t *testing.T) {
	d := &Datagram{Queue: 10000, Resolver: txtFunc(func(context.Context, string) ([]string, error) { return nil, nil })}
	e := session("x.test", enforce("x.test"))
	if n := testing.AllocsPerRun(1000, func() { d.Observe(e) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
	if _, err := d.records.lookup(t.Context(), "x.test"); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(1000, func() { d.Observe(e) }); n != 0 {
		t.Errorf("of what nobody wants to hear: %v allocations, want 0", n)
	}
	if st := d.Stats(); st.Unwanted != 1001 || st.Waiting != 1001 {
		t.Errorf("%+v", st)
	}
}

func BenchmarkDatagramObserveUnwanted(b *testing.B) {
	d := &Datagram{Resolver: txtFunc(func(context.Context, string) ([]string, error) { return nil, nil })}
	e := session("x.test", enforce("x.test"))
	d.open()
	if _, err := d.records.lookup(b.Context(), "x.test"); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			d.Observe(e)
		}
	})
}
