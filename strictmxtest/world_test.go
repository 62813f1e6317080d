package strictmxtest_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/strictmx/strictmx/strictmxtest"
)

// get returns status and type of what an URL answers in the world.
func get(w *strictmxtest.World, url string) string {
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return err.Error()
	}
	resp, err := w.Transport().RoundTrip(req)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	return resp.Status + " " + resp.Header.Get("Content-Type")
}

// ours returns the stacks of goroutines that run this package's code, other than
// the caller's.
func ours() []string {
	buf := make([]byte, 1<<20)
	buf = buf[:runtime.Stack(buf, true)]
	var found []string
	for g := range strings.SplitSeq(string(buf), "\n\n") {
		if strings.Contains(g, "/strictmxtest.(") && !strings.Contains(g, "testing.tRunner") {
			found = append(found, g)
		}
	}
	return found
}

// eventually waits for what a server does after its client could know.
func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !ok(); <-tick.C {
		if time.Now().After(end) {
			t.Fatal("it did not happen")
		}
	}
}

func TestCloseLeavesNoGoroutine(t *testing.T) {
	w, err := strictmxtest.Start()
	if err != nil {
		t.Fatal(err)
	}
	w.Domain("example.com").MX("mx.example.com", "implicit.example.com").Policy("x")
	w.MX("implicit.example.com").ImplicitTLS()
	// One connection in each state that can last.
	var conns []net.Conn
	dial := func(address string) net.Conn {
		t.Helper()
		conn, err := w.DialContext(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
		return conn
	}
	for _, f := range []strictmxtest.MXFault{strictmxtest.None, strictmxtest.HangBeforeGreeting, strictmxtest.EndlessLine} {
		w.MX("mx.example.com").Fault(f)
		io.WriteString(dial("mx.example.com:25"), "EHLO client.example\r\n")
	}
	dial("implicit.example.com:465")
	dial(w.DNS.Addr())
	for _, f := range []strictmxtest.PolicyFault{strictmxtest.None, strictmxtest.HangInHandshake, strictmxtest.SlowBody} {
		w.Domain("example.com").Fault(f)
		c := tls.Client(dial("mta-sts.example.com:443"), &tls.Config{ServerName: "mta-sts.example.com", RootCAs: w.Roots()})
		if f == strictmxtest.HangInHandshake {
			go c.Handshake()
			continue
		}
		fmt.Fprint(c, "GET /.well-known/mta-sts.txt HTTP/1.1\r\nHost: mta-sts.example.com\r\n\r\n")
	}
	if len(ours()) == 0 {
		t.Fatal("no goroutine found while the world is up: this test looks in the wrong place")
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if left := ours(); len(left) > 0 {
		t.Errorf("%d goroutines left, such as:\n%s", len(left), left[0])
	}
	if err := w.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	for _, conn := range conns {
		conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		if _, err := io.Copy(io.Discard, conn); errors.Is(err, context.DeadlineExceeded) {
			t.Error("a connection is still open")
		}
		conn.Close()
	}
	if conn, err := w.DialContext(t.Context(), "tcp", w.MX("mx.example.com").IP().String()+":25"); err == nil {
		conn.Close()
		t.Error("a host of a closed world takes connections")
	}
	if conn, err := w.DialContext(t.Context(), "tcp", w.MX("late.example.com").IP().String()+":25"); err == nil {
		conn.Close()
		t.Error("a host made in a closed world takes connections")
	}
}

func TestEveryHostHasAnAddressAndAllShareOnePort(t *testing.T) {
	w := strictmxtest.New(t)
	seen := map[string]bool{}
	for _, name := range []string{"mx1.example.com", "mx2.example.com", "mx.example.org"} {
		m := w.MX(name)
		if want := fmt.Sprintf("%s:%d", m.IP(), w.Port()); m.Addr() != want {
			t.Skipf("%s listens on %s: this system has no loopback address but 127.0.0.1", name, m.Addr())
		}
		if seen[m.IP().String()] || !m.IP().IsLoopback() {
			t.Errorf("%s has the address %s", name, m.IP())
		}
		seen[m.IP().String()] = true
		conn, err := net.Dial("tcp", m.Addr()) // without help from the world
		if err != nil {
			t.Fatal(err)
		}
		line := make([]byte, 64)
		n, _ := conn.Read(line)
		if want := "220 " + name; !strings.HasPrefix(string(line[:n]), want) {
			t.Errorf("%s greets %q", name, line[:n])
		}
		conn.Close()
	}
	if w.MX("MX1.example.com.") != w.MX("mx1.example.com") || w.Domain("Bücher.example") != w.Domain("xn--bcher-kva.example") {
		t.Error("two spellings of one name are two hosts")
	}
}

func TestDialContextKnowsTheWorldAndNothingElse(t *testing.T) {
	w := strictmxtest.New(t)
	w.Domain("example.com").MX("mx.example.com").Policy("x")
	w.DNS.Set("alias.example.com. CNAME mx.example.com.", "six.example.com. AAAA ::1", "void.example.com. A 127.250.250.250",
		"silent.example.com. A 127.250.250.250")
	w.DNS.Fault("silent.example.com", "*", strictmxtest.ServFail)
	mx := w.MX("mx.example.com")
	dead, err := net.Listen("tcp", "127.0.0.1:0") // a server of this machine that is not of the world
	if err != nil {
		t.Fatal(err)
	}
	defer dead.Close()
	for _, tt := range []struct {
		address string
		to      string // "": refused
	}{
		{"mx.example.com:25", mx.Addr()},
		{"mx.example.com.:smtp", mx.Addr()},
		{"alias.example.com:25", mx.Addr()},
		{mx.IP().String() + ":25", mx.Addr()},
		{mx.Addr(), mx.Addr()},
		{"mta-sts.example.com:443", w.PolicyHost.Addr()},
		{w.PolicyHost.Addr(), w.PolicyHost.Addr()},
		{w.DNS.Addr(), w.DNS.Addr()},
		{"mx.example.com:465", ""},
		{"mx.example.com:80", ""},
		{"mta-sts.example.com:25", ""},
		{"void.example.com:25", ""},
		{dead.Addr().String(), ""},
		{"[::1]:25", ""},
	} {
		conn, err := w.DialContext(t.Context(), "tcp", tt.address)
		switch {
		case tt.to == "" && !errors.Is(err, syscall.ECONNREFUSED):
			t.Errorf("%s: %v, want connection refused", tt.address, err)
		case tt.to == "" && !strings.Contains(err.Error(), "connect: connection refused"):
			t.Errorf("%s: %q does not read like a refused connection", tt.address, err)
		case tt.to != "" && err != nil:
			t.Errorf("%s: %v", tt.address, err)
		case tt.to != "" && conn.RemoteAddr().String() != tt.to:
			t.Errorf("%s: reached %s, want %s", tt.address, conn.RemoteAddr(), tt.to)
		}
		if conn != nil {
			conn.Close()
		}
	}
	for address, notFound := range map[string]bool{
		"nobody.example.com:25": true, "six.example.com:25": true, "silent.example.com:25": false, "a..b:25": false,
	} {
		_, err := w.DialContext(t.Context(), "tcp", address)
		if e, ok := errors.AsType[*net.DNSError](err); !ok || e.IsNotFound != notFound {
			t.Errorf("%s: %v, want a DNS error, not found: %t", address, err, notFound)
		}
	}
	if _, err := w.DialContext(t.Context(), "tcp", "mx.example.com"); err == nil {
		t.Error("an address without a port is dialled")
	}
	mx.ImplicitTLS()
	conn, err := w.DialContext(t.Context(), "tcp", "mx.example.com:465")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c := tls.Client(conn, &tls.Config{ServerName: "mx.example.com", RootCAs: w.Roots()})
	greeting := make([]byte, 3)
	if _, err := io.ReadFull(c, greeting); err != nil || string(greeting) != "220" {
		t.Errorf("port 465: %q, %v", greeting, err)
	}
}

func TestManyAtOnce(t *testing.T) {
	w := strictmxtest.New(t)
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			name := fmt.Sprintf("d%d.example", i%25)
			w.Domain(name).MX("mx." + name).Policy(strictmxtest.PolicyText("testing", "mx."+name))
			if got := get(w, "https://mta-sts."+name+"/.well-known/mta-sts.txt"); got != "200 OK text/plain" {
				t.Errorf("%s: %s", name, got)
			}
			w.MX("mx." + name).Fault(strictmxtest.NoSTARTTLS).Certificate(strictmxtest.Expired).Sessions()
			w.Domain("other." + name).Fault(strictmxtest.Unreachable)
			_, _, _ = w.Log(), w.DNS.Queries(), w.PolicyHost.Requests()
		})
	}
	wg.Wait()
	if n := len(w.PolicyHost.Requests()); n != 50 {
		t.Errorf("%d requests, want 50", n)
	}
}

// reporter is a testing.TB that notes what it is told.
type reporter struct {
	testing.TB
	errors, logs []string
	cleanup      []func()
}

func (r *reporter) Errorf(format string, args ...any) {
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
}
func (r *reporter) Logf(format string, args ...any) {
	r.logs = append(r.logs, fmt.Sprintf(format, args...))
}
func (r *reporter) Failed() bool     { return len(r.errors) > 0 }
func (r *reporter) Cleanup(f func()) { r.cleanup = append(r.cleanup, f) }

func TestAMistakeFailsTheTestWhichTellsWhatHappened(t *testing.T) {
	for name, mistake := range map[string]func(*strictmxtest.World){
		"a record that does not parse": func(w *strictmxtest.World) { w.DNS.Set("example.com. IN MX ten mx.") },
		"no record":                    func(w *strictmxtest.World) { w.DNS.Add("") },
		"an unknown type to remove":    func(w *strictmxtest.World) { w.DNS.Remove("example.com", "TEXT") },
		"an unknown type to fault":     func(w *strictmxtest.World) { w.DNS.Fault("example.com", "TEXT", strictmxtest.NoAnswer) },
		"an address as a domain":       func(w *strictmxtest.World) { w.Domain("192.0.2.1") },
		"no name of an MX host":        func(w *strictmxtest.World) { w.MX("not a name") },
	} {
		t.Run(name, func(t *testing.T) {
			r := &reporter{TB: t}
			w := strictmxtest.New(r)
			w.NetResolver().LookupTXT(t.Context(), "asked.example.")
			mistake(w)
			for _, f := range r.cleanup {
				f()
			}
			if len(r.errors) != 1 || !strings.HasPrefix(r.errors[0], "strictmxtest: ") {
				t.Errorf("errors %q", r.errors)
			}
			if len(r.logs) != 1 || !strings.Contains(r.logs[0], "asked.example TXT") {
				t.Errorf("logs %q, want the query", r.logs)
			}

			w, err := strictmxtest.Start()
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			defer func() {
				if recover() == nil {
					t.Error("no panic in a world without a test")
				}
			}()
			mistake(w)
		})
	}
}

