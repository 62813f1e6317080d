//go:build unix

package collect

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"
)

// unixOutbox is a socket that is neither bound nor connected, so that it outlives
// the daemon. The price is that not every kernel wakes us when the daemon's queue,
// of a dozen or so, has room again.
type unixOutbox struct {
	conn *net.UnixConn
	raw  syscall.RawConn
	to   syscall.SockaddrUnix
	try  func(fd uintptr) (done bool) // o.offer

	// What one send hands to offer, and back.
	b       []byte
	err     error
	waiting bool // the write deadline is set
}

// openSocket returns the socket to send on.
func (d *Datagram) openSocket() (outbox, error) {
	if most := len(syscall.RawSockaddrUnix{}.Path) - 1; len(d.Path) > most {
		return nil, fmt.Errorf("collect: Datagram.Path has %d octets, more than the %d that the path of a socket may have: use a shorter one", len(d.Path), most)
	}
	conn, err := newUnixgram()
	if err != nil {
		return nil, fmt.Errorf("collect: no socket for datagrams: %w", err)
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("collect: no socket for datagrams: %w", err)
	}
	// Where the system gives less, long policies may be lost, and are counted.
	_ = conn.SetWriteBuffer(2 * maxDatagram)
	o := &unixOutbox{conn: conn, raw: raw, to: syscall.SockaddrUnix{Name: d.Path}}
	o.try = o.offer
	return o, nil
}

func newUnixgram() (*net.UnixConn, error) {
	syscall.ForkLock.RLock() // no child process gets it
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_DGRAM, 0)
	if err == nil {
		syscall.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	f := os.NewFile(uintptr(fd), "datagram")
	defer f.Close() // FilePacketConn has a copy
	conn, err := net.FilePacketConn(f)
	if err != nil {
		return nil, err
	}
	return conn.(*net.UnixConn), nil
}

// send has no deadline at first: with one, package net would not even ask the
// kernel if the deadline passes before the goroutine comes to it.
func (o *unixOutbox) send(b []byte) error {
	o.b, o.err, o.waiting = b, nil, false
	err := o.raw.Write(o.try)
	o.b = nil
	if o.waiting {
		if e := o.conn.SetWriteDeadline(time.Time{}); e != nil {
			return e
		}
	}
	switch {
	case o.err == syscall.EAGAIN && errors.Is(err, os.ErrDeadlineExceeded):
		return errFull
	case o.err == syscall.ENOBUFS: // how BSD says it, without a way to wait
		time.Sleep(tryEvery)
		return errFull
	case o.err != nil:
		return os.NewSyscallError("sendto", o.err)
	}
	return err
}

// offer asks the kernel once. If the queue is full, it is called again when there
// may be room, until the write deadline.
func (o *unixOutbox) offer(fd uintptr) (done bool) {
	for {
		if o.err = syscall.Sendto(int(fd), o.b, 0, &o.to); o.err != syscall.EINTR {
			break
		}
	}
	if o.err != syscall.EAGAIN {
		return true
	}
	if !o.waiting {
		o.waiting = true
		return o.conn.SetWriteDeadline(time.Now().Add(tryEvery)) != nil
	}
	return false
}

func (o *unixOutbox) Close() error { return o.conn.Close() }

// isAway reports whether an error of sending is one of a daemon that is being
// restarted.
func isAway(err error) bool {
	return errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ECONNREFUSED)
}
