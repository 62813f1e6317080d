package resolver

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// The TTL of an absence is 300, the smaller of 900 and the last number.
const soa = "example.test. 900 IN SOA ns.example.test. hostmaster.example.test. 1 2 3 4 300"

func TestTXT(t *testing.T) {
	long := strings.Repeat("a", 255)
	s := startServer(t, zone(t, soa,
		`_mta-sts.example.test. 60 IN TXT "v=STSv1; i" "d=abc"`,
		`two.example.test. 60 IN TXT "one"`,
		`two.example.test. 30 IN TXT "two"`,
		`twice.example.test. 60 IN TXT "v=STSv1; id=1"`,
		`twice.example.test. 60 IN TXT "v=STSv1; id=1"`,
		`bytes.example.test. 60 IN TXT "\195\000\"\\\255 " "\\065"`,
		`digits.example.test. 60 IN TXT "1\\2" "34"`,
		`empty.example.test. 60 IN TXT ""`,
		`long.example.test. 60 IN TXT "`+long+`" "`+long+`" "b"`,
	))
	c := &Client{Servers: []string{s.addr}}
	for _, tc := range []struct {
		rule, name string
		want       []string
		ttl        time.Duration
	}{
		{"the character-strings of one record are joined without a separator", "_mta-sts.example.test", []string{"v=STSv1; id=abc"}, 60 * time.Second}, // STS-13
		{"case and a trailing dot do not count", "_MTA-STS.Example.Test.", []string{"v=STSv1; id=abc"}, 60 * time.Second},
		{"two records stay two, with the smaller TTL", "two.example.test", []string{"one", "two"}, 30 * time.Second}, // STS-33
		{"the same text published twice is two records", "twice.example.test", []string{"v=STSv1; id=1", "v=STSv1; id=1"}, 60 * time.Second},
		{"bytes come as they were published", "bytes.example.test", []string{"\xc3\x00\"\\\xff \\065"}, 60 * time.Second},
		{"a backslash before digits is a backslash", "digits.example.test", []string{`1\234`}, 60 * time.Second},
		{"an empty text is a record", "empty.example.test", []string{""}, 60 * time.Second},
		{"a text may be longer than one string", "long.example.test", []string{long + long + "b"}, 60 * time.Second},
		{"a name without TXT has no records for the SOA's minimum", "example.test", nil, 300 * time.Second}, // STS-33
	} {
		t.Run(tc.rule, func(t *testing.T) {
			a, err := c.TXT(context.Background(), tc.name)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(a.Records, tc.want) {
				t.Errorf("Records = %q, want %q", a.Records, tc.want)
			}
			if a.TTL != tc.ttl || a.NXDomain || a.Secure {
				t.Errorf("TTL, NXDomain, Secure = %v, %v, %v; want %v, false, false", a.TTL, a.NXDomain, a.Secure, tc.ttl)
			}
		})
	}
}

// A name out of a reply is never altered into a valid one.
func TestMX(t *testing.T) {
	s := startServer(t, zone(t,
		`example.test. 60 IN MX 20 MX2.Example.Test.`,
		`example.test. 60 IN MX 10 mx1.example.test.`,
		`null.test. 60 IN MX 0 .`,
		`odd.test. 60 IN MX 1 a\.b.test.`,
		`odd.test. 60 IN MX 2 a\000.test.`,
		`odd.test. 60 IN MX 3 a\ b.test.`,
		`odd.test. 60 IN MX 4 b\195\188cher.test.`,
		`odd.test. 60 IN MX 5 192.0.2.1.`,
		`odd.test. 60 IN MX 6 *.test.`,
		`odd.test. 60 IN MX 7 a\\.test.`,
		`odd.test. 60 IN MX 8 test\..`,
	))
	c := &Client{Servers: []string{s.addr}}
	for _, tc := range []struct {
		rule, name string
		want       []MX
	}{
		{"hosts are in lower case, without a dot, in the order of the reply", "example.test", []MX{{20, "mx2.example.test"}, {10, "mx1.example.test"}}},
		{"a null MX has the empty host", "null.test", []MX{{0, ""}}}, // SMTP-04
		{"bytes that no host name has stay escaped", "odd.test", []MX{
			{1, `a\.b.test`}, {2, `a\000.test`}, {3, `a\ b.test`}, {4, `b\195\188cher.test`},
			{5, "192.0.2.1"}, {6, "*.test"}, {7, `a\\.test`}, {8, `test\.`}}},
	} {
		t.Run(tc.rule, func(t *testing.T) {
			a, err := c.MX(context.Background(), tc.name)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(a.Records, tc.want) {
				t.Errorf("Records = %+v, want %+v", a.Records, tc.want)
			}
		})
	}
}

