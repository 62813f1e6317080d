package strictmxtest

import (
	"crypto/tls"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/strictmx/strictmx/internal/dnsname"
)

// maxMessage is the SIZE that MX hosts announce and hold to, in octets.
const maxMessage = 10 << 20

// MX is an MX host: an ESMTP server on an address of its own, with STARTTLS and a
// good certificate, that takes mail for anybody and keeps it. Its setters return
// it, to be chained; a connection keeps what was set when it came.
type MX struct {
	w        *World
	name     string
	addr     netip.Addr
	plain    listener
	implicit listener // TLS from the first byte; not started unless asked for

	mu       sync.Mutex // guards what follows
	setup    setup
	sessions []*Session
	messages []Message
}

// setup is how an MX host behaves.
type setup struct {
	fault         MXFault
	cert          Certificate
	own           *tls.Certificate // instead of cert
	plain, secure []string         // EHLO keywords before and after TLS; nil: the usual
	requireTLS    bool
	refused       map[string]int // recipient in lower case -> code
}

// Message is one message that an MX host has taken.
type Message struct {
	Host       string // the MX host
	HELO       string // what the client called itself
	From       string // without brackets; "" for a bounce
	FromParams []string
	To         []string
	Data       string // with CRLF, dots unstuffed
	Time       time.Time
	TLS        *tls.ConnectionState // nil: in clear
}

// Session is one connection to an MX host.
type Session struct {
	Remote   netip.AddrPort
	Fault    MXFault              // ordered when it came
	Commands []string             // as received, without CRLF; "." for the end of a message
	Replies  []string             // first line of each, the greeting first
	TLS      *tls.ConnectionState // nil: no handshake was completed
	TLSError error                // of the handshake, or of TLS after it
	// Early says that the client sent more in clear after STARTTLS, without
	// waiting for the answer. It was thrown away (RFC 3207, section 4.2).
	Early bool
	Done  bool // it has ended
}

func newMX(w *World, name string) *MX {
	m := &MX{w: w, name: name}
	m.plain = listener{w: w, serve: func(c net.Conn) { m.serve(c, false) }}
	m.implicit = listener{w: w, serve: func(c net.Conn) { m.serve(c, true) }}
	return m
}

// start listens and publishes the address. The caller holds the world's mu.
func (m *MX) start() error {
	var err error
	if m.addr, err = m.plain.start(m.w.nextAddress, m.w.port); err != nil {
		return err
	}
	m.w.DNS.publish(fmt.Sprintf("%s. IN A %s", m.name, m.addr))
	return nil
}

func (m *MX) endpoint(port uint16) (netip.AddrPort, bool) {
	plain, implicit := m.plain.address(), m.implicit.address()
	switch port {
	case 25, plain.Port():
		return plain, true
	case 465, implicit.Port():
		return implicit, implicit.IsValid()
	}
	return netip.AddrPort{}, false
}

// Name is the host's name in A-labels.
func (m *MX) Name() string { return m.name }

// IP is the address that DNS gives for it.
func (m *MX) IP() netip.Addr { return m.addr }

// Addr is where it listens, as "address:port".
func (m *MX) Addr() string { return m.plain.address().String() }

// Fault orders a fault; [None] lifts it.
func (m *MX) Fault(f MXFault) *MX {
	if err := m.plain.refuse(f == RefuseConnection); err != nil {
		m.w.helper()()
		m.w.fail("%s: %v: %v", m.name, f, err)
	}
	return m.change(func(s *setup) { s.fault = f })
}

// Certificate says what the host presents.
func (m *MX) Certificate(c Certificate) *MX {
	return m.change(func(s *setup) { s.cert, s.own = c, nil })
}

// Present makes the host present a certificate of your own making; see also
// [World.Issue].
func (m *MX) Present(cert tls.Certificate) *MX {
	return m.change(func(s *setup) { s.own = &cert })
}

// EHLO sets the keywords in the reply to EHLO before TLS and after it, such as
// "SIZE 1000"; nil is the usual list. STARTTLS is offered where it is listed.
func (m *MX) EHLO(plain, secure []string) *MX {
	return m.change(func(s *setup) { s.plain, s.secure = slices.Clone(plain), slices.Clone(secure) })
}

