package outbound

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/smtp"
	"slices"
	"strings"
	"testing"

	"github.com/strictmx/strictmx/mtasts"
	"github.com/strictmx/strictmx/tlsrpt"
)

// row is one delivery to one host: what is known, what is asked, what the host
// does, and what must come of it.
type row struct {
	name      string
	known     mtasts.Result
	delivery  Delivery // Domain is filled in
	exception Exception
	base      func(*tls.Config)
	mx        string // the host's name; "mx.example.com"
	host      *host
	// What must come of it: the level, or the reply; what is told; connections.
	want  string
	told  string // "" nobody is told
	conns int
}

const (
	notSupported = "starttls-not-supported"
	isSTS        = "sts"
	noPolicy     = "no-policy-found"
)

func with(k kind, change ...func(*host)) *host {
	h := newHost("mx.example.com", k)
	for _, f := range change {
		f(h)
	}
	return h
}

func noTLSOffered(h *host) { h.ehlo = "250-mx.example.com\r\n250 SIZE 1000\r\n" }
func stripped(h *host) {
	h.ehlo = "250-mx.example.com\r\n250-PIPELINING\r\n250-XXXXXXXA\r\n250 SIZE 1000\r\n"
}
func heloNeeded(h *host)  { h.ehlo = "502 5.5.1 what is EHLO?\r\n" }
func refuses(h *host)     { h.startTLS = "454 4.7.0 no TLS now\r\n" }
func refusesEver(h *host) { h.startTLS = "502 5.5.1 no such thing\r\n" }
func hangsUpOnIt(h *host) { h.startTLS = "421 4.7.0 go away\r\n" }
func injects(h *host)     { h.startTLS = "220 go\r\n250-INJECTED\r\n250 STARTTLS\r\n" }
func garbage(h *host) {
	h.after = func(c net.Conn) {
		c.Read(make([]byte, 1)) // the hello, so that it does not come with the 220
		c.Write([]byte("this is no TLS at all, and never was\r\n"))
	}
}
func closesAfter(h *host)  { h.after = func(net.Conn) {} }
func closesOnSTLS(h *host) { h.closes = "STARTTLS" }
func nonsense(h *host)     { h.startTLS = "yes, go on\r\n" }
func tls11(h *host) {
	h.config = func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }
}
func noCipher(h *host) {
	h.config = func(c *tls.Config) {
		c.MaxVersion = tls.VersionTLS12
		c.CipherSuites = []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256} // and the key is ECDSA
	}
}
func rc4Alone(h *host) {
	h.config = func(c *tls.Config) {
		c.MaxVersion = tls.VersionTLS12
		c.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_RC4_128_SHA}
	}
}
func rc4Base(c *tls.Config)            { c.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_RC4_128_SHA} }
func issuedTo(name string) func(*host) { return func(h *host) { h.cert = issue(name, good) } }

func laxBase(c *tls.Config) { c.MinVersion = tls.VersionTLS10 }

func indeterminate() mtasts.Result { return mtasts.Result{Indeterminate: true} }

// staleEnforce is an enforced policy whose record cannot be had any more.
func staleEnforce() mtasts.Result {
	r := enforcing()
	r.Failure = &mtasts.Error{Domain: "example.com", Type: tlsrpt.STSPolicyFetchError, Reason: tlsrpt.ReasonTXTMissing}
	return r
}

func noneWithFailure() mtasts.Result {
	r := modeNone()
	r.Failure = failedOnce.Failure
	return r
}

