package resolver

import (
	"encoding/binary"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// maxExtended bounds how many extended errors of one reply are kept.
const maxExtended = 4

// malformed is an error in what a server sent, in our own words.
type malformed string

func (m malformed) Error() string { return string(m) }

const (
	errMalformed malformed = "the reply is no valid DNS message"
	errEmptyData malformed = "a record in the reply has no data"
	errMismatch  malformed = "the reply over TCP is not to our query"
	errTruncated malformed = "the reply over TCP is truncated"
	errNXRecords malformed = "the reply has records and says that the name does not exist"
	errReferral  malformed = "a referral instead of an answer; the server does not recurse"
)

// reply is what matters of a reply's message.
type reply struct {
	rcode     int
	truncated bool
	authentic bool     // the AD bit
	hasOPT    bool     // the server knows EDNS0
	referral  bool     // it points to other servers and has no answer
	records   []dns.RR // of the answer section: CNAMEs and the type asked for
	soa       *dns.SOA // of the authority section
	extended  []ExtendedError
}

// parseReply reads a message that answeredBy found to be a reply to q. Of a
// truncated reply it reads the header alone. Owner names in it are canonical.
func parseReply(q *query, msg []byte) (*reply, error) {
	flags := binary.BigEndian.Uint16(msg[2:])
	r := &reply{
		rcode:     int(flags & 0xf),
		truncated: flags&bitTruncated != 0,
		authentic: flags&bitAuthentic != 0,
	}
	if r.truncated {
		return r, nil
	}
	off := headerSize
	if binary.BigEndian.Uint16(msg[4:]) == 1 {
		off = q.end
	}
	// The counts of the header must be true: a reply cut short between two records
	// would pass for a whole one.
	for section := range 3 {
		for range binary.BigEndian.Uint16(msg[6+2*section:]) {
			rr, next, err := r.unpack(msg, off, q.qtype)
			if err != nil {
				return nil, err
			}
			r.keep(section, rr, q.qtype)
			off = next
		}
	}
	r.referral = r.referral && r.rcode == dns.RcodeSuccess && flags&(bitAuthoritative|bitAvailable) == 0 &&
		len(r.records) == 0 && r.soa == nil
	return r, nil
}

// keep files a record of the answer section (0) or the authority section (1).
func (r *reply) keep(section int, rr dns.RR, qtype uint16) {
	switch rr := rr.(type) {
	case nil:
	case *dns.SOA:
		if section == 1 && r.soa == nil {
			r.soa = rr
		}
	case *dns.NS:
		r.referral = r.referral || section == 1
	default:
		if t := rr.Header().Rrtype; section == 0 && (t == qtype || t == dns.TypeCNAME) {
			r.records = append(r.records, rr)
		}
	}
}

// unpack reads the record at off and returns it, if it may matter, and where the
// next one begins. The contents of other records are not even looked at; OPT is
// read here.
func (r *reply) unpack(msg []byte, off int, qtype uint16) (dns.RR, int, error) {
	name, off, err := dns.UnpackDomainName(msg, off)
	if err != nil || off+10 > len(msg) {
		return nil, 0, errMalformed
	}
	h := dns.RR_Header{
		Name:     name,
		Rrtype:   binary.BigEndian.Uint16(msg[off:]),
		Class:    binary.BigEndian.Uint16(msg[off+2:]),
		Ttl:      binary.BigEndian.Uint32(msg[off+4:]),
		Rdlength: binary.BigEndian.Uint16(msg[off+8:]),
	}
	off += 10
	end := off + int(h.Rdlength)
	if end > len(msg) {
		return nil, 0, errMalformed
	}
	switch h.Rrtype {
	case dns.TypeOPT:
		r.option(h, msg[off:end])
		return nil, end, nil
	case qtype, dns.TypeCNAME, dns.TypeSOA, dns.TypeNS:
	default:
		return nil, end, nil
	}
	if h.Class != dns.ClassINET {
		return nil, end, nil
	}
	if h.Rdlength == 0 { // legal in updates alone; an MX without data would pass for a null MX
		return nil, 0, errEmptyData
	}
	if h.Ttl >= 1<<31 { // RFC 2181, section 8
		h.Ttl = 0
	}
	h.Name = canonical(name)
	rr, _, err := dns.UnpackRRWithHeader(h, msg[:end], off)
	if err != nil {
		return nil, 0, errMalformed
	}
	return rr, end, nil
}

// option reads an OPT record: the upper bits of the response code (RFC 6891,
// section 6.1.3) and the extended errors (RFC 8914, section 2).
func (r *reply) option(h dns.RR_Header, data []byte) {
	if r.hasOPT || h.Name != "." {
		return
	}
	r.hasOPT = true
	r.rcode |= int(h.Ttl>>24) << 4
	for len(data) >= 4 {
		code, size := binary.BigEndian.Uint16(data), int(binary.BigEndian.Uint16(data[2:]))
		data = data[4:]
		if size > len(data) {
			return
		}
		if code == dns.EDNS0EDE && size >= 2 && len(r.extended) < maxExtended {
			text := clean(strings.TrimRight(string(data[2:size]), "\x00"), maxForeign)
			r.extended = append(r.extended, ExtendedError{
				Code: binary.BigEndian.Uint16(data),
				Text: strings.ReplaceAll(text, `"`, "'"),
			})
		}
		data = data[size:]
	}
}

// at returns the records of one type at a canonical name.
func (r *reply) at(name string, rrtype uint16) []dns.RR {
	var found []dns.RR
	for _, rr := range r.records {
		if h := rr.Header(); h.Rrtype == rrtype && h.Name == name {
			found = append(found, rr)
		}
	}
	return found
}

// negativeTTL says how long the absence of name may be believed: the smaller of
// the SOA's TTL and its MINIMUM field (RFC 2308, section 5).
func (r *reply) negativeTTL(name string) (time.Duration, bool) {
	if r.soa == nil || !dns.IsSubDomain(dns.Fqdn(r.soa.Hdr.Name), dns.Fqdn(name)) {
		return -1, false
	}
	minimum := r.soa.Minttl
	if minimum >= 1<<31 {
		minimum = 0
	}
	return seconds(min(r.soa.Hdr.Ttl, minimum)), true
}

func seconds(ttl uint32) time.Duration { return time.Duration(ttl) * time.Second }

// canonical returns a name out of a message in lower case and without its last
// dot; "" is the root. Bytes that no host name has stay escaped with a
// backslash, so that no such name turns into a valid one.
func canonical(name string) string { return strings.TrimSuffix(dns.CanonicalName(name), ".") }
