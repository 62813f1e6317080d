package strictmxtest_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/smtp"
	"net/textproto"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/strictmx/strictmx/strictmxtest"
)

// deliver sends one message as far as it goes, with STARTTLS under cfg unless it
// is nil; ServerName is the host.
func deliver(t *testing.T, w *strictmxtest.World, host string, cfg *tls.Config) error {
	t.Helper()
	return deliverWithin(t, w, host, cfg, patience)
}

func transact(c *smtp.Client, host string, cfg *tls.Config) error {
	if err := c.Hello("client.example"); err != nil {
		return fmt.Errorf("EHLO: %w", err)
	}
	if cfg != nil {
		if ok, _ := c.Extension("STARTTLS"); !ok {
			return fmt.Errorf("EHLO: no STARTTLS")
		}
		cfg = cfg.Clone()
		cfg.ServerName = host
		if err := c.StartTLS(cfg); err != nil {
			return fmt.Errorf("STARTTLS: %w", err)
		}
	}
	if err := c.Mail("alice@sender.example"); err != nil {
		return fmt.Errorf("MAIL: %w", err)
	}
	if err := c.Rcpt("bob@example.com"); err != nil {
		return fmt.Errorf("RCPT: %w", err)
	}
	data, err := c.Data()
	if err != nil {
		return fmt.Errorf("DATA: %w", err)
	}
	fmt.Fprint(data, "Subject: Hello\r\n\r\n.dot\r\n..dots\r\nend\r\n")
	if err := data.Close(); err != nil {
		return fmt.Errorf("message: %w", err)
	}
	return c.Quit()
}

// talk sends lines one by one and returns the replies, the greeting first; a
// reply of several lines is joined by "|".
func talk(t *testing.T, conn net.Conn, lines ...string) []string {
	t.Helper()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	in := bufio.NewReader(conn)
	var replies []string
	for _, line := range append([]string{""}, lines...) {
		if line != "" {
			io.WriteString(conn, line+"\r\n")
		}
		var all []string
		for {
			reply, err := in.ReadString('\n')
			if err != nil {
				t.Fatalf("after %q: %v", line, err)
			}
			all = append(all, strings.TrimRight(reply, "\r\n"))
			if reply[3] == ' ' {
				break
			}
		}
		replies = append(replies, strings.Join(all, "|"))
	}
	return replies
}

func TestAHostKeepsWhatItReceived(t *testing.T) {
	w := strictmxtest.New(t)
	mx := w.MX(mxName)
	if err := deliver(t, w, mxName, &tls.Config{RootCAs: w.Roots()}); err != nil {
		t.Fatal(err)
	}
	if err := deliver(t, w, mxName, nil); err != nil {
		t.Fatal(err)
	}
	m := mx.Messages()
	if len(m) != 2 {
		t.Fatalf("%d messages", len(m))
	}
	a := m[0]
	if a.Host != mxName || a.HELO != "client.example" || a.From != "alice@sender.example" || !slices.Equal(a.To, []string{"bob@example.com"}) ||
		!slices.Equal(a.FromParams, []string{"BODY=8BITMIME", "SMTPUTF8"}) || a.Data != "Subject: Hello\r\n\r\n.dot\r\n..dots\r\nend\r\n" ||
		a.TLS == nil || a.TLS.ServerName != mxName || a.TLS.Version != tls.VersionTLS13 || time.Since(a.Time) > time.Minute {
		t.Errorf("%+v", a)
	}
	if m[1].TLS != nil {
		t.Error("a message in clear has TLS")
	}
	eventually(t, func() bool { s := mx.Sessions(); return s[0].Done && s[1].Done })
	s := mx.Sessions()[0]
	want := []string{"EHLO client.example", "STARTTLS", "EHLO client.example",
		"MAIL FROM:<alice@sender.example> BODY=8BITMIME SMTPUTF8", "RCPT TO:<bob@example.com>", "DATA", ".", "QUIT"}
	if !slices.Equal(s.Commands, want) || s.TLS == nil || s.TLSError != nil || !s.Remote.Addr().IsLoopback() || s.Early {
		t.Errorf("%+v", s)
	}
	codes := []string{}
	for _, r := range s.Replies {
		codes = append(codes, r[:3])
	}
	if got := strings.Join(codes, " "); got != "220 250 220 250 250 250 354 250 221" {
		t.Errorf("replies %s", got)
	}
	if mx.Connections() != 2 || mx.MaxOpen() < 1 {
		t.Errorf("%d connections, %d at once", mx.Connections(), mx.MaxOpen())
	}
}

