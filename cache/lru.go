package cache

import (
	"hash/maphash"
	"iter"
	"math"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

const defaultCapacity = 100_000

// LRU maps strings to values and keeps a bounded number of them: those used
// last. The zero value works; an LRU must not be copied after its first use.
// All methods may be called at once from many goroutines.
//
// A large LRU is split into shards, each with a lock and an order of its own: what it
// evicts is the entry unused for longest in the shard that grew, which is nearly the
// longest of all. One with a Capacity below 512 has one shard and is exact.
//
// A million entries with keys of 15 bytes and values of 8 take 142 MB, keys included.
type LRU[V any] struct {
	// Capacity is how many entries are kept. If zero, 100 000. It is read at the
	// first Put or Update and fixed from then on.
	Capacity int

	shards  atomic.Pointer[shards[V]] // nil until something is put in
	entries atomic.Int64
	evicted atomic.Uint64
}

// Get returns the value for key and marks it as used. It does not allocate.
func (l *LRU[V]) Get(key string) (v V, ok bool) {
	s := l.shards.Load().find(key)
	if s == nil {
		return v, false
	}
	s.mu.Lock()
	if s.lru != nil {
		v, ok = s.lru.Get(key)
	}
	s.mu.Unlock()
	return v, ok
}

// Peek returns the value for key and leaves its age as it is.
func (l *LRU[V]) Peek(key string) (v V, ok bool) {
	s := l.shards.Load().find(key)
	if s == nil {
		return v, false
	}
	s.mu.Lock()
	if s.lru != nil {
		v, ok = s.lru.Peek(key)
	}
	s.mu.Unlock()
	return v, ok
}

// Put sets the value for key and marks it as used.
func (l *LRU[V]) Put(key string, v V) {
	l.Update(key, func(V, bool) (V, bool) { return v, true })
}

// Delete removes key and reports whether it was there.
func (l *LRU[V]) Delete(key string) (deleted bool) {
	if l.shards.Load() == nil {
		return false
	}
	l.Update(key, func(v V, ok bool) (V, bool) {
		deleted = ok
		return v, false
	})
	return deleted
}

// Update looks at the value for key and decides about it in one step: no other
// change to key comes between. f gets the value, or the zero V and false where
// there is none. It returns what is to be kept, which marks the key as used; or
// false, for nothing: then what was there is removed. f holds a lock: it
// must be quick, and must not call the LRU.
func (l *LRU[V]) Update(key string, f func(v V, ok bool) (_ V, keep bool)) {
	all := l.shards.Load()
	if all == nil {
		l.shards.CompareAndSwap(nil, newShards[V](l.Capacity))
		all = l.shards.Load()
	}
	s := all.find(key)
	if l.update(all, s, key, f) {
		return
	}
	// The shard had nothing to give but the new entry: another one has.
	for l.entries.Load() > all.capacity {
		for i := range all.shard {
			if l.makeRoom(&all.shard[i], s) {
				return
			}
		}
	}
}

// update does the work of Update within the shard. It returns false where the
// new entry is one too many and no other in its shard could make room.
func (l *LRU[V]) update(all *shards[V], s *shard[V], key string, f func(V, bool) (V, bool)) bool {
	s.mu.Lock()
	defer s.mu.Unlock() // f may panic
	var old V
	var ok bool
	if s.lru != nil {
		old, ok = s.lru.Peek(key)
	}
	v, keep := f(old, ok)
	switch {
	case ok && keep:
		s.lru.Add(key, v)
	case ok:
		s.lru.Remove(key)
		l.entries.Add(-1)
	case keep:
		if s.lru == nil {
			s.lru = newList[V]()
		}
		// A copy: key may be a small part of something large, such as a message.
		s.lru.Add(strings.Clone(key), v)
		if l.entries.Add(1) > all.capacity {
			return l.evict(s, 1)
		}
	}
	return true
}

// makeRoom evicts an entry of s, but not the last of the shard that is growing.
func (l *LRU[V]) makeRoom(s, growing *shard[V]) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s == growing {
		return l.evict(s, 1)
	}
	return l.evict(s, 0)
}

// evict removes the oldest entry of s, whose lock is held, if it has more than spare.
func (l *LRU[V]) evict(s *shard[V], spare int) bool {
	if s.lru == nil || s.lru.Len() <= spare {
		return false
	}
	s.lru.RemoveOldest()
	l.entries.Add(-1)
	l.evicted.Add(1)
	return true
}

// Len returns the number of entries.
func (l *LRU[V]) Len() int { return int(l.entries.Load()) }

// Evicted returns how many entries were dropped so far to make room for others.
func (l *LRU[V]) Evicted() uint64 { return l.evicted.Load() }

// All yields every entry, in no particular order, and marks none as used. It
// takes no lock while it yields: the loop may change the LRU, and so may
// others. What comes or goes meanwhile may be seen or not; nothing is yielded twice.
func (l *LRU[V]) All() iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		all := l.shards.Load()
		if all == nil {
			return
		}
		for i := range all.shard {
			keys, values := all.shard[i].snapshot()
			for j, key := range keys {
				if !yield(key, values[j]) {
					return
				}
			}
		}
	}
}

const (
	// A Go map is made of tables with 1024 places, which split in two when seven
	// eighths are taken. With 52 shards the tables of a million entries are three
	// fifths full: with 64 they would be half empty, and with 40 fuller at first,
	// but in the wear of entries that come and go they would split and stay so.
	maxShards = 52
	// Fewer entries than this are not worth a lock of their own.
	minPerShard = 256
)

// shards is what an LRU becomes when it is first used.
type shards[V any] struct {
	capacity int64
	seed     maphash.Seed // secret, or keys could be chosen that share a shard
	shard    []shard[V]
}

type shard[V any] struct {
	mu  sync.Mutex
	lru *simplelru.LRU[string, V] // guarded by mu; nil until the first entry
	_   [48]byte                  // no two shards in one cache line
}

func newShards[V any](capacity int) *shards[V] {
	if capacity <= 0 {
		capacity = defaultCapacity
	}
	n := min(max(capacity/minPerShard, 1), maxShards)
	return &shards[V]{capacity: int64(capacity), seed: maphash.MakeSeed(), shard: make([]shard[V], n)}
}

// newList makes the list of one shard. It has no bound of its own, so that all
// shards together hold exactly the capacity, however the keys fall.
func newList[V any]() *simplelru.LRU[string, V] {
	l, err := simplelru.NewLRU[string, V](math.MaxInt, nil)
	if err != nil {
		panic(err) // only for a size that is not positive
	}
	return l
}

// find returns the shard that key belongs to, nil if there are none yet.
func (all *shards[V]) find(key string) *shard[V] {
	if all == nil {
		return nil
	}
	h := maphash.String(all.seed, key)
	return &all.shard[(h>>32)*uint64(len(all.shard))>>32] // h scaled to the number of shards
}

func (s *shard[V]) snapshot() ([]string, []V) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lru == nil {
		return nil, nil
	}
	return s.lru.Keys(), s.lru.Values()
}
