package adversary

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// pipe is a connection in memory. Its writes never wait: with TLS 1.3 one side
// may write what the other does not read any more.
func pipe() (client, server net.Conn) {
	to, from := newStream(), newStream()
	return &end{in: from, out: to}, &end{in: to, out: from}
}

// stream is one direction of a pipe.
type stream struct {
	mu       sync.Mutex // guards what follows
	cond     sync.Cond  // that it changed
	data     []byte
	closed   bool
	deadline time.Time
	timer    *time.Timer
}

func newStream() *stream {
	s := &stream{}
	s.cond.L = &s.mu
	return s
}

func (s *stream) read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case !s.deadline.IsZero() && !time.Now().Before(s.deadline):
			return 0, os.ErrDeadlineExceeded
		case len(s.data) > 0:
			n := copy(p, s.data)
			s.data = s.data[n:]
			return n, nil
		case s.closed:
			return 0, io.EOF
		}
		s.cond.Wait()
	}
}

func (s *stream) write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, net.ErrClosed
	}
	s.data = append(s.data, p...)
	s.cond.Broadcast()
	return len(p), nil
}

func (s *stream) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.timer != nil {
		s.timer.Stop()
	}
	s.cond.Broadcast()
}

func (s *stream) setDeadline(t time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer != nil {
		s.timer.Stop()
	}
	s.deadline = t
	if !t.IsZero() {
		s.timer = time.AfterFunc(time.Until(t), s.cond.Broadcast)
	}
	s.cond.Broadcast()
}

type end struct{ in, out *stream }

func (e *end) Read(p []byte) (int, error)         { return e.in.read(p) }
func (e *end) Write(p []byte) (int, error)        { return e.out.write(p) }
func (e *end) LocalAddr() net.Addr                { return &net.TCPAddr{IP: net.IPv4(9, 9, 9, 9), Port: 4321} }
func (e *end) RemoteAddr() net.Addr               { return &net.TCPAddr{IP: net.IPv4(8, 8, 4, 4), Port: 25} }
func (e *end) SetDeadline(t time.Time) error      { e.in.setDeadline(t); return nil }
func (e *end) SetReadDeadline(t time.Time) error  { return e.SetDeadline(t) }
func (e *end) SetWriteDeadline(t time.Time) error { return nil }

func (e *end) Close() error {
	e.in.close()
	e.out.close()
	return nil
}
