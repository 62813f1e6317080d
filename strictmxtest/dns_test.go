package strictmxtest_test

import (
	"errors"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/strictmx/strictmx/strictmxtest"
)

// patience is how long a test waits for what shall come; silence is how long
// it waits for what shall not.
const (
	patience = 10 * time.Second
	silence  = 50 * time.Millisecond
)

// ask returns the reply to a question without EDNS0.
func ask(t *testing.T, w *strictmxtest.World, name, rrtype string) *dns.Msg {
	t.Helper()
	m, _, err := exchange(t, w, "udp", question(name, rrtype), 1)
	if err != nil {
		t.Fatalf("%s %s: %v", name, rrtype, err)
	}
	return m[0]
}

func question(name, rrtype string) *dns.Msg {
	return new(dns.Msg).SetQuestion(dns.Fqdn(name), dns.StringToType[rrtype])
}

// exchange sends a query and returns the first n replies, whatever they are,
// with the packets.
func exchange(t *testing.T, w *strictmxtest.World, network string, query *dns.Msg, n int) ([]*dns.Msg, [][]byte, error) {
	t.Helper()
	return exchangeWithin(t, w, network, query, n, patience)
}

func exchangeWithin(t *testing.T, w *strictmxtest.World, network string, query *dns.Msg, n int, limit time.Duration) ([]*dns.Msg, [][]byte, error) {
	t.Helper()
	raw, err := net.Dial(network, w.DNS.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	conn := &dns.Conn{Conn: raw, UDPSize: 65535}
	raw.SetDeadline(time.Now().Add(limit))
	if err := conn.WriteMsg(query); err != nil {
		t.Fatal(err)
	}
	var msgs []*dns.Msg
	var packets [][]byte
	for range n {
		p, err := conn.ReadMsgHeader(nil)
		if err != nil {
			return msgs, packets, err
		}
		m := new(dns.Msg)
		if err := m.Unpack(p); err != nil {
			return msgs, append(packets, p), err
		}
		msgs, packets = append(msgs, m), append(packets, p)
	}
	return msgs, packets, nil
}

// shown is a reply in one line: the code, then each record of the answer as
// "name type data", then the owner and TTL of an SOA record.
func shown(m *dns.Msg) string {
	parts := []string{dns.RcodeToString[m.Rcode]}
	for _, rr := range m.Answer {
		f := strings.Fields(rr.String())
		parts = append(parts, f[0]+" "+strings.Join(f[3:], " "))
	}
	for _, rr := range m.Ns {
		f := strings.Fields(rr.String())
		parts = append(parts, f[0]+" "+f[3]+" "+f[1])
	}
	return strings.Join(parts, "; ")
}

const soaOfExample = "; example.com. SOA 300"

func TestZones(t *testing.T) {
	w := strictmxtest.New(t)
	w.Domain("example.com")
	w.DNS.Set(`
		example.com.            MX    10 mx1.example.com.
		example.com.       60   MX    20 mx2.example.com.
		a.b.c.example.com.      A     127.1.2.3
		*.wild.example.com.     TXT   "v=STSv1; id=wild;"
		there.wild.example.com. A     127.1.2.4
		alias.example.com.      CNAME Hop.example.net.
		hop.example.net.        CNAME end.example.org.
		end.example.org.        TXT   "one" "two"
		dangling.example.com.   CNAME nowhere.example.net.
		round.example.com.      CNAME trip.example.com.
		trip.example.com.       CNAME round.example.com.
		short.test.        900  SOA   ns.short.test. hostmaster.short.test. 1 1 1 1 42`)
	for _, tt := range []struct{ name, question, want string }{
		{"records of a name", "example.com MX", "NOERROR; example.com. MX 10 mx1.example.com.; example.com. MX 20 mx2.example.com."},
		{"the case of a name does not matter, and comes back as asked", "Example.COM A", "NOERROR" + soaOfExample},
		{"a name with records of another type only", "example.com TXT", "NOERROR" + soaOfExample},
		{"a name that is not there", "no.example.com TXT", "NXDOMAIN" + soaOfExample},
		{"an empty non-terminal exists", "b.c.example.com A", "NOERROR" + soaOfExample},
		{"a name beside an empty non-terminal does not", "x.b.c.example.com A", "NXDOMAIN" + soaOfExample},
		{"a wildcard stands for a name", "_mta-sts.wild.example.com TXT", `NOERROR; _mta-sts.wild.example.com. TXT "v=STSv1; id=wild;"`},
		{"a wildcard stands for several labels", "a.b.wild.example.com TXT", `NOERROR; a.b.wild.example.com. TXT "v=STSv1; id=wild;"`},
		{"a wildcard has no other type", "x.wild.example.com A", "NOERROR" + soaOfExample},
		{"a wildcard does not stand for a name that exists", "there.wild.example.com TXT", "NOERROR" + soaOfExample},
		{"a wildcard does not stand below a name that exists", "x.there.wild.example.com TXT", "NXDOMAIN" + soaOfExample},
		{"a chain is followed across zones", "alias.example.com TXT",
			`NOERROR; alias.example.com. CNAME Hop.example.net.; hop.example.net. CNAME end.example.org.; end.example.org. TXT "one" "two"`},
		{"a chain to another type", "alias.example.com MX",
			"NOERROR; alias.example.com. CNAME Hop.example.net.; hop.example.net. CNAME end.example.org.; example.org. SOA 300"},
		{"the alias itself", "alias.example.com CNAME", "NOERROR; alias.example.com. CNAME Hop.example.net."},
		{"a chain to nowhere", "dangling.example.com TXT", "NXDOMAIN; dangling.example.com. CNAME nowhere.example.net.; example.net. SOA 300"},
		{"a chain that is a loop", "round.example.com TXT", "SERVFAIL"},
		{"a zone nobody set", "x.y.unheard.test A", "NXDOMAIN; unheard.test. SOA 300"},
		{"the negative TTL is the smaller one of the SOA record", "no.short.test A", "NXDOMAIN; short.test. SOA 42"},
		{"the root", ". A", "NOERROR; . SOA 300"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			name, rrtype, _ := strings.Cut(tt.question, " ")
			m := ask(t, w, name, rrtype)
			if got := shown(m); got != tt.want {
				t.Errorf("%s:\n got %s\nwant %s", tt.question, got, tt.want)
			}
			if !m.Authoritative || !m.RecursionAvailable || m.AuthenticatedData || m.Question[0].Name != dns.Fqdn(name) {
				t.Errorf("header %v, question %v", m.MsgHdr, m.Question)
			}
		})
	}
}