func TestTLSAAndCNAME(t *testing.T) {
	s := startServer(t, zone(t, soa,
		`_25._tcp.mx.example.test. 60 IN TLSA 3 1 1 00ff10`,
		`_25._tcp.mx.example.test. 60 IN TLSA 255 7 0 ab`,
		`alias.example.test. 60 IN CNAME Next.example.test.`,
		`next.example.test. 30 IN CNAME end.example.test.`,
		`end.example.test. 30 IN A 192.0.2.1`,
	))
	c := &Client{Servers: []string{s.addr}}
	tlsa, err := c.TLSA(context.Background(), "_25._tcp.mx.example.test")
	if err != nil || len(tlsa.Records) != 2 {
		t.Fatalf("TLSA = %+v, %v", tlsa, err)
	}
	if r := tlsa.Records[0]; r.Usage != 3 || r.Selector != 1 || r.MatchingType != 1 || !bytes.Equal(r.Data, []byte{0, 0xff, 0x10}) {
		t.Errorf("TLSA record = %+v", r)
	}
	alias, err := c.CNAME(context.Background(), "alias.example.test") // DANE-18: the first link alone
	if err != nil || !slices.Equal(alias.Records, []string{"next.example.test"}) || alias.TTL != time.Minute || alias.CanonicalName != "alias.example.test" {
		t.Errorf("CNAME of an alias = %+v, %v", alias, err)
	}
	plain, err := c.CNAME(context.Background(), "end.example.test")
	if err != nil || len(plain.Records) != 0 || plain.NXDomain || plain.TTL != 300*time.Second {
		t.Errorf("CNAME of a name that is no alias = %+v, %v", plain, err)
	}
}

// STS-34: "there is none" is an answer, and says for how long.
func TestAbsenceIsAnAnswer(t *testing.T) {
	for _, tc := range []struct {
		rule  string
		reply handler
		want  Answer[string]
	}{
		{"a name that does not exist", zone(t, soa), Answer[string]{TTL: 300 * time.Second, NXDomain: true}},
		{"a name without such a record", zone(t, soa, "name.example.test. 60 IN A 192.0.2.1"), Answer[string]{TTL: 300 * time.Second}},
		{"the SOA's own TTL counts where it is smaller", zone(t, strings.Replace(soa, "900", "20", 1)), Answer[string]{TTL: 20 * time.Second, NXDomain: true}},
		{"without a SOA nobody knows for how long", zone(t), Answer[string]{TTL: -1, NXDomain: true}},
		{"the SOA of a stranger does not count", func(_ string, _, reply *dns.Msg) {
			rr, _ := dns.NewRR("other.test. 900 IN SOA ns. h. 1 2 3 4 300")
			reply.Ns = []dns.RR{rr}
		}, Answer[string]{TTL: -1}},
		{"the SOA of a name that only ends alike does not count", func(_ string, _, reply *dns.Msg) {
			rr, _ := dns.NewRR("ample.test. 900 IN SOA ns. h. 1 2 3 4 300")
			reply.Ns = []dns.RR{rr}
		}, Answer[string]{TTL: -1}},
		{"a TTL with the highest bit set is zero", func(_ string, _, reply *dns.Msg) { // RFC 2181, section 8
			rr, _ := dns.NewRR("example.test. 4294967295 IN SOA ns. h. 1 2 3 4 4294967295")
			reply.Ns = []dns.RR{rr}
		}, Answer[string]{TTL: 0}},
		{"a minimum with the highest bit set is zero", func(_ string, _, reply *dns.Msg) {
			rr, _ := dns.NewRR("example.test. 60 IN SOA ns. h. 1 2 3 4 4294967295")
			reply.Ns = []dns.RR{rr}
		}, Answer[string]{TTL: 0}},
		{"records of another name, type or class are none", func(_ string, _, reply *dns.Msg) {
			for _, s := range []string{`other.test. 1 IN TXT "no"`, `name.example.test. 1 IN SPF "no"`, `name.example.test. 1 CH TXT "no"`} {
				rr, err := dns.NewRR(s)
				if err != nil {
					t.Fatal(err)
				}
				reply.Answer = append(reply.Answer, rr)
			}
		}, Answer[string]{TTL: -1}},
		{"records of the additional section are none", func(_ string, _, reply *dns.Msg) {
			rr, _ := dns.NewRR(`name.example.test. 1 IN TXT "no"`)
			reply.Extra = append(reply.Extra, rr)
		}, Answer[string]{TTL: -1}},
	} {
		t.Run(tc.rule, func(t *testing.T) {
			s := startServer(t, tc.reply)
			c := &Client{Servers: []string{s.addr}}
			a, err := c.TXT(context.Background(), "name.example.test")
			if err != nil {
				t.Fatal(err)
			}
			if len(a.Records) != 0 || a.TTL != tc.want.TTL || a.NXDomain != tc.want.NXDomain || a.CanonicalName != "name.example.test" {
				t.Errorf("answer = %+v, want %+v", a, tc.want)
			}
		})
	}
}

