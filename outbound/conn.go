package outbound

import (
	"bufio"
	"crypto/tls"
	"net"
	"strings"
	"sync"
	"sync/atomic"
)

// Conn is a connection to a host that may be used, as [Session.Connect] made
// it. What is read first is a greeting of our own, since nothing that came
// before TLS is shown again after it; then the server's replies to what is
// written. There is no more TLS to be had on it, so a host that goes on in clear
// is not seen to offer STARTTLS: a client that would try gets on without. A
// server that sends more than 128 KiB without being asked anything is cut off.
//
// A client of net/smtp does not see the TLS beneath: its TLSConnectionState says
// false, and its PlainAuth refuses. To log in to a smart host with it, use
// [Session.StartTLS].
type Conn struct {
	net.Conn // the TLS connection, or the plain one; read and write through the Conn
	Session  *Session

	mu       sync.Mutex    // guards what is below but received
	unread   []byte        // to be read before what the connection brings
	lines    *bufio.Reader // of a connection in clear
	received atomic.Int64
}

// ConnectionState returns the state of TLS; false where there is none.
func (c *Conn) ConnectionState() (tls.ConnectionState, bool) {
	if t, ok := c.Conn.(*tls.Conn); ok {
		return t.ConnectionState(), true
	}
	return tls.ConnectionState{}, false
}

// LocalName is our name for EHLO, as [Enforcer].LocalName has it: a client that
// says another is a stranger to the host that Connect has just talked to.
func (c *Conn) LocalName() string { return c.Session.plan.enforcer.localName(c) }

// Read reads from the connection.
func (c *Conn) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.unread) > 0 {
		return c.readUnread(p), nil
	}
	left := maxPerCommand - c.received.Load()
	if left <= 0 {
		c.Conn.Close()
		return 0, errFlood
	}
	if c.lines != nil {
		return c.readLine(p)
	}
	n, err := c.Conn.Read(p[:min(int64(len(p)), left)])
	c.received.Add(int64(n))
	return n, err
}

func (c *Conn) readUnread(p []byte) int {
	n := copy(p, c.unread)
	c.unread = c.unread[n:]
	return n
}

// readLine reads a line of a reply, or as much of it as there is.
func (c *Conn) readLine(p []byte) (int, error) {
	line, err := c.lines.ReadSlice('\n')
	if len(line) == 0 {
		return 0, err
	}
	c.received.Add(int64(len(line)))
	hideSTARTTLS(line)
	c.unread = append(c.unread[:0], line...)
	return c.readUnread(p), nil // an error comes again with the next line
}

// hideSTARTTLS overwrites the keyword in a reply to EHLO. One of the same length
// keeps the reply's form.
func hideSTARTTLS(line []byte) {
	code, _, text, ok := parseReplyLine(strings.TrimRight(string(line), "\r\n"))
	word, _, _ := strings.Cut(text, " ")
	if ok && code == codeOK && equalASCII(word, "starttls") {
		copy(line[len("250-"):], "X-NO-TLS")
	}
}

// Write writes to the connection.
func (c *Conn) Write(p []byte) (int, error) {
	c.received.Store(0) // another command, another allowance
	return c.Conn.Write(p)
}
