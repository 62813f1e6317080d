package storetest

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"time"

	"github.com/strictmx/strictmx/cache"
)

// storeChecks is the contract of cache.Store, clause by clause.
func storeChecks() []check {
	return []check{
		{name: "what was put is got", run: putAndGet},
		{name: "what is not there is not found", run: missing},
		{name: "bytes of the caller and of the store are not the same bytes", run: noAliases},
		{name: "an empty value is a value", run: emptyValues},
		{name: "any bytes up to the limit are a value", run: largeValues},
		{name: "a value over the limit is refused", run: tooLarge},
		{name: "a higher version replaces a lower one", run: newerReplaces},
		{name: "a lower version changes nothing", run: olderChangesNothing},
		{name: "the same version changes nothing", run: sameChangesNothing},
		{name: "any int64 is a version", run: extremeVersions},
		{name: "an entry is there until it expires", run: expiry},
		{name: "the zero time never comes", run: neverExpires},
		{name: "the version of an expired entry counts for nothing", run: expiredVersion},
		{name: "a newer entry may expire before the older one", run: shorterLife},
		{name: "what has expired when it is put replaces what is older", run: putExpired},
		{name: "what is deleted is gone, with its version", run: deletes},
		{name: "keys that can be none are refused", run: hostileKeys},
		{name: "keys that are odd are told apart", run: oddKeys},
		{name: "a key of the greatest length", run: longKeys},
		{name: "Keys yields those with the prefix", run: prefixes},
		{name: "a loop over Keys may end early", run: endsEarly},
		{name: "a loop over Keys may call the store", run: callsInLoop},
		{name: "Keys during writes", run: keysDuringWrites},
		{name: "nothing is done for a context that has ended", run: endedContext},
		{name: "Keys ends with its context", run: keysContext},
		{name: "a context may end at any moment", run: contextAtAnyMoment},
		{name: "of many writers the newest wins", run: newestWins},
		{name: "readers never see an older version after a newer one", run: monotone},
		{name: "what was put is there for another process", needs: needsAgain, run: durable},
		{name: "expiry and version are there for another process", needs: needsAgain, run: durableMeta},
		{name: "what was deleted is gone for another process", needs: needsAgain, run: durableDelete},
		{name: "of many processes the newest wins", needs: needsAgain, run: newestWinsBetween},
		{name: "a store that fails does not say that there is nothing", needs: needsBreak, run: broken},
	}
}

func putAndGet(w *world) {
	w.put(w.store, "mtasts/example.com", "v1", 1)
	w.put(w.store, "mtasts/example.org", "other", 1)
	w.want(w.store, "mtasts/example.com", "v1")
	w.want(w.store, "mtasts/example.com", "v1") // reading takes nothing away
	w.want(w.store, "mtasts/example.org", "other")
}

func missing(w *world) {
	w.wantNone(w.store, "mtasts/example.com")
	w.put(w.store, "mtasts/example.com", "v1", 1)
	w.wantNone(w.store, "mtasts")
	w.wantNone(w.store, "mtasts/example.co")
	w.wantNone(w.store, "mtasts/example.com/x")
	w.wantKeys(w.store, "", "mtasts/example.com")
}

func noAliases(w *world) {
	value := []byte("as it was")
	if err := w.store.PutIfNewer(w.ctx, "a", value, 1, w.later()); err != nil {
		w.Fatalf("PutIfNewer: %v", err)
	}
	if string(value) != "as it was" {
		w.Errorf("PutIfNewer has changed the value to %q", value)
	}
	copy(value, "scribbles")
	w.want(w.store, "a", "as it was")
	got, err := w.store.Get(w.ctx, "a")
	if err != nil {
		w.Fatalf("Get: %v", err)
	}
	copy(got, "scribbles")
	w.want(w.store, "a", "as it was")
}

func emptyValues(w *world) {
	w.put(w.store, "empty", "", 1)
	if err := w.store.PutIfNewer(w.ctx, "nil", nil, 1, w.later()); err != nil {
		w.Fatalf("PutIfNewer(nil): %v", err)
	}
	w.want(w.store, "empty", "")
	w.want(w.store, "nil", "")
	w.wantKeys(w.store, "", "empty", "nil")
	w.put(w.store, "empty", "full", 2)
	w.want(w.store, "empty", "full")
	w.put(w.store, "empty", "", 3)
	w.want(w.store, "empty", "")
}

func largeValues(w *world) {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	for i, size := range []int{1, 255, 4095, 4096, 4097, 65536, 128 << 10, w.maxValue() - 1, w.maxValue()} {
		value := string(bytes.Repeat(all, size/256+1)[:size])
		w.put(w.store, "large", value, int64(i))
		w.want(w.store, "large", value)
	}
	w.put(w.store, "large", "small", 100)
	w.want(w.store, "large", "small")
}

func tooLarge(w *world) {
	w.put(w.store, "a", "old", 1)
	for _, key := range []string{"a", "b"} {
		err := w.store.PutIfNewer(w.ctx, key, make([]byte, w.maxValue()+1), 2, w.later())
		if !errors.Is(err, cache.ErrTooLarge) {
			w.Errorf("PutIfNewer of %d bytes: %v, want ErrTooLarge", w.maxValue()+1, err)
		}
	}
	w.want(w.store, "a", "old")
	w.wantKeys(w.store, "", "a")
}

