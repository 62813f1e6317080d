package resolver

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/strictmx/strictmx/internal/publicaddr"
)

const (
	maxAddrs    = 8                // of one name; its owner decides how many it has
	dialTimeout = 10 * time.Second // for one name
	minShare    = 2 * time.Second  // of the time, for one address; a slow handshake must fit
)

// ErrNoAddress says that a name has no address at all: the host cannot be
// reached, and asking again soon will not help.
var ErrNoAddress = errors.New("resolver: the name has no address")

// NonPublicError says that a [Dialer] did not connect to an address that is not
// public. AllowPrivate lets it.
type NonPublicError struct {
	Addr netip.Addr // zero for what is no address at all
}

// Error is one line of printable ASCII.
func (e *NonPublicError) Error() string {
	return "resolver: " + (&publicaddr.Error{Addr: e.Addr}).Error()
}

// Dialer connects to hosts whose names and addresses strangers choose, such as
// the policy host of a recipient domain. It looks names up as absolute ones with
// a resolver of this package, tries each address in turn, and connects to no
// address that is not public: anyone can point a name at your network. The zero
// value works. Its method DialContext fits [net/http.Transport].
type Dialer struct {
	// Resolver finds the addresses of a name; if nil, a zero [Client].
	Resolver interface {
		Addr(ctx context.Context, name string) (Answer[netip.Addr], error)
	}
	// Timeout bounds the whole: the lookup and every address. If zero, 10
	// seconds. An http.Transport does not pass on the deadline of a request.
	Timeout time.Duration
	// AllowPrivate lifts the rule that addresses must be public, for hosts of
	// your own network.
	AllowPrivate bool
	// Dial connects to one address, "192.0.2.1:443" or "[2001:db8::1]:443", in place
	// of a [net.Dialer], and makes its own rules; AllowPrivate has no effect on it.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// DialContext connects to a host, a name or an address literal, and a port.
// The error joins what became of each address tried; it holds a [*NonPublicError] where
// one was refused, and [ErrNoAddress] where there is none.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	timeout := d.Timeout
	if timeout == 0 {
		timeout = dialTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if _, err := netip.ParseAddr(host); err == nil {
		return d.dial(ctx, network, address)
	}
	answer, err := d.lookup(ctx, host)
	if err != nil {
		return nil, err
	}
	addrs := alternate(answer.Records, network)
	addrs = addrs[:min(len(addrs), maxAddrs)]
	if len(addrs) == 0 {
		return nil, ErrNoAddress
	}
	return d.each(ctx, network, addrs, port)
}

// each tries the addresses in turn. Each gets an equal share of the time that
// is left, so that one which swallows packets does not use up all of it.
func (d *Dialer) each(ctx context.Context, network string, addrs []netip.Addr, port string) (net.Conn, error) {
	var errs []error
	for i, a := range addrs {
		one, cancel := ctx, context.CancelFunc(func() {})
		if end, ok := ctx.Deadline(); ok {
			one, cancel = context.WithTimeout(ctx, max(time.Until(end)/time.Duration(len(addrs)-i), minShare))
		}
		conn, err := d.dial(one, network, net.JoinHostPort(a.String(), port))
		cancel()
		if err == nil {
			return conn, nil
		}
		errs = append(errs, err)
		if end, ok := ctx.Deadline(); ctx.Err() != nil || ok && !time.Now().Before(end) {
			break
		}
	}
	return nil, attempts(errs)
}

// attempts is what became of each address, in one line.
type attempts []error

func (a attempts) Error() string {
	words := make([]string, len(a))
	for i, err := range a {
		words[i] = err.Error()
	}
	return strings.Join(words, "; ")
}

func (a attempts) Unwrap() []error { return a }

func (d *Dialer) lookup(ctx context.Context, host string) (Answer[netip.Addr], error) {
	if d.Resolver == nil {
		return new(Client).Addr(ctx, host)
	}
	return d.Resolver.Addr(ctx, host)
}

func (d *Dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	switch {
	case d.Dial != nil:
		return d.Dial(ctx, network, address)
	case d.AllowPrivate:
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	conn, err := publicaddr.Dial(ctx, network, address)
	if e, ok := errors.AsType[*publicaddr.Error](err); ok {
		return nil, &NonPublicError{Addr: e.Addr}
	}
	return conn, err
}

// alternate orders addresses so that the two families take turns (RFC 8305, section
// 4), beginning with the first one's: a machine without one of them reaches the
// other, however many addresses the owner lists.
func alternate(addrs []netip.Addr, network string) []netip.Addr {
	var first, second []netip.Addr
	for _, a := range addrs {
		a = a.Unmap()
		switch {
		case network == "tcp4" && !a.Is4(), network == "tcp6" && a.Is4():
		case len(first) == 0 || first[0].Is4() == a.Is4():
			first = append(first, a)
		default:
			second = append(second, a)
		}
	}
	out := make([]netip.Addr, 0, len(first)+len(second))
	for i := range max(len(first), len(second)) {
		if i < len(first) {
			out = append(out, first[i])
		}
		if i < len(second) {
			out = append(out, second[i])
		}
	}
	return out
}
