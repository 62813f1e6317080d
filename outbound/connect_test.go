package outbound

import (
	"net/smtp"
	"testing"
)

// I1, RPT-25: net/smtp, unmodified, on what Connect returns.
func TestConnectCarriesAMessage(t *testing.T) {
	h := newHost("mx.example.com", good)
	e, seen := sender(enforcing())
	s := session(t, e, deliverTo, "mx.example.com")
	conn, err := s.Connect(t.Context(), h.dial)
	if err != nil {
		t.Fatal(err)
	}
	send(t, conn)
	if got := seen.told(t); got != "sts" || s.Level() != Verified || !s.Named() {
		t.Errorf("told %q, level %v, named %v", got, s.Level(), s.Named())
	}
	if _, mail := h.got(); len(mail) != 1 || mail[0] != "tls hello\r\n" {
		t.Errorf("the host got %q", mail)
	}
}

// send delivers one message by net/smtp.
func send(t testing.TB, conn *Conn) {
	t.Helper()
	c, err := smtp.NewClient(conn, conn.Session.Host())
	if err == nil {
		err = c.Hello("out.sender.test")
	}
	if err == nil {
		err = c.Mail("a@sender.test")
	}
	if err == nil {
		err = c.Rcpt("b@example.com")
	}
	if err != nil {
		t.Fatal(err)
	}
	w, err := c.Data()
	if err != nil {
		t.Fatal(err)
	}
	w.Write([]byte("hello"))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.Quit(); err != nil {
		t.Fatal(err)
	}
}
