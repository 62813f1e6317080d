package resolver

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
)

// rcode answers with a response code and extended errors.
func rcode(code int, extended ...dns.EDNS0) handler {
	return func(_ string, _, reply *dns.Msg) {
		reply.Rcode = code
		if opt := reply.IsEdns0(); opt != nil {
			opt.Option = append(opt.Option, extended...)
		}
	}
}

func TestServersInTurn(t *testing.T) {
	good := zone(t, `name.test. 60 IN TXT "good"`)
	for _, tc := range []struct {
		rule  string
		first handler
		asked int // how often the first server is asked
	}{
		{"SERVFAIL", rcode(dns.RcodeServerFailure), 1}, // STS-34
		{"REFUSED", rcode(dns.RcodeRefused), 1},
		{"NOTIMP", rcode(dns.RcodeNotImplemented), 1},
		{"FORMERR by a server that knows EDNS0", rcode(dns.RcodeFormatError), 1},
		{"silence", func(_ string, _, reply *dns.Msg) { drop(reply) }, 1},
		{"a referral", func(_ string, _, reply *dns.Msg) {
			reply.RecursionAvailable = false
			reply.Ns = []dns.RR{&dns.NS{Hdr: dns.RR_Header{Name: "test.", Rrtype: dns.TypeNS, Class: 1}, Ns: "ns.test."}}
		}, 1},
		{"a reply that is truncated over TCP, too", func(_ string, _, reply *dns.Msg) { reply.Truncated = true }, 2},
	} {
		t.Run(tc.rule, func(t *testing.T) {
			bad, ok := startServer(t, tc.first), startServer(t, good)
			c := &Client{Servers: []string{bad.addr, ok.addr}, Timeout: 50 * time.Millisecond}
			a, err := c.TXT(context.Background(), "name.test")
			if err != nil || !slices.Equal(a.Records, []string{"good"}) {
				t.Errorf("answer = %+v, %v; want that of the second server", a, err)
			}
			if n := len(bad.asked()); n != tc.asked {
				t.Errorf("first server asked %d times, want %d", n, tc.asked)
			}
		})
	}
}

// A server that said no is not asked again, one that kept silent is.
func TestAttempts(t *testing.T) {
	no, silent := startServer(t, rcode(dns.RcodeRefused)), startServer(t, func(_ string, _, reply *dns.Msg) { drop(reply) })
	c := &Client{Servers: []string{no.addr, silent.addr}, Timeout: 20 * time.Millisecond, Attempts: 3}
	_, err := c.TXT(context.Background(), "name.test")
	if e := wantKind(t, err, KindRefused); e.Server != no.addr || e.RCode != dns.RcodeRefused {
		t.Errorf("error = %+v; want that of the server that spoke", e)
	}
	if n, m := len(no.asked()), len(silent.asked()); n != 1 || m != 3 {
		t.Errorf("asked %d and %d times, want 1 and 3", n, m)
	}
}

func TestNobodyThere(t *testing.T) {
	udp, tcp := listenBoth(t)
	addr := udp.LocalAddr().String()
	udp.Close()
	tcp.Close()
	_, err := (&Client{Servers: []string{addr}, Timeout: time.Second}).TXT(context.Background(), "name.test")
	if e := wantKind(t, err, KindNetwork); e.Timeout() || e.Err == nil || !e.Temporary() {
		t.Errorf("error = %+v", e)
	}
}

