package mtasts

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func refresh(t *testing.T, c *Client, name string) Result {
	t.Helper()
	r, err := c.Refresh(t.Context(), name)
	if err != nil {
		t.Fatalf("Refresh(%q): %v", name, err)
	}
	return r
}

// STS-97, STS-99: a new id is found at once, and its policy with it.
func TestRefreshFindsACorrectedPolicy(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, c *Client) {
		w.publish("example.com", "1", text(ModeEnforce, day, "old.example.com"))
		w.set("example.com", func(d *domain) { d.ttl = time.Hour })
		lookup(t, c, "example.com")
		w.publish("example.com", "2", text(ModeEnforce, day, "mx.example.com"))
		time.Sleep(time.Minute)
		if r := lookup(t, c, "example.com"); r.ID != "1" { // the TTL has not passed
			t.Fatalf("%+v", r)
		}
		r := refresh(t, c, "example.com")
		if r.ID != "2" || r.Policy.MX[0] != "mx.example.com" {
			t.Fatalf("%+v", r)
		}
	})
}

// STS-100: the text changed after its id was seen.
func TestRefreshFetchesAnewUnderTheSameID(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, c *Client) {
		w.publish("example.com", "2", text(ModeEnforce, day, "old.example.com"))
		lookup(t, c, "example.com")
		w.publish("example.com", "2", text(ModeEnforce, day, "mx.example.com"))
		time.Sleep(5*time.Minute - time.Second)
		if r := refresh(t, c, "example.com"); r.Policy.MX[0] != "old.example.com" {
			t.Fatalf("the last GET is less than five minutes old: %+v", r)
		}
		time.Sleep(time.Second)
		if r := refresh(t, c, "example.com"); r.Policy.MX[0] != "mx.example.com" {
			t.Fatalf("%+v", r)
		}
	})
}

// R7: looks within 30 seconds are shared, and back-off holds.
func TestRefreshIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, c *Client) {
		w.publish("example.com", "1", text(ModeEnforce, day, "mx.example.com"))
		lookup(t, c, "example.com")
		time.Sleep(10 * time.Minute)
		w.set("example.com", func(d *domain) { d.asked, d.got, d.status = 0, 0, 500 })
		for range 29 {
			wantMode(t, refresh(t, c, "example.com"), ModeEnforce)
			time.Sleep(time.Second)
		}
		w.want(t, "example.com", 1, 1)
		time.Sleep(2 * time.Second)
		wantReason(t, refresh(t, c, "example.com"), "sts-policy-fetch-error/http-500")
		w.want(t, "example.com", 2, 1)
		w.delay = time.Second
		time.Sleep(10 * time.Minute)
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() { wantMode(t, refresh(t, c, "example.com"), ModeEnforce) })
		}
		wg.Wait()
		w.want(t, "example.com", 3, 2)
	})
}

// R7: nobody waits longer than ten seconds, and what is known holds.
func TestRefreshDoesNotWaitForLong(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, c *Client) {
		w.publish("example.com", "1", text(ModeEnforce, day, "mx.example.com"))
		lookup(t, c, "example.com")
		time.Sleep(10 * time.Minute)
		w.delay = 15 * time.Second
		began := time.Now()
		wantMode(t, refresh(t, c, "example.com"), ModeEnforce)
		if took := time.Since(began); took != maxWait {
			t.Errorf("took %v", took)
		}
		if r, err := c.Refresh(t.Context(), "unknown.example"); !errors.Is(err, ErrBusy) && !r.Indeterminate {
			t.Errorf("%+v, %v: what is not known is no absence", r, err)
		}
		time.Sleep(10 * time.Minute)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Refresh(ctx, "example.com"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, want the caller's own error", err)
		}
	})
}

// STS-97: a look of Lookup's, a moment ago, does not stand for the one that is
// due before mail is held back.
func TestRefreshLooksThoughALookupJustDid(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, c *Client) {
		w.publish("example.com", "1", text(ModeEnforce, day, "old.example.com"))
		lookup(t, c, "example.com")
		time.Sleep(time.Second)
		w.publish("example.com", "2", text(ModeEnforce, day, "mx.example.com"))
		if r := refresh(t, c, "example.com"); r.ID != "2" {
			t.Fatalf("%+v", r)
		}
		w.want(t, "example.com", 2, 2)
	})
}

func TestRefreshOfWhatIsNotHeld(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, c *Client) {
		w.set("example.com", func(d *domain) { d.ttl = time.Hour })
		if r := lookup(t, c, "example.com"); r.Cause() != CauseAbsent {
			t.Fatalf("%+v", r)
		}
		w.publish("example.com", "1", text(ModeEnforce, day, "mx.example.com"))
		time.Sleep(31 * time.Second)
		if r := lookup(t, c, "example.com"); r.Policy != nil {
			t.Fatalf("the absence is still fresh: %+v", r)
		}
		wantMode(t, refresh(t, c, "example.com"), ModeEnforce)
		if r := refresh(t, c, "[192.0.2.1]"); r.Policy != nil || r.Domain != "" {
			t.Fatalf("%+v", r)
		}
	})
}

