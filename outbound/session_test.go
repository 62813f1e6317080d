package outbound

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/smtp"
	"net/textproto"
	"strings"
	"testing"

	"github.com/strictmx/strictmx/mtasts"
)

// state is a connection with a certificate, as a client may show it.
func state(version uint16, k kind) tls.ConnectionState {
	var certs []*x509.Certificate
	for _, der := range issue("mx.example.com", k).Certificate {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			panic(err)
		}
		certs = append(certs, c)
	}
	return tls.ConnectionState{HandshakeComplete: true, Version: version, PeerCertificates: certs}
}

func alert() error {
	return &net.OpError{Op: "remote error", Err: errors.New("tls: certificate required")}
}

func smtpError(code int) error {
	return fmt.Errorf("wrapped: %w", &textproto.Error{Code: code, Msg: "no"})
}

func incomplete(k kind) tls.ConnectionState {
	cs := state(tls.VersionTLS13, k)
	cs.HandshakeComplete = false
	return cs
}

// bare is TLS without a certificate.
var bare = tls.ConnectionState{HandshakeComplete: true, Version: tls.VersionTLS13}

// The table of Done: what a client says, under enforce and without a policy.
func TestDone(t *testing.T) {
	const retry = "retry in clear"
	const up = "451 4.7.5"
	for _, r := range []struct {
		name          string
		state         tls.ConnectionState
		err           error
		enforce, told string // the level, "retry in clear" or the reply; what is told of it under enforce
		opportunistic string
		toldWithout   string
	}{
		{"TLS that stands", state(tls.VersionTLS13, good), nil, "verified", isSTS, "verified", noPolicy},
		{"TLS, and then an SMTP reply", state(tls.VersionTLS12, good), smtpError(421), "verified", isSTS, "verified", noPolicy},
		{"a bad certificate", state(tls.VersionTLS13, expired), nil, up, isSTS + ": certificate-expired", "encrypted", noPolicy},
		{"TLS 1.1, from a client of its own mind", state(tls.VersionTLS11, good), nil, up, isSTS + ": validation-failure (tls-version)", "encrypted", noPolicy}, // R25
		{"no certificate at all", bare, nil, up, isSTS + ": certificate-not-trusted (no-certificate)", "encrypted", noPolicy},                                   // R25
		{"an alert after the handshake", state(tls.VersionTLS13, good), alert(), up, isSTS + ": validation-failure (tls-protocol-error)", retry, noPolicy + ": validation-failure (tls-protocol-error)"},
		{"an alert after a handshake that was bad already", state(tls.VersionTLS13, expired), alert(), up, isSTS + ": certificate-expired, validation-failure (tls-protocol-error)", retry, noPolicy + ": validation-failure (tls-protocol-error)"},
		{"TLS, and then the connection broke", state(tls.VersionTLS13, good), io.ErrUnexpectedEOF, "451 4.4.2", isSTS, "451 4.4.2", noPolicy},
		{"no TLS and no error: not offered", tls.ConnectionState{}, nil, up, isSTS + ": " + notSupported, "clear", noPolicy + ": " + notSupported},
		{"454", tls.ConnectionState{}, smtpError(454), up, isSTS + ": " + notSupported + " (starttls-454)", "clear", noPolicy + ": " + notSupported + " (starttls-454)"}, // RPT-33
		{"421", tls.ConnectionState{}, smtpError(421), up, isSTS + ": " + notSupported + " (starttls-421)", retry, noPolicy + ": " + notSupported + " (starttls-421)"},
		{"a handshake that failed", tls.ConnectionState{}, io.EOF, up, isSTS + ": validation-failure (handshake-eof)", retry, noPolicy + ": validation-failure (handshake-eof)"},
		{"a stolen chain: the certificate is good, the handshake is not", incomplete(good), errors.New("tls: invalid signature by the server certificate: no"), up, isSTS + ": validation-failure (tls-signature)", retry, noPolicy + ": validation-failure (tls-signature)"}, // R14
		{"the caller gave up", tls.ConnectionState{}, context.Canceled, "451 4.4.2", "", "451 4.4.2", ""},
		{"the caller's time was up", incomplete(good), context.DeadlineExceeded, "451 4.4.2", "", "451 4.4.2", ""},
	} {
		check := func(t *testing.T, known mtasts.Result, want, told string) {
			e, seen := sender(known)
			s := session(t, e, deliverTo, "mx.example.com")
			err := s.Done(r.state, r.err)
			got := s.Level().String()
			if err == ErrRetryInClear {
				got = retry
			} else if err != nil {
				e := asError(t, err)
				got = fmt.Sprintf("%d %d.%d.%d", e.Code, e.EnhancedCode[0], e.EnhancedCode[1], e.EnhancedCode[2])
			}
			if got != want {
				t.Errorf("got %s (%v), want %s", got, err, want)
			}
			if told == "" {
				if all := seen.list(); len(all) > 0 {
					t.Errorf("told %+v", all)
				}
			} else if got := seen.told(t); got != told {
				t.Errorf("told %q\nwant %q", got, told)
			}
			s.Done(r.state, r.err) // I13: once, whatever a client does
			if n := len(seen.list()); n > 1 {
				t.Errorf("%d events", n)
			}
		}
		t.Run(r.name+"/enforce", func(t *testing.T) { check(t, enforcing(), r.enforce, r.told) })
		t.Run(r.name+"/no policy", func(t *testing.T) { check(t, none, r.opportunistic, r.toldWithout) })
	}
}

