package mtasts

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strictmx/strictmx/tlsrpt"
)

// lastsUntilExpiry looks a domain up every ten minutes until the policy held
// expires, and checks that it is enforced all the time.
func lastsUntilExpiry(t *testing.T, c *Client, name string) Result {
	t.Helper()
	r := lookup(t, c, name)
	for {
		next := min(10*time.Minute, time.Until(r.Expires))
		if next <= 0 {
			return r
		}
		time.Sleep(next)
		r = lookup(t, c, name)
		wantMode(t, r, ModeEnforce)
	}
}

// A fresh policy survives whatever DNS and the policy host do.
func TestAFreshPolicySurvives(t *testing.T) {
	down := func(d *domain) { d.httpErr = errDown }
	for _, c := range []struct {
		name   string
		change func(*domain)
		reason string
	}{
		{"a record that disappears", func(d *domain) { d.txt = nil }, "txt-missing"},                                                  // STS-17, STS-52, STS-88, STS-132, AMB-05
		{"a record that is doubled", func(d *domain) { d.txt = []string{"v=STSv1; id=1", "v=STSv1; id=1"} }, "txt-multiple"},          // STS-17
		{"a record that is garbled", func(d *domain) { d.txt = []string{"v=STSv1; id=a-b"} }, "txt-invalid"},                          // STS-17
		{"a record of another kind", func(d *domain) { d.txt = []string{"v=spf1 -all"} }, "txt-missing"},                              // STS-14
		{"DNS that does not answer", func(d *domain) { d.dnsErr = errDown }, "dns-failure"},                                           // STS-85, AMB-04
		{"a new id whose policy cannot be fetched", func(d *domain) { d.txt, d.status = []string{"v=STSv1; id=2"}, 500 }, "http-500"}, // STS-89, AMB-08
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world, cl *Client) {
				w.publish("example.com", "1", text(ModeEnforce, 3*day, "mx.example.com"))
				lookup(t, cl, "example.com")
				w.set("example.com", down)
				w.set("example.com", func(d *domain) { d.httpErr = nil; d.status = 404; c.change(d) })
				time.Sleep(2 * time.Minute)
				lookup(t, cl, "example.com")
				r := lookup(t, cl, "example.com")
				wantMode(t, r, ModeEnforce)
				if r.ID != "1" {
					t.Errorf("id %q, want the one the policy was fetched under", r.ID)
				}
				wantReason(t, r, "sts-policy-fetch-error/"+c.reason)
				if o := r.Outcome(); o.Policy.Type != tlsrpt.STS || len(o.Policy.Strings) != 4 || len(o.Failures) != 1 { // RPT-121
					t.Errorf("outcome %+v", o)
				}
				r = lastsUntilExpiry(t, cl, "example.com")
				time.Sleep(time.Nanosecond)
				if r := lookup(t, cl, "example.com"); r.Policy != nil || r.Lapsed == nil {
					t.Fatalf("after max_age: %+v", r)
				}
			})
		})
	}
}

// STS-90: a new id with a text that is no policy.
func TestAnInvalidNewTextChangesNothing(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, c *Client) {
		w.publish("example.com", "1", text(ModeEnforce, day, "mx.example.com"))
		lookup(t, c, "example.com")
		w.publish("example.com", "2", "version: STSv1\nmode: enforced\nmx: mx.example.com\nmax_age: 86400\n")
		time.Sleep(time.Minute)
		lookup(t, c, "example.com")
		r := lookup(t, c, "example.com")
		wantMode(t, r, ModeEnforce)
		wantReason(t, r, "sts-policy-invalid/bad-mode")
		if r.ID != "1" {
			t.Errorf("id %q", r.ID)
		}
	})
}

