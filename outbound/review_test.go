package outbound

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// What a reviewer got through once.

// I1, R36: our own word for a retry in clear, from somebody who should not say
// it, opens nothing.
func TestOnlyWeSayRetryInClear(t *testing.T) {
	e, _ := sender(enforcing())
	h := newHost("mx.example.com", good)
	s := session(t, e, deliverTo, "mx.example.com")
	dials := 0
	conn, err := s.Connect(t.Context(), func(ctx context.Context) (net.Conn, error) {
		if dials++; dials == 1 {
			return nil, errors.Join(errors.New("proxy"), ErrRetryInClear)
		}
		return h.dial(ctx)
	})
	if err == nil || conn != nil || dials != 1 || errors.Is(err, ErrRetryInClear) {
		t.Errorf("%v, %v after %d dials", conn, err, dials)
	}
}

// I11, R12: what a host says that has not proved itself, or proved a name that
// the policy does not have, returns no mail while an enforce policy is held.
func TestNothingUnprovedReturnsMail(t *testing.T) {
	eight := []byte("Subject: x\r\n\r\nh\xc3\xa9llo\r\n")
	for _, tt := range []struct {
		name, mx string
		change   func(*server)
		msg      []byte
	}{
		{"a limit on the size, in clear", "mx.example.com", func(s *server) { s.offers = []string{"SIZE 1"}; s.cert = tls.Certificate{} }, []byte("Subject: x\r\n\r\nhello\r\n")},
		{"no 8BITMIME, in clear", "mx.example.com", func(s *server) { s.cert = tls.Certificate{} }, eight},
		{"a refusal by a host that the policy does not name", "mx.attacker.test", func(s *server) {
			s.says = map[string]string{"RCPT": "550 5.1.1 no such user"}
		}, []byte("Subject: x\r\n\r\nhello\r\n")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, enforcing())
			w.publish("example.com", mx(10, tt.mx))
			tt.change(w.host(tt.mx, "8.8.4.1"))
			env := Envelope{From: "a@sender.test", To: []string{"b@example.com"}, TLSRequiredNo: true}
			if r := w.SendMail(t.Context(), env, tt.msg)[0]; r.Err == nil || !r.Temporary() {
				t.Errorf("%s: %v", show(r), r.Err)
			}
		})
	}
}

// One address that a host cannot take does not take the others with it.
func TestOneAddressDoesNotSpoilTheOthers(t *testing.T) {
	w := newWorld(t, none)
	w.publish("example.com", mx(10, "mx.example.com"))
	s := w.host("mx.example.com", "8.8.4.1")
	s.offers = []string{"8BITMIME"}
	got := w.SendMail(t.Context(), Envelope{From: "a@sender.test", To: []string{"b@example.com", "ü@example.com", "c@example.com"}}, []byte("Subject: x\r\n\r\nx\r\n"))
	if got[0].Err != nil || got[2].Err != nil || got[1].Code != 553 || got[1].Temporary() {
		t.Errorf("%q", showAll(got))
	}
}

type offersNothing struct{}

func (offersNothing) Extension(string) (bool, string)                      { return false, "" }
func (offersNothing) StartTLS(*tls.Config) error                           { return nil }
func (offersNothing) TLSConnectionState() (s tls.ConnectionState, ok bool) { return s, false }

// R25: no session of an old plan goes on, however it is used.
func TestAnOldPlanSecuresNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, seen := sender(none)
		s := session(t, e, deliverTo, "mx.example.com")
		late := session(t, e, deliverTo, "mx.example.com")
		time.Sleep(planLife + time.Second)
		asError(t, s.Reuse(state(tls.VersionTLS13, good)))
		if _, err := s.Connect(t.Context(), newHost("mx.example.com", good).dial); err == nil {
			t.Error("connected")
		}
		if n := len(seen.list()); n != 0 {
			t.Errorf("%d events", n)
		}
		if err := late.Done(state(tls.VersionTLS13, good), nil); err != nil { // it began in time
			t.Error(err)
		}
		seen.only(t)
		seen.all = nil
		time.Sleep(time.Hour)
		asError(t, s.StartTLS(offersNothing{}))
		asError(t, s.Done(tls.ConnectionState{}, nil))
		if n := len(seen.list()); n != 0 {
			t.Errorf("%d events", n)
		}
	})
}

