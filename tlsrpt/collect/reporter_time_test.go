package collect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// RPT-113: retries at growing gaps for 24 hours, and the first success is the last attempt.
func TestRetriesUntilOneIsAccepted(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		d.publish("a.test", "mailto:tls@a.test")
		d.mailing = errors.New("queue is down")
		d.sessions(1, "a.test")
		defer d.run()()
		until("2000-01-02T10:00:00Z")
		n := len(d.offered())
		for i := 2; i < n; i++ {
			if before, after := d.offered()[i-1].at.Sub(d.offered()[i-2].at), d.offered()[i].at.Sub(d.offered()[i-1].at); after <= before {
				t.Errorf("gap %v after %v", after, before)
			}
		}
		if n < 6 || n > 9 {
			t.Errorf("%d attempts in nine hours", n)
		}
		d.mu.Lock()
		d.mailing = nil
		d.mu.Unlock()
		until("2000-01-05T00:00:00Z")
		if got := len(d.offered()); got != n+1 {
			t.Errorf("%d attempts after the queue was mended, want 1", got-n)
		}
		if rs := d.balance(); rs.Delivered != (Count{1, 1}) || rs.Attempts != uint64(n+1) {
			t.Errorf("stats %+v", rs)
		}
	})
}

func TestRetriesEndAfterADay(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		d.publish("a.test", "mailto:tls@a.test")
		d.mailing = errors.New("queue is down")
		d.sessions(7, "a.test")
		defer d.run()()
		until("2000-01-04T00:00:00Z")
		first, last := d.offered()[0].at, d.offered()[len(d.offered())-1].at
		if took := last.Sub(first); took != 24*time.Hour {
			t.Errorf("the last attempt was %v after the first", took)
		}
		if got := d.heard()[len(d.heard())-1]; got != "gave up a.test mailto:tls@a.test: queue is down" {
			t.Errorf("told last: %q", got)
		}
		if rs := d.balance(); rs.GivenUp != (Count{1, 7}) || rs.Pending != 0 {
			t.Errorf("stats %+v", rs)
		}
	})
}

// RPT-114: the reports of a day are spread over four hours, and not in the order
// of the alphabet.
func TestReportsAreSpread(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		var names []string
		for i := range 400 {
			names = append(names, "d"+strings.Repeat("x", i%20)+string(rune('a'+i/20))+".test")
		}
		for _, name := range names {
			d.publish(name, "mailto:tls@"+name)
		}
		d.sessions(1, names...)
		defer d.run()()
		until("2000-01-02T04:30:00Z")
		var quarters [4]int
		var order []string
		for _, s := range d.got() {
			quarters[s.at.Sub(utc("2000-01-02T00:30:00Z"))/time.Hour]++
			order = append(order, s.to)
		}
		if len(order) != 400 || slices.IsSorted(order) {
			t.Errorf("%d reports, sorted %v", len(order), slices.IsSorted(order))
		}
		for i, n := range quarters {
			if n < 60 || n > 140 {
				t.Errorf("%d reports in hour %d of four", n, i)
			}
		}
	})
}

// A day is sealed when it may be, to the second, whenever the process began.
func TestADayIsSealedOnTime(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		d.r.Jitter = time.Nanosecond
		d.publish("a.test", "https://a.test/")
		d.sessions(1, "a.test")
		until("2000-01-01T12:34:56Z")
		defer d.run()()
		until("2000-01-02T00:30:01Z")
		if got := d.got(); len(got) != 1 || !got[0].at.Truncate(time.Second).Equal(utc("2000-01-02T00:30:00Z")) {
			t.Errorf("accepted: %+v", got)
		}
	})
}

// However much is due, the caller's queue has 16 mails on its hands at most.
func TestNotTooMuchAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		d.r.Jitter = time.Nanosecond
		var mu sync.Mutex
		now, most := 0, 0
		d.r.Send = func(context.Context, Mail) error {
			mu.Lock()
			now++
			most = max(most, now)
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			now--
			mu.Unlock()
			return nil
		}
		for i := range 100 {
			domain := fmt.Sprintf("d%d.test", i)
			d.publish(domain, "mailto:tls@"+domain)
			d.sessions(1, domain)
		}
		defer d.run()()
		until("2000-01-02T01:00:00Z")
		if rs := d.balance(); rs.Delivered.Reports != 100 || most != atOnce {
			t.Errorf("%d at once, stats %+v", most, rs)
		}
	})
}

// The hours are by chance, but not in a test: a seed fixes them.
func TestJitterIsSeedable(t *testing.T) {
	moments := func(seed uint64) (at []time.Time) {
		bubble(t, func(t *testing.T, d *desk) {
			d.r.seed, d.r.Jitter = seed, time.Hour
			for _, name := range []string{"a.test", "b.test", "c.test"} {
				d.publish(name, "mailto:tls@"+name)
				d.sessions(1, name)
			}
			defer d.run()()
			until("2000-01-02T01:30:00Z")
			for _, s := range d.got() {
				at = append(at, s.at)
			}
		})
		return at
	}
	if a, b := moments(7), moments(7); len(a) != 3 || !slices.EqualFunc(a, b, time.Time.Equal) {
		t.Errorf("seed 7 twice: %v, %v", a, b)
	}
	if a, b := moments(7), moments(8); slices.EqualFunc(a, b, time.Time.Equal) {
		t.Errorf("seeds 7 and 8: %v", a)
	}
}
