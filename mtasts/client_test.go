package mtasts

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestLookupDiscoversOnceAndAnswersFromMemory(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, c *Client) {
		w.publish("example.com", "1", text(ModeEnforce, 7*day, "mx.example.com"))
		for range 1000 {
			r := lookup(t, c, "Example.COM.") // STS-06
			wantMode(t, r, ModeEnforce)
			if r.Domain != "example.com" || r.ID != "1" || r.Failure != nil || r.Cause() != "" {
				t.Fatalf("%+v", r)
			}
		}
		w.want(t, "example.com", 1, 1) // STS-87
	})
}

// STS-58, R10: a crowd of callers shares one query and one GET.
func TestConcurrentCallersShareOneFlight(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, c *Client) {
		w.delay = 100 * time.Millisecond
		w.publish("example.com", "1", text(ModeEnforce, 7*day, "mx.example.com"))
		var wg sync.WaitGroup
		for i := range 1000 {
			wg.Go(func() {
				time.Sleep(time.Duration(i) * 300 * time.Microsecond)
				r, err := c.Lookup(t.Context(), "example.com")
				if err != nil || mode(r) != ModeEnforce {
					t.Errorf("%+v, %v", r, err)
				}
			})
		}
		wg.Wait()
		w.want(t, "example.com", 1, 1)
	})
}

func TestACallerMayLeaveAndTheFlightGoesOn(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, c *Client) {
		w.delay = time.Second
		w.publish("example.com", "1", text(ModeEnforce, 7*day, "mx.example.com"))
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		if _, err := c.Lookup(ctx, "example.com"); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("%v, want the caller's own error", err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		r := lookup(t, c, "example.com")
		wantMode(t, r, ModeEnforce)
		w.want(t, "example.com", 1, 1)
	})
}

func TestNamesThatCanHaveNoPolicy(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, c *Client) {
		for _, name := range []string{"", ".", "[192.0.2.1]", "[IPv6:2001:db8::1]", "192.0.2.1", "a..b", "*.example.com"} { // STS-04, STS-09, STS-10, SMTP-10
			r := lookup(t, c, name)
			if r.Domain != "" || r.Policy != nil || r.Failure != nil || r.Cause() != CauseAbsent {
				t.Errorf("Lookup(%q) = %+v", name, r)
			}
		}
		if len(w.domains) != 0 {
			t.Errorf("asked for %v", w.domains)
		}
	})
}

// R2, STS-105, I9.
func TestAbsenceIsRememberedByItsTTL(t *testing.T) {
	for _, c := range []struct {
		name        string
		ttl         time.Duration
		fresh, gone time.Duration
	}{
		{"at least 30 seconds", 0, 29 * time.Second, 31 * time.Second},
		{"by the TTL of the answer", 2 * time.Minute, 119 * time.Second, 121 * time.Second},
		{"at most 5 minutes", day, 299 * time.Second, 301 * time.Second},
		{"5 minutes where the TTL is not known", -1, 299 * time.Second, 301 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world, cl *Client) {
				w.set("example.com", func(d *domain) { d.ttl = c.ttl })
				if r := lookup(t, cl, "example.com"); r.Cause() != CauseAbsent || r.Checked.IsZero() {
					t.Fatalf("%+v", r)
				}
				time.Sleep(c.fresh)
				lookup(t, cl, "example.com")
				w.want(t, "example.com", 1, 0) // STS-36
				time.Sleep(c.gone - c.fresh)
				w.publish("example.com", "1", text(ModeEnforce, day, "mx.example.com"))
				wantMode(t, lookup(t, cl, "example.com"), ModeEnforce)
				w.want(t, "example.com", 2, 1)
			})
		})
	}
}

func TestARecordThatIsNoneIsAnAbsence(t *testing.T) {
	for name, txt := range map[string][]string{
		"several records":          {"v=STSv1; id=1", "v=STSv1; id=1"},          // STS-15
		"a malformed record":       {"v=STSv1; id=2020-01-01"},                  // STS-16
		"a good and a malformed":   {"v=STSv1; id=1", "v=STSv1; id=bad-id"},     // STS-15
		"records of another kind":  {"v=spf1 -all", "google-site-verification"}, // STS-14
		"a record of a higher one": {"v=STSv2; id=1"},                           // STS-19
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world, c *Client) {
				w.publish("example.com", "1", text(ModeEnforce, day, "mx.example.com"))
				w.set("example.com", func(d *domain) { d.txt = txt })
				if r := lookup(t, c, "example.com"); r.Cause() != CauseAbsent || r.Failure != nil {
					t.Fatalf("%+v", r)
				}
				w.want(t, "example.com", 1, 0)
			})
		})
	}
}

