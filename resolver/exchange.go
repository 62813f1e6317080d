package resolver

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"time"

	"github.com/miekg/dns"
)

// ask puts one question to the servers in turn until one answers. A server that
// said it cannot or will not answer is not asked again; one that kept silent is.
// The AD bit survives in the reply only if that server is trusted.
func (c *Client) ask(ctx context.Context, cfg config, qn question) (*reply, *Error) {
	var worst *Error
	gone := make([]bool, len(cfg.servers))
	tries := cfg.attempts * len(cfg.servers)
	for try := range tries {
		i := try % len(cfg.servers)
		if gone[i] || worst != nil && ctx.Err() != nil {
			continue
		}
		s := cfg.servers[i]
		end, _ := ctx.Deadline()
		// Every server must get its turn within the limit for the name.
		timeout := min(cfg.timeout, time.Until(end)/time.Duration(tries-try))
		r, e := c.askServer(ctx, s, qn, timeout)
		if e == nil {
			r.authentic = r.authentic && s.trusted
			return r, nil
		}
		e.Server = s.addr.String()
		if worst == nil || rank(e) > rank(worst) {
			worst = e
		}
		gone[i] = e.Kind == KindServFail || e.Kind == KindRefused
		if s.trusted && slices.ContainsFunc(e.Extended, ExtendedError.bogus) {
			// It validates, and found a lie. A server that does not validate would
			// only repeat the lie.
			for j := range gone {
				gone[j] = gone[j] || !cfg.servers[j].trusted
			}
		}
	}
	return nil, worst
}

// askServer asks one server: over UDP, over TCP if the reply does not fit, and
// without EDNS0 if the server does not know that (RFC 6891, section 7).
func (c *Client) askServer(ctx context.Context, s server, qn question, timeout time.Duration) (*reply, *Error) {
	network, edns := "udp", true
	for {
		q, err := newQuery(qn, edns)
		if err != nil { // of a CNAME's target; the name asked for is valid
			return nil, &Error{Kind: KindMalformed, Err: err}
		}
		try, cancel := context.WithTimeout(ctx, timeout)
		r, err := c.exchange(try, network, s.addr.String(), q)
		cancel()
		if err != nil {
			return nil, failure(err)
		}
		switch {
		case r.truncated && network == "udp":
			network = "tcp" // RFC 7766, section 5
		case edns && !r.hasOPT && (r.rcode == dns.RcodeFormatError || r.rcode == dns.RcodeNotImplemented):
			edns = false
		default:
			return r, r.failure()
		}
	}
}

// failure returns the error that a reply is, if it is one.
func (r *reply) failure() *Error {
	e := &Error{RCode: r.rcode, Extended: r.extended}
	switch {
	case r.referral:
		e.Kind, e.Err = KindRefused, errReferral
	case r.rcode == dns.RcodeSuccess, r.rcode == dns.RcodeNameError:
		return nil
	case r.rcode == dns.RcodeServerFailure:
		e.Kind = KindServFail
	default:
		e.Kind = KindRefused
	}
	return e
}

// exchange sends q over a socket of its own, so that the source port is as hard
// to guess as the id (RFC 5452, section 9.2), and returns the reply. The deadline
// of ctx bounds it.
func (c *Client) exchange(ctx context.Context, network, address string, q *query) (r *reply, err error) {
	defer func() {
		if p := recover(); p != nil { // R20: of a dial hook, or of the parser
			r, err = nil, malformed(fmt.Sprint("panic: ", p))
		}
	}()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	dial := c.Dial
	if dial == nil {
		dial = (&net.Dialer{KeepAlive: -1}).DialContext
	}
	conn, err := dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	end, _ := ctx.Deadline()
	if err := conn.SetDeadline(end); err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	q.renew()
	if _, packets := conn.(net.PacketConn); packets {
		return overPackets(conn, q)
	}
	return overStream(conn, q)
}

// overPackets waits for the reply to q among all that arrives: the first packet
// may well be forged.
func overPackets(conn net.Conn, q *query) (*reply, error) {
	if _, err := conn.Write(q.wire); err != nil {
		return nil, err
	}
	buf := make([]byte, udpSize+1)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return nil, err
		}
		if !q.answeredBy(buf[:n]) {
			continue
		}
		if n > udpSize { // more than we allowed: it came in fragments, if it is whole at all
			return &reply{truncated: true}, nil
		}
		return parseReply(q, buf[:n])
	}
}

// overStream exchanges one message each way with its length in front (RFC 1035,
// section 4.2.2).
func overStream(conn net.Conn, q *query) (*reply, error) {
	msg := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(q.wire)), uint16(len(q.wire)))
	if _, err := conn.Write(append(msg, q.wire...)); err != nil {
		return nil, err
	}
	var size [2]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return nil, err
	}
	buf := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(conn, buf); err != nil {
		return nil, err
	}
	if !q.answeredBy(buf) {
		return nil, errMismatch
	}
	r, err := parseReply(q, buf)
	if err == nil && r.truncated {
		return nil, errTruncated
	}
	return r, err
}
