package collect

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/strictmx/strictmx/tlsrpt"
)

// knownEvents are sessions with many domains, each in a bucket that c has.
func knownEvents(c *Collector, failures ...tlsrpt.Failure) []tlsrpt.Event {
	events := make([]tlsrpt.Event, 1024)
	for i := range events {
		domain := fmt.Sprintf("domain%04d.example", i)
		events[i] = session(domain, enforce(domain), failures...)
		events[i].Time = time.Now()
		c.Observe(events[i])
	}
	return events
}

func BenchmarkObserve(b *testing.B) {
	for _, bench := range []struct {
		name     string
		failures []tlsrpt.Failure
		copies   bool // a policy of equal content at another address each time
	}{
		{"success", nil, false},
		{"failure", []tlsrpt.Failure{selfSigned}, false},
		{"otherPointer", nil, true},
	} {
		b.Run(bench.name, func(b *testing.B) {
			var c Collector
			events := knownEvents(&c, bench.failures...)
			if bench.copies {
				for i := range events {
					p := enforce(events[i].Domain)
					events[i].Outcomes = []tlsrpt.Outcome{{Policy: p}}
				}
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				c.Observe(events[i%len(events)])
				i++
			}
		})
	}
}

// BenchmarkObserveParallel says how many adds to one shared counter a session
// costs when all cores count at once.
func BenchmarkObserveParallel(b *testing.B) {
	var c Collector
	events := knownEvents(&c)
	var next atomic.Int64
	add := sharedAdd()
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for i := next.Add(511); pb.Next(); i++ {
			c.Observe(events[i%int64(len(events))])
		}
	})
	each := float64(b.Elapsed().Nanoseconds()) / float64(b.N)
	b.ReportMetric(each/add, "adds/op")
}

// sharedAdd returns the nanoseconds that an add to one counter costs when all
// cores add to it.
func sharedAdd() float64 {
	const adds = 5_000_000
	var shared atomic.Int64
	var wg sync.WaitGroup
	start := time.Now()
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for range adds {
				shared.Add(1)
			}
		})
	}
	wg.Wait()
	return float64(time.Since(start).Nanoseconds()) / float64(shared.Load())
}

// BenchmarkMillionDomains holds one policy each for a million domains.
func BenchmarkMillionDomains(b *testing.B) {
	const million = 1_000_000
	for b.Loop() {
		c := newCollector()
		before := heap()
		fill(c, million)
		b.ReportMetric(float64(heap()-before)/million, "bytes/domain")
		b.ReportMetric(float64(c.Stats().Bytes)/million, "estimate/domain")
		if n := c.Stats().Held; n != million {
			b.Fatalf("%d sessions held", n)
		}
	}
}

// BenchmarkTallies makes the tallies of a day of 100,000 domains.
func BenchmarkTallies(b *testing.B) {
	const domains = 100_000
	c := newCollector()
	fill(c, domains)
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		for range c.Tallies(noon) {
			n++
		}
		if n != domains {
			b.Fatal(n)
		}
	}
	b.ReportMetric(float64(b.N)*domains/b.Elapsed().Seconds(), "domains/s")
}

// fill observes one session with each of n domains that want reports.
func fill(c *Collector, n int) {
	for i := range n {
		domain := fmt.Sprintf("domain%07d.example", i)
		want(c, domain)
		c.Observe(session(domain, enforce(domain)))
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
