package outbound

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strictmx/strictmx/mtasts"
)

var steps = []string{"connect", "EHLO", "STARTTLS", "handshake"}

// silent is a host that says nothing any more from one step on.
func silent(step string) *host {
	return with(good, func(h *host) {
		h.silent = step
		if step == "handshake" {
			h.after = func(c net.Conn) {
				buf := make([]byte, 1)
				for {
					if _, err := c.Read(buf); err != nil {
						return
					}
				}
			}
		}
	})
}

// A ctx without end does not wait for ever. Each bubble also proves that
// nothing is left running.
func TestSilentHosts(t *testing.T) {
	for _, r := range []struct {
		step  string
		limit time.Duration
		told  string
	}{
		{"connect", greetingTimeout, ""},
		{"EHLO", replyTimeout, ""},
		{"STARTTLS", replyTimeout, isSTS + ": " + notSupported},
		{"handshake", handshakeTimeout, isSTS + ": validation-failure (handshake-timeout)"},
	} {
		t.Run(r.step, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e, seen := sender(enforcing())
				h := silent(r.step)
				start := time.Now()
				_, err := session(t, e, deliverTo, "mx.example.com").Connect(context.Background(), h.dial)
				if asError(t, err); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != r.limit {
					t.Errorf("%v after %v", err, time.Since(start))
				}
				h.wg.Wait()
				if r.told == "" && len(seen.list()) != 0 || r.told != "" && seen.told(t) != r.told {
					t.Errorf("told %+v", seen.list())
				}
			})
		})
	}
}

// RPT-46: a session that midnight finds in its handshake is one of the day in which it
// ended, so that nothing is told late of a day that is over.
func TestASessionOverMidnight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		midnight := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, 1)
		time.Sleep(time.Until(midnight) - time.Second)
		e, seen := sender(enforcing())
		h := with(good, func(h *host) { h.after = func(net.Conn) { time.Sleep(2 * time.Second) } })
		_, err := session(t, e, deliverTo, "mx.example.com").Connect(t.Context(), h.dial)
		asError(t, err)
		if v := seen.only(t); !v.Time.Equal(midnight.Add(time.Second)) {
			t.Errorf("told of %v", v.Time)
		}
		h.wg.Wait()
	})
}

// When ctx ends, so does Connect, at every step; nobody is told, nothing is
// retried in clear, the connection is closed.
func TestConnectEndsWithItsContext(t *testing.T) {
	for _, step := range steps {
		for _, known := range []mtasts.Result{enforcing(), none} {
			t.Run(step, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					e, seen := sender(known)
					h := silent(step)
					s := session(t, e, deliverTo, "mx.example.com")

					ctx, cancel := context.WithCancel(t.Context())
					time.AfterFunc(time.Second, cancel)
					start := time.Now()
					_, err := s.Connect(ctx, h.dial)
					if asError(t, err); !errors.Is(err, context.Canceled) || time.Since(start) != time.Second {
						t.Errorf("cancelled: %v after %v", err, time.Since(start))
					}
					ctx, cancel = context.WithTimeout(t.Context(), time.Second)
					defer cancel()
					start = time.Now()
					_, err = s.Connect(ctx, h.dial)
					if asError(t, err); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
						t.Errorf("timed out: %v after %v", err, time.Since(start))
					}
					h.wg.Wait() // the host has seen the end of both
					if len(seen.list()) != 0 || h.conns != 2 {
						t.Errorf("told %+v, %d connections", seen.list(), h.conns)
					}
				})
			})
		}
	}
}

// After Connect, ctx is nothing to the connection any more, and no deadline of
// ours is left on it.
func TestConnOutlivesContextAndDeadlines(t *testing.T) {
	for _, known := range []mtasts.Result{enforcing(), none} {
		synctest.Test(t, func(t *testing.T) {
			e, _ := sender(known)
			h := with(good)
			if known.Policy == nil {
				noTLSOffered(h)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			conn, err := session(t, e, deliverTo, "mx.example.com").Connect(ctx, h.dial)
			if err != nil {
				t.Fatal(err)
			}
			cancel()
			time.Sleep(24 * time.Hour)
			send(t, conn)
			h.wg.Wait()
		})
	}
}

// flood is a host that sends without end once it has been told verb.
func flood(conn net.Conn, text string) {
	for range 200 {
		conn.Write([]byte(strings.Repeat(text, 1<<10)))
	}
}

// R13: a host that sends without end gets no further than 128 KiB, before TLS
// and after it.
func TestFloodsAreCutOff(t *testing.T) {
	for _, text := range []string{"220-x\r\n", "x", "250-STARTTLS\r\n"} {
		synctest.Test(t, func(t *testing.T) {
			e, seen := sender(none)
			_, err := session(t, e, deliverTo, "mx.example.com").Connect(t.Context(), func(context.Context) (net.Conn, error) {
				client, server := pipe()
				flood(server, text)
				return client, nil
			})
			if asError(t, err); !errors.Is(err, errFlood) && !errors.Is(err, errNotSMTP) {
				t.Errorf("%q: %v", text, err)
			}
			if len(seen.list()) != 0 {
				t.Errorf("%q: told %+v", text, seen.list())
			}
		})
	}
}

func TestConnBoundsWhatIsRead(t *testing.T) {
	client, server := pipe()
	c := &Conn{Conn: client, unread: []byte("220 x\r\n")}
	flood(server, "x")
	buf := make([]byte, 1<<16)
	total := 0
	for {
		n, err := c.Read(buf)
		total += n
		if err != nil {
			if !errors.Is(err, errFlood) {
				t.Error(err)
			}
			break
		}
	}
	if total != maxPerCommand+len("220 x\r\n") {
		t.Errorf("%d octets were read", total)
	}
	if _, err := c.Write([]byte("NOOP\r\n")); err == nil {
		t.Error("the connection was not closed")
	}

	client, server = pipe()
	c = &Conn{Conn: client}
	for range 3 { // each command has an allowance of its own
		server.Write(make([]byte, maxPerCommand))
		for left := maxPerCommand; left > 0; {
			n, err := c.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			left -= n
		}
		if _, err := c.Write([]byte("NOOP\r\n")); err != nil {
			t.Fatal(err)
		}
	}
}
