package strictmxtest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// DNSFault is something wrong with the answers to a question; see [DNS.Fault].
type DNSFault uint32

// What a name server can do wrong.
const (
	_ DNSFault = iota
	_
	// ServFail answers SERVFAIL; see also [Extended].
	ServFail
	// Refused answers REFUSED.
	Refused
	// NXDomain denies the name.
	NXDomain
	// NoData denies the records of this type.
	NoData
	// NoAnswer is silence.
	NoAnswer
	// Truncated answers over UDP with the TC bit and no record; TCP has them all.
	Truncated
	// TruncatedTCPReset does so as well, and resets the TCP connection.
	TruncatedTCPReset
	// Doubled answers every TXT record twice, the second time with another field
	// at the end; records of other types come twice as they are.
	Doubled
	// Garbled answers TXT records whose every semicolon is a byte outside ASCII;
	// records of other types come as in [Malformed].
	Garbled
	// Malformed answers a packet whose record is longer than the packet.
	Malformed
	// WrongID answers under another id.
	WrongID
	// WrongQuestion answers under the right id to a question nobody asked.
	WrongQuestion
	// Spoofed sends forged answers ahead of the true one: one under another id,
	// one to another question. Over TCP, which nobody can do that to, the true one comes alone.
	Spoofed
	// CNAMELoop answers with two names that are aliases of each other.
	CNAMELoop

	extended
	cnameChain
)

// Extended answers SERVFAIL with an extended error (RFC 8914, section 4), such
// as 6 for DNSSEC Bogus.
func Extended(code uint16) DNSFault { return extended | DNSFault(argument(int(code))) }

// CNAMEChain puts n aliases between the name and its records, each below the
// name itself.
func CNAMEChain(n uint16) DNSFault { return cnameChain | DNSFault(argument(int(n))) }

// DNSFaults returns every fault a name server knows, for tests that walk them
// all; where a fault takes a number, with those that matter.
func DNSFaults() []DNSFault {
	return []DNSFault{
		ServFail, Extended(6), Extended(22), Refused, NXDomain, NoData, NoAnswer, Truncated, TruncatedTCPReset,
		Doubled, Garbled, Malformed, WrongID, WrongQuestion, Spoofed, CNAMEChain(1), CNAMEChain(7), CNAMEChain(20), CNAMELoop,
	}
}

func (f DNSFault) kind() DNSFault { return f & (1<<argShift - 1) }
func (f DNSFault) arg() int       { return int(f >> argShift) }

// String is the fault's name.
func (f DNSFault) String() string {
	switch f.kind() {
	case None:
		return "none"
	case ServFail:
		return "SERVFAIL"
	case Refused:
		return "REFUSED"
	case NXDomain:
		return "NXDOMAIN"
	case NoData:
		return "NODATA"
	case NoAnswer:
		return "no answer"
	case Truncated:
		return "truncated"
	case TruncatedTCPReset:
		return "truncated, TCP reset"
	case Doubled:
		return "doubled record"
	case Garbled:
		return "garbled record"
	case Malformed:
		return "malformed packet"
	case WrongID:
		return "wrong id"
	case WrongQuestion:
		return "wrong question"
	case Spoofed:
		return "spoofed answers first"
	case CNAMELoop:
		return "CNAME loop"
	case extended:
		return fmt.Sprintf("SERVFAIL with extended error %d", f.arg())
	case cnameChain:
		return fmt.Sprintf("chain of %d CNAMEs", f.arg())
	}
	return fmt.Sprintf("DNSFault(%d)", uint32(f))
}

// spoil turns the true reply into the packets that the fault makes of it.
func (f DNSFault) spoil(m *dns.Msg, size int, tcp bool) [][]byte {
	switch f.kind() {
	case ServFail, extended:
		return f.refuse(m, dns.RcodeServerFailure)
	case Refused:
		return f.refuse(m, dns.RcodeRefused)
	case NXDomain, NoData:
		m.Answer, m.Rcode = nil, dns.RcodeSuccess
		if f == NXDomain {
			m.Rcode = dns.RcodeNameError
		}
		if len(m.Ns) == 0 {
			m.Ns = []dns.RR{defaultSOA(apexOf(m))}
		}
	case NoAnswer:
		return nil
	case Truncated, TruncatedTCPReset:
		switch {
		case !tcp:
			m.Answer, m.Ns, m.Truncated = nil, nil, true
		case f == TruncatedTCPReset:
			return [][]byte{nil}
		}
	case Doubled:
		m.Answer = doubled(m.Answer)
	case Garbled:
		var ok bool
		if m.Answer, ok = garbled(m.Answer); !ok {
			return malformed(m)
		}
	case Malformed:
		return malformed(m)
	case WrongID, WrongQuestion:
		return pack(f.forge(m))
	case Spoofed:
		if !tcp {
			forged := append(pack(WrongID.forge(m.Copy())), pack(WrongQuestion.forge(m.Copy()))...)
			m.Truncate(size)
			return append(forged, pack(m)...)
		}
	}
	m.Truncate(size)
	return pack(m)
}