func newerReplaces(w *world) {
	for version := range int64(4) {
		w.put(w.store, "a", strings.Repeat("x", 10-int(version)), version)
		w.want(w.store, "a", strings.Repeat("x", 10-int(version)))
	}
	w.wantKeys(w.store, "", "a")
}

func olderChangesNothing(w *world) { // R5
	w.putUntil(w.store, "a", "new", 2, time.Now().Add(2*w.unit))
	w.put(w.store, "a", "old", 1)
	w.want(w.store, "a", "new")
	w.sleep(2 * w.unit)
	w.wantNone(w.store, "a") // not even its expiry
}

func sameChangesNothing(w *world) { // R5
	w.putUntil(w.store, "a", "first", 7, time.Now().Add(2*w.unit))
	w.put(w.store, "a", "second", 7)
	w.want(w.store, "a", "first")
	w.sleep(2 * w.unit)
	w.wantNone(w.store, "a")
}

func extremeVersions(w *world) {
	up := []int64{math.MinInt64, math.MinInt64 + 1, -1, 0, 1, 1 << 53, 1<<53 + 1, math.MaxInt64 - 1, math.MaxInt64}
	for i, version := range up {
		value := string(rune('a' + i))
		w.put(w.store, "a", value, version)
		w.want(w.store, "a", value)
		for _, lower := range up[:i+1] {
			w.put(w.store, "a", "older", lower)
		}
		w.want(w.store, "a", value)
	}
}

func expiry(w *world) {
	start := time.Now()
	w.putUntil(w.store, "short", "v", 1, start.Add(2*w.unit))
	w.putUntil(w.store, "long", "v", 1, start.Add(20*w.unit))
	w.sleep(w.unit)
	w.want(w.store, "short", "v")
	w.sleep(w.unit)
	w.wantNone(w.store, "short") // at that very moment
	w.want(w.store, "long", "v")
	w.sleep(w.unit)
	w.wantNone(w.store, "short")
	w.want(w.store, "long", "v")
}

func neverExpires(w *world) {
	w.putUntil(w.store, "a", "v", 1, time.Time{})
	w.sleep(3 * w.unit)
	w.want(w.store, "a", "v")
	w.putUntil(w.store, "a", "v2", 2, time.Now().Add(w.unit))
	w.sleep(w.unit)
	w.wantNone(w.store, "a")
}

func expiredVersion(w *world) {
	w.putUntil(w.store, "a", "expires", 10, time.Now().Add(w.unit))
	w.sleep(w.unit)
	w.put(w.store, "a", "lower version", 5)
	w.want(w.store, "a", "lower version")
}

func shorterLife(w *world) {
	w.put(w.store, "a", "long", 1)
	w.putUntil(w.store, "a", "short", 2, time.Now().Add(w.unit))
	w.want(w.store, "a", "short")
	w.sleep(w.unit)
	w.wantNone(w.store, "a")
}

func putExpired(w *world) {
	w.put(w.store, "a", "old", 1)
	w.putUntil(w.store, "a", "expired", 2, time.Now().Add(-w.unit))
	w.wantNone(w.store, "a")
	w.put(w.store, "b", "new", 2)
	w.putUntil(w.store, "b", "expired and old", 1, time.Now().Add(-w.unit))
	w.want(w.store, "b", "new")
	w.putUntil(w.store, "c", "expired", 1, time.Unix(0, 0))
	w.wantNone(w.store, "c")
}

func deletes(w *world) {
	w.delete(w.store, "a") // which is not there
	w.put(w.store, "a", "v", 10)
	w.put(w.store, "a/b", "stays", 10)
	w.delete(w.store, "a")
	w.wantNone(w.store, "a")
	w.wantKeys(w.store, "", "a/b")
	w.put(w.store, "a", "lower version", 5)
	w.want(w.store, "a", "lower version")
	w.want(w.store, "a/b", "stays")
}

// broken: R9 makes an error of "no policy" where the store could not be read.
func broken(w *world) {
	w.put(w.store, "a", "v", 1)
	w.suite.Break(w.TB, w.store)
	for range 3 {
		if v, err := w.store.Get(w.ctx, "a"); err == nil || errors.Is(err, cache.ErrNotFound) || v != nil {
			w.Errorf("Get = %.100q, %v; want another error", v, err)
		}
		if err := w.store.PutIfNewer(w.ctx, "a", []byte("v2"), 2, w.later()); err == nil {
			w.Error("PutIfNewer = nil: it is not stored")
		}
		if err := w.store.Delete(w.ctx, "a"); err == nil {
			w.Error("Delete = nil: it is not known to be gone")
		}
		yielded := 0
		for key, err := range w.store.Keys(w.ctx, "") {
			if yielded++; err == nil || key != "" || yielded > 1 {
				w.Fatalf("Keys yields %q, %v; want one error", key, err)
			}
		}
		if yielded == 0 {
			w.Error("Keys yields nothing, as though the store were empty")
		}
	}
}
