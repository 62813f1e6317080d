package collect

import (
	"fmt"
	"testing"
	"time"
)

// Hosts without number are one where their owner is (R17).
func TestAHostGetsItsShareOfThePlaces(t *testing.T) {
	var h hosts
	for i := range atOnceByOwner {
		if wait, _ := h.enter(fmt.Sprintf("h%d.slow.test", i), 0, false); wait != 0 {
			t.Fatalf("a host with a free place: wait %v", wait)
		}
	}
	if wait, held := h.enter("slow.test", 0, false); wait != busyWait || held {
		t.Errorf("a fifth at once: wait %v, held %v", wait, held)
	}
	if wait, _ := h.enter("other.test", 0, false); wait != 0 {
		t.Errorf("another host: wait %v", wait)
	}
	h.leave("h0.slow.test", 0, true)
	if wait, _ := h.enter("slow.test", 0, false); wait != 0 {
		t.Errorf("after one left: wait %v", wait)
	}
}

func TestAHostThatFailsIsLeftAlone(t *testing.T) {
	var h hosts
	now := instant(0)
	fail := func() time.Duration {
		t.Helper()
		if wait, _ := h.enter("down.test", now, false); wait != 0 {
			t.Fatalf("at %v: wait %v", now, wait)
		}
		h.leave("down.test", now, false)
		wait, held := h.enter("down.test", now, false)
		if wait == 0 {
			h.leave("down.test", now, true) // takes the place back, and the failures
			return 0
		}
		if !held {
			t.Errorf("at %v: busy, want held", now)
		}
		return wait
	}
	h.enter("down.test", 0, false)
	h.leave("down.test", 0, false)
	h.enter("down.test", 0, false)
	h.leave("down.test", 0, false)
	for _, want := range []time.Duration{1, 2, 4, 8, 16, 30, 30} {
		want *= time.Minute
		if wait := fail(); wait != want {
			t.Errorf("held for %v, want %v", wait, want)
		}
		now += want
	}
	if wait, _ := h.enter("down.test", now-1, true); wait != 0 {
		t.Errorf("whose last chance it is waits for %v", wait)
	}
	h.leave("down.test", now, true)
	if wait := fail(); wait != 0 {
		t.Errorf("one failure after a success: held for %v", wait)
	}
}

// Memory does not grow with the names that strangers think of (R16).
func TestHostsAreBounded(t *testing.T) {
	var h hosts
	h.states.Capacity = 100
	for i := range 10_000 {
		host := fmt.Sprintf("host%d.test", i)
		h.enter(host, 0, false)
		h.leave(host, 0, false)
	}
	if n := h.states.Len(); n > 100 || len(h.busy) != 0 {
		t.Errorf("%d hosts are remembered, %d busy", n, len(h.busy))
	}
	h.enter("host0.test", 0, false) // forgotten meanwhile
	h.leave("host0.test", 0, false)
	if wait, _ := h.enter("host0.test", 0, false); wait != 0 {
		t.Errorf("wait %v for a host with one failure", wait)
	}
}
