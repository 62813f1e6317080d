package resolver

import (
	"encoding/hex"
	"net/netip"
	"strings"

	"github.com/miekg/dns"
)

// answerOf makes an Answer of a finished walk.
func answerOf[T any](w *walk, value func(dns.RR) T) Answer[T] {
	a := Answer[T]{TTL: w.ttl, NXDomain: w.nx, Secure: w.secure, CanonicalName: w.name}
	for _, rr := range w.records {
		a.Records = append(a.Records, value(rr))
	}
	return a
}

func textOf(rr dns.RR) string { return unescape(rr.(*dns.TXT).Txt) }

func targetOf(rr dns.RR) string { return canonical(rr.(*dns.CNAME).Target) }

func mxOf(rr dns.RR) MX {
	mx := rr.(*dns.MX)
	return MX{Preference: mx.Preference, Host: canonical(mx.Mx)}
}

func tlsaOf(rr dns.RR) TLSA {
	t := rr.(*dns.TLSA)
	data, _ := hex.DecodeString(t.Certificate) // hex that the parser made itself
	return TLSA{Usage: t.Usage, Selector: t.Selector, MatchingType: t.MatchingType, Data: data}
}

func addrOf(rr dns.RR) netip.Addr {
	var addr netip.Addr
	switch rr := rr.(type) {
	case *dns.A:
		addr, _ = netip.AddrFromSlice(rr.A.To4()) // the parser saw to the lengths
	case *dns.AAAA:
		addr, _ = netip.AddrFromSlice(rr.AAAA)
	}
	return addr
}

// unescape joins character-strings and turns the presentation form of package
// dns, where \" \\ and \DDD stand for one byte each, back into the bytes.
func unescape(strs []string) string {
	if len(strs) == 1 && strings.IndexByte(strs[0], '\\') < 0 {
		return strs[0]
	}
	size := 0
	for _, s := range strs {
		size += len(s)
	}
	b := make([]byte, 0, size)
	for _, s := range strs {
		for i := 0; i < len(s); i++ {
			switch {
			case s[i] != '\\' || i+1 == len(s):
				b = append(b, s[i])
			case i+3 < len(s) && isDigit(s[i+1]) && isDigit(s[i+2]) && isDigit(s[i+3]):
				b = append(b, (s[i+1]-'0')*100+(s[i+2]-'0')*10+s[i+3]-'0')
				i += 3
			default:
				b = append(b, s[i+1])
				i++
			}
		}
	}
	return string(b)
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