var rows = []row{
	// Mode enforce.
	{name: "enforce: an honest host is verified", known: enforcing(), host: with(good), want: "verified", told: isSTS, conns: 1},                                                                   // RPT-25
	{name: "enforce: a host that no mx names is not dialled", known: enforcing(), mx: "mx.evil.test", host: with(good), want: "451 4.7.5", told: isSTS + ": validation-failure (sts-mx-mismatch)"}, // STS-107, STS-122, AMB-21, AMB-22, AMB-26
	{name: "enforce: a domain's own name is no MX unless named", known: enforcing(), mx: "example.com", host: with(good), want: "451 4.7.5", told: isSTS + ": validation-failure (sts-mx-mismatch)"},
	{name: "enforce: an address is no MX", known: enforcing(), mx: "[192.0.2.1]", host: with(good), want: "451 4.7.5", told: isSTS + ": validation-failure (mx-ip-address)"},                         // STS-117
	{name: "enforce: a host without STARTTLS is refused", known: enforcing(), host: with(good, noTLSOffered), want: "451 4.7.5", told: isSTS + ": " + notSupported, conns: 1},                        // STS-123
	{name: "enforce: a stripped STARTTLS is no STARTTLS", known: enforcing(), host: with(good, stripped), want: "451 4.7.5", told: isSTS + ": " + notSupported, conns: 1},                            // TLS-13
	{name: "enforce: a host that knows HELO alone is refused", known: enforcing(), host: with(good, heloNeeded), want: "451 4.7.5", told: isSTS + ": " + notSupported + " (ehlo-refused)", conns: 1}, // TLS-14, RPT-33
	{name: "enforce: 454 to STARTTLS is refused", known: enforcing(), host: with(good, refuses), want: "451 4.7.5", told: isSTS + ": " + notSupported + " (starttls-454)", conns: 1},                 // TLS-10
	{name: "enforce: 502 to STARTTLS is refused for now", known: enforcing(), host: with(good, refusesEver), want: "451 4.7.5", told: isSTS + ": " + notSupported + " (starttls-502)", conns: 1},     // R12
	{name: "enforce: 421 to STARTTLS is refused", known: enforcing(), host: with(good, hangsUpOnIt), want: "451 4.7.5", told: isSTS + ": " + notSupported + " (starttls-421)", conns: 1},
	{name: "enforce: a host that hangs up on STARTTLS is refused", known: enforcing(), host: with(good, closesOnSTLS), want: "451 4.7.5", told: isSTS + ": " + notSupported, conns: 1},
	{name: "enforce: nonsense in answer to STARTTLS is refused", known: enforcing(), host: with(good, nonsense), want: "451 4.7.5", told: isSTS + ": " + notSupported, conns: 1},
	{name: "enforce: clear text after 220 fails the session", known: enforcing(), host: with(good, injects), want: "451 4.7.5", told: isSTS + ": validation-failure (plaintext-after-starttls)", conns: 1}, // TLS-12, R25
	{name: "enforce: garbage after 220 fails the session", known: enforcing(), host: with(good, garbage), want: "451 4.7.5", told: isSTS + ": validation-failure (tls-not-tls)", conns: 1},
	{name: "enforce: a host that closes after 220 is refused", known: enforcing(), host: with(good, closesAfter), want: "451 4.7.5", told: isSTS + ": validation-failure (handshake-eof)", conns: 1},
	{name: "enforce: an alert is no reason to retry in clear", known: enforcing(), host: with(good, noCipher), want: "451 4.7.5", told: isSTS + ": validation-failure (tls-alert-handshake-failure)", conns: 1}, // STS-125, TLS-04, TLS-22, RPT-37
	{name: "enforce: an expired certificate is refused", known: enforcing(), host: with(expired), want: "451 4.7.5", told: isSTS + ": certificate-expired", conns: 1},                                           // STS-124
	{name: "enforce: another host's certificate is refused", known: enforcing(), host: with(misnamed), want: "451 4.7.5", told: isSTS + ": certificate-host-mismatch", conns: 1},                                // STS-124
	{name: "enforce: an unknown CA is refused", known: enforcing(), host: with(unknownCA), want: "451 4.7.5", told: isSTS + ": certificate-not-trusted (unknown-authority)", conns: 1},                          // STS-124
	{name: "enforce: the common name does not count", known: enforcing(), host: with(cnOnly), want: "451 4.7.5", told: isSTS + ": certificate-host-mismatch (no-san)", conns: 1},
	{name: "enforce: two faults are two failures of one session", known: enforcing(), host: with(expiredAndMisnamed), want: "451 4.7.5", told: isSTS + ": certificate-expired, certificate-host-mismatch", conns: 1}, // RPT-27
	{name: "enforce: TLS 1.1 is refused", known: enforcing(), host: with(good, tls11), want: "451 4.7.5", told: isSTS + ": validation-failure (tls-alert-protocol-version)", conns: 1},                               // TLS-01, TLS-02
	{name: "enforce: TLS 1.1 is refused whatever the base allows", known: enforcing(), base: laxBase, host: with(good, tls11), want: "451 4.7.5", told: isSTS + ": validation-failure (tls-alert-protocol-version)", conns: 1},
	{name: "enforce: what went wrong in discovery is told of a good session", known: staleEnforce(), host: with(good), want: "verified", told: isSTS + ": sts-policy-fetch-error (txt-missing)", conns: 1},                  // STS-131, STS-132
	{name: "enforce: a certificate other than the one asked for will do, if it covers the name", known: enforcing(), mx: "b.mail.test", host: with(good, issuedTo("*.mail.test")), want: "verified", told: isSTS, conns: 1}, // TLS-09
	{name: "enforce: the recipient domain's certificate is another host's", known: enforcing(), host: with(good, issuedTo("example.com")), want: "451 4.7.5", told: isSTS + ": certificate-host-mismatch", conns: 1},        // AMB-51
	{name: "enforce: a host that knows RC4 alone is refused", known: enforcing(), host: with(good, rc4Alone), want: "451 4.7.5", told: isSTS + ": validation-failure (tls-alert-handshake-failure)", conns: 1},              // TLS-19

	// Mode testing: the same checks, and nothing is held back (I2).
	{name: "testing: an honest host is verified", known: testingMX(), host: with(good), want: "verified", told: isSTS, conns: 1},
	{name: "testing: a bad certificate is told, and used", known: testingMX(), host: with(expiredAndMisnamed), want: "encrypted", told: isSTS + ": certificate-expired, certificate-host-mismatch", conns: 1}, // STS-126, RPT-26, AMB-31
	{name: "testing: no STARTTLS is told, and clear it goes", known: testingMX(), host: with(good, noTLSOffered), want: "clear", told: isSTS + ": " + notSupported, conns: 1},                                 // STS-127, STS-133
	{name: "testing: a host that no mx names is told with what TLS shows", known: testingMX(), mx: "mx.evil.test", host: with(good), want: "encrypted", told: isSTS + ": validation-failure (sts-mx-mismatch), certificate-host-mismatch", conns: 1},
	{name: "testing: an address is told, and used", known: testingMX(), mx: "8.8.4.4", host: with(good), want: "encrypted", told: isSTS + ": validation-failure (mx-ip-address)", conns: 1},
	{name: "testing: a failed handshake is retried in clear", known: testingMX(), host: with(good, noCipher), want: "clear", told: isSTS + ": validation-failure (tls-alert-handshake-failure)", conns: 2}, // STS-127
	{name: "testing: TLS 1.1 is judged, where the base allows it", known: testingMX(), base: laxBase, host: with(good, tls11), want: "encrypted", told: isSTS + ": validation-failure (tls-version)", conns: 1},
	{name: "testing: clear text after 220 is told, and retried in clear", known: testingMX(), host: with(good, injects), want: "clear", told: isSTS + ": validation-failure (plaintext-after-starttls)", conns: 2},

	// Mode none: as without a policy.
	{name: "none: a bad certificate at a strange host breaks no policy", known: modeNone(), mx: "mx.evil.test", host: with(expired), want: "encrypted", told: noPolicy, conns: 1}, // STS-129
	{name: "none: no STARTTLS is all that counts", known: modeNone(), host: with(good, noTLSOffered), want: "clear", told: noPolicy + ": " + notSupported, conns: 1},              // STS-129
	{name: "none: a failed fetch is not told", known: noneWithFailure(), host: with(good), want: "verified", told: noPolicy, conns: 1},                                            // STS-130

	// No policy: TLS where it works.
	{name: "no policy: an honest host is verified", known: none, host: with(good), want: "verified", told: noPolicy, conns: 1},                                              // RPT-31
	{name: "no policy: a bad certificate is a success", known: none, host: with(unknownCA), want: "encrypted", told: noPolicy, conns: 1},                                    // AMB-46
	{name: "no policy: no STARTTLS is told, and clear it goes", known: none, host: with(good, noTLSOffered), want: "clear", told: noPolicy + ": " + notSupported, conns: 1}, // RPT-31
	{name: "no policy: HELO alone is told, and clear it goes", known: none, host: with(good, heloNeeded), want: "clear", told: noPolicy + ": " + notSupported + " (ehlo-refused)", conns: 1},
	{name: "no policy: after 454 the same connection goes on", known: none, host: with(good, refuses), want: "clear", told: noPolicy + ": " + notSupported + " (starttls-454)", conns: 1}, // TLS-10, RPT-33
	{name: "no policy: after 421 there is another connection", known: none, host: with(good, hangsUpOnIt), want: "clear", told: noPolicy + ": " + notSupported + " (starttls-421)", conns: 2},
	{name: "no policy: a failed handshake is retried in clear, and told once", known: none, host: with(good, noCipher), want: "clear", told: noPolicy + ": validation-failure (tls-alert-handshake-failure)", conns: 2}, // RPT-48, R36
	{name: "no policy: garbage after 220 is retried in clear", known: none, host: with(expired, garbage), want: "clear", told: noPolicy + ": validation-failure (tls-not-tls)", conns: 2},
	{name: "no policy: clear text after 220 is retried in clear", known: none, host: with(good, injects), want: "clear", told: noPolicy + ": validation-failure (plaintext-after-starttls)", conns: 2},
	{name: "no policy: TLS 1.1 needs leave of the base", known: none, host: with(good, tls11), want: "clear", told: noPolicy + ": validation-failure (tls-alert-protocol-version)", conns: 2},
	{name: "no policy: TLS 1.1 with leave of the base", known: none, base: laxBase, host: with(good, tls11), want: "encrypted", told: noPolicy, conns: 1}, // TLS-05
	{name: "no policy: a smart host by address", known: none, mx: "[8.8.4.4]", host: with(good), want: "encrypted", told: noPolicy, conns: 1},
	{name: "no policy: a host that knows RC4 alone is used by who asks for RC4", known: none, base: rc4Base, host: with(good, rc4Alone), want: "verified", told: noPolicy, conns: 1},
	{name: "failed fetch, nothing cached: one sts failure", known: failedOnce, host: with(expired), want: "encrypted", told: isSTS + ": sts-policy-fetch-error (http-404)", conns: 1}, // AMB-32, STS-131
	{name: "failed fetch, nothing cached, no STARTTLS: both are told", known: failedOnce, host: with(good, noTLSOffered), want: "clear", told: isSTS + ": sts-policy-fetch-error (http-404), " + notSupported, conns: 1},
	{name: "indeterminate: TLS where it works", known: indeterminate(), host: with(misnamed), want: "encrypted", told: noPolicy, conns: 1},

	// REQUIRETLS.
	{name: "RequireTLS: an enforced policy's host", known: enforcing(), delivery: Delivery{RequireTLS: true}, host: with(good), want: "verified", told: isSTS, conns: 1},
	{name: "RequireTLS: a testing policy names as well", known: testingMX(), delivery: Delivery{RequireTLS: true}, host: with(good), want: "verified", told: isSTS, conns: 1}, // AMB-33
	{name: "RequireTLS: nobody names the host, so it is refused", known: none, delivery: Delivery{RequireTLS: true}, host: with(good), want: "451 4.7.5"},                     // RTLS-02
	{name: "RequireTLS: mode none names nobody", known: modeNone(), delivery: Delivery{RequireTLS: true}, host: with(good), want: "451 4.7.5"},
	{name: "RequireTLS: another host under testing is refused", known: testingMX(), delivery: Delivery{RequireTLS: true}, mx: "mx.evil.test", host: with(good), want: "451 4.7.5", told: isSTS + ": validation-failure (sts-mx-mismatch)"},     // RTLS-02
	{name: "RequireTLS: self-made certificates are refused", known: enforcing(), delivery: Delivery{RequireTLS: true}, host: with(unknownCA), want: "451 4.7.5", told: isSTS + ": certificate-not-trusted (unknown-authority)", conns: 1},      // RTLS-03
	{name: "RequireTLS: testing is no excuse", known: testingMX(), delivery: Delivery{RequireTLS: true}, host: with(expired), want: "451 4.7.5", told: isSTS + ": certificate-expired", conns: 1},                                              // RTLS-20
	{name: "RequireTLS: TLS 1.1 is refused", known: testingMX(), delivery: Delivery{RequireTLS: true}, base: laxBase, host: with(good, tls11), want: "451 4.7.5", told: isSTS + ": validation-failure (tls-alert-protocol-version)", conns: 1}, // RTLS-09
	{name: "RequireTLS: no TLS has a code of its own", known: testingMX(), delivery: Delivery{RequireTLS: true}, host: with(good, noTLSOffered), want: "451 4.7.10", told: isSTS + ": " + notSupported, conns: 1},
	{name: "RequireTLS: it beats TLSRequiredNo", known: testingMX(), delivery: Delivery{RequireTLS: true, TLSRequiredNo: true}, host: with(expired), want: "451 4.7.5", told: isSTS + ": certificate-expired", conns: 1}, // RTLS-17
	{name: "RequireTLS: it beats the operator's Ignore", known: enforcing(), delivery: Delivery{RequireTLS: true}, exception: Ignore, host: with(expired), want: "451 4.7.5", told: isSTS + ": certificate-expired", conns: 1},

	// TLS-Required: No.
	{name: "TLSRequiredNo: a bad certificate under enforce is told, and used", known: enforcing(), delivery: Delivery{TLSRequiredNo: true}, host: with(expired), want: "encrypted", told: isSTS + ": certificate-expired", conns: 1},               // RTLS-13
	{name: "TLSRequiredNo: STARTTLS is used where it works", known: enforcing(), delivery: Delivery{TLSRequiredNo: true}, host: with(good), want: "verified", told: isSTS, conns: 1},                                                               // RTLS-14
	{name: "TLSRequiredNo: a failed handshake is not fatal", known: enforcing(), delivery: Delivery{TLSRequiredNo: true}, host: with(good, noCipher), want: "clear", told: isSTS + ": validation-failure (tls-alert-handshake-failure)", conns: 2}, // RTLS-14
	{name: "TLSRequiredNo: neither is a host that no mx names", known: enforcing(), delivery: Delivery{TLSRequiredNo: true}, mx: "mx.evil.test", host: with(good, noTLSOffered), want: "clear", told: isSTS + ": validation-failure (sts-mx-mismatch), " + notSupported, conns: 1},
	{name: "TLSRequiredNo: the operator's Verify beats it", known: none, delivery: Delivery{TLSRequiredNo: true}, exception: Verify, host: with(expired), want: "451 4.7.5", told: noPolicy + ": certificate-expired", conns: 1},

	// A TLS report: nobody is told, and nothing holds it back.
	{name: "Report: success", known: enforcing(), delivery: Delivery{Report: true}, host: with(good), want: "verified", conns: 1},                             // RPT-30, R15
	{name: "Report: a bad certificate under enforce", known: enforcing(), delivery: Delivery{Report: true}, host: with(expired), want: "encrypted", conns: 1}, // R15
	{name: "Report: another host under enforce", known: enforcing(), delivery: Delivery{Report: true}, mx: "mx.evil.test", host: with(good), want: "encrypted", conns: 1},
	{name: "Report: no handshake", known: enforcing(), delivery: Delivery{Report: true}, exception: Verify, host: with(good, garbage), want: "clear", conns: 2},

	// The operator's exceptions.
	{name: "Ignore: judged and told, and used", known: enforcing(), exception: Ignore, mx: "mx.evil.test", host: with(expired), want: "encrypted", told: isSTS + ": validation-failure (sts-mx-mismatch), certificate-expired, certificate-host-mismatch", conns: 1},
	{name: "Ignore: no STARTTLS", known: enforcing(), exception: Ignore, host: with(good, noTLSOffered), want: "clear", told: isSTS + ": " + notSupported, conns: 1},
	{name: "Verify: without a policy, an honest host", known: none, exception: Verify, host: with(good), want: "verified", told: noPolicy, conns: 1},
	{name: "Verify: without a policy, a bad certificate", known: none, exception: Verify, host: with(misnamed), want: "451 4.7.5", told: noPolicy + ": certificate-host-mismatch", conns: 1},
	{name: "Verify: without a policy, no STARTTLS", known: none, exception: Verify, host: with(good, stripped), want: "451 4.7.5", told: noPolicy + ": " + notSupported, conns: 1},
	{name: "Verify: without a policy, an address", known: none, exception: Verify, mx: "8.8.4.4", host: with(good), want: "451 4.7.5", told: noPolicy + ": validation-failure (mx-ip-address)", conns: 1},
	{name: "Verify: a testing policy counts as enforced", known: testingMX(), exception: Verify, mx: "mx.evil.test", host: with(good), want: "451 4.7.5", told: isSTS + ": validation-failure (sts-mx-mismatch)"},

	// What is no session: nobody is told.
	{name: "a host that greets with 554 for good", known: none, host: with(good, func(h *host) { h.greeting = "554 5.3.2 no mail here\r\n" }), want: "554 5.3.2", conns: 1},
	{name: "enforce: a host that greets with 554 is believed for now only", known: enforcing(), host: with(good, func(h *host) { h.greeting = "554 5.3.2 no mail here\r\n" }), want: "451 4.7.0", conns: 1}, // R12, I11
	{name: "a host that greets with 421", known: none, host: with(good, func(h *host) { h.greeting = "421 busy\r\n" }), want: "421 4.0.0", conns: 1},
	{name: "a host that greets with 250", known: none, host: with(good, func(h *host) { h.greeting = "250 hello\r\n" }), want: "451 4.4.2", conns: 1},
	{name: "a host that is no SMTP server", known: none, host: with(good, func(h *host) { h.greeting = "SSH-2.0-OpenSSH_9.9\r\n" }), want: "451 4.4.2", conns: 1},
	{name: "a host that closes at once", known: none, host: with(good, func(h *host) { h.closes = "connect" }), want: "451 4.4.2", conns: 1},
	{name: "a host that closes on EHLO", known: enforcing(), host: with(good, func(h *host) { h.closes = "EHLO" }), want: "451 4.4.2", conns: 1},
	{name: "a host that is busy on EHLO", known: none, host: with(good, func(h *host) { h.ehlo = "450 4.3.2 later\r\n" }), want: "450 4.3.2", conns: 1},
	{name: "a reply whose lines disagree", known: none, host: with(good, func(h *host) { h.ehlo = "250-a\r\n550 b\r\n" }), want: "451 4.4.2", conns: 1},
	{name: "a host that is no name", known: enforcing(), mx: "*.example.com", host: with(good), want: "451 4.7.5", told: isSTS + ": validation-failure (mx-invalid-name)"}, // R22, STS-114
	{name: "no policy: a host that is no name breaks none", known: none, mx: "mx example.com", host: with(good), want: "451 4.7.5"},                                        // R22
}

