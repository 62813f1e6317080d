package outbound

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strictmx/strictmx/mtasts"
	"github.com/strictmx/strictmx/tlsrpt"
)

func lapsed() mtasts.Result { return mtasts.Result{Lapsed: enforcing().Policy} }

// R33, I10: one cause for each delivery whose TLS nobody enforces, none for the
// others; and it is in the log.
func TestCause(t *testing.T) {
	for _, r := range []struct {
		known     mtasts.Result
		d         Delivery
		exception Exception
		want      mtasts.Cause
	}{
		{known: enforcing(), want: ""},
		{known: testingMX(), want: mtasts.CauseTesting},
		{known: modeNone(), want: mtasts.CauseNone},
		{known: none, want: mtasts.CauseAbsent},
		{known: failedOnce, want: mtasts.CauseFailed},
		{known: indeterminate(), want: mtasts.CauseIndeterminate},
		{known: lapsed(), want: mtasts.CauseLapsed},
		{known: enforcing(), exception: Ignore, want: CauseException},
		{known: enforcing(), d: Delivery{TLSRequiredNo: true}, want: CauseException},
		{known: enforcing(), d: Delivery{Report: true}, want: CauseException},
		{known: testingMX(), exception: Ignore, want: mtasts.CauseTesting},
		{known: none, exception: Verify, want: ""},
		{known: testingMX(), d: Delivery{RequireTLS: true}, want: ""},
	} {
		e, _ := sender(r.known)
		var log bytes.Buffer
		e.Logger = slog.New(slog.NewTextHandler(&log, nil))
		e.Exception = func(string) Exception { return r.exception }
		r.d.Domain = "example.com"
		p, err := e.Plan(t.Context(), r.d)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Cause(); got != r.want {
			t.Errorf("%+v: cause %q, want %q", r, got, r.want)
		}
		if got := p.Result(); got.Policy != r.known.Policy || got.ID != r.known.ID || got.Domain != "example.com" { // STS-136
			t.Errorf("Result() = %+v", got)
		}
		s, err := p.Session(t.Context(), "mx.example.com")
		if err != nil {
			t.Fatal(err)
		}
		conn, err := s.Connect(t.Context(), with(good).dial)
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
		if lines := strings.Count(log.String(), "\n"); lines != 1 {
			t.Errorf("%d log lines: %s", lines, &log)
		}
		if r.want != "" && !strings.Contains(log.String(), " cause="+string(r.want)) || r.want == "" && strings.Contains(log.String(), "cause=") {
			t.Errorf("cause %q, log %s", r.want, &log)
		}
	}
}

// R30, AMB-03: Defer waits where a policy may exist that could not be learned.
func TestDefer(t *testing.T) {
	for _, r := range []struct {
		name  string
		known mtasts.Result
		d     Delivery
		waits bool
	}{
		{"indeterminate", indeterminate(), deliverTo, true},
		{"lapsed", lapsed(), deliverTo, true},
		{"absent", none, deliverTo, false},
		{"failed", failedOnce, deliverTo, false},
		{"enforced", enforcing(), deliverTo, false},
		{"a TLS report", lapsed(), Delivery{Domain: "example.com", Report: true}, false},
		{"TLSRequiredNo", indeterminate(), Delivery{Domain: "example.com", TLSRequiredNo: true}, false},
	} {
		e, seen := sender(r.known)
		if _, err := e.Plan(t.Context(), r.d); err != nil {
			t.Errorf("%s, without Defer: %v", r.name, err)
		}
		e.Defer = true
		_, err := e.Plan(t.Context(), r.d)
		if (err != nil) != r.waits {
			t.Errorf("%s: %v", r.name, err)
		}
		if err != nil && !asError(t, err).Temporary() {
			t.Errorf("%s: %v is permanent", r.name, err)
		}
		if len(seen.list()) != 0 {
			t.Errorf("%s: told", r.name)
		}
	}
}

