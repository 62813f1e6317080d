package outbound

import (
	"crypto/tls"
	"net"
	"sync"
	"sync/atomic"
)

// Conn is a connection to a host that may be used, as [Session.Connect] made
// it. What is read first is a greeting of our own, since nothing that came
// before TLS is shown again after it; then the server's replies to what is
// written. A server that sends more than 128 KiB without being asked anything
// is cut off.
type Conn struct {
	net.Conn // the TLS connection, or the plain one; read and write through the Conn
	Session  *Session

	mu       sync.Mutex // guards unread
	unread   []byte     // to be read before what the connection brings
	received atomic.Int64
}

// ConnectionState returns the state of TLS; false where there is none.
func (c *Conn) ConnectionState() (tls.ConnectionState, bool) {
	if t, ok := c.Conn.(*tls.Conn); ok {
		return t.ConnectionState(), true
	}
	return tls.ConnectionState{}, false
}

// Read reads from the connection.
func (c *Conn) Read(p []byte) (int, error) {
	if n := c.readUnread(p); n > 0 {
		return n, nil
	}
	left := maxPerCommand - c.received.Load()
	if left <= 0 {
		c.Conn.Close()
		return 0, errFlood
	}
	n, err := c.Conn.Read(p[:min(int64(len(p)), left)])
	c.received.Add(int64(n))
	return n, err
}

func (c *Conn) readUnread(p []byte) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := copy(p, c.unread)
	c.unread = c.unread[n:]
	return n
}

// Write writes to the connection.
func (c *Conn) Write(p []byte) (int, error) {
	c.received.Store(0) // another command, another allowance
	return c.Conn.Write(p)
}