// RPT-42, RPT-84, RPT-122, AMB-32, STS-131.
func TestAnInvalidPolicyIsToldWithItsLines(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, c *Client) {
		w.publish("example.com", "1", "version: STSv1\r\nmode: enforced\r\n")
		o := lookup(t, c, "example.com").Outcome()
		if o.Policy.Type != tlsrpt.STS || len(o.Policy.Strings) != 2 || o.Policy.Strings[1] != "mode: enforced" || o.Policy.MXHosts != nil ||
			len(o.Failures) != 1 || o.Failures[0] != (tlsrpt.Failure{Type: tlsrpt.STSPolicyInvalid, Reason: "bad-mode"}) {
			t.Errorf("%+v", o)
		}
	})
	bubble(t, func(t *testing.T, w *world, c *Client) {
		w.publish("example.com", "1", "")
		w.set("example.com", func(d *domain) { d.status = 404 })
		o := lookup(t, c, "example.com").Outcome()
		if o.Policy.Type != tlsrpt.STS || o.Policy.Domain != "example.com" || o.Policy.Strings != nil || len(o.Failures) != 1 {
			t.Errorf("%+v", o)
		}
	})
}

// RPT-45: a policy that expired while DNS kept silent is told as one that could not
// be fetched, for as long as it is remembered; one whose record is gone is not.
func TestAPolicyThatLapsedInSilenceIsTold(t *testing.T) {
	for _, c := range []struct {
		name   string
		mode   Mode
		change func(*domain)
		want   tlsrpt.PolicyType
	}{
		{"enforce, and DNS is silent", ModeEnforce, func(d *domain) { d.dnsErr = errDown }, tlsrpt.STS},
		{"testing, and DNS is silent", ModeTesting, func(d *domain) { d.dnsErr = errDown }, tlsrpt.STS},
		{"none, and DNS is silent", ModeNone, func(d *domain) { d.dnsErr = errDown }, tlsrpt.NoPolicyFound},
		{"enforce, and the record is gone", ModeEnforce, func(d *domain) { d.txt = nil }, tlsrpt.NoPolicyFound},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world, cl *Client) {
				mxs := []string{"mx.example.com"}
				if c.mode == ModeNone {
					mxs = nil
				}
				w.publish("example.com", "1", text(c.mode, day, mxs...))
				lookup(t, cl, "example.com")
				w.set("example.com", func(d *domain) { d.httpErr = errDown; c.change(d) })
				time.Sleep(day + time.Second)
				o := lookup(t, cl, "example.com").Outcome()
				if o.Policy.Type != c.want || o.Policy.Domain != "example.com" || o.Policy.Strings != nil || o.Policy.MXHosts != nil {
					t.Errorf("policy %+v", o.Policy)
				}
				var failures []tlsrpt.Failure
				if c.want == tlsrpt.STS {
					failures = []tlsrpt.Failure{{Type: tlsrpt.STSPolicyFetchError, Reason: tlsrpt.ReasonDNS}}
				}
				if !slices.Equal(o.Failures, failures) {
					t.Errorf("failures %v, want %v", o.Failures, failures)
				}
			})
		})
	}
}

// STS-49, STS-89, R3: the new id is tried again, less and less often.
func TestANewIDIsTriedAgain(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, c *Client) {
		w.publish("example.com", "1", text(ModeEnforce, 7*day, "mx.example.com"))
		lookup(t, c, "example.com")
		w.publish("example.com", "2", text(ModeEnforce, 7*day, "mx2.example.com"))
		w.set("example.com", func(d *domain) { d.status = 503; d.gets = nil })
		for range 4 * 60 {
			time.Sleep(time.Minute)
			lookup(t, c, "example.com")
		}
		var gets []time.Time
		w.set("example.com", func(d *domain) { gets = d.gets })
		for i, want := range []time.Duration{5, 10, 20, 40, 60} {
			if got := gets[i+1].Sub(gets[i]).Round(time.Minute); got != want*time.Minute {
				t.Errorf("between GETs %d and %d: %v, want %v min", i+1, i+2, got, int(want))
			}
		}
		w.set("example.com", func(d *domain) { d.status = 200 })
		time.Sleep(time.Hour)
		lookup(t, c, "example.com")
		if r := lookup(t, c, "example.com"); r.ID != "2" || r.Policy.MX[0] != "mx2.example.com" || r.Failure != nil { // STS-32
			t.Fatalf("%+v", r)
		}
	})
}

