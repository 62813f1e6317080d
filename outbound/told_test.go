package outbound

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/strictmx/strictmx/mtasts"
	"github.com/strictmx/strictmx/tlsrpt"
)

// heard is an event in a line: "example.com via mx.example.com (8.8.4.4): sts:
// certificate-expired"; the address is left out where no connection was made.
func heard(e tlsrpt.Event) string {
	s := e.Domain + " via " + e.MXHost
	if e.ReceivingIP.IsValid() {
		s += " (" + e.ReceivingIP.String() + ")"
	}
	return s + ": " + tell(e)
}

// letterDelivered is a whole delivery by SendMail: what is known, who is there, and
// what is told of it.
type letterDelivered struct {
	name  string
	known mtasts.Result
	place func(w *world) // the hosts; mx.example.com is the domain's only MX before
	env   Envelope       // to b@example.com, where it says nothing
	sent  bool           // all recipients have their mail
	told  []string       // in order; of several domains, sorted
}

const (
	viaMX  = "example.com via mx.example.com (8.8.4.4): "
	viaBad = "example.com via mx.evil.test: sts: validation-failure (sts-mx-mismatch)"
)

// at places one host at mx.example.com.
func at(s *server, k kind) func(*world) {
	return func(w *world) {
		if k >= 0 {
			s.cert = issue("mx.example.com", k)
		}
		w.serve("mx.example.com", s, "8.8.4.1")
	}
}

const noTLSAtAll kind = -1

func saying(verb, reply string) *server { return &server{says: map[string]string{verb: reply}} }