// RFC 6891, section 7: a server that does not know EDNS0 is asked without it.
func TestServerWithoutEDNS0(t *testing.T) {
	for _, tc := range []struct {
		rule string
		code int
		bare bool
	}{
		{"FORMERR", dns.RcodeFormatError, false},
		{"FORMERR in a bare header", dns.RcodeFormatError, true},
		{"NOTIMP", dns.RcodeNotImplemented, false},
	} {
		t.Run(tc.rule, func(t *testing.T) {
			h := zone(t, `name.test. 60 IN TXT "good"`)
			s := startServer(t, func(network string, req, reply *dns.Msg) {
				reply.Extra = nil
				if req.IsEdns0() == nil {
					h(network, req, reply)
					return
				}
				if reply.Rcode = tc.code; tc.bare {
					reply.Question = nil
				}
			})
			a, err := (&Client{Servers: []string{s.addr}}).TXT(context.Background(), "name.test")
			if err != nil || len(a.Records) != 1 {
				t.Errorf("answer = %+v, %v", a, err)
			}
		})
	}
	s := startServer(t, func(_ string, _, reply *dns.Msg) { reply.Extra, reply.Rcode = nil, dns.RcodeFormatError })
	_, err := (&Client{Servers: []string{s.addr}}).TXT(context.Background(), "name.test")
	if e := wantKind(t, err, KindRefused); e.RCode != dns.RcodeFormatError || len(s.asked()) != 2 {
		t.Errorf("a server that knows neither: %+v, asked %d times", e, len(s.asked()))
	}
}

func TestQueryOnTheWire(t *testing.T) {
	var mu sync.Mutex
	var got []*dns.Msg
	s := startServer(t, func(_ string, req, _ *dns.Msg) {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, req)
	})
	if _, err := (&Client{Servers: []string{s.addr}}).TLSA(context.Background(), "_25._tcp.Name.test"); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	q := got[0]
	if !q.RecursionDesired || !q.AuthenticatedData || q.CheckingDisabled || q.Opcode != dns.OpcodeQuery {
		t.Errorf("header %+v", q.MsgHdr)
	}
	if want := (dns.Question{Name: "_25._tcp.name.test.", Qtype: dns.TypeTLSA, Qclass: dns.ClassINET}); len(q.Question) != 1 || q.Question[0] != want {
		t.Errorf("question %+v, want %+v", q.Question, want)
	}
	if opt := q.IsEdns0(); opt == nil || opt.UDPSize() != 1232 || opt.Do() || opt.Version() != 0 || len(opt.Option) != 0 {
		t.Errorf("OPT %v", opt)
	}
}

// RFC 8914; rule 10: what the server says of the cause is kept, cleaned and bounded.
func TestExtendedErrors(t *testing.T) {
	ede := func(code uint16, text string) dns.EDNS0 { return &dns.EDNS0_EDE{InfoCode: code, ExtraText: text} }
	s := startServer(t, rcode(dns.RcodeServerFailure,
		ede(6, "no \"signature\"\r\n\x1b[31m\u00fc"), &dns.EDNS0_NSID{Nsid: "aabb"}, ede(22, strings.Repeat("x", 500)), ede(65000, ""), ede(1, "nul\x00"), ede(2, "fifth")))
	_, err := (&Client{Servers: []string{s.addr}}).TXT(context.Background(), "name.test")
	e := wantKind(t, err, KindServFail)
	want := []ExtendedError{{6, "no 'signature'???[31m??"}, {22, strings.Repeat("x", 125) + "..."}, {65000, ""}, {1, "nul"}}
	if !slices.Equal(e.Extended, want) || e.RCode != dns.RcodeServerFailure {
		t.Errorf("Extended = %q, RCode = %d; want %q", e.Extended, e.RCode, want)
	}
	if !strings.Contains(e.Error(), `EDE 6 DNSSEC Bogus "no 'signature'???[31m??"`) {
		t.Errorf("Error() = %s", e)
	}
}

// RFC 6891, section 6.1.3: the upper bits of the response code are in OPT.
func TestExtendedResponseCode(t *testing.T) {
	s := startServer(t, rcode(dns.RcodeBadCookie))
	_, err := (&Client{Servers: []string{s.addr}}).TXT(context.Background(), "name.test")
	if e := wantKind(t, err, KindRefused); e.RCode != dns.RcodeBadCookie || !strings.Contains(e.Error(), "BADCOOKIE") {
		t.Errorf("error = %+v", e)
	}
}

