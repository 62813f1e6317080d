package mtasts

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strictmx/strictmx/internal/dnsname"
)

// fleet runs f with a world, the fleet's Store, and two Clients that share it, each
// with a Store of its own.
func fleet(t *testing.T, f func(t *testing.T, w *world, shared *memStore, a, b *Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w, shared := newWorld(), newMemStore()
		a := &Client{Resolver: w, Transport: w, Store: newMemStore(), Shared: shared}
		b := &Client{Resolver: w, Transport: w, Store: newMemStore(), Shared: shared}
		defer a.Close()
		defer b.Close()
		f(t, w, shared, a, b)
	})
}

// What one process learned the others use without a fetch, and keep when the
// fleet's store is gone.
func TestAFleetFetchesOnce(t *testing.T) {
	fleet(t, func(t *testing.T, w *world, shared *memStore, a, b *Client) {
		w.publish("example.com", "1", text(ModeEnforce, 7*day, "mx.example.com"))
		first := lookup(t, a, "example.com")
		time.Sleep(time.Minute)
		before := time.Now()
		r := lookup(t, b, "example.com")
		if wantMode(t, r, ModeEnforce); !r.Fetched.Equal(first.Fetched) || !time.Now().Equal(before) {
			t.Errorf("%+v", r)
		}
		w.want(t, "example.com", 2, 1) // and b looked at the id
		time.Sleep(2 * time.Minute)
		lookup(t, b, "example.com")
		if e, ok := b.Store.(*memStore).holds("example.com"); !ok || e.text != text(ModeEnforce, 7*day, "mx.example.com") {
			t.Errorf("b's own Store holds %+v", e)
		}
	})
}

// A renewal elsewhere spares one here, and not for ever (R24).
func TestARenewalIsShared(t *testing.T) {
	fleet(t, func(t *testing.T, w *world, shared *memStore, a, b *Client) {
		w.publish("example.com", "1", text(ModeEnforce, 7*day, "mx.example.com"))
		lookup(t, a, "example.com")
		time.Sleep(time.Minute)
		lookup(t, b, "example.com")
		time.Sleep(day)
		lookup(t, a, "example.com") // renews
		time.Sleep(time.Minute)
		lookup(t, b, "example.com")
		_, gets := w.counts("example.com")
		if r := lookup(t, b, "example.com"); gets != 2 || time.Since(r.Fetched) > time.Hour {
			t.Errorf("%d GETs, and b has one of %v ago", gets, time.Since(r.Fetched))
		}
		for range 10 {
			time.Sleep(day)
			lookup(t, a, "example.com")
			time.Sleep(time.Minute)
			lookup(t, b, "example.com")
		}
		if _, again := w.counts("example.com"); again < gets+10+4 || again > gets+10+10 {
			t.Errorf("%d GETs in ten days", again-gets)
		}
	})
}