var lettersDelivered = []letterDelivered{
	{name: "a good session is told, too", known: enforcing(), place: at(&server{}, good), // RPT-25
		sent: true, told: []string{viaMX + "sts"}},
	{name: "testing: what failed is a failure, though the mail arrived", known: testingMX(), place: at(&server{}, misnamed), // RPT-26, RPT-34, AMB-31
		sent: true, told: []string{viaMX + "sts: certificate-host-mismatch"}},
	{name: "two faults are one session", known: testingMX(), place: at(&server{}, expiredAndMisnamed), // RPT-27, RPT-35
		sent: true, told: []string{viaMX + "sts: certificate-expired, certificate-host-mismatch"}},
	{name: "a CA that nobody knows", known: enforcing(), place: at(&server{}, unknownCA), // RPT-36
		told: []string{viaMX + "sts: certificate-not-trusted (unknown-authority)"}},
	{name: "an address that refuses the connection is no session", known: enforcing(), place: func(w *world) { // RPT-29
		w.addrs["mx.example.com"] = answer("8.8.4.9")
		w.host("mx.example.com", "8.8.4.1")
	}, sent: true, told: []string{viaMX + "sts"}},
	{name: "neither is a host that is busy", known: enforcing(), place: at(saying("connect", "421 4.3.2 too many connections"), good)}, // RPT-29
	{name: "each connection is a session", known: enforcing(), place: func(w *world) { // RPT-47
		w.serve("mx.example.com", &server{cert: issue("mx.example.com", expired)}, "8.8.4.1", "8.8.4.2")
	}, told: []string{viaMX + "sts: certificate-expired", viaMX + "sts: certificate-expired"}},
	{name: "many recipients at one host are one session", known: enforcing(), place: at(&server{}, good), // RPT-47
		env: letter("b@example.com", "c@EXAMPLE.com", "d@example.com.", "e@example.com"), sent: true, told: []string{viaMX + "sts"}},
	{name: "no policy: TLS that works", known: none, place: at(&server{}, good), // RPT-31
		sent: true, told: []string{viaMX + "no-policy-found"}},
	{name: "no policy: a certificate that proves nothing breaks none", known: none, place: at(&server{}, unknownCA), // AMB-46
		sent: true, told: []string{viaMX + "no-policy-found"}},
	{name: "no policy: no STARTTLS", known: none, place: at(&server{name: "mx.example.com"}, noTLSAtAll), // RPT-31, RPT-33
		sent: true, told: []string{viaMX + "no-policy-found: starttls-not-supported"}},
	{name: "no policy: STARTTLS refused", known: none, place: at(saying("STARTTLS", "454 4.7.0 not now"), good), // RPT-33
		sent: true, told: []string{viaMX + "no-policy-found: starttls-not-supported (starttls-454)"}},
	{name: "a retry in clear is the same session", known: none, place: at(saying("STARTTLS", "220 go\r\n250 injected"), good), // RPT-48, RPT-37
		sent: true, told: []string{viaMX + "no-policy-found: validation-failure (plaintext-after-starttls)"}},
	{name: "a host that no mx names is told without an address, the next with one", known: enforcing(), place: func(w *world) { // RPT-53
		w.publish("example.com", mx(10, "mx.evil.test"), mx(20, "mx.example.com"))
		w.host("mx.evil.test", "8.8.4.6")
		w.host("mx.example.com", "8.8.4.1")
	}, sent: true, told: []string{viaBad, viaMX + "sts"}},
	{name: "testing: a host that no mx names is one session with what TLS shows", known: testingMX(), place: func(w *world) { // RPT-53
		w.publish("example.com", mx(10, "mx.evil.test"))
		w.serve("mx.evil.test", &server{cert: issue("mx.evil.test", expired)}, "8.8.4.6")
	}, sent: true, told: []string{"example.com via mx.evil.test (8.8.4.4): sts: validation-failure (sts-mx-mismatch), certificate-expired"}},
	{name: "a domain that is its own host", known: none, place: func(w *world) { // RPT-77
		delete(w.mx, "example.com")
		w.host("example.com", "8.8.4.1")
	}, sent: true, told: []string{"example.com via example.com (8.8.4.4): no-policy-found"}},
	{name: "mode none: silent about its fetch", known: noneWithFailure(), place: at(&server{}, expired), // STS-130, AMB-04
		sent: true, told: []string{viaMX + "no-policy-found"}},
	{name: "a fetch that failed, and nothing cached: one failure of an sts policy", known: failedOnce, place: at(&server{}, good), // RPT-45, RPT-84, AMB-32
		sent: true, told: []string{viaMX + "sts: sts-policy-fetch-error (http-404)"}},
	{name: "a fetch that failed, and a policy cached", known: staleEnforce(), place: at(&server{}, good), // RPT-45, RPT-121, AMB-04
		sent: true, told: []string{viaMX + "sts: sts-policy-fetch-error (txt-missing)"}},
	{name: "a fetch and a session that both failed are one", known: staleEnforce(), place: at(&server{}, expired), // RPT-27, RPT-45
		told: []string{viaMX + "sts: sts-policy-fetch-error (txt-missing), certificate-expired"}},
	{name: "a smart host is judged and told under its own domain", known: none, place: func(w *world) { // RPT-02, RPT-32, AMB-47
		w.policies.known["relay.test"] = policy("relay.test", mtasts.ModeTesting, "mx.example.com")
		w.host("mx.example.com", "8.8.4.1")
	}, env: Envelope{To: []string{"b@example.com", "c@example.net"}, Via: &Delivery{Domain: "relay.test", Hosts: []string{"mx.example.com"}}},
		sent: true, told: []string{"relay.test via mx.example.com (8.8.4.4): sts"}},
	{name: "two domains at one host are two sessions", known: enforcing(), place: func(w *world) { // TLS-23
		w.publish("example.net", mx(10, "mx.example.com"))
		w.host("mx.example.com", "8.8.4.1")
	}, env: letter("b@example.com", "c@example.net"), sent: true, told: []string{viaMX + "sts", "example.net via mx.example.com (8.8.4.4): no-policy-found"}},
	{name: "an address literal is nobody's domain", known: none, place: func(w *world) { w.serve("x", &server{}, "8.8.4.1") },
		env: letter("b@[8.8.4.1]"), sent: true},
	{name: "no host takes mail", known: enforcing(), place: func(w *world) { w.publish("example.com", mx(0, "")) }},
}

// One event a session, with what each policy in force made of it, however the
// mail itself fares.
func TestWhatSendMailTells(t *testing.T) {
	for _, l := range lettersDelivered {
		t.Run(l.name, func(t *testing.T) {
			got, receipts := l.deliver(t)
			if !slices.Equal(got, l.told) {
				t.Errorf("told %q\nwant %q", got, l.told)
			}
			for _, r := range receipts {
				if (r.Err == nil) != l.sent {
					t.Errorf("receipt %q: %v", show(r), r.Err)
				}
			}
		})
	}
}

func (l letterDelivered) deliver(t *testing.T) (told []string, receipts []Receipt) {
	w := newWorld(t, l.known)
	w.publish("example.com", mx(10, "mx.example.com"))
	l.place(w)
	if l.env.To == nil {
		l.env.To = []string{"b@example.com"}
	}
	receipts = w.SendMail(t.Context(), l.env, hello)
	for _, e := range w.events.list() {
		if len(e.Outcomes) != 1 || e.Time.IsZero() || e.Outcomes[0].Policy.Domain != e.Domain {
			t.Errorf("event %+v", e)
		}
		told = append(told, heard(e))
	}
	if len(receipts) > 1 {
		slices.Sort(told)
	}
	return told, receipts
}

// R15, RPT-30, RPT-107, RPT-108: mail that carries reports is delivered whatever the
// policies of its domain or of a smart host say, and leaves no trace in the counts.
func TestReportMailIsNeverTold(t *testing.T) {
	all := slices.Concat(lettersDelivered, []letterDelivered{
		{name: "a host that is no name", known: enforcing(), place: func(w *world) {
			w.publish("example.com", mx(10, "*.example.com"), mx(20, "mx.example.com"))
			w.host("mx.example.com", "8.8.4.1")
		}, sent: true},
		{name: "a policy that names nobody", known: policy("example.com", mtasts.ModeEnforce, "mx.gone.test"), place: at(&server{}, expired), sent: true},
		{name: "no TLS under enforce", known: enforcing(), place: at(&server{name: "mx.example.com"}, noTLSAtAll), sent: true},
	})
	for _, l := range all {
		t.Run(l.name, func(t *testing.T) {
			l.env.Report = true
			told, receipts := l.deliver(t)
			if len(told) > 0 {
				t.Errorf("told %q", told)
			}
			for _, r := range receipts {
				if noPlace := r.EnhancedCode == [3]int{4, 3, 2} || r.EnhancedCode == [3]int{4, 1, 10}; r.Err != nil && !noPlace { // a busy host, a null MX
					t.Errorf("receipt %q: %v", show(r), r.Err)
				}
			}
		})
	}
}

// R15: it is the caller's word that makes a report, never the message's.
func TestNoHeaderMakesAReport(t *testing.T) {
	msg := []byte("From: tls@evil.test\nTLS-Report-Domain: example.com\nTLS-Report-Submitter: evil.test\nTLS-Required: No\n" +
		"Content-Type: multipart/report; report-type=\"tlsrpt\"; boundary=x\n\n--x--\n")
	w := newWorld(t, enforcing())
	w.publish("example.com", mx(10, "mx.example.com"))
	s := w.serve("mx.example.com", &server{cert: issue("mx.example.com", expired)}, "8.8.4.1")
	r := w.SendMail(t.Context(), letter("b@example.com"), msg)[0]
	if show(r) != "~ b@example.com 451 4.7.5 mx.example.com" || len(s.got()) != 0 {
		t.Errorf("receipt %q, the host got %q", show(r), s.got())
	}
	if got := heard(w.events.only(t)); got != viaMX+"sts: certificate-expired" {
		t.Errorf("told %q", got)
	}
}