func TestConnect(t *testing.T) {
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) { r.run(t) })
	}
}

func (r row) run(t *testing.T) {
	e, seen := sender(r.known)
	if r.base != nil {
		r.base(e.TLSConfig)
	}
	e.Exception = func(string) Exception { return r.exception }
	r.delivery.Domain = "example.com"
	p, err := e.Plan(t.Context(), r.delivery)
	if err != nil {
		t.Fatal(err)
	}
	var conn *Conn
	s, err := p.Session(t.Context(), or(r.mx, "mx.example.com"))
	if err == nil {
		conn, err = s.Connect(t.Context(), r.host.dial)
	}
	if errors.Is(err, ErrRetryInClear) {
		t.Fatal("Connect left the retry to its caller")
	}
	got := ""
	switch {
	case err != nil:
		e := asError(t, err)
		got = fmt.Sprintf("%d %d.%d.%d", e.Code, e.EnhancedCode[0], e.EnhancedCode[1], e.EnhancedCode[2])
		if text := err.Error(); len(text) > maxErrorText || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("Error() = %q", text) // R16
		}
	default:
		got = s.Level().String()
		send(t, conn)
	}
	if got != r.want {
		t.Errorf("got %s (%v), want %s", got, err, r.want)
	}
	if r.told == "" {
		if all := seen.list(); len(all) > 0 {
			t.Errorf("told %+v, want nothing", all)
		}
	} else if got := seen.told(t); got != r.told {
		t.Errorf("told %q\nwant %q", got, r.told)
	}
	r.host.wg.Wait()
	commands, mail := r.host.got()
	if r.host.conns != r.conns {
		t.Errorf("%d connections, want %d", r.host.conns, r.conns)
	}
	if want := map[bool]int{true: 0, false: 1}[err != nil]; len(mail) != want {
		t.Errorf("the host got %q", mail)
	}
	if len(mail) > 0 && strings.HasPrefix(mail[0], "clear") != (s.Level() == Clear) {
		t.Errorf("level %v, and the host got %q", s.Level(), mail[0])
	}
	if strings.Contains(r.host.ehlo, "STARTTLS") && r.host.ehlo != "" || r.host.ehlo == "" {
		return
	}
	if slices.Contains(commands, "clear STARTTLS") { // TLS-10
		t.Errorf("STARTTLS was said though not offered: %q", commands)
	}
}

