package adversary

import (
	"context"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/strictmx/strictmx/cache"
)

// store is what survives a restart.
type store struct {
	mu      sync.Mutex
	entries map[string]stored
}

type stored struct {
	value   []byte
	version int64
	expires time.Time
}

func newStore() *store { return &store{entries: make(map[string]stored)} }

func (s *store) Get(_ context.Context, key string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.entries[key]; ok && e.expires.After(time.Now()) {
		return slices.Clone(e.value), nil
	}
	return nil, cache.ErrNotFound
}

func (s *store) PutIfNewer(_ context.Context, key string, value []byte, version int64, expires time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.entries[key]; !ok || !e.expires.After(time.Now()) || e.version < version {
		s.entries[key] = stored{slices.Clone(value), version, expires}
	}
	return nil
}

func (s *store) Delete(_ context.Context, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.entries, key)
	return nil
}

func (s *store) Keys(_ context.Context, prefix string) iter.Seq2[string, error] {
	s.mu.Lock()
	keys := slices.Sorted(maps.Keys(s.entries))
	s.mu.Unlock()
	return func(yield func(string, error) bool) {
		for _, key := range keys {
			if strings.HasPrefix(key, prefix) && !yield(key, nil) {
				return
			}
		}
	}
}