func TestRecordsChangeAtRunTime(t *testing.T) {
	w := strictmxtest.New(t)
	w.Domain("example.com")
	txt := func() string { return shown(ask(t, w, "x.example.com", "TXT")) }
	w.DNS.Set(`x.example.com. TXT "one"`, `x.example.com. A 127.0.0.9`)
	w.DNS.Set(`X.Example.com TXT "two"`)
	if got := txt(); got != `NOERROR; X.Example.com. TXT "two"` {
		t.Errorf("after Set: %s", got)
	}
	w.DNS.Add(`x.example.com. 7 TXT "three"`)
	if got := txt(); got != `NOERROR; X.Example.com. TXT "two"; x.example.com. TXT "three"` {
		t.Errorf("after Add: %s", got)
	}
	w.DNS.Remove("X.example.com", "txt")
	if got := txt(); got != "NOERROR"+soaOfExample {
		t.Errorf("after Remove of the type: %s", got)
	}
	w.DNS.Remove("x.example.com")
	w.DNS.Remove("x.example.com")
	if got := txt(); got != "NXDOMAIN"+soaOfExample {
		t.Errorf("after Remove of the name: %s", got)
	}
}

func TestTruncationAndEDNS0(t *testing.T) {
	w := strictmxtest.New(t)
	for i := range 40 {
		w.DNS.Add("big.example.com. TXT " + strings.Repeat(string(rune('a'+i%26)), 100))
	}
	for _, tt := range []struct {
		name, network string
		edns          uint16
		truncated     bool
		limit         int
	}{
		{"512 octets without EDNS0", "udp", 0, true, 512},
		{"what the client takes", "udp", 1232, true, 1232},
		{"never less than 512", "udp", 100, true, 512},
		{"never more than the server sends", "udp", 65535, true, 4096},
		{"all of it over TCP", "tcp", 0, false, 65535},
	} {
		t.Run(tt.name, func(t *testing.T) {
			q := question("big.example.com", "TXT")
			if tt.edns > 0 {
				q.SetEdns0(tt.edns, false)
			}
			m, p, err := exchange(t, w, tt.network, q, 1)
			if err != nil {
				t.Fatal(err)
			}
			if m[0].Truncated != tt.truncated || len(p[0]) > tt.limit || (m[0].IsEdns0() != nil) != (tt.edns > 0) {
				t.Errorf("TC %t, %d octets, OPT %v", m[0].Truncated, len(p[0]), m[0].IsEdns0())
			}
			if !tt.truncated && len(m[0].Answer) != 40 {
				t.Errorf("%d records", len(m[0].Answer))
			}
		})
	}
}

