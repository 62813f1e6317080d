package mtasts

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// STS-101: a policy that was learned holds after a restart, with the network
// blocked, for as long as it would have without one.
func TestAPolicySurvivesARestart(t *testing.T) {
	stored(t, func(t *testing.T, w *world, m *memStore, start func() *Client) {
		w.publish("example.com", "1", text(ModeEnforce, 7*day, "mx.example.com"))
		first := lookup(t, start(), "example.com")
		w.down("example.com")
		c := start()
		before := time.Now()
		r := lookup(t, c, "example.com")
		wantMode(t, r, ModeEnforce)
		if !r.Fetched.Equal(first.Fetched) || !r.Expires.Equal(first.Expires) || r.ID != "1" || !time.Now().Equal(before) {
			t.Errorf("%+v, want %+v", r, first)
		}
		time.Sleep(7 * day)
		wantMode(t, lookup(t, start(), "example.com"), ModeEnforce)
		time.Sleep(time.Nanosecond)
		if r := lookup(t, start(), "example.com"); r.Cause() != CauseLapsed { // R30
			t.Errorf("after its end: %+v", r)
		}
		time.Sleep(31 * day)
		if r := lookup(t, start(), "example.com"); r.Lapsed != nil || r.Policy != nil {
			t.Errorf("after 31 days: %+v", r)
		}
	})
}

// What the Store held is looked at in the background, as everything is.
func TestWhatTheStoreHeldIsChecked(t *testing.T) {
	stored(t, func(t *testing.T, w *world, m *memStore, start func() *Client) {
		w.publish("example.com", "1", text(ModeEnforce, 7*day, "old.example.com"))
		lookup(t, start(), "example.com")
		w.publish("example.com", "2", text(ModeEnforce, 7*day, "mx.example.com"))
		time.Sleep(time.Minute)
		c := start()
		if r := lookup(t, c, "example.com"); r.ID != "1" {
			t.Errorf("%+v", r)
		}
		if r := lookup(t, c, "example.com"); r.ID != "2" || r.Policy.MX[0] != "mx.example.com" {
			t.Errorf("%+v", r)
		}
		w.want(t, "example.com", 2, 2)
		if e, ok := m.holds("example.com"); !ok || e.id != "2" {
			t.Errorf("the Store holds %+v", e)
		}
	})
}

// I7: what enforces nothing waits for its owner's word, and counts when that
// cannot be had.
func TestWhatEnforcesNothingIsAHint(t *testing.T) {
	for _, m := range []Mode{ModeTesting, ModeNone} {
		stored(t, func(t *testing.T, w *world, store *memStore, start func() *Client) {
			old := text(m, 7*day, "mx.example.com")
			store.keep("example.com", "1", old, time.Now())
			store.keep("silent.example", "1", old, time.Now())
			store.keep("broken.example", "1", old, time.Now())
			store.keep("denied.example", "1", old, time.Now())
			time.Sleep(time.Minute)
			w.publish("example.com", "1", text(ModeEnforce, 7*day, "mx.example.com"))
			w.down("silent.example")
			w.publish("broken.example", "2", "")
			c := start()
			wantMode(t, lookup(t, c, "example.com"), ModeEnforce)
			for _, name := range []string{"silent.example", "broken.example", "denied.example"} {
				r := lookup(t, c, name)
				if wantMode(t, r, m); r.Failure == nil {
					t.Errorf("%s: %+v", name, r)
				}
				asked, _ := w.counts(name)
				wantMode(t, lookup(t, c, name), m)
				if again, _ := w.counts(name); again != asked {
					t.Errorf("%s: asked again", name)
				}
			}
		})
	}
}

// R9, STS-103: where the Store cannot be read, a policy that is found is used,
// and "no policy" is an error, for as long as that lasts.
func TestAnUnreadableStoreIsNoAbsence(t *testing.T) {
	stored(t, func(t *testing.T, w *world, m *memStore, start func() *Client) {
		w.publish("found.example", "1", text(ModeEnforce, day, "mx.example.com"))
		w.publish("broken.example", "1", "")
		w.set("silent.example", func(d *domain) { d.dnsErr = errDown })
		w.set("absent.example", func(d *domain) { d.ttl = time.Hour })
		m.set(func(m *memStore) { m.getErr = errDisk })
		c := start()
		wantMode(t, lookup(t, c, "found.example"), ModeEnforce)
		for range 60 {
			for _, name := range []string{"absent.example", "broken.example", "silent.example"} {
				r, err := c.Lookup(t.Context(), name)
				if !errors.Is(err, ErrStore) || !strings.Contains(err.Error(), "input/output error") {
					t.Fatalf("%s: %+v, %v", name, r, err)
				}
				if r, err := c.Refresh(t.Context(), name); !errors.Is(err, ErrStore) {
					t.Fatalf("%s: Refresh: %+v, %v", name, r, err)
				}
			}
			time.Sleep(time.Second)
		}
		if asked, _ := w.counts("absent.example"); asked > 3 {
			t.Errorf("%d TXT queries in a minute", asked) // R7: by Refresh, every 30 seconds
		}
		if m.gets > 1+3*8 {
			t.Errorf("%d reads of three entries in a minute", m.gets)
		}
		m.set(func(m *memStore) { m.getErr = nil })
		time.Sleep(readAgain)
		asked, _ := w.counts("absent.example")
		if r := lookup(t, c, "absent.example"); r.Cause() != CauseAbsent {
			t.Errorf("%+v", r)
		}
		if again, _ := w.counts("absent.example"); again != asked {
			t.Error("what DNS said is not forgotten")
		}
	})
}