// AMB-03, R8, STS-34: DNS that does not answer is not "no policy".
func TestSilenceOfDNSIsIndeterminate(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, c *Client) {
		w.set("example.com", func(d *domain) { d.dnsErr = errDown })
		for i, wait := range []time.Duration{15, 30, 60, 120, 240, 300, 300} {
			r := lookup(t, c, "example.com")
			if !r.Indeterminate || r.Policy != nil || r.Failure != nil || r.Cause() != CauseIndeterminate {
				t.Fatalf("%+v", r)
			}
			w.want(t, "example.com", i+1, 0)
			time.Sleep(wait*time.Second - 1)
			lookup(t, c, "example.com")
			w.want(t, "example.com", i+1, 0)
			time.Sleep(time.Nanosecond)
		}
		w.publish("example.com", "1", text(ModeEnforce, day, "mx.example.com"))
		wantMode(t, lookup(t, c, "example.com"), ModeEnforce)
	})
}

// STS-49, STS-51, AMB-09, AMB-10, R3.
func TestAFailedFetchIsNotRepeatedForFiveMinutes(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, c *Client) {
		w.publish("example.com", "1", text(ModeEnforce, day, "mx.example.com"))
		w.set("example.com", func(d *domain) { d.status = 500 })
		for i := range 4 {
			r := lookup(t, c, "example.com")
			if r.Policy != nil || r.Cause() != CauseFailed {
				t.Fatalf("%+v", r)
			}
			wantReason(t, r, "sts-policy-fetch-error/http-500")
			time.Sleep(5*time.Minute - 1)
			wantReason(t, lookup(t, c, "example.com"), "sts-policy-fetch-error/http-500")
			if _, got := w.counts("example.com"); got != i+1 {
				t.Fatalf("%d GETs, want %d", got, i+1)
			}
			time.Sleep(time.Nanosecond)
		}
		w.set("example.com", func(d *domain) { d.status = 200 })
		wantMode(t, lookup(t, c, "example.com"), ModeEnforce)
	})
}

// STS-50: another id is fetched at once.
func TestANewIDIsNotHeldBackByTheFailureOfAnother(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, c *Client) {
		w.publish("example.com", "1", text(ModeEnforce, day, "mx.example.com"))
		w.set("example.com", func(d *domain) { d.status = 404 })
		wantReason(t, lookup(t, c, "example.com"), "sts-policy-fetch-error/http-404")
		w.publish("example.com", "2", text(ModeEnforce, day, "mx.example.com"))
		time.Sleep(59 * time.Second)
		wantReason(t, lookup(t, c, "example.com"), "sts-policy-fetch-error/http-404") // the TXT's TTL
		time.Sleep(2 * time.Second)
		r := lookup(t, c, "example.com")
		wantMode(t, r, ModeEnforce)
		if r.ID != "2" {
			t.Fatalf("id %q", r.ID)
		}
	})
}

// STS-83, STS-84, AMB-07: an unchanged id never extends a policy's life.
func TestMaxAgeCountsFromTheStartOfTheGET(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, c *Client) {
		w.delay = 2 * time.Second
		w.publish("example.com", "1", text(ModeEnforce, day, "mx.example.com"))
		began := time.Now()
		r := lookup(t, c, "example.com")
		if want := began.Add(2 * time.Second); !r.Fetched.Equal(want) || !r.Expires.Equal(want.Add(day)) {
			t.Fatalf("fetched %v, expires %v; want the start of the GET, %v", r.Fetched, r.Expires, want)
		}
		w.set("example.com", func(d *domain) { d.httpErr = errDown })
		for time.Until(r.Expires) > time.Minute {
			time.Sleep(time.Minute)
			wantMode(t, lookup(t, c, "example.com"), ModeEnforce)
		}
		time.Sleep(time.Until(r.Expires))
		wantMode(t, lookup(t, c, "example.com"), ModeEnforce)
		time.Sleep(10 * time.Minute)
		r = lookup(t, c, "example.com")
		if r.Policy != nil || mode(Result{Policy: r.Lapsed}) != ModeEnforce || r.Cause() != CauseLapsed { // R30
			t.Fatalf("%+v", r)
		}
	})
}