// CERT-19: the name that counts is the session's, not what the state holds.
func TestDoneTakesNoNameFromTheState(t *testing.T) {
	e, _ := sender(enforcing())
	cs := state(tls.VersionTLS13, good)
	cs.ServerName = "mx.example.com"
	s := session(t, e, deliverTo, "other.mail.test") // named by *.mail.test
	asError(t, s.Done(cs, nil))
}

// A client that verified nothing, or somebody else, with our configuration
// unused, is judged by what it shows.
func TestDoneJudgesWhatVerifyConnectionDidNotSee(t *testing.T) {
	e, _ := sender(enforcing())
	s := session(t, e, deliverTo, "mx.example.com")
	config := s.TLSConfig()
	if err := config.VerifyConnection(state(tls.VersionTLS13, good)); err != nil {
		t.Fatal(err)
	}
	asError(t, s.Done(state(tls.VersionTLS13, misnamed), nil))
	if s.Level() != Clear {
		t.Errorf("level %v", s.Level())
	}
}

// dialSMTP is a client of net/smtp that has greeted and not yet said EHLO.
func dialSMTP(t *testing.T, h *host) (*smtp.Client, net.Conn) {
	t.Helper()
	conn, _ := h.dial(t.Context())
	c, err := smtp.NewClient(conn, "mx.example.com")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c, conn
}

// wantsOurs: with TLS 1.3 the alert comes when the client believes that it is done.
func wantsOurs(h *host) {
	h.config = func(c *tls.Config) { c.ClientAuth = tls.RequireAnyClientCert }
}