// RequireTLS says whether the host offers REQUIRETLS (RFC 8689), after TLS alone.
func (m *MX) RequireTLS(yes bool) *MX {
	return m.change(func(s *setup) { s.requireTLS = yes })
}

// Refuse answers RCPT for one recipient with a code, such as 550; 0 takes it
// again.
func (m *MX) Refuse(recipient string, code int) *MX {
	return m.change(func(s *setup) {
		s.refused = maps.Clone(s.refused) // sessions hold the old one
		if s.refused == nil {
			s.refused = map[string]int{}
		}
		s.refused[strings.ToLower(recipient)] = code
	})
}

// ImplicitTLS opens port 465 as well, where TLS begins at once (RFC 8314).
func (m *MX) ImplicitTLS() *MX {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.implicit.address().IsValid() {
		return m
	}
	own := func() netip.Addr { return m.plain.address().Addr() }
	if _, err := m.implicit.start(own, 0); err != nil {
		m.w.helper()()
		m.w.fail("%s: port for implicit TLS: %v", m.name, err)
	}
	return m
}

func (m *MX) change(f func(*setup)) *MX {
	m.mu.Lock()
	defer m.mu.Unlock()
	f(&m.setup)
	return m
}

// Messages returns what the host has taken, in order. A message is there before
// its client hears so.
func (m *MX) Messages() []Message {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.messages)
}

// Sessions returns every connection so far, in order, as far as it has come.
func (m *MX) Sessions() []Session {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([]Session, len(m.sessions))
	for i, s := range m.sessions {
		out[i] = *s
		out[i].Commands, out[i].Replies = slices.Clone(s.Commands), slices.Clone(s.Replies)
	}
	return out
}

// Connections returns how many connections there were.
func (m *MX) Connections() int {
	_, _, plain := m.plain.counts()
	_, _, implicit := m.implicit.counts()
	return plain + implicit
}

// MaxOpen returns how many connections were ever open at once.
func (m *MX) MaxOpen() int { _, most, _ := m.plain.counts(); return most }

func (m *MX) forget() {
	m.plain.forget()
	m.implicit.forget()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sessions, m.messages = nil, nil
}

// keywords is what EHLO lists.
func (s *setup) keywords(secure bool) []string {
	list := s.plain
	if secure {
		list = s.secure
	}
	if list == nil {
		list = []string{"PIPELINING", fmt.Sprintf("SIZE %d", maxMessage), "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES"}
		if !secure {
			list = append(list, "STARTTLS")
		}
	}
	if secure && s.requireTLS {
		list = append(slices.Clone(list), "REQUIRETLS")
	}
	if secure {
		return list
	}
	switch s.fault {
	case NoSTARTTLS:
		list = slices.DeleteFunc(slices.Clone(list), isSTARTTLS)
	case StrippedSTARTTLS:
		list = slices.Clone(list)
		for i := range list {
			if isSTARTTLS(list[i]) {
				list[i] = "XXXXXXXX"
			}
		}
	}
	return list
}

func isSTARTTLS(keyword string) bool { return strings.EqualFold(keyword, "STARTTLS") }

// tlsConfig is how the host shakes hands.
func (m *MX) tlsConfig(s setup) (*tls.Config, error) {
	var cert tls.Certificate
	if s.own != nil {
		cert = *s.own
	} else {
		var err error
		names := []string{m.name, m.addr.String()}
		if dnsname.Labels(m.name) == 1 && (s.cert == Wildcard || s.cert == PartialWildcard) {
			return nil, fmt.Errorf("no %v certificate for %s", s.cert, m.name)
		}
		if cert, err = m.w.ca.issue(s.cert, names); err != nil {
			return nil, err
		}
	}
	cfg := m.w.serverConfig(cert)
	switch s.fault {
	case TLS11Only:
		cfg.MinVersion, cfg.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	case WeakCiphers:
		cfg.MaxVersion = tls.VersionTLS12
		cfg.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_RC4_128_SHA}
	case DemandClientCert:
		cfg.ClientAuth = tls.RequireAnyClientCert
	}
	return cfg, nil
}
