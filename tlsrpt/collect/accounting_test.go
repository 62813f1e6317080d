package collect

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// I13, from many goroutines at once: no session is lost or counted twice.
func TestEverySessionIsAccountedFor(t *testing.T) {
	c := newCollector()
	c.Memory = 1 << 20
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(7, uint64(worker)))
			for range 3000 {
				e := randomEvent(r)
				c.Observe(e)
				switch r.IntN(500) {
				case 0:
					c.drop(e.Time, e.Domain)
				case 1:
					c.seal(noon.AddDate(0, 0, r.IntN(3)-3))
				case 2:
					c.Stats()
				case 3:
					c.Forget(noon.AddDate(0, 0, r.IntN(3)-3))
				}
			}
		})
	}
	wg.Wait()
	st := sum(t, c)
	if st.Seen != 8*3000 || st.Held == 0 || st.Released == 0 || st.NoRoom == 0 || st.Late == 0 || st.Misdated == 0 || st.Malformed == 0 ||
		st.OverflowPolicies == 0 || st.OverflowDetails == 0 {
		t.Errorf("something never happened: %+v", st)
	}
	if st.Bytes > c.Memory || st.PendingBytes > c.Memory/pendingShare {
		t.Errorf("%+v", st) // I15
	}
	for _, day := range c.Days() {
		for _, domain := range c.domains(day) {
			c.drop(day, domain)
		}
	}
	if st := sum(t, c); st.Bytes != 0 || st.PendingBytes != 0 || st.Domains != 0 || st.Held != 0 {
		t.Errorf("nothing is held, and yet: %+v", st)
	}
	for i := range c.budget.parents {
		if n := c.budget.parents[i].all.Load(); n != 0 {
			t.Errorf("parent %d holds %d bytes", i, n)
		}
	}
}

// I13 once more, while Run learns who wants reports and who does not, and DNS fails
// now and then.
func TestEverySessionIsAccountedForWhileRunLearns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCollector()
		c.Memory = 1 << 20
		c.Resolver = dns(func(_ context.Context, domain string) (string, error) {
			time.Sleep(time.Duration(rand.Int64N(int64(time.Second))))
			switch {
			case rand.IntN(4) == 0:
				return "", errors.New("SERVFAIL")
			case domain[0] == 'j':
				return "", nil
			}
			return record, nil
		})
		stop := run(t, c)
		var workers sync.WaitGroup
		for worker := range 4 {
			workers.Go(func() {
				r := rand.New(rand.NewPCG(8, uint64(worker)))
				for range 3000 {
					e := randomEvent(r)
					c.Observe(e)
					if r.IntN(100) == 0 {
						c.drop(e.Time, e.Domain)
						time.Sleep(time.Second)
					}
				}
			})
		}
		workers.Wait()
		time.Sleep(time.Hour)
		stop()
		if st := sum(t, c); st.Seen != 4*3000 || st.Unwanted == 0 || st.Released == 0 || st.Held == 0 || st.PendingBytes != 0 {
			t.Errorf("%+v", st)
		}
		for _, day := range c.Days() {
			for tally := range c.Tallies(day) {
				if tally.Domain[0] == 'j' || !slices.Equal(tally.RUA, []string{rua}) {
					t.Errorf("%s wants its reports at %q", tally.Domain, tally.RUA)
				}
				c.drop(day, tally.Domain)
			}
		}
		if st := sum(t, c); st.Bytes != 0 || st.Domains != 0 {
			t.Errorf("nothing is held, and yet: %+v", st)
		}
	})
}
