package cache

import (
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
)

// One LRU and one plain map under an RWMutex, with the same keys: 100 000 held,
// 1 000 of them hot.
func BenchmarkGet(b *testing.B) {
	var l LRU[int]
	var mu sync.RWMutex
	plain := make(map[string]int)
	for i := range 100_000 {
		l.Put("domain"+strconv.Itoa(i)+".example", i)
		plain["domain"+strconv.Itoa(i)+".example"] = i
	}
	hot := make([]string, 1000)
	for i := range hot {
		hot[i] = "domain" + strconv.Itoa(97*i) + ".example"
	}
	for _, c := range []struct {
		name string
		get  func(string) (int, bool)
	}{
		{"LRU", l.Get},
		{"RWMutexMap", func(key string) (int, bool) {
			mu.RLock()
			v, ok := plain[key]
			mu.RUnlock()
			return v, ok
		}},
	} {
		b.Run("of="+c.name+"/cores=one", func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, ok := c.get(hot[i%len(hot)]); !ok {
					b.Fatal("lost")
				}
			}
		})
		b.Run("of="+c.name+"/cores=all", func(b *testing.B) {
			b.ReportAllocs()
			var start atomic.Int64
			b.RunParallel(func(pb *testing.PB) {
				for i := int(start.Add(333)); pb.Next(); i++ {
					if _, ok := c.get(hot[i%len(hot)]); !ok {
						b.Error("lost")
						return
					}
				}
			})
		})
	}
}

func BenchmarkPut(b *testing.B) {
	keys := make([]string, 200_000)
	for i := range keys {
		keys[i] = "domain" + strconv.Itoa(i) + ".example"
	}
	b.Run("new and evicting", func(b *testing.B) {
		var l LRU[int]
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			l.Put(keys[i%len(keys)], i)
		}
	})
	b.Run("known", func(b *testing.B) {
		var l LRU[int]
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			l.Put(keys[i%1000], i)
		}
	})
	b.Run("first", func(b *testing.B) { // what an LRU costs that is used once
		b.ReportAllocs()
		for b.Loop() {
			var l LRU[int]
			l.Put(keys[0], 1)
		}
	})
}

// Bytes per entry at a million entries, as filled and after ten million more
// have passed through.
func BenchmarkMillion(b *testing.B) {
	for _, c := range []struct {
		name string
		more int
	}{{"filled", 0}, {"worn", 10_000_000}} {
		b.Run(c.name, func(b *testing.B) {
			var bytes float64
			for b.Loop() {
				_, bytes = million(c.more)
			}
			b.ReportMetric(bytes, "B/entry")
		})
	}
}
