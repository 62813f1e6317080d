package resolver

import (
	"context"
	"encoding/binary"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// startRaw answers every UDP query with the packets that reply makes of it.
func startRaw(t *testing.T, reply func(query []byte) [][]byte) string {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go func() {
		buf := make([]byte, 4096)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			for _, p := range reply(slices.Clone(buf[:n])) {
				conn.WriteTo(p, from)
			}
		}
	}()
	return conn.LocalAddr().String()
}

// packed is a true reply to query with one TXT record.
func packed(t testing.TB, query []byte, text string) []byte {
	t.Helper()
	req := new(dns.Msg)
	if err := req.Unpack(query); err != nil {
		t.Errorf("our query is no DNS message: %v", err)
		return nil
	}
	m := new(dns.Msg).SetReply(req)
	m.Answer = []dns.RR{&dns.TXT{Hdr: dns.RR_Header{Name: req.Question[0].Name, Rrtype: dns.TypeTXT, Class: dns.ClassINET, Ttl: 60}, Txt: []string{text}}}
	wire, err := m.Pack()
	if err != nil {
		t.Errorf("packing: %v", err)
	}
	return wire
}

// forgeries are replies to something else than query, by rule.
func forgeries(t testing.TB, query []byte) map[string][]byte {
	change := func(f func(b []byte) []byte) []byte { return f(packed(t, query, "forged")) }
	other := func(name string, qtype, class uint16) []byte {
		req := &dns.Msg{MsgHdr: dns.MsgHdr{Id: binary.BigEndian.Uint16(query)}, Question: []dns.Question{{Name: name, Qtype: qtype, Qclass: class}}}
		wire, err := req.Pack()
		if err != nil {
			t.Error(err)
		}
		return packed(t, wire, "forged")
	}
	return map[string][]byte{
		"another id":               change(func(b []byte) []byte { b[0]++; return b }),
		"another name":             other("other.test.", dns.TypeTXT, dns.ClassINET),
		"a longer name":            other("name.test.test.", dns.TypeTXT, dns.ClassINET),
		"another type":             other("name.test.", dns.TypeA, dns.ClassINET),
		"another class":            other("name.test.", dns.TypeTXT, dns.ClassCHAOS),
		"a query":                  query,
		"another opcode":           change(func(b []byte) []byte { b[2] |= 1 << 5; return b }),
		"no question":              change(func(b []byte) []byte { b[5] = 0; return b }),
		"no question and NXDOMAIN": change(func(b []byte) []byte { b[3], b[5] = 3, 0; return b[:12] }),
		"two questions":            change(func(b []byte) []byte { b[5] = 2; return b }),
		"half a header":            query[:6],
		"half a question":          change(func(b []byte) []byte { return b[:16] }),
		"nothing":                  {},
		"noise":                    []byte(strings.Repeat("\xff", 100)),
		"much noise":               []byte(strings.Repeat("\xc0", 4000)),
	}
}

// A packet that is not to our query says nothing: the true reply is waited for.
func TestForgedFirst(t *testing.T) {
	addr := startRaw(t, func(query []byte) [][]byte {
		var packets [][]byte
		for _, p := range forgeries(t, query) {
			packets = append(packets, p)
		}
		return append(packets, packed(t, query, "true"))
	})
	a, err := (&Client{Servers: []string{addr}}).TXT(context.Background(), "name.test")
	if err != nil || !slices.Equal(a.Records, []string{"true"}) {
		t.Errorf("answer = %+v, %v; want the true one", a, err)
	}
}

func TestForgedAlone(t *testing.T) {
	q, err := newQuery(question{"name.test", dns.TypeTXT}, true)
	if err != nil {
		t.Fatal(err)
	}
	for rule := range forgeries(t, q.wire) {
		t.Run(rule, func(t *testing.T) {
			addr := startRaw(t, func(query []byte) [][]byte { return [][]byte{forgeries(t, query)[rule]} })
			_, err := (&Client{Servers: []string{addr}, Timeout: 20 * time.Millisecond, Attempts: 1}).TXT(context.Background(), "name.test")
			if e := wantKind(t, err, KindTimeout); !e.Timeout() || e.Server != addr {
				t.Errorf("error = %+v", e)
			}
		})
	}
}

