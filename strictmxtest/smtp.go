package strictmxtest

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
)

// maxCommand bounds a command line; RFC 5321, section 4.5.3.1.4, asks for 512
// octets and extensions for more.
const maxCommand = 16 << 10

// session serves one connection.
type session struct {
	mx    *MX
	setup setup
	rec   *Session // guarded by mx.mu
	conn  net.Conn // below TLS
	tls   *tls.Conn
	in    *bufio.Reader
	out   net.Conn // conn or tls

	helo   string // "" until the client said it
	from   *string
	params []string
	to     []string
}

// errEnd ends a session as the client or a fault wants it.
var errEnd = errors.New("end of session")

func (m *MX) serve(conn net.Conn, implicit bool) {
	m.mu.Lock()
	s := &session{
		mx: m, setup: m.setup, conn: conn, out: conn, in: bufio.NewReaderSize(conn, maxCommand),
		rec: &Session{Remote: addrPort(conn.RemoteAddr()), Fault: m.setup.fault},
	}
	m.sessions = append(m.sessions, s.rec)
	m.mu.Unlock()
	s.log("connection from %v  [%v]", s.rec.Remote, s.setup.fault)
	defer s.note(func(r *Session) { r.Done = true })
	if implicit && s.handshake() != nil {
		return
	}
	if s.greet() != nil {
		return
	}
	for {
		line, err := s.readLine()
		if err != nil {
			s.failed(err)
			return
		}
		s.log("C: %s", line)
		s.note(func(r *Session) { r.Commands = append(r.Commands, line) })
		verb, arg, _ := strings.Cut(line, " ")
		if err := s.command(strings.ToUpper(verb), strings.TrimSpace(arg)); err != nil {
			s.failed(err)
			return
		}
	}
}

func (s *session) log(format string, args ...any) {
	s.mx.w.journal.add("SMTP  %s %s", s.mx.name, fmt.Sprintf(format, args...))
}

// failed notes why a session ended, where TLS has to do with it: an alert.
func (s *session) failed(err error) {
	if s.tls != nil && !errors.Is(err, errEnd) && !errors.Is(err, io.EOF) {
		s.note(func(r *Session) { r.TLSError = err })
	}
}

func (s *session) note(f func(*Session)) {
	s.mx.mu.Lock()
	defer s.mx.mu.Unlock()
	f(s.rec)
}

func (s *session) greet() error {
	switch f := s.setup.fault; f.kind() {
	case HangBeforeGreeting:
		return s.hang()
	case refuseGreeting:
		s.reply(f.arg(), "%s not now", s.mx.name)
		return errEnd
	case CloseAfterGreeting:
		s.reply(220, "%s ESMTP", s.mx.name)
		return errEnd
	}
	return s.reply(220, "%s ESMTP", s.mx.name)
}

// hang waits until the client or the world gives up.
func (s *session) hang() error {
	io.Copy(io.Discard, s.out)
	return errEnd
}

func (s *session) readLine() (string, error) {
	line, err := s.in.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		s.reply(500, "5.5.6 line too long")
		return "", errEnd
	}
	if err != nil {
		return "", err
	}
	return strings.TrimRight(string(line), "\r\n"), nil
}

// reply sends one line.
func (s *session) reply(code int, format string, args ...any) error {
	return s.lines(code, fmt.Sprintf(format, args...))
}

// lines sends a reply of any number of lines.
func (s *session) lines(code int, lines ...string) error {
	var b strings.Builder
	for i, line := range lines {
		sep := '-'
		if i == len(lines)-1 {
			sep = ' '
		}
		fmt.Fprintf(&b, "%d%c%s\r\n", code, sep, line)
	}
	first, _, _ := strings.Cut(b.String(), "\r\n")
	s.log("S: %s", first)
	s.note(func(r *Session) { r.Replies = append(r.Replies, first) })
	_, err := io.WriteString(s.out, b.String())
	return err
}

// refuse answers with the code of the fault.
func (s *session) refuse() error {
	code := s.setup.fault.arg()
	return s.reply(code, "%d.7.0 refused by order of the test", code/100)
}

