package collect

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

// RPT-24, AMB-35, R17: the record at the time of sending decides, the one from
// the time of the sessions stands in, and where they differ both get the report.
func TestWhichRecordDecides(t *testing.T) {
	const was, now = "https://was.test/", "https://now.test/"
	for _, c := range []struct {
		name     string
		snapshot string // what DNS says during the day
		then     string // and after it
		want     []string
		changed  bool
	}{
		{name: "the record is as it was", snapshot: was, then: was, want: []string{was}},
		{name: "DNS was silent all day", snapshot: silence, then: now, want: []string{now}}, // RPT-23
		{name: "the record changed at midnight", snapshot: was, then: now, want: []string{now, was}, changed: true},
		{name: "the record is gone: whoever can forge that does not silence a report", snapshot: was, then: "", want: []string{was}, changed: true},
		{name: "the record has no address we know", snapshot: was, then: "ftp://now.test/", want: []string{was}, changed: true},
		{name: "DNS is silent: an hour later the snapshot stands in", snapshot: was, then: silence, want: []string{was}},
		{name: "DNS was and is silent", snapshot: silence, then: silence},
		{name: "DNS was silent, and now there is no record", snapshot: silence, then: ""}, // RPT-20
		{name: "there was no record: nothing was counted", snapshot: "", then: now},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, d *desk) {
				d.r.Jitter = time.Nanosecond
				d.publish("a.test", c.snapshot)
				d.sessions(4, "a.test")
				defer d.run()()
				until("2000-01-02T00:15:00Z")
				d.publish("a.test", c.then)
				until("2000-01-02T01:29:00Z")
				if c.then == silence && c.want != nil {
					expect(t, "before an hour has passed", d.accepted())
				}
				until("2000-01-02T01:31:00Z")
				if c.want != nil && len(d.got()) == 0 {
					t.Error("nothing was sent when an hour had passed")
				}
				until("2000-01-03T02:00:00Z")
				var got []string
				for _, s := range d.got() {
					got = append(got, s.to)
				}
				slices.Sort(got)
				expect(t, "sent to", got, c.want...)
				changed := slices.Contains(d.heard(), "changed a.test")
				if changed != c.changed {
					t.Errorf("told %q; changed %v, want %v", d.heard(), changed, c.changed)
				}
				rs := d.balance()
				if len(c.want) > 0 && rs.Delivered != (Count{1, 4}) || rs.Pending != 0 {
					t.Errorf("stats %+v", rs)
				}
				if c.snapshot == silence && c.then == silence && rs.GivenUp != (Count{1, 4}) {
					t.Errorf("stats %+v, want one given up", rs)
				}
				if c.snapshot == silence && c.then == "" && d.c.Stats().Unwanted+rs.Unwanted.Sessions != 4 {
					t.Errorf("stats %+v, want four sessions that nobody asked for", rs)
				}
			})
		})
	}
}

// DNS comes back within the hour: the record it has is used, not the snapshot.
func TestRecordIsAskedForAgain(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		d.r.Jitter = time.Nanosecond
		d.publish("a.test", "https://was.test/")
		d.sessions(1, "a.test")
		defer d.run()()
		until("2000-01-02T00:29:00Z")
		d.publish("a.test", silence)
		until("2000-01-02T00:40:00Z")
		d.publish("a.test", "https://now.test/")
		until("2000-01-02T03:00:00Z")
		expect(t, "accepted", d.accepted(), "https://now.test/ a.test 2000-01-01", "https://was.test/ a.test 2000-01-01")
	})
}