// AMB-06: the policy is fetched although its record is gone.
func TestRefreshFetchesWithoutARecord(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, c *Client) {
		w.publish("example.com", "1", text(ModeEnforce, day, "mx.example.com"))
		first := lookup(t, c, "example.com")
		w.set("example.com", func(d *domain) { d.txt = nil })
		time.Sleep(time.Hour)
		r := refresh(t, c, "example.com")
		if !r.Fetched.After(first.Fetched) {
			t.Fatalf("%+v", r)
		}
		wantReason(t, r, "sts-policy-fetch-error/txt-missing")
	})
}

func TestForget(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, c *Client) {
		w.publish("example.com", "1", text(ModeEnforce, day, "mx.example.com"))
		for _, name := range []string{"example.com", "absent.example"} {
			lookup(t, c, name)
			lookup(t, c, name)
			if asked, _ := w.counts(name); asked != 1 {
				t.Fatalf("%s: asked %d times", name, asked)
			}
			if err := c.Forget(t.Context(), name+"."); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			lookup(t, c, name)
			if asked, _ := w.counts(name); asked != 2 {
				t.Errorf("%s: asked %d times after Forget", name, asked)
			}
		}
		h, err := newHeld("example.com", "1", text(ModeEnforce, day, "mx.example.com"), c.clock.now())
		if err != nil {
			t.Fatal(err)
		}
		c.refused.Put("example.com", h)
		if err := c.Forget(t.Context(), "example.com"); err != nil {
			t.Fatal(err)
		}
		if _, ok := c.refused.Get("example.com"); ok {
			t.Error("a policy that memory had no room for stands in after Forget")
		}
		if err := c.Forget(t.Context(), "[::1]"); err != nil {
			t.Error(err)
		}
	})
}

func TestPoliciesAndStats(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, c *Client) {
		w.publish("lapsed.example", "1", text(ModeEnforce, time.Minute, "mx.example.com"))
		lookup(t, c, "lapsed.example")
		time.Sleep(2 * time.Minute)
		w.publish("held.example", "1", text(ModeEnforce, day, "mx.example.com"))
		w.publish("broken.example", "1", "")
		for _, name := range []string{"held.example", "absent.example", "broken.example"} {
			lookup(t, c, name)
		}
		got := map[string]Cause{}
		for r, err := range c.Policies(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			got[r.Domain] = r.Cause()
		}
		want := map[string]Cause{"held.example": "", "lapsed.example": CauseLapsed, "broken.example": CauseFailed}
		if len(got) != len(want) {
			t.Errorf("%v, want %v", got, want)
		}
		for name, cause := range want {
			if got[name] != cause {
				t.Errorf("%s: %q, want %q", name, got[name], cause)
			}
		}
		if st := c.Stats(); st != (Stats{Policies: 2, Absences: 1, Failures: 1}) {
			t.Errorf("%+v", st)
		}
		for range c.Policies(t.Context()) {
			break // a caller may stop
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for _, err := range c.Policies(ctx) {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%v", err)
			}
		}
	})
}

// running runs c.Run in the bubble.
func running(t *testing.T, f func(t *testing.T, w *world, c *Client)) {
	t.Helper()
	bubble(t, func(t *testing.T, w *world, c *Client) {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- c.Run(ctx) }()
		f(t, w, c)
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run returned %v", err)
		}
	})
}

// STS-93, STS-94, R1: daily, unasked, whatever the record says, and never late.
func TestRunRenewsDaily(t *testing.T) {
	running(t, func(t *testing.T, w *world, c *Client) {
		w.publish("example.com", "1", text(ModeEnforce, 7*day, "mx.example.com"))
		lookup(t, c, "example.com")
		w.set("example.com", func(d *domain) { d.dnsErr = errDown })
		time.Sleep(20 * day)
		synctest.Wait()
		var gets []time.Time
		w.set("example.com", func(d *domain) { gets = d.gets })
		for i := 1; i < len(gets); i++ {
			if gap := gets[i].Sub(gets[i-1]); gap > day || gap < 21*time.Hour {
				t.Errorf("GETs %d and %d are %v apart", i, i+1, gap)
			}
		}
		if len(gets) < 20 {
			t.Errorf("%d GETs in 20 days", len(gets))
		}
		wantMode(t, lookup(t, c, "example.com"), ModeEnforce)
	})
}

