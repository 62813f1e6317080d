//go:build unix

package collect

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
)

// openSocket returns a socket that is neither bound nor connected.
func (d *Datagram) openSocket() (net.PacketConn, error) {
	if most := len(syscall.RawSockaddrUnix{}.Path) - 1; len(d.Path) > most {
		return nil, fmt.Errorf("collect: Datagram.Path has %d octets, more than the %d that the path of a socket may have: use a shorter one", len(d.Path), most)
	}
	syscall.ForkLock.RLock() // no child process gets it
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_DGRAM, 0)
	if err == nil {
		syscall.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, fmt.Errorf("collect: no socket for datagrams: %w", os.NewSyscallError("socket", err))
	}
	f := os.NewFile(uintptr(fd), "datagram")
	defer f.Close() // FilePacketConn has a copy
	conn, err := net.FilePacketConn(f)
	if err != nil {
		return nil, fmt.Errorf("collect: no socket for datagrams: %w", err)
	}
	// Where the system gives less, long policies may be lost, and are counted.
	_ = conn.(*net.UnixConn).SetWriteBuffer(2 * maxDatagram)
	return conn, nil
}

// mayPass reports whether an error of sending is one of a daemon that is busy, or
// that is being restarted.
func mayPass(err error) bool {
	for _, passing := range []error{os.ErrDeadlineExceeded, syscall.ENOENT, syscall.ECONNREFUSED, syscall.ENOBUFS, syscall.EAGAIN} {
		if errors.Is(err, passing) {
			return true
		}
	}
	return false
}
