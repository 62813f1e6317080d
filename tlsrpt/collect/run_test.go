package collect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strictmx/strictmx/resolver"
	"github.com/strictmx/strictmx/tlsrpt"
)

// dns is a Resolver that a test answers for, by domain.
type dns func(ctx context.Context, domain string) (record string, err error)

func (f dns) TXT(ctx context.Context, name string) (resolver.Answer[string], error) {
	record, err := f(ctx, strings.TrimPrefix(name, "_smtp._tls."))
	if record == "" || err != nil {
		return resolver.Answer[string]{}, err
	}
	return resolver.Answer[string]{Records: []string{record}}, nil
}

const (
	record = "v=TLSRPTv1; rua=mailto:tls@example.com"
	rua    = "mailto:tls@example.com"
)

// now is a session at this moment of the bubble's clock.
func now(domain string) tlsrpt.Event {
	e := session(domain, enforce(domain))
	e.Time = time.Now()
	return e
}

// run runs c until stop is called, which waits for its end. What is left running
// then, synctest finds.
func run(t *testing.T, c *Collector) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- c.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run: %v", err)
		}
	}
}

// RPT-20, R26
func TestADomainWithoutRecordTakesNoRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		c := &Collector{Resolver: dns(func(_ context.Context, domain string) (string, error) {
			asked.Add(1)
			time.Sleep(time.Second)
			if domain == "wants.example" {
				return record, nil
			}
			return "", nil
		})}
		defer run(t, c)()
		for range 100 {
			c.Observe(now("absent.example"))
			c.Observe(now("wants.example"))
		}
		if st := sum(t, c); st.Held != 200 || st.PendingBytes == 0 {
			t.Errorf("before DNS has answered: %+v", st)
		}
		time.Sleep(2 * time.Second)
		st := sum(t, c)
		if st.Held != 100 || st.Unwanted != 100 || st.Domains != 1 || st.PendingBytes != 0 || st.Bytes <= 0 {
			t.Errorf("%+v", st)
		}
		for tally := range c.Tallies(time.Now()) {
			if tally.Domain != "wants.example" || !slices.Equal(tally.RUA, []string{rua}) {
				t.Errorf("%+v", tally)
			}
		}

		// It is remembered, for an hour.
		c.Observe(now("absent.example"))
		if st := sum(t, c); st.Unwanted != 101 || asked.Load() != 2 {
			t.Errorf("%+v, %d lookups", st, asked.Load())
		}
		time.Sleep(recordLife)
		c.Observe(now("absent.example"))
		if st := sum(t, c); st.Held != 101 {
			t.Errorf("what DNS said an hour ago holds for ever: %+v", st)
		}
		time.Sleep(2 * time.Second)
		if st := sum(t, c); st.Unwanted != 102 || asked.Load() != 3 {
			t.Errorf("%+v, %d lookups", st, asked.Load())
		}
	})
}

// RPT-23
func TestWhenDNSDoesNotAnswerNothingIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var repaired atomic.Bool
		c := &Collector{Resolver: dns(func(context.Context, string) (string, error) {
			if !repaired.Load() {
				return "", errors.New("SERVFAIL")
			}
			return record, nil
		})}
		stop := run(t, c)
		for range 10 {
			c.Observe(now("example.com"))
			time.Sleep(2 * time.Minute)
		}
		if st := sum(t, c); st.Held != 10 || st.PendingBytes == 0 {
			t.Errorf("%+v", st)
		}
		repaired.Store(true)
		time.Sleep(10 * time.Minute)
		tally := slices.Collect(c.Tallies(time.Now()))[0]
		if tally.Sessions != 10 || !slices.Equal(tally.RUA, []string{rua}) {
			t.Errorf("%+v", tally)
		}
		stop()
	})
}

func TestAPanicInTheResolverLosesNothing(t *testing.T) { // R20
	synctest.Test(t, func(t *testing.T) {
		c := &Collector{Resolver: dns(func(context.Context, string) (string, error) { panic("resolver") })}
		defer run(t, c)()
		c.Observe(now("example.com"))
		time.Sleep(time.Hour)
		if st := sum(t, c); st.Held != 1 {
			t.Errorf("%+v", st)
		}
	})
}

