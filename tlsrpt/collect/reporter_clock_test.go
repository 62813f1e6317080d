package collect

import (
	"errors"
	"slices"
	"testing"
	"time"
)

// In these tests the wall clock is set while the Reporter works. It begins 400 days
// behind the bubble's, so that no jump reaches a day that has not come.
const behind = -400 * 24 * time.Hour

// RPT-120, R23: a machine that slept for three days drops what is stale and sends
// the newest, each day once, when the clock has been ahead for a while.
func TestAMachineThatSleepsForDays(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		d.set(behind) // 1998-11-27
		d.publish("a.test", "https://a.test/")
		defer d.run()()
		until("2000-01-01T20:00:00Z")
		d.sessions(1, "a.test")
		// The lid is closed: the wall clock goes on, everything else stands still.
		d.set(3 * 24 * time.Hour)
		until("2000-01-01T20:10:00Z")
		d.sessions(2, "a.test") // of the 30th
		until("2000-01-01T20:29:00Z")
		expect(t, "a jump ahead is not believed at once", d.heard())
		until("2000-01-01T20:50:00Z") // it was seen within ten minutes, and lasted for thirty
		expect(t, "what is stale is told", d.heard(), "gave up a.test: "+ErrStale.Error())
		until("2000-01-02T06:00:00Z")
		expect(t, "the newest is sent", d.accepted(), "https://a.test/ a.test 1998-11-30")
		if rs := d.balance(); rs.Stale != (Count{1, 1}) || rs.Delivered != (Count{1, 2}) {
			t.Errorf("stats %+v", rs)
		}
	})
}

// A sleep of one day is no reason to drop anything.
func TestAMachineThatSleepsForADay(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		d.set(behind)
		d.publish("a.test", "https://a.test/")
		defer d.run()()
		until("2000-01-01T20:00:00Z")
		d.sessions(1, "a.test")
		d.set(24 * time.Hour)
		until("2000-01-02T06:00:00Z")
		expect(t, "accepted", d.accepted(), "https://a.test/ a.test 1998-11-27")
		d.balance()
	})
}

// R23, I19: a clock that is set back after a day was sealed makes nothing early
// and nothing twice.
func TestAClockSetBack(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		d.set(behind)
		d.publish("a.test", "https://a.test/")
		d.publish("b.test", "https://b.test/")
		d.sessions(1, "a.test", "b.test")
		defer d.run()()
		until("2000-01-02T00:30:01Z")
		d.set(-time.Hour) // 23:30 again
		until("2000-01-02T01:29:00Z")
		expect(t, "the day is not over again", d.accepted())
		d.sessions(5, "a.test") // 00:29 of the 28th
		d.set(-40 * time.Minute)
		d.sessions(7, "a.test") // 23:49 of the 27th, which was sealed
		until("2000-01-02T12:00:00Z")
		expect(t, "the 27th, once", d.accepted(), "https://a.test/ a.test 1998-11-27", "https://b.test/ b.test 1998-11-27")
		until("2000-01-03T12:00:00Z")
		expect(t, "and the 28th", d.accepted(),
			"https://a.test/ a.test 1998-11-27", "https://a.test/ a.test 1998-11-28", "https://b.test/ b.test 1998-11-27")
		if st := d.c.Stats(); st.Late != 7 {
			t.Errorf("%d late sessions, want 7", st.Late)
		}
		if rs := d.balance(); rs.Delivered != (Count{3, 7}) {
			t.Errorf("stats %+v", rs)
		}
	})
}

// R23: a clock that is a year ahead for a quarter of an hour costs nothing but
// the sessions that were told to be a year away.
func TestAClockForthAYearAndBack(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		d.set(behind)
		d.publish("a.test", "https://a.test/")
		defer d.run()()
		until("2000-01-01T12:00:00Z")
		d.sessions(1, "a.test")
		d.set(365 * 24 * time.Hour)
		time.Sleep(15 * time.Minute)
		d.sessions(2, "a.test") // of 1999-11-27
		d.set(-365 * 24 * time.Hour)
		d.sessions(4, "a.test")
		until("2000-01-02T00:29:00Z")
		expect(t, "nothing is early", d.accepted())
		until("2000-01-02T06:00:00Z")
		expect(t, "accepted", d.accepted(), "https://a.test/ a.test 1998-11-27")
		if rs := d.balance(); rs.Delivered != (Count{1, 5}) || rs.Stale != (Count{1, 2}) {
			t.Errorf("stats %+v", rs)
		}
	})
}

// A clock that is wrong for long takes its days with it, and they are told.
func TestAClockThatStaysAYearAhead(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		d.set(behind)
		d.publish("a.test", "https://a.test/")
		defer d.run()()
		until("2000-01-01T12:00:00Z")
		d.sessions(1, "a.test")
		d.set(365 * 24 * time.Hour)
		until("2000-01-01T14:00:00Z")
		expect(t, "told", d.heard(), "gave up a.test: "+ErrStale.Error())
		d.sessions(2, "a.test")
		until("2000-01-02T06:00:00Z")
		expect(t, "accepted", d.accepted(), "https://a.test/ a.test 1999-11-27")
		d.balance()
	})
}

// What is still to be tried again when a machine falls asleep for days is told
// when it wakes, and not hours later.
func TestASleepBetweenAttempts(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		d.set(behind)
		d.publish("a.test", "https://a.test/", "mailto:tls@a.test")
		d.publish("b.test", "mailto:tls@b.test")
		d.sessions(3, "a.test", "b.test")
		d.mailing = errors.New("queue is down")
		defer d.run()()
		until("2000-01-02T20:00:30Z") // the next attempts are hours away
		d.set(3 * 24 * time.Hour)
		until("2000-01-02T20:45:00Z")
		told := d.heard()
		slices.Sort(told[len(told)-2:])
		expect(t, "told last", told[len(told)-2:], "gave up a.test mailto:tls@a.test: "+ErrStale.Error(), "gave up b.test mailto:tls@b.test: "+ErrStale.Error())
		if rs := d.balance(); rs.Delivered != (Count{1, 3}) || rs.Stale != (Count{1, 3}) || rs.Pending != 0 {
			t.Errorf("stats %+v", rs)
		}
	})
}

// A clock that is days behind for a quarter of an hour makes today the far
// future, and drops nothing of it.
func TestAClockBackFourDaysAndForth(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		d.set(behind)
		d.publish("a.test", "https://a.test/")
		defer d.run()()
		until("2000-01-01T12:01:00Z")
		d.sessions(3, "a.test")
		d.set(-4 * 24 * time.Hour)
		until("2000-01-01T12:16:00Z")
		d.set(4 * 24 * time.Hour)
		d.sessions(2, "a.test")
		until("2000-01-02T06:00:00Z")
		expect(t, "accepted", d.accepted(), "https://a.test/ a.test 1998-11-27")
		expect(t, "told", d.heard(), "delivered a.test https://a.test/")
		if rs := d.balance(); rs.Delivered != (Count{1, 5}) {
			t.Errorf("stats %+v, want all five sessions of the day", rs)
		}
	})
}
