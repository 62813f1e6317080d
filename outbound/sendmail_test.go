package outbound

import "testing"

func letter(to ...string) Envelope { return Envelope{From: "a@sender.test", To: to} }

// I1: one message, the whole way, under an enforce policy.
func TestSendMail(t *testing.T) {
	w := newWorld(t, enforcing())
	w.publish("example.com", mx(10, "mx.example.com"))
	s := w.host("mx.example.com", "8.8.4.1")
	got := w.SendMail(t.Context(), letter("b@example.com"), []byte("Subject: hello\n\n.dot\n"))
	if len(got) != 1 || got[0].Err != nil || got[0].Level != Verified || got[0].Code != 250 || got[0].Text != "queued as 7" {
		t.Errorf("receipts %+v", got)
	}
	if mail := s.got(); len(mail) != 1 || mail[0] != "Subject: hello\r\n\r\n..dot\r\n.\r\n" {
		t.Errorf("the host got %q", mail)
	}
}
