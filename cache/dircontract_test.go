package cache_test

import (
	"path/filepath"
	"testing"

	"github.com/strictmx/strictmx/cache"
	"github.com/strictmx/strictmx/cache/storetest"
)

func dirSuite() storetest.Suite {
	open := func(tb testing.TB, path string) cache.Store {
		d := &cache.Dir{Path: path}
		tb.Cleanup(func() {
			if err := d.Close(); err != nil {
				tb.Errorf("Close: %v", err)
			}
		})
		return d
	}
	return storetest.Suite{
		Open: func(tb testing.TB) cache.Store { return open(tb, filepath.Join(tb.TempDir(), "store")) },
		Again: func(tb testing.TB, s cache.Store) cache.Store {
			return open(tb, s.(*cache.Dir).Path)
		},
		Break: func(tb testing.TB, s cache.Store) { s.(*cache.Dir).BreakDisk() },
	}
}

func TestDirIsAStore(t *testing.T) { dirSuite().Run(t) }

func TestDirIsALeaser(t *testing.T) { dirSuite().RunLeaser(t) }