// AMB-48: what no mail goes to is left to expire; and what lives for less than
// an hour is Lookup's.
func TestRunLeavesWhatIsNotUsed(t *testing.T) {
	running(t, func(t *testing.T, w *world, c *Client) {
		w.publish("example.com", "1", text(ModeEnforce, 365*day, "mx.example.com"))
		w.publish("short.example", "1", text(ModeEnforce, 50*time.Minute, "mx.example.com"))
		lookup(t, c, "example.com")
		lookup(t, c, "short.example")
		time.Sleep(90 * day)
		synctest.Wait()
		if _, got := w.counts("example.com"); got < 30 || got > 36 {
			t.Errorf("%d GETs for a policy that was used once", got)
		}
		if _, got := w.counts("short.example"); got != 1 {
			t.Errorf("%d GETs for a policy of 50 minutes", got)
		}
		if st := c.Stats(); st.Policies != 1 {
			t.Errorf("%d policies; one expired more than 30 days ago", st.Policies)
		}
	})
}

// R1: Run sleeps until something is due, and learns of what is due earlier.
func TestRunWakesForAPolicyThatIsDueEarlier(t *testing.T) {
	running(t, func(t *testing.T, w *world, c *Client) {
		w.publish("long.example", "1", text(ModeEnforce, 365*day, "mx.example.com"))
		lookup(t, c, "long.example")
		time.Sleep(time.Hour)
		w.publish("short.example", "1", text(ModeEnforce, 3*time.Hour, "mx.example.com"))
		lookup(t, c, "short.example")
		time.Sleep(time.Hour)
		synctest.Wait()
		if _, got := w.counts("short.example"); got != 2 {
			t.Errorf("%d GETs", got)
		}
	})
}

// R1: enforce first, then what is used on most days, then what ends first.
func TestOrderOfRenewals(t *testing.T) {
	enforce, testing_ := &Policy{Mode: ModeEnforce, MaxAge: day}, &Policy{Mode: ModeTesting, MaxAge: day}
	for _, c := range []struct {
		name        string
		first, then held
	}{
		{"enforce before testing", held{policy: enforce}, held{policy: testing_, days: 9}},
		{"used on more days", held{policy: enforce, days: 2, fetched: 1}, held{policy: enforce, days: 1}},
		{"less life left", held{policy: enforce}, held{policy: enforce, fetched: 1}},
	} {
		if urgency(&c.first, &c.then) >= 0 || urgency(&c.then, &c.first) <= 0 {
			t.Errorf("%s: not so", c.name)
		}
	}
}

// STS-95, STS-96: the operator hears of a failing renewal in good time, and not
// for a policy that asks for nothing.
func TestTheOperatorHearsOfFailingRenewals(t *testing.T) {
	for _, m := range []Mode{ModeEnforce, ModeTesting, ModeNone} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			var told []Result
			var mu sync.Mutex
			c := &Client{Resolver: w, Transport: w, Trace: &Trace{RenewalFailing: func(r Result) {
				mu.Lock()
				defer mu.Unlock()
				told = append(told, r)
			}}}
			defer c.Close()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			go c.Run(ctx)
			w.publish("example.com", "1", text(m, 7*day, "mx.example.com"))
			r := lookup(t, c, "example.com")
			w.set("example.com", func(d *domain) { d.status = 500 })
			time.Sleep(2 * day)
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if m == ModeNone {
				if len(told) != 0 {
					t.Errorf("told of mode none")
				}
				return
			}
			if len(told) == 0 {
				t.Fatal("not told")
			}
			if first := told[0]; first.Domain != "example.com" || first.Failure == nil || time.Until(r.Expires) < 4*day {
				t.Errorf("%+v", first)
			}
		})
	}
}

func TestTrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		var checks []string
		var fetches []Fetch
		c := &Client{Resolver: w, Transport: w, Trace: &Trace{
			Checked: func(c Check) { checks = append(checks, c.Domain+" "+c.ID+" "+c.Reason) },
			Fetched: func(f Fetch) { fetches = append(fetches, f) },
		}}
		defer c.Close()
		w.delay = time.Second
		w.publish("good.example", "1", text(ModeEnforce, day, "mx.example.com"))
		w.publish("bad.example", "2", "")
		for _, name := range []string{"good.example", "bad.example", "absent.example"} {
			lookup(t, c, name)
		}
		if len(checks) != 3 || checks[0] != "good.example 1 " || checks[2] != "absent.example  txt-missing" {
			t.Errorf("%q", checks)
		}
		if len(fetches) != 2 || fetches[0].Policy == nil || fetches[0].Err != nil || fetches[0].Duration != time.Second ||
			fetches[1].ID != "2" || fetches[1].Policy != nil || fetches[1].Err == nil {
			t.Errorf("%+v", fetches)
		}
	})
}
