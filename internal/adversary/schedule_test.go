package adversary

import (
	"fmt"
	"time"
)

// A schedule is a world and what happens in it. Every number in it is drawn
// when it is made, so that moves can be taken out without changing the others.
type schedule struct {
	seed     uint64
	layer    layer
	truth    truth // at the beginning
	stale    facts
	signed   bool // the domain is signed: nobody can forge its denial
	small    bool // the Client has little memory
	run      bool // the Client's Run runs
	stored   bool // the Client has a Store, which survives restarts
	mx2      chain
	mx2NoTLS bool
	moves    []move
}

type layer uint8

const (
	layerClient   layer = 1 + iota // L1: mtasts.Client alone
	layerDelivery                  // L2: with outbound, up to the mail itself
)

func (l layer) String() string { return fmt.Sprintf("L%d", uint8(l)) }

type moveKind uint8

const (
	moveDeliver moveKind = iota // n times, every so often
	moveCrowd                   // n at a time
	moveRefresh
	moveForget
	moveRestart // in mid-flight; memory is lost, and a Store is not
	moveWindow  // the attacker comes
	moveLeave   // and goes
	moveChange  // the owner publishes something else
	moveNewID   // the owner changes the id alone
	moveFlood   // n junk domains
	moveJump    // nothing for a while
	moveMoment  // nothing until shortly before or after the moment that matters
)

func (k moveKind) String() string {
	return [...]string{"deliver", "crowd", "refresh", "forget", "restart", "window", "leave", "change", "new id", "flood", "jump", "moment"}[k]
}

type move struct {
	kind   moveKind
	n      int
	every  time.Duration // between deliveries; the length of a jump; what to add to the moment
	wires  wires
	truth  truth
	sameID bool
	junk   junk
	moment moment
	salt   uint64 // for what is drawn while the move is played
}

func (m move) String() string {
	switch m.kind {
	case moveDeliver, moveCrowd:
		return fmt.Sprintf("%v: %d, every %v", m.kind, m.n, m.every)
	case moveWindow:
		return fmt.Sprintf("%v: %v", m.kind, m.wires)
	case moveChange:
		return fmt.Sprintf("%v: %v, same id: %v", m.kind, m.truth, m.sameID)
	case moveFlood:
		return fmt.Sprintf("%v: %d %v", m.kind, m.n, m.junk)
	case moveJump:
		return fmt.Sprintf("%v: %v", m.kind, m.every)
	case moveMoment:
		return fmt.Sprintf("%v: %v %v", m.kind, m.moment, m.every)
	}
	return m.kind.String()
}

// junk is what a flood is made of.
type junk uint8

const (
	junkAbsent   junk = iota // domains without a record
	junkPolicies             // domains with a policy
	junkHogs                 // one owner's domains, whose policy hosts drip
)

func (j junk) String() string { return [...]string{"absent", "policies", "hogs"}[j] }

// moment is a moment that matters.
type moment uint8

const (
	momentExpiry   moment = iota
	momentLastHour        // before it
	momentRenewal
	momentBackOffEnd
	momentAbsenceEnd
	momentSilenceEnd
	momentMidnight // of the days by which uses count
	moments
)

func (m moment) String() string {
	return [...]string{"expiry", "last hour", "renewal", "end of back-off", "end of absence", "end of silence", "midnight"}[m]
}

func newSchedule(l layer, seed uint64) *schedule {
	d := newDice(seed, uint64(l))
	s := &schedule{
		seed: seed, layer: l, truth: drawTruth(d), stale: drawStale(d),
		signed: d.chance(20), small: d.chance(12), run: d.chance(75),
		mx2: pick(d, chainGood, chainGood, chainExpired, chainMisnamed), mx2NoTLS: d.chance(15),
	}
	s.stored = newDice(seed, uint64(l)|1<<33).chance(50)
	if d.chance(85) { // something is known when the attacker comes
		s.add(d, move{kind: moveDeliver, n: 1 + d.IntN(3), every: time.Second})
	}
	if s.small { // and is used on two days
		s.add(d, move{kind: moveJump, every: day + d.between(0, time.Hour)}, move{kind: moveDeliver, n: 1})
	}
	for range 1 + d.IntN(2) {
		if d.chance(40) {
			s.drift(d)
		}
		s.add(d, move{kind: moveWindow, wires: drawWires(d, l)})
		for range 2 + d.IntN(6) {
			s.drift(d)
		}
		if d.chance(80) {
			s.add(d, move{kind: moveLeave})
			for range 1 + d.IntN(3) {
				s.drift(d)
			}
		}
	}
	return s
}

func (s *schedule) add(d dice, moves ...move) {
	for _, m := range moves {
		m.salt = d.Uint64()
		s.moves = append(s.moves, m)
	}
}

// drift adds what happens with or without an attacker.
func (s *schedule) drift(d dice) {
	deliver := move{kind: moveDeliver, n: 1 + d.IntN(3), every: pick(d, time.Second, 10*time.Second, time.Minute)}
	switch p := d.IntN(100); {
	case p < 12:
		s.add(d, deliver)
	case p < 40:
		s.add(d, move{kind: moveMoment, moment: moment(d.IntN(int(moments))), every: d.between(-time.Minute, 10*time.Second)}, deliver)
	case p < 58:
		jump := pick(d, time.Minute, 5*time.Minute, 11*time.Minute, time.Hour, 9*time.Hour, 27*time.Hour, 8*day)
		switch {
		case s.layer == layerDelivery: // long waits are the other layer's
			jump = min(jump, 27*time.Hour)
		case d.chance(4):
			jump = 33 * day // what is not used any more
		}
		s.add(d, move{kind: moveJump, every: jump}, deliver)
	case p < 64 && s.layer == layerDelivery:
		s.add(d, move{kind: moveDeliver, n: 3 + d.IntN(6), every: pick(d, time.Second, 3*time.Minute)})
	case p < 64:
		s.add(d, move{kind: moveDeliver, n: 20 + d.IntN(60), every: pick(d, time.Second, 10*time.Second)})
	case p < 70:
		s.add(d, move{kind: moveCrowd, n: 2 + d.IntN(8), every: d.between(time.Millisecond, 20*time.Second)})
	case p < 76:
		s.add(d, move{kind: moveRefresh, n: 1 + d.IntN(4), every: pick(d, time.Second, 20*time.Second, time.Minute)})
	case p < 78:
		s.add(d, move{kind: moveForget})
	case p < 80:
		s.add(d, move{kind: moveRestart, every: d.between(0, 5*time.Second)}, deliver)
	case p < 90:
		s.add(d, move{kind: moveChange, truth: drawTruth(d), sameID: d.chance(25)}, deliver)
	case p < 93:
		s.add(d, move{kind: moveNewID})
	case s.small:
		s.add(d, move{kind: moveFlood, junk: junkPolicies, n: 25 + d.IntN(15)}, deliver)
	case p < 99:
		s.add(d, move{kind: moveFlood, junk: junkAbsent, n: 10 + d.IntN(20)}, deliver)
	default:
		s.add(d, move{kind: moveFlood, junk: junkHogs, n: 66 + d.IntN(10)}, deliver)
	}
}
