package strictmxtest

import (
	"slices"
	"strconv"
	"strings"

	"github.com/miekg/dns"
)

// chained answers a question for one of the aliases that [CNAMEChain] or
// [CNAMELoop] put below a name; nil if the name is none. The caller holds mu.
func (d *DNS) chained(name string, rrtype uint16) *finding {
	label, rest, ok := strings.Cut(name, ".")
	n, err := strconv.Atoi(strings.TrimPrefix(label, "hop"))
	if !ok || err != nil || !strings.HasPrefix(label, "hop") {
		return nil
	}
	f := d.fault(rest, dns.Type(rrtype).String())
	if f.kind() != cnameChain && f.kind() != CNAMELoop {
		return nil
	}
	return chain(d.zones.resolve(rest, rrtype), rest, n, f)
}

// chain puts aliases before what was found for a name, from the i-th on. A loop
// has no end, and so no records.
func chain(found finding, name string, i int, f DNSFault) *finding {
	hop := func(k int) string {
		if k == 0 {
			return name
		}
		return "hop" + strconv.Itoa(k) + "." + name
	}
	alias := func(from, to string) dns.RR {
		return &dns.CNAME{Hdr: dns.RR_Header{Name: from, Rrtype: dns.TypeCNAME, Class: dns.ClassINET, Ttl: defaultTTL}, Target: to}
	}
	if f == CNAMELoop {
		rrs := []dns.RR{alias(name, hop(1)), alias(hop(1), name)}
		if i > 0 {
			slices.Reverse(rrs)
		}
		return &finding{answer: rrs, names: found.names}
	}
	var rrs []dns.RR
	for k := i; k < f.arg(); k++ {
		rrs = append(rrs, alias(hop(k), hop(k+1)))
	}
	for _, rr := range found.answer { // the name's own records now stand at the end
		if dns.CanonicalName(rr.Header().Name) == name {
			rr = renamed([]dns.RR{rr}, hop(f.arg()))[0]
		}
		rrs = append(rrs, rr)
	}
	found.answer = rrs
	return &found
}
