package outbound

import (
	"net"
	"sync"
	"time"
)

// limitedConn has one deadline for all that is done with it, which whoever uses the
// connection can bring nearer but not put off (R13). What a server may send is
// for [Conn] to bound.
type limitedConn struct {
	net.Conn

	mu    sync.Mutex // guards limit, and that no deadline is set beside it
	limit time.Time
}

func newLimitedConn(conn net.Conn, limit time.Time) *limitedConn {
	c := &limitedConn{Conn: conn}
	c.setLimit(limit)
	return c
}

// setLimit makes t the limit and the deadline.
func (c *limitedConn) setLimit(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.limit = t
	c.Conn.SetDeadline(t) // fails on a closed connection, which needs none
}

// SetDeadline sets the deadline of reads and writes; zero means the limit.
func (c *limitedConn) SetDeadline(t time.Time) error { return c.set(t, c.Conn.SetDeadline) }

// SetReadDeadline sets that of reads alone.
func (c *limitedConn) SetReadDeadline(t time.Time) error { return c.set(t, c.Conn.SetReadDeadline) }

// SetWriteDeadline sets that of writes alone.
func (c *limitedConn) SetWriteDeadline(t time.Time) error { return c.set(t, c.Conn.SetWriteDeadline) }

func (c *limitedConn) set(t time.Time, set func(time.Time) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.IsZero() || t.After(c.limit) {
		t = c.limit
	}
	return set(t)
}