// RPT-53, RPT-28: the event of a host that was not dialled.
func TestRefusedHostIsToldOncePerPlan(t *testing.T) {
	e, seen := sender(enforcing())
	p, err := e.Plan(t.Context(), deliverTo)
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"mx.evil.test", "MX.evil.test.", "mx.evil.test"} {
		_, err := p.Session(t.Context(), host)
		asError(t, err)
	}
	v := seen.only(t)
	if v.MXHost != "mx.evil.test" || v.SendingIP.IsValid() || v.ReceivingIP.IsValid() || v.HELO != "" || v.Time.IsZero() || v.Domain != "example.com" {
		t.Errorf("event %+v", v)
	}
	if pol := v.Outcomes[0].Policy; !slices.Equal(pol.MXHosts, []string{"mx.example.com", "*.mail.test"}) || pol.Domain != "example.com" { // RPT-32
		t.Errorf("policy %+v", pol)
	}
	p.Session(t.Context(), "mx2.evil.test")
	if len(seen.list()) != 2 {
		t.Errorf("another host: %d events, want 2", len(seen.list()))
	}
}

// RPT-32, R16: who the two ends are.
func TestEventSaysWhoTheOtherSideIs(t *testing.T) {
	e, seen := sender(enforcing())
	h := with(good, func(h *host) { h.ehlo = "250-MX7.example.com. hello\r\n250 STARTTLS\r\n" })
	s := session(t, e, deliverTo, "MX.Example.COM.") // R22
	if _, err := s.Connect(t.Context(), h.dial); err != nil {
		t.Fatal(err)
	}
	v := seen.only(t)
	if v.Domain != "example.com" || v.MXHost != "mx.example.com" || v.HELO != "mx7.example.com" ||
		v.SendingIP.String() != "9.9.9.9" || v.ReceivingIP.String() != "8.8.4.4" {
		t.Errorf("event %+v", v)
	}
	if s.Host() != "mx.example.com" {
		t.Errorf("Host() = %q", s.Host())
	}
}

