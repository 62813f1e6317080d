package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"

	"github.com/strictmx/strictmx/cache"
)

// stamped is a value that says which version it belongs to, from end to end, so
// that one pieced together from two is seen.
func stamped(version int64) []byte {
	return []byte(strings.Repeat(fmt.Sprintf("%d;", version), 1+int(version%50)*20))
}

// stamp returns the version of a value made by stamped, or false.
func stamp(value []byte) (version int64, ok bool) {
	if _, err := fmt.Sscanf(string(value), "%d;", &version); err != nil {
		return 0, false
	}
	return version, string(value) == string(stamped(version))
}

func endedContext(w *world) {
	w.put(w.store, "a", "v", 1)
	ended, cancel := context.WithCancel(w.ctx)
	cancel()
	if v, err := w.store.Get(ended, "a"); !errors.Is(err, context.Canceled) || v != nil {
		w.Errorf("Get = %.100q, %v; want context.Canceled", v, err)
	}
	if err := w.store.PutIfNewer(ended, "a", []byte("v2"), 2, w.later()); !errors.Is(err, context.Canceled) {
		w.Errorf("PutIfNewer: %v, want context.Canceled", err)
	}
	if err := w.store.Delete(ended, "a"); !errors.Is(err, context.Canceled) {
		w.Errorf("Delete: %v, want context.Canceled", err)
	}
	yielded := 0
	for key, err := range w.store.Keys(ended, "") {
		if yielded++; !errors.Is(err, context.Canceled) || key != "" {
			w.Errorf("Keys yields %q, %v; want context.Canceled", key, err)
		}
	}
	if yielded != 1 {
		w.Errorf("Keys yields %d times, want once", yielded)
	}
	w.want(w.store, "a", "v")
}

// keysContext: Keys may yield what it already has, and then the error.
func keysContext(w *world) {
	for i := range 200 {
		w.put(w.store, fmt.Sprintf("a/%d", i), "v", 1)
	}
	ctx, cancel := context.WithCancel(w.ctx)
	defer cancel()
	var last error
	yielded := 0
	for key, err := range w.store.Keys(ctx, "") {
		if last != nil {
			w.Fatalf("%q, %v is yielded after an error", key, err)
		}
		yielded++
		last = err
		cancel()
	}
	if !errors.Is(last, context.Canceled) || yielded < 2 {
		w.Errorf("%d yielded, the last with %v; want a key at least, and context.Canceled", yielded, last)
	}
}

// contextAtAnyMoment: whatever PutIfNewer returns, the entry is one of the two, and whole; and
// it is the new one if that is nil.
func contextAtAnyMoment(w *world) {
	w.put(w.store, "a", string(stamped(0)), 0)
	installed := int64(0)
	for version := int64(1); version <= 40; version++ {
		ctx, cancel := context.WithCancel(w.ctx)
		var wg sync.WaitGroup
		wg.Go(func() {
			for range rand.IntN(1000) {
				_ = ctx.Err()
			}
			cancel()
		})
		err := w.store.PutIfNewer(ctx, "a", stamped(version), version, w.later())
		_, getErr := w.store.Get(ctx, "a")
		wg.Wait()
		for _, err := range []error{err, getErr} {
			if err != nil && !errors.Is(err, context.Canceled) {
				w.Fatalf("error %v, want nil or context.Canceled", err)
			}
		}
		value, readErr := w.store.Get(w.ctx, "a")
		got, ok := stamp(value)
		if readErr != nil || !ok || got < installed || got > version || err == nil && got != version {
			w.Fatalf("after PutIfNewer of version %d, which returned %v, Get = %.100q, %v", version, err, value, readErr)
		}
		installed = got
	}
}

// race puts many versions of few keys through all stores at once, in random
// order, and checks that the highest is left.
func race(w *world, stores ...cache.Store) {
	const keys, workers = 4, 8
	const versions = 96 // of each key
	var wg sync.WaitGroup
	for n := range workers {
		wg.Go(func() {
			store := stores[n%len(stores)]
			r := rand.New(rand.NewPCG(uint64(n), 7))
			for _, i := range r.Perm(keys * versions / workers) {
				job := i*workers + n
				key, version := fmt.Sprintf("race/%d", job%keys), int64(1+job/keys)
				if err := store.PutIfNewer(w.ctx, key, stamped(version), version, w.later()); err != nil {
					w.Errorf("PutIfNewer: %v", err)
				}
				value, err := store.Get(w.ctx, key)
				if got, ok := stamp(value); err != nil || !ok || got < version {
					w.Errorf("Get = %.100q, %v after PutIfNewer of version %d returned", value, err, version)
				}
			}
		})
	}
	wg.Wait()
	for _, store := range stores {
		for key := range keys {
			w.want(store, fmt.Sprintf("race/%d", key), string(stamped(versions)))
		}
	}
}

func newestWins(w *world) { race(w, w.store) } // R5

func newestWinsBetween(w *world) { race(w, w.store, w.again(), w.again()) } // R5

func monotone(w *world) { // I5
	const last, looks = 150, 200
	w.put(w.store, "a", string(stamped(0)), 0)
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			seen := int64(0)
			for range looks {
				value, err := w.store.Get(w.ctx, "a")
				got, ok := stamp(value)
				if err != nil || !ok || got < seen {
					w.Errorf("Get = %.100q, %v after version %d was seen", value, err, seen)
				}
				seen = max(seen, got)
			}
		})
	}
	for n := range 2 {
		wg.Go(func() {
			for version := int64(1 + n); version <= last; version += 2 {
				if err := w.store.PutIfNewer(w.ctx, "a", stamped(version), version, w.later()); err != nil {
					w.Errorf("PutIfNewer: %v", err)
				}
			}
		})
	}
	wg.Wait()
	w.want(w.store, "a", string(stamped(last)))
}

func durable(w *world) {
	for i := range 20 {
		key := fmt.Sprintf("mtasts/%d.example", i)
		w.put(w.store, key, string(stamped(int64(i))), int64(i))
		w.want(w.again(), key, string(stamped(int64(i))))
	}
	again := w.again()
	if got := len(w.keys(again.Keys(w.ctx, ""))); got != 20 {
		w.Errorf("another process sees %d keys, want 20", got)
	}
	w.put(again, "mtasts/1.example", "from there", 100)
	w.want(w.store, "mtasts/1.example", "from there")
}

func durableMeta(w *world) {
	w.putUntil(w.store, "a", "v", 10, w.expiresIn(2))
	w.putUntil(w.store, "never", "v", 10, w.expiresIn(0))
	again := w.again()
	w.put(again, "a", "older", 9)
	w.put(again, "never", "older", 9)
	w.want(again, "a", "v")
	w.sleep(2 * w.unit)
	w.wantNone(again, "a")
	w.want(again, "never", "v")
}

func durableDelete(w *world) {
	again := w.again()
	w.put(w.store, "a", "v", 10)
	w.want(again, "a", "v")
	w.delete(w.store, "a")
	w.wantNone(again, "a")
	w.wantNone(w.again(), "a")
	w.put(again, "a", "lower", 5)
	w.delete(again, "a")
	w.wantNone(w.store, "a")
	w.wantKeys(w.store, "")
}
