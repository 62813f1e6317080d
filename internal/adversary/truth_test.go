package adversary

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/strictmx/strictmx/mtasts"
)

const (
	day  = 24 * time.Hour
	year = 365 * day

	victim = "example.com"
)

// dice is where all chance comes from.
type dice struct{ *rand.Rand }

func newDice(seed, stream uint64) dice { return dice{rand.New(rand.NewPCG(seed, stream))} }

func (d dice) chance(percent int) bool { return d.IntN(100) < percent }

func (d dice) between(low, high time.Duration) time.Duration {
	return low + time.Duration(d.Int64N(int64(high-low)+1))
}

func pick[T any](d dice, from ...T) T { return from[d.IntN(len(from))] }

// facts are what a policy says.
type facts struct {
	mode   mtasts.Mode
	mx     []string
	maxAge time.Duration
}

func (f facts) String() string {
	return fmt.Sprintf("%s %s max_age=%v", f.mode, strings.Join(f.mx, "+"), f.maxAge)
}

func (f facts) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "version: STSv1\nmode: %s\n", f.mode)
	for _, mx := range f.mx {
		fmt.Fprintf(&b, "mx: %s\n", mx)
	}
	fmt.Fprintf(&b, "max_age: %d\n", f.maxAge/time.Second)
	return b.String()
}

func (f facts) are(p *mtasts.Policy) bool {
	return p.Mode == f.mode && slices.Equal(p.MX, f.mx) && p.MaxAge == f.maxAge
}

func (f facts) equal(g facts) bool {
	return f.mode == g.mode && slices.Equal(f.mx, g.mx) && f.maxAge == g.maxAge
}

// weaker reports whether f asks for less than old, or names other hosts (R29).
func (f facts) weaker(old facts) bool {
	rank := []mtasts.Mode{mtasts.ModeNone, mtasts.ModeTesting, mtasts.ModeEnforce}
	if old.mode == mtasts.ModeNone {
		return false
	}
	return slices.Index(rank, f.mode) < slices.Index(rank, old.mode) || !slices.Equal(f.mx, old.mx)
}

// host is what the policy host has to say.
type host uint8

const (
	hostUp      host = iota
	hostMissing      // 404
	hostInvalid      // a text that is no policy
)

// truth is what the owner of the domain publishes.
type truth struct {
	policy facts
	record bool
	ttl    time.Duration // of the record, and of its absence
	host   host
}

func (t truth) published() bool { return t.record && t.host == hostUp }

func (t truth) String() string {
	s := t.policy.String()
	if t.host != hostUp {
		s = [...]string{hostMissing: "404", hostInvalid: "no policy"}[t.host]
	}
	if !t.record {
		s += ", no record"
	}
	return fmt.Sprintf("%s, ttl=%v", s, t.ttl)
}

func drawFacts(d dice) facts {
	f := facts{mode: mtasts.ModeEnforce, maxAge: pick(d, 0, 30*time.Second, time.Hour, time.Hour, day, day, 7*day, 7*day, year)}
	if d.chance(30) {
		f.mode = pick(d, mtasts.ModeTesting, mtasts.ModeTesting, mtasts.ModeNone)
	}
	if f.mode != mtasts.ModeNone {
		f.mx = pick(d, []string{mx1}, []string{mx1, mx2}, []string{mx1, mx2}, []string{mx2})
	}
	return f
}

func drawTruth(d dice) truth {
	t := truth{policy: drawFacts(d), record: true, ttl: pick(d, 0, 300*time.Second, time.Hour)}
	switch {
	case d.chance(8):
		t.record = false
	case d.chance(8):
		t.host = pick(d, hostMissing, hostInvalid)
	}
	return t
}

// The hosts that take the domain's mail.
const (
	mx1     = "mx1.example.com"
	mx2     = "mx2.example.com"
	mxStale = "mx.former.example" // of the former provider's policy
)

// drawStale is what the former provider still serves, with a valid certificate.
func drawStale(d dice) facts {
	f := drawFacts(d)
	if f.mx != nil && d.chance(70) {
		f.mx = []string{mxStale}
	}
	return f
}