// STS-86, STS-91, STS-99, AMB-49, R29, I6.
func TestANewPolicyReplacesTheOldOneAtOnce(t *testing.T) {
	for _, c := range []struct {
		name, id, text string
		weaker, same   bool
	}{
		{"a weaker mode", "2", text(ModeTesting, day, "mx.example.com"), true, false},
		{"mode none", "2", text(ModeNone, day), true, false},
		{"another host", "2", text(ModeEnforce, day, "mx.example.net"), true, false},
		{"a shorter max_age", "2", text(ModeEnforce, day, "mx.example.com"), false, false},
		{"a max_age of less than a day", "2", text(ModeEnforce, time.Hour, "mx.example.com"), false, false},
		{"the same text", "2", text(ModeEnforce, 7*day, "mx.example.com"), false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				changed := 0
				cl := &Client{Resolver: w, Transport: w, Trace: &Trace{Changed: func(old, new Result, weaker bool) {
					changed++
					if old.ID != "1" || new.ID != c.id || weaker != c.weaker {
						t.Errorf("Changed(%+v, %+v, %v)", old, new, weaker)
					}
				}}}
				defer cl.Close()
				w.publish("example.com", "1", text(ModeEnforce, 7*day, "mx.example.com"))
				first := lookup(t, cl, "example.com")
				w.publish("example.com", c.id, c.text)
				time.Sleep(time.Minute)
				lookup(t, cl, "example.com")
				r := lookup(t, cl, "example.com")
				want, _ := ParsePolicy(c.text)
				if r.ID != c.id || r.Policy.String() != want.String() || !r.Fetched.After(first.Fetched) || !r.Expires.Equal(r.Fetched.Add(want.MaxAge)) {
					t.Errorf("%+v", r)
				}
				if (changed == 0) != c.same {
					t.Errorf("Changed called %d times", changed)
				}
			})
		})
	}
}

// R29: ConfirmWeaker wants to see a weaker policy twice.
func TestConfirmWeaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		c := &Client{Resolver: w, Transport: w, ConfirmWeaker: true}
		defer c.Close()
		w.publish("example.com", "1", text(ModeEnforce, 7*day, "mx.example.com"))
		lookup(t, c, "example.com")
		w.publish("example.com", "2", text(ModeNone, 7*day))
		for at := time.Minute; at < time.Hour+time.Minute; at += time.Minute {
			time.Sleep(time.Minute)
			wantMode(t, lookup(t, c, "example.com"), ModeEnforce)
		}
		time.Sleep(time.Minute)
		lookup(t, c, "example.com")
		wantMode(t, lookup(t, c, "example.com"), ModeNone)

		w.publish("example.net", "1", text(ModeEnforce, 7*day, "mx.example.net"))
		lookup(t, c, "example.net")
		w.publish("example.net", "2", text(ModeNone, 7*day))
		time.Sleep(time.Minute)
		lookup(t, c, "example.net")
		w.publish("example.net", "1", text(ModeEnforce, 7*day, "mx.example.net"))
		for range 7 * 24 * 6 {
			time.Sleep(10 * time.Minute)
			wantMode(t, lookup(t, c, "example.net"), ModeEnforce)
		}
	})
}

// STS-92, STS-74: mode none ends an enforce policy, and ends itself.
func TestNoneEndsAPolicy(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, c *Client) {
		w.publish("example.com", "1", text(ModeEnforce, 365*day, "mx.example.com"))
		lookup(t, c, "example.com")
		w.publish("example.com", "2", text(ModeNone, day))
		time.Sleep(time.Minute)
		lookup(t, c, "example.com")
		r := lookup(t, c, "example.com")
		if r.Cause() != CauseNone {
			t.Fatalf("%+v", r)
		}
		w.set("example.com", func(d *domain) { *d = domain{} })
		time.Sleep(12 * time.Hour)
		lookup(t, c, "example.com")
		r = lookup(t, c, "example.com")
		if o := r.Outcome(); o.Policy.Type != tlsrpt.NoPolicyFound || o.Failures != nil || r.Failure == nil { // STS-130
			t.Fatalf("%+v %+v", r, o)
		}
		time.Sleep(day)
		if r := lookup(t, c, "example.com"); r.Policy != nil || r.Lapsed != nil || r.Cause() != CauseAbsent {
			t.Fatalf("%+v", r)
		}
	})
}

