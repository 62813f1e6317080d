// Package storetest is the contract of [cache.Store] and [cache.Leaser] as tests
// that any implementation runs:
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(tb testing.TB) cache.Store {
//			return &cache.Dir{Path: tb.TempDir()}
//		})
//	}
//
// A [Suite] proves more of a store that can say more about itself.
package storetest

import (
	"context"
	"errors"
	"iter"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strictmx/strictmx/cache"
)

// Suite says how to get at the stores under test. Only Open is required; tests
// that need what is not there are skipped.
type Suite struct {
	// Open returns a store that is empty and shares its place with no other. It
	// registers what must be closed with tb.Cleanup.
	Open func(tb testing.TB) cache.Store

	// Again returns another Store on the place of s, as another process would
	// have it, or the same process after a restart. s stays in use.
	Again func(tb testing.TB, s cache.Store) cache.Store

	// Break makes the place of s fail from now on: it stops the server, or takes
	// the directory away.
	Break func(tb testing.TB, s cache.Store)

	// Sleep lets time pass. If nil, each test runs in a bubble of package
	// testing/synctest, where that costs nothing. A store on real sockets cannot live in
	// there; for it, Sleep is [time.Sleep], or winds the clock of a fake server.
	Sleep func(time.Duration)

	// MaxValue is the longest value the store takes. If zero, cache.MaxValue, as
	// the contract has it; a store that wraps another may take a little less.
	MaxValue int
}

// Run runs the tests of cache.Store with what [Suite] makes of open alone.
func Run(t *testing.T, open func(tb testing.TB) cache.Store) {
	t.Helper()
	Suite{Open: open}.Run(t)
}

// Run runs the tests of cache.Store, each as a subtest with a store of its own.
func (s Suite) Run(t *testing.T) {
	t.Helper()
	s.run(t, storeChecks())
}

// RunLeaser runs the tests of cache.Leaser, which the stores that Open returns
// must implement.
func (s Suite) RunLeaser(t *testing.T) {
	t.Helper()
	s.run(t, leaserChecks())
}

func (s Suite) run(t *testing.T, checks []check) {
	t.Helper()
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) { s.inTime(t, func(t *testing.T) { s.one(t, c) }) })
	}
}

// inTime runs f where the Suite's time passes.
func (s Suite) inTime(t *testing.T, f func(*testing.T)) {
	if s.Sleep != nil {
		f(t)
		return
	}
	synctest.Test(t, f)
}

// one runs one check. It takes a TB, so that the tests of this package can see
// a check fail.
func (s Suite) one(tb testing.TB, c check) {
	w := &world{TB: tb, suite: s, ctx: context.Background(), unit: time.Hour}
	if s.Sleep != nil {
		w.unit = 300 * time.Millisecond // really waited for; far above what a call takes
	}
	if c.needs != nil {
		if what := c.needs(s); what != "" {
			tb.Skip("needs Suite." + what)
		}
	}
	w.store = s.Open(tb)
	c.run(w)
}

// check is one clause of the contract.
type check struct {
	name  string
	needs func(Suite) string // the missing field of Suite, if any; may be nil
	run   func(*world)
}

func needsAgain(s Suite) string {
	if s.Again == nil {
		return "Again"
	}
	return ""
}

func needsBreak(s Suite) string {
	if s.Break == nil {
		return "Break"
	}
	return ""
}

// world is where a check runs: a store, and time.
type world struct {
	testing.TB
	suite Suite
	store cache.Store
	ctx   context.Context
	unit  time.Duration // long enough that nothing else takes as long
}

func (w *world) sleep(d time.Duration) {
	if w.suite.Sleep != nil {
		w.suite.Sleep(d)
		return
	}
	time.Sleep(d)
}

// later is a time that no check reaches.
func (w *world) later() time.Time { return time.Now().Add(1000 * time.Hour) }

func (w *world) again() cache.Store {
	w.Helper()
	return w.suite.Again(w.TB, w.store)
}

func (w *world) maxValue() int {
	if w.suite.MaxValue > 0 {
		return w.suite.MaxValue
	}
	return cache.MaxValue
}

// put stores a value that expires later.
func (w *world) put(s cache.Store, key, value string, version int64) {
	w.Helper()
	w.putUntil(s, key, value, version, w.later())
}

func (w *world) putUntil(s cache.Store, key, value string, version int64, expires time.Time) {
	w.Helper()
	if err := s.PutIfNewer(w.ctx, key, []byte(value), version, expires); err != nil {
		w.Fatalf("PutIfNewer(%.100q, version %d): %v", key, version, err)
	}
}

func (w *world) want(s cache.Store, key, value string) {
	w.Helper()
	got, err := s.Get(w.ctx, key)
	if err != nil || string(got) != value {
		w.Fatalf("Get(%.100q) = %.100q (%d bytes), %v; want %.100q (%d bytes)", key, got, len(got), err, value, len(value))
	}
}

func (w *world) wantNone(s cache.Store, key string) {
	w.Helper()
	if got, err := s.Get(w.ctx, key); !errors.Is(err, cache.ErrNotFound) || got != nil {
		w.Fatalf("Get(%.100q) = %.100q, %v; want nil, ErrNotFound", key, got, err)
	}
}

func (w *world) delete(s cache.Store, key string) {
	w.Helper()
	if err := s.Delete(w.ctx, key); err != nil {
		w.Fatalf("Delete(%.100q): %v", key, err)
	}
}

// wantKeys checks that Keys yields exactly these.
func (w *world) wantKeys(s cache.Store, prefix string, want ...string) {
	w.Helper()
	want = slices.Sorted(slices.Values(want)) // a copy: the slice may be the caller's
	if got := w.keys(s.Keys(w.ctx, prefix)); !slices.Equal(got, want) {
		w.Fatalf("Keys(%q) yields %.200q, want %.200q", prefix, got, want)
	}
}

func (w *world) keys(seq iter.Seq2[string, error]) []string {
	w.Helper()
	var got []string
	for key, err := range seq {
		if err != nil {
			w.Fatalf("Keys: %v", err)
		}
		got = append(got, key)
	}
	slices.Sort(got)
	return got
}
