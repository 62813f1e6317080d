package strictmxtest

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	policyPath = "/.well-known/mta-sts.txt" // RFC 8461, section 3.2
	// redirectedPath is where [Redirect] points: whoever asks for it followed one.
	redirectedPath = "/redirected/mta-sts.txt"
	// maxRequest bounds what is read of a request.
	maxRequest = 64 << 10
)

// PolicyHost is the one HTTPS server behind every domain's policy host. It tells
// the domains apart by SNI and makes their certificates on demand. What it
// serves is set with the methods of [Domain].
type PolicyHost struct {
	w        *World
	listener listener

	mu       sync.Mutex // guards what follows
	requests []Request
}

// Request is one request that reached the policy host.
type Request struct {
	Domain            string // "" for a name that is no policy host of the world
	Method, URI, Host string // as sent
	Proto             string // such as "HTTP/1.1"
	Header            http.Header
	Raw               string              // request line and header, as sent
	TLS               tls.ConnectionState // ServerName is the SNI
	ALPN              []string            // protocols that the client offered
}

func newPolicyHost(w *World) (*PolicyHost, error) {
	h := &PolicyHost{w: w}
	h.listener = listener{w: w, serve: h.serve}
	addr, err := h.listener.start(w.address, 0)
	if err != nil {
		return nil, fmt.Errorf("policy host: %w", err)
	}
	w.addrs[addr] = h
	return h, nil
}

// endpoint: the server's own address, which no domain publishes.
func (h *PolicyHost) endpoint(port uint16) (netip.AddrPort, bool) {
	addr := h.listener.address()
	return addr, port == 443 || port == addr.Port()
}

// Addr is where the server listens, as "address:port".
func (h *PolicyHost) Addr() string { return h.listener.address().String() }

// Requests returns every request so far, in order.
func (h *PolicyHost) Requests() []Request {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.requests)
}

// Open returns how many connections are open now.
func (h *PolicyHost) Open() int { open, _, _ := h.listener.counts(); return open }

// MaxOpen returns how many connections were ever open at once.
func (h *PolicyHost) MaxOpen() int { _, most, _ := h.listener.counts(); return most }

// Connections returns how many connections there were.
func (h *PolicyHost) Connections() int { _, _, total := h.listener.counts(); return total }

func (h *PolicyHost) forget() {
	h.listener.forget()
	h.mu.Lock()
	h.requests = nil
	h.mu.Unlock()
	h.w.mu.Lock()
	defer h.w.mu.Unlock()
	for _, d := range h.w.domains {
		d.forget()
	}
}

// visit is one connection to the policy host.
type visit struct {
	h      *PolicyHost
	conn   net.Conn // below TLS
	tls    *tls.Conn
	domain *Domain // nil: none that we know
	site   site    // as it was when the connection came
	alpn   []string
}

var errOrdered = errors.New("fault ordered by the test")

func (h *PolicyHost) serve(conn net.Conn) {
	v := &visit{h: h, conn: conn}
	v.tls = tls.Server(conn, &tls.Config{GetConfigForClient: v.config})
	if err := v.tls.Handshake(); err != nil {
		h.w.journal.add("HTTPS handshake for %s  [%v]: %v", v.name(), v.site.fault, err)
		return
	}
	var head bytes.Buffer
	in := bufio.NewReader(io.TeeReader(io.LimitReader(v.tls, maxRequest), &head))
	req, err := http.ReadRequest(in)
	if err != nil {
		h.w.journal.add("HTTPS request for %s: %v", v.name(), err)
		return
	}
	v.note(req, head.String())
	switch {
	case v.domain == nil || req.Host != "mta-sts."+v.domain.name || req.Method != http.MethodGet:
		v.send(reply{status: http.StatusNotFound}, "")
	case req.RequestURI == redirectedPath:
		v.send(v.valid(), v.site.text)
	case req.RequestURI != policyPath || v.site.absent:
		v.send(reply{status: http.StatusNotFound, header: []string{"Content-Type: text/plain"}}, "no policy here\n")
	default:
		v.respond()
	}
}

