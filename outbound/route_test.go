package outbound

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/strictmx/strictmx/mtasts"
	"github.com/strictmx/strictmx/resolver"
)

// visit walks all hosts: "mx.example.com" for a connection, "mx.example.com 4.4.1"
// for an error.
func (w *world) visit(t testing.TB, dl Delivery) []string {
	t.Helper()
	var seen []string
	for conn, err := range w.Conns(t.Context(), dl) {
		if err == nil {
			seen = append(seen, conn.Session.Host())
			conn.Close()
			continue
		}
		e := asError(t, err)
		seen = append(seen, strings.TrimSpace(e.Host+" "+dotted(e.EnhancedCode)))
	}
	return seen
}

func dotted(c [3]int) string {
	return fmt.Sprintf("%d.%d.%d", c[0], c[1], c[2])
}

func TestHostsComeInOrder(t *testing.T) {
	tests := []struct {
		name string
		mxs  []resolver.MX
		want []string
	}{
		{name: "without MX records, the domain itself is the host", // SMTP-01
			want: []string{"example.com"}},
		{name: "the lower preference comes first", // SMTP-06
			mxs:  []resolver.MX{mx(20, "b.example.com"), mx(10, "a.example.com"), mx(30, "c.example.com")},
			want: []string{"a.example.com", "b.example.com", "c.example.com"}},
		{name: "a host of two preferences comes once, at the better one",
			mxs:  []resolver.MX{mx(30, "a.example.com"), mx(20, "b.example.com"), mx(10, "a.example.com")},
			want: []string{"a.example.com", "b.example.com"}},
		{name: "a null MX beside others is ignored", // SMTP-05
			mxs:  []resolver.MX{mx(0, ""), mx(10, "a.example.com")},
			want: []string{"a.example.com"}},
		{name: "we drop ourselves, and what is as good or worse", // SMTP-06, STS-118
			mxs:  []resolver.MX{mx(10, "a.example.com"), mx(20, "OUT.sender.test"), mx(20, "b.example.com"), mx(30, "c.example.com")},
			want: []string{"a.example.com"}},
		{name: "we count at our best preference",
			mxs:  []resolver.MX{mx(10, "a.example.com"), mx(40, "out.sender.test"), mx(20, "out.sender.test"), mx(30, "c.example.com")},
			want: []string{"a.example.com"}},
		{name: "a host that leads nowhere does not lead to the domain's address", // SMTP-02
			mxs:  []resolver.MX{mx(10, "gone.example.com")},
			want: []string{"gone.example.com 5.4.4"}},
		{name: "names that are none are refused in their turn and cost the others nothing", // R22
			mxs:  []resolver.MX{mx(10, "*.example.com"), mx(20, "mx\x00.example.com"), mx(30, "192.0.2.1"), mx(40, "a.example.com")},
			want: []string{`"*.example.com" 5.4.4`, `"mx\x00.example.com" 5.4.4`, "192.0.2.1 5.4.4", "a.example.com"}},
		{name: "an underscore is no obstacle", // CERT-22
			mxs:  []resolver.MX{mx(10, "mx_1.example.com")},
			want: []string{"mx_1.example.com"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, none)
			w.publish("example.com", tt.mxs...)
			for i, name := range []string{"example.com", "a.example.com", "b.example.com", "c.example.com", "mx_1.example.com", "out.sender.test"} {
				w.host(name, netip.AddrFrom4([4]byte{8, 8, 4, byte(1 + i)}).String())
			}
			if got := w.visit(t, deliverTo); !slices.Equal(got, tt.want) {
				t.Errorf("visited %q, want %q", got, tt.want)
			}
		})
	}
}

// SMTP-06: each order of two equals comes about, and neither always.
func TestEqualHostsComeInRandomOrder(t *testing.T) {
	ans := resolver.Answer[resolver.MX]{Records: []resolver.MX{mx(10, "a.test"), mx(10, "b.test"), mx(5, "first.test")}}
	orders := map[string]int{}
	for range 200 {
		mxs, denial := usable("example.com", ans, "")
		if denial != nil || mxs[0].Host != "first.test" {
			t.Fatalf("%v, %v", mxs, denial)
		}
		orders[mxs[1].Host]++
	}
	if orders["a.test"] < 50 || orders["b.test"] < 50 {
		t.Errorf("second were %v of 200", orders)
	}
	if ans.Records[0].Host != "a.test" || ans.Records[2].Host != "first.test" {
		t.Errorf("the resolver's answer was changed: %v", ans.Records) // it may be in a cache
	}
}

