package mtasts

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"
)

// STS-102: a Store that fails to write costs durability and nothing else, and
// gets the policy later.
func TestAStoreThatFailsToWrite(t *testing.T) {
	for _, run := range []bool{false, true} {
		stored(t, func(t *testing.T, w *world, m *memStore, start func() *Client) {
			w.publish("example.com", "1", text(ModeEnforce, 7*day, "mx.example.com"))
			m.set(func(m *memStore) { m.putErr = errDisk })
			c := start()
			if run {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				go c.Run(ctx)
			}
			wantMode(t, lookup(t, c, "example.com"), ModeEnforce)
			wantMode(t, lookup(t, c, "example.com"), ModeEnforce)
			if st := c.Stats(); st.Unsaved != 1 || st.StoreErrors == 0 {
				t.Errorf("%+v", st)
			}
			time.Sleep(5 * time.Minute)
			m.set(func(m *memStore) { m.putErr = nil })
			time.Sleep(3 * time.Minute)
			if !run {
				lookup(t, c, "example.com")
			}
			if e, ok := m.holds("example.com"); !ok || e.id != "1" || e.text != text(ModeEnforce, 7*day, "mx.example.com") {
				t.Errorf("run: %v; the Store holds %+v", run, e)
			}
			if st := c.Stats(); st.Unsaved != 0 {
				t.Errorf("%+v", st)
			}
		})
	}
}

// A caller relies on what is durable: the write is over when Lookup returns.
func TestWhatIsAnsweredIsWritten(t *testing.T) {
	stored(t, func(t *testing.T, w *world, m *memStore, start func() *Client) {
		m.delay = 100 * time.Millisecond
		w.publish("example.com", "1", text(ModeEnforce, 7*day, "mx.example.com"))
		r, err := start().Lookup(t.Context(), "example.com")
		if e, ok := m.holds("example.com"); err != nil || !ok || !e.start.Equal(r.Fetched) {
			t.Errorf("%+v, %v; the Store holds %+v", r, err, e)
		}
	})
}

// STS-91, STS-92, AMB-11: what is fetched replaces what the Store holds, also where
// it asks for less or is not to be kept.
func TestWhatIsFetchedReplacesTheEntry(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       Mode
	}{
		{"mode none", text(ModeNone, day), ModeNone},
		{"mode none and a max_age of 0", text(ModeNone, 0), ""},
		{"enforce and a max_age of 0", text(ModeEnforce, 0, "mx.example.com"), ""},
		{"another host", text(ModeEnforce, day, "mx.example.net"), ModeEnforce},
	} {
		t.Run(c.name, func(t *testing.T) {
			stored(t, func(t *testing.T, w *world, m *memStore, start func() *Client) {
				w.publish("example.com", "1", text(ModeEnforce, 365*day, "mx.example.com"))
				cl := start()
				lookup(t, cl, "example.com")
				time.Sleep(time.Minute)
				w.publish("example.com", "2", c.text)
				lookup(t, cl, "example.com")
				w.down("example.com")
				time.Sleep(time.Minute)
				e, ok := m.holds("example.com")
				if ok != (c.want != "") || ok && e.text != c.text {
					t.Errorf("the Store holds %+v", e)
				}
				wantMode(t, lookup(t, start(), "example.com"), c.want)
			})
		})
	}
}

// R30: a denial that DNSSEC proves ends what lapsed in the Store, too, and none
// that anyone could forge.
func TestAnAuthenticEndReachesTheStore(t *testing.T) {
	for _, secure := range []bool{false, true} {
		stored(t, func(t *testing.T, w *world, m *memStore, start func() *Client) {
			w.publish("example.com", "1", text(ModeEnforce, day, "mx.example.com"))
			lookup(t, start(), "example.com")
			w.set("example.com", func(d *domain) { *d = domain{secure: secure} })
			time.Sleep(2 * day)
			lookup(t, start(), "example.com")
			if r := lookup(t, start(), "example.com"); (r.Lapsed == nil) != secure {
				t.Errorf("secure %v: %+v", secure, r)
			}
		})
	}
}

