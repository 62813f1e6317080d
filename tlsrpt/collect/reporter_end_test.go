package collect

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/strictmx/strictmx/outbound"
)

// refusal is an error of Send's as a delivery has them: for now, or for good.
type refusal struct{ temporary bool }

func (e refusal) Error() string   { return fmt.Sprintf("refused, temporary: %v", e.temporary) }
func (e refusal) Temporary() bool { return e.temporary }

// What Send refuses for good is not offered again; and only a delivery can say so,
// not a socket or a file.
func TestAPermanentErrorEndsADestination(t *testing.T) {
	for _, c := range []struct {
		name  string
		err   error
		final bool
	}{
		{"refused for good", refusal{false}, true},
		{"the same, wrapped", fmt.Errorf("queue: %w", refusal{false}), true},
		{"outbound's", &outbound.Error{Domain: "a.test", Code: 550}, true},
		{"refused for now", refusal{true}, false},
		{"outbound's, for now", &outbound.Error{Domain: "a.test", Code: 451}, false},
		{"for now, by what is for good as it sees it", fmt.Errorf("%w: %w", refusal{true}, refusal{false}), false},
		{"an error that says nothing", errors.New("queue is down"), false},
		{"the queue's socket is not there", &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}, false},
		{"the disk is full", &fs.PathError{Op: "write", Path: "spool", Err: syscall.ENOSPC}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, d *desk) {
				d.publish("a.test", "mailto:tls@a.test", "https://a.test/")
				d.publish("b.test", "mailto:tls@b.test")
				d.mailing = c.err
				d.sessions(2, "a.test", "b.test")
				defer d.run()()
				until("2000-01-03T06:00:00Z")
				if n := len(d.offered()) - 1; (n == 2) != c.final || n < 2 {
					t.Errorf("%d attempts to mail two reports", n)
				}
				if !slices.Contains(d.heard(), "gave up b.test mailto:tls@b.test: "+c.err.Error()) {
					t.Errorf("told %q", d.heard())
				}
				if rs := d.balance(); rs.GivenUp != (Count{1, 2}) || rs.Delivered != (Count{1, 2}) || rs.Pending != 0 {
					t.Errorf("stats %+v", rs)
				}
			})
		})
	}
}

// A Reporter that has no Resolver asks the Collector's.
func TestTheCollectorsResolverIsTheReporters(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		d.r.Resolver = nil
		d.publish("a.test", "https://a.test/")
		d.sessions(2, "a.test")
		defer d.run()()
		until("2000-01-02T06:00:00Z")
		expect(t, "accepted", d.accepted(), "https://a.test/ a.test 2000-01-01")
		expect(t, "told", d.heard(), "delivered a.test https://a.test/")
		if d.r.resolver != d.r.Collector.Resolver {
			t.Errorf("it asks %T", d.r.resolver)
		}
	})
}

// What asks nobody to do anything is no warning.
func TestNothingToDoIsNoWarning(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		var log bytes.Buffer
		d.r.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
		d.c.Resolver = dns(func(context.Context, string) (string, error) { return "", errors.New("SERVFAIL") })
		d.publish("victim.test", "mailto:tls@victim.test")
		d.sessions(1, "quiet.test")
		e := session("victim.test", enforce("victim.test"), policyFetch)
		e.Time, e.HELO, e.ReceivingIP = d.wall(), "", zeroIP
		d.c.Observe(e)
		stop := d.run()
		until("2000-01-02T06:00:00Z")
		stop()
		heard := d.heard()
		slices.Sort(heard)
		expect(t, "told", heard, "gave up quiet.test: "+ErrUnwanted.Error(), "gave up victim.test: "+ErrNotConnected.Error())
		if log.Len() > 0 {
			t.Errorf("logged: %s", log.String())
		}
	})
}

// A Reporter that runs for years does not remember every day of them, and never
// forgets one that is not done with.
func TestSealedDaysAreForgotten(t *testing.T) {
	var r Reporter
	r.once.Do(r.start)
	day := utc("2000-01-01T00:00:00Z")
	r.jobs.seal(day, []string{"slow.test"}, 0, 1)
	for i := range 1000 {
		r.jobs.seal(day.AddDate(0, 0, i+1), []string{"a.test"}, instant(i+2), 1)
		if i == 0 {
			r.jobs.next(2) // that of slow.test
		}
		task, _ := r.jobs.next(instant(i + 3))
		r.jobs.end(task, nil, 1)
		r.jobs.leave(task, instant(i+3))
	}
	if n := len(r.jobs.days); n != maxSealedDays {
		t.Errorf("%d days are remembered", n)
	}
	for _, kept := range []time.Time{day, day.AddDate(0, 0, 1000), day.AddDate(0, 0, 1000-maxSealedDays+2)} {
		if !r.jobs.isSealed(kept) {
			t.Errorf("%v is forgotten", kept)
		}
	}
}
