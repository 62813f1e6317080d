package strictmxtest_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/smtp"
	"net/textproto"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/strictmx/strictmx/strictmxtest"
)

const mxName = "mx.example.com"

// seen is what a client of net/smtp made of one delivery through STARTTLS.
type seen struct {
	w   *strictmxtest.World
	mx  *strictmxtest.MX
	err error // begins with the step that failed
}

// refused: the step fails with a reply of this code.
func refused(step string, code int) func(*testing.T, seen) {
	return func(t *testing.T, s seen) {
		t.Helper()
		if e, ok := errors.AsType[*textproto.Error](s.err); !ok || e.Code != code || !says(s.err, step+": ") {
			t.Errorf("%v, want %d at %s", s.err, code, step)
		}
	}
}

// broken: the step fails with an end of the connection.
func broken(step string) func(*testing.T, seen) {
	return func(t *testing.T, s seen) {
		t.Helper()
		end := errors.Is(s.err, io.EOF) || errors.Is(s.err, io.ErrUnexpectedEOF) || errors.Is(s.err, syscall.ECONNRESET) || errors.Is(s.err, syscall.EPIPE)
		if !end || !says(s.err, step+": ") {
			t.Errorf("%v, want the connection to end at %s", s.err, step)
		}
	}
}

// Each row says what a plain client sees; a fault without a row fails.
func TestMXFaults(t *testing.T) {
	rows := map[strictmxtest.MXFault]func(*testing.T, seen){
		strictmxtest.TLS11Only: func(t *testing.T, s seen) {
			if !says(s.err, "STARTTLS: ") || !says(s.err, "protocol version not supported") {
				t.Errorf("a client of today: %v", s.err)
			}
			if err := deliver(t, s.w, mxName, &tls.Config{RootCAs: s.w.Roots(), MinVersion: tls.VersionTLS10}); err != nil {
				t.Errorf("a client of yesterday: %v", err)
			}
			if m := s.mx.Messages(); len(m) != 1 || m[0].TLS.Version != tls.VersionTLS11 {
				t.Errorf("%+v", m)
			}
		},
		strictmxtest.RefuseConnection: func(t *testing.T, s seen) {
			if !errors.Is(s.err, syscall.ECONNREFUSED) {
				t.Error(s.err)
			}
			if _, err := net.Dial("tcp", s.mx.Addr()); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("without the world's help: %v", err)
			}
		},
		strictmxtest.HangBeforeGreeting: func(t *testing.T, s seen) {
			if !errors.Is(s.err, os.ErrDeadlineExceeded) || !says(s.err, "greeting: ") {
				t.Errorf("%v, want a time-out", s.err)
			}
		},
		strictmxtest.CloseAfterGreeting: broken("EHLO"),
		strictmxtest.CloseAfterEHLO:     broken("EHLO"),
		strictmxtest.EndlessLine:        endless("250-" + mxName + "xxxxxxxx"),
		strictmxtest.EndlessReply:       endless("250-" + mxName + "\r\n250-X-MORE\r\n250-X-MORE\r\n"),
		strictmxtest.NoSTARTTLS: func(t *testing.T, s seen) {
			offer := talkTo(t, s.w, "EHLO c.example", "STARTTLS")
			if strings.Contains(offer[1], "STARTTLS") || strings.Contains(offer[1], "XXX") || !strings.HasPrefix(offer[2], "502 ") || !says(s.err, "no STARTTLS") {
				t.Errorf("%q, %v", offer, s.err)
			}
		},
		strictmxtest.StrippedSTARTTLS: func(t *testing.T, s seen) {
			offer := talkTo(t, s.w, "EHLO c.example", "STARTTLS")
			if strings.Contains(offer[1], "STARTTLS") || !strings.Contains(offer[1], "XXXXXXXX") || !strings.HasPrefix(offer[2], "502 ") {
				t.Errorf("%q", offer)
			}
		},
		strictmxtest.GarbageAfter220: func(t *testing.T, s seen) {
			if _, ok := errors.AsType[tls.RecordHeaderError](s.err); !ok || !says(s.err, "STARTTLS: ") {
				t.Error(s.err)
			}
		},
		strictmxtest.CloseAfter220:         broken("STARTTLS"),
		strictmxtest.CloseAfterClientHello: broken("STARTTLS"),
		strictmxtest.HangAfter220: func(t *testing.T, s seen) {
			conn := dialMX(t, s.w)
			talk(t, conn, "EHLO c.example", "STARTTLS")
			conn.SetReadDeadline(time.Now().Add(silence))
			c := tls.Client(conn, &tls.Config{ServerName: mxName, RootCAs: s.w.Roots()})
			if err := c.Handshake(); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%v, want a time-out", err)
			}
		},
		strictmxtest.InjectAfter220: func(t *testing.T, s seen) {
			conn := dialMX(t, s.w)
			in := bufio.NewReader(conn)
			in.ReadString('\n')
			fmt.Fprint(conn, "STARTTLS\r\n")
			line, err := in.ReadString('\n')
			rest, _ := in.Peek(in.Buffered())
			if err != nil || !strings.HasPrefix(line, "220 ") || !strings.HasPrefix(string(rest), "250-injected.invalid\r\n250") {
				t.Errorf("%q with %q behind it, %v", line, rest, err)
			}
			in.Discard(in.Buffered()) // who throws it away has a good handshake
			c := tls.Client(conn, &tls.Config{ServerName: mxName, RootCAs: s.w.Roots()})
			if err := c.Handshake(); err != nil {
				t.Errorf("handshake: %v", err)
			}
		},
		strictmxtest.WeakCiphers: func(t *testing.T, s seen) {
			if !says(s.err, "STARTTLS: ") || !says(s.err, "handshake failure") {
				t.Errorf("a client of today: %v", s.err)
			}
			weak := []uint16{tls.TLS_ECDHE_ECDSA_WITH_RC4_128_SHA}
			if err := deliver(t, s.w, mxName, &tls.Config{RootCAs: s.w.Roots(), CipherSuites: weak, MaxVersion: tls.VersionTLS12}); err != nil {
				t.Errorf("a client of yesterday: %v", err)
			}
			if m := s.mx.Messages(); len(m) != 1 || m[0].TLS.CipherSuite != weak[0] {
				t.Errorf("%+v", m)
			}
		},
		strictmxtest.DemandClientCert: func(t *testing.T, s seen) {
			if !says(s.err, "certificate required") {
				t.Error(s.err)
			}
			if err := deliver(t, s.w, mxName, &tls.Config{RootCAs: s.w.Roots(), MaxVersion: tls.VersionTLS12}); !says(err, "STARTTLS: ") {
				t.Errorf("with TLS 1.2: %v, want a failed handshake", err)
			}
			own := []tls.Certificate{s.w.Issue(strictmxtest.Good, "client.example")}
			if err := deliver(t, s.w, mxName, &tls.Config{RootCAs: s.w.Roots(), Certificates: own}); err != nil {
				t.Errorf("with a certificate: %v", err)
			}
		},
		strictmxtest.DropAfterHandshake: func(t *testing.T, s seen) {
			conn := dialMX(t, s.w)
			talk(t, conn, "STARTTLS")
			c := tls.Client(conn, &tls.Config{ServerName: mxName, RootCAs: s.w.Roots(), MaxVersion: tls.VersionTLS12})
			if err := c.Handshake(); err != nil {
				t.Errorf("handshake: %v", err)
			}
			if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil {
				t.Errorf("after it: %d octets, %v", n, err)
			}
		},
		strictmxtest.CloseInDATA:         broken("message"),
		strictmxtest.RefuseGreeting(554): refused("greeting", 554),
		strictmxtest.RefuseGreeting(421): refused("greeting", 421),
		strictmxtest.RefuseEHLO(502):     heloOnly(502),
		strictmxtest.RefuseEHLO(550):     heloOnly(550),
	}
	for _, code := range []int{454, 501, 502, 554} {
		rows[strictmxtest.RefuseSTARTTLS(code)] = refused("STARTTLS", code)
	}
	for i, codes := range [][]int{{451, 550}, {450, 550}, {451, 554}, {451, 554}} {
		for _, code := range codes {
			f := []func(int) strictmxtest.MXFault{strictmxtest.RefuseMAIL, strictmxtest.RefuseRCPT, strictmxtest.RefuseDATA, strictmxtest.RefuseMessage}[i]
			rows[f(code)] = refused([]string{"MAIL", "RCPT", "DATA", "message"}[i], code)
		}
	}
	for _, f := range strictmxtest.MXFaults() {
		t.Run(f.String(), func(t *testing.T) {
			row, ok := rows[f]
			if !ok {
				t.Fatal("nobody says what this fault does on the wire")
			}
			w := strictmxtest.New(t)
			mx := w.MX(mxName).Fault(f)
			cfg := &tls.Config{RootCAs: w.Roots()}
			limit := patience
			switch f {
			case strictmxtest.HangBeforeGreeting:
				limit = silence
			case strictmxtest.EndlessLine, strictmxtest.EndlessReply, strictmxtest.HangAfter220:
				limit = 0 // the row itself talks to the host: net/smtp would read it all, or wait
			}
			s := seen{w: w, mx: mx}
			if limit > 0 {
				s.err = deliverWithin(t, w, mxName, cfg, limit)
			}
			row(t, s)
			if f != strictmxtest.InjectAfter220 && f != strictmxtest.DropAfterHandshake && limit > 0 && s.err == nil {
				t.Error("the delivery succeeded")
			}
			n := len(mx.Messages())
			mx.Fault(strictmxtest.None)
			if err := deliver(t, w, mxName, cfg); err != nil || len(mx.Messages()) != n+1 {
				t.Errorf("lifted: %v", err)
			}
		})
	}
}