// DANE-04: what a validating server found to be false is not asked for again of
// one that does not validate. Any other failure is.
func TestBogusIsNotAskedElsewhere(t *testing.T) {
	for _, tc := range []struct {
		rule    string
		servers []string
		trust   bool
		code    uint16
		asked   int // how often the second server is asked
	}{
		{"bogus by loopback, then a stranger: an error", []string{"127.0.0.1", "192.0.2.53"}, false, 6, 0},
		{"bogus by loopback, then another on loopback: asked", []string{"127.0.0.1", "127.0.0.2"}, false, 6, 1},
		{"bogus by a stranger: its word counts for nothing", []string{"192.0.2.54", "192.0.2.53"}, false, 6, 1},
		{"not reachable, by loopback: asked", []string{"127.0.0.1", "192.0.2.53"}, false, 22, 1},
	} {
		t.Run(tc.rule, func(t *testing.T) {
			first := startServer(t, rcode(dns.RcodeServerFailure, &dns.EDNS0_EDE{InfoCode: tc.code}))
			second := startServer(t, zone(t, `name.test. 60 IN TXT "x"`))
			c := &Client{Servers: tc.servers, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
				to := first
				if host, _, _ := net.SplitHostPort(address); host == tc.servers[1] {
					to = second
				}
				return new(net.Dialer).DialContext(ctx, network, to.addr)
			}}
			_, err := c.TXT(context.Background(), "name.test")
			if (err == nil) != (tc.asked == 1) || len(second.asked()) != tc.asked {
				t.Errorf("second server asked %d times, want %d; error %v", len(second.asked()), tc.asked, err)
			}
		})
	}
}

func TestServersMustBeAddresses(t *testing.T) {
	for _, s := range []string{"dns.example", "127.0.0.1:port", "", "[::1", "1.2.3.4.5"} {
		_, err := (&Client{Servers: []string{s}}).TXT(context.Background(), "name.test")
		if e := wantKind(t, err, KindNetwork); s != "" && s != "[::1" && !strings.Contains(e.Error(), s) {
			t.Errorf("Error() = %s; does not name %q", e, s)
		}
	}
}

// R20: a dial hook that panics is a failure like any other.
func TestPanicInDial(t *testing.T) {
	c := &Client{Servers: []string{"127.0.0.1"}, Attempts: 1, Dial: func(context.Context, string, string) (net.Conn, error) { panic("boo\n") }}
	_, err := c.Addr(context.Background(), "name.test")
	if e := wantKind(t, err, KindMalformed); !strings.Contains(e.Error(), "panic: boo") {
		t.Errorf("error = %v", e)
	}
}

// silence is a dial hook to servers that read and never reply. It counts the
// queries of each.
func silence(mu *sync.Mutex, count map[string]int) func(context.Context, string, string) (net.Conn, error) {
	return func(_ context.Context, _, address string) (net.Conn, error) {
		mu.Lock()
		count[address]++
		mu.Unlock()
		near, far := net.Pipe()
		go func() {
			io.Copy(io.Discard, far)
			far.Close()
		}()
		return near, nil
	}
}

