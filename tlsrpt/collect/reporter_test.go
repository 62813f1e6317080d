package collect

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A day in the life: nothing before the day is over in UTC and has settled, then
// one report for each domain to each of its destinations.
func TestADayIsReported(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		d.publish("a.test", "https://a.test/v1", "mailto:tls@vendor.test") // RPT-21: vendor.test is somebody else
		d.publish("b.test", "mailto:tls%2Breports@b.test")
		defer d.run()()
		until("2000-01-01T23:59:58Z")
		d.sessions(3, "a.test", "b.test", "nobody.test")
		until("2000-01-02T00:29:59Z")
		expect(t, "before the day has settled", d.accepted()) // RPT-115
		until("2000-01-02T04:30:00Z")
		expect(t, "four hours later", d.accepted(), // RPT-17
			"https://a.test/v1 a.test 2000-01-01", "tls+reports@b.test b.test 2000-01-01", "tls@vendor.test a.test 2000-01-01")
		for _, s := range d.got() {
			if !strings.HasPrefix(s.body, "\x1f\x8b") { // RPT-93
				t.Errorf("%s got %q, not gzipped", s.to, s.body)
			}
			if r := s.report; r.Organization != us.Organization || r.Contact != us.Contact || !r.Range.End.Equal(utc("2000-01-01T23:59:59Z")) || r.Policies[0].Summary.Successful != 3 {
				t.Errorf("%s got %+v", s.to, r)
			}
		}
		until("2000-01-05T00:00:00Z") // quiet days: nothing is rendered, nothing sent (RPT-85)
		expect(t, "three quiet days later", d.accepted(),
			"https://a.test/v1 a.test 2000-01-01", "tls+reports@b.test b.test 2000-01-01", "tls@vendor.test a.test 2000-01-01")
		if rs := d.balance(); rs.Delivered != (Count{2, 6}) || rs.Accepted != 3 || rs.Attempts != 3 || rs.Pending != 0 {
			t.Errorf("stats %+v", rs)
		}
	})
}

// RPT-18: a report is delivered when one destination took it; every one is tried,
// and tried again, with the same report.
func TestEveryDestinationIsTried(t *testing.T) {
	for _, c := range []struct {
		name      string
		https     int // status
		mail      error
		delivered bool
		accepted  uint64
	}{
		{"both take it", 200, nil, true, 2},
		{"https fails and mail does not", 500, nil, true, 1},
		{"mail fails and https does not", 200, errors.New("disk full"), true, 1},
		{"both fail", 404, errors.New("disk full"), false, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, d *desk) {
				d.publish("a.test", "https://a.test/v1", "mailto:tls@a.test")
				d.faults["a.test"], d.mailing = status(c.https), c.mail
				d.sessions(5, "a.test")
				defer d.run()()
				until("2000-01-03T05:00:00Z")
				rs := d.balance()
				if (rs.Delivered == Count{1, 5}) != c.delivered || (rs.GivenUp == Count{1, 5}) == c.delivered || rs.Accepted != c.accepted {
					t.Errorf("stats %+v", rs)
				}
				for _, s := range d.offered() {
					if s.body != d.offered()[0].body || s.report.ID != d.offered()[0].report.ID {
						t.Errorf("%s at %v got another report: %+v", s.to, s.at, s.report)
					}
				}
			})
		})
	}
}

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

// The hooks say what it was that was delivered, failed, or was given up.
func TestHooks(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		d.r.Jitter = time.Nanosecond
		d.publish("a.test", "https://a.test/", "mailto:tls@a.test")
		d.mailing = errors.New("queue is down")
		d.sessions(3, "a.test")
		var delivered, failed, gaveUp Delivery
		var next time.Time
		d.r.Trace = &Trace{
			Delivered: func(v Delivery) { delivered = v },
			Failed: func(v Delivery, err error, at time.Time) {
				if v.Attempt == 1 {
					failed, next = v, at
				}
			},
			GaveUp: func(v Delivery, err error) { gaveUp = v },
		}
		defer d.run()()
		until("2000-01-03T05:00:00Z")
		id := d.got()[0].report.ID
		day := utc("2000-01-01T00:00:00Z")
		if w := (Delivery{Domain: "a.test", Day: day, RUA: "https://a.test/", ID: id, Attempt: 1, Sessions: 3}); delivered != w {
			t.Errorf("delivered %+v, want %+v", delivered, w)
		}
		w := Delivery{Domain: "a.test", Day: day, RUA: "mailto:tls@a.test", ID: id, Attempt: 1, Sessions: 3}
		if failed != w || !next.Equal(d.offered()[2].at) {
			t.Errorf("failed %+v, want %+v; next %v, want %v", failed, w, next, d.offered()[2].at)
		}
		if w.Attempt = len(d.offered()) - 1; gaveUp != w {
			t.Errorf("gave up %+v, want %+v", gaveUp, w)
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

// R17c: nothing is sent about a domain whose hosts nobody ever spoke to.
func TestNotConnected(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		d.publish("victim.test", "mailto:tls@victim.test")
		e := session("victim.test", enforce("victim.test"), policyFetch)
		e.Time, e.MXHost, e.HELO = d.wall(), "", ""
		e.SendingIP, e.ReceivingIP = zeroIP, zeroIP
		for range 9 {
			d.c.Observe(e)
		}
		defer d.run()()
		until("2000-01-02T05:00:00Z")
		if rs := d.balance(); len(d.offered()) != 0 || rs.NotConnected != (Count{1, 9}) {
			t.Errorf("%d attempts, stats %+v", len(d.offered()), rs)
		}
		expect(t, "told", d.heard(), "gave up victim.test: "+ErrNotConnected.Error())
	})
}

// Run owns what it starts: it ends with ctx, whatever is under way, and the next
// Run goes on from there.
func TestReporterEndsAndGoesOn(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		d.publish("a.test", "https://slow.test/", "https://a.test/")
		d.faults["slow.test"] = func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}
		d.sessions(2, "a.test")
		d.r.Jitter = time.Nanosecond
		stop := d.run()
		until("2000-01-02T00:30:10Z") // in the middle of the first POST
		stop()
		if rs := d.balance(); rs.Attempts != 0 || rs.Pending != 1 {
			t.Errorf("stats %+v, want no attempt that counts", rs)
		}
		d.faults["slow.test"] = nil
		time.Sleep(time.Hour) // nothing runs
		expect(t, "while nothing runs", d.accepted())
		defer d.run()()
		synctest.Wait()
		expect(t, "after another Run", d.accepted(), "https://a.test/ a.test 2000-01-01", "https://slow.test/ a.test 2000-01-01")
		d.balance()

		if err := d.r.Run(t.Context()); err == nil || errors.Is(err, context.Canceled) {
			t.Errorf("a second Run at the same time: %v", err)
		}
	})
}

// What can never work is refused at once, and the error says what to fix.
func TestRunRefuses(t *testing.T) {
	for field, change := range map[string]func(r *Reporter){
		"Collector":  func(r *Reporter) { r.Collector = nil },
		"Submitter":  func(r *Reporter) { r.Submitter.Organization = "" },
		"Jitter":     func(r *Reporter) { r.Jitter = -1 },
		"PerMailbox": func(r *Reporter) { r.PerMailbox = -1 },
		"PerHost":    func(r *Reporter) { r.PerHost = -1 },
		"Unverified": func(r *Reporter) { r.Unverified, r.Transport = true, roundTrip(nil) },
	} {
		r := &Reporter{Collector: new(Collector), Submitter: us}
		change(r)
		if err := r.Run(t.Context()); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: %v", field, err)
		}
	}
}