func dialMX(t *testing.T, w *strictmxtest.World) net.Conn {
	t.Helper()
	conn, err := w.DialContext(t.Context(), "tcp", mxName+":25")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	return conn
}

func talkTo(t *testing.T, w *strictmxtest.World, lines ...string) []string {
	t.Helper()
	return talk(t, dialMX(t, w), lines...)
}

// endless: the reply to EHLO begins so and goes beyond a megabyte.
func endless(start string) func(*testing.T, seen) {
	return func(t *testing.T, s seen) {
		t.Helper()
		conn := dialMX(t, s.w)
		talk(t, conn)
		fmt.Fprint(conn, "EHLO c.example\r\n")
		got, err := io.ReadAll(io.LimitReader(conn, 1<<20))
		if err != nil || len(got) != 1<<20 || !strings.HasPrefix(string(got), start) {
			t.Errorf("%d octets, %v, beginning %q", len(got), err, got[:min(len(got), 80)])
		}
		if strings.Contains(string(got), "250 ") {
			t.Error("the reply ends")
		}
	}
}

// heloOnly: EHLO is refused with the code, HELO works.
func heloOnly(code int) func(*testing.T, seen) {
	return func(t *testing.T, s seen) {
		t.Helper()
		got := talkTo(t, s.w, "EHLO c.example", "HELO c.example", "MAIL FROM:<>", "STARTTLS")
		if !strings.HasPrefix(got[1], fmt.Sprint(code, " ")) || got[2] != "250 "+mxName || !strings.HasPrefix(got[3], "250 ") {
			t.Errorf("%q", got)
		}
	}
}

func deliverWithin(t *testing.T, w *strictmxtest.World, host string, cfg *tls.Config, limit time.Duration) error {
	t.Helper()
	conn, err := w.DialContext(t.Context(), "tcp", host+":25")
	if err != nil {
		return fmt.Errorf("dial: %w", err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(limit))
	c, err := smtp.NewClient(conn, host)
	if err != nil {
		return fmt.Errorf("greeting: %w", err)
	}
	return transact(c, host, cfg)
}