func (s *session) command(verb, arg string) error {
	switch verb {
	case "EHLO":
		return s.ehlo(arg)
	case "HELO":
		if arg == "" {
			return s.reply(501, "5.5.4 who are you?")
		}
		s.helo = arg
		s.rset()
		return s.reply(250, "%s", s.mx.name)
	case "STARTTLS":
		return s.startTLS(arg)
	case "MAIL":
		return s.mail(arg)
	case "RCPT":
		return s.rcpt(arg)
	case "DATA":
		return s.data()
	case "RSET":
		s.rset()
		return s.reply(250, "2.0.0 forgotten")
	case "NOOP":
		return s.reply(250, "2.0.0 done")
	case "QUIT":
		s.reply(221, "2.0.0 %s bye", s.mx.name)
		if s.tls != nil {
			s.tls.Close()
		}
		return errEnd
	}
	return s.reply(500, "5.5.1 unknown command")
}

func (s *session) rset() { s.from, s.params, s.to = nil, nil, nil }

func (s *session) ehlo(arg string) error {
	if arg == "" {
		return s.reply(501, "5.5.4 who are you?")
	}
	switch s.setup.fault.kind() {
	case refuseEHLO:
		return s.refuse()
	case CloseAfterEHLO:
		return errEnd
	case EndlessLine:
		return s.endless("250-"+s.mx.name, strings.Repeat("x", maxCommand))
	case EndlessReply:
		return s.endless("250-"+s.mx.name+"\r\n", strings.Repeat("250-X-MORE\r\n", 1000))
	}
	s.helo = arg
	s.rset()
	return s.lines(250, append([]string{s.mx.name + " at your service"}, s.setup.keywords(s.tls != nil)...)...)
}

func (s *session) endless(first, more string) error {
	io.WriteString(s.out, first)
	for n := 0; n < endless; n += len(more) {
		if _, err := io.WriteString(s.out, more); err != nil {
			return err
		}
	}
	return errEnd
}

// offers says whether the last EHLO listed a keyword, or would have.
func (s *session) offers(keyword string) bool {
	for _, k := range s.setup.keywords(s.tls != nil) {
		if name, _, _ := strings.Cut(k, " "); strings.EqualFold(name, keyword) {
			return true
		}
	}
	return false
}

func (s *session) startTLS(arg string) error {
	switch {
	case arg != "":
		return s.reply(501, "5.5.4 no parameters allowed") // RFC 3207, section 4
	case s.tls != nil:
		return s.reply(503, "5.5.1 TLS is on already")
	case s.setup.fault.kind() == refuseSTARTTLS:
		return s.refuse()
	case !s.offers("STARTTLS"):
		return s.reply(502, "5.5.1 not implemented")
	}
	if s.in.Buffered() > 0 {
		s.note(func(r *Session) { r.Early = true })
		s.in.Discard(s.in.Buffered())
	}
	const ready = "2.0.0 go ahead"
	if s.setup.fault == InjectAfter220 {
		s.note(func(r *Session) { r.Replies = append(r.Replies, "220 "+ready) })
		io.WriteString(s.out, "220 "+ready+"\r\n250-injected.invalid\r\n250-PIPELINING\r\n250 SIZE 1\r\n")
	} else if err := s.reply(220, ready); err != nil {
		return err
	}
	switch s.setup.fault {
	case GarbageAfter220:
		s.in.Peek(1) // or the client may take it for more of the reply
		io.WriteString(s.out, strings.Repeat("this is no TLS\r\n", 8))
		return s.hang()
	case CloseAfter220:
		return errEnd
	case HangAfter220:
		return s.hang()
	case CloseAfterClientHello:
		s.in.Peek(1)
		return errEnd
	}
	return s.handshake()
}

// handshake turns the connection into one with TLS, and forgets what the client
// said before (RFC 3207, section 4.2).
func (s *session) handshake() error {
	cfg, err := s.mx.tlsConfig(s.setup)
	if err != nil {
		s.log("TLS: %v", err)
		return err
	}
	c := tls.Server(s.conn, cfg)
	if err := c.Handshake(); err != nil {
		s.log("TLS: %v", err)
		s.note(func(r *Session) { r.TLSError = err })
		return err
	}
	state := c.ConnectionState()
	s.note(func(r *Session) { r.TLS = &state })
	s.log("TLS: %s for %q, resumed %t", tls.VersionName(state.Version), state.ServerName, state.DidResume)
	s.tls, s.out, s.in, s.helo = c, c, bufio.NewReaderSize(c, maxCommand), ""
	s.rset()
	if s.setup.fault == DropAfterHandshake {
		return errEnd
	}
	return nil
}
