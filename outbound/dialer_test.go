package outbound

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strictmx/strictmx/internal/publicaddr"
	"github.com/strictmx/strictmx/mtasts"
	"github.com/strictmx/strictmx/resolver"
)

// R22: under an enforce policy, a name that is none is refused by policy, and told.
func TestBrokenNameUnderPolicy(t *testing.T) {
	w := newWorld(t, enforcing())
	w.publish("example.com", mx(10, "*.mail.test"), mx(20, "mx.example.com"))
	w.host("mx.example.com", "8.8.4.1")
	if got := w.visit(t, deliverTo); !slices.Equal(got, []string{`"*.mail.test" 4.7.5`, "mx.example.com"}) {
		t.Errorf("visited %q", got)
	}
	if all := w.events.list(); len(all) != 2 || !strings.Contains(tell(all[0]), "mx-invalid-name") {
		t.Errorf("told %v", all)
	}
}

// AMB-23, STS-119: a host that fails the policy is passed over, and told of once.
func TestPolicyFailureLeadsToTheNextHost(t *testing.T) {
	for _, tt := range []struct {
		name  string
		first *server
		host  string
		want  string
	}{
		{"not named", &server{cert: issue("mx.other.test", good)}, "mx.other.test", "sts: validation-failure (sts-mx-mismatch)"},
		{"no STARTTLS", &server{}, "mx.example.com", "sts: starttls-not-supported"},
		{"expired", &server{cert: issue("mx.example.com", expired)}, "mx.example.com", "sts: certificate-expired"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, enforcing())
			w.publish("example.com", mx(10, tt.host), mx(20, "b.mail.test"))
			w.serve(tt.host, tt.first, "8.8.4.1")
			w.host("b.mail.test", "8.8.4.2")
			if got := w.visit(t, deliverTo); !slices.Equal(got, []string{tt.host + " 4.7.5", "b.mail.test"}) {
				t.Errorf("visited %q", got)
			}
			all := w.events.list()
			if len(all) != 2 || !strings.HasPrefix(tell(all[0]), tt.want) || tell(all[1]) != "sts" {
				t.Errorf("told %v", all)
			}
		})
	}
}

// STS-118: a policy takes no host out of the list before the loop is cut, or the
// one behind us would get what it would send back to us.
func TestLoopIsCutBeforeThePolicy(t *testing.T) {
	w := newWorld(t, enforcing())
	w.publish("example.com", mx(10, "mx.other.test"), mx(20, "out.sender.test"), mx(30, "mx.example.com"))
	w.host("mx.example.com", "8.8.4.1")
	if got := w.visit(t, deliverTo); !slices.Equal(got, []string{"mx.other.test 4.7.5"}) {
		t.Errorf("visited %q", got)
	}
}

// STS-120: nobody is asked once the caller has what it wants.
func TestBreakAfterTheFirstConnection(t *testing.T) {
	w := newWorld(t, enforcing())
	w.publish("example.com", mx(10, "mx.example.com"), mx(20, "b.mail.test"))
	s := w.host("mx.example.com", "8.8.4.1", "8.8.4.2")
	w.host("b.mail.test", "8.8.4.3")
	var conn *Conn
	for c, err := range w.Conns(t.Context(), deliverTo) {
		if err != nil {
			t.Fatal(err)
		}
		conn = c
		break
	}
	if !slices.Equal(w.dialled, []string{"8.8.4.1:25"}) {
		t.Errorf("dialled %q", w.dialled)
	}
	send(t, conn) // it outlives the walk
	if len(s.got()) != 1 {
		t.Error("no mail")
	}
}

func TestBreakAfterAnError(t *testing.T) {
	for _, tt := range []struct {
		name   string
		result mtasts.Result
		mx     string
	}{
		{"the host is refused", enforcing(), "mx.other.test"},
		{"no address answers", none, "mx.example.com"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, tt.result)
			w.publish("example.com", mx(10, tt.mx), mx(20, "b.mail.test"))
			w.addrs["mx.example.com"] = answer("8.8.4.1", "8.8.4.2")
			n := 0
			for range w.Conns(t.Context(), deliverTo) {
				n++
				break
			}
			if _, sts := w.asked(); n != 1 || len(w.dialled) > 1 || len(sts) != 1 {
				t.Errorf("%d turns, dialled %q, asked for %q", n, w.dialled, sts)
			}
		})
	}
}