// AMB-11, STS-78.
func TestMaxAgeZero(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, c *Client) {
		w.delay = time.Second
		w.publish("example.com", "1", text(ModeEnforce, 0, "mx.example.com"))
		for i := range 3 { // R7: three GETs, then the last one's policy stands in
			wantMode(t, lookup(t, c, "example.com"), ModeEnforce)
			w.want(t, "example.com", 1, i+1)
		}
		wantMode(t, lookup(t, c, "example.com"), ModeEnforce) // R8
		w.want(t, "example.com", 1, 3)
		time.Sleep(5 * time.Minute)
		wantMode(t, lookup(t, c, "example.com"), ModeEnforce)
		w.want(t, "example.com", 2, 4)
		w.publish("example.com", "2", text(ModeNone, 0))
		time.Sleep(5 * time.Minute)
		wantMode(t, lookup(t, c, "example.com"), ModeNone)
		w.set("example.com", func(d *domain) { *d = domain{} }) // the owner has left: nothing is missed
		time.Sleep(5 * time.Minute)
		if r := lookup(t, c, "example.com"); r.Cause() != CauseAbsent || r.Failure != nil {
			t.Errorf("after mode none with max_age 0: %+v", r)
		}
	})
}

// R1, STS-94: a GET is due at a third of max_age, at the latest after a day,
// whatever the record says; Lookup starts it.
func TestLookupRenews(t *testing.T) {
	for _, c := range []struct {
		maxAge, due time.Duration
	}{
		{365 * day, day}, {day, 8 * time.Hour}, {3 * time.Hour, time.Hour}, {40 * time.Minute, 20 * time.Minute},
	} {
		t.Run(c.maxAge.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world, cl *Client) {
				w.publish("example.com", "1", text(ModeEnforce, c.maxAge, "mx.example.com"))
				first := lookup(t, cl, "example.com")
				w.set("example.com", func(d *domain) { d.dnsErr = errDown })
				time.Sleep(c.due * 9 / 10)
				lookup(t, cl, "example.com")
				if _, got := w.counts("example.com"); got != 1 {
					t.Fatalf("%d GETs before a renewal is due", got)
				}
				time.Sleep(c.due / 10)
				lookup(t, cl, "example.com")
				r := lookup(t, cl, "example.com")
				if _, got := w.counts("example.com"); got != 2 || !r.Fetched.Equal(first.Fetched.Add(c.due)) {
					t.Fatalf("%d GETs; fetched %v after the first", got, r.Fetched.Sub(first.Fetched))
				}
				if r.Failure == nil { // the record is still amiss
					t.Error("a successful GET hides that DNS is silent")
				}
			})
		})
	}
}

// R1: after a failed renewal again in 10, 30 and 60 minutes, and closer to each
// other towards the end.
func TestAFailedRenewalIsTriedAgain(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, c *Client) {
		w.publish("example.com", "1", text(ModeEnforce, 7*day, "mx.example.com"))
		lookup(t, c, "example.com")
		w.set("example.com", func(d *domain) { d.httpErr = errDown; d.gets = nil })
		r := lastsEveryMinute(t, c, "example.com")
		var gets []time.Time
		w.set("example.com", func(d *domain) { gets = d.gets })
		for i, want := range []time.Duration{10, 30, 60, 60} {
			if got := gets[i+1].Sub(gets[i]).Round(time.Minute); got != want*time.Minute {
				t.Errorf("between tries %d and %d: %v, want %d min", i+1, i+2, got, want)
			}
		}
		last := gets[len(gets)-1]
		for _, g := range gets {
			if g.Before(r.Expires) {
				last = g
			}
		}
		if left := r.Expires.Sub(last); left > 5*time.Minute {
			t.Errorf("the last try came %v before the end", left)
		}
		if n := len(gets); n > 7*24+30 {
			t.Errorf("%d tries in a week", n)
		}
	})
}

