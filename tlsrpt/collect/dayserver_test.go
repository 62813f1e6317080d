package collect_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/strictmx/strictmx/mtasts"
	"github.com/strictmx/strictmx/outbound"
	"github.com/strictmx/strictmx/strictmxtest"
	"github.com/strictmx/strictmx/tlsrpt"
	"github.com/strictmx/strictmx/tlsrpt/collect"
)

// theDay is a mail server of ours on a day of the past: its sessions are as real as
// sockets on loopback make them, and dated to that day.
type theDay struct {
	*strictmxtest.World
	t          *testing.T
	start      time.Time
	clock      *stepped
	recipients []*recipient
	byName     map[string]*recipient
	collector  *collect.Collector
	reporter   *collect.Reporter
	ledger     ledger
	dialer     *outbound.Dialer

	mu   sync.Mutex
	date func() time.Time // of the next session
}

// stepped is a clock that goes where it is told to.
type stepped struct {
	mu    sync.Mutex
	start time.Time
	now   time.Duration
}

func (c *stepped) to(now time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = now
}

func (c *stepped) mono() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *stepped) wall() time.Time { return c.start.Add(c.mono()) }

func newDay(t *testing.T) *theDay {
	start := tlsrpt.Day(time.Now()).Start.AddDate(0, 0, -2) // NewReport goes by the real clock: the day after must be over, too
	d := &theDay{World: strictmxtest.New(t), t: t, start: start, clock: &stepped{start: start}, byName: make(map[string]*recipient)}
	d.collector = &collect.Collector{Resolver: d.Resolver()}
	d.collector.SetClock(d.clock.wall)
	d.reporter = &collect.Reporter{
		Collector: d.collector, Submitter: submitter, Resolver: d.Resolver(), Transport: d.Transport(), Send: d.send,
	}
	d.reporter.SetClock(d.clock.wall, d.clock.mono)
	return d
}

// open makes the world of that day. The vendors would like reports, too, if there
// were anything to report.
func (d *theDay) open() {
	for _, vendor := range []string{vendorMail, brokenMail, slowMail} {
		host := "mx." + vendor
		d.Domain(vendor).MX(host).Policy(strictmxtest.PolicyText("enforce", host)).TLSRPT("mailto:tls@" + vendor)
	}
	d.MX("mx." + brokenMail).Certificate(strictmxtest.Expired)
	d.MX("mx." + slowMail).Fault(strictmxtest.RefuseRCPT(451))
	d.ReportHost(vendorHTTPS)
	d.ReportHost(secondHTTPS)
	d.ReportHost(slowHTTPS).Fault(strictmxtest.Status(503))
	d.ReportHost(brokenHTTPS).Fault(strictmxtest.Status(500))
	d.MX(attackersMX)
	for i := range numRecipients {
		r := &recipient{name: fmt.Sprintf("d%03d.test", i)}
		r.published = r.settle(d.World, i)
		d.recipients, d.byName[r.name] = append(d.recipients, r), r
	}
}

// noon changes what changes at noon.
func (d *theDay) noon() {
	for _, r := range d.recipients {
		if r.lapses {
			r.publish("testing")
		}
		if r.wish.noon != nil {
			r.published = append(r.published, r.wish.noon(d.World, r)...)
		}
		r.choose()
	}
}

// mend ends the faults of the receivers that were slow.
func (d *theDay) mend() {
	d.MX("mx." + slowMail).Fault(strictmxtest.None)
	d.ReportHost(slowHTTPS).Fault(strictmxtest.None)
}

// run runs the Reporter until stop.
func (d *theDay) run() (stop func()) {
	ctx, cancel := context.WithCancel(d.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.reporter.Run(ctx) }()
	return func() {
		cancel()
		if err := <-ended; err != context.Canceled {
			d.t.Errorf("Run: %v", err)
		}
	}
}

// wait waits until the Reporter has done what is due.
func (d *theDay) wait() {
	d.reporter.Wake()
	d.until("the Reporter is done", d.reporter.Idle)
}

// waitForRecords waits until the Collector knows who wants reports, as far as DNS
// says so.
func (d *theDay) waitForRecords() {
	asking := d.asking()
	d.until("the records are known", func() bool {
		for t := range d.collector.Tallies(d.start) {
			if wants, ok := asking[t.Domain]; !ok || wants && t.RUA == nil {
				return false
			}
		}
		return true
	})
}

// asking says which recipients want reports, and for which DNS can say so.
func (d *theDay) asking() map[string]bool {
	asking := make(map[string]bool)
	for _, r := range d.recipients {
		if len(r.published) > 0 {
			asking[r.name] = !r.silent
		}
	}
	return asking
}

