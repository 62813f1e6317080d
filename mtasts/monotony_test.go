package mtasts

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// scene is what the network says of a domain, and what a Store holds of it.
type scene struct {
	network func(*world)
	entry   string // "": none
	getErr  bool
	putErr  bool
	wait    time.Duration
}

func drawText(r *rand.Rand) string {
	m := []Mode{ModeEnforce, ModeEnforce, ModeTesting, ModeNone}[r.IntN(4)]
	age := []time.Duration{0, time.Minute, day, 7 * day, 365 * day}[r.IntN(5)]
	return text(m, age, []string{"mx.example.com", "mx.example.net"}[r.IntN(2)])
}

func drawScene(r *rand.Rand) scene {
	var s scene
	served, id, fault := drawText(r), fmt.Sprint(1+r.IntN(2)), r.IntN(8)
	s.network = func(w *world) {
		w.publish("example.com", id, served)
		w.set("example.com", func(d *domain) {
			switch fault {
			case 0:
				d.txt = nil
			case 1:
				d.dnsErr = errDown
			case 2:
				d.httpErr = errDown
			case 3:
				d.text = "garbage"
			}
		})
	}
	s.getErr, s.putErr, s.wait = r.IntN(8) == 0, r.IntN(4) == 0, time.Duration(r.Int64N(int64(20*time.Minute)))
	if r.IntN(6) == 0 {
		return s
	}
	start := time.Date(2000+r.IntN(3), 1, 1+r.IntN(400), r.IntN(24), 0, 0, 0, time.UTC)
	e := entry{domain: "example.com", id: fmt.Sprint(1 + r.IntN(2)), start: start, used: int64(r.IntN(20000)), days: uint8(r.IntN(256)), text: drawText(r)}
	if r.IntN(12) == 0 {
		e.domain = "example.net"
	}
	b := e.encode()
	for range []int{0, 0, 0, 1, 5}[r.IntN(5)] {
		b[r.IntN(len(b))] = byte(r.IntN(256))
	}
	s.entry = string(b)
	return s
}

// I7, I5, I6: whatever a Store holds and however it fails, an answer is never
// weaker than without it; what it holds never weakens what was fetched since,
// and no answer goes back to an older GET.
func TestAStoreNeverWeakensAnAnswer(t *testing.T) {
	enforced, fromStore, withheld := 0, 0, 0
	for seed := range uint64(1000) {
		s := drawScene(rand.New(rand.NewPCG(seed, 0)))
		play := func(m *memStore, shared bool) (modes []string) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				c := &Client{Resolver: w, Transport: w}
				switch {
				case shared:
					c.Shared = m
				case m != nil:
					c.Store = m
				}
				defer c.Close()
				time.Sleep(400 * day)
				if m != nil && s.entry != "" {
					m.entries[entryKey("example.com")] = memEntry{s.entry, rand.Int64(), time.Now().Add(1000 * day)}
				}
				if m != nil && s.getErr {
					m.getErr = errDisk
				}
				if m != nil && s.putErr {
					m.putErr = errDisk
				}
				s.network(w)
				var last time.Time
				for range 4 {
					r, err := c.Lookup(t.Context(), "example.com")
					got := string(mode(r))
					if err != nil {
						got = "error"
						withheld++
						if m == nil || shared {
							t.Errorf("seed %d: %v", seed, err) // R9
						}
					}
					if r.Policy != nil && r.Fetched.Before(last) {
						t.Errorf("seed %d: back to an older GET", seed) // I5
					}
					if r.Policy != nil {
						last = r.Fetched
						if r.ID != "1" && r.ID != "2" || strings.Contains(r.Policy.String(), "garbage") {
							t.Errorf("seed %d: %+v", seed, r)
						}
					}
					if _, gets := w.counts("example.com"); err == nil && r.Policy != nil && gets == 0 {
						fromStore++
					}
					modes = append(modes, got)
					time.Sleep(s.wait)
				}
			})
			return modes
		}
		without := play(nil, false)
		for _, with := range [][]string{play(newMemStore(), false), play(newMemStore(), true)} {
			for i := range without {
				if without[i] == string(ModeEnforce) {
					enforced++
					if with[i] != string(ModeEnforce) && with[i] != "error" {
						t.Errorf("seed %d, answer %d: %q without a Store, %q with one that holds %q", seed, i, without, with, s.entry)
					}
				}
			}
		}
	}
	if enforced == 0 || fromStore == 0 || withheld == 0 {
		t.Errorf("%d enforced, %d from the Store, %d errors: this proves nothing", enforced, fromStore, withheld)
	}
	t.Logf("%d enforced, %d from the Store, %d errors", enforced, fromStore, withheld)
}