func TestQueriesThatAreNone(t *testing.T) {
	w := strictmxtest.New(t)
	q := question("example.com", "A")
	q.Opcode = dns.OpcodeNotify
	if got := mustExchange(t, w, q).Rcode; got != dns.RcodeNotImplemented {
		t.Errorf("NOTIFY: %s", dns.RcodeToString[got])
	}
	q = question("example.com", "A")
	q.Question[0].Qclass = dns.ClassCHAOS
	if got := mustExchange(t, w, q).Rcode; got != dns.RcodeRefused {
		t.Errorf("class CH: %s", dns.RcodeToString[got])
	}
	q = question("example.com", "A")
	q.SetEdns0(1232, false).IsEdns0().SetVersion(1)
	if got := mustExchange(t, w, q).Rcode; got != dns.RcodeBadVers {
		t.Errorf("EDNS version 1: %s", dns.RcodeToString[got])
	}
	conn, err := net.Dial("udp", w.DNS.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.Write([]byte("no DNS"))
	conn.Write(nil)
	ask(t, w, "example.com", "A") // is still there
}

func mustExchange(t *testing.T, w *strictmxtest.World, q *dns.Msg) *dns.Msg {
	t.Helper()
	m, _, err := exchange(t, w, "udp", q, 1)
	if err != nil {
		t.Fatal(err)
	}
	return m[0]
}

func TestTheADBit(t *testing.T) {
	w := strictmxtest.New(t)
	w.DNS.Set("a.signed.example. A 127.0.0.9", "a.plain.example. A 127.0.0.9",
		"out.signed.example. CNAME a.plain.example.", "in.signed.example. CNAME a.signed.example.")
	w.DNS.Secure("example", true)
	w.DNS.Secure("plain.example", false)
	for _, tt := range []struct {
		name, host string
		ad, do     bool
		want       bool
	}{
		{"a signed name, asked with AD", "a.signed.example", true, false, true},
		{"a signed name, asked with DO", "a.signed.example", false, true, true},
		{"a client that asks for neither does not see it", "a.signed.example", false, false, false},
		{"the longest name counts", "a.plain.example", true, true, false},
		{"a chain within", "in.signed.example", true, true, true},
		{"a chain that leaves it", "out.signed.example", true, true, false},
		{"a denial", "no.signed.example", true, true, true},
		{"elsewhere", "example.net", true, true, false},
	} {
		q := question(tt.host, "A")
		q.AuthenticatedData = tt.ad
		if tt.do {
			q.SetEdns0(1232, true)
		}
		if got := mustExchange(t, w, q).AuthenticatedData; got != tt.want {
			t.Errorf("%s: AD %t", tt.name, got)
		}
	}
	q := w.DNS.Queries()
	if !q[0].AuthenticData || q[0].DNSSECOK || q[0].UDPSize != 0 || !q[1].DNSSECOK || q[1].UDPSize != 1232 || !q[0].RecursionDesired {
		t.Errorf("recorded %+v, %+v", q[0], q[1])
	}
}

func TestQueriesAreCounted(t *testing.T) {
	w := strictmxtest.New(t)
	ask(t, w, "A.example", "TXT")
	ask(t, w, "a.example", "MX")
	exchange(t, w, "tcp", question("a.example", "TXT"), 1)
	ask(t, w, ".", "NS")
	var got []string
	for _, q := range w.DNS.Queries() {
		got = append(got, q.String())
	}
	if want := []string{"a.example TXT", "a.example MX", "a.example TXT (TCP)", ". NS"}; !slices.Equal(got, want) {
		t.Errorf("queries %q, want %q", got, want)
	}
	for q, want := range map[[2]string]int{
		{"a.example.", "txt"}: 2, {"A.example", "MX"}: 1, {"a.example", "*"}: 3, {"*", "TXT"}: 2, {"*", "*"}: 4, {"b.example", "*"}: 0,
	} {
		if n := w.DNS.Count(q[0], q[1]); n != want {
			t.Errorf("Count(%q) = %d, want %d", q, n, want)
		}
	}
}

// Each row says what is on the wire; a fault without a row fails.
func TestDNSFaults(t *testing.T) {
	type wire struct {
		udp, tcp string // what shown says; "" where there is nothing to be read
		err      error  // over both
		more     func(t *testing.T, w *strictmxtest.World)
	}
	const right = `NOERROR; _mta-sts.example.com. TXT "v=STSv1; id=a;"`
	chain := func(names ...string) string {
		s := "NOERROR"
		for i := range len(names) - 1 {
			s += "; " + names[i] + ". CNAME " + names[i+1] + "."
		}
		return s
	}
	const x = "_mta-sts.example.com"
	same := func(s string) wire { return wire{udp: s, tcp: s} }
	rows := map[strictmxtest.DNSFault]wire{
		strictmxtest.ServFail:     same("SERVFAIL"),
		strictmxtest.Extended(6):  {udp: "SERVFAIL", tcp: "SERVFAIL", more: extendedBy(6)},
		strictmxtest.Extended(22): {udp: "SERVFAIL", tcp: "SERVFAIL", more: extendedBy(22)},
		strictmxtest.Refused:      same("REFUSED"),
		strictmxtest.NXDomain:     same("NXDOMAIN" + soaOfExample),
		strictmxtest.NoData:       same("NOERROR" + soaOfExample),
		strictmxtest.NoAnswer:     {err: os.ErrDeadlineExceeded},
		strictmxtest.Truncated:    {udp: "NOERROR", tcp: right, more: truncated},
		strictmxtest.TruncatedTCPReset: {udp: "NOERROR", more: func(t *testing.T, w *strictmxtest.World) {
			truncated(t, w)
			if _, _, err := exchange(t, w, "tcp", question(x, "TXT"), 1); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("TCP: %v, want a reset", err)
			}
		}},
		strictmxtest.Doubled: {
			udp: right + `; _mta-sts.example.com. TXT "v=STSv1; id=a; doubled=1;"`,
			tcp: right + `; _mta-sts.example.com. TXT "v=STSv1; id=a; doubled=1;"`,
			more: func(t *testing.T, w *strictmxtest.World) {
				w.DNS.Fault("example.com", "MX", strictmxtest.Doubled)
				if got := shown(ask(t, w, "example.com", "MX")); strings.Count(got, "mx.example.com.") != 2 {
					t.Errorf("MX: %s", got)
				}
			},
		},
		strictmxtest.Garbled: {
			udp: `NOERROR; _mta-sts.example.com. TXT "v=STSv1\255 id=a\255"`,
			tcp: `NOERROR; _mta-sts.example.com. TXT "v=STSv1\255 id=a\255"`,
			more: func(t *testing.T, w *strictmxtest.World) {
				w.DNS.Fault("example.com", "MX", strictmxtest.Garbled)
				if _, p, err := exchange(t, w, "udp", question("example.com", "MX"), 1); err == nil || len(p) != 1 {
					t.Errorf("MX: %d packets, %v; want a broken one", len(p), err)
				}
			},
		},
		strictmxtest.Malformed: {more: func(t *testing.T, w *strictmxtest.World) {
			q := question(x, "TXT")
			for _, network := range []string{"udp", "tcp"} {
				_, p, err := exchange(t, w, network, q, 1)
				if err == nil || len(p) != 1 || p[0][0] != byte(q.Id>>8) || p[0][1] != byte(q.Id) {
					t.Errorf("%s: packets %x, %v; want a broken one with our id", network, p, err)
				}
			}
		}},
		strictmxtest.WrongID: {udp: forged, tcp: forged, more: func(t *testing.T, w *strictmxtest.World) {
			q := question(x, "TXT")
			if m := mustExchange(t, w, q); m.Id == q.Id || m.Question[0] != q.Question[0] {
				t.Errorf("id %d for %d, question %v", m.Id, q.Id, m.Question)
			}
		}},
		strictmxtest.WrongQuestion: {udp: forged, tcp: forged, more: func(t *testing.T, w *strictmxtest.World) {
			q := question(x, "TXT")
			if m := mustExchange(t, w, q); m.Id != q.Id || m.Question[0] == q.Question[0] {
				t.Errorf("id %d for %d, question %v", m.Id, q.Id, m.Question)
			}
		}},
		strictmxtest.Spoofed: {udp: forged, tcp: right, more: func(t *testing.T, w *strictmxtest.World) {
			q := question(x, "TXT")
			m, _, err := exchange(t, w, "udp", q, 3)
			if err != nil || m[0].Id == q.Id || m[1].Question[0] == q.Question[0] || m[2].Id != q.Id || shown(m[2]) != right {
				t.Errorf("%v, %v; want two forged ones and the true one", m, err)
			}
		}},
		strictmxtest.CNAMEChain(1): same(chain(x, "hop1."+x) + `; hop1._mta-sts.example.com. TXT "v=STSv1; id=a;"`),
		strictmxtest.CNAMEChain(7): same(chain(x, "hop1."+x, "hop2."+x, "hop3."+x, "hop4."+x, "hop5."+x, "hop6."+x, "hop7."+x) +
			`; hop7._mta-sts.example.com. TXT "v=STSv1; id=a;"`),
		strictmxtest.CNAMEChain(20): {more: func(t *testing.T, w *strictmxtest.World) {
			m, _, err := exchange(t, w, "tcp", question(x, "TXT"), 1)
			if err != nil || len(m[0].Answer) != 21 || m[0].Answer[20].Header().Name != "hop20."+x+"." {
				t.Errorf("%v, %v", m, err)
			}
			rest := ask(t, w, "hop19."+x, "TXT") // who follows by himself comes to the same end
			if got := shown(rest); got != "NOERROR; hop19."+x+". CNAME hop20."+x+`.; hop20.`+x+`. TXT "v=STSv1; id=a;"` {
				t.Errorf("from hop 19: %s", got)
			}
		}},
		strictmxtest.CNAMELoop: {
			udp: chain(x, "hop1."+x, x), tcp: chain(x, "hop1."+x, x),
			more: func(t *testing.T, w *strictmxtest.World) {
				if got, want := shown(ask(t, w, "hop1."+x, "TXT")), chain("hop1."+x, x, "hop1."+x); got != want {
					t.Errorf("from the other name: %s", got)
				}
			},
		},
	}
	for _, f := range strictmxtest.DNSFaults() {
		t.Run(f.String(), func(t *testing.T) {
			row, ok := rows[f]
			if !ok {
				t.Fatal("nobody says what this fault does on the wire")
			}
			w := strictmxtest.New(t)
			w.Domain("example.com").MX("mx.example.com").PolicyID("a")
			w.DNS.Fault(x+".", "txt", f)
			for network, want := range map[string]string{"udp": row.udp, "tcp": row.tcp} {
				if want == "" && row.err == nil {
					continue
				}
				limit := patience
				if row.err != nil {
					limit = silence
				}
				m, _, err := exchangeWithin(t, w, network, question(x, "TXT"), 1, limit)
				if !errors.Is(err, row.err) {
					t.Errorf("%s: %v, want %v", network, err, row.err)
				}
				if err == nil && shown(m[0]) != want {
					t.Errorf("%s:\n got %s\nwant %s", network, shown(m[0]), want)
				}
			}
			if row.more != nil {
				row.more(t, w)
			}
			if got := ask(t, w, "mx.example.com", "A"); len(got.Answer) != 1 {
				t.Errorf("another name suffers: %v", got)
			}
			w.DNS.Fault(x, "TXT", strictmxtest.None)
			if got := shown(ask(t, w, x, "TXT")); got != right {
				t.Errorf("lifted: %s", got)
			}
		})
	}
}