// R9: nor does it become one where a flood of other names pushed out what was seen
// of the domain when its GET began.
func TestAnUnreadableStoreAndAFlood(t *testing.T) {
	stored(t, func(t *testing.T, w *world, m *memStore, start func() *Client) {
		c := start()
		c.Capacity = 1024
		m.set(func(m *memStore) { m.getErr = errDisk })
		w.publish("example.com", "1", "no policy")
		w.delay = 5 * time.Second
		done := make(chan error)
		go func() {
			_, err := c.Lookup(t.Context(), "example.com")
			done <- err
		}()
		time.Sleep(7 * time.Second) // the GET is in the air
		w.mu.Lock()
		w.delay = 0
		w.mu.Unlock()
		for i := range 1500 {
			name := fmt.Sprintf("d%d.example", i)
			w.set(name, func(d *domain) { d.dnsErr = errDown })
			_, _ = c.Lookup(t.Context(), name)
		}
		if err := <-done; !errors.Is(err, ErrStore) {
			t.Errorf("%v", err)
		}
		if r, err := c.Lookup(t.Context(), "example.com"); !errors.Is(err, ErrStore) {
			t.Errorf("again: %+v, %v", r, err)
		}
	})
}

// R9, R30: what lapsed, too.
func TestAnUnreadableStoreAndALapsedPolicy(t *testing.T) {
	stored(t, func(t *testing.T, w *world, m *memStore, start func() *Client) {
		w.publish("example.com", "1", text(ModeEnforce, day, "mx.example.com"))
		c := start()
		lookup(t, c, "example.com")
		w.down("example.com")
		time.Sleep(2 * day)
		m.set(func(m *memStore) { m.getErr = errDisk })
		if r, err := c.Lookup(t.Context(), "example.com"); !errors.Is(err, ErrStore) {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

// A Store that hangs costs two seconds, and nobody else's place; I12, R34.
func TestAStoreThatHangs(t *testing.T) {
	stored(t, func(t *testing.T, w *world, m *memStore, start func() *Client) {
		w.publish("example.com", "1", text(ModeEnforce, 7*day, "mx.example.com"))
		lookup(t, start(), "example.com")
		m.set(func(m *memStore) { m.delay = time.Hour })
		c := start()
		began := time.Now()
		wantMode(t, lookup(t, c, "example.com"), ModeEnforce)
		if took := time.Since(began); took != readLimit+writeLimit {
			t.Errorf("took %v", took)
		}
		began = time.Now()
		r, err := c.Lookup(t.Context(), "absent.example")
		if took := time.Since(began); took != readLimit || !errors.Is(err, ErrStore) || isContextError(err) {
			t.Errorf("%+v, %v after %v", r, err, took)
		}
		began = time.Now()
		if _, err := c.Lookup(t.Context(), "absent.example"); !errors.Is(err, ErrStore) || time.Now() != began {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

// R20: a panic of the Store's is an error of the Store's.
func TestAStoreThatPanics(t *testing.T) {
	stored(t, func(t *testing.T, w *world, m *memStore, start func() *Client) {
		w.publish("example.com", "1", text(ModeEnforce, 7*day, "mx.example.com"))
		m.panics = true
		c := start()
		wantMode(t, lookup(t, c, "example.com"), ModeEnforce)
		if r, err := c.Lookup(t.Context(), "absent.example"); !errors.Is(err, ErrStore) || strings.Contains(err.Error(), "oops") {
			t.Errorf("%+v, %v", r, err)
		}
		if err := c.Forget(t.Context(), "example.com"); err == nil {
			t.Error("Forget says that the Store forgot")
		}
	})
}

// R6, STS-104: a start that cannot be is one of now, once, and a GET is due.
func TestAnImpossibleStartIsOfNow(t *testing.T) {
	for _, off := range []time.Duration{10 * 365 * day, time.Hour, -3 * 365 * day} {
		stored(t, func(t *testing.T, w *world, m *memStore, start func() *Client) {
			time.Sleep(10 * 365 * day)
			w.publish("example.com", "1", text(ModeEnforce, 7*day, "mx.example.com"))
			m.keep("example.com", "1", text(ModeEnforce, 7*day, "mx.example.com"), time.Now().Add(off))
			w.set("example.com", func(d *domain) { d.httpErr = errDown })
			c := start()
			first := time.Now()
			r := lookup(t, c, "example.com")
			if wantMode(t, r, ModeEnforce); !r.Fetched.Equal(first.Add(-1)) {
				t.Errorf("fetched %v", r.Fetched)
			}
			w.want(t, "example.com", 1, 1)
			time.Sleep(6 * day)
			wantMode(t, lookup(t, start(), "example.com"), ModeEnforce)
			time.Sleep(2 * day)
			if r := lookup(t, start(), "example.com"); r.Policy != nil {
				t.Errorf("immortal: %+v", r)
			}
		})
	}
}

// A machine that starts with an old clock loses nothing of what it held; and a GET of
// its own replaces what came from the future.
func TestAnOldClockAtTheStart(t *testing.T) { // R23
	const back = 26 * 365 * day
	stored(t, func(t *testing.T, w *world, m *memStore, start func() *Client) {
		good := text(ModeEnforce, 30*day, "mx.example.com")
		fetched := time.Now().Add(back - time.Hour)
		for _, name := range []string{"example.com", "renewed.example"} {
			m.keep(name, "1", good, fetched)
			m.set(func(m *memStore) {
				e := m.entries[entryKey(name)]
				e.expires = fetched.Add(60 * day)
				m.entries[entryKey(name)] = e
			})
			w.down(name)
		}
		c := start()
		for range 2 { // also after a restart
			wantMode(t, lookup(t, c, "example.com"), ModeEnforce)
			c = start()
		}
		w.publish("renewed.example", "2", good)
		w.set("renewed.example", func(d *domain) { d.dnsErr, d.httpErr = nil, nil })
		lookup(t, c, "renewed.example")
		time.Sleep(2 * time.Minute)
		if r := lookup(t, c, "renewed.example"); r.ID != "2" {
			t.Errorf("%+v", r)
		}
		if e, ok := m.holds("renewed.example"); !ok || e.id != "2" {
			t.Errorf("the Store holds %+v", e)
		}
		c.Close()
		time.Sleep(time.Until(fetched.Add(time.Hour))) // the clock is set
		r := lookup(t, start(), "example.com")
		if wantMode(t, r, ModeEnforce); !r.Fetched.Equal(fetched) {
			t.Errorf("fetched %v, want %v", r.Fetched, fetched)
		}
	})
}

// What is no entry is never believed, and is gone then.
func TestGarbageInTheStore(t *testing.T) {
	for _, value := range []string{"", "garbage", "strictmx-policy/1\ndomain: other.example\nid: 1\nfetched: 2000-01-01T00:00:01Z\n\n" + text(ModeEnforce, day, "mx.example.com"),
		"strictmx-policy/1\ndomain: example.com\nid: 1\nfetched: 2000-01-01T00:00:01Z\n\nversion: STSv1\nmode: enforced\n",
		"strictmx-policy/1\ndomain: example.com\nid: 1\nfetched: 2000-01-01T00:00:01Z\n\n" + text(ModeEnforce, 0, "mx.example.com"),
		strings.Repeat("x", maxEntry+1)} {
		stored(t, func(t *testing.T, w *world, m *memStore, start func() *Client) {
			time.Sleep(time.Minute)
			m.entries[entryKey("example.com")] = memEntry{value, 1 << 62, time.Now().Add(day)}
			c := start()
			if r := lookup(t, c, "example.com"); r.Cause() != CauseAbsent {
				t.Errorf("%.80q: %+v", value, r)
			}
			if c.Stats().StoreErrors != 1 {
				t.Errorf("%+v", c.Stats())
			}
			w.publish("example.com", "1", text(ModeEnforce, day, "mx.example.com"))
			time.Sleep(10 * time.Minute)
			wantMode(t, lookup(t, c, "example.com"), ModeEnforce)
			if _, ok := m.holds("example.com"); !ok {
				t.Errorf("%.80q is in the way", value)
			}
		})
	}
}

// An entry of a later release is left alone, and nobody knows what it says.
func TestAnEntryOfALaterRelease(t *testing.T) {
	stored(t, func(t *testing.T, w *world, m *memStore, start func() *Client) {
		later := memEntry{"strictmx-policy/2\nwho knows\n", 1, time.Now().Add(day)}
		m.entries[entryKey("example.com")] = later
		if r, err := start().Lookup(t.Context(), "example.com"); !errors.Is(err, ErrStore) {
			t.Errorf("%+v, %v", r, err)
		}
		if m.entries[entryKey("example.com")] != later {
			t.Error("it is gone")
		}
	})
}

// I17, and R11: what memory has no room for is read again.
func TestEvictionCostsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, m := newWorld(), newMemStore()
		c := &Client{Resolver: w, Transport: w, Store: m, Capacity: 2}
		defer c.Close()
		names := []string{"a.example", "b.example", "c.example", "d.example", "e.example"}
		for range 3 {
			for _, name := range names {
				w.publish(name, "1", text(ModeEnforce, 7*day, "mx.example.com"))
				wantMode(t, lookup(t, c, name), ModeEnforce)
			}
			time.Sleep(day / 4)
		}
		w.down(names...)
		for _, name := range names {
			wantMode(t, lookup(t, c, name), ModeEnforce)
		}
		if st := c.Stats(); st.Lost != 0 {
			t.Errorf("%+v", st)
		}
	})
}
