package mtasts

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// STS-93: what was used before the restart is renewed, though nobody asks.
func TestRunRenewsWhatTheStoreHolds(t *testing.T) {
	for _, mode := range []Mode{ModeEnforce, ModeTesting} {
		stored(t, func(t *testing.T, w *world, m *memStore, start func() *Client) {
			w.publish("example.com", "1", text(mode, 7*day, "mx.example.com"))
			lookup(t, start(), "example.com")
			c := start()
			time.Sleep(5 * day)
			m.set(func(m *memStore) { m.getErr = errDisk })
			go c.Run(t.Context())
			time.Sleep(time.Minute)
			m.set(func(m *memStore) { m.getErr = nil })
			time.Sleep(day / 2)
			if _, got := w.counts("example.com"); got != 2 {
				t.Errorf("%d GETs", got)
			}
			w.down("example.com")
			time.Sleep(4 * day)
			wantMode(t, lookup(t, start(), "example.com"), mode)
		})
	}
}

// What was not used for a month is left to expire, and what is garbage is passed over.
func TestTheWalkTakesWhatIsUsed(t *testing.T) {
	stored(t, func(t *testing.T, w *world, m *memStore, start func() *Client) {
		old := time.Now()
		m.keep("unused.example", "1", text(ModeEnforce, 365*day, "mx.example.com"), old)
		m.keep("expired.example", "1", text(ModeEnforce, day, "mx.example.com"), old)
		time.Sleep(40 * day)
		m.keep("used.example", "1", text(ModeEnforce, 365*day, "mx.example.com"), time.Now())
		m.entries["mtasts/garbage.example"] = memEntry{"?", 1, time.Now().Add(day)}
		m.entries["mtasts/Not.A.Key"] = memEntry{"?", 1, time.Now().Add(day)}
		c := start()
		go c.Run(t.Context())
		time.Sleep(time.Second)
		if st := c.Stats(); st.Policies != 1 {
			t.Errorf("%+v", st)
		}
	})
}

// A thousand entries a second, and nothing that is in use goes for them.
func TestTheWalkIsSlowAndPushesNothingOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, m := newWorld(), newMemStore()
		evicted := 0
		c := &Client{Resolver: w, Transport: w, Store: m, Capacity: 1000, Trace: &Trace{Evicted: func(Result) { evicted++ }}}
		defer c.Close()
		w.publish("mine.example", "1", text(ModeEnforce, 365*day, "mx.example.com"))
		lookup(t, c, "mine.example")
		for i := range 3000 {
			m.keep(fmt.Sprintf("d%04d.example", i), "1", text(ModeEnforce, 365*day, "mx.example.com"), time.Now())
		}
		go c.Run(t.Context())
		time.Sleep(500 * time.Millisecond)
		if n := c.Stats().Policies; n < 400 || n > 700 {
			t.Errorf("%d after half a second", n)
		}
		time.Sleep(10 * time.Second)
		if n := c.Stats().Policies; n != 1000 || evicted != 0 {
			t.Errorf("%d policies, %d evicted", n, evicted)
		}
		if _, ok := c.snapshot("mine.example"); !ok {
			t.Error("the policy in use is gone")
		}
	})
}

// R11: nor does what was used for long, but not lately, push out what is in use.
func TestTheWalkLeavesTheProtectedTheirPlaces(t *testing.T) {
	stored(t, func(t *testing.T, w *world, m *memStore, start func() *Client) {
		const capacity, inUse = 64, 56
		c := start()
		c.Capacity = capacity
		keep := func(name string, used time.Time) {
			e := entry{domain: name, id: "1", start: time.Now().Add(-time.Hour), text: text(ModeEnforce, 7*day, "mx.example.com"), used: used.Unix() / secondsPerDay, days: 9}
			m.entries[entryKey(name)] = memEntry{string(e.encode()), e.version(), time.Now().Add(99 * day)}
		}
		for i := range inUse {
			name := fmt.Sprintf("used%d.example", i)
			keep(name, time.Now())
			lookup(t, c, name)
		}
		for i := range 20 {
			keep(fmt.Sprintf("was%d.example", i), time.Now().Add(-20*day))
		}
		if err := c.walkOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
		for i := range inUse {
			if name := fmt.Sprintf("used%d.example", i); !holds(c, name) {
				t.Errorf("%s is gone", name)
			}
		}
	})
}

// A start reads nothing, and Run ends though the Store hangs.
func TestNothingIsReadAtStart(t *testing.T) {
	stored(t, func(t *testing.T, w *world, m *memStore, start func() *Client) {
		m.keep("example.com", "1", text(ModeEnforce, 365*day, "mx.example.com"), time.Now())
		c := start()
		c.Stats()
		time.Sleep(day)
		if m.gets != 0 {
			t.Errorf("%d reads", m.gets)
		}
		m.set(func(m *memStore) { m.delay = time.Hour })
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- c.Run(ctx) }()
		time.Sleep(time.Second)
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

func TestPoliciesOfTheStore(t *testing.T) {
	stored(t, func(t *testing.T, w *world, m *memStore, start func() *Client) {
		w.publish("held.example", "1", text(ModeEnforce, 7*day, "mx.example.com"))
		m.keep("stored.example", "1", text(ModeTesting, 7*day, "mx.example.com"), time.Now())
		m.keep("lapsed.example", "1", text(ModeEnforce, time.Second, "mx.example.com"), time.Now())
		time.Sleep(time.Minute)
		c := start()
		lookup(t, c, "held.example")
		got := map[string]Cause{}
		for r, err := range c.Policies(t.Context()) {
			if _, twice := got[r.Domain]; err != nil || twice {
				t.Fatalf("%+v, %v", r, err)
			}
			got[r.Domain] = r.Cause()
		}
		if len(got) != 3 || got["held.example"] != "" || got["stored.example"] != CauseTesting || got["lapsed.example"] != CauseLapsed {
			t.Errorf("%v", got)
		}
		if n := c.Stats().Policies; n != 1 {
			t.Errorf("to be seen is no use: %d in memory", n)
		}
		m.set(func(m *memStore) { m.getErr = errDisk })
		errs := 0
		for _, err := range c.Policies(t.Context()) {
			if err != nil {
				errs++
			}
		}
		if errs != 3 { // two entries, and the list
			t.Errorf("%d errors", errs)
		}
	})
}

func holds(c *Client, name string) bool {
	_, ok := c.snapshot(name)
	return ok
}