func lastsEveryMinute(t *testing.T, c *Client, name string) Result {
	t.Helper()
	r := lookup(t, c, name)
	for time.Until(r.Expires) > 0 {
		time.Sleep(min(time.Minute, time.Until(r.Expires)))
		r = lookup(t, c, name)
		wantMode(t, r, ModeEnforce)
	}
	return r
}

// R3: when the policy expires, the wait is cut to five minutes after the last failure.
func TestBackOffIsCutWhenNothingProtectsAnyMore(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, c *Client) {
		w.publish("example.com", "1", text(ModeEnforce, day, "mx.example.com"))
		lookup(t, c, "example.com")
		w.set("example.com", func(d *domain) { d.httpErr = errDown })
		r := lastsEveryMinute(t, c, "example.com")
		time.Sleep(time.Until(r.Expires) + 1)
		w.set("example.com", func(d *domain) { d.httpErr = nil })
		for range 6 {
			r = lookup(t, c, "example.com")
			time.Sleep(time.Minute)
		}
		wantMode(t, r, ModeEnforce)
	})
}

// R30: what ends a lapsed policy for good is an authentic word.
func TestLapsedUntilToldOtherwise(t *testing.T) {
	for _, c := range []struct {
		name   string
		secure bool
		wait   time.Duration
		want   bool
	}{
		{"a denial that anyone could forge leaves it", false, time.Hour, true},
		{"a denial that DNSSEC proves ends it", true, time.Hour, false},
		{"30 days end it", false, 31 * day, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world, cl *Client) {
				w.publish("example.com", "1", text(ModeEnforce, day, "mx.example.com"))
				r := lookup(t, cl, "example.com")
				w.set("example.com", func(d *domain) { *d = domain{secure: c.secure} })
				time.Sleep(day + c.wait)
				lookup(t, cl, "example.com")
				r = lookup(t, cl, "example.com")
				if (r.Lapsed != nil) != c.want || r.Policy != nil {
					t.Fatalf("%+v", r)
				}
				if want := map[bool]Cause{true: CauseLapsed, false: CauseAbsent}[c.want]; r.Cause() != want {
					t.Errorf("cause %q", r.Cause())
				}
			})
		})
	}
}

// R8, STS-33: the id is looked at by the TTL, and at least a minute apart.
func TestIDChecksKeepTheirDistance(t *testing.T) {
	for _, c := range []struct {
		name       string
		ttl, every time.Duration
	}{
		{"a TTL of zero", 0, time.Minute},
		{"a TTL of ten minutes", 10 * time.Minute, 10 * time.Minute},
		{"a TTL of a day", day, time.Hour},
		{"a TTL that is not known", -1, 5 * time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world, cl *Client) {
				w.publish("example.com", "1", text(ModeEnforce, 365*day, "mx.example.com"))
				w.set("example.com", func(d *domain) { d.ttl = c.ttl })
				for range 6 * 3600 {
					time.Sleep(time.Second)
					lookup(t, cl, "example.com")
				}
				asked, _ := w.counts("example.com")
				if want := int(6 * time.Hour / c.every); asked < want-1 || asked > want+1 {
					t.Errorf("%d queries in 6 hours, want %d", asked, want)
				}
			})
		})
	}
}