// R6: what the fleet's store may do to what is known, and what it may not.
func TestTheFleetNeverWeakens(t *testing.T) {
	good := text(ModeEnforce, 7*day, "mx.example.com")
	for _, c := range []struct {
		name        string
		known       string // "": nothing
		shared      string
		age         time.Duration // of the shared one
		want        Mode
		wantFetched bool // here
	}{
		{"fills a hole", "", good, time.Hour, ModeEnforce, false},
		{"an expired one fills none", "", good, 8 * day, "", true},
		{"testing fills none before a GET of one's own", "", text(ModeTesting, 7*day, "mx.example.com"), time.Hour, ModeEnforce, true},
		{"none fills none before a GET of one's own", "", text(ModeNone, 7*day), time.Hour, ModeEnforce, true},
		{"a lower mode", good, text(ModeTesting, 7*day, "mx.example.com"), time.Hour, ModeEnforce, true},
		{"none", good, text(ModeNone, 7*day), time.Hour, ModeEnforce, true},
		{"other hosts", good, text(ModeEnforce, 7*day, "mx.evil.example"), time.Hour, ModeEnforce, true},
		{"a shorter life", good, text(ModeEnforce, time.Hour, "mx.example.com"), time.Minute, ModeEnforce, true},
		{"an older start", good, good, 2 * day, ModeEnforce, true},
		{"renews", good, good, time.Hour, ModeEnforce, false},
		{"strengthens", text(ModeTesting, 7*day, "mx.example.com"), good, time.Hour, ModeEnforce, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			fleet(t, func(t *testing.T, w *world, shared *memStore, a, _ *Client) {
				time.Sleep(30 * day)
				w.set("example.com", func(d *domain) { d.ttl = time.Hour })
				if c.known != "" {
					w.publish("example.com", "1", c.known)
					lookup(t, a, "example.com")
					time.Sleep(day + time.Minute)
				}
				_, had := w.counts("example.com")
				w.publish("example.com", "1", good)
				if c.want == "" {
					w.down("example.com")
					w.set("example.com", func(d *domain) { d.dnsErr = nil })
				}
				shared.set(func(m *memStore) { clear(m.entries) })
				shared.keep("example.com", "1", c.shared, time.Now().Add(-c.age))
				lookup(t, a, "example.com")
				r := lookup(t, a, "example.com")
				wantMode(t, r, c.want)
				if c.want == ModeEnforce && r.Policy.MX[0] != "mx.example.com" {
					t.Errorf("%v", r.Policy)
				}
				if _, got := w.counts("example.com"); (got > had) != c.wantFetched {
					t.Errorf("%d GETs", got-had)
				}
			})
		})
	}
}

// R6, R23: a time that cannot be makes nothing of the fleet's immortal, nor newer than
// what was fetched here; and it is not in the way for ever.
func TestAnImpossibleTimeInTheFleet(t *testing.T) {
	for name, off := range map[string]time.Duration{"the future": 300 * day, "long ago": -3 * 365 * day} {
		t.Run(name, func(t *testing.T) {
			fleet(t, func(t *testing.T, w *world, shared *memStore, a, b *Client) {
				time.Sleep(5 * 365 * day)
				w.publish("known.example", "1", text(ModeTesting, 30*day, "mx.example.com"))
				wantMode(t, lookup(t, a, "known.example"), ModeTesting)
				for _, name := range []string{"known.example", "new.example"} {
					shared.keep(name, "1", text(ModeEnforce, day, "old.example.com"), time.Now().Add(off))
					w.publish(name, "1", "")
					w.set(name, func(d *domain) { d.httpErr = errDown })
				}
				for range 3 {
					time.Sleep(25 * time.Hour)
					lookup(t, a, "known.example")
					wantMode(t, lookup(t, a, "known.example"), ModeTesting)
					if r := lookup(t, a, "new.example"); r.Policy != nil {
						t.Fatalf("%+v", r)
					}
				}
				w.publish("new.example", "2", text(ModeEnforce, 7*day, "mx.example.com"))
				w.set("new.example", func(d *domain) { d.httpErr = nil })
				time.Sleep(2 * time.Hour)
				wantMode(t, lookup(t, a, "new.example"), ModeEnforce)
				time.Sleep(time.Second)
				if e, ok := shared.holds("new.example"); !ok || e.id != "2" {
					t.Errorf("the fleet has %+v", e)
				}
			})
		})
	}
}

// R6, I6: while the Store cannot be read, the fleet does not stand in for it: what it
// says might be weaker than what is there, and would be written over that.
func TestTheFleetIsNoStandInForTheStore(t *testing.T) {
	fleet(t, func(t *testing.T, w *world, shared *memStore, a, _ *Client) {
		own, good := a.Store.(*memStore), text(ModeEnforce, 30*day, "mx.example.com")
		time.Sleep(day)
		own.keep("example.com", "1", good, time.Now().Add(-time.Hour))
		shared.keep("example.com", "1", text(ModeEnforce, 30*day, "mx.evil.example"), time.Now().Add(-time.Minute))
		own.set(func(m *memStore) { m.getErr = errDisk })
		w.down("example.com")
		if r, err := a.Lookup(t.Context(), "example.com"); !errors.Is(err, ErrStore) {
			t.Errorf("%+v, %v", r, err)
		}
		own.set(func(m *memStore) { m.getErr = nil })
		time.Sleep(2 * time.Hour)
		for range 3 {
			if r := lookup(t, a, "example.com"); r.Policy == nil || r.Policy.MX[0] != "mx.example.com" {
				t.Errorf("%+v", r)
			}
			time.Sleep(day)
		}
		if e, ok := own.holds("example.com"); !ok || e.text != good {
			t.Errorf("the Store holds %+v", e)
		}
	})
}