// A domain that takes no mail, and what is believed of that.
func TestDenials(t *testing.T) {
	us := []resolver.MX{mx(10, "out.sender.test"), mx(10, "mx.example.com")}
	kinds := []struct {
		name string
		ans  resolver.Answer[resolver.MX]
		code int
		enh  string
	}{
		{"the name does not exist", resolver.Answer[resolver.MX]{NXDomain: true}, 550, "5.1.2"},                                       // SMTP-03
		{"a null MX", resolver.Answer[resolver.MX]{Records: []resolver.MX{mx(0, "")}}, 556, "5.1.10"},                                 // SMTP-04
		{"two null MX, one of them worse", resolver.Answer[resolver.MX]{Records: []resolver.MX{mx(0, ""), mx(9, "")}}, 556, "5.1.10"}, // SMTP-04
		{"nobody better than us", resolver.Answer[resolver.MX]{Records: us}, 554, "5.4.6"},                                            // SMTP-06
	}
	ways := []struct {
		name      string
		result    mtasts.Result
		secure    bool
		permanent bool
		asked     int
	}{
		{"no policy", none, false, true, 1},
		{"DNSSEC vouches for it", none, true, true, 0}, // SMTP-04: no policy lookup at all
		{"testing", testingMX(), false, true, 1},
		{"enforce", enforcing(), false, false, 1}, // R12, I11
		{"enforce, but DNSSEC vouches for it", enforcing(), true, true, 0},
	}
	for _, k := range kinds {
		for _, way := range ways {
			t.Run(k.name+"/"+way.name, func(t *testing.T) {
				w := newWorld(t, way.result)
				k.ans.Secure = way.secure
				w.mx["example.com"] = k.ans
				errs := w.failures(t, deliverTo)
				if len(errs) != 1 {
					t.Fatalf("%d errors, want 1", len(errs))
				}
				e, want := errs[0], k.enh
				if !way.permanent {
					want = "4" + k.enh[1:]
				}
				if e.Temporary() == way.permanent || dotted(e.EnhancedCode) != want || way.permanent && e.Code != k.code {
					t.Errorf("%v: permanent %v, want %v %s", e, !e.Temporary(), way.permanent, want)
				}
				dns, sts := w.asked()
				if len(dns) != 1 || len(sts) != way.asked || len(w.events.list()) != 0 {
					t.Errorf("asked %q and for policies %q, told %d", dns, sts, len(w.events.list()))
				}
			})
		}
	}
}

// failures walks all hosts, none of which may be used.
func (w *world) failures(t testing.TB, dl Delivery) []*Error {
	t.Helper()
	var errs []*Error
	for conn, err := range w.Conns(t.Context(), dl) {
		if err == nil {
			conn.Close()
			t.Fatalf("a connection to %s", conn.Session.Host())
		}
		errs = append(errs, asError(t, err))
	}
	return errs
}

// A host without an address: permanent, but not on the word of DNS alone where
// the domain asks for more (R12).
func TestHostWithoutAddress(t *testing.T) {
	for _, tt := range []struct {
		name   string
		result mtasts.Result
		mx, a  bool // DNSSEC vouches for the MX record, and that the host has no address
		want   string
	}{
		{"no policy", none, false, false, "5.4.4"},
		{"enforce", enforcing(), false, false, "4.4.4"},
		{"enforce, and a forged MX that names a host which a signed zone denies", enforcing(), false, true, "4.4.4"},
		{"enforce, and an unsigned denial", enforcing(), true, false, "4.4.4"},
		{"enforce, but DNSSEC vouches for all of it", enforcing(), true, true, "5.4.4"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, tt.result)
			w.publish("example.com", mx(10, "mx.example.com"))
			ans := w.mx["example.com"]
			ans.Secure = tt.mx
			w.mx["example.com"] = ans
			w.addrs["mx.example.com"] = resolver.Answer[netip.Addr]{NXDomain: true, Secure: tt.a}
			if got := w.visit(t, deliverTo); !slices.Equal(got, []string{"mx.example.com " + tt.want}) {
				t.Errorf("visited %q", got)
			}
		})
	}
}

var errServFail = errors.New("SERVFAIL")