func (v *visit) name() string {
	if v.domain == nil {
		return "an unknown name"
	}
	return v.domain.name
}

// config chooses certificate and protocol versions by SNI. It runs when the
// ClientHello was read and nothing was sent yet.
func (v *visit) config(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	v.alpn = slices.Clone(hello.SupportedProtos)
	v.domain = v.h.w.domain(hello.ServerName)
	if v.domain == nil {
		return &tls.Config{}, nil // no certificate: unrecognized_name
	}
	v.domain.mu.Lock()
	v.domain.conns++
	v.site = v.domain.site
	v.domain.mu.Unlock()
	switch v.site.fault {
	case NotTLS:
		io.WriteString(v.conn, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		return nil, errOrdered
	case HangInHandshake:
		io.Copy(io.Discard, v.conn)
		return nil, errOrdered
	case CloseInHandshake:
		v.conn.Close()
		return nil, errOrdered
	}
	cert, err := v.domain.certificate(v.site)
	if err != nil {
		return nil, err
	}
	cfg := v.h.w.serverConfig(cert)
	if v.site.fault == TLS11Only {
		cfg.MinVersion, cfg.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	}
	return cfg, nil
}

func (d *Domain) certificate(s site) (tls.Certificate, error) {
	if s.own != nil {
		return *s.own, nil
	}
	return d.w.ca.issue(s.cert, []string{"mta-sts." + d.name, d.addr.String()})
}

// serverConfig is the plain configuration of the world's TLS servers.
func (w *World) serverConfig(cert tls.Certificate) *tls.Config {
	cfg := &tls.Config{Certificates: []tls.Certificate{cert}}
	cfg.SetSessionTicketKeys([][32]byte{w.tickets})
	return cfg
}

// note records a request.
func (v *visit) note(req *http.Request, raw string) {
	r := Request{
		Method: req.Method, URI: req.RequestURI, Host: req.Host, Proto: req.Proto, Header: req.Header,
		Raw: raw, TLS: v.tls.ConnectionState(), ALPN: v.alpn,
	}
	if v.domain != nil {
		r.Domain = v.domain.name
		v.domain.mu.Lock()
		v.domain.requests = append(v.domain.requests, r)
		v.domain.mu.Unlock()
	}
	v.h.mu.Lock()
	v.h.requests = append(v.h.requests, r)
	v.h.mu.Unlock()
	v.h.w.journal.add("HTTPS %s https://%s%s  [%v]", r.Method, r.Host, r.URI, v.site.fault)
}

// reply is the head of an HTTP reply.
type reply struct {
	status int
	header []string // "Key: value"
	length int      // in Content-Length, instead of the body's; -1: no such field
}

// valid is the head of the reply that serves the policy.
func (v *visit) valid() reply {
	return reply{status: http.StatusOK, header: []string{"Content-Type: text/plain"}}
}

// head is the reply's head as sent, with the fields set by [Domain.Header].
func (v *visit) head(r reply, body string) string {
	if r.length == 0 {
		r.length = len(body)
	}
	lines := append([]string{}, r.header...)
	if r.length > 0 || body == "" && r.length == 0 {
		lines = append(lines, fmt.Sprintf("Content-Length: %d", r.length))
	}
	lines = append(lines, "Connection: close")
	for key, values := range v.site.header {
		lines = slices.DeleteFunc(lines, func(l string) bool { return strings.HasPrefix(l, key+": ") })
		for _, value := range values {
			if value != "" {
				lines = append(lines, key+": "+value)
			}
		}
	}
	return fmt.Sprintf("HTTP/1.1 %d %s\r\n%s\r\n\r\n", r.status, http.StatusText(r.status), strings.Join(lines, "\r\n"))
}

// send sends a whole reply and closes the connection properly.
func (v *visit) send(r reply, body string) {
	io.WriteString(v.tls, v.head(r, body)+body)
	v.tls.Close()
}

// wait lets time pass, unless the world ends; then it says false.
func (w *World) wait(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-w.done:
		return false
	}
}