func (d *theDay) until(what string, done func() bool) {
	d.t.Helper()
	for limit := time.Now().Add(time.Minute); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			d.t.Fatalf("a minute has passed until %s", what)
		}
	}
}

// Observe dates a session, and counts it twice.
func (d *theDay) Observe(e tlsrpt.Event) {
	d.mu.Lock()
	e.Time = d.date()
	d.mu.Unlock()
	d.ledger.Observe(e)
	d.collector.Observe(e)
}

// between spreads the sessions to come over part of the day, both ends included,
// by a clock that hangs on the other side of the earth.
func (d *theDay) between(from, to time.Duration) {
	zone := time.FixedZone("far away", 14*60*60)
	next := from
	d.mu.Lock()
	defer d.mu.Unlock()
	d.date = func() time.Time {
		at := d.start.Add(next).In(zone)
		if next += time.Second; next >= to {
			next = to - 1
		}
		if next == to-1 && at.Equal(d.start.Add(next)) {
			next = from
		}
		return at
	}
}

// restart starts our mail server anew: it knows no policy any more.
func (d *theDay) restart() {
	client := &mtasts.Client{Resolver: d.Resolver(), Transport: d.Transport()}
	d.t.Cleanup(func() { client.Close() })
	d.dialer = &outbound.Dialer{
		Enforcer: &outbound.Enforcer{
			MTASTS: client, Observer: d, LocalName: "out.sender.test",
			TLSConfig: &tls.Config{RootCAs: d.Roots()},
		},
		Resolver: d.Resolver(), DialContext: d.DialContext,
	}
}

// mailUntil mails all recipients again and again, until there were so many
// sessions, or as many as a round allows.
func (d *theDay) mailUntil(sessions int) {
	round := 0
	for d.ledger.total+round <= sessions {
		before := d.ledger.total
		d.mail()
		round = d.ledger.total - before
	}
}

// mail sends a message to every recipient.
func (d *theDay) mail() {
	var wg sync.WaitGroup
	places := make(chan struct{}, 8)
	for _, r := range d.recipients {
		places <- struct{}{}
		wg.Go(func() {
			defer func() { <-places }()
			env := outbound.Envelope{From: "alice@sender.test", To: []string{"bob@" + r.name}}
			d.dialer.SendMail(context.Background(), env, []byte("Subject: hello\r\n\r\nHello.\r\n"))
		})
	}
	wg.Wait()
}

// send mails a report, as any mail but for the mark that it is one.
func (d *theDay) send(ctx context.Context, m collect.Mail) error {
	return d.dialer.SendMail(ctx, outbound.Envelope{To: []string{m.To}, Report: true}, m.Message)[0].Err
}

// recipient is whom an account of the ledger is about.
func (d *theDay) recipient(key string) *recipient {
	_, name, _ := strings.Cut(key, " ")
	return d.byName[name]
}

// received is what all receivers have accepted: reports by "mailto:" and mailbox, or
// URL, and by the ledger's key.
func (d *theDay) received() map[string][]*tlsrpt.Report {
	d.t.Helper()
	received := make(map[string][]*tlsrpt.Report)
	note := func(uri string, r *tlsrpt.Report, err error) {
		if err != nil {
			d.t.Errorf("a report for %s: %v", uri, err)
			return
		}
		key := uri + " " + accountKey(r.Range.Start, r.Policies[0].Policy.Domain)
		received[key] = append(received[key], r)
	}
	for _, name := range []string{vendorHTTPS, secondHTTPS, slowHTTPS, brokenHTTPS} {
		for _, p := range d.ReportHost(name).Posts() {
			if p.Taken() {
				r, err := tlsrpt.ParseReport(bytes.NewReader(p.Body))
				note("https://"+p.Host+p.URI, r, err)
			}
		}
	}
	hosts := []*strictmxtest.MX{d.MX(attackersMX), d.MX("mx." + vendorMail), d.MX("mx." + brokenMail), d.MX("mx." + slowMail)}
	for _, r := range d.recipients {
		hosts = append(hosts, r.host)
	}
	for _, h := range hosts {
		for _, m := range h.Messages() {
			if m.From != "" {
				continue // other mail
			}
			if !strings.Contains(m.Data, "\r\nTLS-Required: No\r\n") { // RPT-118
				d.t.Errorf("a report at %s without TLS-Required", h.Name())
			}
			r, err := tlsrpt.ParseReport(strings.NewReader(m.Data))
			note("mailto:"+m.To[0], r, err)
		}
	}
	return received
}
