package outbound

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"time"

	"github.com/strictmx/strictmx/internal/dnsname"
	"github.com/strictmx/strictmx/tlsrpt"
)

// How long Connect waits for each step; the caller's ctx may be shorter.
const (
	greetingTimeout  = 5 * time.Minute // RFC 5321, section 4.5.3.2.1
	replyTimeout     = 5 * time.Minute // as for the commands of section 4.5.3.2
	handshakeTimeout = 2 * time.Minute
)

// Connect makes a connection that is as safe as the policies ask. It dials,
// reads the greeting, says EHLO and STARTTLS, shakes hands and judges. On the
// Conn it returns a greeting of its own can be read, and an SMTP client begins
// with that and its EHLO, as on any new connection, without a thought of TLS;
// it should say the name there that Connect said, which is [Conn.LocalName].
// Where TLS failed and nothing asks for it, the Conn is in clear, if need be on
// a second connection, for which Connect calls dial again.
//
// ctx bounds all of it, beside a limit of some minutes for each step, and no more:
// the Conn has no deadline until you set one, and net/smtp sets none. The error is an [*Error]: go on to the next
// address or host. Whatever dial returned is then closed.
func (s *Session) Connect(ctx context.Context, dial func(context.Context) (net.Conn, error)) (*Conn, error) {
	s.restart()
	c, err := s.connect(ctx, dial, true)
	if errors.Is(err, ErrRetryInClear) {
		return s.connect(ctx, dial, false) // the same session still: told once (RPT-48)
	}
	return c, err
}

// connect makes one connection, and asks for TLS on it or not.
func (s *Session) connect(ctx context.Context, dial func(context.Context) (net.Conn, error), secure bool) (*Conn, error) {
	if err := s.plan.current(s.host); err != nil {
		return nil, err
	}
	if !secure && s.plan.verified { // cannot be, and must not (I1)
		return nil, s.plan.fail(s.host, later, errNoTLS)
	}
	conn, err := dial(ctx)
	if err == nil && conn == nil {
		err = own("the dial function returned no connection and no error")
	}
	if err != nil {
		return nil, s.plan.fail(s.host, unreachable, err)
	}
	t := newTalk(ctx, conn)
	var a attempt
	greeting, err := s.greeted(t)
	if err == nil && secure {
		a, err = s.startTLS(t, greeting)
	}
	if ended := t.end(); ended != nil { // the caller gave up: that says nothing of the host
		return nil, s.plan.fail(s.host, broken, ended)
	}
	if err == nil && secure {
		err = s.conclude(a)
	}
	if err != nil {
		if !a.dead {
			t.quit()
		}
		conn.Close()
		return nil, err
	}
	return s.hand(t), nil
}

// greeted reads the greeting, which must be 220 (RFC 5321, section 3.1).
func (s *Session) greeted(t *talk) (reply, error) {
	r, err := t.read(greetingTimeout)
	switch {
	case err != nil:
		return r, s.plan.fail(s.host, broken, err)
	case r.code != codeReady:
		return r, s.plan.fail(s.host, r.status(s.plan.enforced()), r.refusal("connecting"))
	}
	return r, nil
}

// startTLS talks until there is TLS, or it is clear why there is none. An error
// says that the host did not get that far.
func (s *Session) startTLS(t *talk, greeting reply) (attempt, error) {
	ehlo, err := t.command(replyTimeout, "EHLO "+s.plan.enforcer.localName(t.conn))
	if err != nil {
		return attempt{}, s.plan.fail(s.host, broken, err)
	}
	s.meet(t.conn, ehlo, greeting)
	switch {
	case ehlo.code/100 == 4:
		return attempt{}, s.plan.fail(s.host, ehlo.status(true), ehlo.refusal("EHLO"))
	case ehlo.code != codeOK: // HELO is left, which cannot offer anything (TLS-14)
		return attempt{found: heloOnly, err: ehlo.refusal("EHLO")}, nil
	case !ehlo.offers("starttls"):
		return attempt{found: notOffered}, nil
	}
	r, err := t.command(replyTimeout, "STARTTLS")
	switch {
	case err != nil: // "did not successfully respond" (RFC 8460, appendix B)
		return attempt{found: notOffered, err: err, dead: true}, nil
	case r.code != codeReady:
		return attempt{found: startTLSRefused(r.code), err: r.refusal("STARTTLS"), dead: r.code == codeClosing}, nil
	case t.r.Buffered() > 0: // put there by somebody who cannot speak inside TLS (TLS-12)
		return attempt{found: injected, err: errInjected, dead: true}, nil
	}
	return s.shakeHands(t), nil
}