func TestStartTLSWithNetSMTP(t *testing.T) {
	for _, r := range []struct {
		name  string
		known mtasts.Result
		host  *host
		want  string
		told  string
	}{
		{"enforce: an honest host", enforcing(), with(good), "verified", isSTS},
		{"enforce: a bad certificate", enforcing(), with(misnamed), "refused", isSTS + ": certificate-host-mismatch"},
		{"enforce: not offered", enforcing(), with(good, noTLSOffered), "refused", isSTS + ": " + notSupported},
		{"enforce: refused", enforcing(), with(good, refuses), "refused", isSTS + ": " + notSupported + " (starttls-454)"},
		{"enforce: garbage", enforcing(), with(good, garbage), "refused", isSTS + ": validation-failure (tls-not-tls)"},
		{"enforce: a client certificate is demanded", enforcing(), with(good, wantsOurs), "refused", isSTS + ": validation-failure (tls-alert-certificate-required)"},
		{"no policy: a client certificate is demanded", none, with(good, wantsOurs), "retry", noPolicy + ": validation-failure (tls-alert-certificate-required)"},
		{"testing: a bad certificate", testingMX(), with(misnamed), "encrypted", isSTS + ": certificate-host-mismatch"},
		{"no policy: a bad certificate", none, with(misnamed), "encrypted", noPolicy},
		{"no policy: refused", none, with(good, refuses), "clear", noPolicy + ": " + notSupported + " (starttls-454)"},
		{"no policy: garbage", none, with(good, garbage), "retry", noPolicy + ": validation-failure (tls-not-tls)"},
		{"TLS, and EHLO refused in it", enforcing(), with(good, func(h *host) { h.ehloInTLS = "450 not now\r\n" }), "450", isSTS},
	} {
		t.Run(r.name, func(t *testing.T) {
			e, seen := sender(r.known)
			s := session(t, e, deliverTo, "mx.example.com")
			c, conn := dialSMTP(t, r.host)
			s.Peer(conn, "[8.8.8.8] says hello")
			err := s.StartTLS(c)
			got := s.Level().String()
			switch reply, ok := errors.AsType[*textproto.Error](err); {
			case err == ErrRetryInClear:
				got = "retry"
			case ok && s.Level() == Verified:
				got = fmt.Sprint(reply.Code)
			case err != nil:
				asError(t, err)
				got = "refused"
			default:
				if err := c.Mail("a@b.test"); err != nil {
					t.Error(err)
				}
			}
			if got != r.want {
				t.Errorf("got %s (%v), want %s", got, err, r.want)
			}
			if got := seen.told(t); got != r.told {
				t.Errorf("told %q\nwant %q", got, r.told)
			}
			if v := seen.only(t); v.HELO != "[8.8.8.8]" || v.ReceivingIP.String() != "8.8.4.4" {
				t.Errorf("event %+v", v)
			}
		})
	}
}

// lazy answers StartTLS before it shakes hands.
type lazy struct{ state tls.ConnectionState }

func (lazy) Extension(string) (bool, string)                   { return true, "" }
func (lazy) StartTLS(*tls.Config) error                        { return nil }
func (l lazy) TLSConnectionState() (tls.ConnectionState, bool) { return l.state, true }

func TestStartTLSRefusesClientsThatShakeHandsLater(t *testing.T) {
	for _, known := range []mtasts.Result{enforcing(), none} {
		e, seen := sender(known)
		s := session(t, e, deliverTo, "mx.example.com")
		if err := asError(t, s.StartTLS(lazy{})); !errors.Is(err, errLazy) {
			t.Errorf("error %v", err)
		}
		if len(seen.list()) != 0 {
			t.Errorf("told %+v of a handshake that nobody has seen", seen.list())
		}
	}
}

// TLS-24: a client that is in TLS from the first byte on needs no STARTTLS.
func TestStartTLSOnPort465(t *testing.T) {
	e, seen := sender(enforcing())
	s := session(t, e, deliverTo, "mx.example.com")
	if err := s.StartTLS(lazy{state(tls.VersionTLS13, good)}); err != nil || s.Level() != Verified {
		t.Errorf("level %v, error %v", s.Level(), err)
	}
	if got := seen.told(t); got != isSTS {
		t.Errorf("told %q", got)
	}
	asError(t, s.StartTLS(lazy{state(tls.VersionTLS13, expired)}))
}

// TLS-24: implicit TLS, done by hand with TLSConfig, Peer and Done.
func TestTLSConfigOnPort465(t *testing.T) {
	for _, r := range []struct {
		kind kind
		want Level
		ok   bool
		told string
	}{
		{good, Verified, true, isSTS},
		{expired, Clear, false, isSTS + ": certificate-expired"},
	} {
		e, seen := sender(enforcing())
		s := session(t, e, deliverTo, "mx.example.com")
		client, server := pipe()
		h := with(r.kind)
		h.wg.Go(func() { defer server.Close(); tls.Server(server, h.serverConfig()).Handshake() })
		c := tls.Client(client, s.TLSConfig())
		err := c.Handshake()
		s.Peer(client, "mx.example.com")
		err = s.Done(c.ConnectionState(), err)
		if (err == nil) != r.ok || s.Level() != r.want || seen.told(t) != r.told {
			t.Errorf("error %v, level %v, told %q", err, s.Level(), seen.told(t))
		}
		client.Close()
		h.wg.Wait()
	}
}