func TestConnectSaysWhyItCouldNotDial(t *testing.T) {
	e, seen := sender(enforcing())
	s := session(t, e, deliverTo, "mx.example.com")
	cause := errors.New("connection refused")
	_, err := s.Connect(t.Context(), func(context.Context) (net.Conn, error) { return nil, cause })
	got := asError(t, err)
	if !errors.Is(err, cause) || got.Code != 451 || got.EnhancedCode != [3]int{4, 4, 1} || !got.Temporary() || got.Host != "mx.example.com" {
		t.Errorf("error %+v", got)
	}
	if len(seen.list()) != 0 { // STS-121, RPT-29
		t.Errorf("told %+v", seen.list())
	}
}

// The second connection may fail, too; the session was told all the same.
func TestConnectWhoseRetryCannotDial(t *testing.T) {
	e, seen := sender(none)
	h := with(good, garbage)
	dials := 0
	_, err := session(t, e, deliverTo, "mx.example.com").Connect(t.Context(), func(ctx context.Context) (net.Conn, error) {
		if dials++; dials > 1 {
			return nil, errors.New("no more")
		}
		return h.dial(ctx)
	})
	asError(t, err)
	if got := seen.told(t); got != noPolicy+": validation-failure (tls-not-tls)" || dials != 2 {
		t.Errorf("told %q, %d dials", got, dials)
	}
}