// The name in the question may come back in another case (RFC 4343).
func TestQuestionInAnotherCase(t *testing.T) {
	addr := startRaw(t, func(query []byte) [][]byte {
		p := packed(t, query, "true")
		copy(p[13:], "NaMe")
		return [][]byte{p}
	})
	a, err := (&Client{Servers: []string{addr}}).TXT(context.Background(), "name.test")
	if err != nil || len(a.Records) != 1 {
		t.Errorf("answer = %+v, %v", a, err)
	}
}

func TestMalformedReply(t *testing.T) {
	change := func(f func(b []byte) []byte) func(*testing.T, []byte) []byte {
		return func(t *testing.T, query []byte) []byte { return f(packed(t, query, "text")) }
	}
	with := func(data ...byte) func(*testing.T, []byte) []byte {
		return change(func(b []byte) []byte {
			b = b[:len(b)-len("text")-3] // without the data and its length
			return append(binary.BigEndian.AppendUint16(b, uint16(len(data))), data...)
		})
	}
	for _, tc := range []struct {
		rule string
		make func(*testing.T, []byte) []byte
	}{
		{"cut inside a record", change(func(b []byte) []byte { return b[:len(b)-1] })},
		{"cut between two records", change(func(b []byte) []byte { b[7] = 2; return b })},
		{"cut before the authority section", change(func(b []byte) []byte { b[9] = 1; return b })},
		{"cut before the additional section", change(func(b []byte) []byte { b[11] = 1; return b })},
		{"more records than bytes", change(func(b []byte) []byte { b[6], b[7] = 0xff, 0xff; return b })},
		{"a name that points to itself", change(func(b []byte) []byte { q := 12 + 11 + 4; b[q], b[q+1] = 0xc0, byte(q); return b })},
		{"a name that points beyond the end", change(func(b []byte) []byte { q := 12 + 11 + 4; b[q], b[q+1] = 0xff, 0xff; return b })},
		{"a record without data", with()},
		{"a character-string that ends too late", with(5, 'a')},
	} {
		t.Run(tc.rule, func(t *testing.T) {
			addr := startRaw(t, func(query []byte) [][]byte { return [][]byte{tc.make(t, query)} })
			_, err := (&Client{Servers: []string{addr}, Attempts: 1}).TXT(context.Background(), "name.test")
			wantKind(t, err, KindMalformed)
		})
	}
}

// An MX record without data is not a null MX.
func TestEmptyMXIsMalformed(t *testing.T) {
	addr := startRaw(t, func(query []byte) [][]byte {
		b := append(slices.Clone(query[:len(query)-11]), 0xc0, 12, 0, byte(dns.TypeMX), 0, 1, 0, 0, 0, 60, 0, 0)
		b[2] |= 0x80
		b[7], b[11] = 1, 0
		return [][]byte{b}
	})
	a, err := (&Client{Servers: []string{addr}, Attempts: 1}).MX(context.Background(), "name.test")
	if err == nil {
		t.Fatalf("answer = %+v", a)
	}
	wantKind(t, err, KindMalformed)
}

// A reply that does not fit into a datagram is asked for again over TCP.
func TestTruncation(t *testing.T) {
	long := strings.Repeat("0123456789", 25)
	big := func(reply *dns.Msg, n int) {
		for range n {
			reply.Answer = append(reply.Answer, &dns.TXT{Hdr: dns.RR_Header{Name: reply.Question[0].Name, Rrtype: dns.TypeTXT, Class: 1, Ttl: 9}, Txt: []string{long}})
		}
	}
	for _, tc := range []struct {
		rule string
		h    handler
		want int
	}{
		{"truncated, without records", func(network string, _, reply *dns.Msg) {
			if reply.Truncated = network == "udp"; !reply.Truncated {
				big(reply, 200)
			}
		}, 200},
		{"truncated, with some of the records", func(network string, _, reply *dns.Msg) {
			if reply.Truncated = network == "udp"; reply.Truncated {
				big(reply, 1)
			} else {
				big(reply, 20)
			}
		}, 20},
		{"larger than we allowed", func(_ string, _, reply *dns.Msg) { big(reply, 20) }, 20},
		{"as large as we allow", func(_ string, _, reply *dns.Msg) { big(reply, 4) }, 4},
	} {
		t.Run(tc.rule, func(t *testing.T) {
			s := startServer(t, tc.h)
			a, err := (&Client{Servers: []string{s.addr}}).TXT(context.Background(), "name.test")
			if err != nil || len(a.Records) != tc.want {
				t.Fatalf("%d records, %v; want %d", len(a.Records), err, tc.want)
			}
			want := []string{"udp name.test. TXT", "tcp name.test. TXT"}
			if tc.want == 4 {
				want = want[:1]
			}
			if got := s.asked(); !slices.Equal(got, want) {
				t.Errorf("asked %q, want %q", got, want)
			}
		})
	}
}

