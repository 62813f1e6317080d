package collect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// In these tests somebody owns attacker.test, with as many names below it as they
// like, and publishes records that harm the reports of others.

// attack publishes records of the attacker, and counts a session with each name.
func (d *desk) attack(n int, rua func(i int) []string) {
	for i := range n {
		domain := fmt.Sprintf("a%d.attacker.test", i)
		d.publish(domain, rua(i)...)
		d.sessions(1, domain)
	}
}

// neighbours are n domains with one owner each, and one destination for all.
func (d *desk) neighbours(n int, rua string) {
	for i := range n {
		domain := fmt.Sprintf("d%d.test", i)
		d.publish(domain, rua)
		d.sessions(1, domain)
	}
}

// served counts the domains of neighbours that a destination accepted a report of.
func (d *desk) served() (n int) {
	for _, s := range d.got() {
		if !strings.Contains(s.about(), "attacker") {
			n++
		}
	}
	return n
}

// R17: a path that a vendor answers with 503, published by one of its customers,
// does not keep the reports of the others from it.
func TestAPathThatFailsHoldsNobodyBack(t *testing.T) {
	for _, code := range []int{429, 500, 503} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			bubble(t, func(t *testing.T, d *desk) {
				d.faults["vendor.test"] = func(r *http.Request) (*http.Response, error) {
					if strings.HasPrefix(r.URL.Path, "/fails") {
						return &http.Response{StatusCode: code}, nil
					}
					return &http.Response{StatusCode: 200}, nil
				}
				d.attack(40, func(i int) []string {
					return []string{"https://vendor.test/fails?1", "https://vendor.test/fails?2", "https://vendor.test/fails?3"}
				})
				d.neighbours(50, "https://vendor.test/")
				defer d.run()()
				until("2000-01-02T04:31:00Z")
				if n := d.served(); n != 50 {
					t.Errorf("%d of 50 reports arrived in time", n)
				}
				until("2000-01-04T01:00:00Z")
				if rs := d.balance(); rs.Delivered != (Count{50, 50}) || rs.GivenUp != (Count{40, 40}) {
					t.Errorf("stats %+v", rs)
				}
			})
		})
	}
}

// A host that others could not reach for a day has every report offered once
// before it is given up.
func TestEveryReportIsOfferedOnce(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		d.faults["vendor.test"] = func(*http.Request) (*http.Response, error) {
			time.Sleep(time.Second)
			return nil, errors.New("refused")
		}
		d.neighbours(200, "https://vendor.test/")
		defer d.run()()
		until("2000-01-04T00:00:00Z")
		offered := make(map[string]bool)
		for _, s := range d.offered() {
			offered[s.about()] = true
		}
		if rs := d.balance(); len(offered) != 200 || rs.GivenUp != (Count{200, 200}) || rs.Attempts > 1000 {
			t.Errorf("%d of 200 reports were offered, stats %+v", len(offered), rs)
		}
	})
}

// drip is a body that never ends by itself.
type drip struct{ ctx context.Context }

func (d drip) Read([]byte) (int, error) { <-d.ctx.Done(); return 0, d.ctx.Err() }
func (d drip) Close() error             { return nil }

// R17: six owners of hundreds of names, all slow in DNS or on hosts without number,
// delay the reports of nobody else for longer than they are spread over.
func TestSlowOwnersKeepNobodyWaiting(t *testing.T) {
	const owners, names = 6, 100
	for _, c := range []struct {
		name string
		dns  bool
		post func(*http.Request) (*http.Response, error)
	}{
		{name: "DNS is silent", dns: true},
		{name: "hosts swallow connections", post: func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, context.Cause(r.Context())
		}},
		{name: "replies drip", post: func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Body: drip{r.Context()}}, nil
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, d *desk) {
				var busy, most [owners]atomic.Int32
				slow := func(name string) (leave func()) {
					for i := range owners {
						if strings.HasSuffix(name, fmt.Sprintf(".attacker%d.test", i)) {
							most[i].Store(max(most[i].Load(), busy[i].Add(1)))
							return func() { busy[i].Add(-1) }
						}
					}
					return nil
				}
				d.r.Resolver = txtFunc(func(ctx context.Context, name string) ([]string, error) {
					if leave := slow(name); leave != nil && c.dns {
						defer leave()
						<-ctx.Done()
						return nil, ctx.Err()
					} else if leave != nil {
						leave()
					}
					a, err := d.TXT(ctx, name)
					return a.Records, err
				})
				d.r.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
					if leave := slow(r.URL.Host); leave != nil {
						defer leave()
						return c.post(r)
					}
					return d.RoundTrip(r)
				})
				for i := range owners * names {
					domain := fmt.Sprintf("a%d.attacker%d.test", i, i%owners)
					d.publish(domain, "https://x."+domain+"/", "https://y."+domain+"/", "https://z."+domain+"/")
					d.sessions(1, domain)
				}
				for i := range 50 {
					domain := fmt.Sprintf("d%d.test", i)
					d.publish(domain, "https://"+domain+"/")
					d.sessions(1, domain)
				}
				d.r.Jitter = time.Nanosecond // all at once
				defer d.run()()
				until("2000-01-02T00:35:00Z")
				if n := d.served(); n != 50 {
					t.Errorf("%d of 50 reports arrived within five minutes", n)
				}
				for i := range owners {
					if n := most[i].Load(); n > atOnce/4 {
						t.Errorf("owner %d had %d places", i, n)
					}
				}
				until("2000-01-05T00:00:00Z")
				if rs := d.balance(); rs.Pending != 0 {
					t.Errorf("stats %+v", rs)
				}
			})
		})
	}
}