// TLS-06, TLS-08, TLS-18, TLS-20, TLS-21: what our hello says.
func TestHello(t *testing.T) {
	const earlyData, alpn = 42, 16
	for host, sni := range map[string]string{"MX.example.com.": "mx.example.com", "8.8.4.4": "", "mx.bücher.example": "mx.xn--bcher-kva.example"} {
		e, _ := sender(none)
		e.TLSConfig.NextProtos = []string{"smtp"}
		h := with(good)
		for range 2 { // the second may resume
			conn, err := session(t, e, deliverTo, host).Connect(t.Context(), h.dial)
			if err != nil {
				t.Fatal(err)
			}
			send(t, conn)
		}
		h.wg.Wait()
		for i, hello := range h.hellos {
			if hello.ServerName != sni {
				t.Errorf("%s: SNI %q, want %q", host, hello.ServerName, sni)
			}
			for _, x := range hello.Extensions {
				if x == earlyData || x == alpn {
					t.Errorf("%s: hello %d has extension %d", host, i, x)
				}
			}
			suites := fmt.Sprint(hello.CipherSuites)
			for _, suite := range []uint16{
				tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
				tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
			} {
				if !strings.Contains(suites, fmt.Sprint(suite)) {
					t.Errorf("%s: hello %d lacks %s", host, i, tls.CipherSuiteName(suite))
				}
			}
		}
	}
}

// R28: what a session takes from the base configuration, and what it does not.
func TestConfig(t *testing.T) {
	cache := tls.NewLRUClientSessionCache(1)
	base := &tls.Config{
		ServerName: "evil.test", MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10, NextProtos: []string{"h2"},
		EncryptedClientHelloConfigList: []byte{1}, EncryptedClientHelloRejectionVerify: func(tls.ConnectionState) error { return nil },
		Renegotiation: tls.RenegotiateFreelyAsClient, RootCAs: trusted().pool, ClientSessionCache: cache,
		Certificates: []tls.Certificate{issue("out.sender.test", good)},
	}
	for _, r := range []struct {
		known mtasts.Result
		min   uint16
	}{{enforcing(), tls.VersionTLS12}, {testingMX(), tls.VersionTLS10}, {none, tls.VersionTLS10}} {
		e, _ := sender(r.known)
		e.TLSConfig = base
		c := session(t, e, deliverTo, "mx.example.com").TLSConfig()
		if c.ServerName != "mx.example.com" || c.MaxVersion != 0 || c.MinVersion != r.min || c.NextProtos != nil || !c.InsecureSkipVerify ||
			c.EncryptedClientHelloConfigList != nil || c.EncryptedClientHelloRejectionVerify != nil || c.Renegotiation != tls.RenegotiateNever {
			t.Errorf("%s: %+v", r.known.Cause(), c)
		}
		if c.ClientSessionCache != cache || c.RootCAs != base.RootCAs || len(c.Certificates) != 1 {
			t.Errorf("%s: the base's fields are lost: %+v", r.known.Cause(), c)
		}
	}
	if base.ServerName != "evil.test" || base.InsecureSkipVerify || base.VerifyConnection != nil {
		t.Error("the base was changed")
	}
	e, _ := sender(none)
	a, b := session(t, e, deliverTo, "a.test").TLSConfig(), session(t, e, deliverTo, "b.test").TLSConfig()
	other, _ := sender(none)
	c := session(t, other, deliverTo, "a.test").TLSConfig()
	if a.ClientSessionCache == nil || a.ClientSessionCache != b.ClientSessionCache || a.ClientSessionCache == c.ClientSessionCache {
		t.Error("an Enforcer has one session cache of its own")
	}
	if e.TLSConfig = nil; session(t, e, deliverTo, "mx.example.com").TLSConfig().VerifyConnection == nil {
		t.Error("without a base nobody verifies")
	}
	if e.TLSConfig = (&tls.Config{MinVersion: tls.VersionTLS13, MaxVersion: tls.VersionTLS12}); session(t, e, deliverTo, "mx.example.com").TLSConfig().MaxVersion != tls.VersionTLS12 {
		t.Error("MaxVersion of TLS 1.2 was cleared")
	}
}

