package mtasts

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
)

const (
	benchHeld = 100_000
	benchHot  = 1_000
)

// benchClient holds 50,000 policies and as many absences.
func benchClient(b *testing.B) (c *Client, held, absent []string) {
	c = &Client{Resolver: newWorld(), Transport: newWorld(), Capacity: benchHeld}
	b.Cleanup(func() { c.Close() })
	c.open()
	for i := range benchHeld / 2 {
		name := fmt.Sprintf("held%06d.example", i)
		install(b, c, name, "20240101", text(ModeEnforce, 365*day, "mx."+name, "*.mail."+name), c.clock.now())
		held = append(held, name)
		name = fmt.Sprintf("gone%06d.example", i)
		c.absences.Put(name, newAbsence(c.clock.now(), maxAbsence))
		absent = append(absent, name)
	}
	return c, held, absent
}

// BenchmarkLookup holds a warm Lookup against a plain map under an RWMutex, the
// least that any cache costs: 100,000 domains, 1,000 of them hot.
func BenchmarkLookup(b *testing.B) {
	c, held, absent := benchClient(b)
	var mu sync.RWMutex
	plain := make(map[string]*Policy)
	for _, name := range append(held, absent...) {
		plain[name] = new(Policy)
	}
	ctx := context.Background()
	ways := []struct {
		name string
		do   func(i int)
	}{
		{"map", func(i int) {
			mu.RLock()
			p := plain[held[i%benchHot]]
			mu.RUnlock()
			if p == nil {
				b.Error("not there")
			}
		}},
		{"policy", func(i int) {
			if r, err := c.Lookup(ctx, held[i%benchHot]); r.Policy == nil || err != nil {
				b.Error(r, err)
			}
		}},
		{"absence", func(i int) {
			if r, err := c.Lookup(ctx, absent[i%benchHot]); r.Policy != nil || r.Checked.IsZero() || err != nil {
				b.Error(r, err)
			}
		}},
	}
	for _, w := range ways {
		b.Run("alone/"+w.name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				w.do(i)
			}
		})
	}
	for _, w := range ways {
		b.Run("all-cores/"+w.name, func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					w.do(i)
				}
			})
		})
	}
}

// BenchmarkMemory reports what a domain costs in heap, with a million of them.
func BenchmarkMemory(b *testing.B) {
	const domains = 1_000_000
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	for _, what := range []string{"policies", "absences"} {
		b.Run(what, func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				before := heap()
				b.StartTimer()
				c := &Client{Resolver: newWorld(), Transport: newWorld(), Capacity: domains * 21 / 20}
				c.open()
				for i := range domains {
					name := fmt.Sprintf("d%07d.example", i)
					if what == "absences" {
						c.absences.Put(name, newAbsence(c.clock.now(), maxAbsence))
						continue
					}
					// 97 bytes of text; the median in the field is 94.
					install(b, c, name, fmt.Sprintf("2024%010d", i),
						"version: STSv1\nmode: enforce\nmx: mx1."+name+"\nmx: mx2."+name+"\nmax_age: 604800\n", instant(i+1))
				}
				b.StopTimer()
				st := c.Stats()
				if st.Policies+st.Absences != domains {
					b.Fatalf("%+v", st)
				}
				b.ReportMetric(float64(heap()-before)/domains, "B/domain")
				c.Close()
				b.StartTimer()
			}
		})
	}
}
