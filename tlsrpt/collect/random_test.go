package collect

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/strictmx/strictmx/tlsrpt"
)

// randomEvent is an event as a hostile world makes them, from a few domains that
// come often and many that come once.
func randomEvent(r *rand.Rand) tlsrpt.Event {
	domain := fmt.Sprintf("d%d.example", r.IntN(10))
	switch r.IntN(10) {
	case 0:
		domain = fmt.Sprintf("h%d.hoster.test", r.Uint32())
	case 1:
		domain = fmt.Sprintf("j%d.test", r.Uint32())
	case 2:
		domain = pick(r, "", "[192.0.2.1]", "D1.Example.", "über.example", "a b", "\xff")
	}
	e := tlsrpt.Event{
		Time: noon.Add(time.Duration(r.NormFloat64() * float64(20*time.Hour))), Domain: domain,
		MXHost: randomText(r), HELO: randomText(r), SendingIP: randomAddr(r), ReceivingIP: randomAddr(r),
	}
	for range r.IntN(4) {
		e.Outcomes = append(e.Outcomes, randomOutcome(r, domain))
	}
	return e
}

func randomOutcome(r *rand.Rand, domain string) tlsrpt.Outcome {
	if r.IntN(20) == 0 {
		return tlsrpt.Outcome{}
	}
	p := &tlsrpt.Policy{Type: pick(r, tlsrpt.STS, tlsrpt.STS, tlsrpt.TLSA, tlsrpt.NoPolicyFound, "mine"), Domain: pick(r, domain, domain, "mx.test", "\n")}
	for range r.IntN(4) {
		p.Strings = append(p.Strings, randomText(r))
		p.MXHosts = append(p.MXHosts, randomText(r))
	}
	var failures []tlsrpt.Failure
	for range r.IntN(4) {
		failures = append(failures, tlsrpt.Failure{
			Type:   pick(r, tlsrpt.STARTTLSNotSupported, tlsrpt.ValidationFailure, tlsrpt.CertificateExpired, "mine"),
			Reason: pick(r, "", tlsrpt.ReasonSelfSigned, "Not A Reason", fmt.Sprint("r-", r.IntN(100))), Info: pick(r, "", "https://a.test/", "\x00"),
		})
	}
	return tlsrpt.Outcome{Policy: p, Failures: failures}
}

func randomText(r *rand.Rand) string {
	return pick(r, "", "mx.example.com", "*.example.com", "[93.184.216.34]", "[10.0.0.1]", "mode: enforce", "a\nb", "\x00", "\xff\xfe", "\u202e", "<script>",
		fmt.Sprintf("mx%d.example.com", r.IntN(1000)))
}

func randomAddr(r *rand.Rand) netip.Addr {
	return pick(r, netip.Addr{}, ourIP, theirIP, netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fe80::1%eth0"),
		netip.AddrFrom4([4]byte{93, 184, 216, byte(r.IntN(256))}))
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }
