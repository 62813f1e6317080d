package outbound

import (
	"cmp"
	"context"
	"iter"
	"net"
	"sync"
	"time"

	"github.com/strictmx/strictmx/mtasts"
	"github.com/strictmx/strictmx/resolver"
)

// R13: a recipient domain has a small and fixed share of our time.
const (
	defaultTimeout = 15 * time.Minute // five for a silent host, ten for the reply to a message
	defaultHosts   = 20
	maxAddresses   = 40 // of all hosts of a delivery
	maxHostAddrs   = 10 // of one host, so that the next gets its turn
	dialTimeout    = 30 * time.Second
	minShare       = 30 * time.Second
	connectTimeout = 5 * time.Minute // for greeting, EHLO, STARTTLS and handshake (RFC 5321, section 4.5.3.2.1)
)

// Dialer finds the way to a domain and connects, host by host, as its policies
// ask. The zero value works. It is safe for concurrent use, its fields are
// fixed at first use, and it must not be copied after that.
type Dialer struct {
	// Enforcer holds each session to the policies; if nil, a zero one of the
	// Dialer's own, which looks for policies with Resolver if that has TXT.
	Enforcer *Enforcer
	// Resolver finds MX records and addresses; if nil, a zero [resolver.Client].
	Resolver Resolver
	// Port is the port of every host that has none of its own; if "", "25".
	Port string
	// DialContext connects to an address and port, "192.0.2.1:25". If nil, a
	// [net.Dialer] that refuses addresses which are not public, whatever DNS
	// says (the Delivery's own Hosts excepted, which the operator names): anyone
	// can point an MX record at your network. Setting it lifts that.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
	// Timeout bounds the whole of a delivery to a domain, from the MX lookup to
	// the last reply, whatever the hosts do; if zero, 15 minutes. A connection
	// that Conns yields dies with it.
	Timeout time.Duration
	// MaxHosts bounds the MX hosts tried for a delivery; if zero, 20. Of their addresses,
	// at most 40 are tried in all, and 10 of each host.
	MaxHosts int

	own sync.Once
	enf *Enforcer
	res Resolver
}

// parts returns the Enforcer and the Resolver, making those that were not given.
func (d *Dialer) parts() (*Enforcer, Resolver) {
	d.own.Do(func() {
		if d.enf, d.res = d.Enforcer, d.Resolver; d.res == nil {
			d.res = new(resolver.Client)
		}
		if d.enf == nil {
			d.enf = new(Enforcer)
			if r, ok := d.res.(mtasts.Resolver); ok {
				d.enf.own.Resolver = r
			}
		}
	})
	return d.enf, d.res
}

// Close closes an Enforcer of the Dialer's own; one that the caller gave is the
// caller's. See [Enforcer.Close], also for when there is no need to. Deliveries
// under way end as they will. It returns nil.
func (d *Dialer) Close() error {
	if d.Enforcer != nil {
		return nil
	}
	e, _ := d.parts()
	return e.Close()
}

// Conns walks the hosts of a delivery in order, and yields a connection to each
// that may be used, and an error for each that may not, or could not be
// reached: go on to the next. It yields at least one error where it yields no
// connection. A host with several addresses gets several chances; the hosts of
// equal preference come in random order.
//
// The errors are [*Error]. Permanent ones are rare: no host, no mail (a null MX),
// no such domain, or a way that leads back to this machine, and none of those
// while an enforce policy is held and DNSSEC does not vouch for it. The mail can
// be given up where every error was permanent, and only there: [Verdict] says what
// they come to.
//
// A connection has an SMTP greeting to read and is the caller's to close. The
// caller may break out at any time. Where no connection came of it and a policy
// refused a host, the policy is looked up again, and if it has changed, the
// hosts are walked once more (RFC 8461, section 5.1).
func (d *Dialer) Conns(ctx context.Context, dl Delivery) iter.Seq2[*Conn, error] {
	return func(yield func(*Conn, error) bool) {
		ctx, cancel := context.WithTimeout(ctx, cmp.Or(d.Timeout, defaultTimeout))
		defer cancel()
		w := &walk{d: d, delivery: dl, yield: yield}
		w.end, _ = ctx.Deadline()
		w.enforcer, w.resolver = d.parts()
		w.run(ctx)
	}
}