func TestAddr(t *testing.T) {
	refuse := func(qtype uint16, rcode int, h handler) handler {
		return func(network string, req, reply *dns.Msg) {
			if h(network, req, reply); req.Question[0].Qtype == qtype {
				reply.Answer, reply.Ns, reply.Rcode = nil, nil, rcode
			}
		}
	}
	both := zone(t, soa,
		"mx.example.test. 60 IN A 192.0.2.1", "mx.example.test. 60 IN A 192.0.2.2",
		"mx.example.test. 30 IN AAAA 2001:db8::1", "alias.example.test. 5 IN CNAME four.example.test.",
		"four.example.test. 60 IN A 192.0.2.4", `text.example.test. 60 IN TXT "x"`)
	addr := netip.MustParseAddr
	for _, tc := range []struct {
		rule    string
		handler handler
		name    string
		want    []netip.Addr
		ttl     time.Duration
		nx      bool
		kind    Kind
	}{
		{"IPv6 comes first, and the smaller TTL counts", both, "mx.example.test",
			[]netip.Addr{addr("2001:db8::1"), addr("192.0.2.1"), addr("192.0.2.2")}, 30 * time.Second, false, ""},
		{"one family is enough", both, "four.example.test", []netip.Addr{addr("192.0.2.4")}, 60 * time.Second, false, ""},
		{"a name without addresses has none", both, "text.example.test", nil, 300 * time.Second, false, ""},
		{"a name that does not exist has none", both, "none.example.test", nil, 300 * time.Second, true, ""},
		{"AAAA failed and A answered: the answer is A's", refuse(dns.TypeAAAA, dns.RcodeServerFailure, both), "mx.example.test",
			[]netip.Addr{addr("192.0.2.1"), addr("192.0.2.2")}, 60 * time.Second, false, ""},
		{"A failed and AAAA answered: the answer is AAAA's", refuse(dns.TypeA, dns.RcodeServerFailure, both), "mx.example.test",
			[]netip.Addr{addr("2001:db8::1")}, 30 * time.Second, false, ""},
		{"AAAA failed and there is no A: nobody knows", refuse(dns.TypeAAAA, dns.RcodeServerFailure, both), "text.example.test", nil, 0, false, KindServFail},
		{"A failed and there is no AAAA: nobody knows", refuse(dns.TypeA, dns.RcodeServerFailure, both), "four.example.test", nil, 0, false, KindServFail},
		{"of two failures the one that says more is told",
			refuse(dns.TypeAAAA, dns.RcodeRefused, refuse(dns.TypeA, dns.RcodeServerFailure, both)), "mx.example.test", nil, 0, false, KindServFail},
	} {
		t.Run(tc.rule, func(t *testing.T) {
			s := startServer(t, tc.handler)
			c := &Client{Servers: []string{s.addr}}
			a, err := c.Addr(context.Background(), tc.name)
			if tc.kind != "" {
				wantKind(t, err, tc.kind)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(a.Records, tc.want) || a.TTL != tc.ttl || a.NXDomain != tc.nx {
				t.Errorf("answer = %+v, want %v, TTL %v, NXDomain %v", a, tc.want, tc.ttl, tc.nx)
			}
		})
	}
	s := startServer(t, both)
	a, err := (&Client{Servers: []string{s.addr}}).Addr(context.Background(), "alias.example.test")
	if err != nil || a.CanonicalName != "four.example.test" || a.TTL != 5*time.Second || a.Secure {
		t.Errorf("through a CNAME: %+v, %v", a, err)
	}
}

// DANE-02: the AD bit is a claim, and counts only from a server that is trusted
// to make it, over a way that nobody else can speak on.
func TestSecure(t *testing.T) {
	plain := zone(t, "example.test. 60 IN MX 10 mx.example.test.", "mx.example.test. 60 IN A 192.0.2.1", "mx.example.test. 60 IN AAAA 2001:db8::1")
	signed := func(network string, req, reply *dns.Msg) {
		plain(network, req, reply)
		reply.AuthenticatedData = req.AuthenticatedData // RFC 6840, section 5.7: only for those who ask
	}
	for _, tc := range []struct {
		rule   string
		server string
		trust  bool
		h      handler
		want   bool
	}{
		{"from a loopback server, AD is believed", "127.0.0.1", false, signed, true},
		{"from IPv6 loopback, too", "[::1]:5353", false, signed, true},
		{"from a loopback address in IPv6 clothes, too", "::ffff:127.0.0.1", false, signed, true},
		{"from a server elsewhere, AD says nothing", "192.0.2.53", false, signed, false},
		{"from a server elsewhere that is trusted, AD is believed", "192.0.2.53:53", true, signed, true},
		{"without AD nothing is secure", "127.0.0.1", true, plain, false},
	} {
		t.Run(tc.rule, func(t *testing.T) {
			s := startServer(t, tc.h)
			c := &Client{Servers: []string{tc.server}, TrustAD: tc.trust, Dial: dialTo(s)}
			mx, err := c.MX(context.Background(), "example.test")
			if err != nil || len(mx.Records) != 1 || mx.Secure != tc.want {
				t.Errorf("MX = %+v, %v; want Secure %v", mx, err, tc.want)
			}
			addr, err := c.Addr(context.Background(), "mx.example.test")
			if err != nil || len(addr.Records) != 2 || addr.Secure != tc.want {
				t.Errorf("Addr = %+v, %v; want Secure %v", addr, err, tc.want)
			}
		})
	}
}

func TestAddrIsSecureOnlyIfBothFamiliesAre(t *testing.T) {
	h := zone(t, "mx.example.test. 60 IN A 192.0.2.1", "mx.example.test. 60 IN AAAA 2001:db8::1")
	s := startServer(t, func(network string, req, reply *dns.Msg) {
		h(network, req, reply)
		reply.AuthenticatedData = req.Question[0].Qtype == dns.TypeA
	})
	a, err := (&Client{Servers: []string{s.addr}}).Addr(context.Background(), "mx.example.test")
	if err != nil || len(a.Records) != 2 || a.Secure {
		t.Errorf("answer = %+v, %v; want both addresses, not secure", a, err)
	}
}

// R22, rule 7: one canonical form of every name, and no question about what has none.
func TestNames(t *testing.T) {
	s := startServer(t, zone(t, "xn--bcher-kva.example. 60 IN MX 10 mx.example.", "_25._tcp.mx.example. 60 IN MX 1 ok.example."))
	c := &Client{Servers: []string{s.addr}}
	for _, name := range []string{"B\u00fccher.example", "xn--bcher-kva.example.", "_25._tcp.MX.example"} {
		if a, err := c.MX(context.Background(), name); err != nil || len(a.Records) != 1 {
			t.Errorf("MX(%q) = %+v, %v; want one record", name, a, err)
		}
	}
	before := len(s.asked())
	label := strings.Repeat("a", 63)
	for _, name := range []string{"", ".", "a..b", "[192.0.2.1]", "192.0.2.1", "a b.example", "a\\.example", "*.example", "\xff.example",
		label + "a.example", strings.Repeat(label+".", 4) + "example", "evil\"\r\n\x1b[31m.example"} {
		_, err := c.MX(context.Background(), name)
		e := wantKind(t, err, KindName)
		if e.Temporary() || e.Timeout() || e.Server != "" || !oneLine(e.Error()) {
			t.Errorf("MX(%q) = %q, temporary %v", name, e.Error(), e.Temporary())
		}
	}
	if after := len(s.asked()); after != before {
		t.Errorf("%d questions about names that are none", after-before)
	}
	for _, q := range s.asked() {
		if strings.Contains(q, "search") || !strings.Contains(q, "example. MX") {
			t.Errorf("asked %q: not the absolute name", q)
		}
	}
}

// dialTo connects to s, whatever the address.
func dialTo(s *testServer) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, s.addr)
	}
}