// R28, STS-135: the caller's own check comes after ours, and is listened to.
func TestVerifyConnectionOfTheCaller(t *testing.T) {
	revoked := errors.New("revoked")
	for _, r := range []struct {
		name  string
		known mtasts.Result
		kind  kind
		hook  func(tls.ConnectionState) error
		calls int
		want  string
	}{
		{"it agrees", enforcing(), good, func(tls.ConnectionState) error { return nil }, 1, "verified"},
		{"it says revoked under enforce", enforcing(), good, func(tls.ConnectionState) error { return revoked }, 1, "refused"},
		{"it is not asked about what we refuse", enforcing(), expired, func(tls.ConnectionState) error { return nil }, 0, "refused"},
		{"it is asked where we only look", testingMX(), expired, func(tls.ConnectionState) error { return nil }, 1, "encrypted"},
		{"it says revoked without a policy", none, good, func(tls.ConnectionState) error { return revoked }, 1, "encrypted"},
		{"it says revoked in testing", testingMX(), good, func(tls.ConnectionState) error { return revoked }, 1, "encrypted"},
		{"it says what it must not", enforcing(), good, func(tls.ConnectionState) error { return ErrRetryInClear }, 1, "refused"}, // R36
		{"it panics", enforcing(), good, func(tls.ConnectionState) error { panic("ouch") }, 1, "refused"},                         // R20
	} {
		t.Run(r.name, func(t *testing.T) {
			e, seen := sender(r.known)
			calls := 0
			e.TLSConfig.VerifyConnection = func(cs tls.ConnectionState) error { calls++; return r.hook(cs) }
			s := session(t, e, deliverTo, "mx.example.com")
			conn, err := s.Connect(t.Context(), with(r.kind).dial)
			got := s.Level().String()
			if err != nil {
				asError(t, err)
				got = "refused"
			} else {
				conn.Close()
			}
			if got != r.want || calls != r.calls {
				t.Errorf("got %s (%v) after %d calls, want %s after %d", got, err, calls, r.want, r.calls)
			}
			if strings.Contains(r.name, "revoked under") && !errors.Is(err, revoked) {
				t.Errorf("error %v does not say why", err)
			}
			seen.only(t)
		})
	}
}

// CERT-20, TLS-16: a session made without a policy is resumed under one, and
// verified all the same. And one that was good once is judged by today's roots.
func TestResumedSessionsAreVerified(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		h := with(unknownCA, func(h *host) {
			h.config = func(c *tls.Config) {
				c.MaxVersion = version
				c.SetSessionTicketKeys([][32]byte{{1}})
			}
		})
		known := &policies{known: map[string]mtasts.Result{}}
		e, seen := sender(none)
		e.MTASTS = known
		var resumed bool
		e.TLSConfig.VerifyConnection = func(cs tls.ConnectionState) error { resumed = cs.DidResume; return nil }
		connect := func() (*Session, error) {
			s := session(t, e, deliverTo, "mx.example.com")
			conn, err := s.Connect(t.Context(), h.dial)
			if err == nil {
				send(t, conn)
			}
			return s, err
		}
		if s, err := connect(); err != nil || resumed || s.Level() != Encrypted {
			t.Fatalf("first: level %v, resumed %v, %v", s.Level(), resumed, err)
		}
		if s, err := connect(); err != nil || !resumed || s.Level() != Encrypted {
			t.Fatalf("second: level %v, resumed %v, %v", s.Level(), resumed, err) // RPT-47: counted, too
		}
		known.known["example.com"] = enforcing()
		_, err := connect()
		asError(t, err)
		e.TLSConfig.RootCAs = strange().pool // and back: the certificate decides, not the ticket
		if s, err := connect(); err != nil || s.Level() != Verified {
			t.Fatalf("trusted: level %v, %v", s.Level(), err)
		}
		e.TLSConfig.RootCAs = trusted().pool
		_, err = connect()
		asError(t, err)
		if n := len(seen.list()); n != 5 {
			t.Errorf("%d events for 5 sessions", n)
		}
		h.wg.Wait()
		if _, mail := h.got(); len(mail) != 3 {
			t.Errorf("%d messages, want 3", len(mail))
		}
	}
}

