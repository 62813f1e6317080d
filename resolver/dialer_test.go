package resolver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

type addrs map[string][]netip.Addr

func (m addrs) Addr(_ context.Context, name string) (Answer[netip.Addr], error) {
	records, ok := m[name]
	if !ok {
		return Answer[netip.Addr]{}, errors.New("SERVFAIL")
	}
	return Answer[netip.Addr]{Records: records}, nil
}

func list(s ...string) (out []netip.Addr) {
	for _, a := range s {
		out = append(out, netip.MustParseAddr(a))
	}
	return out
}

var errRefused = errors.New("connection refused")

func TestDialContext(t *testing.T) {
	many := make([]netip.Addr, 100)
	for i := range many {
		many[i] = netip.AddrFrom4([4]byte{9, 9, 9, byte(i)})
	}
	zone := addrs{
		"a.example":     list("9.9.9.1", "9.9.9.2"),
		"v6.example":    list("2620:fe::1", "2620:fe::2", "2620:fe::3", "9.9.9.1", "9.9.9.2"),
		"many.example":  many,
		"empty.example": nil,
	}
	for _, c := range []struct {
		name, network, address string
		answers                string // the only address that takes connections
		tried                  []string
		err                    string
	}{
		{"the first address that answers", "tcp", "a.example:25", "9.9.9.1:25", []string{"9.9.9.1:25"}, ""},
		{"the next one after a refusal", "tcp", "a.example:25", "9.9.9.2:25", []string{"9.9.9.1:25", "9.9.9.2:25"}, ""},
		{"every refusal is told", "tcp", "a.example:25", "", []string{"9.9.9.1:25", "9.9.9.2:25"}, "connection refused; connection refused"},
		{"the families take turns", "tcp", "v6.example:25", "9.9.9.1:25", []string{"[2620:fe::1]:25", "9.9.9.1:25"}, ""},
		{"one family where the caller asks for it", "tcp4", "v6.example:25", "9.9.9.1:25", []string{"9.9.9.1:25"}, ""},
		{"the other family", "tcp6", "v6.example:25", "[2620:fe::2]:25", []string{"[2620:fe::1]:25", "[2620:fe::2]:25"}, ""},
		{"a name without addresses", "tcp", "empty.example:25", "", nil, ErrNoAddress.Error()},
		{"a name that DNS did not answer", "tcp", "gone.example:25", "", nil, "SERVFAIL"},
		{"an address literal is not looked up", "tcp", "9.9.9.9:25", "9.9.9.9:25", []string{"9.9.9.9:25"}, ""},
		{"no port", "tcp", "a.example", "", nil, "missing port"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var tried []string
			d := Dialer{Resolver: zone, Dial: func(_ context.Context, _, address string) (net.Conn, error) {
				tried = append(tried, address)
				if address == c.answers {
					return &net.TCPConn{}, nil
				}
				return nil, errRefused
			}}
			conn, err := d.DialContext(t.Context(), c.network, c.address)
			if c.err == "" && (err != nil || conn == nil) || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
				t.Errorf("%v, %v; want error %q", conn, err, c.err)
			}
			if !slices.Equal(tried, c.tried) {
				t.Errorf("tried %v, want %v", tried, c.tried)
			}
		})
	}
	t.Run("however many addresses a name has, a few are tried", func(t *testing.T) {
		n := 0
		d := Dialer{Resolver: zone, Dial: func(context.Context, string, string) (net.Conn, error) { n++; return nil, errRefused }}
		if _, err := d.DialContext(t.Context(), "tcp", "many.example:25"); !errors.Is(err, errRefused) || n != maxAddrs {
			t.Errorf("%d tried, %v; want %d", n, err, maxAddrs)
		}
	})
}

// STS-59, R19: a name that points at our own network.
func TestDialContextRefusesNamesOfOurNetwork(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	d := Dialer{Resolver: addrs{"evil.example": list("127.0.0.1", "::ffff:127.0.0.1", "::1", "64:ff9b::127.0.0.1")}}
	for _, host := range []string{"evil.example", "127.0.0.1", "::ffff:127.0.0.1"} {
		conn, err := d.DialContext(t.Context(), "tcp", net.JoinHostPort(host, port))
		if _, ok := errors.AsType[*NonPublicError](err); !ok || conn != nil {
			t.Errorf("%s: %v, %v; want an *Error", host, conn, err)
		}
		if err != nil && strings.ContainsAny(err.Error(), "\r\n") {
			t.Errorf("%s: %q is more than a line", host, err)
		}
	}
	// The same dialer works where the caller lifts the rule.
	own := Dialer{Resolver: d.Resolver, Dial: new(net.Dialer).DialContext}
	lifted := Dialer{Resolver: d.Resolver, AllowPrivate: true}
	for _, d := range []*Dialer{&own, &lifted} {
		conn, err := d.DialContext(t.Context(), "tcp", net.JoinHostPort("evil.example", port))
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
	}
}

func TestDialContextSharesItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var took []time.Duration
		d := Dialer{
			Resolver: addrs{"slow.example": list("9.9.9.1", "9.9.9.2", "9.9.9.3", "9.9.9.4", "9.9.9.5", "9.9.9.6", "9.9.9.7", "9.9.9.8")},
			Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
				start := time.Now()
				<-ctx.Done()
				took = append(took, time.Since(start))
				return nil, fmt.Errorf("dial: %w", ctx.Err())
			},
		}
		start := time.Now()
		_, err := d.DialContext(t.Context(), "tcp", "slow.example:443")
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != dialTimeout {
			t.Errorf("%v after %v, want a deadline after %v", err, time.Since(start), dialTimeout)
		}
		if want := []time.Duration{2e9, 2e9, 2e9, 2e9, 2e9}; !slices.Equal(took, want) {
			t.Errorf("the attempts took %v, want %v", took, want)
		}
		d.Timeout = 40 * time.Second
		took, start = nil, time.Now()
		_, err = d.DialContext(t.Context(), "tcp", "slow.example:443")
		if err == nil || time.Since(start) != d.Timeout || len(took) != 8 || took[0] != 5*time.Second {
			t.Errorf("%v after %v and attempts of %v, want eight equal shares of %v", err, time.Since(start), took, d.Timeout)
		}
	})
}
