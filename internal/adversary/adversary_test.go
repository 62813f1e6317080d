package adversary

import (
	"cmp"
	"flag"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/strictmx/strictmx/mtasts"
	"github.com/strictmx/strictmx/outbound"
)

var (
	advN     = flag.Int("adv.n", 1000, "schedules of each layer")
	advSeed  = flag.Uint64("adv.seed", 0, "play this schedule alone")
	advTrace = flag.Bool("adv.trace", false, "print what happens, one line an event")
)

// stats is what a simulation proves itself by: one that never delivers in clear
// proves nothing.
type stats struct {
	schedules, answers, gets, txts int
	hours                          float64
	causes                         map[mtasts.Cause]int // of answers
	deliveries, held               int
	delivered                      map[mtasts.Cause]int
}

func newStats() stats {
	return stats{causes: make(map[mtasts.Cause]int), delivered: make(map[mtasts.Cause]int)}
}

func (s *stats) add(o stats) {
	s.schedules++
	s.answers += o.answers
	s.gets += o.gets
	s.txts += o.txts
	s.hours += o.hours
	s.deliveries += o.deliveries
	s.held += o.held
	for c, n := range o.causes {
		s.causes[c] += n
	}
	for c, n := range o.delivered {
		s.delivered[c] += n
	}
}

func (s *stats) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d schedules; %d answers: %s; %d GETs and %d TXT queries, %.3f and %.3f an hour", s.schedules, s.answers, shares(s.causes),
		s.gets, s.txts, float64(s.gets)/s.hours, float64(s.txts)/s.hours)
	if s.deliveries > 0 {
		fmt.Fprintf(&b, "; %d deliveries: %s; held back %d", s.deliveries, shares(s.delivered), s.held)
	}
	return b.String()
}

// shares are the causes in percent.
func shares(causes map[mtasts.Cause]int) string {
	total := 0
	for _, n := range causes {
		total += n
	}
	var all []string
	for _, c := range slices.Sorted(maps.Keys(causes)) {
		all = append(all, fmt.Sprintf("%s %.1f %%", cmp.Or(c, "enforced"), 100*float64(causes[c])/float64(total)))
	}
	return strings.Join(all, ", ")
}

// simulate plays n schedules from the first seed on and returns what was seen.
// It calls failed with each one that broke an invariant, until that says stop.
func simulate(t *testing.T, l layer, first uint64, n int, failed func(*oracle) (stop bool)) *stats {
	theirs() // outside of the bubbles
	total := newStats()
	var mu sync.Mutex
	var next atomic.Uint64
	var stopped atomic.Bool
	t.Run(l.String(), func(t *testing.T) {
		for worker := range runtime.GOMAXPROCS(0) {
			t.Run(fmt.Sprint(worker), func(t *testing.T) {
				t.Parallel()
				for !stopped.Load() {
					i := next.Add(1) - 1
					if i >= uint64(n) {
						return
					}
					o := play(t, newSchedule(l, first+i))
					mu.Lock()
					total.add(o.stats)
					if len(o.broken) > 0 && failed(o) {
						stopped.Store(true)
					}
					mu.Unlock()
				}
			})
		}
	})
	return &total
}

func TestAdversary(t *testing.T) {
	for _, l := range []layer{layerClient, layerDelivery} {
		first, n := uint64(1), *advN
		if *advSeed != 0 {
			first, n = *advSeed, 1
		}
		failures := 0
		total := simulate(t, l, first, n, func(o *oracle) bool {
			failures++
			t.Errorf("%v: schedule %d: %s\nplay it again with: go test ./internal/adversary -adv.seed=%d -adv.trace -v", l, o.s.seed, strings.Join(o.broken, "\n\t"), o.s.seed)
			if failures == 1 || *advTrace {
				t.Logf("trace of %d:\n%s", o.s.seed, o.printed(*advTrace))
			}
			return failures >= 10
		})
		t.Logf("%v: %v", l, total)
		if *advSeed != 0 {
			if *advTrace && failures == 0 {
				o := play(t, newSchedule(l, first))
				t.Logf("trace of %d:\n%s", first, o.printed(*advTrace))
			}
			continue
		}
		if n >= 1000 {
			total.provesSomething(t, l)
		}
	}
}

// provesSomething checks that mail was delivered for every reason that there is.
func (s *stats) provesSomething(t *testing.T, l layer) {
	causes := []mtasts.Cause{"", mtasts.CauseAbsent, mtasts.CauseFailed, mtasts.CauseIndeterminate, mtasts.CauseLapsed, mtasts.CauseNone, mtasts.CauseTesting}
	for _, c := range causes {
		if s.causes[c] == 0 {
			t.Errorf("%v: no answer with cause %q: the simulation proves nothing", l, c)
		}
	}
	if l != layerDelivery {
		return
	}
	for _, c := range append(causes, outbound.CauseException) {
		if s.delivered[c] == 0 {
			t.Errorf("%v: no delivery with cause %q: the simulation proves nothing", l, c)
		}
	}
	if s.held == 0 {
		t.Errorf("%v: no mail was held back: the simulation proves nothing", l)
	}
}