// SMTP-03: DNS that does not answer is temporary, and no reason to ask for a policy.
func TestDNSFailureIsTemporary(t *testing.T) {
	w := newWorld(t, enforcing())
	w.errs["MX example.com"] = errServFail
	errs := w.failures(t, deliverTo)
	if len(errs) != 1 || !errs[0].Temporary() || dotted(errs[0].EnhancedCode) != "4.4.3" || !errors.Is(errs[0], errServFail) {
		t.Errorf("errors %v", errs)
	}
	if _, sts := w.asked(); len(sts) != 0 {
		t.Errorf("asked for %q", sts)
	}
}

// STS-121: nor is it a failure of TLS where a host's address cannot be learned.
func TestAddressFailureIsTemporary(t *testing.T) {
	w := newWorld(t, enforcing())
	w.publish("example.com", mx(10, "mx.example.com"), mx(20, "b.mail.test"))
	w.errs["A mx.example.com"] = errServFail
	w.host("b.mail.test", "8.8.4.2")
	if got := w.visit(t, deliverTo); !slices.Equal(got, []string{"mx.example.com 4.4.3", "b.mail.test"}) {
		t.Errorf("visited %q", got)
	}
	if got := w.events.told(t); got != "sts" {
		t.Errorf("told %q", got)
	}
}

// AMB-24, SMTP-07, STS-07: MX records found behind an alias are used, and the policy
// domain stays the name before it.
func TestAliasOfADomain(t *testing.T) {
	w := newWorld(t, enforcing())
	w.mx["example.com"] = resolver.Answer[resolver.MX]{Records: []resolver.MX{mx(10, "mx.real.test")}, CanonicalName: "real.test"}
	w.host("mx.real.test", "8.8.4.1")
	if got := w.visit(t, deliverTo); !slices.Equal(got, []string{"mx.real.test 4.7.5"}) {
		t.Errorf("visited %q", got) // example.com's policy does not name it
	}
	if _, sts := w.asked(); sts[0] != "example.com" || slices.Contains(sts, "real.test") {
		t.Errorf("asked for %q", sts)
	}
}

// STS-115: the implicit MX is judged by the domain's name.
func TestImplicitMXUnderPolicy(t *testing.T) {
	for _, tt := range []struct {
		pattern string
		want    string
	}{
		{"example.com", "example.com"},
		{"*.example.com", "example.com 4.7.5"},
		{"mail.example.com", "example.com 4.7.5"},
	} {
		t.Run(tt.pattern, func(t *testing.T) {
			w := newWorld(t, policy("example.com", mtasts.ModeEnforce, tt.pattern))
			w.host("example.com", "8.8.4.1")
			if got := w.visit(t, deliverTo); !slices.Equal(got, []string{tt.want}) {
				t.Errorf("visited %q", got)
			}
		})
	}
}

// STS-116, SMTP-09: an MX target that is an alias is judged by the name in the record.
func TestAliasOfAHost(t *testing.T) {
	for _, tt := range []struct {
		pattern string
		want    string
	}{
		{"mx.example.com", "mx.example.com"},
		{"h.provider.test", "mx.example.com 4.7.5"},
	} {
		t.Run(tt.pattern, func(t *testing.T) {
			w := newWorld(t, policy("example.com", mtasts.ModeEnforce, tt.pattern))
			w.publish("example.com", mx(10, "mx.example.com"))
			w.host("mx.example.com", "8.8.4.1")
			w.addrs["mx.example.com"] = resolver.Answer[netip.Addr]{
				Records: w.addrs["mx.example.com"].Records, CanonicalName: "h.provider.test",
			}
			if got := w.visit(t, deliverTo); !slices.Equal(got, []string{tt.want}) {
				t.Errorf("visited %q", got)
			}
		})
	}
}

// STS-117: an address in an MX record is no host, whatever the policy says.
func TestAddressAsMX(t *testing.T) {
	w := newWorld(t, enforcing())
	w.publish("example.com", mx(10, "8.8.4.1"))
	w.host("8.8.4.1", "8.8.4.1")
	if got := w.visit(t, deliverTo); len(got) != 1 || !strings.HasSuffix(got[0], " 4.7.5") || len(w.dialled) != 0 {
		t.Errorf("visited %q, dialled %q", got, w.dialled)
	}
}

