package cache

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"
)

var (
	benchEntries = flag.Int("entries", 20_000, "how many entries BenchmarkDir opens and reads; 1000000 takes a minute and 4 GB")
	benchPath    = flag.String("dir", "", "a directory to keep those entries in; if empty, a temporary one")
)

// median is a policy of the usual length.
const median = "version: STSv1\nmode: enforce\nmx: mx1.example.com\nmx: mx2.example.com\nmax_age: 604800\n"

func benchKey(i int) string { return "mtasts/domain" + strconv.Itoa(i) + ".example" }

// filled returns the path of a Dir with so many entries, written without fsync.
func filled(b *testing.B, n int) string {
	b.Helper()
	path := *benchPath
	if path == "" {
		path = filepath.Join(b.TempDir(), "store")
	}
	d := &Dir{Path: path, Quota: -1}
	if err := d.Open(); err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	if _, err := os.Stat(fileOf(d, benchKey(n-1))); err == nil {
		return path // of an earlier run
	}
	for i := range n {
		r := record{key: benchKey(i), version: 1795478400000000000, expires: time.Now().Add(7 * 24 * time.Hour), value: []byte(median)}
		if err := os.WriteFile(fileOf(d, r.key), r.encode(), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	return path
}

// Open, with all that the first Get and the first Put of a process cost.
func BenchmarkDirOpen(b *testing.B) {
	n := *benchEntries
	path := filled(b, n)
	version := time.Now().UnixNano()
	b.ReportAllocs()
	for b.Loop() {
		d := &Dir{Path: path, Quota: -1}
		if _, err := d.Get(context.Background(), benchKey(n/2)); err != nil {
			b.Fatal(err)
		}
		version++
		if err := d.PutIfNewer(context.Background(), benchKey(n/3), []byte(median), version, time.Time{}); err != nil {
			b.Fatal(err)
		}
		d.Close()
	}
	b.StopTimer()
	d := &Dir{Path: path, Quota: -1}
	if err := d.Sweep(context.Background()); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(d.open.used())/float64(n), "disk-B/entry")
	b.ReportMetric(float64(n), "entries")
	d.Close()
}

func BenchmarkDirGet(b *testing.B) {
	n := *benchEntries
	d := &Dir{Path: filled(b, n), Quota: -1}
	defer d.Close()
	ended, cancel := context.WithCancel(context.Background())
	defer cancel()
	for _, c := range []struct {
		name string
		ctx  context.Context
		key  func(i int) string
		err  error
	}{
		{"hit", context.Background(), func(i int) string { return benchKey(i * 7919 % n) }, nil},
		{"hit, with a context that may end", ended, func(i int) string { return benchKey(i * 7919 % n) }, nil},
		{"miss", context.Background(), func(i int) string { return "mtasts/missing" + strconv.Itoa(i) }, ErrNotFound},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, err := d.Get(c.ctx, c.key(i)); (err == nil) != (c.err == nil) {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDirPut(b *testing.B) {
	for _, writers := range []int{1, 16} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			d := &Dir{Path: filepath.Join(b.TempDir(), "store"), Quota: -1}
			defer d.Close()
			if err := d.Open(); err != nil {
				b.Fatal(err)
			}
			var next atomic.Int64
			b.ReportAllocs()
			b.SetParallelism(writers) // times the cores; slots lets only so many write at once
			slots := make(chan struct{}, writers)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					slots <- struct{}{}
					i := next.Add(1)
					if err := d.PutIfNewer(context.Background(), benchKey(int(i%10_000)), []byte(median), i, time.Time{}); err != nil {
						b.Error(err)
					}
					<-slots
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "puts/s")
		})
	}
}

func BenchmarkDirKeys(b *testing.B) {
	d := &Dir{Path: filled(b, *benchEntries), Quota: -1}
	defer d.Close()
	b.ReportAllocs()
	for b.Loop() {
		for _, err := range d.Keys(context.Background(), "") {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
}
