package resolver

import (
	"testing"

	"github.com/miekg/dns"
)

// FuzzReply takes any bytes for the reply to any question: there is no panic,
// and what comes out is bounded and printable.
func FuzzReply(f *testing.F) {
	types := []uint16{dns.TypeTXT, dns.TypeMX, dns.TypeA, dns.TypeAAAA, dns.TypeTLSA, dns.TypeCNAME}
	seed := func(i int, records ...string) {
		req := new(dns.Msg).SetQuestion("a.test.", types[i])
		reply := new(dns.Msg).SetReply(req)
		reply.SetEdns0(1232, false)
		reply.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_EDE{InfoCode: 6, ExtraText: "text"}}
		zone(f, records...)("udp", req, reply)
		wire, err := reply.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(byte(i), wire[4:])
	}
	seed(0, `a.test. 60 IN CNAME b.test.`, `b.test. 60 IN TXT "v=STSv1; " "\195\"\\"`)
	seed(1, `a.test. 60 IN MX 10 b\.c.test.`, `a.test. 60 IN MX 0 .`)
	seed(2, `a.test. 60 IN A 192.0.2.1`)
	seed(3, `a.test. 60 IN AAAA 2001:db8::1`)
	seed(4, `a.test. 60 IN TLSA 3 1 1 00ff`)
	seed(5, `a.test. 60 IN CNAME a.test.`)
	seed(0, `a.test. 60 IN CNAME b.test.`, `b.test. 60 IN CNAME a.test.`)
	seed(0, `test. 60 IN SOA ns. h. 1 2 3 4 5`)
	f.Fuzz(func(t *testing.T, i byte, body []byte) {
		qtype := types[int(i)%len(types)]
		q, err := newQuery(question{"a.test", qtype}, true)
		if err != nil {
			t.Fatal(err)
		}
		// The flags are as likely as not to be those of a reply; the id always is.
		msg := append([]byte{q.wire[0], q.wire[1], 0x80, 0}, body...)
		if len(msg) > 8 && i&0x80 != 0 {
			msg[2], msg[3] = 0x80|msg[7], msg[8]
		}
		if len(msg) > 1<<16-1 || !q.answeredBy(msg) {
			return
		}
		r, err := parseReply(q, msg)
		if err != nil {
			return
		}
		if len(r.extended) > maxExtended || len(r.records)*11 > len(msg) {
			t.Fatalf("%d extended errors and %d records in %d bytes", len(r.extended), len(r.records), len(msg))
		}
		if e := r.failure(); e != nil {
			wantKind(t, e, e.Kind)
		}
		w := &walk{question: question{"a.test", qtype}, secure: true}
		done, e := w.follow(r)
		if e != nil {
			wantKind(t, e, e.Kind)
			return
		}
		if len(w.seen) > maxLinks || !oneLine(clean(w.name, 512)) || !done && w.name == "a.test" {
			t.Fatalf("%d links to %q, done %v", len(w.seen), w.name, done)
		}
		judgeAnswer(t, w)
	})
}

// judgeAnswer makes the answer of a walk, as the methods of Client do.
func judgeAnswer(t *testing.T, w *walk) {
	printable := func(name string) {
		if len(name) > 1010 || !oneLine(name[:min(len(name), 512)]) || !oneLine(name[max(0, len(name)-512):]) {
			t.Fatalf("name %q", name)
		}
	}
	printable(w.name)
	switch w.qtype {
	case dns.TypeTXT:
		for _, s := range answerOf(w, textOf).Records {
			if len(s) > 1<<16 {
				t.Fatalf("a text of %d bytes", len(s))
			}
		}
	case dns.TypeMX:
		for _, mx := range answerOf(w, mxOf).Records {
			printable(mx.Host)
		}
	case dns.TypeTLSA:
		answerOf(w, tlsaOf)
	case dns.TypeCNAME:
		for _, s := range answerOf(w, targetOf).Records {
			printable(s)
		}
	case dns.TypeA:
		for _, a := range answerOf(w, addrOf).Records {
			if !a.Is4() {
				t.Fatalf("A record %v", a)
			}
		}
	case dns.TypeAAAA:
		for _, a := range answerOf(w, addrOf).Records {
			if !a.Is6() {
				t.Fatalf("AAAA record %v", a)
			}
		}
	}
}

// FuzzUnescape: what the parser escapes, unescape turns back, byte by byte.
func FuzzUnescape(f *testing.F) {
	f.Add([]byte("v=STSv1; id=1;"))
	f.Add([]byte("\xc3\x00\"\\\\065\x7f\\"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 255 {
			text = text[:255]
		}
		data := append([]byte{byte(len(text))}, text...)
		h := dns.RR_Header{Rrtype: dns.TypeTXT, Class: dns.ClassINET, Rdlength: uint16(len(data))}
		rr, _, err := dns.UnpackRRWithHeader(h, data, 0)
		if err != nil {
			t.Fatal(err)
		}
		if got := textOf(rr); got != string(text) {
			t.Errorf("%q became %q", text, got)
		}
	})
}
