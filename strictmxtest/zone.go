package strictmxtest

import (
	"fmt"
	"strings"

	"github.com/miekg/dns"
)

// defaultTTL is the TTL of the records that the world publishes by itself, and
// of its negative answers (RFC 2308, section 5), in seconds.
const defaultTTL = 300

// maxChain is how many CNAME records the name server follows for its client.
const maxChain = 32

// zones holds the records of all zones. Its keys are canonical names: lower
// case, with a dot at the end.
type zones struct {
	sets  map[string]map[uint16][]dns.RR
	below map[string]int // names with records at or under this one; absent: the name does not exist
}

func newZones() zones {
	return zones{sets: map[string]map[uint16][]dns.RR{}, below: map[string]int{}}
}

// parseRecords reads text in the syntax of zone files (RFC 1035, section 5);
// names without a dot at the end are absolute as well. Indentation is dropped,
// so that a Go raw string can be indented: every record names its owner.
func parseRecords(text string) ([]dns.RR, error) {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(strings.TrimLeft(line, " \t"))
	}
	p := dns.NewZoneParser(strings.NewReader(b.String()), ".", "")
	p.SetDefaultTTL(defaultTTL)
	var rrs []dns.RR
	for rr, ok := p.Next(); ok; rr, ok = p.Next() {
		rrs = append(rrs, rr)
	}
	if err := p.Err(); err != nil {
		return nil, err
	}
	if len(rrs) == 0 {
		return nil, fmt.Errorf("no record in %q", text)
	}
	return rrs, nil
}

// set replaces the sets that the records belong to.
func (z zones) set(rrs []dns.RR) {
	for _, rr := range rrs {
		z.remove(dns.CanonicalName(rr.Header().Name), rr.Header().Rrtype)
	}
	z.add(rrs)
}

func (z zones) add(rrs []dns.RR) {
	for _, rr := range rrs {
		name := dns.CanonicalName(rr.Header().Name)
		if z.sets[name] == nil {
			z.sets[name] = map[uint16][]dns.RR{}
			z.count(name, 1)
		}
		z.sets[name][rr.Header().Rrtype] = append(z.sets[name][rr.Header().Rrtype], rr)
	}
}

// remove deletes one set of a name; the name goes with its last one.
func (z zones) remove(name string, rrtype uint16) {
	if z.sets[name] == nil {
		return
	}
	delete(z.sets[name], rrtype)
	if len(z.sets[name]) == 0 {
		delete(z.sets, name)
		z.count(name, -1)
	}
}

// count notes that a name has come or gone, in it and all names above it: they
// exist as well, if only as empty non-terminals (RFC 8020, section 2).
func (z zones) count(name string, by int) {
	for {
		if z.below[name] += by; z.below[name] == 0 {
			delete(z.below, name)
		}
		if name == "." {
			return
		}
		name = parent(name)
	}
}

// parent is the name above a canonical name other than the root.
func parent(name string) string {
	if i, end := dns.NextLabel(name, 0); !end {
		return name[i:]
	}
	return "."
}

// find returns the sets at a name, with the records a wildcard stands for
// (RFC 4592, section 3.3.1); exists tells NODATA from NXDOMAIN.
func (z zones) find(name string) (sets map[uint16][]dns.RR, exists bool) {
	if z.below[name] > 0 {
		return z.sets[name], true
	}
	for encloser := name; encloser != "."; {
		encloser = parent(encloser)
		if z.below[encloser] == 0 {
			continue
		}
		wild := z.sets["*."+strings.TrimPrefix(encloser, ".")]
		if wild == nil {
			return nil, false // only the closest encloser counts
		}
		return wild, true
	}
	return nil, false
}

// soa returns the SOA record for a negative answer: that of the zone, or one
// made up where nobody set any. Its TTL is what the answer may be believed for
// (RFC 2308, section 3).
func (z zones) soa(name string) dns.RR {
	for apex := name; ; apex = parent(apex) {
		if rrs := z.sets[apex][dns.TypeSOA]; len(rrs) > 0 {
			soa := dns.Copy(rrs[0]).(*dns.SOA)
			soa.Hdr.Ttl = min(soa.Hdr.Ttl, soa.Minttl)
			return soa
		}
		if apex == "." {
			break
		}
	}
	apex := name
	for dns.CountLabel(apex) > 2 {
		apex = parent(apex)
	}
	return defaultSOA(apex)
}

func defaultSOA(apex string) *dns.SOA {
	return &dns.SOA{
		Hdr: dns.RR_Header{Name: apex, Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: defaultTTL},
		Ns:  "ns.strictmxtest.invalid.", Mbox: "hostmaster.strictmxtest.invalid.",
		Serial: 1, Refresh: 7200, Retry: 900, Expire: 1209600, Minttl: defaultTTL,
	}
}

// finding is what the zones say to a question.
type finding struct {
	answer, authority []dns.RR
	rcode             int
	names             []string // those that the answer rests on
}

// resolve answers as a recursive resolver would: it follows CNAME records.
func (z zones) resolve(name string, rrtype uint16) finding {
	var f finding
	for range maxChain {
		f.names = append(f.names, name)
		sets, exists := z.find(name)
		if rrs := sets[rrtype]; len(rrs) > 0 {
			f.answer = append(f.answer, owned(rrs, name)...)
			return f
		}
		alias := sets[dns.TypeCNAME]
		if len(alias) == 0 {
			f.authority = []dns.RR{z.soa(name)}
			if !exists {
				f.rcode = dns.RcodeNameError // also at the end of a chain (RFC 6604, section 3)
			}
			return f
		}
		f.answer = append(f.answer, owned(alias[:1], name)...)
		name = dns.CanonicalName(alias[0].(*dns.CNAME).Target)
	}
	return finding{rcode: dns.RcodeServerFailure, names: f.names}
}

// owned returns records under the name that was asked for, where they come from
// a wildcard.
func owned(rrs []dns.RR, name string) []dns.RR {
	if dns.CanonicalName(rrs[0].Header().Name) == name {
		return rrs
	}
	return renamed(rrs, name)
}

func renamed(rrs []dns.RR, name string) []dns.RR {
	out := make([]dns.RR, len(rrs))
	for i, rr := range rrs {
		out[i] = dns.Copy(rr)
		out[i].Header().Name = name
	}
	return out
}