// R7, I8: whatever ids a domain serves, its share of GETs is small and fixed,
// and a new id that is the right one is still found in time.
func TestTheBudgetOfGETs(t *testing.T) {
	ids := []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"}
	for _, protect := range []bool{false, true} {
		bubble(t, func(t *testing.T, w *world, c *Client) {
			if protect {
				w.publish("example.com", "0", text(ModeEnforce, 365*day, "mx.example.com"))
				lookup(t, c, "example.com")
				time.Sleep(time.Hour)
			}
			w.set("example.com", func(d *domain) { d.gets, d.ttl, d.status = nil, 0, 500 })
			for i := range 10 * 60 {
				w.set("example.com", func(d *domain) { d.txt = []string{"v=STSv1; id=" + ids[i%len(ids)]} })
				time.Sleep(time.Minute)
				r := lookup(t, c, "example.com")
				if protect {
					wantMode(t, r, ModeEnforce)
				} else if r.Cause() != CauseFailed {
					t.Fatalf("%+v", r)
				}
			}
			var gets []time.Time
			w.set("example.com", func(d *domain) { gets = d.gets })
			if len(gets) > 3+10*12+1 || len(gets) < 60 {
				t.Errorf("%d GETs in ten hours", len(gets))
			}
			w.publish("example.com", "z", text(ModeTesting, day, "mx.example.com"))
			for range 10 {
				time.Sleep(time.Minute)
				lookup(t, c, "example.com")
			}
			wantMode(t, lookup(t, c, "example.com"), ModeTesting) // I3
		})
	}
}

// R5: of two GETs the one that began later counts, whichever ends first.
func TestAnOlderGETNeverReplacesANewerOne(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, c *Client) {
		w.publish("example.com", "1", text(ModeEnforce, day, "mx.example.com"))
		lookup(t, c, "other.example")
		time.Sleep(time.Hour)
		r := lookup(t, c, "example.com")
		for _, start := range []instant{time.Hour - time.Second, time.Hour} { // a tie is no later
			if got := install(t, c, "example.com", "0", text(ModeNone, day), start); got.Policy != r.Policy {
				t.Errorf("the older GET gave %+v", got)
			}
			wantMode(t, lookup(t, c, "example.com"), ModeEnforce)
		}
	})
}

// R4: whatever is in memory beside it, a fresh policy is what counts.
func TestNothingHidesAFreshPolicy(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, c *Client) {
		w.publish("example.com", "1", text(ModeEnforce, day, "mx.example.com"))
		lookup(t, c, "example.com")
		c.absences.Put("example.com", newAbsence(c.clock.now(), maxAbsence))
		wantMode(t, lookup(t, c, "example.com"), ModeEnforce)
		c.looks.Put("example.com", look{id: "1", silent: true, nextTXT: c.clock.now() + time.Hour})
		wantMode(t, lookup(t, c, "example.com"), ModeEnforce)
		wantMode(t, c.lastLook(Result{Domain: "example.com", Indeterminate: true}), ModeEnforce)
		// An answer from DNS that comes in late is no absence either (R2).
		if err := c.askTXT("example.com", c.clock.now()+1); err != nil {
			t.Fatal(err)
		}
		w.set("example.com", func(d *domain) { d.txt = nil })
		time.Sleep(time.Minute)
		lookup(t, c, "example.com")
		wantMode(t, lookup(t, c, "example.com"), ModeEnforce)
	})
}

