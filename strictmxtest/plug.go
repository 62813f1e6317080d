package strictmxtest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/strictmx/strictmx/resolver"
)

// Roots returns the certificate authorities that this world trusts: one, which
// issued every good certificate in it.
func (w *World) Roots() *x509.CertPool { return w.ca.roots() }

// RootsPEM returns what Roots does as PEM, for programs that read their
// authorities from a file.
func (w *World) RootsPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: w.ca.root.cert.Raw})
}

// Resolver returns a resolver that asks the world's DNS and nothing else. It is
// quicker to give up than one for the real world, one second on one try; the
// caller may change that before its first use.
func (w *World) Resolver() *resolver.Client {
	return &resolver.Client{Servers: []string{w.DNS.Addr()}, Timeout: time.Second, Attempts: 1}
}

// NetResolver returns a resolver of the standard library that asks the world's
// DNS and nothing else.
func (w *World) NetResolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, w.DNS.Addr())
	}}
}

// Transport returns a new transport that trusts the world's authority, looks
// names up in the world's DNS and finds port 443 of its policy hosts and its
// receivers of reports. It speaks HTTP/1.1 and has no keep-alive, no proxy and no
// compression. The caller may change it before its first use.
func (w *World) Transport() *http.Transport {
	return &http.Transport{
		DialContext:        w.DialContext,
		TLSClientConfig:    &tls.Config{RootCAs: w.Roots()},
		DisableKeepAlives:  true,
		DisableCompression: true,
		Protocols:          http1(),
	}
}

func http1() *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	return p
}

// DialContext dials as [net.Dialer.DialContext] does, within the world: names
// are looked up in its DNS, port 25 of an MX host's address reaches that host
// wherever it listens, likewise 465 (see [MX.ImplicitTLS]), 443 of a policy
// host or a [ReportHost] and 53 of the name server. Any other address or port is
// refused, as a closed port is; nothing leaves the world.
func (w *World) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	port, err := net.DefaultResolver.LookupPort(ctx, network, service)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	addrs, err := w.lookup(ctx, host)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	var first error
	for _, addr := range addrs {
		conn, err := w.dial(ctx, network, netip.AddrPortFrom(addr, uint16(port)))
		if err == nil {
			return conn, nil
		}
		if first == nil {
			first = err
		}
	}
	return nil, first
}

// lookup returns the addresses of a host, at least one. IPv6 is left out: the
// world has none.
func (w *World) lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{addr.Unmap()}, nil
	}
	answer, err := w.Resolver().Addr(ctx, host)
	addrs := slices.DeleteFunc(answer.Records, netip.Addr.Is6)
	if len(addrs) > 0 {
		return addrs, nil
	}
	d := &net.DNSError{Name: host, Server: w.DNS.Addr(), Err: "no such host", IsNotFound: true}
	if e, ok := errors.AsType[*resolver.Error](err); ok {
		d.Err, d.IsNotFound, d.IsTemporary, d.IsTimeout = e.Error(), false, true, e.Kind == resolver.KindTimeout
	}
	return nil, d
}

func (w *World) dial(ctx context.Context, network string, addr netip.AddrPort) (net.Conn, error) {
	w.mu.Lock()
	e := w.addrs[addr.Addr()]
	w.mu.Unlock()
	if e != nil {
		if real, ok := e.endpoint(addr.Port()); ok {
			var d net.Dialer
			return d.DialContext(ctx, network, real.String())
		}
	}
	return nil, &net.OpError{
		Op: "dial", Net: network, Addr: net.TCPAddrFromAddrPort(addr),
		Err: os.NewSyscallError("connect", syscall.ECONNREFUSED),
	}
}
