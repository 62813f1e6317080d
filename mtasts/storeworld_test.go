package mtasts

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strictmx/strictmx/cache"
)

// memStore is a Store in memory, with faults to order.
type memStore struct {
	mu      sync.Mutex
	entries map[string]memEntry
	getErr  error
	putErr  error
	delay   time.Duration // of every call, whatever its context says
	panics  bool
	gets    int
	puts    int
}

type memEntry struct {
	value   string
	version int64
	expires time.Time
}

func newMemStore() *memStore { return &memStore{entries: make(map[string]memEntry)} }

var errDisk = errors.New("input/output error")

func (m *memStore) set(change func(*memStore)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change(m)
}

func (m *memStore) begin(err *error) (end func()) {
	m.mu.Lock()
	delay, panics := m.delay, m.panics
	m.mu.Unlock()
	time.Sleep(delay)
	if panics {
		panic("oops")
	}
	m.mu.Lock()
	return m.mu.Unlock
}

func (m *memStore) Get(ctx context.Context, key string) ([]byte, error) {
	defer m.begin(nil)()
	m.gets++
	e, ok := m.entries[key]
	switch {
	case m.getErr != nil:
		return nil, m.getErr
	case !ok || !e.expires.After(time.Now()):
		return nil, cache.ErrNotFound
	}
	return []byte(e.value), nil
}

func (m *memStore) PutIfNewer(ctx context.Context, key string, value []byte, version int64, expires time.Time) error {
	defer m.begin(nil)()
	m.puts++
	if m.putErr != nil {
		return m.putErr
	}
	if e, ok := m.entries[key]; ok && e.expires.After(time.Now()) && e.version >= version {
		return nil
	}
	m.entries[key] = memEntry{string(value), version, expires}
	return nil
}

func (m *memStore) Delete(ctx context.Context, key string) error {
	defer m.begin(nil)()
	if m.putErr != nil {
		return m.putErr
	}
	delete(m.entries, key)
	return nil
}

func (m *memStore) Keys(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		m.mu.Lock()
		var keys []string
		for key, e := range m.entries {
			if strings.HasPrefix(key, prefix) && e.expires.After(time.Now()) {
				keys = append(keys, key)
			}
		}
		err := m.getErr
		m.mu.Unlock()
		slices.Sort(keys)
		for _, key := range keys {
			if !yield(key, nil) {
				return
			}
		}
		if err != nil {
			yield("", err)
		}
	}
}

// holds is the entry of a domain, as far as there is one.
func (m *memStore) holds(name string) (entry, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.entries[entryKey(name)]
	if !ok || !e.expires.After(time.Now()) {
		return entry{}, false
	}
	decoded, err := decodeEntry(name, e.value)
	return decoded, err == nil
}

// keep puts a policy into the Store as though a process had fetched it then.
func (m *memStore) keep(name, id, text string, start time.Time) {
	e := entry{domain: name, id: id, start: start, text: text, used: start.Unix() / secondsPerDay, days: 1}
	m.set(func(m *memStore) {
		m.entries[entryKey(name)] = memEntry{string(e.encode()), e.version(), time.Now().Add(1000 * day)}
	})
}

// stored runs f with a world and a Store in a bubble; start starts a Client, and
// closes the one before.
func stored(t *testing.T, f func(t *testing.T, w *world, m *memStore, start func() *Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w, m := newWorld(), newMemStore()
		var c *Client
		start := func() *Client {
			if c != nil {
				c.Close()
			}
			c = &Client{Resolver: w, Transport: w, Store: m}
			return c
		}
		defer func() { c.Close() }()
		f(t, w, m, start)
	})
}

// down: neither DNS nor any policy host answers.
func (w *world) down(names ...string) {
	for _, name := range names {
		w.set(name, func(d *domain) { d.dnsErr, d.httpErr = errDown, errDown })
	}
}
