package collect

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A parent has its share of lookups. The names that wait for it are looked at when
// it is their turn, and not before: there may be ten thousand of them.
func TestTurnsAreNotPolledFor(t *testing.T) { // R26
	const names = 10_000
	var q turns
	var air []string
	looked, most := 0, 0
	needed := func(string) bool { looked++; return true }
	for i := range names {
		q.add(fmt.Sprintf("a%d.slow.example", i))
	}
	q.add("x.example")
	for range 2*names + 1 {
		for name, ok := q.next(needed); ok; name, ok = q.next(needed) {
			if air = append(air, name); name == "x.example" && looked != 2 {
				t.Errorf("it was its turn after %d others", looked-1)
			}
		}
		most = max(most, len(air))
		if len(air) == 0 {
			break
		}
		q.land(air[0])
		air = air[1:]
	}
	if looked != names+1 || most != maxParentLookups+1 {
		t.Errorf("%d names were looked at %d times, %d lookups at once", names+1, looked, most)
	}
	if q.flying != 0 || len(q.queue) != 0 || len(q.lines) != 0 {
		t.Errorf("something is left: %+v", q)
	}
}

// Of a line, names that nobody needs any more are passed over, and hold up none.
func TestTurnsPassOverWhatNobodyNeeds(t *testing.T) {
	var q turns
	var all, got []string
	for i := range 40 {
		all = append(all, fmt.Sprintf("a%02d.example.com", i))
	}
	for _, name := range all {
		q.add(name)
	}
	dropped := false
	needed := func(name string) bool { return !dropped || name >= "a30" }
	var air []string
	for {
		for name, ok := q.next(needed); ok; name, ok = q.next(needed) {
			air = append(air, name)
		}
		if len(air) == 0 {
			break
		}
		q.land(air[0])
		got, air, dropped = append(got, air[0]), air[1:], true
	}
	if want := append(slices.Clone(all[:4]), all[30:]...); !slices.Equal(slices.Sorted(slices.Values(got)), want) || len(q.lines) != 0 {
		t.Errorf("got %q, want %q; %d lines are left", got, want, len(q.lines))
	}
}

// The names of one parent follow one another without a pause.
func TestALineMovesAsSoonAsALookupEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &Collector{Resolver: dns(func(context.Context, string) (string, error) {
			time.Sleep(20 * time.Millisecond)
			return record, nil
		})}
		for i := range 1000 {
			c.Observe(now(fmt.Sprintf("customer%d.hoster.example", i)))
		}
		defer run(t, c)()
		time.Sleep(1000/maxParentLookups*20*time.Millisecond + time.Millisecond)
		if st := sum(t, c); st.Held != 1000 || st.PendingBytes != 0 {
			t.Errorf("%+v", st)
		}
	})
}

// Parents whose name servers are slow, with enough of them to take all lookups,
// make the others wait for a lookup to end, and for no more than that.
func TestSlowParentsAreNotAheadOfTheOthers(t *testing.T) { // R26
	synctest.Test(t, func(t *testing.T) {
		c := &Collector{Resolver: dns(func(ctx context.Context, domain string) (string, error) {
			if strings.HasPrefix(domain, "a") {
				<-ctx.Done()
				return "", ctx.Err()
			}
			return record, nil
		})}
		defer run(t, c)()
		for i := range 500 {
			for p := range 2 * maxLookups / maxParentLookups {
				c.Observe(now(fmt.Sprintf("a%d.slow%d.example", i, p)))
			}
		}
		time.Sleep(time.Minute)
		for i := range 100 {
			c.Observe(now(fmt.Sprintf("x%d.example", i)))
		}
		time.Sleep(4 * lookupTimeout)
		known := 0
		for tally := range c.Tallies(time.Now()) {
			if len(tally.RUA) > 0 {
				known++
			}
		}
		if sum(t, c); known != 100 {
			t.Errorf("%d of 100 records are known", known)
		}
	})
}