func TestForgetKeepsTheWorldAndClearsItsMemory(t *testing.T) {
	w := strictmxtest.New(t)
	w.Domain("example.com").MX("mx.example.com").Policy(strictmxtest.PolicyText("none"))
	url := "https://mta-sts.example.com/.well-known/mta-sts.txt"
	if got := get(w, url); got != "200 OK text/plain" {
		t.Fatal(got)
	}
	deliver(t, w, "mx.example.com", &tls.Config{RootCAs: w.Roots()})
	mx := w.MX("mx.example.com")
	if len(mx.Messages()) != 1 || len(mx.Sessions()) != 1 || w.Domain("example.com").Connections() != 1 {
		t.Fatal("nothing to forget")
	}
	w.Forget()
	for what, n := range map[string]int{
		"queries": len(w.DNS.Queries()), "count": w.DNS.Count("*", "*"), "requests": len(w.PolicyHost.Requests()),
		"of domain": len(w.Domain("example.com").Requests()), "connections": w.PolicyHost.Connections(),
		"messages": len(mx.Messages()), "sessions": len(mx.Sessions()), "connections to MX": mx.Connections(), "log": len(w.Log()),
	} {
		if n != 0 {
			t.Errorf("%s: %d", what, n)
		}
	}
	if got := get(w, url); got != "200 OK text/plain" {
		t.Error(got)
	}
}

func TestTheLogIsBounded(t *testing.T) {
	w := strictmxtest.New(t)
	for range 5000 {
		w.MX("mx.example.com").EHLO(nil, nil)
		w.DNS.Count("x", "TXT")
	}
	conn, err := net.Dial("udp", w.DNS.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	query := []byte("\x00\x01\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01x\x00\x00\x10\x00\x01")
	for range 5000 {
		conn.Write(query)
		conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		if _, err := conn.Read(make([]byte, 512)); err != nil {
			t.Fatal(err)
		}
	}
	log := w.Log()
	if lines := strings.Count(log, "\n"); lines > 2001 || lines < 1000 {
		t.Errorf("%d lines after 5000 queries", lines)
	}
	if !strings.Contains(log, "earlier lines are gone") || bytes.Count([]byte(log), []byte("x TXT")) < 1000 {
		t.Error("the log does not say that it was cut")
	}
}

func BenchmarkStart(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		w, err := strictmxtest.Start()
		if err != nil {
			b.Fatal(err)
		}
		w.Close()
	}
}

// BenchmarkDomain is a domain with a policy, and its share of Close.
func BenchmarkDomain(b *testing.B) {
	w := strictmxtest.New(b)
	w.MX("mx.example")
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		w.Domain(fmt.Sprintf("d%d.example", i)).MX("mx.example").Policy("x")
	}
}

// BenchmarkThousandHosts is a world with a thousand MX hosts, each listening.
func BenchmarkThousandHosts(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		w, err := strictmxtest.Start()
		if err != nil {
			b.Fatal(err)
		}
		for i := range 1000 {
			w.MX(fmt.Sprintf("mx%d.example", i))
		}
		w.Close()
	}
}