// I12: what keeps a policy from being learned is never "no policy".
func TestPlanFailsWhereNothingCouldBeLearned(t *testing.T) {
	down := errors.New("the store cannot be read")
	for _, r := range []struct {
		name      string
		d         Delivery
		exception Exception
		fails     bool
	}{
		{"a delivery", deliverTo, NoException, true},
		{"one with RequireTLS", Delivery{Domain: "example.com", RequireTLS: true, TLSRequiredNo: true}, NoException, true},
		{"one with Verify", Delivery{Domain: "example.com", TLSRequiredNo: true}, Verify, true},
		{"one that no policy can hold back", Delivery{Domain: "example.com", TLSRequiredNo: true}, NoException, false},
		{"a TLS report", Delivery{Domain: "example.com", Report: true}, Verify, false},
		{"a domain to ignore", deliverTo, Ignore, false},
	} {
		e, _ := sender(none)
		e.MTASTS = &policies{err: down}
		e.Exception = func(string) Exception { return r.exception }
		p, err := e.Plan(t.Context(), r.d)
		switch {
		case r.fails && (err == nil || !errors.Is(err, down) || !asError(t, err).Temporary()):
			t.Errorf("%s: error %v", r.name, err)
		case !r.fails && (err != nil || p.Cause() != mtasts.CauseIndeterminate):
			t.Errorf("%s: error %v", r.name, err)
		}
	}
	e, _ := sender(none)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	e.MTASTS = &policies{err: ctx.Err()}
	if _, err := e.Plan(ctx, Delivery{Domain: "example.com", Report: true}); !errors.Is(err, context.Canceled) {
		t.Errorf("ctx ended: %v", err)
	}
}

// R20: what a caller supplied may panic; the mail waits, and the process lives.
func TestHooksMayPanic(t *testing.T) {
	e, _ := sender(enforcing())
	e.Exception = func(string) Exception { panic("ouch") }
	_, err := e.Plan(t.Context(), deliverTo)
	if !asError(t, err).Temporary() || !strings.Contains(err.Error(), "Enforcer.Exception panicked: \"ouch\"") {
		t.Error(err)
	}
	e, _ = sender(enforcing())
	e.MTASTS = panicking{}
	_, err = e.Plan(t.Context(), deliverTo)
	if !asError(t, err).Temporary() || !strings.Contains(err.Error(), "Enforcer.MTASTS panicked") {
		t.Error(err)
	}
	e, _ = sender(enforcing())
	var log bytes.Buffer
	e.Logger = slog.New(slog.NewTextHandler(&log, nil))
	e.Observer = tlsrpt.ObserverFunc(func(tlsrpt.Event) { panic("ouch") })
	s := session(t, e, deliverTo, "mx.example.com")
	conn, err := s.Connect(t.Context(), with(good).dial)
	if err != nil || !strings.Contains(log.String(), `Enforcer.Observer panicked: \"ouch\"`) {
		t.Errorf("error %v, log %s", err, &log)
	}
	conn.Close()
}

type panicking struct{}

func (panicking) Lookup(context.Context, string) (mtasts.Result, error)  { panic("ouch") }
func (panicking) Refresh(context.Context, string) (mtasts.Result, error) { panic("ouch") }

// R25, I1: a plan is good for ten minutes, and fails closed after them.
func TestOldPlanFailsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, known := range []mtasts.Result{enforcing(), none} {
			e, seen := sender(known)
			p, err := e.Plan(t.Context(), deliverTo)
			if err != nil {
				t.Fatal(err)
			}
			s, err := p.Session(t.Context(), "mx.example.com")
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(10*time.Minute + 1)
			h := with(good)
			_, err = p.Session(t.Context(), "mx.example.com")
			if e := asError(t, err); !errors.Is(err, errStale) || !e.Temporary() {
				t.Errorf("Session: %v", err)
			}
			_, err = s.Connect(t.Context(), h.dial)
			if asError(t, err); !errors.Is(err, errStale) {
				t.Errorf("Connect: %v", err)
			}
			if err = s.Reuse(state(0x0304, good)); !errors.Is(err, errStale) {
				t.Errorf("Reuse: %v", err)
			}
			if h.conns != 0 || len(seen.list()) != 0 {
				t.Errorf("%d connections, %d events", h.conns, len(seen.list()))
			}
		}
	})
}

