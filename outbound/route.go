package outbound

import (
	"cmp"
	"context"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"slices"

	"github.com/strictmx/strictmx/internal/dnsname"
	"github.com/strictmx/strictmx/resolver"
)

// What DNS says of domains that no mail can go to.
var (
	errNoDomain = own("the domain does not exist")
	errNullMX   = own("the domain takes no mail: it publishes a null MX (RFC 7505)")
	errLoop     = own("the domain's best MX host is this machine, which was asked to send the mail elsewhere: a loop")
	errNoHosts  = own("Delivery.Hosts is empty; nil asks for the MX records")
	errBadMX    = own("the MX record holds something that is no host name")
	errNoAddr   = own("the host has no address")
)

// Resolver finds the way to a domain: its MX records, and the addresses of a
// host. A [*resolver.Client] is one, and so is a map in a test. A name without
// records is an answer; an error is a failure to learn, and means try later.
type Resolver interface {
	MX(ctx context.Context, name string) (resolver.Answer[resolver.MX], error)
	Addr(ctx context.Context, name string) (resolver.Answer[netip.Addr], error)
}

// candidate is one host to try.
type candidate struct {
	// host is the name of the MX record, never what a CNAME makes of it: policy,
	// SNI and certificate are judged by the name (STS-116). Where broken is set
	// it is as published.
	host string
	port string
	// addr is the address of a literal; there is nothing to look up then.
	addr netip.Addr
	// broken: the MX record holds something that is no host name. The host is
	// refused in its turn; the others do not suffer for it (R22).
	broken bool
	// fixed: the operator named this host, not the recipient.
	fixed bool
	// secure: DNSSEC, or the operator, vouches for the name being a host of the domain.
	secure bool
}

// route is the way to a domain: the hosts in the order to try them, or why
// there are none.
type route struct {
	hosts []candidate
	// secure: DNSSEC vouches for the answer that hosts or denial come from.
	secure bool
	// denial: no mail can go there. Permanent, unless an enforce policy is held
	// and the answer could be forged (R12).
	denial *Error
}

// What there is to say of them (RFC 3463, sections 3.2 and 3.5).
var (
	noSystem = status{550, [3]int{5, 1, 2}}
	noMail   = status{556, [3]int{5, 1, 10}} // RFC 7505, section 4.1
	noRoute  = status{550, [3]int{5, 4, 4}}
	loop     = status{554, [3]int{5, 4, 6}}
	noAnswer = status{451, [3]int{4, 4, 3}}
)

// deny is an error before there is a plan.
func deny(domain string, s status, err error) *Error {
	return &Error{Domain: shown(domain), Code: s.code, EnhancedCode: s.enhanced, Err: err}
}

// findRoute asks DNS for the way to the delivery, or takes what the caller fixed.
// The error is temporary: DNS did not say.
func (w *walk) findRoute(ctx context.Context) (route, error) {
	dl, port := w.delivery, cmp.Or(w.d.Port, "25")
	if dl.Hosts != nil {
		return fixedRoute(dl.Domain, dl.Hosts, port), nil
	}
	if ip, ok := parseLiteral(dl.Domain); ok {
		return route{hosts: []candidate{{host: dl.Domain, port: port, addr: ip}}, secure: true}, nil
	}
	domain, err := dnsname.Host(dl.Domain)
	if err != nil { // also a bare IP address, which is no domain (SMTP-10)
		return route{denial: deny(dl.Domain, noSystem, err), secure: true}, nil
	}
	ans, err := w.resolver.MX(ctx, domain)
	if err != nil {
		return route{}, deny(domain, noAnswer, err) // SMTP-03
	}
	mxs, denial := usable(domain, ans, w.enforcer.ownName())
	rt := route{secure: ans.Secure, denial: denial}
	rt.hosts = candidates(mxs, port, cmp.Or(max(w.d.MaxHosts, 0), defaultHosts))
	for i := range rt.hosts {
		rt.hosts[i].secure = ans.Secure
	}
	return rt, nil
}

// fixedRoute is a smart host's: its hosts in the order given.
func fixedRoute(domain string, hosts []string, port string) route {
	rt := route{secure: true}
	for _, h := range hosts {
		c := candidate{host: h, port: port, fixed: true, secure: true}
		if name, p, err := net.SplitHostPort(h); err == nil {
			c.host, c.port = name, cmp.Or(p, port)
		}
		if ip, ok := parseAddress(c.host); ok {
			c.addr = ip
		} else if name, err := dnsname.Host(c.host); err == nil {
			c.host = name
		} else {
			c.broken = true
		}
		rt.hosts = append(rt.hosts, c)
	}
	if len(rt.hosts) == 0 {
		rt.denial = deny(domain, noRoute, errNoHosts)
	}
	return rt
}

// usable makes the list of hosts of the answer to an MX query, in the order to
// try them (RFC 5321, section 5.1), or says why there is none.
func usable(domain string, ans resolver.Answer[resolver.MX], self string) ([]resolver.MX, *Error) {
	mxs := slices.Clone(ans.Records)
	switch {
	case ans.NXDomain:
		return nil, deny(domain, noSystem, errNoDomain)
	case len(mxs) == 0:
		// The implicit MX is the domain itself, by its own name even where that is
		// an alias: a CNAME nobody signed must not choose the name that policy and
		// certificate are held against (STS-07, STS-115).
		mxs = []resolver.MX{{Host: domain}}
	default:
		// "." beside others means nothing (RFC 7505, section 3); alone it means no mail.
		mxs = slices.DeleteFunc(mxs, func(mx resolver.MX) bool { return mx.Host == "" })
		if len(mxs) == 0 {
			return nil, deny(domain, noMail, errNullMX)
		}
	}
	// A stable sort after a shuffle: by preference, random among equals.
	rand.Shuffle(len(mxs), func(i, j int) { mxs[i], mxs[j] = mxs[j], mxs[i] })
	slices.SortStableFunc(mxs, func(a, b resolver.MX) int { return int(a.Preference) - int(b.Preference) })
	// Where we are in the list ourselves, hosts as good as us or worse would
	// send the mail back to us. This comes before any policy (STS-118).
	if us := slices.IndexFunc(mxs, func(mx resolver.MX) bool { return isHost(mx.Host, self) }); us >= 0 {
		ours := mxs[us].Preference
		mxs = slices.DeleteFunc(mxs, func(mx resolver.MX) bool { return mx.Preference >= ours })
		if len(mxs) == 0 {
			return nil, deny(domain, loop, errLoop)
		}
	}
	return mxs, nil
}

// candidates gives each host its turn once, at its best preference.
func candidates(mxs []resolver.MX, port string, limit int) []candidate {
	var hosts []candidate
	for _, mx := range mxs {
		if len(hosts) == limit { // R13
			break
		}
		c := candidate{host: mx.Host, port: port}
		if name, err := dnsname.Host(mx.Host); err == nil {
			c.host = name
		} else {
			c.broken = true
		}
		if !slices.Contains(hosts, c) {
			hosts = append(hosts, c)
		}
	}
	return hosts
}

// isHost compares two names as names. What is none is equal to nothing.
func isHost(a, b string) bool {
	a, errA := dnsname.Host(a)
	b, errB := dnsname.Host(b)
	return errA == nil && errB == nil && a == b
}

// ownName is the name by which we know ourselves in a list of MX hosts.
func (e *Enforcer) ownName() string {
	if e.LocalName != "" {
		return e.LocalName
	}
	name, _ := os.Hostname() // "", on failure, is no host's name
	return name
}
