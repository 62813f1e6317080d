package collect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strictmx/strictmx/resolver"
)

// txtFunc is a function as a Resolver.
type txtFunc func(ctx context.Context, name string) ([]string, error)

func (f txtFunc) TXT(ctx context.Context, name string) (resolver.Answer[string], error) {
	txts, err := f(ctx, name)
	return resolver.Answer[string]{Records: txts}, err
}

// wanting is a DNS in which everybody wants reports.
func wanting(_ context.Context, name string) ([]string, error) {
	return []string{"v=TLSRPTv1; rua=mailto:tls@" + strings.TrimPrefix(name, "_smtp._tls.")}, nil
}

var errDNS = errors.New("servfail")

func TestRecordsAreRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked int
		dns := txtFunc(wanting)
		r := &records{resolver: txtFunc(func(ctx context.Context, name string) ([]string, error) {
			asked++
			return dns(ctx, name)
		})}
		if _, ok := r.known("x.test"); ok {
			t.Error("known before anybody asked")
		}
		// want looks the record up, and says what DNS had to do with it.
		want := func(when string, questions int, rua string, fails bool) {
			t.Helper()
			asked = 0
			f, err := r.lookup(t.Context(), "x.test")
			if strings.Join(f.rua, " ") != rua || (err != nil) != fails || asked != questions {
				t.Errorf("%s: %q, %v after %d questions; want %q after %d", when, f.rua, err, asked, rua, questions)
			}
			if k, ok := r.known("x.test"); !ok || k.silent != fails || !slices.Equal(k.rua, f.rua) {
				t.Errorf("%s: known is %v, %v", when, k, ok)
			}
		}
		want("first", 1, "mailto:tls@x.test", false)
		time.Sleep(time.Hour - 1)
		want("within an hour", 0, "mailto:tls@x.test", false)
		time.Sleep(time.Nanosecond)
		if _, ok := r.known("x.test"); ok {
			t.Error("known after an hour")
		}
		dns = func(context.Context, string) ([]string, error) { return nil, nil }
		want("after an hour", 1, "", false)
		time.Sleep(time.Hour - 1)
		want("that there is none, within an hour", 0, "", false)
		time.Sleep(time.Nanosecond)
		dns = wanting
		want("after another hour", 1, "mailto:tls@x.test", false)
	})
}

// DNS that does not answer is asked again soon, and then ever less often.
func TestRecordsSurviveSilence(t *testing.T) { // RPT-23
	synctest.Test(t, func(t *testing.T) {
		dns := txtFunc(func(context.Context, string) ([]string, error) { return nil, errDNS })
		r := &records{resolver: txtFunc(func(ctx context.Context, name string) ([]string, error) { return dns(ctx, name) })}
		for _, wait := range []time.Duration{15, 30, 60, 120, 240, 300, 300} {
			if _, err := r.lookup(t.Context(), "x.test"); !errors.Is(err, errDNS) {
				t.Fatalf("got %v, want the error of DNS", err)
			}
			time.Sleep(wait*time.Second - 1)
			if f, ok := r.known("x.test"); !ok || !f.silent {
				t.Fatalf("known is %v, %v; want silence for %d s", f, ok, wait)
			}
			if _, err := r.lookup(t.Context(), "x.test"); err != errSilent {
				t.Fatalf("got %v, want that DNS is left alone for %d s", err, wait)
			}
			time.Sleep(time.Nanosecond)
		}
		dns = wanting
		if f, err := r.lookup(t.Context(), "x.test"); err != nil || len(f.rua) != 1 {
			t.Fatalf("DNS is back: %v, %v", f, err)
		}
		// A record known before stands in for a day.
		dns = func(context.Context, string) ([]string, error) { return nil, errDNS }
		for began := time.Now(); time.Since(began) < 24*time.Hour; time.Sleep(time.Second) {
			if f, err := r.lookup(t.Context(), "x.test"); err != nil || len(f.rua) != 1 {
				t.Fatalf("after %v without DNS: %v, %v", time.Since(began), f, err)
			}
		}
		time.Sleep(5 * time.Minute)
		if f, err := r.lookup(t.Context(), "x.test"); !errors.Is(err, errDNS) || f.rua != nil {
			t.Errorf("after a day without DNS: %v, %v", f, err)
		}
	})
}

