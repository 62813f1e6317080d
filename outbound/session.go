package outbound

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/netip"
	"net/textproto"
	"sync"

	"github.com/strictmx/strictmx/internal/publicaddr"
	"github.com/strictmx/strictmx/tlsrpt"
)

// Level says how far a session can be trusted.
type Level uint8

// The levels.
const (
	// Clear: no TLS.
	Clear Level = iota
	// Encrypted: TLS, with whoever answered.
	Encrypted
	// Verified: TLS 1.2 or later with a host that proved to be Host. Whether Host
	// speaks for the domain is what [Session.Named] says: the host of a domain
	// without a policy may well prove its own name, and nobody has vouched for
	// it being the domain's.
	Verified
)

// String returns "clear", "encrypted" or "verified".
func (l Level) String() string {
	switch l {
	case Encrypted:
		return "encrypted"
	case Verified:
		return "verified"
	}
	return "clear"
}

// Session is one attempt at TLS with one host of a Plan. It is for one
// connection at a time: use Connect, or StartTLS, or TLSConfig with Peer and
// Done, or Reuse.
type Session struct {
	plan       *Plan
	host       string // an A-label name, or an address
	serverName string // host, where it is a name
	named      bool
	known      []tlsrpt.Failure // found before connecting

	mu      sync.Mutex // guards what is below: a client may shake hands in a goroutine of its own
	seen    []*x509.Certificate
	verdict error // what mtasts.VerifyHost said of seen
	level   Level
	told    bool
	peer    peer
	asked   bool // the server asked for our certificate
}

// peer is what an event says of the two ends.
type peer struct {
	helo               string
	sending, receiving netip.Addr
}

// inTime fails when the Plan was too old (R25) before the session can have begun: a
// client dials, and waits for each step as long as Connect does at most.
func (s *Session) inTime() error {
	return s.plan.within(planLife+greetingTimeout+3*replyTimeout+handshakeTimeout, s.host)
}

func (s *Session) wasAsked() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

// Host returns the host that the session is with: a name in A-labels, or an
// address. It is also the name for SNI and in the certificate.
func (s *Session) Host() string { return s.host }

// Plan returns the Plan that the session is of: what holds for the domain.
func (s *Session) Plan() *Plan { return s.plan }

// Named reports whether a policy of the domain, in mode enforce or testing,
// names Host as one of its MX hosts.
func (s *Session) Named() bool { return s.named }

// Level returns what became of the session: Clear until it was judged.
func (s *Session) Level() Level {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.level
}