// R17: caps for a mailbox and for a host, by day; what is over is told and counted.
func TestCaps(t *testing.T) {
	const n = 10
	for _, c := range []struct {
		name      string
		rua       string // of each domain; %d is its number
		set       func(*Reporter)
		delivered uint64
	}{
		{"five reports to one mailbox", "mailto:tls@vendor.test", func(r *Reporter) { r.PerMailbox = 5 }, 5},
		{"case makes no second mailbox", "mailto:%s@vendor.test", func(r *Reporter) { r.PerMailbox = 5 }, 5},
		{"seven to one host, whatever its mailbox", "mailto:tls%d@vendor.test", func(r *Reporter) { r.PerHost = 7 }, 7},
		{"seven to one https host, whatever its path", "https://vendor.test/%d", func(r *Reporter) { r.PerHost = 7 }, 7},
		{"a cap for mailboxes is none for https", "https://vendor.test/", func(r *Reporter) { r.PerMailbox = 1 }, n},
		{"the operator knows the mailbox", "mailto:TLS@vendor.test", func(r *Reporter) {
			r.PerMailbox, r.PerHost, r.Unlimited = 1, 1, func(s string) bool { return s == "tls@vendor.test" }
		}, n},
		{"the operator knows the host", "https://vendor.test/", func(r *Reporter) {
			r.PerHost, r.Unlimited = 1, func(s string) bool { return s == "vendor.test" }
		}, n},
		{"the operator knows somebody else", "https://vendor.test/", func(r *Reporter) {
			r.PerHost, r.Unlimited = 1, func(s string) bool { return s == "test" }
		}, 1},
		{"the operator's list panics: nobody is on it", "https://vendor.test/", func(r *Reporter) {
			r.PerHost, r.Unlimited = 1, func(s string) bool { panic("no list") }
		}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, d *desk) {
				c.set(d.r)
				for i := range n {
					domain := string(rune('a'+i)) + ".test"
					rua := strings.Replace(c.rua, "%d", string(rune('0'+i)), 1)
					rua = strings.Replace(rua, "%s", []string{"tls", "TLS", "Tls"}[i%3], 1)
					d.publish(domain, rua)
					d.sessions(2, domain)
				}
				defer d.run()()
				until("2000-01-02T06:00:00Z")
				rs := d.balance()
				over := n - c.delivered
				if rs.Delivered != (Count{c.delivered, 2 * c.delivered}) || rs.OverCap != (Count{over, 2 * over}) || rs.Overflow != over {
					t.Errorf("stats %+v, want %d delivered", rs, c.delivered)
				}
				told := 0
				for _, s := range d.heard() {
					if strings.HasSuffix(s, ErrOverCap.Error()) {
						told++
					}
				}
				if told != int(over) {
					t.Errorf("%d told: %q", told, d.heard())
				}
				// The next day has caps of its own.
				d.sessions(1, "a.test")
				until("2000-01-03T06:00:00Z")
				if got := d.balance().Delivered.Reports; got != c.delivered+1 {
					t.Errorf("%d delivered after another day, want one more than %d", got, c.delivered)
				}
			})
		})
	}
}

// R17: an address that bounced gets no mail for 30 days, and https goes on.
func TestSuppress(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		d.publish("a.test", "mailto:tls@a.test", "https://a.test/")
		d.publish("b.test", "mailto:TLS@a.test")
		d.sessions(3, "a.test", "b.test")
		d.r.Suppress("Tls@A.test")
		defer d.run()()
		until("2000-01-02T06:00:00Z")
		expect(t, "accepted", d.accepted(), "https://a.test/ a.test 2000-01-01")
		if rs := d.balance(); rs.Suppressed != (Count{1, 3}) || rs.Delivered != (Count{1, 3}) {
			t.Errorf("stats %+v", rs)
		}
		until("2000-01-30T12:00:00Z")
		d.sessions(1, "b.test") // sent on the 31st, after 30 days
		until("2000-02-01T06:00:00Z")
		expect(t, "after 30 days", d.accepted(), "TLS@a.test b.test 2000-01-30", "https://a.test/ a.test 2000-01-01")
	})
}

// A bounce also stops what is still to be tried again.
func TestSuppressBetweenAttempts(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		d.publish("a.test", "mailto:tls@a.test")
		d.mailing = errors.New("queue is full")
		d.sessions(3, "a.test")
		defer d.run()()
		until("2000-01-02T06:00:00Z")
		d.r.Suppress("tls@a.test")
		n := len(d.offered())
		until("2000-01-04T06:00:00Z")
		if rs := d.balance(); rs.Suppressed != (Count{1, 3}) || len(d.offered()) != n {
			t.Errorf("%d attempts after the bounce, stats %+v", len(d.offered())-n, rs)
		}
	})
}

// The list of bounced addresses does not grow without end.
func TestSuppressedAreBounded(t *testing.T) {
	var r Reporter
	for i := range 3 * maxSuppressed {
		r.Suppress("tls" + string(rune('a'+i%26)) + strings.Repeat("x", i/26%50) + string(rune('a'+i/1300)) + "@a.test")
	}
	if n := r.suppressed.Len(); n > maxSuppressed {
		t.Errorf("%d addresses are remembered", n)
	}
}

// Without a Send func, what is to be mailed is told as such, and https works.
func TestNoSend(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		d.r.Send = nil
		d.publish("a.test", "mailto:tls@a.test")
		d.publish("b.test", "mailto:tls@b.test", "https://b.test/")
		d.sessions(2, "a.test", "b.test")
		defer d.run()()
		until("2000-01-02T06:00:00Z")
		expect(t, "accepted", d.accepted(), "https://b.test/ b.test 2000-01-01")
		if rs := d.balance(); rs.NoSend != (Count{1, 2}) || rs.Delivered != (Count{1, 2}) {
			t.Errorf("stats %+v", rs)
		}
		if !slices.Contains(d.heard(), "gave up a.test mailto:tls@a.test: "+ErrNoSend.Error()) {
			t.Errorf("told %q", d.heard())
		}
	})
}