// R10: one name gets ten seconds in all, and every server its turn within them.
func TestTimeLimit(t *testing.T) {
	for _, tc := range []struct {
		rule     string
		client   *Client
		each     int
		min, max time.Duration
	}{
		{"one server, tried twice", &Client{Servers: []string{"192.0.2.1"}}, 2, 10 * time.Second, 10 * time.Second},
		{"three servers, tried twice each", &Client{Servers: []string{"192.0.2.1", "192.0.2.2", "192.0.2.3"}}, 2, 10 * time.Second, 10 * time.Second},
		{"more tries than there is time", &Client{Servers: []string{"192.0.2.1"}, Timeout: time.Hour, Attempts: 50}, 50, 9 * time.Second, 10 * time.Second},
		{"short tries", &Client{Servers: []string{"192.0.2.1"}, Timeout: time.Second, Attempts: 3}, 3, 3 * time.Second, 3 * time.Second},
	} {
		t.Run(tc.rule, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				count := map[string]int{}
				tc.client.Dial = silence(&mu, count)
				start := time.Now()
				_, err := tc.client.Addr(t.Context(), "name.test")                                                // both families at the same time
				if e := wantKind(t, err, KindTimeout); !e.Timeout() || errors.Is(err, context.DeadlineExceeded) { // R34
					t.Errorf("error = %+v", e)
				}
				if d := time.Since(start); d < tc.min || d > tc.max {
					t.Errorf("took %v, want %v to %v", d, tc.min, tc.max)
				}
				for _, s := range tc.client.Servers {
					if n := count[s+":53"]; n != 2*tc.each {
						t.Errorf("server %s asked %d times, want %d", s, n, 2*tc.each)
					}
				}
			})
		})
	}
}

// R34: the end of the caller's context is told as such, and only that.
func TestCallersContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		c := &Client{Servers: []string{"192.0.2.1"}, Dial: silence(&mu, map[string]int{})}
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := c.Addr(ctx, "name.test")
		if e := wantKind(t, err, KindCanceled); !errors.Is(err, context.DeadlineExceeded) || !e.Timeout() || time.Since(start) != time.Second {
			t.Errorf("deadline: %v after %v", err, time.Since(start))
		}

		ctx, cancel = context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		_, err = c.Addr(ctx, "name.test")
		if e := wantKind(t, err, KindCanceled); !errors.Is(err, context.Canceled) || e.Timeout() {
			t.Errorf("canceled: %v", err)
		}

		c.Dial = func(context.Context, string, string) (net.Conn, error) { t.Error("dialled"); return nil, io.EOF }
		_, err = c.Addr(ctx, "name.test")
		if wantKind(t, err, KindCanceled); !errors.Is(err, context.Canceled) {
			t.Errorf("ended before: %v", err)
		}

		// A hook may have time limits of its own, and say so in the words of package context.
		c.Dial = func(context.Context, string, string) (net.Conn, error) { return nil, context.DeadlineExceeded }
		_, err = c.TXT(t.Context(), "name.test")
		if wantKind(t, err, KindTimeout); errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the hook's deadline passes for the caller's: %v", err)
		}
	})
}

// Options that cannot be read cost nothing but themselves.
func TestOddOptions(t *testing.T) {
	root := dns.RR_Header{Name: ".", Rrtype: dns.TypeOPT, Ttl: 1 << 24}
	ede := []byte{0, 15, 0, 3, 0, 6, 'x'}
	for _, tc := range []struct {
		rule string
		do   func(r *reply)
		want []ExtendedError
		opt  bool
	}{
		{"an option of an unknown kind is skipped", func(r *reply) { r.option(root, append([]byte{0xff, 0xff, 0, 1, 0}, ede...)) }, []ExtendedError{{6, "x"}}, true},
		{"an extended error without a code is skipped", func(r *reply) { r.option(root, append([]byte{0, 15, 0, 1, 0}, ede...)) }, []ExtendedError{{6, "x"}}, true},
		{"an option that ends too late ends the options", func(r *reply) { r.option(root, append([]byte{0, 15, 0xff, 0xff}, ede...)) }, nil, true},
		{"half an option ends the options", func(r *reply) { r.option(root, ede[:3]) }, nil, true},
		{"an OPT record below the root is none", func(r *reply) { r.option(dns.RR_Header{Name: "a.test."}, ede) }, nil, false},
		{"of two OPT records the first counts", func(r *reply) { r.option(root, nil); r.option(root, ede) }, nil, true},
	} {
		t.Run(tc.rule, func(t *testing.T) {
			var r reply
			tc.do(&r)
			if !slices.Equal(r.extended, tc.want) || r.hasOPT != tc.opt || (r.rcode == 16) != tc.opt {
				t.Errorf("reply = %+v", r)
			}
		})
	}
}