// Peer says what the event tells of the other side: the addresses of conn, and
// the server's name, for which helo is the text of its EHLO reply or of its
// greeting. Call it before Done or StartTLS; without it the event holds neither.
func (s *Session) Peer(conn net.Conn, helo string) {
	p := peer{helo: heloName(helo)}
	if conn != nil {
		p.sending, p.receiving = publicIP(conn.LocalAddr()), publicIP(conn.RemoteAddr())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.peer = p
}

// StartTLSer is an SMTP client that has said EHLO, is about to say STARTTLS, and
// shakes hands before StartTLS returns. A *smtp.Client of net/smtp is one.
type StartTLSer interface {
	Extension(name string) (bool, string)
	StartTLS(config *tls.Config) error
	TLSConnectionState() (state tls.ConnectionState, ok bool)
}

// StartTLS secures the connection of c as far as the policies ask for it. Nil:
// go on with c, in clear where the session's Level says so. [ErrRetryInClear]:
// do what it says. An [*Error]: this host may not be used; hang up. Any other
// error is c's own: TLS stands, but the host would not go on.
//
// A client that returns before it has shaken hands is refused, since nothing it
// says afterwards could be judged. What c does with bytes that came in clear
// after the reply to STARTTLS cannot be seen here; [Session.Connect] refuses them.
//
// The client must have said its EHLO, with Hello of net/smtp, say: one that says
// it later and fails looks like a host without STARTTLS.
func (s *Session) StartTLS(c StartTLSer) error {
	s.restart()
	if err := s.inTime(); err != nil {
		return err
	}
	if state, ok := c.TLSConnectionState(); ok && state.HandshakeComplete {
		return s.Done(state, nil) // TLS from the first byte on
	}
	if ok, _ := c.Extension("STARTTLS"); !ok {
		return s.Done(tls.ConnectionState{}, nil)
	}
	err := c.StartTLS(s.TLSConfig())
	state, _ := c.TLSConnectionState()
	if err == nil && !state.HandshakeComplete {
		return s.plan.fail(s.host, later, errLazy)
	}
	if judged := s.Done(state, err); judged != nil || !state.HandshakeComplete {
		return judged // a refused STARTTLS that nobody minds is no error
	}
	return err
}

var errLazy = own("the SMTP client shakes hands later than its StartTLS returns, where nothing can be judged: use Session.Connect")

// TLSConfig returns a configuration for clients that do STARTTLS by themselves,
// and for port 465. It is good for one connection, whose end must be told to
// Done: until Done has returned nil, nothing may be sent.
func (s *Session) TLSConfig() *tls.Config { return s.config() }

// Done judges what came of a connection that used TLSConfig. It is to be called
// once, after the client's EHLO on top of TLS where there is one, with the state
// of the connection (zero where there is no TLS) and the client's error, in which
// an SMTP reply is a [*textproto.Error], as in net/smtp. What it makes of the two:
//
//	handshake complete, no error or an SMTP reply   TLS stands, and is judged
//	handshake complete, a TLS alert                 failed: the server wants a client certificate, say
//	no handshake, no error                          the host does not offer STARTTLS
//	no handshake, an SMTP reply                     the host refused STARTTLS
//	no handshake, another error                     the handshake failed
//
// Nil: go on, on this connection. [ErrRetryInClear]: do what it says. An
// [*Error]: this host may not be used; hang up.
func (s *Session) Done(cs tls.ConnectionState, err error) error {
	if stale := s.inTime(); stale != nil {
		return stale
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return s.plan.fail(s.host, broken, err) // the caller gave up: that says nothing of the host
	}
	reply := (*textproto.Error)(nil)
	isReply := errors.As(err, &reply)
	a := attempt{state: cs, err: err}
	switch {
	case cs.HandshakeComplete && isAlert(err):
		a.found, a.dead = tlsrpt.Classify(err), true
	case cs.HandshakeComplete:
		a.err = nil
	case err == nil:
		a.found = notOffered
	case isReply:
		a.found = startTLSRefused(reply.Code)
		a.dead = reply.Code == codeClosing
	default:
		a.found, a.dead = tlsrpt.Classify(err), true
	}
	if judged := s.conclude(a); judged != nil {
		return judged
	}
	if isBroken(err) { // TLS was good, and then the connection broke
		return s.plan.fail(s.host, broken, err)
	}
	return nil
}

// notOffered: no STARTTLS keyword, or HELO only (RFC 8460, section 4.3.1).
var notOffered = []tlsrpt.Failure{{Type: tlsrpt.STARTTLSNotSupported}}

// startTLSRefused: "the recipient did not successfully respond" (RFC 8460,
// section 4.3.1); 454 is one way (RFC 3207, section 4).
func startTLSRefused(code int) []tlsrpt.Failure {
	return []tlsrpt.Failure{{Type: tlsrpt.STARTTLSNotSupported, Reason: tlsrpt.STARTTLSReason(code)}}
}

// isAlert reports whether err is a TLS alert, sent or received: with TLS 1.3 the
// server's refusal of our certificate comes after our handshake is complete.
func isAlert(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && (op.Op == "remote error" || op.Op == "local error") // crypto/tls has no type for it
}

// isBroken reports whether err came from the connection, not from the server.
func isBroken(err error) bool {
	var n net.Error
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &n)
}

// Reuse judges a pooled connection for this delivery, by the state that it is
// in: zero where it is in clear. Nil: it may be used. An [*Error]: it may not;
// dial. Nobody is told, since its session was told when it was made.
func (s *Session) Reuse(cs tls.ConnectionState) error {
	p := s.plan
	if err := p.current(s.host); err != nil {
		return err
	}
	level, found, err := s.weigh(cs)
	if err == nil && p.verified {
		err = s.ask(cs)
	}
	if p.verified && (level != Verified || err != nil) {
		return p.refusal(s.host, refused, p.outcomeWith(merge(s.known, found)...), err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.level = level
	return nil
}

// restart makes the session ready for another connection.
func (s *Session) restart() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen, s.verdict, s.level, s.told = nil, nil, Clear, false
}

// mxHost is the host as reports show it: nothing that is no name, and no address
// inside a network (R16).
func (s *Session) mxHost() string {
	if s.serverName != "" {
		return s.serverName
	}
	if a, ok := parseAddress(s.host); ok && publicaddr.Is(a) {
		return s.host
	}
	return ""
}