// I2: a host that wants our certificate says so after the handshake; where
// nothing asks for TLS, the mail goes without.
func TestAHostThatDemandsOurCertificate(t *testing.T) {
	for _, known := range []string{"none", "enforce", "testing"} {
		t.Run(known, func(t *testing.T) {
			result := none
			switch known {
			case "enforce":
				result = enforcing()
			case "testing":
				result = testingMX()
			}
			e, seen := sender(result)
			conn, err := session(t, e, deliverTo, "mx.example.com").Connect(t.Context(), with(good, wantsOurs).dial)
			if known == "enforce" {
				asError(t, err)
			} else if err != nil {
				t.Fatal(err)
			} else {
				conn.Close()
			}
			v := seen.only(t)
			if f := v.Outcomes[0].Failures; len(f) != 1 || f[0].Reason != "tls-alert-certificate-required" {
				t.Errorf("told %s", tell(v))
			}
		})
	}
}

// One that only asks for a certificate is content without.
func TestAHostThatAsksForOurCertificate(t *testing.T) {
	e, seen := sender(enforcing())
	h := newHost("mx.example.com", good)
	h.config = func(c *tls.Config) { c.ClientAuth = tls.RequestClientCert }
	conn, err := session(t, e, deliverTo, "mx.example.com").Connect(t.Context(), h.dial)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if v := seen.only(t); len(v.Outcomes[0].Failures) != 0 {
		t.Errorf("told %s", tell(v))
	}
}

// A NUL hides dots from some servers and not from others.
func TestAMessageWithNULIsReturned(t *testing.T) {
	w := newWorld(t, none)
	w.publish("example.com", mx(10, "mx.example.com"))
	s := w.host("mx.example.com", "8.8.4.1")
	r := w.SendMail(t.Context(), Envelope{From: "a@sender.test", To: []string{"b@example.com"}}, []byte("Subject: x\n\n\x00.\nMAIL FROM:<x@y>\n"))[0]
	if r.Err == nil || r.Temporary() || r.Code != 554 || len(s.heard("")) != 0 {
		t.Errorf("%s", show(r))
	}
}

// R20: a dial function that returns nothing is an error like any other.
func TestADialThatReturnsNothing(t *testing.T) {
	e, _ := sender(none)
	_, err := session(t, e, deliverTo, "mx.example.com").Connect(t.Context(), func(context.Context) (net.Conn, error) { return nil, nil })
	asError(t, err)
}

// R22: an MX record that is no name is not dialled, whatever the operator wants of it.
func TestAnAddressAsMXIsNotDialled(t *testing.T) {
	w := newWorld(t, none)
	w.Enforcer.Exception = func(string) Exception { return Verify }
	w.publish("example.com", mx(10, "8.8.4.1"))
	w.addrs["8.8.4.1"] = answer("8.8.4.1")
	if r := w.SendMail(t.Context(), Envelope{From: "a@sender.test", To: []string{"b@example.com"}}, []byte("x"))[0]; r.Err == nil || len(w.dialled) != 0 {
		t.Errorf("%s, dialled %q", show(r), w.dialled)
	}
}

// R13: there is no way to ask for hosts without end.
func TestANegativeMaxHosts(t *testing.T) {
	w := newWorld(t, none)
	w.MaxHosts = -1
	var mxs = w.mx["example.com"].Records
	for i := range 30 {
		mxs = append(mxs, mx(uint16(i), "mx"+strings.Repeat("x", i)+".example.com"))
	}
	w.publish("example.com", mxs...)
	if got := w.visit(t, deliverTo); len(got) != defaultHosts {
		t.Errorf("%d hosts", len(got))
	}
}

// A caller who gives up in the middle of a transaction is let go at once.
func TestSendMailEndsWithItsContext(t *testing.T) {
	for _, command := range []string{"MAIL", "RCPT", "DATA"} {
		w := newWorld(t, none)
		w.publish("example.com", mx(10, "mx.example.com"))
		s := w.host("mx.example.com", "8.8.4.1")
		s.says = map[string]string{command: "silence"}
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			for !slices.ContainsFunc(s.heard(""), func(line string) bool { return strings.HasPrefix(line, command) }) {
				time.Sleep(time.Millisecond)
			}
			cancel()
		}()
		if r := w.SendMail(ctx, Envelope{From: "a@sender.test", To: []string{"b@example.com"}}, []byte("x"))[0]; !errors.Is(r.Err, context.Canceled) {
			t.Errorf("%s: %v", command, r.Err)
		}
	}
}
