package cache_test

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strictmx/strictmx/cache"
	"github.com/strictmx/strictmx/cache/storetest"
)

var (
	key1 = bytes.Repeat([]byte{1}, 32)
	key2 = bytes.Repeat([]byte{2}, 64)
	key3 = bytes.Repeat([]byte{3}, 32)
)

func sealedStore(tb testing.TB, s cache.Store, logger *slog.Logger, keys ...[]byte) cache.Store {
	tb.Helper()
	sealed, err := cache.Sealed(s, logger, keys...)
	if err != nil {
		tb.Fatal(err)
	}
	return sealed
}

func TestSealedIsAStore(t *testing.T) {
	dirs := dirSuite()
	inner := make(map[cache.Store]cache.Store)
	wrap := func(tb testing.TB, s cache.Store) cache.Store {
		sealed := sealedStore(tb, s, nil, key1)
		inner[sealed] = s
		return sealed
	}
	suite := storetest.Suite{
		Open:     func(tb testing.TB) cache.Store { return wrap(tb, dirs.Open(tb)) },
		Again:    func(tb testing.TB, s cache.Store) cache.Store { return wrap(tb, dirs.Again(tb, inner[s])) },
		Break:    func(tb testing.TB, s cache.Store) { dirs.Break(tb, inner[s]) },
		MaxValue: cache.MaxValue - 45,
	}
	suite.Run(t)
	suite.RunLeaser(t)
}

func TestSealedIsALeaserOnlyIfItsStoreIs(t *testing.T) {
	type plain struct{ cache.Store }
	if _, ok := sealedStore(t, plain{&cache.Dir{}}, nil, key1).(cache.Leaser); ok {
		t.Error("it says that it grants leases")
	}
}

func TestKeysOfSealed(t *testing.T) {
	d := dirSuite().Open(t)
	for _, keys := range [][][]byte{nil, {nil}, {make([]byte, 31)}, {key1, make([]byte, 5)}} {
		if s, err := cache.Sealed(d, nil, keys...); err == nil || s != nil {
			t.Errorf("Sealed with keys %v = %v, %v; want an error", keys, s, err)
		}
	}
	ctx, later := t.Context(), time.Now().Add(time.Hour)
	old, both, flipped, other := sealedStore(t, d, nil, key1), sealedStore(t, d, nil, key1, key2), sealedStore(t, d, nil, key2, key1), sealedStore(t, d, nil, key3)
	for version, c := range []struct {
		name          string
		writer        cache.Store
		opens, closed []cache.Store
	}{
		{"the old key, before and while it is changed", old, []cache.Store{old, both, flipped}, []cache.Store{other}},
		{"the new key is known everywhere before it seals", flipped, []cache.Store{both, flipped}, []cache.Store{old, other}},
	} {
		if err := c.writer.PutIfNewer(ctx, "a", []byte("v"), int64(version), later); err != nil {
			t.Fatal(err)
		}
		for i, s := range c.opens {
			if v, err := s.Get(ctx, "a"); err != nil || string(v) != "v" {
				t.Errorf("%s: Get = %q, %v with keys %d", c.name, v, err, i)
			}
		}
		for i, s := range c.closed {
			if v, err := s.Get(ctx, "a"); !errors.Is(err, cache.ErrNotFound) || v != nil {
				t.Errorf("%s: Get = %q, %v with keys %d, want ErrNotFound", c.name, v, err, i)
			}
		}
	}
}

// hostile is a store whose owner answers what it likes.
type hostile struct {
	cache.Store
	answer []byte
	keys   []string
}

func (h *hostile) Get(context.Context, string) ([]byte, error) { return bytes.Clone(h.answer), nil }

func (h *hostile) PutIfNewer(_ context.Context, _ string, value []byte, _ int64, _ time.Time) error {
	h.answer = bytes.Clone(value)
	return nil
}

func (h *hostile) Keys(context.Context, string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for _, key := range h.keys {
			if !yield(key, nil) {
				return
			}
		}
	}
}