// Without Run all is pending. A Run that ends half-way leaves nothing running, and
// the next one goes on; two at once are one too many.
func TestRunEndsAndGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const domains = 500
		var flying, most, asked atomic.Int64
		c := &Collector{Resolver: dns(func(ctx context.Context, domain string) (string, error) {
			if n := flying.Add(1); n > most.Load() {
				most.Store(n)
			}
			defer flying.Add(-1)
			select {
			case <-time.After(time.Second):
				asked.Add(1)
				return record, nil
			case <-ctx.Done():
				return "", ctx.Err()
			}
		})}
		for i := range domains {
			c.Observe(now(fmt.Sprintf("domain%d.example", i)))
		}
		time.Sleep(time.Hour)
		if st := sum(t, c); st.Held != domains || asked.Load() != 0 {
			t.Fatalf("without Run: %+v", st)
		}
		stop := run(t, c)
		time.Sleep(2500 * time.Millisecond)
		if err := c.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "running already") {
			t.Errorf("a second Run: %v", err)
		}
		stop()
		if flying.Load() != 0 || asked.Load() != 2*maxLookups || most.Load() != maxLookups {
			t.Errorf("%d flights left, %d lookups, %d at once", flying.Load(), asked.Load(), most.Load())
		}
		stop = run(t, c)
		time.Sleep(time.Minute)
		if st := sum(t, c); st.Held != domains || st.PendingBytes != 0 || asked.Load() != domains {
			t.Errorf("%+v after %d lookups", st, asked.Load())
		}
		stop()
	})
}

// One parent may have four lookups at once. Its other domains wait their turn,
// and not long.
func TestManyDomainsOfOneParentAreAllLookedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &Collector{Resolver: dns(func(context.Context, string) (string, error) {
			time.Sleep(20 * time.Millisecond)
			return record, nil
		})}
		defer run(t, c)()
		for i := range 1000 {
			c.Observe(now(fmt.Sprintf("customer%d.hoster.example", i)))
		}
		time.Sleep(time.Minute)
		if st := sum(t, c); st.Held != 1000 || st.PendingBytes != 0 {
			t.Errorf("%+v", st)
		}
	})
}

// At midnight every domain is new again. One that had a record the day before is
// not pending meanwhile, and keeps the snapshot should DNS fail (AMB-35).
func TestTheRecordOfTheDayBeforeStandsIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var answer sync.Map
		answer.Store("stays.example", record)
		answer.Store("leaves.example", record)
		answer.Store("moves.example", record)
		c := &Collector{Resolver: dns(func(_ context.Context, domain string) (string, error) {
			time.Sleep(time.Second)
			if v, ok := answer.Load(domain); ok {
				return v.(string), nil
			}
			return "", nil
		})}
		defer run(t, c)()
		domains := []string{"stays.example", "leaves.example", "moves.example"}
		for _, domain := range domains {
			c.Observe(now(domain))
		}
		time.Sleep(24 * time.Hour)
		answer.Delete("leaves.example")
		answer.Store("moves.example", "v=TLSRPTv1; rua=https://tls.moves.example/")
		for _, domain := range domains {
			c.Observe(now(domain))
		}
		if st := sum(t, c); st.Held != 6 || st.PendingBytes != 0 {
			t.Errorf("%+v", st)
		}
		for tally := range c.Tallies(time.Now()) {
			if !slices.Equal(tally.RUA, []string{rua}) {
				t.Errorf("%+v", tally)
			}
		}
		time.Sleep(2 * time.Second)
		var got []string
		for tally := range c.Tallies(time.Now()) {
			got = append(got, tally.Domain+" "+tally.RUA[0])
		}
		if want := []string{"moves.example https://tls.moves.example/", "stays.example " + rua}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		if st := sum(t, c); st.Unwanted != 1 || st.Domains != 5 {
			t.Errorf("%+v", st)
		}
	})
}

// R16: what hosts cause is logged now and then, not each time.
func TestTheOperatorIsToldWhatFoundNoRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lines lineCounter
		c := &Collector{
			Logger:   slog.New(slog.NewTextHandler(&lines, nil)),
			Resolver: dns(func(context.Context, string) (string, error) { return record, nil }),
		}
		defer run(t, c)()
		for i := range 60 * 60 {
			e := now("example.com")
			e.HELO = fmt.Sprintf("h%d.example.com", i)
			e.Outcomes[0].Failures = []tlsrpt.Failure{selfSigned}
			c.Observe(e)
			time.Sleep(time.Second)
		}
		time.Sleep(time.Hour)
		if n := lines.n.Load(); n < 5 || n > 7 {
			t.Errorf("%d lines in an hour with news and one without", n)
		}
	})
}

type lineCounter struct{ n atomic.Int64 }

func (l *lineCounter) Write(b []byte) (int, error) {
	l.n.Add(1)
	return len(b), nil
}
