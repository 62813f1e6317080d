package outbound

import (
	"bufio"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/strictmx/strictmx/mtasts"
	"github.com/strictmx/strictmx/tlsrpt"
)

// Certificates are valid from before the fake clock's start until long after
// the real one.
var (
	longAgo  = time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC)
	ago      = time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC)
	farAhead = time.Date(2090, 1, 1, 0, 0, 0, 0, time.UTC)
)

// kind is what is wrong with a host's certificate.
type kind int

const (
	good kind = iota
	expired
	misnamed
	unknownCA
	expiredAndMisnamed
	cnOnly
)

var kinds = []kind{good, expired, misnamed, unknownCA, expiredAndMisnamed, cnOnly}

type ca struct {
	cert *x509.Certificate
	key  crypto.Signer
	pool *x509.CertPool
}

func newCA() *ca {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"},
		NotBefore: longAgo, NotAfter: farAhead, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	c := &ca{key: key, pool: x509.NewCertPool()}
	c.cert, _ = x509.ParseCertificate(der)
	c.pool.AddCert(c.cert)
	return c
}

var (
	trusted = sync.OnceValue(newCA)
	strange = sync.OnceValue(newCA)
	issued  sync.Map
)

// issue makes a certificate for host, and keeps it.
func issue(host string, k kind) tls.Certificate {
	type id struct {
		host string
		kind kind
	}
	if c, ok := issued.Load(id{host, k}); ok {
		return c.(tls.Certificate)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotBefore: longAgo, NotAfter: farAhead,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	by := trusted()
	switch k {
	case expired:
		template.NotAfter = ago
	case misnamed:
		template.DNSNames = []string{"other.test"}
	case unknownCA:
		by = strange()
	case expiredAndMisnamed:
		template.NotAfter, template.DNSNames = ago, []string{"other.test"}
	case cnOnly:
		template.DNSNames = nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by.cert, key.Public(), by.key)
	if err != nil {
		panic(err)
	}
	c := tls.Certificate{Certificate: [][]byte{der, by.cert.Raw}, PrivateKey: key}
	issued.Store(id{host, k}, c)
	return c
}

// host is an MX host in memory. Its zero fields make an honest one.
type host struct {
	cert      tls.Certificate
	config    func(*tls.Config) // changes the server's configuration
	greeting  string
	ehlo      string // the reply in clear
	startTLS  string // the reply, with whatever is to follow it in the same packet
	after     func(net.Conn)
	silent    string // stops answering at this verb
	closes    string // hangs up at this verb
	ehloInTLS string

	mu       sync.Mutex
	conns    int
	commands []string // with "tls " before what came inside TLS
	snis     []string
	hellos   []*tls.ClientHelloInfo
	mail     []string // what came as DATA, with "tls " or "clear " before it
	wg       sync.WaitGroup
}

func newHost(name string, k kind) *host { return &host{cert: issue(name, k)} }

const honestEHLO = "250-mx.example.com greets you\r\n250-PIPELINING\r\n250-STARTTLS\r\n250 SIZE 1000\r\n"

func (h *host) dial(context.Context) (net.Conn, error) {
	client, server := pipe()
	h.mu.Lock()
	h.conns++
	h.mu.Unlock()
	h.wg.Go(func() {
		defer server.Close()
		h.serve(server)
	})
	return client, nil
}

func (h *host) serverConfig() *tls.Config {
	c := &tls.Config{Certificates: []tls.Certificate{h.cert}}
	c.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.snis = append(h.snis, hello.ServerName)
		h.hellos = append(h.hellos, hello)
		return nil, nil
	}
	if h.config != nil {
		h.config(c)
	}
	return c
}

func (h *host) serve(conn net.Conn) {
	prefix := "clear "
	r := bufio.NewReader(conn)
	say := func(s string) { conn.Write([]byte(s)) }
	if h.silent == "connect" {
		r.ReadString('\n')
		return
	}
	if h.closes == "connect" {
		return
	}
	say(or(h.greeting, "220 mx.example.com ESMTP\r\n"))
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		verb, _, _ := strings.Cut(line, " ")
		h.mu.Lock()
		h.commands = append(h.commands, prefix+line)
		h.mu.Unlock()
		switch verb {
		case h.closes:
			return
		case h.silent:
			r.ReadString('\n')
			return
		}
		switch verb {
		case "EHLO":
			if prefix == "tls " {
				say(or(h.ehloInTLS, "250-mx.example.com again\r\n250 SIZE 2000\r\n"))
			} else {
				say(or(h.ehlo, honestEHLO))
			}
		case "STARTTLS":
			reply := or(h.startTLS, "220 go\r\n")
			say(reply)
			if !strings.HasPrefix(reply, "220") {
				if strings.HasPrefix(reply, "421") {
					return
				}
				continue
			}
			if h.after != nil {
				h.after(conn)
				return
			}
			tc := tls.Server(conn, h.serverConfig())
			if tc.Handshake() != nil {
				return
			}
			conn, r, prefix = tc, bufio.NewReader(tc), "tls "
		case "DATA":
			say("354 go on\r\n")
			body, ok := readBody(r)
			if !ok {
				return
			}
			h.mu.Lock()
			h.mail = append(h.mail, prefix+body)
			h.mu.Unlock()
			say("250 taken\r\n")
		case "QUIT":
			say("221 bye\r\n")
			return
		default:
			say("250 ok\r\n")
		}
	}
}