func TestRecordsShareALookup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		r := &records{resolver: txtFunc(func(ctx context.Context, name string) ([]string, error) {
			asked.Add(1)
			select {
			case <-time.After(5 * time.Second):
				return wanting(ctx, name)
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		})}
		leader, leave := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := r.lookup(leader, "x.test"); err != context.Canceled {
				t.Errorf("who left: %v", err)
			}
		})
		synctest.Wait()
		impatient, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		wg.Go(func() {
			if _, err := r.lookup(impatient, "x.test"); err != context.DeadlineExceeded {
				t.Errorf("who had no time: %v", err)
			}
		})
		for range 100 {
			wg.Go(func() {
				if f, err := r.lookup(t.Context(), "x.test"); err != nil || len(f.rua) != 1 {
					t.Errorf("%v, %v", f, err)
				}
			})
		}
		time.Sleep(2 * time.Second)
		leave() // another asks in its place, and what ended is not held against DNS
		wg.Wait()
		if n := asked.Load(); n != 2 {
			t.Errorf("DNS was asked %d times, want twice", n)
		}
	})
}

// No registrable domain can take all the places with name servers that are slow.
func TestRecordsBoundLookups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int32
		r := &records{resolver: txtFunc(func(ctx context.Context, name string) ([]string, error) {
			n := now.Add(1)
			defer now.Add(-1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			<-ctx.Done()
			return nil, ctx.Err()
		})}
		began := time.Now()
		var wg sync.WaitGroup
		var busy atomic.Int32
		for i := range 100 {
			wg.Go(func() {
				if _, err := r.lookup(t.Context(), fmt.Sprintf("d%d.slow.test", i)); err == errBusy {
					busy.Add(1)
				}
			})
		}
		synctest.Wait()
		if now.Load() != 4 || busy.Load() != 96 {
			t.Errorf("%d lookups for one parent, %d told to try later", now.Load(), busy.Load())
		}
		for i := range 200 {
			wg.Go(func() {
				if _, err := r.lookup(t.Context(), fmt.Sprintf("d%d.test", i)); err == nil || err == errBusy {
					t.Errorf("d%d.test: %v", i, err)
				}
			})
		}
		synctest.Wait()
		// A place is waited for no longer than the caller likes.
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := r.lookup(ctx, "late.test"); err != context.DeadlineExceeded {
			t.Errorf("without a place: %v", err)
		}
		wg.Wait()
		if most.Load() != 64 {
			t.Errorf("%d lookups at once, want 64", most.Load())
		}
		if d := time.Since(began); d != 40*time.Second { // 204 lookups of 10 s by 64
			t.Errorf("it took %v", d)
		}
		if len(r.flights) != 0 || len(r.parents) != 0 || len(r.places) != 0 {
			t.Errorf("left: %d flights, %d parents, %d places", len(r.flights), len(r.parents), len(r.places))
		}
	})
}

func TestRecordsSurviveAPanic(t *testing.T) { // R20
	r := &records{resolver: txtFunc(func(context.Context, string) ([]string, error) { panic("hostile\x1b[31m") })}
	_, err := r.lookup(t.Context(), "x.test")
	if err == nil || !strings.Contains(err.Error(), "panic in the Resolver: string") {
		t.Errorf("got %v", err)
	}
	if f, ok := r.known("x.test"); !ok || !f.silent {
		t.Errorf("known is %v, %v", f, ok)
	}
}

func TestRecordsAreBounded(t *testing.T) {
	r := &records{resolver: txtFunc(wanting), capacity: 10}
	for i := range 100 {
		if _, err := r.lookup(t.Context(), fmt.Sprintf("d%d.test", i)); err != nil {
			t.Fatal(err)
		}
	}
	if n := r.cache.Len(); n != 10 {
		t.Errorf("%d domains remembered, want 10", n)
	}
}

func TestKnownDoesNotAllocate(t *testing.T) {
	r := &records{resolver: txtFunc(wanting)}
	if _, err := r.lookup(t.Context(), "x.test"); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() {
		_, known := r.known("x.test")
		_, other := r.known("y.test")
		if !known || other {
			t.Fatal(known, other)
		}
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

// Without a Resolver the machine's own servers are asked.
func TestRecordsWithoutResolver(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := new(records)
	if _, err := r.lookup(ctx, "x.test"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, ok := r.resolver.(*resolver.Client); !ok {
		t.Errorf("resolver is %T", r.resolver)
	}
}