// R10: one owner's many domains keep nobody else from the fleet's store.
func TestABusyParentIsNoFailureOfTheFleet(t *testing.T) {
	fleet(t, func(t *testing.T, w *world, shared *memStore, a, _ *Client) {
		w.down("a.busy.example", "example.com")
		shared.keep("example.com", "1", text(ModeEnforce, 7*day, "mx.example.com"), time.Now())
		time.Sleep(time.Minute)
		lookup(t, a, "other.example")
		for range sharedPlaces / 16 {
			release, ok := a.shared.tryAcquire(dnsname.Parent("a.busy.example"))
			if !ok {
				t.Fatal("no place")
			}
			defer release()
		}
		if r := lookup(t, a, "a.busy.example"); !r.Indeterminate {
			t.Errorf("%+v", r)
		}
		wantMode(t, lookup(t, a, "example.com"), ModeEnforce)
	})
}

// R9, R20: a fleet's store that is slow, fails or panics costs 50 ms now and then,
// and no error comes of it.
func TestTheFleetsStoreMayFail(t *testing.T) {
	for name, change := range map[string]func(*memStore){
		"fails":  func(m *memStore) { m.getErr, m.putErr = errDisk, errDisk },
		"hangs":  func(m *memStore) { m.delay = time.Hour },
		"panics": func(m *memStore) { m.panics = true },
		"garbage": func(m *memStore) {
			m.entries[entryKey("a.example")] = memEntry{"?", 1, time.Now().Add(day)}
			m.entries[entryKey("b.example")] = memEntry{"strictmx-policy/2\n", 1, time.Now().Add(day)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			fleet(t, func(t *testing.T, w *world, shared *memStore, a, _ *Client) {
				shared.set(change)
				began := time.Now()
				for _, name := range []string{"a.example", "b.example", "c.example"} {
					if r := lookup(t, a, name); r.Cause() != CauseAbsent {
						t.Errorf("%s: %+v", name, r)
					}
				}
				w.publish("d.example", "1", text(ModeEnforce, 7*day, "mx.example.com"))
				wantMode(t, lookup(t, a, "d.example"), ModeEnforce)
				if took := time.Since(began); took > sharedLimit {
					t.Errorf("took %v", took)
				}
				if a.Stats().StoreErrors == 0 {
					t.Error("nothing is counted")
				}
			})
		})
	}
}

func TestForgetReachesTheFleet(t *testing.T) {
	fleet(t, func(t *testing.T, w *world, shared *memStore, a, b *Client) {
		w.publish("example.com", "1", text(ModeEnforce, 7*day, "mx.example.com"))
		lookup(t, a, "example.com")
		if err := a.Forget(t.Context(), "example.com"); err != nil {
			t.Error(err)
		}
		w.down("example.com")
		if r := lookup(t, b, "example.com"); r.Policy != nil {
			t.Errorf("%+v", r)
		}
	})
}

// R30, I7: what enforces nothing, and comes from no owner, does not hide that a
// policy lapsed.
func TestWhatLapsedOutlivesAHint(t *testing.T) {
	for _, mode := range []Mode{ModeTesting, ModeNone} {
		fleet(t, func(t *testing.T, w *world, shared *memStore, a, b *Client) {
			w.publish("example.com", "1", text(ModeEnforce, 2*time.Hour, "mx.example.com"))
			wantMode(t, lookup(t, a, "example.com"), ModeEnforce)
			w.set("example.com", func(d *domain) { d.txt, d.httpErr = nil, errDown })
			time.Sleep(5 * time.Hour)
			shared.keep("example.com", "1", text(mode, day, "mx.example.com"), time.Now().Add(-time.Minute))
			for range 3 {
				if r := lookup(t, a, "example.com"); r.Cause() != CauseLapsed {
					t.Errorf("%s: %+v", mode, r)
				}
				time.Sleep(day)
			}
		})
	}
}