// AMB-50: the addresses of a host each get their chance; the next host comes
// after them, or at once where one of them served.
func TestAddressesOfAHost(t *testing.T) {
	w := newWorld(t, enforcing())
	w.publish("example.com", mx(10, "mx.example.com"), mx(20, "b.mail.test"))
	w.addrs["mx.example.com"] = answer("8.8.4.1") // CERT-27
	w.serve("mx.example.com", &server{cert: issue("mx.example.com", expired)}, "8.8.4.2")
	w.host("mx.example.com", "8.8.4.3", "8.8.4.4")
	w.host("b.mail.test", "8.8.4.5")
	want := []string{"mx.example.com 4.4.1", "mx.example.com 4.7.5", "mx.example.com", "b.mail.test"}
	if got := w.visit(t, deliverTo); !slices.Equal(got, want) {
		t.Errorf("visited %q", got)
	}
	if want := []string{"8.8.4.1:25", "8.8.4.2:25", "8.8.4.3:25", "8.8.4.5:25"}; !slices.Equal(w.dialled, want) {
		t.Errorf("dialled %q", w.dialled)
	}
	if n := len(w.events.list()); n != 3 { // STS-121: not of the one that refused the connection
		t.Errorf("told %d", n)
	}
}

// STS-97 to STS-100: before mail waits for a policy, the policy is looked up again.
func TestRefreshBeforeGivingUp(t *testing.T) {
	old := policy("example.com", mtasts.ModeEnforce, "old.example.com")
	for _, tt := range []struct {
		name      string
		known     mtasts.Result
		refreshed mtasts.Result
		mxs       []resolver.MX
		want      []string
		asked     bool
	}{
		{"a corrected policy lets the host in", old, enforcing(), []resolver.MX{mx(10, "mx.example.com")},
			[]string{"mx.example.com 4.7.5", "mx.example.com"}, true}, // STS-99, STS-100
		{"a withdrawn policy as well", old, modeNone(), []resolver.MX{mx(10, "mx.example.com")},
			[]string{"mx.example.com 4.7.5", "mx.example.com"}, true},
		{"the same policy: once is enough", old, old, []resolver.MX{mx(10, "mx.example.com")},
			[]string{"mx.example.com 4.7.5"}, true}, // STS-97, STS-98, AMB-45
		{"a second refusal is the last", old, policy("example.com", mtasts.ModeEnforce, "new.example.com"), []resolver.MX{mx(10, "mx.example.com")},
			[]string{"mx.example.com 4.7.5", "mx.example.com 4.7.5"}, true},
		{"one of two hosts was merely down", old, policy("example.com", mtasts.ModeEnforce, "*.example.com"), []resolver.MX{mx(10, "old.example.com"), mx(20, "mx.example.com")},
			[]string{"old.example.com 4.4.4", "mx.example.com 4.7.5", "old.example.com 4.4.4", "mx.example.com"}, true},
		{"no host was refused", none, enforcing(), []resolver.MX{mx(10, "old.example.com")}, []string{"old.example.com 5.4.4"}, false},
		{"one host served", enforcing(), old, []resolver.MX{mx(10, "mx.other.test"), mx(20, "mx.example.com")},
			[]string{"mx.other.test 4.7.5", "mx.example.com"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, tt.known)
			w.policies.refreshed["example.com"] = tt.refreshed
			w.publish("example.com", tt.mxs...)
			w.host("mx.example.com", "8.8.4.1")
			w.addrs["old.example.com"] = resolver.Answer[netip.Addr]{Secure: true}
			if got := w.visit(t, deliverTo); !slices.Equal(got, tt.want) {
				t.Errorf("visited %q, want %q", got, tt.want)
			}
			if _, sts := w.asked(); slices.Contains(sts, "refresh example.com") != tt.asked {
				t.Errorf("asked for %q", sts)
			}
		})
	}
}

// Where a policy lookup fails, nothing is dialled: not knowing is not "no policy" (I12).
func TestNoPlanNoConnection(t *testing.T) {
	w := newWorld(t, none)
	w.policies.err = errors.New("the store cannot be read")
	w.host("example.com", "8.8.4.1")
	if errs := w.failures(t, deliverTo); len(errs) != 1 || !errs[0].Temporary() || len(w.dialled) != 0 {
		t.Errorf("errors %v, dialled %q", errs, w.dialled)
	}
}