const forged = `NOERROR; _mta-sts.example.com. TXT "v=STSv1; id=forged;"`

func truncated(t *testing.T, w *strictmxtest.World) {
	if !ask(t, w, "_mta-sts.example.com", "TXT").Truncated {
		t.Error("the TC bit is not set")
	}
}

func extendedBy(code uint16) func(t *testing.T, w *strictmxtest.World) {
	return func(t *testing.T, w *strictmxtest.World) {
		q := question("_mta-sts.example.com", "TXT")
		q.SetEdns0(1232, false)
		for _, o := range mustExchange(t, w, q).IsEdns0().Option {
			if e, ok := o.(*dns.EDNS0_EDE); ok && e.InfoCode == code {
				return
			}
		}
		t.Errorf("no extended error %d", code)
	}
}

func TestTheMoreExactFaultCounts(t *testing.T) {
	w := strictmxtest.New(t)
	w.DNS.Set("a.example. A 127.0.0.9", `a.example. TXT "x"`)
	w.DNS.Fault("*", "*", strictmxtest.Refused)
	w.DNS.Fault("*", "TXT", strictmxtest.ServFail)
	w.DNS.Fault("a.example", "*", strictmxtest.NXDomain)
	w.DNS.Fault("a.example", "TXT", strictmxtest.NoData)
	for q, want := range map[string]int{
		"a.example TXT": dns.RcodeSuccess, "a.example A": dns.RcodeNameError, "b.example TXT": dns.RcodeServerFailure, "b.example A": dns.RcodeRefused,
	} {
		name, rrtype, _ := strings.Cut(q, " ")
		if got := ask(t, w, name, rrtype).Rcode; got != want {
			t.Errorf("%s: %s", q, dns.RcodeToString[got])
		}
	}
}

func TestABurstOfQueriesIsAnsweredWhole(t *testing.T) {
	w := strictmxtest.New(t)
	w.DNS.Set("a.example. A 127.0.0.9")
	var wg sync.WaitGroup
	for range 250 { // senders have so many lookups in flight
		wg.Go(func() {
			if _, _, err := exchange(t, w, "udp", question("a.example", "A"), 1); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := w.DNS.Count("a.example", "A"); n != 250 {
		t.Errorf("%d queries", n)
	}
}