// TLS-23: what a pooled connection is good for is asked anew for each delivery.
func TestReuse(t *testing.T) {
	for _, r := range []struct {
		name  string
		known mtasts.Result
		d     Delivery
		state tls.ConnectionState
		want  string
	}{
		{"enforce: a verified connection", enforcing(), deliverTo, state(tls.VersionTLS12, good), "verified"},
		{"enforce: a connection made without a policy", enforcing(), deliverTo, state(tls.VersionTLS13, unknownCA), "refused"},
		{"enforce: a connection to another host", enforcing(), deliverTo, state(tls.VersionTLS13, misnamed), "refused"},
		{"enforce: a certificate that has expired since", enforcing(), deliverTo, state(tls.VersionTLS13, expired), "refused"},
		{"enforce: a connection in clear", enforcing(), deliverTo, tls.ConnectionState{}, "refused"},
		{"enforce: a handshake that failed", enforcing(), deliverTo, incomplete(good), "refused"}, // R25
		{"enforce: TLS 1.1", enforcing(), deliverTo, state(tls.VersionTLS11, good), "refused"},
		{"enforce: no certificate", enforcing(), deliverTo, bare, "refused"},
		{"RequireTLS under testing", testingMX(), Delivery{Domain: "example.com", RequireTLS: true}, state(tls.VersionTLS13, expired), "refused"},
		{"testing: a bad certificate", testingMX(), deliverTo, state(tls.VersionTLS13, expired), "encrypted"},
		{"no policy: in clear", none, deliverTo, tls.ConnectionState{}, "clear"},
		{"no policy: verified", none, deliverTo, state(tls.VersionTLS13, good), "verified"},
	} {
		t.Run(r.name, func(t *testing.T) {
			e, seen := sender(r.known)
			s := session(t, e, r.d, "mx.example.com")
			err := s.Reuse(r.state)
			got := s.Level().String()
			if err != nil {
				asError(t, err)
				got = "refused"
			}
			if got != r.want {
				t.Errorf("got %s (%v), want %s", got, err, r.want)
			}
			if n := len(seen.list()); n != 0 { // RPT-47
				t.Errorf("%d events", n)
			}
		})
	}
	e, _ := sender(enforcing())
	e.TLSConfig.VerifyConnection = func(tls.ConnectionState) error { return errors.New("revoked since") }
	asError(t, session(t, e, deliverTo, "mx.example.com").Reuse(state(tls.VersionTLS13, good)))
}

func TestLevelString(t *testing.T) {
	if got := fmt.Sprint(Clear, Encrypted, Verified); got != "clear encrypted verified" {
		t.Error(got)
	}
}

