package resolver

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/miekg/dns"

	"github.com/strictmx/strictmx/internal/dnsname"
)

const (
	maxLinks    = 8                // CNAMEs followed for one name
	lookupLimit = 10 * time.Second // for one name in all, whatever the servers do
)

var (
	errLoop    = errors.New("the CNAME chain comes back to where it was")
	errTooLong = errors.New("the CNAME chain has more than 8 links")
)

// walk is the way from the name asked for to its records.
type walk struct {
	question          // where we are; the name is canonical
	seen     []string // the names before it
	ttl      time.Duration
	known    bool // ttl was set by a record
	secure   bool
	records  []dns.RR
	nx       bool
}

// lookup asks for the records of one type at name and follows the CNAMEs.
func (c *Client) lookup(ctx context.Context, name string, qtype uint16) (*walk, error) {
	fail := &Error{Name: clean(name, maxForeign), Type: dns.TypeToString[qtype]}
	name, err := dnsname.Host(name)
	if err != nil {
		fail.Kind, fail.Err = KindName, err
		return nil, fail
	}
	fail.Name = name
	cfg, err := c.config()
	if err != nil {
		fail.Kind, fail.Err = KindNetwork, err
		return nil, fail
	}
	w := &walk{question: question{name, qtype}, secure: true}
	if e := c.walk(ctx, cfg, w); e != nil {
		e.Name, e.Type = fail.Name, fail.Type
		if end := ended(ctx); end != nil { // R34
			e.Kind, e.Err = KindCanceled, end
		}
		return nil, e
	}
	return w, nil
}

// walk takes w to its end.
func (c *Client) walk(ctx context.Context, cfg config, w *walk) *Error {
	ctx, cancel := context.WithTimeout(ctx, lookupLimit)
	defer cancel()
	for {
		r, e := c.ask(ctx, cfg, w.question)
		if e != nil {
			return e
		}
		w.secure = w.secure && r.authentic
		if done, e := w.follow(r); done || e != nil {
			return e
		}
	}
}

// follow goes as far as r leads, and reports whether that is the end. If it is
// not, the server left it to us to ask for the target of the last CNAME.
func (w *walk) follow(r *reply) (bool, *Error) {
	start := w.name
	for {
		if w.records = r.at(w.name, w.qtype); len(w.records) > 0 {
			break
		}
		if w.qtype == dns.TypeCNAME {
			break
		}
		links := r.at(w.name, dns.TypeCNAME)
		if len(links) == 0 {
			break
		}
		if e := w.step(links[0]); e != nil {
			return false, e
		}
	}
	if len(w.records) > 0 {
		if r.rcode == dns.RcodeNameError {
			return false, &Error{Kind: KindMalformed, Err: errNXRecords}
		}
		for _, rr := range w.records {
			w.shorten(seconds(rr.Header().Ttl))
		}
		return true, nil
	}
	// The response code speaks of the last name of the chain (RFC 6604, section 3).
	w.nx = r.rcode == dns.RcodeNameError
	ttl, known := r.negativeTTL(w.name)
	if !known && !w.nx && w.name != start {
		return false, nil
	}
	if known {
		w.shorten(ttl)
	} else {
		w.ttl = -1
	}
	return true, nil
}

// step goes over one CNAME.
func (w *walk) step(link dns.RR) *Error {
	w.seen = append(w.seen, w.name)
	w.name = canonical(link.(*dns.CNAME).Target)
	if slices.Contains(w.seen, w.name) {
		return &Error{Kind: KindChain, Err: errLoop}
	}
	if len(w.seen) > maxLinks { // R10
		return &Error{Kind: KindChain, Err: errTooLong}
	}
	w.shorten(seconds(link.Header().Ttl))
	return nil
}

// shorten lowers the TTL: the chain holds no longer than its shortest link.
func (w *walk) shorten(ttl time.Duration) {
	if !w.known || ttl < w.ttl {
		w.ttl, w.known = ttl, true
	}
}
