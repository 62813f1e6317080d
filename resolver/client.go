package resolver

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// Client asks recursive resolvers. The zero value works, and asks the servers of
// /etc/resolv.conf; on systems without that file set Servers. A Client is safe
// for concurrent use, must not be copied, and its fields must not be changed
// after the first use.
//
// All names are absolute: no search list applies, with or without a dot at the
// end. U-labels are converted. A name is given ten seconds in all, with every
// CNAME on the way and every server that must be asked.
//
// All methods return an [*Error] where they return an error.
type Client struct {
	// Servers are asked in this order, each as "address" or "address:port"; if
	// empty, those of /etc/resolv.conf, which is read again when it changes.
	// A server that fails is followed by the next.
	Servers []string
	// Timeout bounds one try with one server, and is cut where all tries would
	// not fit into ten seconds; if zero, what resolv.conf says, or 5 seconds.
	Timeout time.Duration
	// Attempts is how often each server is asked that does not reply; if zero,
	// what resolv.conf says, or 2.
	Attempts int
	// TrustAD says that all servers validate DNSSEC and that nobody on the way to
	// them can alter a reply. Otherwise an answer is Secure only if it came from
	// a loopback address, or if resolv.conf has the option trust-ad.
	TrustAD bool
	// Dial connects to a server: network is "udp" or "tcp", address one of
	// Servers with its port. As in [net.Resolver], a connection that is no
	// [net.PacketConn] is spoken to as over TCP. If nil, a net.Dialer is used.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	resolvConf string // where it is read from; "": /etc/resolv.conf

	mu  sync.Mutex // guards sys
	sys *sysConfig
}

// TXT returns the TXT records of name, each with its character-strings joined
// without a separator, byte by byte as they were published (RFC 7208, section
// 3.3; RFC 8461, section 3.1).
func (c *Client) TXT(ctx context.Context, name string) (Answer[string], error) {
	w, err := c.lookup(ctx, name, dns.TypeTXT)
	if err != nil {
		return Answer[string]{}, err
	}
	return answerOf(w, textOf), nil
}

// MX returns the MX records of name in the order of the reply.
func (c *Client) MX(ctx context.Context, name string) (Answer[MX], error) {
	w, err := c.lookup(ctx, name, dns.TypeMX)
	if err != nil {
		return Answer[MX]{}, err
	}
	return answerOf(w, mxOf), nil
}

// TLSA returns the TLSA records of name, such as "_25._tcp.mx.example.com".
func (c *Client) TLSA(ctx context.Context, name string) (Answer[TLSA], error) {
	w, err := c.lookup(ctx, name, dns.TypeTLSA)
	if err != nil {
		return Answer[TLSA]{}, err
	}
	return answerOf(w, tlsaOf), nil
}

// CNAME returns the CNAME record at name itself, and follows none: DANE wants to
// know whether the first link of a chain is secure (RFC 7672, section 2.2.2).
func (c *Client) CNAME(ctx context.Context, name string) (Answer[string], error) {
	w, err := c.lookup(ctx, name, dns.TypeCNAME)
	if err != nil {
		return Answer[string]{}, err
	}
	return answerOf(w, targetOf), nil
}

// Addr returns the addresses of name, IPv6 first. Both families are asked for at
// the same time. If one question fails, the records of the other are the answer;
// if there are none, the failure is.
func (c *Client) Addr(ctx context.Context, name string) (Answer[netip.Addr], error) {
	type result struct {
		w   *walk
		err error
	}
	six := make(chan result, 1)
	go func() {
		w, err := c.lookup(ctx, name, dns.TypeAAAA)
		six <- result{w, err}
	}()
	w4, err4 := c.lookup(ctx, name, dns.TypeA)
	r6 := <-six
	return mergeAddr(r6.w, r6.err, w4, err4)
}

func mergeAddr(w6 *walk, err6 error, w4 *walk, err4 error) (Answer[netip.Addr], error) {
	var a6, a4 Answer[netip.Addr]
	if err6 == nil {
		a6 = answerOf(w6, addrOf)
	}
	if err4 == nil {
		a4 = answerOf(w4, addrOf)
	}
	switch {
	case err6 != nil && err4 != nil && rank(err4) > rank(err6):
		return Answer[netip.Addr]{}, err4
	case err6 != nil && len(a4.Records) == 0:
		return Answer[netip.Addr]{}, err6
	case err4 != nil && len(a6.Records) == 0:
		return Answer[netip.Addr]{}, err4
	case err6 != nil:
		return a4, nil
	case err4 != nil:
		return a6, nil
	}
	a := a6
	if len(a6.Records) == 0 {
		a.CanonicalName = a4.CanonicalName
	}
	a.Records = append(a6.Records, a4.Records...)
	if a.TTL < 0 || a4.TTL >= 0 && a4.TTL < a.TTL {
		a.TTL = a4.TTL
	}
	a.NXDomain = a6.NXDomain && a4.NXDomain
	a.Secure = a6.Secure && a4.Secure
	return a, nil
}