// AMB-50: one Session may try one address after another, an event each.
func TestConnectOncePerAddress(t *testing.T) {
	e, seen := sender(enforcing())
	s := session(t, e, deliverTo, "mx.example.com")
	_, err := s.Connect(t.Context(), with(expired).dial)
	asError(t, err)
	if _, err := s.Connect(t.Context(), with(good).dial); err != nil {
		t.Fatal(err)
	}
	all := seen.list()
	if len(all) != 2 || tell(all[0]) != isSTS+": certificate-expired" || tell(all[1]) != isSTS || s.Level() != Verified {
		t.Errorf("told %+v, level %v", all, s.Level())
	}
}

// I20: the failures of discovery are shared by all sessions of a Plan.
func TestSessionsDoNotWriteIntoEachOther(t *testing.T) {
	known := failedOnce
	e, seen := sender(known)
	p, err := e.Plan(t.Context(), deliverTo)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range []*host{with(good, noTLSOffered), with(good, refuses), with(good)} {
		s, err := p.Session(t.Context(), "mx.example.com")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Connect(t.Context(), h.dial); err != nil {
			t.Fatal(err)
		}
	}
	const fetch = isSTS + ": sts-policy-fetch-error (http-404)"
	want := []string{fetch + ", " + notSupported, fetch + ", " + notSupported + " (starttls-454)", fetch}
	for i, v := range seen.list() {
		if got := tell(v); got != want[i] {
			t.Errorf("event %d told %q, want %q", i, got, want[i])
		}
	}
}

