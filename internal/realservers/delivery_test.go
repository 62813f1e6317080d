//go:build linux

package realservers

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/smtp"
	"strings"
	"testing"
	"time"

	"github.com/strictmx/strictmx/outbound"
)

func TestPostfix(t *testing.T) {
	t.Parallel()
	prove(t, startPostfix)
}

func TestExim(t *testing.T) {
	t.Parallel()
	prove(t, startExim)
}

// prove runs everything against one server.
func prove(t *testing.T, start func(*testing.T, []host) *server) {
	w := newWorld(t)
	s := start(t, w.hosts)
	for _, c := range deliveries {
		t.Run(c.name, func(t *testing.T) { deliver(t, w, s, c) })
	}
	t.Run("one message after another", func(t *testing.T) { inTurn(t, w, s) })
	t.Run("a session that was good enough without a policy is not for one", func(t *testing.T) { resumed(t, w, s) })
	t.Run("a message arrives as it was sent", func(t *testing.T) { verbatim(t, w, s) })
	t.Run("net-smtp on a Conn with TLS", func(t *testing.T) { netSMTP(t, w, s, "enforce.good.test", true) })
	t.Run("net-smtp on a Conn in clear", func(t *testing.T) { netSMTP(t, w, s, "absent.clear.test", false) })
}

// delivery is one to the domain of a mode and a kind of host.
type delivery struct {
	name   string
	domain string
	level  outbound.Level // of what was delivered
	told   string         // what the event says
	refuse bool
}

var deliveries = []delivery{
	{name: "enforce: a host that is named and proves itself gets the mail", domain: "enforce.good.test", level: outbound.Verified, told: "sts"},
	{name: "enforce: a host without STARTTLS is refused", domain: "enforce.clear.test", told: "sts: starttls-not-supported", refuse: true},
	{name: "enforce: an expired certificate is refused", domain: "enforce.expired.test", told: "sts: certificate-expired", refuse: true},
	{name: "enforce: a certificate for another host is refused", domain: "enforce.misnamed.test", told: "sts: certificate-host-mismatch", refuse: true},
	{name: "enforce: a certificate without an authority is refused", domain: "enforce.selfsigned.test", told: "sts: certificate-not-trusted (self-signed)", refuse: true},

	{name: "testing: a host that proves itself is verified", domain: "testing.good.test", level: outbound.Verified, told: "sts"},
	{name: "testing: no STARTTLS is told and held against nobody", domain: "testing.clear.test", level: outbound.Clear, told: "sts: starttls-not-supported"},
	{name: "testing: an expired certificate is told and held against nobody", domain: "testing.expired.test", level: outbound.Encrypted, told: "sts: certificate-expired"},
	{name: "testing: a certificate for another host is told and held against nobody", domain: "testing.misnamed.test", level: outbound.Encrypted, told: "sts: certificate-host-mismatch"},
	{name: "testing: a certificate without an authority is told and held against nobody", domain: "testing.selfsigned.test", level: outbound.Encrypted, told: "sts: certificate-not-trusted (self-signed)"},

	{name: "no policy: a good certificate verifies", domain: "absent.good.test", level: outbound.Verified, told: "no-policy-found"},
	{name: "no policy: clear is as good as it gets", domain: "absent.clear.test", level: outbound.Clear, told: "no-policy-found: starttls-not-supported"},
	{name: "no policy: any certificate will do, expired", domain: "absent.expired.test", level: outbound.Encrypted, told: "no-policy-found"},
	{name: "no policy: any certificate will do, misnamed", domain: "absent.misnamed.test", level: outbound.Encrypted, told: "no-policy-found"},
	{name: "no policy: any certificate will do, self-signed", domain: "absent.selfsigned.test", level: outbound.Encrypted, told: "no-policy-found"},
}