func (f DNSFault) refuse(m *dns.Msg, rcode int) [][]byte {
	m.Answer, m.Ns, m.Rcode, m.AuthenticatedData = nil, nil, rcode, false
	if opt := m.IsEdns0(); opt != nil && f.kind() == extended {
		opt.Option = append(opt.Option, &dns.EDNS0_EDE{InfoCode: uint16(f.arg()), ExtraText: "ordered by the test"})
	}
	return pack(m)
}

// forge makes the reply one that its client must not believe: what it says is
// of somebody else's making.
func (f DNSFault) forge(m *dns.Msg) *dns.Msg {
	m.Answer = slices.DeleteFunc(forged(m.Question[0]), func(rr dns.RR) bool { return rr == nil })
	m.Ns, m.Rcode = nil, dns.RcodeSuccess
	if f == WrongID {
		m.Id++
	} else {
		m.Question[0].Name = "forged." + strings.TrimPrefix(m.Question[0].Name, ".")
	}
	return m
}

// forged are records that would do harm if somebody believed them.
func forged(q dns.Question) []dns.RR {
	h := dns.RR_Header{Name: q.Name, Rrtype: q.Qtype, Class: dns.ClassINET, Ttl: defaultTTL}
	switch q.Qtype {
	case dns.TypeTXT:
		return []dns.RR{&dns.TXT{Hdr: h, Txt: []string{"v=STSv1; id=forged;"}}}
	case dns.TypeMX:
		return []dns.RR{&dns.MX{Hdr: h, Preference: 1, Mx: "forged.invalid."}}
	case dns.TypeA:
		return []dns.RR{&dns.A{Hdr: h, A: []byte{127, 255, 255, 254}}}
	}
	return nil
}

func doubled(rrs []dns.RR) []dns.RR {
	out := slices.Clone(rrs)
	for _, rr := range rrs {
		again := dns.Copy(rr)
		if txt, ok := again.(*dns.TXT); ok {
			text := strings.TrimRight(strings.Join(txt.Txt, ""), "; ") + "; doubled=1;"
			txt.Txt = slices.Collect(slicesOf(text, 255))
		}
		out = append(out, again)
	}
	return out
}

// slicesOf yields s in pieces of at most n bytes.
func slicesOf(s string, n int) func(func(string) bool) {
	return func(yield func(string) bool) {
		for len(s) > n {
			if !yield(s[:n]) {
				return
			}
			s = s[n:]
		}
		yield(s)
	}
}

func garbled(rrs []dns.RR) (out []dns.RR, ok bool) {
	for _, rr := range rrs {
		bad := dns.Copy(rr)
		if txt, is := bad.(*dns.TXT); is {
			for i := range txt.Txt {
				txt.Txt[i] = strings.ReplaceAll(txt.Txt[i], ";", `\255`) // in the notation of zone files
			}
			ok = true
		}
		out = append(out, bad)
	}
	return out, ok
}

// malformed answers with one record that claims more bytes than there are.
func malformed(m *dns.Msg) [][]byte {
	m.Answer, m.Ns, m.Extra = nil, nil, nil
	m.Rcode = dns.RcodeSuccess
	p, err := m.Pack()
	if err != nil {
		return nil
	}
	p[7] = 1 // ANCOUNT
	q := m.Question[0].Qtype
	p = append(p, 0xc0, 12, byte(q>>8), byte(q), 0, 1, 0, 0, 1, 44, 0xff, 0xff, 'v', '=')
	return [][]byte{p}
}

func apexOf(m *dns.Msg) string {
	name := dns.CanonicalName(m.Question[0].Name)
	for dns.CountLabel(name) > 2 {
		name = parent(name)
	}
	return name
}
