package strictmxtest

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"syscall"
)

// listen listens on a loopback address; port 0 is any free one.
func listen(addr netip.Addr, port uint16) (net.Listener, error) {
	return net.Listen("tcp4", netip.AddrPortFrom(addr, port).String())
}

func addrPort(a net.Addr) netip.AddrPort {
	if t, ok := a.(*net.TCPAddr); ok {
		return t.AddrPort()
	}
	return netip.AddrPort{}
}

// listener is one server of the world: it accepts, serves each connection in a
// goroutine of its own, counts, and hangs up on all when it is closed.
type listener struct {
	w     *World
	serve func(net.Conn) // closed by us when it returns

	mu     sync.Mutex // guards what follows
	l      net.Listener
	addr   netip.AddrPort // where l listens, or did before it was refused
	open   map[net.Conn]bool
	most   int // connections open at once
	total  int
	closed bool
}

// start listens on an address of its own. Where the system has no such address,
// 127.0.0.1 must do, with any free port. The address returned is the one to
// publish; the one that listens is in addr.
func (s *listener) start(next func() netip.Addr, port uint16) (netip.Addr, error) {
	for {
		addr := next()
		l, err := listen(addr, port)
		if errors.Is(err, syscall.EADDRINUSE) {
			continue // another world's; there are 16 million
		}
		if errors.Is(err, syscall.EADDRNOTAVAIL) {
			l, err = listen(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0)
		}
		if err != nil {
			return addr, err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.closed {
			l.Close()
			return addr, net.ErrClosed
		}
		s.run(l)
		return addr, nil
	}
}

// run accepts on l. The caller holds mu.
func (s *listener) run(l net.Listener) {
	s.l, s.addr = l, addrPort(l.Addr())
	s.w.group.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if !s.enter(conn) {
				conn.Close()
				continue
			}
			s.w.group.Go(func() {
				defer s.leave(conn)
				s.serve(conn)
			})
		}
	})
}

func (s *listener) enter(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	if s.open == nil {
		s.open = map[net.Conn]bool{}
	}
	s.open[conn] = true
	s.total++
	s.most = max(s.most, len(s.open))
	return true
}

func (s *listener) leave(conn net.Conn) {
	conn.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, conn)
}

// refuse makes the system refuse connections, or take them again on the same
// address. Connections that are open stay.
func (s *listener) refuse(yes bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed || !s.addr.IsValid() || yes == (s.l == nil):
		return nil
	case yes:
		err := s.l.Close()
		s.l = nil
		return err
	}
	l, err := listen(s.addr.Addr(), s.addr.Port())
	if err != nil {
		return err
	}
	s.run(l)
	return nil
}

// close ends it for good; a listener that never started has nothing to close.
func (s *listener) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.l != nil {
		s.l.Close()
		s.l = nil
	}
	for conn := range s.open {
		conn.Close()
	}
}

func (s *listener) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.most, s.total = len(s.open), 0
}

func (s *listener) counts() (open, most, total int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open), s.most, s.total
}

func (s *listener) address() netip.AddrPort {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addr
}

// reset makes the next close of conn an RST instead of a FIN.
func reset(conn net.Conn) {
	if t, ok := conn.(*net.TCPConn); ok {
		t.SetLinger(0)
	}
}