func deliver(t *testing.T, w *world, s *server, c delivery) {
	v := w.sender(t, s)
	r := v.send(t, c.domain, "deliver "+c.domain, "Hello.\r\n")
	if got := v.told(t); got != c.told {
		t.Errorf("told %q, want %q", got, c.told)
	}
	if c.refuse {
		if r.Err == nil || !r.Temporary() || r.Code != 451 || r.EnhancedCode != [3]int{4, 7, 5} {
			t.Errorf("receipt: %+v, want 451 4.7.5", r)
		}
	} else if r.Err != nil || r.Level != c.level {
		t.Errorf("receipt: level %v, %v; want %v", r.Level, r.Err, c.level)
	}

	// The server's side of it.
	clients := v.connections()
	if len(clients) != 1 {
		t.Fatalf("%d connections, want 1", len(clients))
	}
	if c.refuse {
		s.unmailed(t, clients[0])
		if s.find("deliver "+c.domain) != nil {
			t.Error("the message arrived")
		}
		return
	}
	s.mailed(t, clients[0], c.level != outbound.Clear)
	s.arrived("deliver " + c.domain)
}

// send delivers a message with a subject.
func (v *sender) send(t *testing.T, domain, subject, body string) outbound.Receipt {
	t.Helper()
	msg := "From: alice@sender.test\r\nSubject: " + subject + "\r\n\r\n" + body
	env := outbound.Envelope{From: "alice@sender.test", To: []string{"bob@" + domain}}
	return v.SendMail(t.Context(), env, []byte(msg))[0]
}

// unmailed waits until a connection is over through which no MAIL may have come.
func (s *server) unmailed(t *testing.T, client string) {
	t.Helper()
	s.await("the end of the connection of "+client, func() bool {
		return s.says(s.words.mailed, client)+s.says(s.words.unmailed, client) > 0
	})
	if s.says(s.words.unmailed, client) != 1 {
		t.Errorf("%s was offered a message by %s", s.name, client)
	}
}

// mailed waits until a connection is over through which a message came, and counts
// handshakes.
func (s *server) mailed(t *testing.T, client string, secure bool) {
	t.Helper()
	s.await("the end of the connection of "+client, func() bool { return s.says(s.words.mailed, client) > 0 })
	handshakes := 0
	if secure {
		handshakes = 1
	}
	if n := s.says(s.words.connected, client); n != 1 {
		t.Errorf("%s saw %d connections of %s, want 1", s.name, n, client)
	}
	if n := s.says(s.words.tls, client); n != handshakes {
		t.Errorf("%s saw %d handshakes of TLS 1.3 with %s, want %d", s.name, n, client, handshakes)
	}
}

// inTurn delivers twice; the second time the Enforcer has a session to resume.
func inTurn(t *testing.T, w *world, s *server) {
	v := w.sender(t, s)
	for i := range 2 {
		subject := fmt.Sprintf("message %d", i+1)
		r := v.send(t, "enforce.good.test", subject, "Hello.\r\n")
		if r.Err != nil || r.Level != outbound.Verified {
			t.Fatalf("%s: level %v, %v", subject, r.Level, r.Err)
		}
		s.arrived(subject)
		clients := v.connections()
		if len(clients) != i+1 {
			t.Fatalf("%d connections after %s", len(clients), subject)
		}
		s.mailed(t, clients[i], true)
	}
	if len(v.events) != 2 {
		t.Errorf("%d events, want 2", len(v.events))
	}
	conn := v.connect(t, w, "enforce.good.test")
	defer conn.Close()
	if cs, _ := conn.ConnectionState(); !cs.DidResume || conn.Session.Level() != outbound.Verified {
		t.Errorf("a third connection: resumed %t, %v; want one that is resumed and verified", cs.DidResume, conn.Session.Level())
	}
}

