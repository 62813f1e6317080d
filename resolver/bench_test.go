package resolver

import (
	"context"
	"testing"

	"github.com/miekg/dns"
)

// BenchmarkParse reads one reply with a TXT record behind a CNAME.
func BenchmarkParse(b *testing.B) {
	req := new(dns.Msg).SetQuestion("_mta-sts.example.test.", dns.TypeTXT)
	reply := new(dns.Msg).SetReply(req)
	zone(b, "_mta-sts.example.test. 60 IN CNAME sts.provider.test.", `sts.provider.test. 60 IN TXT "v=STSv1; id=20260101;"`)("udp", req, reply)
	reply.Compress = true
	wire, err := reply.Pack()
	if err != nil {
		b.Fatal(err)
	}
	qn := question{"_mta-sts.example.test", dns.TypeTXT}
	q, err := newQuery(qn, true)
	if err != nil {
		b.Fatal(err)
	}
	copy(q.wire, wire[:2])
	b.ReportAllocs()
	for b.Loop() {
		if !q.answeredBy(wire) {
			b.Fatal("not the answer")
		}
		r, err := parseReply(q, wire)
		if err != nil {
			b.Fatal(err)
		}
		w := &walk{question: qn, secure: true}
		if done, e := w.follow(r); !done || e != nil {
			b.Fatal(e)
		}
		if a := answerOf(w, textOf); len(a.Records) != 1 {
			b.Fatal(a)
		}
	}
}

// BenchmarkTXT asks a server on loopback; the server's own work is included.
func BenchmarkTXT(b *testing.B) {
	s := startServer(b, zone(b, `_mta-sts.example.test. 60 IN TXT "v=STSv1; id=20260101;"`))
	c := &Client{Servers: []string{s.addr}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.TXT(context.Background(), "_mta-sts.example.test"); err != nil {
			b.Fatal(err)
		}
	}
}