// R13: 20 hosts, 40 addresses, ten of them from one host.
func TestHostsAndAddressesAreBounded(t *testing.T) {
	tests := []struct {
		hosts, addrs, max int
		wantHosts         int
		wantDials         int
	}{
		{hosts: 100, addrs: 1, wantHosts: 20, wantDials: 20},
		{hosts: 100, addrs: 1, max: 3, wantHosts: 3, wantDials: 3},
		{hosts: 1, addrs: 50, wantHosts: 1, wantDials: 10},
		{hosts: 5, addrs: 50, wantHosts: 5, wantDials: 40},
		{hosts: 20, addrs: 5, wantHosts: 20, wantDials: 40},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt), func(t *testing.T) {
			w := newWorld(t, none)
			w.MaxHosts = tt.max
			var mxs []resolver.MX
			for i := range tt.hosts {
				name := fmt.Sprintf("mx%d.example.com", i)
				mxs = append(mxs, mx(10, name))
				var ans resolver.Answer[netip.Addr]
				for j := range tt.addrs {
					ans.Records = append(ans.Records, netip.AddrFrom4([4]byte{8, 8, byte(i), byte(j)}))
				}
				w.addrs[name] = ans
			}
			w.publish("example.com", mxs...)
			hosts := map[string]bool{}
			for _, e := range w.failures(t, deliverTo) {
				if !e.Temporary() {
					t.Errorf("%v is permanent", e)
				}
				hosts[e.Host] = true
			}
			if len(hosts) != tt.wantHosts || len(w.dialled) != tt.wantDials {
				t.Errorf("%d hosts, %d dials", len(hosts), len(w.dialled))
			}
		})
	}
}

// R13: both families are among the addresses tried, however many one has.
func TestFamiliesTakeTurns(t *testing.T) {
	six := []string{"2606:4700::1", "2606:4700::2", "2606:4700::3"}
	var in []netip.Addr
	for _, a := range append(six, "8.8.4.1", "::ffff:8.8.4.2") {
		in = append(in, netip.MustParseAddr(a))
	}
	if got := fmt.Sprint(alternate(in)); got != "[2606:4700::1 8.8.4.1 2606:4700::2 8.8.4.2 2606:4700::3]" {
		t.Errorf("order %v", got)
	}
}

// R13: hosts that say nothing use up no more than the time of the delivery, and
// leave some of it to those that come after them.
func TestSilentHostsShareTheTime(t *testing.T) {
	for _, verb := range []string{"connect", "EHLO", "STARTTLS"} {
		t.Run(verb, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, enforcing())
				var mxs []resolver.MX
				for i := range 6 {
					name := fmt.Sprintf("m%d.mail.test", i)
					mxs = append(mxs, mx(uint16(i), name))
					s := w.host(name, fmt.Sprintf("8.8.4.%d", i))
					s.says = map[string]string{verb: "silence"}
				}
				mxs = append(mxs, mx(99, "mx.example.com"))
				w.publish("example.com", mxs...)
				w.host("mx.example.com", "8.8.4.99")
				began := time.Now()
				got := w.visit(t, deliverTo)
				if n := len(got); n != 7 || got[6] != "mx.example.com" {
					t.Errorf("visited %q", got)
				}
				if took := time.Since(began); took > defaultTimeout {
					t.Errorf("took %v", took)
				}
			})
		})
	}
}

// R25: hosts that stall do not make an old plan do; where a new one cannot be
// had, nothing is dialled any more.
func TestPlanIsRenewedOnTheWay(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		want []string
		asks int
	}{
		{"the policy is asked for again", nil,
			[]string{"m0.mail.test 4.4.2", "m0.mail.test 4.4.2", "m1.mail.test"}, 2},
		{"the policy cannot be had", errors.New("the store cannot be read"),
			[]string{"m0.mail.test 4.4.2", "m0.mail.test 4.4.2", "4.7.0"}, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, enforcing())
				w.publish("example.com", mx(10, "m0.mail.test"), mx(20, "m1.mail.test"))
				w.host("m0.mail.test", "8.8.4.1", "8.8.4.2").says = map[string]string{"connect": "silence"}
				w.host("m1.mail.test", "8.8.4.3")
				w.Timeout = time.Hour
				time.AfterFunc(time.Minute, func() { w.policies.fail(tt.err) })
				if got := w.visit(t, deliverTo); !slices.Equal(got, tt.want) {
					t.Errorf("visited %q", got)
				}
				if _, sts := w.asked(); len(sts) != tt.asks {
					t.Errorf("asked for %q", sts)
				}
			})
		})
	}
}

// R13: the deadline is one for the whole of a delivery; who uses a connection
// can bring it nearer, not put it off.
func TestOneDeadlineForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, none)
		w.Timeout = time.Minute
		s := w.host("example.com", "8.8.4.1")
		s.says = map[string]string{"NOOP": "silence"}
		began := time.Now()
		for conn, err := range w.Conns(t.Context(), deliverTo) {
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			conn.SetDeadline(time.Time{})
			conn.SetDeadline(began.Add(time.Hour))
			conn.Write([]byte("NOOP\r\n"))
			conn.SetReadDeadline(began.Add(time.Second))
			readAll(conn)
			if took := time.Since(began); took != time.Second {
				t.Errorf("nearer deadline: took %v", took)
			}
			conn.SetReadDeadline(time.Time{})
			conn.SetWriteDeadline(time.Time{})
			if err := readAll(conn); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("read: %v", err)
			}
			if took := time.Since(began); took != time.Minute {
				t.Errorf("took %v", took)
			}
		}
	})
}