var (
	heloOnly    = []tlsrpt.Failure{{Type: tlsrpt.STARTTLSNotSupported, Reason: tlsrpt.ReasonEHLORefused}}
	injected    = []tlsrpt.Failure{{Type: tlsrpt.ValidationFailure, Reason: tlsrpt.ReasonPlaintextInjection}}
	errInjected = own("bytes in clear came after the reply to STARTTLS")
)

func (s *Session) shakeHands(t *talk) attempt {
	c := tls.Client(t.conn, s.config())
	t.conn.SetDeadline(time.Now().Add(handshakeTimeout))
	err := c.HandshakeContext(t.ctx)
	a := attempt{state: c.ConnectionState(), err: err}
	if err != nil { // once TLS began, whatever ends it counts (AMB-44)
		a.found, a.dead = tlsrpt.Classify(err), true
		return a
	}
	t.tls = c
	if s.wasAsked() && a.state.Version >= tls.VersionTLS13 {
		return s.probe(t, a)
	}
	return a
}

// probe finds out whether a server that asked for our certificate goes on without:
// with TLS 1.3 it says so after our handshake is complete. A second EHLO is legal,
// and its reply is of no interest (RFC 5321, section 4.1.4).
func (s *Session) probe(t *talk, a attempt) attempt {
	t.conn.SetDeadline(time.Now().Add(replyTimeout))
	_, err := t.tls.Write([]byte("EHLO " + s.plan.enforcer.localName(t.conn) + "\r\n"))
	if err == nil {
		_, err = readReply(bufio.NewReaderSize(t.tls, maxReplyLine))
	}
	if err != nil {
		a.found, a.err, a.dead = tlsrpt.Classify(err), err, true
	}
	return a
}

// meet notes who the other side is, as an event tells it: by the EHLO reply or,
// where that has no name, by the greeting.
func (s *Session) meet(conn net.Conn, ehlo, greeting reply) {
	s.Peer(conn, ehlo.lines[0])
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.peer.helo == "" {
		s.peer.helo = heloName(greeting.lines[0])
	}
}

// hand makes the Conn for the client.
func (s *Session) hand(t *talk) *Conn {
	c := &Conn{Conn: t.conn, Session: s}
	name := s.serverName
	if name == "" {
		a, _ := parseAddress(s.host)
		name = literal(a)
	}
	c.unread = []byte("220 " + name + " ESMTP\r\n")
	if t.tls != nil {
		c.Conn = t.tls
		return c // R35: nothing from before TLS
	}
	c.lines = t.r
	return c
}

// localName is our name for EHLO (RFC 5321, section 4.1.4): a host name, or the
// address literal where there is none.
func (e *Enforcer) localName(conn net.Conn) string {
	if a, ok := parseAddress(e.LocalName); ok {
		return literal(a)
	}
	if name, err := dnsname.Host(e.LocalName); err == nil {
		return name
	}
	if name, err := os.Hostname(); err == nil {
		if name, err = dnsname.Host(name); err == nil {
			return name
		}
	}
	return literal(addrOf(conn.LocalAddr()))
}

// talk is a connection before it belongs to a client.
type talk struct {
	ctx   context.Context
	conn  net.Conn
	tls   *tls.Conn // after the handshake
	r     *bufio.Reader
	stop  func() bool
	ended chan struct{}
}

// newTalk watches ctx: when it ends, the connection is closed, which ends every
// read and write on it.
func newTalk(ctx context.Context, conn net.Conn) *talk {
	t := &talk{ctx: ctx, conn: conn, r: bufio.NewReaderSize(conn, maxReplyLine), ended: make(chan struct{})}
	t.stop = context.AfterFunc(ctx, func() {
		conn.Close()
		close(t.ended)
	})
	return t
}

// end ends the watch, and returns the error of ctx if that ended first. After
// it, nothing of ours touches the connection.
func (t *talk) end() error {
	if !t.stop() {
		<-t.ended
	}
	if err := t.ctx.Err(); err != nil {
		t.conn.Close()
		return err
	}
	t.conn.SetDeadline(time.Time{})
	return nil
}

func (t *talk) command(limit time.Duration, line string) (reply, error) {
	t.conn.SetDeadline(time.Now().Add(limit))
	if _, err := t.conn.Write([]byte(line + "\r\n")); err != nil {
		return reply{}, err
	}
	return t.read(limit)
}

func (t *talk) read(limit time.Duration) (reply, error) {
	t.conn.SetDeadline(time.Now().Add(limit))
	return readReply(t.r)
}

// quit says goodbye to a host that was refused while it was still listening
// (RFC 5321, section 4.1.1.10). Its answer is of no interest.
func (t *talk) quit() {
	t.conn.SetDeadline(time.Now().Add(time.Second))
	if t.tls != nil {
		t.tls.Write([]byte("QUIT\r\n"))
		return
	}
	t.conn.Write([]byte("QUIT\r\n"))
}
