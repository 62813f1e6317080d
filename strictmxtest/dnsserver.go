package strictmxtest

import (
	"net"
	"strings"

	"github.com/miekg/dns"
)

// maxUDP is the largest reply sent over UDP, to clients that say they take it.
const maxUDP = 4096

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
