package outbound

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/strictmx/strictmx/mtasts"
	"github.com/strictmx/strictmx/resolver"
)

// R33: a Receipt says what held when the message went, and why it went without
// enforced TLS, also where it did not go.
func TestReceiptSaysWhatHeld(t *testing.T) {
	lax := letter("b@example.com")
	lax.TLSRequiredNo = true
	for _, tt := range []struct {
		name   string
		env    Envelope
		result mtasts.Result
		change func(*world)
		code   int
		mode   mtasts.Mode
		cause  mtasts.Cause
	}{
		{"delivered under a policy", letter("b@example.com"), enforcing(), nil, 250, mtasts.ModeEnforce, ""},
		{"delivered under a policy that the message lifts", lax, enforcing(), nil, 250, mtasts.ModeEnforce, CauseException},
		{"delivered under a policy in testing mode", letter("b@example.com"), testingMX(), nil, 250, mtasts.ModeTesting, mtasts.CauseTesting},
		{"delivered without a policy", letter("b@example.com"), none, nil, 250, "", mtasts.CauseAbsent},
		{"refused by the policy", letter("b@example.com"), enforcing(), func(w *world) {
			w.serve("mx.example.com", &server{cert: issue("mx.example.com", expired)}, "8.8.4.1")
		}, 451, mtasts.ModeEnforce, ""},
		{"refused by the host", letter("b@example.com"), enforcing(), func(w *world) {
			w.serve("mx.example.com", &server{cert: issue("mx.example.com", good), says: map[string]string{"RCPT": "550 no"}}, "8.8.4.1")
		}, 550, mtasts.ModeEnforce, ""},
		{"the host broke off", letter("b@example.com"), testingMX(), func(w *world) {
			w.serve("mx.example.com", &server{cert: issue("mx.example.com", good), says: map[string]string{"DATA": ""}}, "8.8.4.1")
		}, 451, mtasts.ModeTesting, mtasts.CauseTesting},
		{"a denial that nobody signed", letter("b@example.com"), none, func(w *world) {
			w.mx["example.com"] = resolver.Answer[resolver.MX]{NXDomain: true}
		}, 550, "", mtasts.CauseAbsent},
		{"a denial under DNSSEC: no policy was asked for", letter("b@example.com"), enforcing(), func(w *world) {
			w.mx["example.com"] = resolver.Answer[resolver.MX]{NXDomain: true, Secure: true}
		}, 550, "", ""},
		{"an address that is none", letter("b"), enforcing(), nil, 553, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, tt.result)
			w.publish("example.com", mx(10, "mx.example.com"))
			w.host("mx.example.com", "8.8.4.1")
			if tt.change != nil {
				tt.change(w)
			}
			r := w.SendMail(t.Context(), tt.env, hello)[0]
			mode := mtasts.Mode("")
			if r.Policy.Policy != nil {
				mode = r.Policy.Policy.Mode
			}
			if r.Code != tt.code || mode != tt.mode || r.Cause != tt.cause {
				t.Errorf("code %d, mode %q, cause %q: %v", r.Code, mode, r.Cause, r.Err)
			}
			if held := mode != "" || tt.cause != ""; (r.Policy.Domain != "") != held {
				t.Errorf("policy of %q", r.Policy.Domain)
			}
		})
	}
}

// Text is what goes behind the codes, whoever said it.
func TestReceiptText(t *testing.T) {
	for _, tt := range []struct {
		name   string
		result mtasts.Result
		server *server
		want   string
	}{
		{"the host took it", none, &server{}, "queued as 7"},
		{"the host's own words", none, &server{says: map[string]string{"RCPT": "550-5.1.1 no such user\r\n550 5.1.1 here"}}, "no such user here"},
		{"a refusal by policy", enforcing(), &server{}, "found starttls-not-supported; wanted a host that the policy names"},
		{"no connection", none, nil, "connection refused"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, tt.result)
			w.publish("example.com", mx(10, "mx.example.com"))
			w.addrs["mx.example.com"] = answer("8.8.4.1")
			w.hosts["8.8.4.1:25"] = tt.server
			r := w.SendMail(t.Context(), letter("b@example.com"), hello)[0]
			if text := strings.Trim(r.Text, `"`); !strings.HasPrefix(text, tt.want) {
				t.Errorf("text %q", r.Text)
			}
		})
	}
}

// Of the errors of several hosts, the one to answer with.
func TestVerdict(t *testing.T) {
	p := &Plan{enforcer: &Enforcer{}, domain: "example.com"}
	never := p.fail("a.test", noRoute, errNoAddr)
	down := p.fail("b.test", unreachable, errConnRefused)
	policy := p.refusal("c.test", refused, p.outcome, nil)
	for _, tt := range []struct {
		name string
		errs []error
		want error
	}{
		{"permanent where all are", []error{never, p.fail("d.test", noRoute, nil)}, never},
		{"temporary where one is", []error{never, down}, down},
		{"a policy's refusal can be acted on", []error{down, policy, down}, policy},
		{"the first of those that tell as much", []error{down, p.fail("d.test", broken, nil)}, down},
		{"an SMTP client's own error is temporary", []error{never, io.EOF}, io.EOF},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := Verdict(tt.errs)
			if !errors.Is(got, tt.want) || got.Temporary() != (tt.want != never) {
				t.Errorf("verdict %v", got)
			}
			for range tt.errs { // whatever the order, the answer is as lasting
				tt.errs = slices.Concat(tt.errs[1:], tt.errs[:1])
				if Verdict(tt.errs).Temporary() != got.Temporary() {
					t.Errorf("%v is another verdict", tt.errs)
				}
			}
		})
	}
	if Verdict(nil) != nil {
		t.Error("a verdict on nothing")
	}
	if got := Verdict([]error{io.EOF}); !strings.HasPrefix(got.Error(), "outbound: 451 4.4.2: ") {
		t.Error(got)
	}
}

// A client of the caller's says the name that Connect said.
func TestLocalNameOfAConn(t *testing.T) {
	w := newWorld(t, none)
	w.publish("example.com", mx(10, "mx.example.com"))
	s := w.host("mx.example.com", "8.8.4.1")
	for conn, err := range w.Conns(t.Context(), deliverTo) {
		if err != nil {
			t.Fatal(err)
		}
		if said := s.heard("EHLO"); len(said) != 1 || said[0] != "EHLO "+conn.LocalName() {
			t.Errorf("LocalName %q, and Connect said %q", conn.LocalName(), said)
		}
		if conn.Session.Plan().Result().Domain != "example.com" {
			t.Errorf("plan %+v", conn.Session.Plan().Result())
		}
		conn.Close()
	}
}
