package outbound

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net/smtp"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/strictmx/strictmx/mtasts"
)

// TLS-11, R35: what is read on the Conn is ours first, and nothing of what the
// host said in clear.
func TestConnShowsNothingFromBeforeTLS(t *testing.T) {
	e, _ := sender(enforcing())
	h := with(good, func(h *host) {
		h.greeting = "220-evil\r\n220 greeting\r\n"
		h.ehlo = "250-mx.example.com\r\n250-STARTTLS\r\n250-EVIL\r\n250 SIZE 1\r\n"
	})
	s := session(t, e, deliverTo, "mx.example.com")
	conn, err := s.Connect(t.Context(), h.dial)
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	n, err := conn.Read(buf)
	if got := string(buf[:n]); got != "220 mx.example.com ESMTP\r\n" || err != nil {
		t.Errorf("greeting %q, %v", got, err)
	}
	conn.Write([]byte("EHLO x.test\r\n"))
	n, err = conn.Read(buf)
	if got := string(buf[:n]); got != "250-mx.example.com again\r\n250 SIZE 2000\r\n" || err != nil {
		t.Errorf("EHLO: %q, %v", got, err)
	}
	if cs, ok := conn.ConnectionState(); !ok || !cs.HandshakeComplete || cs.Version != tls.VersionTLS13 {
		t.Errorf("state %v, %+v", ok, cs)
	}
	conn.Close()
	if commands, _ := h.got(); commands[0] != "clear EHLO out.sender.test" {
		t.Errorf("commands %q", commands)
	}
}

// A client that speaks before it listens, and one that asks for the extensions
// first, both get a greeting and go on (R35).
func TestConnFitsLazyClients(t *testing.T) {
	for _, known := range []mtasts.Result{enforcing(), none} {
		e, _ := sender(known)
		h := with(good)
		if known.Policy == nil {
			noTLSOffered(h)
		}
		conn, err := session(t, e, deliverTo, "mx.example.com").Connect(t.Context(), h.dial)
		if err != nil {
			t.Fatal(err)
		}
		conn.Write([]byte("EHLO lazy.test\r\n"))
		c, err := smtp.NewClient(conn, "mx.example.com") // reads the greeting, then the reply to the EHLO above
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := c.Text.ReadResponse(250); err != nil {
			t.Error(err)
		}
		if ok, _ := c.Extension("SIZE"); !ok {
			t.Error("no SIZE")
		}
		c.Close()
	}
}

// What the host said beyond its reply to EHLO is not lost in clear.
func TestConnInClearKeepsWhatWasRead(t *testing.T) {
	e, _ := sender(none)
	h := with(good, func(h *host) { h.ehlo = "250 mx.example.com\r\n421 closing soon\r\n" })
	conn, err := session(t, e, deliverTo, "mx.example.com").Connect(t.Context(), h.dial)
	if err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(conn)
	for _, want := range []string{"220 mx.example.com ESMTP\r\n", "421 closing soon\r\n"} {
		if got, err := r.ReadString('\n'); got != want {
			t.Errorf("read %q, %v", got, err)
		}
	}
	if _, ok := conn.ConnectionState(); ok {
		t.Error("a connection in clear has a TLS state")
	}
	conn.Close()
}

// The code that everybody has, and that would fail where TLS has just failed.
func TestConnInClearFitsClientsThatTrySTARTTLS(t *testing.T) {
	for name, change := range map[string]func(*host){"454": refuses, "garbage": garbage, "not offered": noTLSOffered} {
		e, _ := sender(none)
		h := with(good, change)
		conn, err := session(t, e, deliverTo, "mx.example.com").Connect(t.Context(), h.dial)
		if err != nil {
			t.Fatal(err)
		}
		c, err := smtp.NewClient(conn, "mx.example.com")
		if err != nil {
			t.Fatal(err)
		}
		if ok, _ := c.Extension("STARTTLS"); ok {
			err = c.StartTLS(&tls.Config{ServerName: "mx.example.com"})
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if ok, _ := c.Extension("SIZE"); !ok {
			t.Errorf("%s: the other keywords are lost", name)
		}
		transact(t, c)
		h.wg.Wait()
	}
}

func TestHideSTARTTLS(t *testing.T) {
	for line, want := range map[string]string{
		"250-STARTTLS\r\n":          "250-X-NO-TLS\r\n",
		"250 starttls\n":            "250 X-NO-TLS\n",
		"250 STARTTLS":              "250 X-NO-TLS",
		"250-STARTTLS REQUIRED\r\n": "250-X-NO-TLS REQUIRED\r\n",
		"250-STARTTLSX\r\n":         "250-STARTTLSX\r\n",
		"220 STARTTLS\r\n":          "220 STARTTLS\r\n",
		"250":                       "250",
		"\r\n":                      "\r\n",
	} {
		got := []byte(line)
		if hideSTARTTLS(got); string(got) != want {
			t.Errorf("%q becomes %q, want %q", line, got, want)
		}
	}
}

// A buffer smaller than a line, a line that is cut off, and one without end.
func TestConnInClearReadsInPieces(t *testing.T) {
	client, server := pipe()
	c := &Conn{Conn: client, lines: bufio.NewReaderSize(client, maxReplyLine)}
	long := "250 " + strings.Repeat("y", 2*maxReplyLine) + "\r\n"
	server.Write([]byte("250-STARTTLS\r\n" + long + "cut"))
	server.Close()
	got, err := io.ReadAll(iotest.OneByteReader(c))
	if want := "250-X-NO-TLS\r\n" + long + "cut"; string(got) != want || err != nil {
		t.Errorf("read %d octets of %d, %v", len(got), len(want), err)
	}
	client, server = pipe()
	c = &Conn{Conn: client, lines: bufio.NewReaderSize(client, maxReplyLine)}
	flood(server, "x")
	if n, err := io.Copy(io.Discard, c); !errors.Is(err, errFlood) || n > maxPerCommand+maxReplyLine {
		t.Errorf("%d octets, %v", n, err)
	}
}