func TestForgetReachesTheStore(t *testing.T) {
	stored(t, func(t *testing.T, w *world, m *memStore, start func() *Client) {
		w.publish("example.com", "1", text(ModeEnforce, day, "mx.example.com"))
		c := start()
		lookup(t, c, "example.com")
		m.set(func(m *memStore) { m.putErr = errDisk })
		if err := c.Forget(t.Context(), "example.com"); !errors.Is(err, errDisk) {
			t.Errorf("%v", err)
		}
		m.set(func(m *memStore) { m.putErr = nil })
		if err := c.Forget(t.Context(), "example.com"); err != nil {
			t.Error(err)
		}
		w.down("example.com")
		if r := lookup(t, c, "example.com"); r.Policy != nil || r.Lapsed != nil {
			t.Errorf("%+v", r)
		}
	})
}

// A policy that is used is known as one after a restart, though nothing renews it.
func TestUsesAreKept(t *testing.T) {
	stored(t, func(t *testing.T, w *world, m *memStore, start func() *Client) {
		w.publish("example.com", "1", text(ModeEnforce, 7*day, "mx.example.com"))
		c := start()
		lookup(t, c, "example.com")
		w.set("example.com", func(d *domain) { d.httpErr = errDown })
		for range 3 {
			time.Sleep(day)
			for range 10 {
				lookup(t, c, "example.com")
				time.Sleep(time.Minute)
			}
		}
		if m.puts != 1+3 { // the policy with its first day, and each other day
			t.Errorf("%d writes", m.puts)
		}
		if e, _ := m.holds("example.com"); e.days != 4 || e.used != time.Now().Unix()/secondsPerDay {
			t.Errorf("%+v", e)
		}
		c = start()
		lookup(t, c, "example.com")
		if h, _ := c.snapshot("example.com"); h.rank() != protectedRank || h.days != 4 {
			t.Errorf("used on %d days", h.days)
		}
	})
}

// What is too long to be kept in memory is written as it was served, and again
// as one that says the same.
func TestALongPolicyIsKeptWhole(t *testing.T) {
	stored(t, func(t *testing.T, w *world, m *memStore, start func() *Client) {
		long := bigText(7 * day)
		w.publish("example.com", "1", long)
		c := start()
		r := lookup(t, c, "example.com")
		if e, _ := m.holds("example.com"); e.text != long {
			t.Errorf("%d bytes of %d", len(e.text), len(long))
		}
		p, err := ParsePolicy(r.Policy.served())
		if err != nil || p.String() != r.Policy.String() {
			t.Errorf("%v", err)
		}
		w.down("example.com")
		if r := lookup(t, start(), "example.com"); r.Policy == nil || len(r.Policy.MX) != 1000 {
			t.Errorf("%+v", r)
		}
	})
}

// meanwhile is a Store in which something else happens after the first Delete.
type meanwhile struct {
	*memStore
	once  sync.Once
	other func()
}

func (m *meanwhile) Delete(ctx context.Context, key string) error {
	err := m.memStore.Delete(ctx, key)
	m.once.Do(m.other)
	return err
}

// What is being written while the domain is forgotten does not stay.
func TestForgetOutlivesAWriteOnItsWay(t *testing.T) {
	stored(t, func(t *testing.T, w *world, m *memStore, start func() *Client) {
		w.publish("example.com", "1", text(ModeEnforce, 7*day, "mx.example.com"))
		c := start()
		lookup(t, c, "example.com")
		e, ok := m.holds("example.com")
		if !ok {
			t.Fatal("it was not written")
		}
		c.Close()
		c = &Client{Resolver: w, Transport: w, Store: &meanwhile{memStore: m, other: func() {
			if err := m.PutIfNewer(t.Context(), entryKey("example.com"), e.encode(), e.version(), time.Now().Add(day)); err != nil {
				t.Error(err)
			}
		}}}
		defer c.Close()
		lookup(t, c, "example.com")
		if err := c.Forget(t.Context(), "example.com"); err != nil {
			t.Error(err)
		}
		w.down("example.com")
		if r := lookup(t, c, "example.com"); r.Policy != nil {
			t.Errorf("%+v", r)
		}
	})
}
