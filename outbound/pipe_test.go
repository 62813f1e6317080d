package outbound

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// pipe returns the two ends of a connection in memory whose writes never wait:
// TLS 1.3 writes when the other side does not read any more.
func pipe() (client, server net.Conn) {
	a, b := newStream(), newStream()
	here := &net.TCPAddr{IP: net.IPv4(9, 9, 9, 9), Port: 4321}
	there := &net.TCPAddr{IP: net.IPv4(8, 8, 4, 4), Port: 25}
	return &end{in: a, out: b, local: here, remote: there}, &end{in: b, out: a, local: there, remote: here}
}

// stream is one direction.
type stream struct {
	mu       sync.Mutex
	data     []byte
	eof      bool // the writer has closed
	gone     bool // the reader has closed
	deadline time.Time
	changed  chan struct{}
}

func newStream() *stream { return &stream{changed: make(chan struct{})} }

func (s *stream) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	close(s.changed)
	s.changed = make(chan struct{})
}

// try reads what there is; a nil channel says that the answer is final.
func (s *stream) try(p []byte) (n int, changed chan struct{}, deadline time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.gone:
		return 0, nil, s.deadline, net.ErrClosed
	case !s.deadline.IsZero() && !time.Now().Before(s.deadline):
		return 0, nil, s.deadline, os.ErrDeadlineExceeded
	case len(s.data) > 0:
		n = copy(p, s.data)
		s.data = s.data[n:]
		return n, nil, s.deadline, nil
	case s.eof:
		return 0, nil, s.deadline, io.EOF
	}
	return 0, s.changed, s.deadline, nil
}

func (s *stream) read(p []byte) (int, error) {
	for {
		n, changed, deadline, err := s.try(p)
		if changed == nil {
			return n, err
		}
		var expired <-chan time.Time
		if !deadline.IsZero() {
			timer := time.NewTimer(time.Until(deadline))
			defer timer.Stop()
			expired = timer.C
		}
		select {
		case <-changed:
		case <-expired:
		}
	}
}

type end struct {
	in, out       *stream
	local, remote net.Addr
}

func (e *end) Read(p []byte) (int, error) { return e.in.read(p) }

func (e *end) Write(p []byte) (n int, err error) {
	e.out.change(func() {
		if e.out.eof {
			err = net.ErrClosed
			return
		}
		n = len(p)
		if !e.out.gone { // TCP takes what nobody will read, too
			e.out.data = append(e.out.data, p...)
		}
	})
	return n, err
}

func (e *end) Close() error {
	e.out.change(func() { e.out.eof = true })
	e.in.change(func() { e.in.gone = true })
	return nil
}

func (e *end) LocalAddr() net.Addr  { return e.local }
func (e *end) RemoteAddr() net.Addr { return e.remote }

func (e *end) SetDeadline(t time.Time) error { return e.SetReadDeadline(t) }
func (e *end) SetReadDeadline(t time.Time) error {
	e.in.change(func() { e.in.deadline = t })
	return nil
}
func (e *end) SetWriteDeadline(time.Time) error { return nil }
