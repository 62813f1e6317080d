package outbound

import (
	"context"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strictmx/strictmx/mtasts"
	"github.com/strictmx/strictmx/resolver"
)

// mute is a name server that knows the MX host of every domain, and never
// answers a question for a policy.
type mute struct{ waiting atomic.Int32 }

func (m *mute) TXT(ctx context.Context, _ string) (resolver.Answer[string], error) {
	m.waiting.Add(1)
	defer m.waiting.Add(-1)
	<-ctx.Done()
	return resolver.Answer[string]{}, ctx.Err()
}

func (m *mute) MX(context.Context, string) (resolver.Answer[resolver.MX], error) {
	return resolver.Answer[resolver.MX]{Records: []resolver.MX{mx(10, "mx.example.com")}}, nil
}

func (m *mute) Addr(context.Context, string) (resolver.Answer[netip.Addr], error) {
	return answer("192.0.2.1"), nil
}

// What a zero Enforcer started outlives a caller that leaves, and ends with Close
// or, without it, by itself: else this test would never end.
func TestCloseEndsWhatRuns(t *testing.T) {
	for _, tt := range []struct {
		name  string
		close bool
	}{{"closed", true}, {"left to itself", false}} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &mute{}
				d := &Dialer{Resolver: m}
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				if r := d.SendMail(ctx, letter("b@example.com"), hello)[0]; !r.Temporary() {
					t.Errorf("receipt %q", show(r))
				}
				if m.waiting.Load() != 1 {
					t.Fatalf("%d questions are waiting", m.waiting.Load())
				}
				limit := time.Minute
				if tt.close {
					limit = 0
					start := time.Now()
					if err := d.Close(); err != nil || time.Since(start) != 0 {
						t.Errorf("%v after %v", err, time.Since(start))
					}
					if r := d.SendMail(t.Context(), letter("b@example.com"), hello)[0]; !r.Temporary() || r.Text != "client is closed" {
						t.Errorf("after Close: %q, %s", show(r), r.Text)
					}
				}
				time.Sleep(limit)
				synctest.Wait()
				if n := m.waiting.Load(); n != 0 {
					t.Errorf("%d questions are waiting", n)
				}
			})
		})
	}
}

// Close is for what is one's own.
func TestCloseLeavesWhatWasGiven(t *testing.T) {
	client := &mtasts.Client{Resolver: &mute{}}
	defer client.Close()
	e := &Enforcer{MTASTS: client}
	d := &Dialer{Enforcer: e}
	if d.Close() != nil || e.Close() != nil {
		t.Error("Close failed")
	}
	if _, err := client.Lookup(t.Context(), "[192.0.2.1]"); err != nil {
		t.Errorf("the client was closed: %v", err)
	}
	own := &Enforcer{}
	if err := (&Dialer{Enforcer: own}).Close(); err != nil {
		t.Error(err)
	}
	if _, err := own.Plan(t.Context(), Delivery{Domain: "[192.0.2.1]"}); err != nil {
		t.Errorf("the Enforcer was closed: %v", err)
	}
	for _, c := range []interface{ Close() error }{own, own, new(Dialer)} {
		if err := c.Close(); err != nil {
			t.Errorf("Close of what was never used, or was closed: %v", err)
		}
	}
}
