package strictmxtest

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/strictmx/strictmx/internal/dnsname"
)

// maxPost bounds what is kept of a report.
const maxPost = 32 << 20

// ReportHost is an HTTPS server that takes the reports posted to it, for an "https:"
// rua of TLS-RPT (RFC 8460, section 3). It has an address of its own in DNS and a
// good certificate, takes every path, and keeps what it receives. Its setters
// return it, to be chained. A receiver by mail is an [MX].
type ReportHost struct {
	w        *World
	name     string
	addr     netip.Addr
	listener listener

	mu    sync.Mutex // guards what follows
	fault PolicyFault
	cert  Certificate
	posts []Post
}

// Post is one request that reached a [ReportHost] whole.
type Post struct {
	Method, URI, Host string // as sent
	Header            http.Header
	Body              []byte
	Status            int // what it was answered; 0: no answer
	Time              time.Time
	TLS               tls.ConnectionState // ServerName is the SNI
}

// Taken reports whether the sender was told that its report was accepted.
func (p Post) Taken() bool { return p.Status/100 == 2 }

// ReportHost returns the receiver of reports of that name. The first call makes
// it.
func (w *World) ReportHost(name string) *ReportHost {
	canonical, err := dnsname.Host(name)
	if err != nil {
		w.helper()()
		w.fail("report host %q: %v", name, err)
		canonical = "invalid.invalid"
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if h := w.reports[canonical]; h != nil {
		return h
	}
	h := &ReportHost{w: w, name: canonical}
	h.listener = listener{w: w, serve: h.serve}
	if w.closed {
		return h // refuses connections
	}
	if h.addr, err = h.listener.start(w.nextAddress, 0); err != nil {
		w.helper()()
		w.fail("report host %s: %v", canonical, err)
	}
	w.DNS.publish(fmt.Sprintf("%s. IN A %s", h.name, h.addr))
	w.reports[canonical] = h
	w.addrs[h.addr] = h
	return h
}

// Name is the host's name in A-labels.
func (h *ReportHost) Name() string { return h.name }

// URL is an address to post reports to, "https://" and the name and "/tlsrpt".
func (h *ReportHost) URL() string { return "https://" + h.name + "/tlsrpt" }

// Certificate says what the host presents.
func (h *ReportHost) Certificate(c Certificate) *ReportHost {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.cert = c
	return h
}

// Fault orders a fault; [None] lifts it. Of those of policy hosts it knows
// [Unreachable], [NotTLS], [HangInHandshake], [CloseInHandshake],
// [HangBeforeHeader] and [CloseBeforeHeader], both once the report was read,
// [Status] and [Redirect].
func (h *ReportHost) Fault(f PolicyFault) *ReportHost {
	switch f.kind() {
	case None, Unreachable, NotTLS, HangInHandshake, CloseInHandshake, HangBeforeHeader, CloseBeforeHeader, status, redirect:
	default:
		h.w.helper()()
		h.w.fail("%s: a receiver of reports does not know %v", h.name, f)
		return h
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fault = f
	return h
}

// Posts returns every request so far, in order. A report is there before its
// sender hears so.
func (h *ReportHost) Posts() []Post {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.posts)
}

// Connections returns how many connections there were.
func (h *ReportHost) Connections() int { _, _, total := h.listener.counts(); return total }

func (h *ReportHost) forget() {
	h.listener.forget()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.posts = nil
}

func (h *ReportHost) endpoint(port uint16) (netip.AddrPort, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	addr := h.listener.address()
	return addr, (port == 443 || port == addr.Port()) && h.fault != Unreachable
}

func (h *ReportHost) serve(conn net.Conn) {
	h.mu.Lock()
	fault, kind := h.fault, h.cert
	h.mu.Unlock()
	switch fault {
	case NotTLS:
		io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		return
	case HangInHandshake:
		io.Copy(io.Discard, conn)
		return
	case CloseInHandshake:
		return
	}
	cert, err := h.w.ca.issue(kind, []string{h.name, h.addr.String()})
	if err != nil {
		h.w.journal.add("report host %s: %v", h.name, err)
		return
	}
	secure := tls.Server(conn, h.w.serverConfig(cert))
	post, err := receive(secure)
	if err != nil {
		h.w.journal.add("report to %s  [%v]: %v", h.name, fault, err)
		return
	}
	h.answer(secure, post, fault)
}

// receive reads a request.
func receive(conn *tls.Conn) (Post, error) {
	if err := conn.Handshake(); err != nil {
		return Post{}, err
	}
	req, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil {
		return Post{}, err
	}
	if strings.EqualFold(req.Header.Get("Expect"), "100-continue") {
		io.WriteString(conn, "HTTP/1.1 100 Continue\r\n\r\n")
	}
	body, err := io.ReadAll(io.LimitReader(req.Body, maxPost))
	if err != nil {
		return Post{}, err
	}
	return Post{
		Method: req.Method, URI: req.RequestURI, Host: req.Host, Header: req.Header, Body: body,
		Time: time.Now(), TLS: conn.ConnectionState(),
	}, nil
}

// answer keeps a request and answers it, as far as the fault allows.
func (h *ReportHost) answer(conn *tls.Conn, post Post, fault PolicyFault) {
	extra := ""
	switch fault.kind() {
	case HangBeforeHeader, CloseBeforeHeader:
	case status:
		post.Status = fault.arg()
	case redirect:
		post.Status = fault.arg()
		extra = "Location: https://" + h.name + redirectedPath + "\r\n"
	default:
		post.Status = http.StatusOK
		if post.Method != http.MethodPost {
			post.Status = http.StatusMethodNotAllowed
		}
	}
	h.mu.Lock()
	h.posts = append(h.posts, post)
	h.mu.Unlock()
	h.w.journal.add("HTTPS %s https://%s%s of %d octets: %d  [%v]", post.Method, post.Host, post.URI, len(post.Body), post.Status, fault)
	switch {
	case fault == HangBeforeHeader:
		io.Copy(io.Discard, conn)
	case post.Status != 0:
		fmt.Fprintf(conn, "HTTP/1.1 %d %s\r\n%sContent-Length: 0\r\nConnection: close\r\n\r\n", post.Status, http.StatusText(post.Status), extra)
		conn.Close()
	}
}
