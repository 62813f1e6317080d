package resolver

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// netOver is a Net whose standard resolver asks s.
func netOver(s *testServer) Net {
	return FromNet(&net.Resolver{PreferGo: true, StrictErrors: true, Dial: dialTo(s)})
}

func TestNet(t *testing.T) {
	s := startServer(t, zone(t, soa,
		`_mta-sts.example.test. 60 IN TXT "v=STSv1; i" "d=abc"`,
		"example.test. 60 IN MX 20 MX2.example.test.", "example.test. 60 IN MX 10 mx1.example.test.",
		"null.example.test. 60 IN MX 0 .",
		"partly.example.test. 60 IN MX 10 mx1.example.test.", `partly.example.test. 60 IN MX 20 a\032b.test.`,
		"mx1.example.test. 60 IN A 192.0.2.1", "mx1.example.test. 60 IN AAAA 2001:db8::1",
		"alias.example.test. 60 IN CNAME MX1.example.test.",
	))
	n, ctx := netOver(s), context.Background()

	txt, err := n.TXT(ctx, "_MTA-STS.example.test") // STS-13
	if err != nil || !slices.Equal(txt.Records, []string{"v=STSv1; id=abc"}) || txt.TTL >= 0 || txt.Secure || txt.CanonicalName != "_mta-sts.example.test" {
		t.Errorf("TXT = %+v, %v", txt, err)
	}
	for _, name := range []string{"none.example.test", "mx1.example.test"} {
		txt, err = n.TXT(ctx, name) // STS-34
		if err != nil || len(txt.Records) != 0 || txt.TTL >= 0 || txt.NXDomain {
			t.Errorf("TXT of %s = %+v, %v; want an answer without records", name, txt, err)
		}
	}
	for name, want := range map[string][]MX{
		"example.test":        {{10, "mx1.example.test"}, {20, "mx2.example.test"}},
		"null.example.test":   {{0, ""}},
		"partly.example.test": {{10, "mx1.example.test"}}, // an error beside data
	} {
		if mx, err := n.MX(ctx, name); err != nil || !slices.Equal(mx.Records, want) {
			t.Errorf("MX of %s = %+v, %v; want %v", name, mx, err, want)
		}
	}
	addr, err := n.Addr(ctx, "mx1.example.test")
	if want := []netip.Addr{netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("192.0.2.1")}; err != nil || !slices.Equal(addr.Records, want) {
		t.Errorf("Addr = %+v, %v; want %v", addr, err, want)
	}
	alias, err := n.CNAME(ctx, "alias.example.test")
	if err != nil || !slices.Equal(alias.Records, []string{"mx1.example.test"}) {
		t.Errorf("CNAME of an alias = %+v, %v", alias, err)
	}
	for _, name := range []string{"mx1.example.test", "none.example.test"} {
		if a, err := n.CNAME(ctx, name); err != nil || len(a.Records) != 0 {
			t.Errorf("CNAME of %s = %+v, %v", name, a, err)
		}
	}
	for _, q := range s.asked() {
		if !strings.Contains(q, "example.test. ") {
			t.Errorf("asked %q: a search list was used", q)
		}
	}
}

func TestNetFailures(t *testing.T) {
	for _, tc := range []struct {
		rule string
		h    handler
		kind Kind
	}{
		{"SERVFAIL", rcode(dns.RcodeServerFailure), KindServFail}, // STS-34
		{"REFUSED", rcode(dns.RcodeRefused), KindRefused},
		{"only hosts that are no names", zone(t, `name.test. 60 IN MX 20 a\032b.test.`), KindMalformed},
	} {
		t.Run(tc.rule, func(t *testing.T) {
			_, err := netOver(startServer(t, tc.h)).MX(context.Background(), "name.test")
			if e := wantKind(t, err, tc.kind); e.Name != "name.test" || e.Type != "MX" {
				t.Errorf("error = %+v", e)
			}
		})
	}
	refused := func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: "udp", Err: net.UnknownNetworkError("x")}
	}
	_, err := FromNet(&net.Resolver{PreferGo: true, Dial: refused}).TXT(context.Background(), "name.test")
	wantKind(t, err, KindNetwork)

	_, err = Net{}.TLSA(context.Background(), "_25._tcp.mx.example\n")
	if e := wantKind(t, err, KindUnsupported); e.Temporary() {
		t.Errorf("TLSA: %v is temporary", e)
	}
	_, err = Net{}.TXT(context.Background(), "[192.0.2.1]") // no lookup
	wantKind(t, err, KindName)
}

// R34, with real time: package net keeps a channel of its own for resolv.conf,
// which must not be made in a bubble.
func TestNetCallersContext(t *testing.T) {
	var mu sync.Mutex
	n := FromNet(&net.Resolver{PreferGo: true, Dial: silence(&mu, map[string]int{})})
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	_, err := n.TXT(ctx, "name.test")
	if e := wantKind(t, err, KindCanceled); !errors.Is(err, context.DeadlineExceeded) || !e.Timeout() {
		t.Errorf("deadline: %v", err)
	}
	ctx, cancel = context.WithCancel(context.Background())
	cancel()
	_, err = n.TXT(ctx, "name.test")
	if wantKind(t, err, KindCanceled); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	late := func(context.Context, string, string) (net.Conn, error) { return nil, context.DeadlineExceeded }
	_, err = FromNet(&net.Resolver{PreferGo: true, Dial: late}).TXT(context.Background(), "name.test")
	if wantKind(t, err, KindTimeout); errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the hook's deadline passes for the caller's: %v", err)
	}
}
