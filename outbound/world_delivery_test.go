package outbound

import (
	"crypto/tls"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/strictmx/strictmx/mtasts"
	"github.com/strictmx/strictmx/strictmxtest"
)

// realDialer is a Dialer for a world on loopback, where everything but the
// addresses and the ports is real.
func realDialer(t *testing.T, w *strictmxtest.World, seen *events) *Dialer {
	client := &mtasts.Client{Resolver: w.Resolver(), Transport: w.Transport()}
	t.Cleanup(func() { client.Close() })
	return &Dialer{
		Enforcer: &Enforcer{
			MTASTS:    client,
			TLSConfig: &tls.Config{RootCAs: w.Roots()},
			LocalName: "out.sender.test",
			Observer:  seen,
		},
		Resolver:    w.Resolver(),
		DialContext: w.DialContext,
		Timeout:     10 * time.Second,
	}
}

// I1, I2: every fault and every certificate of an MX host, in each mode, through
// the whole of a delivery. Under enforce, nothing is sent but to a host that proved
// itself; in the other modes, what spoils TLS alone holds nothing back; and the
// second host gets what the first could not take.
func TestWorldOfDeliveries(t *testing.T) {
	w := strictmxtest.New(t)
	m1, m2 := w.MX("mx1.example.com"), w.MX("mx2.example.com")
	domains := 0
	check := func(t *testing.T, mode string, fault strictmxtest.MXFault, cert strictmxtest.Certificate) {
		domains++
		domain := fmt.Sprintf("example%d.com", domains)
		d := w.Domain(domain).MX("mx1.example.com", "mx2.example.com")
		if mode != "" {
			d.Policy(strictmxtest.PolicyText(mode, "*.example.com"))
		}
		m1.Fault(fault).Certificate(cert)
		had1, had2 := len(m1.Messages()), len(m2.Messages())
		seen := &events{}
		dialer := realDialer(t, w, seen)
		switch fault {
		case strictmxtest.HangBeforeGreeting, strictmxtest.HangAfter220: // nothing of the second host can be seen then
			dialer.Timeout = 100 * time.Millisecond
		}
		got := dialer.SendMail(t.Context(), letter("b@"+domain), hello)
		if len(got) != 1 {
			t.Fatalf("receipts %v", got)
		}
		r, first, second := got[0], m1.Messages()[had1:], m2.Messages()[had2:]
		if len(first)+len(second) > 1 {
			t.Errorf("sent %d times", len(first)+len(second))
		}
		for _, m := range slices.Concat(first, second) {
			if mode == "enforce" && (m.TLS == nil || r.Level != Verified) {
				t.Errorf("sent to %s, TLS %v, level %v", m.Host, m.TLS != nil, r.Level)
			}
		}
		proves := slices.Contains(proving, cert) && !spoilsTLS(fault)
		if mode == "enforce" && !proves && len(first) > 0 {
			t.Error("sent to a host that did not prove itself")
		}
		if spoilsTLS(fault) && mode != "enforce" && r.Host != "mx1.example.com" {
			t.Errorf("held back: %s, %v", show(r), r.Err)
		}
		if (r.Err == nil) != (len(first)+len(second) == 1) {
			t.Errorf("receipt %s, sent %d and %d", show(r), len(first), len(second))
		}
		if !r.Temporary() && r.Err != nil && mode == "enforce" && r.Level != Verified { // I11
			t.Errorf("returned on the word of nobody: %s", show(r))
		}
		if mode == "enforce" && (noSession(fault) || !proves) && dialer.Timeout == 10*time.Second && r.Host != "mx2.example.com" { // STS-119
			t.Errorf("the second host was not used: %s, %v", show(r), r.Err)
		}
		for _, e := range seen.list() {
			if e.Domain != domain {
				t.Errorf("told of %s", e.Domain)
			}
		}
	}
	for _, mode := range []string{"enforce", "testing", "none", ""} {
		for _, fault := range append(strictmxtest.MXFaults(), strictmxtest.None, strictmxtest.TLS11Only) {
			t.Run(mode+"/"+fault.String(), func(t *testing.T) { check(t, mode, fault, strictmxtest.Good) })
		}
		for _, cert := range strictmxtest.Certificates() {
			t.Run(mode+"/"+cert.String(), func(t *testing.T) { check(t, mode, strictmxtest.None, cert) })
		}
	}
}

// Names, parameters and recipients on real sockets.
func TestWorldOfOneMessage(t *testing.T) {
	w := strictmxtest.New(t)
	w.Domain("xn--bcher-kva.example").MX("mx.example.com").Policy(strictmxtest.PolicyText("enforce", "mx.example.com"))
	m := w.MX("mx.example.com").EHLO([]string{"STARTTLS"}, []string{"SIZE 1000", "8BITMIME", "SMTPUTF8", "REQUIRETLS", "PIPELINING"}).
		Refuse("no@xn--bcher-kva.example", 550)
	env := Envelope{From: "a@sender.test", To: []string{"ü@bücher.example", "no@BÜCHER.example", "c@xn--bcher-kva.example"}, RequireTLS: true}
	got := realDialer(t, w, &events{}).SendMail(t.Context(), env, []byte("Subject: ü\n\n..\n.\n"))
	if got[0].Err != nil || got[1].Code != 550 || got[1].Temporary() || got[2].Err != nil {
		t.Fatalf("receipts %q", showAll(got))
	}
	mail := m.Messages()
	if len(mail) != 1 || mail[0].HELO != "out.sender.test" || mail[0].Data != "Subject: ü\r\n\r\n..\r\n.\r\n" || mail[0].TLS == nil ||
		!slices.Equal(mail[0].To, []string{"ü@xn--bcher-kva.example", "c@xn--bcher-kva.example"}) ||
		!slices.Equal(mail[0].FromParams, []string{"SIZE=22", "BODY=8BITMIME", "SMTPUTF8", "REQUIRETLS"}) {
		t.Errorf("the host got %+v", mail)
	}
}
