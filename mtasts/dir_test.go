package mtasts

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/strictmx/strictmx/cache"
)

// STS-101, on real files: a Client learns a policy and is thrown away; another one
// on the same directory, to which the network says nothing, still enforces it.
func TestADirKeepsPoliciesOverARestart(t *testing.T) {
	w := newWorld()
	path := filepath.Join(t.TempDir(), "store")
	client := func() (*Client, *cache.Dir) {
		dir := &cache.Dir{Path: path}
		return &Client{Resolver: w, Transport: w, Store: dir, Logger: slog.New(slog.DiscardHandler)}, dir
	}
	w.publish("example.com", "1", text(ModeEnforce, 7*day, "mx.example.com"))
	c, dir := client()
	first, err := c.Lookup(t.Context(), "example.com")
	if err != nil || mode(first) != ModeEnforce {
		t.Fatalf("%+v, %v", first, err)
	}
	c.Close()
	if err := dir.Close(); err != nil {
		t.Fatal(err)
	}
	w.down("example.com")
	c, dir = client()
	defer dir.Close()
	defer c.Close()
	r, err := c.Lookup(t.Context(), "example.com")
	if err != nil || mode(r) != ModeEnforce || r.ID != "1" || r.Fetched.Sub(first.Fetched).Abs() > time.Second {
		t.Errorf("%+v, %v; want %+v", r, err, first)
	}
	if err := c.Forget(t.Context(), "example.com"); err != nil {
		t.Error(err)
	}
	if r, err := c.Lookup(t.Context(), "example.com"); err != nil || r.Policy != nil || !r.Indeterminate {
		t.Errorf("after Forget: %+v, %v", r, err)
	}
}

// BenchmarkStore holds a warm Lookup with a Store against one without, and says
// what a policy costs that a directory holds and memory does not.
func BenchmarkStore(b *testing.B) {
	ctx := context.Background()
	dir := &cache.Dir{Path: filepath.Join(b.TempDir(), "store"), Quota: -1}
	defer dir.Close()
	const held = 1000
	names := make([]string, held)
	for i := range names {
		names[i] = fmt.Sprintf("held%04d.example", i)
	}
	for _, way := range []struct {
		name  string
		store cache.Store
	}{{"warm/without", nil}, {"warm/with", dir}} {
		b.Run(way.name, func(b *testing.B) {
			c := &Client{Resolver: newWorld(), Transport: newWorld(), Store: way.store}
			defer c.Close()
			c.open()
			for _, name := range names {
				install(b, c, name, "1", text(ModeEnforce, 365*day, "mx."+name), c.clock.now())
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if r, err := c.Lookup(ctx, names[i%held]); r.Policy == nil || err != nil {
					b.Fatal(r, err)
				}
			}
		})
	}
	b.Run("miss", func(b *testing.B) {
		w := newWorld()
		c := &Client{Resolver: w, Transport: w, Store: dir}
		defer c.Close()
		for _, name := range names {
			w.publish(name, "1", text(ModeEnforce, 365*day, "mx."+name))
			if _, err := c.Lookup(ctx, name); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			name := names[i%held]
			s := c.change(name)
			if h := s.policies[name]; h != nil {
				c.memory.remove(s, h)
			}
			c.tell(s.unlock())
			if r, err := c.Lookup(ctx, name); r.Policy == nil || err != nil {
				b.Fatal(r, err)
			}
		}
	})
}
