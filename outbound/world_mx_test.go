package outbound

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/strictmx/strictmx/mtasts"
	"github.com/strictmx/strictmx/strictmxtest"
)

// proving are the certificates that prove their host.
var proving = []strictmxtest.Certificate{strictmxtest.Good, strictmxtest.Wildcard}

// noSession are the faults that end a connection before it is known whether
// there is TLS: nobody is told, and no policy is the reason.
func noSession(f strictmxtest.MXFault) bool {
	switch f {
	case strictmxtest.RefuseConnection, strictmxtest.HangBeforeGreeting, strictmxtest.CloseAfterGreeting, strictmxtest.CloseAfterEHLO,
		strictmxtest.EndlessLine, strictmxtest.EndlessReply, strictmxtest.RefuseGreeting(421), strictmxtest.RefuseGreeting(554),
		strictmxtest.RefuseEHLO(421), strictmxtest.RefuseEHLO(450), strictmxtest.RefuseEHLO(451), strictmxtest.HangAfter220:
		return true
	}
	return false
}

// spoilsTLS are the faults that leave no TLS. The others come later, and are not
// Connect's to see.
func spoilsTLS(f strictmxtest.MXFault) bool {
	switch f {
	case strictmxtest.NoSTARTTLS, strictmxtest.StrippedSTARTTLS, strictmxtest.GarbageAfter220, strictmxtest.CloseAfter220,
		strictmxtest.InjectAfter220, strictmxtest.CloseAfterClientHello, strictmxtest.WeakCiphers, strictmxtest.TLS11Only, strictmxtest.DemandClientCert,
		strictmxtest.RefuseEHLO(500), strictmxtest.RefuseEHLO(502), strictmxtest.RefuseEHLO(550), strictmxtest.RefuseEHLO(554),
		strictmxtest.RefuseSTARTTLS(421), strictmxtest.RefuseSTARTTLS(454), strictmxtest.RefuseSTARTTLS(500), strictmxtest.RefuseSTARTTLS(501),
		strictmxtest.RefuseSTARTTLS(502), strictmxtest.RefuseSTARTTLS(530), strictmxtest.RefuseSTARTTLS(554):
		return true
	}
	return false
}

// Every fault and every certificate of an MX host, on real sockets, in each mode.
func TestWorldOfHosts(t *testing.T) {
	w := strictmxtest.New(t)
	m := w.MX("mx.example.com")
	dial := func(ctx context.Context) (net.Conn, error) { return w.DialContext(ctx, "tcp", "mx.example.com:25") }
	check := func(t *testing.T, mode mtasts.Mode, fault strictmxtest.MXFault, cert strictmxtest.Certificate) {
		m.Fault(fault).Certificate(cert)
		known := none
		if mode != "" {
			known = policy("example.com", mode, "mx.example.com")
		}
		e, seen := sender(known)
		e.TLSConfig = &tls.Config{RootCAs: w.Roots()}
		s := session(t, e, deliverTo, "mx.example.com")
		limit := 10 * time.Second
		if fault == strictmxtest.HangBeforeGreeting || fault == strictmxtest.HangAfter220 {
			limit = 50 * time.Millisecond
		}
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		defer cancel()
		conn, err := s.Connect(ctx, dial)
		if err == nil {
			defer conn.Close()
		} else if errors.Is(err, ErrRetryInClear) {
			t.Error("Connect left the retry to its caller")
		}
		proves := slices.Contains(proving, cert) && !spoilsTLS(fault)
		wantError := noSession(fault) || mode == mtasts.ModeEnforce && !proves
		if (err != nil) != wantError {
			t.Fatalf("error %v, want one: %v", err, wantError)
		}
		if noSession(fault) {
			if n := len(seen.list()); n != 0 {
				t.Errorf("told %+v", seen.list())
			}
			return
		}
		v := seen.only(t)
		if v.SendingIP.IsValid() || v.ReceivingIP.IsValid() { // R16: loopback is nobody's business
			t.Errorf("addresses %v, %v", v.SendingIP, v.ReceivingIP)
		}
		failed := len(v.Outcomes[0].Failures) > 0
		judged := mode == mtasts.ModeEnforce || mode == mtasts.ModeTesting
		if failed != (spoilsTLS(fault) || judged && !proves) {
			t.Errorf("told %s", tell(v))
		}
		want := Encrypted
		switch {
		case spoilsTLS(fault) || err != nil:
			want = Clear
		case proves:
			want = Verified
		}
		if s.Level() != want {
			t.Errorf("level %v, want %v", s.Level(), want)
		}
	}
	for _, mode := range []mtasts.Mode{mtasts.ModeEnforce, mtasts.ModeTesting, mtasts.ModeNone, ""} {
		for _, fault := range append(strictmxtest.MXFaults(), strictmxtest.None, strictmxtest.TLS11Only) {
			t.Run(string(mode)+"/"+fault.String(), func(t *testing.T) { check(t, mode, fault, strictmxtest.Good) })
		}
		for _, cert := range strictmxtest.Certificates() {
			t.Run(string(mode)+"/"+cert.String(), func(t *testing.T) { check(t, mode, strictmxtest.None, cert) })
		}
	}
}