// startStream answers every TCP connection with the bytes that reply makes of
// the query, and UDP with "truncated".
func startStream(t *testing.T, reply func(query []byte) []byte) string {
	t.Helper()
	udp, tcp := listenBoth(t)
	t.Cleanup(func() { udp.Close(); tcp.Close() })
	go func() {
		buf := make([]byte, 4096)
		for {
			n, from, err := udp.ReadFrom(buf)
			if err != nil {
				return
			}
			buf[2] |= 0x82 // QR, TC
			udp.WriteTo(buf[:n], from)
		}
	}()
	go func() {
		for {
			conn, err := tcp.Accept()
			if err != nil {
				return
			}
			buf := make([]byte, 4096)
			if n, err := conn.Read(buf); err == nil && n > 14 {
				conn.Write(reply(buf[2:n]))
			}
			conn.Close()
		}
	}()
	return udp.LocalAddr().String()
}

func TestHostileStream(t *testing.T) {
	frame := func(b []byte) []byte { return append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...) }
	for _, tc := range []struct {
		rule  string
		reply func(query []byte) []byte
		kind  Kind
	}{
		{"a true reply is an answer", func(q []byte) []byte { return frame(packed(t, q, "true")) }, ""},
		{"truncated over TCP", func(q []byte) []byte { p := packed(t, q, "x"); p[2] |= 2; return frame(p) }, KindMalformed},
		{"not to our query", func(q []byte) []byte { p := packed(t, q, "x"); p[0]++; return frame(p) }, KindMalformed},
		{"no message at all", func([]byte) []byte { return frame(nil) }, KindMalformed},
		{"cut inside a record", func(q []byte) []byte { p := packed(t, q, "x"); return frame(p[:len(p)-1]) }, KindMalformed},
		{"closed without a reply", func([]byte) []byte { return nil }, KindNetwork},
		{"closed in the length", func([]byte) []byte { return []byte{0} }, KindNetwork},
		{"closed in the message", func(q []byte) []byte { return frame(packed(t, q, "x"))[:20] }, KindNetwork},
	} {
		t.Run(tc.rule, func(t *testing.T) {
			addr := startStream(t, tc.reply)
			a, err := (&Client{Servers: []string{addr}, Attempts: 1, Timeout: time.Second}).TXT(context.Background(), "name.test")
			if tc.kind != "" {
				wantKind(t, err, tc.kind)
			} else if err != nil || len(a.Records) != 1 {
				t.Errorf("answer = %+v, %v", a, err)
			}
		})
	}
}

// Each query has an id and a port of its own (RFC 5452, section 9.2).
func TestQueriesCannotBeGuessed(t *testing.T) {
	ids, ports := map[string]bool{}, map[string]bool{}
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 4096)
		for range 10 {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			ids[string(buf[:2])] = true
			ports[from.String()] = true
			conn.WriteTo(packed(t, buf[:n], "x"), from)
		}
	}()
	defer conn.Close()
	c := &Client{Servers: []string{conn.LocalAddr().String()}}
	for range 10 {
		if _, err := c.TXT(context.Background(), "name.test"); err != nil {
			t.Fatal(err)
		}
	}
	<-done
	if len(ids) < 8 || len(ports) < 5 { // equal ones by chance: less than once in 10^9 runs
		t.Errorf("%d ids and %d ports in 10 queries", len(ids), len(ports))
	}
}