func TestABadSealIsAMissAndAWarning(t *testing.T) { // R6
	var log bytes.Buffer
	h := new(hostile)
	s := sealedStore(t, h, slog.New(slog.NewTextHandler(&log, nil)), key1)
	const secret = "version: STSv1\nmode: enforce\n"
	if err := s.PutIfNewer(t.Context(), "mtasts/example.com", []byte(secret), 7, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	whole := bytes.Clone(h.answer)
	if bytes.Contains(whole, []byte("enforce")) || len(whole) != len(secret)+45 {
		t.Errorf("what is stored is %q", whole)
	}
	miss := func(what, key string, answer []byte) {
		t.Helper()
		h.answer = answer
		if v, err := s.Get(t.Context(), key); !errors.Is(err, cache.ErrNotFound) || v != nil {
			t.Errorf("%s: Get = %q, %v; want ErrNotFound", what, v, err)
		}
	}
	miss("moved to another key", "mtasts/example.org", whole)
	miss("nothing", "mtasts/example.com", nil)
	miss("plain text", "mtasts/example.com", []byte(secret+strings.Repeat("x", 50)))
	miss("a byte too many", "mtasts/example.com", append(bytes.Clone(whole), 0))
	for i := range whole { // format, version, expiry, nonce, value, tag
		changed := bytes.Clone(whole)
		changed[i] ^= 1
		miss("changed", "mtasts/example.com", changed)
		miss("cut", "mtasts/example.com", whole[:i])
	}
	if n := strings.Count(log.String(), "level=WARN"); n == 0 || n > 20 {
		t.Errorf("%d warnings, want some: whoever owns the place could fill the disk with them", n)
	}
	h.answer = whole
	if v, err := s.Get(t.Context(), "mtasts/example.com"); err != nil || string(v) != secret {
		t.Errorf("Get = %q, %v", v, err)
	}
}

func TestNobodyKeepsASealedValueBeyondItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := new(hostile)
		s := sealedStore(t, h, nil, key1)
		if err := s.PutIfNewer(t.Context(), "a", []byte("v"), 1, time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour - time.Millisecond)
		if _, err := s.Get(t.Context(), "a"); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Millisecond)
		if v, err := s.Get(t.Context(), "a"); !errors.Is(err, cache.ErrNotFound) {
			t.Errorf("Get = %q, %v; want ErrNotFound", v, err)
		}
	})
}

func TestTwoSealsOfOneValueDiffer(t *testing.T) {
	h := new(hostile)
	s := sealedStore(t, h, nil, key1)
	seen := make(map[string]bool)
	for range 100 {
		if err := s.PutIfNewer(t.Context(), "a", []byte("v"), 1, time.Time{}); err != nil {
			t.Fatal(err)
		}
		seen[string(h.answer)] = true
	}
	if len(seen) != 100 {
		t.Errorf("%d of 100 seals are different", len(seen))
	}
}

func TestKeysThatAreNoneAreNotPassedOn(t *testing.T) {
	h := &hostile{keys: []string{"a/1", "../etc", "b/1", "a/\x1b[2J", "", "a/2", "a/3"}}
	s := sealedStore(t, h, nil, key1)
	var got []string
	for key, err := range s.Keys(t.Context(), "a/") {
		if err != nil {
			t.Fatal(err)
		}
		if got = append(got, key); len(got) == 2 {
			break
		}
	}
	if strings.Join(got, " ") != "a/1 a/2" {
		t.Errorf("Keys yields %q", got)
	}
}

func TestSealedOnADirectory(t *testing.T) {
	d := &cache.Dir{Path: filepath.Join(t.TempDir(), "store")}
	defer d.Close()
	s := sealedStore(t, d, nil, key1)
	if err := s.PutIfNewer(t.Context(), "a", make([]byte, cache.MaxValue-44), 1, time.Time{}); !errors.Is(err, cache.ErrTooLarge) {
		t.Errorf("PutIfNewer = %v, want ErrTooLarge", err)
	}
	if err := s.PutIfNewer(t.Context(), "../a", nil, 1, time.Time{}); !errors.Is(err, cache.ErrKey) {
		t.Errorf("PutIfNewer = %v, want ErrKey", err)
	}
}
