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

// maxUDP is the largest reply sent over UDP, to clients that say they take it.
const maxUDP = 4096

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

func (d *DNS) serveUDP() {
	buf := make([]byte, 65536)
	for {
		n, from, err := d.udp.ReadFromUDPAddrPort(buf)
		if err != nil {
			select {
			case <-d.w.done:
				return
			default:
				continue // an ICMP error of an earlier reply
			}
		}
		for _, reply := range d.reply(buf[:n], false) {
			d.udp.WriteToUDPAddrPort(reply, from)
		}
	}
}

func (d *DNS) serveTCP(conn net.Conn) {
	c := dns.Conn{Conn: conn}
	for {
		query, err := c.ReadMsgHeader(nil)
		if err != nil {
			return
		}
		replies := d.reply(query, true)
		if len(replies) == 1 && len(replies[0]) == 0 {
			reset(conn)
			return
		}
		for _, reply := range replies {
			if _, err := c.Write(reply); err != nil {
				return
			}
		}
	}
}

// reply returns the packets that answer a query: none for silence; an empty one
// cuts a TCP connection.
func (d *DNS) reply(packet []byte, tcp bool) [][]byte {
	query, m := new(dns.Msg), new(dns.Msg)
	if err := query.Unpack(packet); err != nil || query.Response {
		return nil // nothing that deserves an answer
	}
	m.SetReply(query)
	m.Compress, m.RecursionAvailable, m.Authoritative = true, true, true
	size := dns.MinMsgSize
	opt := query.IsEdns0()
	if opt != nil {
		m.SetEdns0(maxUDP, opt.Do())
		size = min(max(int(opt.UDPSize()), dns.MinMsgSize), maxUDP)
	}
	if tcp {
		size = dns.MaxMsgSize
	}
	switch {
	case query.Opcode != dns.OpcodeQuery:
		m.Rcode = dns.RcodeNotImplemented
	case len(query.Question) != 1 || query.Question[0].Qclass != dns.ClassINET:
		m.Rcode = dns.RcodeRefused
	case opt != nil && opt.Version() != 0:
		m.Rcode = dns.RcodeBadVers // RFC 6891, section 6.1.3
	default:
		return d.answer(query, m, size, tcp)
	}
	return pack(m)
}

// answer fills in the reply to a proper question.
func (d *DNS) answer(query, m *dns.Msg, size int, tcp bool) [][]byte {
	name, rrtype := dns.CanonicalName(query.Question[0].Name), query.Question[0].Qtype
	d.mu.Lock()
	fault := d.note(query, name, tcp)
	f, hop := d.chained(name, rrtype), fault.kind()
	if f == nil {
		found := d.zones.resolve(name, rrtype)
		f = &found
	}
	secure := d.isSecure(f.names)
	if hop == cnameChain || hop == CNAMELoop {
		f = chain(*f, name, 0, fault)
	}
	d.mu.Unlock()

	m.Answer, m.Ns, m.Rcode = f.answer, f.authority, f.rcode
	opt := query.IsEdns0()
	m.AuthenticatedData = secure && (query.AuthenticatedData || opt != nil && opt.Do())
	return fault.spoil(m, size, tcp)
}

// note records a query and returns the fault ordered for it. The caller holds mu.
func (d *DNS) note(query *dns.Msg, name string, tcp bool) DNSFault {
	rrtype := dns.Type(query.Question[0].Qtype).String()
	q := Query{
		Name: strings.TrimSuffix(name, "."), Type: rrtype, TCP: tcp,
		RecursionDesired: query.RecursionDesired, AuthenticData: query.AuthenticatedData,
	}
	if name == "." {
		q.Name = name
	}
	if opt := query.IsEdns0(); opt != nil {
		q.DNSSECOK, q.UDPSize = opt.Do(), int(opt.UDPSize())
	}
	d.queries = append(d.queries, q)
	d.counts[question{name, rrtype}]++
	fault := d.fault(name, rrtype)
	d.w.journal.add("DNS   %v  [%v]", q, fault)
	return fault
}

func (d *DNS) fault(name, rrtype string) DNSFault {
	for _, q := range []question{{name, rrtype}, {name, "*"}, {"*", rrtype}, {"*", "*"}} {
		if f, ok := d.faults[q]; ok {
			return f
		}
	}
	return None
}

// isSecure says whether all names are in secure zones. The caller holds mu.
func (d *DNS) isSecure(names []string) bool {
	for _, name := range names {
		yes, known := d.secure[name]
		for !known && name != "." {
			name = parent(name)
			yes, known = d.secure[name]
		}
		if !yes {
			return false
		}
	}
	return true
}

func pack(m *dns.Msg) [][]byte {
	p, err := m.Pack()
	if err != nil { // records that fit no message
		m.Answer, m.Ns, m.Rcode = nil, nil, dns.RcodeServerFailure
		if p, err = m.Pack(); err != nil {
			return nil
		}
	}
	return [][]byte{p}
}
