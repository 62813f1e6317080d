package outbound

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"testing"
	"time"
)

// bareConnect is what anybody must do for TLS with an MX host: dial, greeting,
// EHLO, STARTTLS and one handshake, verified by crypto/tls.
func bareConnect(dial func(context.Context) (net.Conn, error), config *tls.Config) (net.Conn, error) {
	conn, err := dial(context.Background())
	if err != nil {
		return nil, err
	}
	r := bufio.NewReader(conn)
	expect := func(last string) error {
		for {
			line, err := r.ReadString('\n')
			if err != nil || line[:4] == last {
				return err
			}
		}
	}
	if err := expect("220 "); err != nil {
		return nil, err
	}
	fmt.Fprint(conn, "EHLO out.sender.test\r\n")
	if err := expect("250 "); err != nil {
		return nil, err
	}
	fmt.Fprint(conn, "STARTTLS\r\n")
	if err := expect("220 "); err != nil {
		return nil, err
	}
	c := tls.Client(conn, config)
	return c, c.Handshake()
}

// BenchmarkConnect sets an enforced session, plan and judgement included,
// against the bare thing, on the same sockets and in turns.
func BenchmarkConnect(b *testing.B) {
	h := newHost("mx.example.com", good)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() { defer conn.Close(); h.serve(conn) }()
		}
	}()
	dial := func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", l.Addr().String())
	}
	e, _ := sender(enforcing())
	e.Observer = nil
	e.MTASTS.(*policies).forgetful = true
	e.TLSConfig.SessionTicketsDisabled = true // a full handshake each, as in the bare one
	config := &tls.Config{RootCAs: trusted().pool, ServerName: "mx.example.com"}
	var ours, bare time.Duration
	b.ReportAllocs()
	for b.Loop() {
		start := time.Now()
		c, err := bareConnect(dial, config)
		if err != nil {
			b.Fatal(err)
		}
		bare += time.Since(start)
		c.Close()
		start = time.Now()
		conn, err := session(b, e, deliverTo, "mx.example.com").Connect(b.Context(), dial)
		if err != nil {
			b.Fatal(err)
		}
		ours += time.Since(start)
		conn.Close()
	}
	b.ReportMetric(float64(ours)/float64(bare), "x-bare")
	b.ReportMetric(float64(ours)/float64(b.N)/1e3, "µs/connect")
}

func BenchmarkPlan(b *testing.B) {
	e, _ := sender(enforcing())
	e.MTASTS.(*policies).forgetful = true
	b.ReportAllocs()
	for b.Loop() {
		p, err := e.Plan(b.Context(), deliverTo)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := p.Session(b.Context(), "mx.example.com"); err != nil {
			b.Fatal(err)
		}
	}
}