func readAll(conn net.Conn) error {
	for b := make([]byte, 512); ; {
		if _, err := conn.Read(b); err != nil {
			return err
		}
	}
}

// A walk ends with its ctx, at whatever it was doing, and says so once.
func TestContextEndsTheWalk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, enforcing())
		w.publish("example.com", mx(10, "mx.example.com"), mx(20, "b.mail.test"))
		s := w.host("mx.example.com", "8.8.4.1", "8.8.4.2")
		s.says = map[string]string{"EHLO": "silence"}
		w.host("b.mail.test", "8.8.4.3")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var errs []error
		for conn, err := range w.Conns(ctx, deliverTo) {
			if err == nil {
				conn.Close()
			}
			errs = append(errs, err)
		}
		if len(errs) != 1 || !errors.Is(errs[0], context.DeadlineExceeded) || !asError(t, errs[0]).Temporary() {
			t.Errorf("errors %v", errs)
		}
		if n := len(w.events.list()); n != 0 { // the caller gave up; that says nothing of the host
			t.Errorf("told %d", n)
		}
	})
}

// I14, R19: by default no connection is made to a host that points into our
// own network, and none to such a literal; a smart host may well be there.
func TestOnlyPublicAddresses(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	accepted := make(chan string, 10)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				close(accepted)
				return
			}
			accepted <- conn.RemoteAddr().String()
			conn.Write([]byte("554 no\r\n"))
			conn.Close()
		}
	}()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	w := newWorld(t, none)
	w.DialContext, w.Port = nil, port
	w.addrs["example.com"] = answer("127.0.0.1")
	for _, domain := range []string{"example.com", "[127.0.0.1]", "[IPv6:::ffff:127.0.0.1]"} {
		errs := w.failures(t, Delivery{Domain: domain})
		if len(errs) != 1 || !errs[0].Temporary() {
			t.Errorf("%s: errors %v", domain, errs)
		}
		if _, ok := errors.AsType[*publicaddr.Error](errs[0]); !ok {
			t.Errorf("%s: error %v", domain, errs[0])
		}
	}
	if errs := w.failures(t, Delivery{Domain: "example.com", Hosts: []string{"example.com"}}); len(errs) != 1 || errs[0].Code != 554 {
		t.Errorf("the smart host: %v", errs)
	}
	listener.Close()
	n := 0
	for range accepted {
		n++
	}
	if n != 1 {
		t.Errorf("%d connections", n)
	}
}

// I11, R12: a greeting in clear that says no is believed for good only where no
// policy asks for more.
func TestRefusalBeforeTLS(t *testing.T) {
	for _, tt := range []struct {
		result mtasts.Result
		want   int
	}{{none, 554}, {testingMX(), 554}, {enforcing(), 451}} {
		w := newWorld(t, tt.result)
		w.publish("example.com", mx(10, "mx.example.com"))
		w.host("mx.example.com", "8.8.4.1").says = map[string]string{"connect": "554 5.7.1 go away"}
		if errs := w.failures(t, deliverTo); len(errs) != 1 || errs[0].Code != tt.want {
			t.Errorf("errors %v, want %d", errs, tt.want)
		}
	}
}

// The zero value asks the system's resolver, and has an Enforcer of its own.
func TestZeroDialer(t *testing.T) {
	var d Dialer
	e, r := d.parts()
	if _, ok := r.(*resolver.Client); !ok || e == nil {
		t.Errorf("Enforcer %v, Resolver %T", e, r)
	}
	if c, ok := e.policies().(*mtasts.Client); !ok || c.Resolver != r.(mtasts.Resolver) {
		t.Errorf("policies are looked up by %T", e.policies())
	}
	if again, _ := d.parts(); again != e {
		t.Error("another Enforcer")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	n := 0
	for conn, err := range d.Conns(ctx, Delivery{Domain: "example.com"}) {
		if n++; conn != nil || !asError(t, err).Temporary() {
			t.Errorf("%v, %v", conn, err)
		}
	}
	if n != 1 {
		t.Errorf("%d turns", n)
	}
	mine := &Enforcer{}
	d2 := Dialer{Enforcer: mine}
	if e, _ := d2.parts(); e != mine {
		t.Error("not the Enforcer given")
	}
}
