package strictmxtest

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/miekg/dns"
)

// DNS is the world's name server. It answers over UDP and TCP for every name
// there is: authoritatively, and following CNAME records as a resolver would.
type DNS struct {
	w   *World
	udp *net.UDPConn
	tcp listener

	mu      sync.Mutex // guards what follows
	zones   zones
	faults  map[question]DNSFault
	secure  map[string]bool
	queries []Query
	counts  map[question]int
}

// question is a canonical name and a type; "*" stands for any.
type question struct{ name, rrtype string }

// Query is one question that reached the name server.
type Query struct {
	Name string // in lower case, without the dot at the end; "." for the root
	Type string // such as "TXT"
	TCP  bool
	// RecursionDesired, AuthenticData and DNSSECOK are the bits RD, AD and DO.
	RecursionDesired, AuthenticData, DNSSECOK bool
	UDPSize                                   int // from EDNS0; 0: none
}

// String is the query as one reads it in a log.
func (q Query) String() string {
	if q.TCP {
		return q.Name + " " + q.Type + " (TCP)"
	}
	return q.Name + " " + q.Type
}

func newDNS(w *World) (*DNS, error) {
	d := &DNS{
		w: w, zones: newZones(),
		faults: map[question]DNSFault{}, secure: map[string]bool{}, counts: map[question]int{},
	}
	d.tcp = listener{w: w, serve: d.serveTCP}
	for {
		if _, err := d.tcp.start(w.address, 0); err != nil {
			return nil, fmt.Errorf("name server: %w", err)
		}
		udp, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(d.tcp.address()))
		if err == nil {
			d.udp = udp
			udp.SetReadBuffer(1 << 20) // a burst of hundreds must not be lost; what the system grants will do
			break
		}
		if err := d.tcp.refuse(true); err != nil { // the number is taken for UDP: look for another
			return nil, fmt.Errorf("name server: %w", err)
		}
	}
	w.addrs[d.tcp.addr.Addr()] = d
	w.group.Go(d.serveUDP)
	return d, nil
}

func (d *DNS) close() {
	d.tcp.close()
	if d.udp != nil {
		d.udp.Close()
	}
}

func (d *DNS) forget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.queries = nil
	clear(d.counts)
}

func (d *DNS) endpoint(port uint16) (netip.AddrPort, bool) {
	addr := d.tcp.address()
	return addr, port == 53 || port == addr.Port()
}

// Addr is where the name server listens, as "address:port".
func (d *DNS) Addr() string { return d.tcp.address().String() }

// Set publishes records, given in the syntax of zone files, a record to a line
// and any number of lines to a string, indented or not:
//
//	w.DNS.Set("example.com. 300 IN MX 10 mx1.example.com.")
//
// They take the place of all records with the same name and type. TTL and class
// may be left out, they are 300 and IN. A zone that shall have another negative
// TTL than 300 gets its own SOA record.
func (d *DNS) Set(records ...string) { d.change(records, zones.set) }

// Add publishes records beside those with the same name and type.
func (d *DNS) Add(records ...string) { d.change(records, zones.add) }

// publish sets a record unless the name has any already.
func (d *DNS) publish(record string) {
	rrs, err := parseRecords(record)
	if err != nil {
		d.w.fail("record %q: %v", record, err)
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.zones.sets[dns.CanonicalName(rrs[0].Header().Name)] == nil {
		d.zones.add(rrs)
	}
}

func (d *DNS) change(records []string, apply func(zones, []dns.RR)) {
	rrs, err := parseRecords(strings.Join(records, "\n"))
	if err != nil {
		d.w.helper()()
		d.w.fail("records %q: %v", records, err)
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	apply(d.zones, rrs)
}

// Remove takes away the records of a name, those of the types given or all.
func (d *DNS) Remove(name string, types ...string) {
	name = dns.CanonicalName(name)
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(types) == 0 {
		for rrtype := range d.zones.sets[name] {
			d.zones.remove(name, rrtype)
		}
	}
	for _, t := range types {
		rrtype, ok := dns.StringToType[strings.ToUpper(t)]
		if !ok {
			d.w.helper()()
			d.w.fail("remove %s: no record type %q", name, t)
		}
		d.zones.remove(name, rrtype)
	}
}

// Fault orders a fault for the questions for a name and a type; "*" stands for
// any name or any type, and the more exact order counts. [None] lifts it.
func (d *DNS) Fault(name, rrtype string, f DNSFault) {
	rrtype = strings.ToUpper(rrtype)
	if _, ok := dns.StringToType[rrtype]; !ok && rrtype != "*" {
		d.w.helper()()
		d.w.fail("fault at %s: no record type %q", name, rrtype)
		return
	}
	if name != "*" {
		name = dns.CanonicalName(name)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if f == None {
		delete(d.faults, question{name, rrtype})
		return
	}
	d.faults[question{name, rrtype}] = f
}

// Secure says whether answers about a name and all names below it carry the AD
// bit, as those of a validating resolver do for a signed zone; the longest name
// counts. The bit is shown to clients that ask with AD or DO (RFC 6840, section
// 5.7), and only where the whole answer is secure.
func (d *DNS) Secure(name string, yes bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.secure[dns.CanonicalName(name)] = yes
}

// Queries returns every question so far, in order.
func (d *DNS) Queries() []Query {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.queries)
}

// Count returns how many questions came for a name and a type; "*" stands for
// any.
func (d *DNS) Count(name, rrtype string) int {
	if name != "*" {
		name = dns.CanonicalName(name)
	}
	rrtype = strings.ToUpper(rrtype)
	d.mu.Lock()
	defer d.mu.Unlock()
	if name != "*" && rrtype != "*" {
		return d.counts[question{name, rrtype}]
	}
	n := 0
	for q, count := range d.counts {
		if (name == "*" || q.name == name) && (rrtype == "*" || q.rrtype == rrtype) {
			n += count
		}
	}
	return n
}