func TestDomainsThatAreNone(t *testing.T) {
	for _, domain := range []string{
		"", "192.0.2.1", "2001:db8::1", // SMTP-10
		"a..b", "two words.test", "x\r\ny.test", strings.Repeat("a", 64) + ".test", "[192.0.2.1", "[nonsense]", "[2001:db8::1]",
	} {
		t.Run(domain, func(t *testing.T) {
			w := newWorld(t, none)
			errs := w.failures(t, Delivery{Domain: domain})
			if len(errs) != 1 || errs[0].Temporary() || dotted(errs[0].EnhancedCode) != "5.1.2" {
				t.Errorf("errors %v", errs)
			}
			if dns, sts := w.asked(); len(dns)+len(sts) != 0 {
				t.Errorf("asked %q %q", dns, sts)
			}
		})
	}
}

// STS-04: an address literal is delivered to as it is; nobody could publish
// anything for it, so nobody is asked or told.
func TestAddressLiteral(t *testing.T) {
	for _, tt := range []struct{ literal, dials string }{
		{"[8.8.4.1]", "8.8.4.1:25"},
		{"[IPv6:2606:4700::1]", "[2606:4700::1]:25"},
		{"[ipv6:2606:4700::1]", "[2606:4700::1]:25"},
	} {
		t.Run(tt.literal, func(t *testing.T) {
			w := newWorld(t, enforcing())
			w.hosts[tt.dials] = &server{name: "mx.example.com", cert: issue("mx.example.com", unknownCA)}
			if got := w.visit(t, Delivery{Domain: tt.literal}); len(got) != 1 || strings.Contains(got[0], " ") {
				t.Errorf("visited %q", got)
			}
			dns, sts := w.asked()
			if !slices.Equal(w.dialled, []string{tt.dials}) || len(dns)+len(sts) != 0 || len(w.events.list()) != 0 {
				t.Errorf("dialled %q, asked %q %q, told %v", w.dialled, dns, sts, w.events.list())
			}
		})
	}
}

// AMB-47, STS-02: fixed hosts are judged by the policy of the smart host's domain.
func TestSmartHost(t *testing.T) {
	for _, tt := range []struct {
		name  string
		hosts []string
		want  []string
		dials []string
	}{
		{"in the order given, with or without a port, not sorted and not cut at us",
			[]string{"mx.example.com:587", "out.sender.test", "b.mail.test"},
			[]string{"mx.example.com 4.4.1", "out.sender.test 4.7.5", "b.mail.test"}, []string{"8.8.4.1:587", "8.8.4.2:25"}},
		{"an empty port is the usual one", []string{"B.mail.test.:"}, []string{"b.mail.test"}, []string{"8.8.4.2:25"}},
		{"the policy has to name them", []string{"other.test"}, []string{"other.test 4.7.5"}, nil},
		{"an address is named by none", []string{"8.8.4.2", "[2606:4700::1]:25"}, []string{"8.8.4.2 4.7.5", "2606:4700::1 4.7.5"}, nil}, // STS-10
		{"a host that is no name", []string{"no host"}, []string{`"no host" 4.7.5`}, nil},
		{"no host", []string{}, []string{"5.4.4"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, enforcing())
			w.host("mx.example.com", "8.8.4.1")
			w.host("b.mail.test", "8.8.4.2")
			got := w.visit(t, Delivery{Domain: "example.com", Hosts: tt.hosts})
			if !slices.Equal(got, tt.want) || !slices.Equal(w.dialled, tt.dials) {
				t.Errorf("visited %q, want %q; dialled %q, want %q", got, tt.want, w.dialled, tt.dials)
			}
			if dns, _ := w.asked(); slices.Contains(dns, "MX example.com") {
				t.Errorf("asked %q", dns)
			}
		})
	}
}

// STS-10: a smart host known by its address alone has no policy.
func TestSmartHostByAddress(t *testing.T) {
	w := newWorld(t, enforcing())
	w.hosts["[2606:4700::1]:25"] = &server{name: "relay"}
	got := w.visit(t, Delivery{Domain: "[IPv6:2606:4700::1]", Hosts: []string{"2606:4700::1"}})
	if _, sts := w.asked(); !slices.Equal(got, []string{"2606:4700::1"}) || len(sts) != 0 {
		t.Errorf("visited %q, asked for %q", got, sts)
	}
}

// The machine's own name stands in for LocalName.
func TestOwnName(t *testing.T) {
	if got := (&Enforcer{LocalName: "a.test"}).ownName(); got != "a.test" {
		t.Errorf("own name %q", got)
	}
	if isHost("", (&Enforcer{}).ownName()) || isHost("", "") {
		t.Error("no name is a host's")
	}
}

var _ Resolver = (*resolver.Client)(nil)
var _ Resolver = (*world)(nil)