// What a response must be to hold a policy.
func TestOnlyAPlain200IsAPolicy(t *testing.T) {
	good := text(ModeEnforce, day, "mx.example.com")
	for _, c := range []struct {
		name   string
		change func(*domain)
		want   string
	}{
		{"200 text/plain", func(d *domain) {}, ""},
		{"any case and parameters", func(d *domain) { d.header = http.Header{"Content-Type": {"TEXT/Plain ;charset=x; charset=y"}} }, ""}, // STS-45, STS-46
		{"another charset is not transcoded", func(d *domain) { d.header = http.Header{"Content-Type": {"text/plain; charset=iso-8859-1"}} }, ""},
		{"HTML", func(d *domain) { d.header = http.Header{"Content-Type": {"text/html"}} }, "content-type"}, // STS-45, AMB-18
		{"no type", func(d *domain) { d.header = http.Header{} }, "content-type"},                           // AMB-17
		{"gzip", func(d *domain) {
			d.header = http.Header{"Content-Type": {"text/plain"}, "Content-Encoding": {"gzip"}}
		}, "content-encoding"}, // STS-56, R31
		{"identity", func(d *domain) {
			d.header = http.Header{"Content-Type": {"text/plain"}, "Content-Encoding": {"identity"}}
		}, ""},
		{"201", func(d *domain) { d.status = 201 }, "http-201"}, // STS-42
		{"203", func(d *domain) { d.status = 203 }, "http-203"},
		{"204", func(d *domain) { d.status = 204 }, "http-204"},
		{"206", func(d *domain) { d.status = 206 }, "http-206"},
		{"304", func(d *domain) { d.status = 304 }, "http-304"},
		{"403", func(d *domain) { d.status = 403 }, "http-403"},
		{"404", func(d *domain) { d.status = 404 }, "http-404"},
		{"500", func(d *domain) { d.status = 500 }, "http-500"},
		{"301", func(d *domain) { d.status = 301 }, "redirect"}, // STS-43
		{"302", func(d *domain) { d.status = 302 }, "redirect"},
		{"303", func(d *domain) { d.status = 303 }, "redirect"},
		{"307", func(d *domain) { d.status = 307 }, "redirect"},
		{"308", func(d *domain) { d.status = 308 }, "redirect"},
		{"64 KiB", func(d *domain) { d.text += string(pad(maxPolicyBytes - len(d.text))) }, ""}, // STS-48
		{"64 KiB and a byte", func(d *domain) { d.text += string(pad(maxPolicyBytes + 1 - len(d.text))) }, "too-large"},
		{"nothing by the network", func(d *domain) { d.httpErr = errors.New("odd") }, "http-error"},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world, cl *Client) {
				w.publish("example.com", "1", good)
				w.set("example.com", c.change)
				r := lookup(t, cl, "example.com")
				if c.want == "" {
					wantMode(t, r, ModeEnforce)
					return
				}
				if r.Policy != nil {
					t.Fatalf("%+v", r)
				}
				wantReason(t, r, "sts-policy-fetch-error/"+c.want)
			})
		})
	}
}

// pad is n bytes of lines that a policy may have.
func pad(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = "x: aaaaaaaaaaaaa\n"[i%17]
	}
	if n > 0 {
		b[n-1] = '\n'
	}
	return b
}

// STS-47, R34: a host that hangs costs half a minute, and the error is no
// context's, since no caller's time was up.
func TestAGETThatHangsEnds(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, c *Client) {
		w.publish("example.com", "1", text(ModeEnforce, day, "mx.example.com"))
		c.Resolver = w
		w.set("example.com", func(d *domain) {})
		began := time.Now()
		slow := &hanging{}
		c.Transport = slow
		r := lookup(t, c, "example.com")
		wantReason(t, r, "sts-policy-fetch-error/timeout")
		if took := time.Since(began); took != headerTimeout {
			t.Errorf("took %v", took)
		}
		if e := r.Failure; errors.Is(e, http.ErrHandlerTimeout) || isContextError(e) {
			t.Errorf("%v is a context's error", e)
		}
	})
}

// R29, I6: a weakening is told however the text hides it.
func TestAWeakeningBehindALongTextIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		told := 0
		c := &Client{Resolver: w, Transport: w, Trace: &Trace{Changed: func(_, _ Result, weaker bool) {
			if weaker {
				told++
			}
		}}}
		defer c.Close()
		long := string(pad(maxKeptBytes + 100))
		w.publish("example.com", "1", long+text(ModeEnforce, day, "mx.example.com"))
		wantMode(t, lookup(t, c, "example.com"), ModeEnforce)
		w.publish("example.com", "2", long+text(ModeNone, day))
		time.Sleep(time.Minute)
		lookup(t, c, "example.com")
		wantMode(t, lookup(t, c, "example.com"), ModeNone)
		if told != 1 {
			t.Errorf("told %d times", told)
		}
	})
}

