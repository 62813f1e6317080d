package resolver

import (
	"crypto/rand"
	"encoding/binary"

	"github.com/miekg/dns"

	"github.com/strictmx/strictmx/internal/dnsname"
)

const (
	headerSize = 12 // RFC 1035, section 4.1.1
	// udpSize is what we let servers send in one datagram: small enough never to
	// be cut into fragments, which could be forged (RFC 9715).
	udpSize = 1232

	bitResponse      = 1 << 15 // QR
	maskOpcode       = 0xf << 11
	bitAuthoritative = 1 << 10 // AA
	bitTruncated     = 1 << 9  // TC
	bitDesired       = 1 << 8  // RD
	bitAvailable     = 1 << 7  // RA
	bitAuthentic     = 1 << 5  // AD
)

// question is what is asked; the class is always IN.
type question struct {
	name  string // in presentation form, without its last dot
	qtype uint16
}

// query is one question in wire form.
type query struct {
	wire  []byte
	end   int // of the question
	qtype uint16
}

// newQuery makes a query that has no id yet.
func newQuery(qn question, edns bool) (*query, error) {
	buf := make([]byte, headerSize+255+4+11)
	// AD asks for the AD bit of the reply without asking for signatures (RFC 6840, section 5.7).
	binary.BigEndian.PutUint16(buf[2:], bitDesired|bitAuthentic)
	binary.BigEndian.PutUint16(buf[4:], 1) // QDCOUNT
	off, err := dns.PackDomainName(dns.Fqdn(qn.name), buf, headerSize, nil, false)
	if err != nil {
		return nil, err
	}
	binary.BigEndian.PutUint16(buf[off:], qn.qtype)
	binary.BigEndian.PutUint16(buf[off+2:], dns.ClassINET)
	q := &query{end: off + 4, qtype: qn.qtype}
	off = q.end
	if edns { // RFC 6891, section 6.1.2: an OPT record at the root, version 0, no options
		binary.BigEndian.PutUint16(buf[10:], 1) // ARCOUNT
		binary.BigEndian.PutUint16(buf[off+1:], dns.TypeOPT)
		binary.BigEndian.PutUint16(buf[off+3:], udpSize)
		off += 11
	}
	q.wire = buf[:off]
	return q, nil
}

// renew gives the query an id that nobody can guess (RFC 5452, section 9.2).
func (q *query) renew() { rand.Read(q.wire[:2]) }

// answeredBy reports whether msg is a reply to this very query. Anything else
// that arrives is somebody else's, or forged, and says nothing of the server.
func (q *query) answeredBy(msg []byte) bool {
	if len(msg) < headerSize || msg[0] != q.wire[0] || msg[1] != q.wire[1] {
		return false
	}
	flags := binary.BigEndian.Uint16(msg[2:])
	if flags&bitResponse == 0 || flags&maskOpcode != 0 {
		return false
	}
	switch binary.BigEndian.Uint16(msg[4:]) {
	case 0: // servers that could not, or would not, read the question send back the bare header
		return flags&0xf != 0 && flags&0xf != dns.RcodeNameError && binary.BigEndian.Uint16(msg[6:]) == 0
	case 1:
		return len(msg) >= q.end && sameQuestion(msg[headerSize:q.end], q.wire[headerSize:q.end])
	}
	return false
}

// sameQuestion compares names without regard to case (RFC 4343), and type and
// class exactly. A length octet is at most 63 and never taken for a letter.
func sameQuestion(a, b []byte) bool {
	name := len(a) - 4
	for i := range a {
		x, y := a[i], b[i]
		if i < name {
			x, y = dnsname.LowerByte(x), dnsname.LowerByte(y)
		}
		if x != y {
			return false
		}
	}
	return true
}