// resumed delivers to a bad host where no policy minds, and then, with a session to
// resume, to the same host where one does (TLS-16).
func resumed(t *testing.T, w *world, s *server) {
	v := w.sender(t, s)
	for i := range 2 {
		subject := fmt.Sprintf("nobody minds %d", i)
		if r := v.send(t, "absent.expired.test", subject, "Hello.\r\n"); r.Err != nil {
			t.Fatal(r.Err)
		}
		s.arrived(subject)
	}
	if r := v.send(t, "enforce.expired.test", "somebody minds", "Hello.\r\n"); r.Err == nil {
		t.Error("a resumed session got the mail to an expired host past an enforce policy")
	}
	clients := v.connections()
	s.unmailed(t, clients[len(clients)-1])
}

// verbatim sends what SMTP has to take care of: dots at the start of lines,
// octets beyond ASCII in the message and in its addresses, and many of them.
func verbatim(t *testing.T, w *world, s *server) {
	v := w.sender(t, s)
	body := ".\r\n..\r\n.dot\r\nGrüße\r\n" + strings.Repeat("a line of a long message\r\n", 20_000) + "."
	msg := "From: jürgen@sender.test\r\nSubject: verbatim\r\n\r\n" + body + "\r\n"
	env := outbound.Envelope{From: "jürgen@sender.test", To: []string{"grüße@enforce.good.test"}}
	if r := v.SendMail(t.Context(), env, []byte(msg))[0]; r.Err != nil {
		t.Fatal(r.Err)
	}
	got := s.arrived("verbatim")
	b, err := io.ReadAll(got.Body)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.ReplaceAll(body, "\r\n", "\n") // as a mailbox on this system has it
	if !bytes.Equal(bytes.TrimSuffix(b, []byte("\n")), []byte(want)) {
		t.Errorf("%d octets arrived of %d, or others: %.100q", len(b), len(want), b)
	}
	if from := got.Header.Get("Return-Path"); from != "<jürgen@sender.test>" {
		t.Errorf("from %q", from)
	}
}

// netSMTP has net/smtp speak on what Connect returned: the synthetic greeting, an
// EHLO of its own, two messages, QUIT.
func netSMTP(t *testing.T, w *world, s *server, domain string, secure bool) {
	v := w.sender(t, s)
	conn := v.connect(t, w, domain)
	if _, ok := conn.ConnectionState(); ok != secure {
		t.Fatalf("TLS: %t, want %t", ok, secure)
	}
	c, err := smtp.NewClient(conn, conn.Session.Host())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(c.Hello("out.sender.test"))
	if ok, _ := c.Extension("STARTTLS"); ok {
		t.Error("there is STARTTLS on a connection that has none to give")
	}
	if ok, _ := c.Extension("8BITMIME"); !ok {
		t.Error("the server's own extensions are not seen")
	}
	for i := range 2 {
		must(c.Mail("alice@sender.test"))
		must(c.Rcpt("bob@" + domain))
		data, err := c.Data()
		must(err)
		_, err = fmt.Fprintf(data, "Subject: net-smtp %s %d\r\n\r\nHello.\r\n", domain, i)
		must(err)
		must(data.Close())
		must(c.Reset())
	}
	must(c.Quit())
	for i := range 2 {
		s.arrived(fmt.Sprintf("net-smtp %s %d", domain, i))
	}
	v.told(t) // one event for both
}

// connect is what an author of a client writes, up to the Conn.
func (v *sender) connect(t *testing.T, w *world, domain string) *outbound.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	plan, err := v.Enforcer.Plan(ctx, outbound.Delivery{Domain: domain})
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(domain, ".")
	session, err := plan.Session(ctx, "mx."+rest)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := session.Connect(ctx, func(ctx context.Context) (net.Conn, error) {
		return v.dial(ctx, "tcp", net.JoinHostPort(w.ip(session.Host()), v.server.port))
	})
	if err != nil {
		t.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(patience))
	return conn
}

// ip is the address of an MX host.
func (w *world) ip(name string) string {
	for _, h := range w.hosts {
		if h.name == name {
			return h.ip
		}
	}
	return ""
}