// STS-95: ids that change all the time do not keep the operator from hearing
// that nothing can be fetched.
func TestChangingIDsDoNotSilenceTheAlarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		told := 0
		c := &Client{Resolver: w, Transport: w, Trace: &Trace{RenewalFailing: func(Result) { told++ }}}
		defer c.Close()
		w.publish("example.com", "0", text(ModeEnforce, day, "mx.example.com"))
		lookup(t, c, "example.com")
		for i := range 60 {
			w.set("example.com", func(d *domain) { d.status, d.txt = 500, []string{fmt.Sprintf("v=STSv1; id=%d", i+1)} })
			time.Sleep(5 * time.Minute)
			wantMode(t, lookup(t, c, "example.com"), ModeEnforce)
		}
		if told == 0 {
			t.Error("not told")
		}
	})
}

// R3: a weaker policy that waits to be confirmed does not lift the back-off.
func TestConfirmWeakerBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		c := &Client{Resolver: w, Transport: w, ConfirmWeaker: true}
		defer c.Close()
		w.publish("example.com", "1", text(ModeEnforce, 7*day, "mx.example.com"))
		lookup(t, c, "example.com")
		w.publish("example.com", "2", text(ModeNone, day))
		time.Sleep(time.Minute)
		lookup(t, c, "example.com")
		w.set("example.com", func(d *domain) { d.status, d.got = 500, 0 })
		for range 5 * 60 {
			time.Sleep(time.Minute)
			wantMode(t, lookup(t, c, "example.com"), ModeEnforce)
		}
		if _, got := w.counts("example.com"); got > 8 {
			t.Errorf("%d GETs in five hours", got)
		}
		// What restores the old policy under a new id does not wait.
		w.publish("example.com", "3", text(ModeEnforce, 7*day, "mx.example.com"))
		time.Sleep(2 * time.Minute)
		lookup(t, c, "example.com")
		if r := lookup(t, c, "example.com"); r.ID != "3" {
			t.Errorf("%+v", r)
		}
	})
}

// R2: where a policy was held lately, an absence counts for 30 seconds.
func TestAbsenceAfterALapseIsShort(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, c *Client) {
		w.publish("example.com", "1", text(ModeEnforce, time.Hour, "mx.example.com"))
		lookup(t, c, "example.com")
		w.set("example.com", func(d *domain) { *d = domain{ttl: time.Hour} })
		time.Sleep(day)
		if r := lookup(t, c, "example.com"); r.Cause() != CauseLapsed {
			t.Fatalf("%+v", r)
		}
		w.publish("example.com", "1", text(ModeEnforce, time.Hour, "mx.example.com"))
		time.Sleep(31 * time.Second)
		wantMode(t, lookup(t, c, "example.com"), ModeEnforce)
	})
}

// R8: the last policy stands in for five minutes after its GET and no longer.
func TestAStandInIsShort(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, c *Client) {
		w.publish("example.com", "1", text(ModeEnforce, 0, "mx.example.com"))
		lookup(t, c, "example.com")
		w.set("example.com", func(d *domain) { d.status = 500 })
		for range 6 { // new ids, which empty the budget without a policy
			w.set("example.com", func(d *domain) { d.txt = []string{fmt.Sprintf("v=STSv1; id=%d", len(d.asks)+10)} })
			time.Sleep(time.Minute)
			lookup(t, c, "example.com")
		}
		if r := lookup(t, c, "example.com"); r.Policy != nil {
			t.Errorf("six minutes after its GET: %+v", r)
		}
	})
}

// STS-104, R23: what is fresh is told by the monotonic clock, so that a step of
// the wall clock ends nothing early and makes nothing immortal.
func TestTheWallClockDecidesNothing(t *testing.T) {
	c := newClock()
	defer c.stop()
	if s := c.base.String(); !strings.Contains(s, "m=") {
		t.Errorf("%s has no monotonic reading", s)
	}
	wall := c.base.Round(0) // as after a step: only the wall clock is left
	if !strings.Contains(c.wall(time.Hour).String(), "m=") || strings.Contains(wall.String(), "m=") {
		t.Error("moments lose their monotonic reading")
	}
}
