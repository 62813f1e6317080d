package outbound

import (
	"context"
	"crypto/tls"
	"log/slog"
	"slices"
	"time"

	"github.com/strictmx/strictmx/internal/ablation"
	"github.com/strictmx/strictmx/mtasts"
	"github.com/strictmx/strictmx/tlsrpt"
)

// config returns the configuration of one handshake (R28). Certificates are
// never verified by crypto/tls itself, whose verdict would end the handshake of
// sessions that no policy protects, but always by VerifyConnection, which runs
// on resumed sessions, too (CERT-20).
func (s *Session) config() *tls.Config {
	e := s.plan.enforcer
	c := &tls.Config{}
	if e.TLSConfig != nil {
		c = e.TLSConfig.Clone()
	}
	c.ServerName = s.serverName // the MX host; none for an address (RFC 8461, section 7.1; RFC 6066, section 3)
	c.InsecureSkipVerify = true
	also := c.VerifyConnection
	c.VerifyPeerCertificate = nil // it sees no resumed session; VerifyConnection does
	c.VerifyConnection = func(cs tls.ConnectionState) error {
		err := s.verify(cs)
		if err == nil || !s.plan.verified {
			if objection := call(also, cs); objection != nil && err == nil {
				err = objection
				s.object(err)
			}
		}
		// Where nothing demands TLS, to end it would be to go on in clear.
		if s.plan.verified {
			return err
		}
		return nil
	}
	c.GetClientCertificate = s.certificate(c)
	c.NextProtos = nil // there is none for SMTP on port 25
	c.EncryptedClientHelloConfigList, c.EncryptedClientHelloRejectionVerify = nil, nil
	c.Renegotiation = tls.RenegotiateNever
	if c.MaxVersion < tls.VersionTLS12 {
		c.MaxVersion = 0
	}
	if s.plan.verified { // RFC 8461, section 7.2; RFC 9325, section 3.1.1
		c.MinVersion = max(c.MinVersion, tls.VersionTLS12)
	}
	if c.ClientSessionCache == nil {
		c.ClientSessionCache = e.sessionCache()
	}
	return c
}

// certificate answers a server that asks for our certificate as c would by itself,
// and notes that it asked.
func (s *Session) certificate(c *tls.Config) func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	own, chains := c.GetClientCertificate, c.Certificates
	return func(info *tls.CertificateRequestInfo) (*tls.Certificate, error) {
		s.mu.Lock()
		s.asked = true
		s.mu.Unlock()
		if own != nil {
			return own(info)
		}
		for i := range chains {
			if info.SupportsCertificate(&chains[i]) == nil {
				return &chains[i], nil
			}
		}
		return new(tls.Certificate), nil
	}
}

// object makes the caller's objection the verdict on what was verified last.
func (s *Session) object(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.verdict = err
}

// call runs the caller's own check. One that panics has not agreed (R20).
func call(hook func(tls.ConnectionState) error, cs tls.ConnectionState) (err error) {
	if hook == nil {
		return nil
	}
	defer recovered(&err, "TLSConfig.VerifyConnection")
	return hook(cs)
}

// ask runs the check of the caller's TLSConfig on a connection made earlier.
func (s *Session) ask(cs tls.ConnectionState) error {
	if base := s.plan.enforcer.TLSConfig; base != nil {
		return call(base.VerifyConnection, cs)
	}
	return nil
}

// verify is the one strict verdict (R14) on the certificates of a connection.
// It is kept, for Done to use again; certificates that it was not about get one
// of their own, so that a client which shook hands without our configuration
// gains nothing.
func (s *Session) verify(cs tls.ConnectionState) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.seen) > 0 && slices.Equal(s.seen, cs.PeerCertificates) {
		return s.verdict
	}
	now := time.Now
	base := s.plan.enforcer.TLSConfig
	if base == nil {
		base = &tls.Config{}
	}
	if base.Time != nil {
		now = base.Time
	}
	s.seen, s.verdict = cs.PeerCertificates, mtasts.VerifyHost(cs, s.host, base.RootCAs, now())
	return s.verdict
}

