package collect

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// silentOf answers for all but the domains of those who attack.
func silentOf(_ context.Context, domain string) (string, error) {
	if strings.Contains(domain, "attacker") {
		return "", errors.New("SERVFAIL")
	}
	return record, nil
}

// fillPending has domains whose name servers are silent take all the room for
// pending domains.
func fillPending(t *testing.T, c *Collector) {
	for p := range 4 * parentShare {
		for i := range 30 {
			c.Observe(now(fmt.Sprintf("a%d.attacker%d.example", i, p)))
		}
	}
	if st := sum(t, c); st.NoRoom == 0 || st.PendingBytes < c.Memory/pendingShare*8/10 {
		t.Fatalf("not full: %+v", st)
	}
}

// A domain that had a record within a day is none of the pending (RPT-23).
func TestARecordOfAWhileAgoIsARecord(t *testing.T) { // R26
	synctest.Test(t, func(t *testing.T) {
		c := &Collector{Memory: 4 << 20, Resolver: dns(silentOf)}
		c.open()
		c.records.capacity = maxRecords // what the silent ones push out of it is another matter
		defer run(t, c)()
		for i := range 100 {
			c.Observe(now(fmt.Sprintf("honest%d.test", i)))
		}
		synctest.Wait()
		for i := range 100 { // their reports went out
			c.drop(time.Now(), fmt.Sprintf("honest%d.test", i))
		}
		time.Sleep(2 * recordLife)
		fillPending(t, c)
		before := sum(t, c)
		for i := range 100 {
			c.Observe(now(fmt.Sprintf("honest%d.test", i)))
		}
		if after := sum(t, c); after.Held != before.Held+100 || after.PendingBytes != before.PendingBytes {
			t.Errorf("before %+v, after %+v", before, after)
		}
	})
}

// A domain that nothing is known of finds no room among the silent ones the first
// time, and is looked up for the next time.
func TestADomainWithoutRoomIsLookedUp(t *testing.T) { // R26
	synctest.Test(t, func(t *testing.T) {
		c := &Collector{Memory: 4 << 20, Resolver: dns(silentOf)}
		defer run(t, c)()
		fillPending(t, c)
		synctest.Wait()
		observe := func() (held, noRoom uint64) {
			before := sum(t, c)
			for i := range 30 {
				c.Observe(now(fmt.Sprintf("honest%d.test", i)))
			}
			synctest.Wait()
			after := sum(t, c)
			return after.Held - before.Held, after.NoRoom - before.NoRoom
		}
		// Run may find room for some of them while others still come.
		if held, noRoom := observe(); held+noRoom != 30 || noRoom < 15 {
			t.Errorf("at first %d found room, and %d did not", held, noRoom)
		}
		for range 2 {
			if held, noRoom := observe(); held != 30 || noRoom != 0 {
				t.Errorf("then %d found room, and %d did not", held, noRoom)
			}
		}
		if c.guests.names != nil && len(c.guests.names)+len(c.guests.parents)+len(c.guests.todo) != 0 {
			t.Errorf("guests are left: %+v", &c.guests)
		}
	})
}

// Guests are few, of one parent fewer, and those that a Run leaves behind are the
// next one's.
func TestGuestsAreBounded(t *testing.T) { // I15
	synctest.Test(t, func(t *testing.T) {
		c := &Collector{Memory: 4 << 20, Resolver: dns(silentOf)}
		fillPending(t, c)
		for i := range 1000 {
			c.Observe(now(fmt.Sprintf("b%d.attacker.example", i)))
		}
		most := c.records.capacity / recordsPerGuest
		if n := len(c.guests.names); n > most || n != len(c.guests.todo) || c.guests.parents["attacker.example"] > maxParentLookups {
			t.Errorf("%d guests, at most %d", n, most)
		}
		c.guests.take() // as a Run does that ends
		stop := run(t, c)
		synctest.Wait()
		stop()
		if n := len(c.guests.names); n != 0 {
			t.Errorf("%d guests are left", n)
		}
	})
}

// R26: one parent gets 1 % of the room for pending domains, too.
func TestOneParentGetsItsShareOfThePending(t *testing.T) {
	c := newCollector()
	c.Memory = 64 << 20
	for i := range 10_000 {
		domain := fmt.Sprintf("d%d.attacker.example", i)
		c.Observe(session(domain, enforce(domain)))
	}
	st := sum(t, c)
	if most := c.Memory / pendingShare / parentShare; st.PendingBytes > most || st.PendingBytes < most/2 || st.NoRoom == 0 {
		t.Errorf("%+v", st)
	}
}
