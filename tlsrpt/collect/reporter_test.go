package collect

import (
	"context"
	"errors"
	"net/http"
	"strings"
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