// weigh says what a connection is worth, and what keeps it from being Verified.
func (s *Session) weigh(cs tls.ConnectionState) (Level, []tlsrpt.Failure, error) {
	if !cs.HandshakeComplete && !ablation.Off(ablation.Complete) {
		return Clear, []tlsrpt.Failure{{Type: tlsrpt.ValidationFailure, Reason: tlsrpt.ReasonHandshakeMissing}}, errNoTLS
	}
	err := s.verify(cs)
	found := tlsrpt.Classify(err)
	if cs.Version < tls.VersionTLS12 { // judged, and under testing not refused (TLS-01)
		found = merge(found, []tlsrpt.Failure{{Type: tlsrpt.ValidationFailure, Reason: tlsrpt.ReasonTLSVersion}})
	}
	if len(found) > 0 {
		return Encrypted, found, err
	}
	return Verified, nil, nil
}

var errNoTLS = own("the connection is not in TLS")

// attempt is how far a session came.
type attempt struct {
	state tls.ConnectionState
	found []tlsrpt.Failure // why there is no TLS; nil: there is
	err   error            // what said so
	dead  bool             // the connection is of no use any more
}

// offersNone reports whether the host does not do TLS at all.
func (a attempt) offersNone() bool {
	return len(a.found) > 0 && a.found[0].Type == tlsrpt.STARTTLSNotSupported
}

// conclude ends a session: it weighs it, tells about it once, and answers nil,
// ErrRetryInClear or an *Error.
func (s *Session) conclude(a attempt) error {
	p := s.plan
	counts := p.judged || p.verified // a certificate matters to somebody (AMB-46)
	level, found, err := Clear, a.found, a.err
	switch {
	case found == nil:
		if level, found, err = s.weigh(a.state); !counts {
			found = nil
		}
	case len(a.state.PeerCertificates) > 0 && counts: // it died later than it was judged
		found = merge(tlsrpt.Classify(s.verify(a.state)), found)
	}
	outcome := p.outcomeWith(merge(s.known, found)...)
	refuse := p.verified && level != Verified && !ablation.Off(ablation.Proved)
	s.mu.Lock()
	first := !s.told
	s.told = true
	if !refuse && !a.dead {
		s.level = level
	}
	s.mu.Unlock()
	if first {
		s.tell(outcome)
	}
	s.log(level, outcome, refuse)
	switch {
	case refuse && p.delivery.RequireTLS && a.offersNone():
		return p.refusal(s.host, noTLS, outcome, err)
	case refuse && !(a.dead && ablation.Off(ablation.NoRetryInClear)):
		return p.refusal(s.host, refused, outcome, err)
	case a.dead:
		return ErrRetryInClear // R36: nothing asks for TLS, or it would have been refused
	}
	return nil
}

// tell is the one place that makes events. TLS reports and domains that cannot
// have a record are not told of (R15).
func (s *Session) tell(o tlsrpt.Outcome) {
	p := s.plan
	if p.delivery.Report && !ablation.Off(ablation.ReportsUntold) || p.domain == "" || p.enforcer.Observer == nil {
		return
	}
	s.mu.Lock()
	end := s.peer
	s.mu.Unlock()
	p.enforcer.observe(tlsrpt.Event{
		Time:        time.Now(),
		Domain:      p.domain,
		MXHost:      s.mxHost(),
		HELO:        end.helo,
		SendingIP:   end.sending,
		ReceivingIP: end.receiving,
		Outcomes:    []tlsrpt.Outcome{o},
	})
}

// log writes the one line of a session, with the cause where TLS is not
// enforced (R33).
func (s *Session) log(level Level, o tlsrpt.Outcome, refuse bool) {
	p := s.plan
	attrs := []slog.Attr{
		slog.String("domain", p.name()), slog.String("host", s.host),
		slog.String("level", level.String()), slog.Bool("named", s.named), slog.Bool("refused", refuse),
		slog.String("policy", p.source()),
	}
	if cause := p.Cause(); cause != "" {
		attrs = append(attrs, slog.String("cause", string(cause)))
	}
	if found := describe([]tlsrpt.Outcome{o}); found != "" {
		attrs = append(attrs, slog.String("found", found))
	}
	p.enforcer.logger().LogAttrs(context.Background(), slog.LevelInfo, "session", attrs...)
}