// send delivers one message by net/smtp, which knows nothing of us.
func send(t testing.TB, conn *Conn) {
	t.Helper()
	c, err := smtp.NewClient(conn, conn.Session.Host())
	if err == nil {
		err = c.Hello("out.sender.test")
	}
	if err != nil {
		t.Fatal(err)
	}
	transact(t, c)
}

func transact(t testing.TB, c *smtp.Client) {
	t.Helper()
	err := c.Mail("a@sender.test")
	if err == nil {
		err = c.Rcpt("b@example.com")
	}
	if err != nil {
		t.Fatal(err)
	}
	w, err := c.Data()
	if err != nil {
		t.Fatal(err)
	}
	w.Write([]byte("hello"))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.Quit(); err != nil {
		t.Fatal(err)
	}
}

// RFC 5321, section 4.1.1.10: a host that is refused while it still listens
// hears QUIT, and one whose TLS failed hears nothing in clear.
func TestRefusedHostHearsQUIT(t *testing.T) {
	for _, r := range []struct {
		host *host
		quit bool
	}{{with(good, noTLSOffered), true}, {with(good, refuses), true}, {with(expired), false}, {with(good, injects), false}} {
		e, _ := sender(enforcing())
		_, err := session(t, e, deliverTo, "mx.example.com").Connect(t.Context(), r.host.dial)
		asError(t, err)
		r.host.wg.Wait()
		if commands, _ := r.host.got(); slices.Contains(commands, "clear QUIT") != r.quit {
			t.Errorf("commands %q, want QUIT: %v", commands, r.quit)
		}
	}
}

// I20: merging does not write into what is shared.
func TestMergeLeavesWhatIsShared(t *testing.T) {
	shared := make([]tlsrpt.Failure, 1, 4)
	a := merge(shared, notOffered)
	b := merge(shared, injected)
	if len(shared) != 1 || a[1] != notOffered[0] || b[1] != injected[0] {
		t.Errorf("%v, %v, %v", shared, a, b)
	}
	if again := merge(a, notOffered); len(again) != 2 {
		t.Errorf("twice the same: %v", again)
	}
}
