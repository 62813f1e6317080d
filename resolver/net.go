package resolver

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/strictmx/strictmx/internal/dnsname"
)

// Net makes answers from a [*net.Resolver], for programs that already have one.
// The standard library does not say how long an answer holds, whether it is
// secure, or whether a name without records exists: TTL is never known, Secure
// and NXDomain are never true. It may look into the hosts file for addresses, and
// it obeys a deadline but may take no notice of a cancellation while a server is
// silent. No lookup takes more than ten seconds. The zero value uses
// net.DefaultResolver.
type Net struct {
	Resolver *net.Resolver
}

// FromNet returns Net{r}.
func FromNet(r *net.Resolver) Net { return Net{Resolver: r} }

// TXT returns the TXT records of name.
func (n Net) TXT(ctx context.Context, name string) (Answer[string], error) {
	return netLookup(ctx, n, "TXT", name, (*net.Resolver).LookupTXT)
}

// MX returns the MX records of name. The standard library drops those whose host
// is no valid name; if it drops some, the others are the answer.
func (n Net) MX(ctx context.Context, name string) (Answer[MX], error) {
	return netLookup(ctx, n, "MX", name, func(r *net.Resolver, ctx context.Context, name string) ([]MX, error) {
		found, err := r.LookupMX(ctx, name)
		var records []MX
		for _, mx := range found {
			records = append(records, MX{Preference: mx.Pref, Host: canonical(mx.Host)})
		}
		return records, err
	})
}

// Addr returns the addresses of name, IPv6 first.
func (n Net) Addr(ctx context.Context, name string) (Answer[netip.Addr], error) {
	return netLookup(ctx, n, "A/AAAA", name, func(r *net.Resolver, ctx context.Context, name string) ([]netip.Addr, error) {
		addrs, err := r.LookupNetIP(ctx, "ip", name)
		for i, a := range addrs {
			addrs[i] = a.Unmap() // IPv4 may come in either form
		}
		slices.SortStableFunc(addrs, func(a, b netip.Addr) int { return b.BitLen() - a.BitLen() })
		return addrs, err
	})
}

// CNAME returns where the CNAME at name leads, or nothing if name is no alias or
// has no address: the standard library cannot ask for the record alone. Of a chain
// it may return the first target or the last.
func (n Net) CNAME(ctx context.Context, name string) (Answer[string], error) {
	return netLookup(ctx, n, "CNAME", name, func(r *net.Resolver, ctx context.Context, name string) ([]string, error) {
		target, err := r.LookupCNAME(ctx, name)
		target = canonical(target)
		if err != nil || target == strings.TrimSuffix(name, ".") {
			return nil, err
		}
		return []string{target}, nil
	})
}

// TLSA fails: the standard library cannot ask for TLSA records.
func (n Net) TLSA(_ context.Context, name string) (Answer[TLSA], error) {
	return Answer[TLSA]{}, &Error{Name: clean(name, maxForeign), Type: "TLSA", Kind: KindUnsupported,
		Err: errors.New("a net.Resolver cannot ask for TLSA records; use a resolver.Client")}
}

// netLookup runs one lookup of the standard library with an absolute name, and
// tells answers from failures.
func netLookup[T any](ctx context.Context, n Net, rrtype, name string,
	look func(*net.Resolver, context.Context, string) ([]T, error)) (Answer[T], error) {
	e := &Error{Name: clean(name, maxForeign), Type: rrtype}
	name, err := dnsname.Host(name)
	if err != nil {
		e.Kind, e.Err = KindName, err
		return Answer[T]{}, e
	}
	e.Name = name
	if err := ctx.Err(); err != nil { // package net would not look before it asks
		e.Kind, e.Err = KindCanceled, err
		return Answer[T]{}, e
	}
	r := n.Resolver
	if r == nil {
		r = net.DefaultResolver
	}
	limited, cancel := context.WithTimeout(ctx, lookupLimit)
	defer cancel()
	records, err := look(r, limited, name+".")
	failed, isDNS := errors.AsType[*net.DNSError](err)
	if err == nil || len(records) > 0 || isDNS && failed.IsNotFound {
		return Answer[T]{Records: records, TTL: -1, CanonicalName: name}, nil
	}
	f := failure(err)
	e.Kind, e.Err = f.Kind, f.Err
	if isDNS {
		e.Server = clean(failed.Server, maxForeign)
	}
	if isDNS && e.Kind == KindNetwork {
		e.Kind = kindOf(failed)
	}
	if end := ended(ctx); end != nil { // R34
		e.Kind, e.Err = KindCanceled, end
	}
	return Answer[T]{}, e
}

// kindOf tells the failures apart that package net marks as temporary, which are
// those of sockets, too. Its texts are all there is to go by.
func kindOf(e *net.DNSError) Kind {
	misbehaves := e.Err == "server misbehaving"
	switch {
	case misbehaves && e.IsTemporary:
		return KindServFail
	case misbehaves || e.Err == "lame referral":
		return KindRefused
	case e.IsTemporary:
		return KindNetwork
	}
	return KindMalformed
}
