package collect

import (
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/strictmx/strictmx/internal/dnsname"
	"github.com/strictmx/strictmx/internal/publicaddr"
	"github.com/strictmx/strictmx/tlsrpt"
)

// clean makes d fit for a report (R16, RPT-54).
func clean(d *tlsrpt.FailureDetail) {
	f := tlsrpt.Failure{Type: d.Type, Reason: d.Reason, Info: d.Info}.Clean()
	d.Type, d.Reason, d.Info = f.Type, f.Reason, f.Info
	d.MXHost, d.HELO = cleanHost(d.MXHost), cleanHost(d.HELO)
	d.ReceivingIP, d.SendingIP = cleanAddr(d.ReceivingIP), cleanAddr(d.SendingIP)
}

// cleanHost returns the canonical form of a name or of an address literal, as a
// server gives it in its greeting; "" for what is neither, and for an address
// that is not public (R16). What is clean already is returned as it is.
func cleanHost(s string) string {
	if s == "" {
		return ""
	}
	if name, err := dnsname.Host(s); err == nil {
		return name
	}
	inner, ok := strings.CutPrefix(s, "[")
	if !ok {
		return ""
	}
	inner, ok = strings.CutSuffix(inner, "]")
	if len(inner) > len(ipv6Tag) && dnsname.EqualFold(inner[:len(ipv6Tag)], ipv6Tag) {
		inner = inner[len(ipv6Tag):]
	}
	a, err := netip.ParseAddr(inner)
	if !ok || err != nil || !publicaddr.Is(a) {
		return ""
	}
	a = a.Unmap()
	b := make([]byte, 0, 64) // stays on the stack
	b = append(b, '[')
	if a.Is6() {
		b = append(b, ipv6Tag...)
	}
	b = append(a.AppendTo(b), ']')
	if string(b) == s {
		return s
	}
	return string(b)
}

const ipv6Tag = "IPv6:" // RFC 5321, section 4.1.3

// cleanAddr returns an address as reports show it, zero for one that is not
// public (R16).
func cleanAddr(a netip.Addr) netip.Addr {
	if !a.IsValid() || !publicaddr.Is(a) {
		return netip.Addr{}
	}
	return a.Unmap()
}

// cleanLine returns a line of a policy as valid UTF-8 without control characters,
// cut to a number of bytes (RPT-54, RPT-122).
func cleanLine(s string, limit int) string {
	if len(s) > limit {
		end := limit
		for end > 0 && end > limit-utf8.UTFMax && !utf8.RuneStart(s[end]) {
			end--
		}
		s = s[:end]
	}
	clean := strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case unicode.IsControl(r):
			return utf8.RuneError
		}
		return r // and U+FFFD for each byte that is not UTF-8
	}, s)
	for len(clean) > limit { // U+FFFD has three bytes
		_, n := utf8.DecodeLastRuneInString(clean)
		clean = clean[:len(clean)-n]
	}
	return clean
}

// cleanPattern returns an mx pattern in canonical form.
func cleanPattern(s string) (string, bool) {
	host, wild := strings.CutPrefix(s, "*.")
	host, err := dnsname.Host(host)
	if err != nil {
		return "", false
	}
	if wild {
		return "*." + host, true
	}
	return host, true
}

// reachedEHLO reports whether a failure can only be seen by who talked to the
// mail server.
func reachedEHLO(f tlsrpt.Failure) bool {
	switch f.Type {
	case tlsrpt.STARTTLSNotSupported, tlsrpt.CertificateHostMismatch, tlsrpt.CertificateExpired, tlsrpt.CertificateNotTrusted:
		return true
	case tlsrpt.ValidationFailure:
		switch f.Reason {
		case tlsrpt.ReasonPlaintextInjection, tlsrpt.ReasonREQUIRETLS:
			return true
		}
		return strings.HasPrefix(f.Reason, "tls-") || strings.HasPrefix(f.Reason, "handshake-")
	}
	return false
}
