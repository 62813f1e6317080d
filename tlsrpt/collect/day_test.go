package collect_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/strictmx/strictmx/tlsrpt"
)

const (
	numRecipients = 200
	numSessions   = 10_000 // of the day
	realSessions  = 4_000  // of these; the rest are more of what was seen in them
)

var submitter = tlsrpt.Submitter{Organization: "Sender & Söhne", Contact: "tls-reports@sender.test"}

// A whole day of a mail server, and the night in which its reports go out: whatever
// the policies, the hosts and the receivers of reports do, what the receivers have
// in the end is what was observed, to the session. I13, I19, R15, R17, RPT-17, RPT-18,
// RPT-20, RPT-23, RPT-25, RPT-30, RPT-46, RPT-49, RPT-50, RPT-61, RPT-85, RPT-107, RPT-108, AMB-42.
func TestAWholeDay(t *testing.T) {
	d := newDay(t)
	d.open()
	stop := d.run()

	d.between(0, 12*time.Hour)
	d.restart()
	d.mailUntil(realSessions / 2)
	d.repeatUntil(numSessions / 2)
	d.waitForRecords()

	d.clock.to(12 * time.Hour)
	d.noon()
	d.between(12*time.Hour, 24*time.Hour)
	d.restart()
	d.mailUntil(numSessions/2 + realSessions/2)
	d.clock.to(24*time.Hour - 1)
	d.between(24*time.Hour-2, 24*time.Hour)
	d.repeatUntil(numSessions)

	d.clock.to(24 * time.Hour)
	d.between(24*time.Hour, 24*time.Hour+1)
	d.nextDay()
	observed := d.ledger.total
	d.wait()
	d.clock.to(24*time.Hour + 30*time.Minute - 1)
	d.wait()
	if n := len(d.received()); n > 0 { // RFC 8460, section 4.1
		t.Fatalf("%d reports were sent before the day was over for sure", n)
	}
	d.clock.to(24*time.Hour + 30*time.Minute)
	d.wait()
	late := d.ledger.seen[0]
	late.Time = d.start.Add(24*time.Hour - 1)
	d.collector.Observe(late)
	step := 10 * time.Minute
	for at := 25 * time.Hour; at < 80*time.Hour; at += step {
		switch at {
		case 26 * time.Hour: // in the middle of it
			stop()
			stop = d.run()
		case 31 * time.Hour:
			d.mend()
		case 32 * time.Hour: // what is left is tried again every few hours
			step = time.Hour
		}
		d.clock.to(at)
		d.wait()
	}
	stop()

	if d.ledger.total != observed { // RPT-30: no mail with a report is a session to report
		t.Fatalf("%d sessions observed while the reports went out", d.ledger.total-observed)
	}
	d.checkReceivers()
	d.checkBooks()
}

// checkReceivers holds what everybody received against the ledger.
func (d *theDay) checkReceivers() {
	d.t.Helper()
	received, ids := d.received(), make(map[string]string)
	wanted, told := 0, int64(0)
	for key, truth := range d.ledger.accounts {
		r := d.recipient(key)
		if !truth.met { // R17
			continue
		}
		for _, uri := range r.wants {
			wanted++
			got := received[uri+" "+key]
			if len(got) != 1 { // I19, RPT-17
				d.t.Errorf("%s (%s): %d reports for %s", key, r.wish.name, len(got), uri)
				continue
			}
			if wrong := check(got[0], truth); wrong != "" {
				d.t.Errorf("%s (%s): the report for %s has %s", key, r.wish.name, uri, wrong)
			}
			if other, known := ids[got[0].ID]; known && other != key || got[0].ID == "" { // RPT-61
				d.t.Errorf("%s has the report-id %q of %q", key, got[0].ID, other)
			}
			ids[got[0].ID] = key
		}
		if len(r.wants) > 0 {
			told += truth.sessions
		}
	}
	total := 0
	for _, reports := range received {
		total += len(reports)
	}
	if total != wanted || wanted < numRecipients {
		d.t.Errorf("%d reports received, %d wanted", total, wanted)
	}
	d.t.Logf("%d sessions in %d reports, which were received %d times", told, len(ids), total)
}

// check compares a report as its receiver read it with the truth.
func check(r *tlsrpt.Report, truth *account) string {
	got, err := read(r)
	if err != nil {
		return err.Error()
	}
	if r.Range.End.Sub(r.Range.Start) != 24*time.Hour-time.Second || r.Contact != submitter.Contact || r.Organization != submitter.Organization {
		return fmt.Sprintf("a frame %v, %q, %q", r.Range, r.Contact, r.Organization)
	}
	return truth.differs(got)
}

// checkBooks holds what the Collector and the Reporter say of themselves against
// the ledger.
func (d *theDay) checkBooks() {
	d.t.Helper()
	var told, unmet, unwanted, undelivered uint64
	for key, truth := range d.ledger.accounts {
		switch n, r := uint64(truth.sessions), d.recipient(key); {
		case len(r.published) == 0:
			unwanted += n
		case !truth.met:
			unmet += n
		case len(r.wants) == 0:
			undelivered += n
		default:
			told += n
		}
	}
	c, r := d.collector.Stats(), d.reporter.Stats()
	if c.Seen != uint64(d.ledger.total)+1 || c.Late != 1 || c.Held != 0 ||
		c.Unwanted+r.Unwanted.Sessions != unwanted || c.Unwanted+c.Released != told+unmet+unwanted+undelivered { // I13
		d.t.Errorf("the Collector says %+v; want %d released and %d unwanted", c, told+unmet+undelivered, unwanted)
	}
	if r.Delivered.Sessions != told || r.NotConnected.Sessions != unmet || r.GivenUp.Sessions != undelivered || r.Pending != 0 {
		d.t.Errorf("the Reporter says %+v; want %d delivered, %d not connected, %d given up", r, told, unmet, undelivered)
	}
	if types := d.ledger.types(); min(told, unmet, unwanted, undelivered) == 0 || len(types) != 8 { // all but those of DANE
		d.t.Errorf("the day had not all there is: %d, %d, %d, %d sessions, %q", told, unmet, unwanted, undelivered, types)
	}
}

// repeatUntil brings the day to its number of sessions with some like those
// before, from all over the world.
func (d *theDay) repeatUntil(sessions int) {
	for i := 0; d.ledger.total < sessions; i++ {
		e := d.ledger.seen[i*17%len(d.ledger.seen)]
		if e.HELO != "" {
			e.SendingIP, e.ReceivingIP = netip.MustParseAddr("2a01:4f8::25"), netip.AddrFrom4([4]byte{93, 184, 216, byte(i % 3)})
		}
		d.Observe(e)
	}
}

// nextDay is the first moment of the next day, with a session to each fourth
// recipient whose record is the same as before.
func (d *theDay) nextDay() {
	for i, e := range d.ledger.seen {
		if r := d.byName[e.Domain]; i%4 == 0 && e.HELO != "" && len(r.wants) > 0 && r.wish.noon == nil {
			d.Observe(e)
		}
	}
}
