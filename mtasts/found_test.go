package mtasts

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strictmx/strictmx/resolver"
)

// What the simulation in internal/adversary found once, as schedules of their own.

// I2: whoever asks for nothing gets his mail, however often we look.
func TestModeNoneWithoutAnAgeHoldsNothingBack(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, c *Client) {
		w.publish("example.com", "1", text(ModeNone, 0))
		for i := range 40 {
			ask := c.Lookup
			if i%2 == 1 {
				ask = c.Refresh
			}
			if r, err := ask(t.Context(), "example.com"); err != nil || r.Cause() != CauseNone {
				t.Fatalf("call %d: %+v, %v", i, r, err)
			}
			time.Sleep(15 * time.Second)
		}
		if asked, got := w.counts("example.com"); asked > 21 || got > 5 {
			t.Errorf("%d TXT queries and %d GETs in ten minutes", asked, got)
		}
	})
}

// I4: a policy that is found when the process has run for long, or that was not
// used for long, is in use from then on, and Run renews it.
func TestRunRenewsWhatWasFoundLate(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, c *Client) {
		go c.Run(t.Context())
		w.publish("example.com", "1", text(ModeEnforce, day, "mx.example.com"))
		for range 2 {
			time.Sleep(40 * day)
			wantMode(t, lookup(t, c, "example.com"), ModeEnforce)
			time.Sleep(3 * day)
			w.set("example.com", func(d *domain) { d.httpErr = errDown })
			wantMode(t, lookup(t, c, "example.com"), ModeEnforce)
			w.set("example.com", func(d *domain) { d.httpErr = nil })
		}
	})
}

// R34: that DNS was silent for as long as we wait is not the end of the caller's
// context, nor does it look so.
func TestSilentDNSIsNoContextError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		silent := false
		c := &Client{Transport: w, Resolver: resolverFunc(func(ctx context.Context, name string) (resolver.Answer[string], error) {
			if silent {
				<-ctx.Done()
				return resolver.Answer[string]{}, ctx.Err()
			}
			return w.TXT(ctx, name)
		})}
		defer c.Close()
		w.publish("example.com", "1", text(ModeEnforce, day, "mx.example.com"))
		lookup(t, c, "example.com")
		silent = true
		time.Sleep(2 * time.Minute)
		lookup(t, c, "example.com")
		time.Sleep(txtTimeout + 1)
		r := lookup(t, c, "example.com")
		wantReason(t, r, "sts-policy-fetch-error/dns-failure")
		if isContextError(r.Failure) {
			t.Errorf("%v is a context's error", errors.Unwrap(r.Failure))
		}
	})
}

// I9: a failure of yesterday is no answer today, even where a transport that
// panics leaves nothing newer.
func TestAnOldFailureDoesNotStandIn(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, c *Client) {
		w.publish("example.com", "1", "")
		w.set("example.com", func(d *domain) { d.status = 404 })
		lookup(t, c, "example.com")
		time.Sleep(day)
		c.http = nil // panics
		for range 2 * budgetBurst {
			if r, err := c.Lookup(t.Context(), "example.com"); err == nil {
				t.Fatalf("%+v", r)
			}
		}
	})
}

// STS-32: an id that is seen while a GET is on its way is not forgotten when the
// GET ends with the policy of the id before.
func TestAnIDSeenDuringAGETIsFetched(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, c *Client) {
		w.publish("example.com", "1", text(ModeEnforce, 7*day, "mx.example.com"))
		w.set("example.com", func(d *domain) { d.ttl = time.Hour })
		lookup(t, c, "example.com")
		time.Sleep(day)
		c.http = roundTripFunc(func(req *http.Request) (*http.Response, error) {
			resp, err := w.RoundTrip(req)
			time.Sleep(5 * time.Second) // the text is of the time of the request
			return resp, err
		})
		lookup(t, c, "example.com") // begins a GET
		time.Sleep(time.Second)
		w.publish("example.com", "2", text(ModeEnforce, 7*day, "mx.example.net"))
		if _, err := c.Refresh(t.Context(), "example.com"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		lookup(t, c, "example.com")
		time.Sleep(time.Minute)
		if r := lookup(t, c, "example.com"); r.ID != "2" || r.Policy.MX[0] != "mx.example.net" {
			t.Errorf("%+v", r)
		}
	})
}

type roundTripFunc func(*http.Request) (*http.Response, error)

func (f roundTripFunc) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// R8: what a Store holds of a domain is no reason to ask for its record more
// often, be it by Lookup or by Run.
func TestAHintKeepsTheDistanceOfIDChecks(t *testing.T) {
	stored(t, func(t *testing.T, w *world, m *memStore, start func() *Client) {
		m.keep("example.com", "1", text(ModeTesting, 7*day, "mx.example.com"), time.Now())
		time.Sleep(time.Minute)
		w.publish("example.com", "1", "")
		w.set("example.com", func(d *domain) { d.ttl, d.httpErr = 5*time.Minute, errDown })
		c := start()
		c.Stats() // its time begins
		time.Sleep(time.Second)
		for range 60 {
			wantMode(t, lookup(t, c, "example.com"), ModeTesting)
			time.Sleep(5 * time.Second)
		}
		w.want(t, "example.com", 1, 1)
	})
	stored(t, func(t *testing.T, w *world, m *memStore, start func() *Client) {
		m.keep("example.com", "1", text(ModeTesting, 7*day, "mx.example.com"), time.Now())
		time.Sleep(2 * day)
		w.publish("example.com", "1", "")
		c := start()
		c.Transport = panicking{} // leaves nothing behind that would put the hint in force
		go c.Run(t.Context())
		time.Sleep(time.Hour)
		if asked, _ := w.counts("example.com"); asked > 61 || asked < 10 {
			t.Errorf("%d queries in an hour", asked)
		}
	})
}

type panicking struct{}

func (panicking) RoundTrip(*http.Request) (*http.Response, error) { panic("oops") }