func TestESMTP(t *testing.T) {
	w := strictmxtest.New(t)
	w.MX(mxName).Refuse("Gone@example.com", 550).Refuse("later@example.com", 450).Refuse("back@example.com", 550).Refuse("back@example.com", 0)
	const ehlo, mail, rcpt = "EHLO c.example", "MAIL FROM:<a@b.example>", "RCPT TO:<bob@example.com>"
	for _, tt := range []struct {
		name string
		send []string
		want string // codes after the greeting
	}{
		{"a whole transaction", []string{ehlo, mail, rcpt, "RSET", "NOOP", "QUIT"}, "250 250 250 250 250 221"},
		{"commands in any case", []string{"ehlo c", "mail from:<>", "rcpt to:<a@b>"}, "250 250 250"},
		{"MAIL before EHLO", []string{mail}, "503"},
		{"RCPT before MAIL", []string{ehlo, rcpt}, "250 503"},
		{"DATA before RCPT", []string{ehlo, mail, "DATA"}, "250 250 503"},
		{"two senders", []string{ehlo, mail, mail}, "250 250 503"},
		{"EHLO forgets a transaction", []string{ehlo, mail, ehlo, rcpt}, "250 250 250 503"},
		{"EHLO without a name", []string{"EHLO", "HELO"}, "501 501"},
		{"one recipient refused, another taken", []string{ehlo, mail, "RCPT TO:<gone@example.com>", "RCPT TO:<later@example.com>", rcpt, "RCPT TO:<back@example.com>"}, "250 250 550 450 250 250"},
		{"parameters that were offered", []string{ehlo, mail + " SIZE=1000 BODY=8BITMIME SMTPUTF8"}, "250 250"},
		{"parameters that were not", []string{ehlo, mail + " REQUIRETLS", mail + " X=1", mail, rcpt + " NOTIFY=NEVER"}, "250 555 555 250 555"},
		{"a size that is too large", []string{ehlo, mail + " SIZE=99999999999"}, "250 552"},
		{"a path without brackets", []string{ehlo, "MAIL FROM:a@b.example", "MAIL TO:<a@b>", mail, "RCPT TO:bob", "RCPT TO:<>"}, "250 501 501 250 501 501"},
		{"STARTTLS takes no parameter", []string{ehlo, "STARTTLS now"}, "250 501"},
		{"an unknown command", []string{"VRFY bob"}, "500"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var codes []string
			for _, r := range talkTo(t, w, tt.send...)[1:] {
				codes = append(codes, r[:3])
			}
			if got := strings.Join(codes[:strings.Count(tt.want, " ")+1], " "); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
	conn := dialMX(t, w)
	talk(t, conn)
	fmt.Fprint(conn, strings.Repeat("x", 20000)+"\r\n")
	if got, _ := io.ReadAll(conn); !strings.HasPrefix(string(got), "500 ") {
		t.Errorf("a long line: %q", got)
	}
}

func TestPipelining(t *testing.T) {
	w := strictmxtest.New(t)
	w.MX(mxName)
	conn := dialMX(t, w)
	fmt.Fprint(conn, "EHLO c.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n")
	got := talk(t, conn, "Hi\r\n.\r\nQUIT") // the replies to the four come first
	if len(got) != 2 {
		t.Fatal(got)
	}
	io.ReadAll(conn)
	if m := w.MX(mxName).Messages(); len(m) != 1 || m[0].Data != "Hi\r\n" {
		t.Errorf("%+v", m)
	}
}

func TestABareLineFeedDoesNotEndAMessage(t *testing.T) {
	w := strictmxtest.New(t)
	w.MX(mxName)
	conn := dialMX(t, w)
	talk(t, conn, "EHLO c.example", "MAIL FROM:<a@b.example>", "RCPT TO:<b@example.com>", "DATA", "one\n.\ntwo\r\n.")
	if m := w.MX(mxName).Messages(); len(m) != 1 || m[0].Data != "one\n\ntwo\r\n" {
		t.Errorf("%+v", m)
	}
}

func TestAMessageThatIsTooLargeIsRefusedWhole(t *testing.T) {
	w := strictmxtest.New(t)
	w.MX(mxName)
	conn := dialMX(t, w)
	got := talk(t, conn, "EHLO c.example", "MAIL FROM:<a@b.example>", "RCPT TO:<b@example.com>", "DATA", strings.Repeat("x", 11<<20)+"\r\n.", "NOOP")
	if !strings.HasPrefix(got[5], "552 ") || !strings.HasPrefix(got[6], "250 ") || len(w.MX(mxName).Messages()) != 0 {
		t.Errorf("%q", got)
	}
}

func TestEHLOBeforeAndAfterTLS(t *testing.T) {
	w := strictmxtest.New(t)
	mx := w.MX(mxName)
	both := func() (plain, secure string) {
		t.Helper()
		conn := dialMX(t, w)
		replies := talk(t, conn, "EHLO c.example", "STARTTLS")
		c := tls.Client(conn, &tls.Config{ServerName: mxName, RootCAs: w.Roots()})
		in := textproto.NewConn(c)
		in.PrintfLine("EHLO c.example")
		_, text, err := in.ReadResponse(250)
		if err != nil {
			t.Fatal(err)
		}
		return replies[1], text
	}
	plain, secure := both()
	if !strings.Contains(plain, "250 STARTTLS") || strings.Contains(secure, "STARTTLS") || strings.Contains(plain+secure, "REQUIRETLS") || !strings.Contains(secure, "PIPELINING") {
		t.Errorf("%q, %q", plain, secure)
	}
	mx.RequireTLS(true)
	if plain, secure = both(); strings.Contains(plain, "REQUIRETLS") || !strings.Contains(secure, "REQUIRETLS") { // RTLS-04
		t.Errorf("%q, %q", plain, secure)
	}
	mx.RequireTLS(false).EHLO([]string{"STARTTLS", "SIZE 1", "REQUIRETLS"}, []string{"SIZE 2"}) // TLS-11
	if plain, secure = both(); plain != "250-"+mxName+" at your service|250-STARTTLS|250-SIZE 1|250 REQUIRETLS" || secure != mxName+" at your service\nSIZE 2" {
		t.Errorf("%q, %q", plain, secure)
	}
}

func TestPlaintextBehindSTARTTLSIsThrownAway(t *testing.T) {
	w := strictmxtest.New(t)
	w.MX(mxName)
	conn := dialMX(t, w)
	talk(t, conn)
	fmt.Fprint(conn, "STARTTLS\r\nEHLO evil.example\r\nMAIL FROM:<evil@example>\r\n")
	in := make([]byte, 64)
	if n, err := conn.Read(in); err != nil || !strings.HasPrefix(string(in[:n]), "220 ") {
		t.Fatalf("%q, %v", in[:n], err)
	}
	c := tls.Client(conn, &tls.Config{ServerName: mxName, RootCAs: w.Roots()})
	fmt.Fprint(c, "RCPT TO:<b@example.com>\r\n")
	if n, err := c.Read(in); err != nil || !strings.HasPrefix(string(in[:n]), "503 ") {
		t.Errorf("%q, %v", in[:n], err)
	}
	if s := w.MX(mxName).Sessions(); !s[0].Early || len(s[0].Commands) != 2 {
		t.Errorf("%+v", s)
	}
}

// CERT-20: whoever resumes a session must look at the certificate again.
func TestSessionsResumeWhateverWasSwitched(t *testing.T) {
	w := strictmxtest.New(t)
	mx := w.MX(mxName)
	cfg := &tls.Config{RootCAs: w.Roots(), ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	for range 2 {
		if err := deliver(t, w, mxName, cfg); err != nil {
			t.Fatal(err)
		}
		mx.Certificate(strictmxtest.Expired)
	}
	if m := mx.Messages(); m[0].TLS.DidResume || !m[1].TLS.DidResume {
		t.Errorf("resumed: %t, %t", m[0].TLS.DidResume, m[1].TLS.DidResume)
	}
}

func TestMXRecordsComeInOrder(t *testing.T) {
	w := strictmxtest.New(t)
	w.Domain("example.com").MX("old.example.com")
	w.Domain("example.com").MX("mx1.example.com", "mx2.example.com")
	want := "NOERROR; example.com. MX 10 mx1.example.com.; example.com. MX 20 mx2.example.com."
	if got := shown(ask(t, w, "example.com", "MX")); got != want {
		t.Error(got)
	}
	w.DNS.Set("own.example.com. A 192.0.2.1")
	if w.MX("own.example.com"); shown(ask(t, w, "own.example.com", "A")) != "NOERROR; own.example.com. A 192.0.2.1" {
		t.Error("a host's own record was replaced")
	}
}