// readBody reads a message up to the line with the dot.
func readBody(r *bufio.Reader) (string, bool) {
	var body strings.Builder
	for {
		switch line, err := r.ReadString('\n'); {
		case err != nil:
			return "", false
		case line == ".\r\n":
			return body.String(), true
		default:
			body.WriteString(line)
		}
	}
}

func (h *host) got() (commands, mail []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string(nil), h.commands...), append([]string(nil), h.mail...)
}

func or(s, otherwise string) string {
	if s != "" {
		return s
	}
	return otherwise
}

// policies is what is known of domains.
type policies struct {
	known, refreshed map[string]mtasts.Result
	err              error
	asked            []string
	forgetful        bool // does not remember what it was asked
}

func (p *policies) Lookup(_ context.Context, domain string) (mtasts.Result, error) {
	if !p.forgetful {
		p.asked = append(p.asked, domain)
	}
	return p.known[domain], p.err
}

func (p *policies) Refresh(_ context.Context, domain string) (mtasts.Result, error) {
	return p.refreshed[domain], p.err
}

// policy makes what a Client knows of a domain with such a policy.
func policy(domain string, mode mtasts.Mode, mx ...string) mtasts.Result {
	text := "version: STSv1\nmode: " + string(mode) + "\nmax_age: 86400\n"
	for _, m := range mx {
		text += "mx: " + m + "\n"
	}
	p, err := mtasts.ParsePolicy(text)
	if err != nil {
		panic(err)
	}
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	return mtasts.Result{Domain: domain, Policy: p, ID: "20260301", Fetched: now, Checked: now, Expires: now.Add(24 * time.Hour)}
}

// events collects what an Observer is told.
type events struct {
	mu  sync.Mutex
	all []tlsrpt.Event
}

func (e *events) Observe(v tlsrpt.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, v)
}

func (e *events) list() []tlsrpt.Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]tlsrpt.Event(nil), e.all...)
}

// only returns the one event there must be.
func (e *events) only(t testing.TB) tlsrpt.Event {
	t.Helper()
	all := e.list()
	if len(all) != 1 {
		t.Fatalf("%d events, want 1: %+v", len(all), all)
	}
	if len(all[0].Outcomes) != 1 {
		t.Fatalf("%d outcomes, want 1: %+v", len(all[0].Outcomes), all[0])
	}
	return all[0]
}

// told is the one event's policy type and failures as a line.
func (e *events) told(t testing.TB) string {
	t.Helper()
	return tell(e.only(t))
}

func tell(v tlsrpt.Event) string {
	s := string(v.Outcomes[0].Policy.Type)
	if found := describe(v.Outcomes); found != "" {
		s += ": " + found
	}
	return s
}

// sender is an Enforcer for example.com under test.
func sender(result mtasts.Result) (*Enforcer, *events) {
	seen := &events{}
	result.Domain = "example.com"
	return &Enforcer{
		MTASTS:    &policies{known: map[string]mtasts.Result{"example.com": result}},
		Observer:  seen,
		TLSConfig: &tls.Config{RootCAs: trusted().pool},
		LocalName: "out.sender.test",
	}, seen
}

var (
	none      = mtasts.Result{}
	enforcing = func() mtasts.Result {
		return policy("example.com", mtasts.ModeEnforce, "mx.example.com", "*.mail.test")
	}
	testingMX = func() mtasts.Result {
		return policy("example.com", mtasts.ModeTesting, "mx.example.com", "*.mail.test")
	}
	modeNone   = func() mtasts.Result { return policy("example.com", mtasts.ModeNone) }
	deliverTo  = Delivery{Domain: "example.com"}
	failedOnce = mtasts.Result{Failure: &mtasts.Error{Domain: "example.com", Type: tlsrpt.STSPolicyFetchError, Reason: "http-404"}}
)

// session makes the session with a host, which must not be refused.
func session(t testing.TB, e *Enforcer, d Delivery, host string) *Session {
	t.Helper()
	p, err := e.Plan(t.Context(), d)
	if err != nil {
		t.Fatalf("Plan: %v", err)
	}
	s, err := p.Session(t.Context(), host)
	if err != nil {
		t.Fatalf("Session: %v", err)
	}
	return s
}

// asError is the *Error that err must be.
func asError(t testing.TB, err error) *Error {
	t.Helper()
	e, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatalf("error %v (%T) is no *Error", err, err)
	}
	if errors.Is(err, ErrRetryInClear) { // R36
		t.Fatalf("error %v is ErrRetryInClear as well", err)
	}
	return e
}