// A domain that can have no policy is asked for nothing, and its sessions are
// nobody's to hear of.
func TestDomainsWithoutNames(t *testing.T) {
	for _, domain := range []string{"", "[192.0.2.1]", "192.0.2.1", "[IPv6:2001:db8::1]", "no domain", "a\x00b.test", "x..y", strings.Repeat("a.", 126) + "b"} {
		e, seen := sender(enforcing())
		known := e.MTASTS.(*policies)
		p, err := e.Plan(t.Context(), Delivery{Domain: domain})
		if err != nil {
			t.Fatal(err)
		}
		s, err := p.Session(t.Context(), "8.8.4.4")
		if err != nil {
			t.Fatal(err)
		}
		conn, err := s.Connect(t.Context(), with(good, noTLSOffered).dial)
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
		if len(known.asked) != 0 || len(seen.list()) != 0 || p.Cause() != mtasts.CauseAbsent {
			t.Errorf("%q: asked %q, told %v, cause %q", domain, known.asked, seen.list(), p.Cause())
		}
	}
	for _, domain := range []string{"EXAMPLE.com", "example.com."} { // R22
		e, _ := sender(enforcing())
		p, err := e.Plan(t.Context(), Delivery{Domain: domain})
		if err != nil || p.Cause() != "" {
			t.Errorf("%q: %v, cause %q", domain, err, p.Cause())
		}
	}
}

// STS-97: every host refused, the policy is looked at once more.
func TestRefresh(t *testing.T) {
	corrected := policy("example.com", mtasts.ModeEnforce, "mx.new.test")
	newID := enforcing()
	newID.ID = "20260302"
	for _, r := range []struct {
		name      string
		now       mtasts.Result
		err       error
		changed   bool
		nextHost  string
		nextCause mtasts.Cause
	}{
		{name: "a corrected policy", now: corrected, changed: true, nextHost: "mx.new.test"},
		{name: "a policy taken back to testing", now: testingMX(), changed: true, nextHost: "any.test", nextCause: mtasts.CauseTesting},
		{name: "a policy that is gone", now: none, changed: true, nextHost: "any.test", nextCause: mtasts.CauseAbsent},
		{name: "another id for the same policy", now: newID},
		{name: "DNS does not answer", now: indeterminate()}, // R4
		{name: "the policy cannot be fetched", now: failedOnce},
		{name: "no answer", err: errors.New("later")},
	} {
		t.Run(r.name, func(t *testing.T) {
			e, seen := sender(enforcing())
			known := e.MTASTS.(*policies)
			known.refreshed = map[string]mtasts.Result{"example.com": r.now}
			p, err := e.Plan(t.Context(), deliverTo)
			if err != nil {
				t.Fatal(err)
			}
			_, err = p.Session(t.Context(), "mx.new.test")
			asError(t, err)
			known.err = r.err
			n, err := p.Refresh(t.Context())
			if r.err != nil && asError(t, err) == nil || r.err == nil && err != nil {
				t.Fatal(err)
			}
			if (n != p) != r.changed {
				t.Fatalf("changed %v, want %v", n != p, r.changed)
			}
			if r.changed {
				if n.Cause() != r.nextCause {
					t.Errorf("cause %q", n.Cause())
				}
				if _, err := n.Session(t.Context(), r.nextHost); err != nil {
					t.Error(err)
				}
				if _, err := p.Session(t.Context(), "mx.new.test"); err == nil { // I20
					t.Error("the old plan has changed")
				}
			}
			if n := len(seen.list()); n != 1 {
				t.Errorf("%d events", n)
			}
		})
	}
	e, _ := sender(none)
	e.MTASTS.(*policies).refreshed = map[string]mtasts.Result{"example.com": enforcing()}
	p, _ := e.Plan(t.Context(), deliverTo)
	if n, err := p.Refresh(t.Context()); err != nil || n == p || n.Cause() != "" {
		t.Errorf("a policy that appeared: %v", err)
	}
	e.MTASTS.(*policies).refreshed = nil
	if n, err := p.Refresh(t.Context()); err != nil || n != p {
		t.Errorf("no policy still: %v", err)
	}
}

// The Plan is shared by the connections of a delivery.
func TestPlanIsSafeForConcurrentUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, seen := sender(enforcing())
		p, err := e.Plan(t.Context(), deliverTo)
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			go func() {
				p.Session(t.Context(), "mx.evil.test")
				if s, err := p.Session(t.Context(), "mx.example.com"); err == nil {
					s.Reuse(state(0x0304, good))
				}
			}()
		}
		synctest.Wait()
		if v := seen.only(t); v.MXHost != "mx.evil.test" {
			t.Errorf("event %+v", v)
		}
	})
}