// R16: no address inside our network, no made-up name, in an event.
func TestPeerIsCleaned(t *testing.T) {
	for text, want := range map[string]string{
		"mx.example.com ESMTP ready":   "mx.example.com",
		"MX.Example.com.":              "mx.example.com",
		"mx.example.com\nPIPELINING":   "mx.example.com",
		"[8.8.8.8] at your service":    "[8.8.8.8]",
		"[IPv6:2001:4860:4860::8888]":  "[IPv6:2001:4860:4860::8888]",
		"[ipv6:2001:4860:4860::8888]":  "[IPv6:2001:4860:4860::8888]",
		"[10.0.0.1]":                   "",
		"[IPv6:fe80::1]":               "",
		"[8.8.8.8":                     "",
		"8.8.8.8 hello":                "", // no literal
		"2001:4860:4860::8888":         "",
		"***********":                  "",
		"":                             "",
		"mx\x00.example.com":           "",
		"<script>alert(1)</script>":    "",
		strings.Repeat("a", 64) + ".b": "",
		"mx\u202e.example.com x":       "",
	} {
		if got := heloName(text); got != want {
			t.Errorf("heloName(%q) = %q, want %q", text, got, want)
		}
	}
	e, seen := sender(none)
	s := session(t, e, deliverTo, "192.168.7.7") // a smart host inside
	client, server := pipe()
	client.(*end).local = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}
	client.(*end).remote = &net.UnixAddr{Name: "/run/mail", Net: "unix"}
	s.Peer(client, "[192.168.7.7]")
	if err := s.Done(tls.ConnectionState{}, nil); err != nil {
		t.Fatal(err)
	}
	if v := seen.only(t); v.SendingIP.IsValid() || v.ReceivingIP.IsValid() || v.HELO != "" || v.MXHost != "" {
		t.Errorf("event %+v", v)
	}
	server.Close()
}

// TLS-03: the newest version that both know.
func TestVersions(t *testing.T) {
	for _, newest := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		e, _ := sender(enforcing())
		s := session(t, e, deliverTo, "mx.example.com")
		conn, err := s.Connect(t.Context(), with(good, func(h *host) {
			h.config = func(c *tls.Config) { c.MaxVersion = newest }
		}).dial)
		if err != nil {
			t.Fatal(err)
		}
		if cs, ok := conn.ConnectionState(); !ok || cs.Version != newest || s.Level() != Verified {
			t.Errorf("version %x, level %v", cs.Version, s.Level())
		}
		conn.Close()
	}
}

// CERT-25: a host that proves the name which plain DNS gave it has proved nothing
// about the domain.
func TestProvedIsNotNamed(t *testing.T) {
	for _, known := range []mtasts.Result{none, enforcing()} {
		e, _ := sender(known)
		s := session(t, e, deliverTo, "mx.example.com")
		conn, err := s.Connect(t.Context(), with(good).dial)
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
		if vouched := known.Policy != nil; s.Level() != Verified || s.Named() != vouched || (s.Plan().Cause() == "") != vouched {
			t.Errorf("level %v, named %v, cause %q", s.Level(), s.Named(), s.Plan().Cause())
		}
	}
}

// CERT-15: without a word from the operator, a certificate for another name ends
// the session with an error, and the log has it.
func TestMismatchIsAnErrorAndLogged(t *testing.T) {
	var log bytes.Buffer
	e := &Enforcer{
		MTASTS:    &policies{known: map[string]mtasts.Result{"example.com": enforcing()}},
		TLSConfig: &tls.Config{RootCAs: trusted().pool},
		Logger:    slog.New(slog.NewTextHandler(&log, nil)),
	}
	_, err := session(t, e, deliverTo, "mx.example.com").Connect(t.Context(), with(misnamed).dial)
	if asError(t, err); !strings.Contains(log.String(), "refused=true") || !strings.Contains(log.String(), "found=certificate-host-mismatch") {
		t.Errorf("error %v, log %s", err, &log)
	}
}

// Named is what the policy says of the host, whether or not it is enforced.
func TestNamed(t *testing.T) {
	for _, r := range []struct {
		known mtasts.Result
		host  string
		want  bool
	}{
		{enforcing(), "mx.example.com", true},
		{enforcing(), "MX1.mail.test.", true}, // AMB-20
		{testingMX(), "mx.example.com", true},
		{testingMX(), "a.b.mail.test", false}, // STS-109
		{testingMX(), "8.8.4.4", false},
		{modeNone(), "mx.example.com", false},
		{none, "mx.example.com", false},
	} {
		e, _ := sender(r.known)
		if got := session(t, e, deliverTo, r.host).Named(); got != r.want {
			t.Errorf("%s under %s: %v", r.host, r.known.Cause(), got)
		}
	}
}
