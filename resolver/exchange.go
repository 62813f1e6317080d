package resolver

import (
	"cmp"
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
func (c *Client) ask(ctx, limited context.Context, cfg config, name string, qtype uint16) (*reply, *Error) {
	var worst *Error
	gone := make([]bool, len(cfg.servers))
	tries := cfg.attempts * len(cfg.servers)
	for try := range tries {
		i := try % len(cfg.servers)
		if gone[i] {
			continue
		}
		s := cfg.servers[i]
		end, _ := limited.Deadline()
		// Every server must get its turn within the limit for the name.
		timeout := min(cfg.timeout, time.Until(end)/time.Duration(tries-try))
		r, e := c.askServer(ctx, limited, s, name, qtype, timeout)
		if e == nil {
			r.authentic = r.authentic && s.trusted
			return r, nil
		}
		e.Server = s.addr.String()
		if worst == nil || e.Kind.rank() > worst.Kind.rank() {
			worst = e
		}
		if e.Kind == KindCanceled {
			return nil, e
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
func (c *Client) askServer(ctx, limited context.Context, s server, name string, qtype uint16, timeout time.Duration) (*reply, *Error) {
	network, edns := "udp", true
	for {
		q, err := newQuery(name, qtype, edns)
		if err != nil {
			return nil, &Error{Kind: KindMalformed, Err: err} // a CNAME's target; the name asked for was checked
		}
		r, err := c.exchange(limited, network, s, q, timeout)
		if err != nil {
			if e, ok := err.(*Error); ok && ended(ctx) == nil {
				return nil, e
			}
			kind, cause := failure(ctx, err)
			return nil, &Error{Kind: kind, Err: cause}
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
// to guess as the id (RFC 5452, section 9.2), and returns the reply.
func (c *Client) exchange(ctx context.Context, network string, s server, q *query, timeout time.Duration) (r *reply, err error) {
	defer func() {
		if p := recover(); p != nil { // R20: of a dial hook, or of the parser
			r, err = nil, &Error{Kind: KindMalformed, Err: fmt.Errorf("panic: %v", p)}
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	dial := c.Dial
	if dial == nil {
		dial = (&net.Dialer{KeepAlive: -1}).DialContext
	}
	conn, err := dial(ctx, network, s.addr.String())
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
		return read(q, buf[:n])
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
		return nil, &Error{Kind: KindMalformed, Err: errMalformed}
	}
	r, err := read(q, buf)
	if err == nil && r.truncated {
		return nil, &Error{Kind: KindMalformed, Err: errTruncated}
	}
	return r, err
}

// read is parseReply with its error in our terms.
func read(q *query, msg []byte) (*reply, error) {
	r, err := parseReply(q, msg)
	if err != nil {
		return nil, &Error{Kind: KindMalformed, Err: cmp.Or(err, errMalformed)}
	}
	return r, nil
}
