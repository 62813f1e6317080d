package resolver

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// links is a chain of n CNAMEs from c0.test to a TXT record.
func links(n int) []string {
	var rrs []string
	for i := range n {
		rrs = append(rrs, fmt.Sprintf("c%d.test. %d IN CNAME C%d.test.", i, 100-i, i+1))
	}
	return append(rrs, fmt.Sprintf(`c%d.test. 500 IN TXT "end"`, n))
}

// onlyOne answers with the records at the name asked for alone, as a server does
// that leaves the chain to us.
func onlyOne(h handler) handler {
	return func(network string, req, reply *dns.Msg) {
		h(network, req, reply)
		reply.Rcode = dns.RcodeSuccess
		if len(reply.Answer) > 0 && reply.Answer[0].Header().Rrtype == dns.TypeCNAME {
			reply.Answer, reply.Ns = reply.Answer[:1], nil
		}
	}
}

func TestChain(t *testing.T) {
	for _, tc := range []struct {
		rule string
		h    handler
		want []string
		ttl  time.Duration
		name string
		nx   bool
		kind Kind
	}{
		{"the TTL is the smallest along the chain", zone(t, links(3)...), []string{"end"}, 98 * time.Second, "c3.test", false, ""}, // STS-12, STS-33
		{"eight CNAMEs are followed", zone(t, links(8)...), []string{"end"}, 93 * time.Second, "c8.test", false, ""},               // R10
		{"nine are not", zone(t, links(9)...), nil, 0, "", false, KindChain},                                                       // R10
		{"a chain in pieces is followed", onlyOne(zone(t, links(8)...)), []string{"end"}, 93 * time.Second, "c8.test", false, ""},  // R10
		{"nine pieces are not", onlyOne(zone(t, links(9)...)), nil, 0, "", false, KindChain},                                       // R10
		{"a name that is its own alias is a loop", zone(t, "c0.test. 1 IN CNAME c0.test."), nil, 0, "", false, KindChain},
		{"a loop of two is a loop", zone(t, "c0.test. 1 IN CNAME c1.test.", "c1.test. 1 IN CNAME C0.test."), nil, 0, "", false, KindChain},
		{"a loop in pieces is a loop", onlyOne(zone(t, "c0.test. 1 IN CNAME c1.test.", "c1.test. 1 IN CNAME c0.test.")), nil, 0, "", false, KindChain},
		{"a chain to a name that does not exist ends there", zone(t, "c0.test. 70 IN CNAME c1.test.", "test. 60 IN SOA ns. h. 1 2 3 4 50"),
			nil, 50 * time.Second, "c1.test", true, ""},
		{"the absence at its end lasts no longer than the chain", zone(t, "c0.test. 7 IN CNAME c1.test.", "test. 60 IN SOA ns. h. 1 2 3 4 50"),
			nil, 7 * time.Second, "c1.test", true, ""},
		{"a chain to a name without such a record ends there", zone(t, "c0.test. 70 IN CNAME c1.test.", "c1.test. 1 IN A 192.0.2.1", "test. 60 IN SOA ns. h. 1 2 3 4 50"),
			nil, 50 * time.Second, "c1.test", false, ""},
		{"records at the name itself win over a CNAME beside them", zone(t, `c0.test. 60 IN TXT "own"`), []string{"own"}, time.Minute, "c0.test", false, ""},
		{"a chain to an odd name is followed byte by byte", onlyOne(zone(t, `c0.test. 70 IN CNAME a\.b\ \000.test.`, `a\.b\ \000.test. 60 IN TXT "odd"`)),
			[]string{"odd"}, time.Minute, `a\.b\ \000.test`, false, ""},
		{"a chain to the root ends there", onlyOne(zone(t, `c0.test. 70 IN CNAME .`, `. 60 IN SOA ns. h. 1 2 3 4 50`)), nil, 50 * time.Second, "", false, ""},
		{"records beside NXDOMAIN are a contradiction", func(network string, req, reply *dns.Msg) {
			zone(t, `c0.test. 60 IN TXT "x"`)(network, req, reply)
			reply.Rcode = dns.RcodeNameError
		}, nil, 0, "", false, KindMalformed},
	} {
		t.Run(tc.rule, func(t *testing.T) {
			s := startServer(t, tc.h)
			c := &Client{Servers: []string{s.addr}}
			a, err := c.TXT(context.Background(), "c0.test")
			if tc.kind != "" {
				if e := wantKind(t, err, tc.kind); e.Name != "c0.test" || e.Type != "TXT" || !e.Temporary() {
					t.Errorf("error = %+v", e)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(a.Records, tc.want) || a.TTL != tc.ttl || a.CanonicalName != tc.name || a.NXDomain != tc.nx {
				t.Errorf("answer = %+v, want %q, TTL %v, name %q, NXDomain %v", a, tc.want, tc.ttl, tc.name, tc.nx)
			}
		})
	}
}

// R10: a chain of any length costs a bounded number of questions.
func TestEndlessChain(t *testing.T) {
	var n atomic.Int32
	s := startServer(t, func(_ string, req, reply *dns.Msg) {
		rr, err := dns.NewRR(fmt.Sprintf("%s 60 IN CNAME c%d.test.", req.Question[0].Name, n.Add(1)))
		if err != nil {
			t.Error(err)
		}
		reply.Answer = []dns.RR{rr}
	})
	_, err := (&Client{Servers: []string{s.addr}}).TXT(context.Background(), "start.test")
	wantKind(t, err, KindChain)
	if n := len(s.asked()); n != maxLinks+1 {
		t.Errorf("%d questions, want %d", n, maxLinks+1)
	}
}

// DANE-08: one insecure link makes the whole insecure, and a failure at any link
// is a failure of the whole.
func TestChainIsAsGoodAsItsWorstLink(t *testing.T) {
	h := onlyOne(zone(t, links(2)...))
	answer := func(insecure string, rcode int) (Answer[string], error) {
		s := startServer(t, func(network string, req, reply *dns.Msg) {
			h(network, req, reply)
			reply.AuthenticatedData = true
			if strings.HasPrefix(req.Question[0].Name, insecure) {
				reply.AuthenticatedData, reply.Rcode = false, rcode
			}
		})
		return (&Client{Servers: []string{s.addr}}).TXT(context.Background(), "c0.test")
	}
	if a, err := answer("nowhere", 0); err != nil || !a.Secure {
		t.Errorf("all links secure: %+v, %v", a, err)
	}
	for _, link := range []string{"c0", "c1", "c2"} {
		if a, err := answer(link, 0); err != nil || a.Secure {
			t.Errorf("%s insecure: %+v, %v", link, a, err)
		}
		if _, err := answer(link, dns.RcodeServerFailure); err == nil {
			t.Errorf("%s failed, and there is an answer", link)
		}
	}
}