// R15: the other ways to a session keep silent, too.
func TestReportSessionsAreNeverTold(t *testing.T) {
	report := Delivery{Domain: "example.com", Report: true}
	for _, known := range []mtasts.Result{enforcing(), testingMX(), failedOnce, none} {
		e, seen := sender(known)
		e.Exception = func(string) Exception { return Verify }
		c, conn := dialSMTP(t, with(misnamed))
		s := session(t, e, report, "mx.evil.test")
		s.Peer(conn, "mx.evil.test")
		if err := s.StartTLS(c); err != nil || s.Level() != Encrypted {
			t.Errorf("StartTLS: %v, level %v", err, s.Level())
		}
		c, _ = dialSMTP(t, with(good, garbage))
		if err := session(t, e, report, "mx.example.com").StartTLS(c); err != ErrRetryInClear {
			t.Errorf("StartTLS: %v", err)
		}
		if err := session(t, e, report, "mx.example.com").Done(state(0x0304, expired), nil); err != nil {
			t.Errorf("Done: %v", err)
		}
		if err := session(t, e, report, "mx.example.com").Reuse(state(0x0304, expired)); err != nil {
			t.Errorf("Reuse: %v", err)
		}
		p, err := e.Plan(t.Context(), report)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Session(t.Context(), "mx example com"); err == nil {
			t.Error("a host that is no name was let in")
		}
		if all := seen.list(); len(all) > 0 {
			t.Errorf("told %+v", all)
		}
	}
}

// AMB-10: while a fetch that failed is not repeated, each session says so in
// the same words.
func TestSessionsDuringBackOffAreTold(t *testing.T) {
	w := newWorld(t, failedOnce)
	w.publish("example.com", mx(10, "mx.example.com"))
	w.host("mx.example.com", "8.8.4.1")
	for range 3 {
		w.SendMail(t.Context(), letter("b@example.com"), hello)
	}
	for _, e := range w.events.list() {
		if got := heard(e); got != viaMX+"sts: sts-policy-fetch-error (http-404)" {
			t.Errorf("told %q", got)
		}
	}
	if n := len(w.events.list()); n != 3 {
		t.Errorf("told %d times", n)
	}
}

// R16: whatever names, addresses and words a domain, its DNS and its hosts come up
// with, an event holds names, public addresses, and reasons of ours.
func TestNothingForeignIsTold(t *testing.T) {
	evil := "\x1b[31m\u202e<script>\x00\xff" + strings.Repeat("x", 600)
	for i, result := range []mtasts.Result{enforcing(), testingMX(), failedOnce, none} {
		w := newWorld(t, result)
		w.publish("example.com", mx(10, evil[:60]), mx(20, "mx_\xff.example.com"), mx(30, "127.0.0.1"), mx(40, "mx.example.com"))
		w.serve("mx.example.com", &server{name: evil, cert: issue("mx.example.com", kinds[i])}, "8.8.4.1")
		w.serve("mx.example.com", &server{name: "[192.168.1.1] " + evil, says: map[string]string{"STARTTLS": "454 " + evil}, cert: issue("mx.example.com", good)}, "8.8.4.2")
		w.serve("mx.example.com", saying("EHLO", "502 "+evil), "8.8.4.3")
		w.SendMail(t.Context(), letter("b@example.com"), []byte(evil[:10]))
		all := w.events.list()
		if len(all) == 0 {
			t.Error("told nothing")
		}
		for _, e := range all {
			if text := fmt.Sprint(e.Domain, " ", e.MXHost, " ", e.HELO); strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) || len(text) > 600 || strings.Contains(text, "script") {
				t.Errorf("names %q", text)
			}
			if strings.Contains(e.HELO, "192.168") || strings.HasPrefix(e.MXHost, "127.") {
				t.Errorf("an address from inside: %+v", e)
			}
			for _, f := range e.Outcomes[0].Failures {
				if tlsrpt.Advice(f) == "" || f.Info != "" || strings.Trim(f.Reason, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || len(f.Reason) > 64 {
					t.Errorf("failure %+v", f)
				}
			}
		}
	}
}
