package mtasts

import (
	"context"
	"hash/maphash"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/strictmx/strictmx/resolver"
)

// One vendor's address serves the policies of thousands of domains, and anyone
// can point a domain at somebody else's: so many connections an address gets
// from us (R7, R10).
const (
	turnsPerSecond = 20
	turnBurst      = 200
	turnsAtOnce    = getPlaces / 16
	turnSlots      = 4096
	maxTurns       = 5 * time.Minute // that a caller without a deadline waits for one
)

// turns is a fixed table of buckets by address: IPv4 by the address, IPv6 by
// its /64. Addresses that share a slot share its turns.
type turns struct {
	seed maphash.Seed
	base time.Time
	mu   sync.Mutex
	// slots is made at the first use. The moment in a slot is when its bucket
	// will be full again: it moves by one turn for each connection.
	slots []turnSlot
}

type turnSlot struct {
	full time.Duration
	open int
}

// turnError says that it is not an address's turn, and when to ask again.
type turnError struct{ wait time.Duration }

func (e *turnError) Error() string {
	return "mtasts: the policy host's address has its share of connections"
}

// onlyTurns returns a turnError if err is nothing else: if one address was tried
// and failed, the GET failed, though others were not asked.
func onlyTurns(err error) *turnError {
	if turn, ok := err.(*turnError); ok {
		return turn
	}
	switch err := err.(type) {
	case interface{ Unwrap() error }:
		return onlyTurns(err.Unwrap())
	case interface{ Unwrap() []error }:
		var last *turnError
		for _, e := range err.Unwrap() {
			if last = onlyTurns(e); last == nil {
				return nil
			}
		}
		return last
	}
	return nil
}

func newTurns() *turns { return &turns{seed: maphash.MakeSeed(), base: time.Now()} }

func (t *turns) dial(ctx context.Context, network, address string) (net.Conn, error) {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, err
	}
	leave, err := t.take(ap.Addr())
	if err != nil {
		return nil, err
	}
	conn, err := new(resolver.Dialer).DialContext(ctx, network, address)
	if err != nil {
		leave()
		return nil, err
	}
	return &turnConn{Conn: conn, leave: sync.OnceFunc(leave)}, nil
}

// take uses a turn of a's, until leave is called.
func (t *turns) take(a netip.Addr) (leave func(), err error) {
	const turn = time.Second / turnsPerSecond
	a = a.Unmap()
	bits := 32
	if a.Is6() {
		bits = 64
	}
	prefix, err := a.Prefix(bits)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.slots == nil {
		t.slots = make([]turnSlot, turnSlots)
	}
	s := &t.slots[maphash.Comparable(t.seed, prefix)%turnSlots]
	now := time.Since(t.base)
	s.full = max(s.full, now)
	if over := s.full + turn - now - turnBurst*turn; over > 0 || s.open >= turnsAtOnce {
		// Spread out, so that those who wait do not all come back at once.
		return nil, &turnError{wait: max(over, 0) + turn + rand.N(4*turn)}
	}
	s.full += turn
	s.open++
	return func() {
		t.mu.Lock()
		s.open--
		t.mu.Unlock()
	}, nil
}

// turnConn gives its place back when it is closed.
type turnConn struct {
	net.Conn
	leave func()
}

func (c *turnConn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}
