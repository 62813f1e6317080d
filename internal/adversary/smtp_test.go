package adversary

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/netip"
	"net/textproto"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/strictmx/strictmx/resolver"
)

// channel is one SMTP connection, as it really is.
type channel struct {
	host     string
	strategy smtpWire
	chain    chain
	ours     bool // the domain's own host, or one the attacker put there
	noTLS    bool

	mu    sync.Mutex // guards state: Connect shakes hands in a goroutine of the server's
	state tls.ConnectionState
}

// proved reports whether the other end is a host of that name, and no one else
// can read along.
func (c *channel) proved() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state.HandshakeComplete && c.chain == chainGood && c.strategy != smtpMITM && c.strategy != smtpStolen
}

func (c *channel) complete() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state.HandshakeComplete
}

// hosts is the answer to the question for MX hosts.
func (w *world) hosts() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.strategyNow() == smtpElsewhere && !w.signed {
		return []string{mxAttacker, mx1}
	}
	return []string{mx1, mx2}
}

// strategyNow draws one where they are mixed; under the lock.
func (w *world) strategyNow() smtpWire {
	if w.wires.smtp == smtpMixed {
		return pick(w.dice, smtpHonest, drawSMTP(w.dice))
	}
	return w.wires.smtp
}

// connect is a TCP connection to a host.
func (w *world) connect(host string) *channel {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := &channel{host: host, strategy: w.strategyNow(), ours: host != mxAttacker}
	if host == mx2 {
		c.chain, c.noTLS = w.mx2, w.mx2NoTLS
	}
	switch c.strategy {
	case smtpMITM:
		c.chain, c.noTLS = chainAttackers, false
	case smtpStolen:
		c.chain, c.noTLS = chainGood, false
	case smtpStripped:
		c.noTLS = true
	}
	if host == mxAttacker {
		c.strategy, c.chain, c.noTLS = smtpElsewhere, chainGood, false
	}
	return c
}

var errSignature = errors.New("tls: invalid signature by the server certificate: ECDSA verification failure")

// talk is an SMTP client in clear, after its EHLO.
type talk struct{ *channel }

func (t talk) Extension(name string) (bool, string) { return name == "STARTTLS" && !t.noTLS, "" }

func (t talk) TLSConnectionState() (tls.ConnectionState, bool) {
	return t.state, len(t.state.PeerCertificates) > 0
}

// StartTLS does what crypto/tls does, but for the cryptography.
func (t talk) StartTLS(config *tls.Config) error {
	time.Sleep(10 * time.Millisecond)
	switch t.strategy {
	case smtpRefused:
		return &textproto.Error{Code: 454, Msg: "TLS not available"}
	case smtpCut:
		return io.ErrUnexpectedEOF
	}
	state := tls.ConnectionState{
		Version: tls.VersionTLS13, ServerName: config.ServerName,
		PeerCertificates: []*x509.Certificate{theirs().chains[t.host][t.chain].Leaf},
	}
	if config.ServerName != t.host || !config.InsecureSkipVerify {
		return errors.New("a configuration for another host")
	}
	if err := config.VerifyConnection(state); err != nil {
		t.state = state
		return err
	}
	if t.strategy == smtpStolen { // whose key the thief has not
		t.state = state
		return errSignature
	}
	state.HandshakeComplete = true
	t.state = state
	return nil
}

// dial is a connection on which a server speaks SMTP, and TLS in earnest.
func (w *world) dial(c *channel) net.Conn {
	client, server := pipe()
	w.servers.Go(func() {
		defer server.Close()
		c.serve(server)
	})
	return client
}

func (c *channel) serve(conn net.Conn) {
	say := func(s string) { io.WriteString(conn, s+"\r\n") }
	switch c.strategy {
	case smtpBanner:
		say("554 5.7.1 no")
		return
	case smtpEndless:
		for range 100 {
			say("220-" + strings.Repeat("x", 4000))
		}
		return
	}
	say("220 " + c.host + " says foreign things")
	for r := bufio.NewReader(conn); ; {
		line, err := r.ReadString('\n')
		verb, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch {
		case err != nil || verb == "QUIT":
			return
		case verb == "EHLO" && c.noTLS:
			say("250 " + c.host)
		case verb == "EHLO":
			say("250-" + c.host + "\r\n250 STARTTLS")
		case verb != "STARTTLS":
			say("250 ok")
		case c.strategy == smtpRefused:
			say("454 4.7.0 TLS not available")
		case c.strategy == smtpCut:
			return
		default:
			say("220 go")
			c.secure(conn)
			return
		}
	}
}

func (c *channel) secure(conn net.Conn) {
	cert := theirs().chains[c.host][c.chain]
	if c.strategy == smtpStolen {
		cert.PrivateKey = theirs().thief
	}
	s := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{cert}, SessionTicketsDisabled: true})
	if s.Handshake() != nil {
		return
	}
	c.mu.Lock()
	c.state = s.ConnectionState()
	c.mu.Unlock()
	io.Copy(io.Discard, s)
}

// MX and Addr are for the Dialer.
func (w *world) MX(context.Context, string) (resolver.Answer[resolver.MX], error) {
	hosts := w.hosts()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.wires.smtp == smtpDenied && !w.signed {
		if w.dice.chance(50) {
			return resolver.Answer[resolver.MX]{NXDomain: true}, nil
		}
		return resolver.Answer[resolver.MX]{Records: []resolver.MX{{}}}, nil
	}
	a := resolver.Answer[resolver.MX]{Secure: w.signed}
	for i, h := range hosts {
		a.Records = append(a.Records, resolver.MX{Preference: uint16(i), Host: h})
	}
	return a, nil
}

var places = []string{mx1, mx2, mxStale, mxAttacker}

func (w *world) Addr(_ context.Context, name string) (resolver.Answer[netip.Addr], error) {
	i := slices.Index(places, name)
	if i < 0 {
		return resolver.Answer[netip.Addr]{NXDomain: true}, nil
	}
	return resolver.Answer[netip.Addr]{Records: []netip.Addr{netip.AddrFrom4([4]byte{8, 8, 4, byte(i)})}}, nil
}

// at is the host at an address of Addr.
func at(address string) string {
	return places[netip.MustParseAddrPort(address).Addr().As4()[3]]
}
