package outbound

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/strictmx/strictmx/internal/publicaddr"
	"github.com/strictmx/strictmx/resolver"
)

// What an operator reads: each fact once, without the names of packages.
func TestErrorLines(t *testing.T) {
	const wanted = `; wanted a host that the policy names [mx.example.com *.mail.test] with a valid certificate for its name over TLS 1.2 or later; ` +
		`policy enforce, id "20260301", fetched 2026-03-01T12:00:00Z, expires 2026-03-02T12:00:00Z`
	for _, tt := range []struct {
		name   string
		change func(*world)
		want   string
	}{
		{"two things wrong with a certificate", func(w *world) {
			w.serve("mx.example.com", &server{cert: issue("mx.example.com", expiredAndMisnamed)}, "8.8.4.1")
		}, `outbound: example.com via mx.example.com: 451 4.7.5: found certificate-expired, certificate-host-mismatch: ` +
			`expired on 1999-01-01T00:00:00Z; is for "other.test", not for mx.example.com` + wanted},
		{"the server's words", func(w *world) {
			w.serve("mx.example.com", &server{cert: issue("mx.example.com", good), says: map[string]string{"STARTTLS": "454 4.7.0 TLS not available"}}, "8.8.4.1")
		}, `outbound: example.com via mx.example.com: 451 4.7.5: found starttls-not-supported (starttls-454): ` +
			`STARTTLS was answered: 454 "4.7.0 TLS not available"` + wanted},
		{"a name server that failed", func(w *world) {
			w.errs["MX example.com"] = &resolver.Error{Name: "example.com", Type: "MX", Server: "192.0.2.53:53", Kind: resolver.KindServFail,
				Extended: []resolver.ExtendedError{{Code: 6, Text: "signature expired"}}}
		}, `outbound: example.com: 451 4.4.3: MX example.com: servfail from 192.0.2.53:53, EDE 6 DNSSEC Bogus "signature expired"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, enforcing())
			w.publish("example.com", mx(10, "mx.example.com"))
			tt.change(w)
			r := w.SendMail(t.Context(), letter("b@example.com"), hello)[0]
			if r.Err == nil || r.Err.Error() != tt.want {
				t.Errorf("got  %v\nwant %s", r.Err, tt.want)
			}
			if _, reason, _ := strings.Cut(tt.want, fmt.Sprintf(": 451 %s: ", dotted(r.EnhancedCode))); r.Text != reason {
				t.Errorf("text %s", r.Text)
			}
		})
	}
}

// R16: our own explanations are whole, others' words are quoted and cut.
func TestExplain(t *testing.T) {
	long := strings.Repeat("x", 1000)
	nonPublic := &publicaddr.Error{Addr: netip.MustParseAddr("10.0.0.1")}
	for _, tt := range []struct {
		err  error
		want string
	}{
		{errLoop, string(errLoop)},
		{own(long), long},
		{io.EOF, "the host hung up"},
		{context.DeadlineExceeded, "time ran out"},
		{errors.New("what\never"), `"what\never"`},
		{errors.New(long), `"` + long[:128] + `..."`},
		{because{"we tried", errors.New(long)}, `we tried: "` + long[:128] + `..."`},
		{because{"it was answered", reply{code: 550, lines: []string{"no", "way"}}.refusal("RCPT")}, `it was answered: RCPT was answered: 550 "no way"`},
		{&net.OpError{Op: "dial", Net: "tcp", Err: nonPublic}, "10.0.0.1 is not a public address (non-public-address)"},
		{&resolver.NonPublicError{Addr: nonPublic.Addr}, "10.0.0.1 is not a public address (non-public-address)"},
	} {
		if got := explain(tt.err); got != tt.want {
			t.Errorf("%T: %s, want %s", tt.err, got, tt.want)
		}
	}
	if err := (because{"we tried", io.EOF}); !errors.Is(err, io.EOF) {
		t.Error("the cause is lost")
	}
}