// The operator can act on what an Error says.
func TestErrorText(t *testing.T) {
	e, _ := sender(enforcing())
	s := session(t, e, deliverTo, "mx.example.com")
	_, err := s.Connect(t.Context(), with(good, noTLSOffered).dial)
	want := `outbound: example.com via mx.example.com: 451 4.7.5: found starttls-not-supported; ` +
		`wanted a host that the policy names [mx.example.com *.mail.test] with a valid certificate for its name over TLS 1.2 or later; ` +
		`policy enforce, id "20260301", fetched 2026-03-01T12:00:00Z, expires 2026-03-02T12:00:00Z`
	if err.Error() != want {
		t.Errorf("got  %s\nwant %s", err, want)
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("refused", "error", err)
	for _, part := range []string{"error.domain=example.com", "error.host=mx.example.com", "error.code=451", "error.found=starttls-not-supported"} {
		if !strings.Contains(log.String(), part) {
			t.Errorf("log %s lacks %s", &log, part)
		}
	}
	e, _ = sender(none)
	e.Exception = func(string) Exception { return Verify }
	_, err = session(t, e, deliverTo, "mx.example.com").Connect(t.Context(), with(expired).dial)
	if !strings.Contains(err.Error(), "by the operator's exception; no policy (absent)") {
		t.Error(err)
	}
	p, _ := e.Plan(t.Context(), Delivery{Domain: "example.com", RequireTLS: true})
	if _, err = p.Session(t.Context(), "mx.example.com"); !strings.Contains(err.Error(), "for REQUIRETLS a host that a policy names, and there is none,") {
		t.Error(err)
	}
}

// R16, I18: whatever a host says, an error is one short line of ASCII.
func TestErrorTextIsClean(t *testing.T) {
	hostile := "550 5.7.1 " + strings.Repeat("\x1b[31m\u202eevil\t", 200) + "\r\n"
	for _, change := range []func(*host){
		func(h *host) { h.greeting = hostile },
		func(h *host) { h.ehlo = hostile },
		func(h *host) { h.startTLS = hostile },
	} {
		e, _ := sender(enforcing())
		_, err := session(t, e, deliverTo, "mx.example.com").Connect(t.Context(), with(good, change).dial)
		asError(t, err)
		text := err.Error()
		if len(text) > 512 || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("%q", text)
		}
	}
	p := &Plan{enforcer: &Enforcer{}, delivery: Delivery{Domain: "\x00" + strings.Repeat("é", 600)}, made: time.Now()}
	_, err := p.Session(t.Context(), "\x1b"+strings.Repeat("*", 1000))
	if text := err.Error(); len(text) > 512 || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
		t.Errorf("%q", text)
	}
	if e := asError(t, err); slices.ContainsFunc([]byte(e.Domain+e.Host), func(c byte) bool { return c < ' ' || c > '~' }) {
		t.Errorf("%q via %q", e.Domain, e.Host)
	}
}

// The zero Enforcer works, with a Client of its own.
func TestZeroEnforcer(t *testing.T) {
	var e Enforcer
	p, err := e.Plan(t.Context(), Delivery{Domain: "[8.8.4.4]"})
	if err != nil || p.Cause() != mtasts.CauseAbsent {
		t.Fatal(err)
	}
	s, err := p.Session(t.Context(), "8.8.4.4")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := s.Connect(t.Context(), with(good).dial)
	if err != nil || s.Level() != Encrypted {
		t.Fatalf("%v, level %v", err, s.Level())
	}
	conn.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := e.Plan(ctx, deliverTo); !errors.Is(err, context.Canceled) || !asError(t, err).Temporary() {
		t.Errorf("ctx ended: %v", err)
	}
	if _, ok := e.policies().(*mtasts.Client); !ok {
		t.Errorf("policies come from %T", e.policies())
	}
}

// CERT-02: the clock may be set.
func TestTimeOfTheBaseConfiguration(t *testing.T) {
	e, _ := sender(enforcing())
	e.TLSConfig.Time = func() time.Time { return longAgo.AddDate(1, 0, 0) } // when that certificate was good
	s := session(t, e, deliverTo, "mx.example.com")
	conn, err := s.Connect(t.Context(), with(expired).dial)
	if err != nil || s.Level() != Verified {
		t.Fatalf("%v, level %v", err, s.Level())
	}
	conn.Close()
	e.TLSConfig.Time = func() time.Time { return farAhead.AddDate(1, 0, 0) }
	_, err = session(t, e, deliverTo, "mx.example.com").Connect(t.Context(), with(good).dial)
	asError(t, err)
}
