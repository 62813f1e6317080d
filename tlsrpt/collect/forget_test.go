package collect

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// Whoever makes reports themselves is done with a day when they say so: it takes no
// room any more, and does not come back. I13
func TestForget(t *testing.T) {
	c := newCollector()
	for i := range 100 {
		e := session(fmt.Sprintf("d%d.example", i), enforce("example.com"))
		c.Observe(e)
		e.Time = noon.AddDate(0, 0, -1)
		c.Observe(e)
		c.Observe(e)
	}
	if n := c.Forget(noon.AddDate(0, 0, -1).Add(5 * time.Hour)); n != 200 {
		t.Errorf("%d sessions forgotten, want 200", n)
	}
	late := session("d1.example", enforce("example.com"))
	late.Time = noon.AddDate(0, 0, -1)
	c.Observe(late)
	if st := sum(t, c); st.Released != 200 || st.Held != 100 || st.Late != 1 || st.Domains != 100 || len(c.Days()) != 1 {
		t.Errorf("%+v", st)
	}
	if n := c.Forget(noon.AddDate(0, 0, -1)); n != 0 {
		t.Errorf("%d sessions forgotten a second time", n)
	}
	c.Forget(noon)
	if st := sum(t, c); st.Held != 0 || st.Bytes != 0 || st.PendingBytes != 0 || st.Domains != 0 {
		t.Errorf("nothing is held, and yet: %+v", st)
	}
}

// A Collector that nobody reads counts on: what is two days over makes room. Without
// Run, too.
func TestAForgottenForgetDoesNotEndCounting(t *testing.T) {
	for _, running := range []bool{false, true} {
		t.Run(fmt.Sprint("Run: ", running), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &Collector{Memory: 2 << 20, Resolver: dns(func(context.Context, string) (string, error) { return record, nil })}
				if running {
					defer run(t, c)()
				}
				const perDay = 100
				for day := range 60 {
					for i := range perDay {
						e := session(fmt.Sprintf("d%d-%d.test", day%7, i), enforce("example.com"))
						e.Time = time.Now()
						c.Observe(e)
					}
					synctest.Wait()
					if st := sum(t, c); st.NoRoom > 0 {
						t.Fatalf("day %d: what is long over takes the room: %+v", day, st)
					}
					time.Sleep(24 * time.Hour)
				}
				todo := 0
				for i := range c.shards {
					c.shards[i].mu.Lock()
					todo += len(c.shards[i].todo)
					c.shards[i].mu.Unlock()
				}
				if st := sum(t, c); st.Stale < 50*perDay || todo > 0 {
					t.Errorf("%d to look up, %+v", todo, st)
				}
			})
		})
	}
}

// With a Reporter, the day is the Reporter's to give up: a clock that is a month
// ahead for a moment does not cost the counts of today. I13
func TestTheCollectorLeavesDaysToItsReporter(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		d.publish("a.test", "https://a.test/")
		defer d.run()()
		synctest.Wait()
		d.sessions(3, "a.test")
		d.set(30 * 24 * time.Hour)
		d.sessions(1, "a.test")
		d.set(-30 * 24 * time.Hour)
		until("2000-01-02T06:00:00Z")
		expect(t, "accepted", d.accepted(), "https://a.test/ a.test 2000-01-01")
		if st := sum(t, d.c); st.Stale != 0 {
			t.Errorf("%+v", st)
		}
	})
}