// Tasks that wait for a place of their owner are still there when Run ends and
// begins again (I13).
func TestWaitingTasksOutliveRun(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		d.attack(50, func(i int) []string { return []string{"mailto:tls@attacker.test"} })
		ended := false
		d.r.Jitter, d.r.Send = time.Nanosecond, func(ctx context.Context, m Mail) error {
			if !ended {
				<-ctx.Done()
				return ctx.Err()
			}
			return d.send(ctx, m)
		}
		stop := d.run()
		until("2000-01-02T00:30:30Z")
		stop()
		ended = true
		defer d.run()()
		until("2000-01-02T00:35:00Z")
		if rs := d.balance(); rs.Delivered != (Count{50, 50}) {
			t.Errorf("stats %+v", rs)
		}
	})
}

// What a host says after it took a report is waited for only for a moment (R18).
func TestAReplyThatDripsIsCutShort(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		p := poster{transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Body: io.NopCloser(drip{r.Context()})}, nil
		})}
		start := time.Now()
		if err := p.post(t.Context(), "https://a.test/", nil); err != nil || time.Since(start) != replyTimeout {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

// logFunc is a handler of a Logger.
type logFunc func(slog.Record)

func (logFunc) Enabled(context.Context, slog.Level) bool           { return true }
func (f logFunc) Handle(_ context.Context, line slog.Record) error { f(line); return nil }
func (f logFunc) WithAttrs([]slog.Attr) slog.Handler               { return f }
func (f logFunc) WithGroup(string) slog.Handler                    { return f }

// R20: a Logger that panics costs its lines and nothing else.
func TestALoggerThatPanics(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		var lines atomic.Int32
		d.r.Logger = slog.New(logFunc(func(slog.Record) { lines.Add(1); panic("logger") }))
		d.neighbours(5, "https://vendor.test/")
		d.publish("d0.test", "mailto:tls@d0.test", "https://d0.test/") // the record changed: it is told
		d.mailing = errors.New("queue is full")
		defer d.run()()
		until("2000-01-04T00:00:00Z")
		if rs := d.balance(); rs.Delivered != (Count{5, 5}) || lines.Load() == 0 {
			t.Errorf("%d lines, stats %+v", lines.Load(), rs)
		}
	})
}

// A Logger that is slow does not keep everybody from looking at the clock.
func TestTheClockIsFreeWhileItsJumpIsLogged(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		told := false
		d.r.Logger = slog.New(logFunc(func(line slog.Record) {
			if !strings.Contains(line.Message, "the clock jumped") {
				return
			}
			told = true
			if !d.r.guardMu.TryLock() {
				t.Error("the clock is locked")
				return
			}
			d.r.guardMu.Unlock()
		}))
		defer d.run()()
		until("2000-01-01T01:00:00Z")
		d.set(time.Hour)
		until("2000-01-01T01:15:00Z")
		if !told {
			t.Error("the jump was not logged")
		}
	})
}

// R17: one owner of many domains fills neither the mailbox nor the host of a vendor,
// by tags and wildcards neither.
func TestOneOwnerHasASixteenth(t *testing.T) {
	for name, rua := range map[string]string{
		"one mailbox": "mailto:tls@vendor.test", "tags": "mailto:tls+%d@vendor.test",
		"hosts for mail": "mailto:t%[1]d@h%[1]d.vendor.test", "hosts": "https://h%d.vendor.test/",
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, d *desk) {
				d.r.PerMailbox, d.r.PerHost = 160, 160
				d.attack(100, func(i int) []string {
					if !strings.Contains(rua, "%") {
						return []string{rua}
					}
					return []string{fmt.Sprintf(rua, i)}
				})
				d.neighbours(150, "mailto:tls@vendor.test")
				defer d.run()()
				until("2000-01-02T12:00:00Z")
				if rs := d.balance(); d.served() != 150 || rs.Delivered.Reports != 160 || rs.Overflow != 90 {
					t.Errorf("%d of 150 served, stats %+v", d.served(), rs)
				}
			})
		})
	}
}

// Whoever has many domains and one mailbox of their own has all of its room.
func TestOwnMailboxHasNoShares(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		d.r.PerMailbox = 50
		d.attack(60, func(int) []string { return []string{"mailto:tls@attacker.test"} })
		defer d.run()()
		until("2000-01-02T12:00:00Z")
		if rs := d.balance(); rs.Delivered.Reports != 50 || rs.Overflow != 10 {
			t.Errorf("stats %+v", rs)
		}
	})
}
