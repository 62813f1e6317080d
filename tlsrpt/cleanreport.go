package tlsrpt

import (
	"cmp"
	"errors"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/strictmx/strictmx/internal/dnsname"
	"github.com/strictmx/strictmx/internal/publicaddr"
)

// cleanPolicy returns a copy of p as a report may show it.
func cleanPolicy(p Policy) (Policy, error) {
	domain, err := dnsname.Host(p.Domain)
	if err != nil {
		return p, errors.New("policy-domain " + cleanText(p.Domain) + " is no DNS name")
	}
	clean := Policy{Type: p.Type, Domain: domain}
	switch p.Type {
	case STS:
		clean.MXHosts = cleanPatterns(p.MXHosts)
		clean.Strings = cleanLines(p.Strings)
	case TLSA: // RFC 8460, section 4.4: mx-host is for STS alone
		clean.Strings = cleanLines(p.Strings)
	case NoPolicyFound: // and there is nothing else to tell
	default:
		return p, errors.New("policy-type " + cleanText(string(p.Type)) + " is none of RFC 8460")
	}
	return clean, nil
}

// cleanLines returns lines as JSON may hold them.
func cleanLines(lines []string) []string {
	lines = lines[:min(len(lines), maxList)]
	var out []string
	for _, line := range lines {
		out = append(out, cleanLine(line))
	}
	if len(strings.Join(out, "")) == 0 {
		return nil
	}
	return out
}

// cleanLine replaces what is not UTF-8, what I-JSON does not allow (RFC 7493,
// section 2.1), and what moves the cursor of whoever reads it.
func cleanLine(line string) string {
	plain := func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case unicode.IsControl(r), r&0xfffe == 0xfffe, 0xfdd0 <= r && r <= 0xfdef:
			return utf8.RuneError
		}
		return r
	}
	return cut(strings.Map(plain, cut(strings.ToValidUTF8(line, "\ufffd"), maxString)), maxString)
}

// cleanPatterns returns the names of hosts and the wildcards among mx.
func cleanPatterns(mx []string) []string {
	var out []string
	for _, pattern := range mx {
		rest, wild := strings.CutPrefix(pattern, "*.")
		name, err := dnsname.Host(rest)
		switch {
		case err != nil:
			continue
		case wild:
			name = "*." + name
		}
		if out = append(out, name); len(out) == maxList {
			break
		}
	}
	return out
}

// cleanDetail returns d without what may not stand in a report. What is not known
// is left out (RFC 8460, appendix B).
func cleanDetail(d FailureDetail) FailureDetail {
	f := Failure{Type: d.Type, Reason: d.Reason, Info: d.Info}.Clean()
	host, err := dnsname.Host(d.MXHost)
	if err != nil {
		host = ""
	}
	if !isURI(f.Info) {
		f.Info = ""
	}
	return FailureDetail{
		Type: f.Type, Reason: f.Reason, Info: f.Info, Sessions: d.Sessions,
		MXHost: host, HELO: cleanHELO(d.HELO), SendingIP: cleanIP(d.SendingIP), ReceivingIP: cleanIP(d.ReceivingIP),
	}
}

// cleanHELO keeps a name or an address literal (RFC 5321, section 4.1.1.1).
func cleanHELO(helo string) string {
	if name, err := dnsname.Host(helo); err == nil {
		return name
	}
	if ip := parseIP(helo); strings.HasPrefix(helo, "[") && strings.HasSuffix(helo, "]") && cleanIP(ip).IsValid() {
		if ip.Is4() {
			return "[" + ip.String() + "]"
		}
		return "[IPv6:" + ip.String() + "]"
	}
	return ""
}

// cleanIP keeps an address on the public Internet, as RFC 5952 writes it: what
// is inside a network is nobody else's business (R16).
func cleanIP(ip netip.Addr) netip.Addr {
	ip = ip.Unmap().WithZone("")
	if !publicaddr.Is(ip) {
		return netip.Addr{}
	}
	return ip
}

// isURI reports whether s is an absolute URI (RFC 3986, section 4.3).
func isURI(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.IsAbs() && isURIText(s) && (u.Host != "" || u.Opaque != "" || u.Path != "")
}

func comparePolicies(a, b PolicyResult) int {
	return cmp.Or(
		cmp.Compare(a.Policy.Type, b.Policy.Type), cmp.Compare(a.Policy.Domain, b.Policy.Domain),
		slices.Compare(a.Policy.Strings, b.Policy.Strings), slices.Compare(a.Policy.MXHosts, b.Policy.MXHosts),
	)
}

func compareDetails(a, b FailureDetail) int {
	return cmp.Or(
		cmp.Compare(a.Type, b.Type), cmp.Compare(a.MXHost, b.MXHost), cmp.Compare(a.Reason, b.Reason),
		a.ReceivingIP.Compare(b.ReceivingIP), a.SendingIP.Compare(b.SendingIP),
		cmp.Compare(a.HELO, b.HELO), cmp.Compare(a.Info, b.Info),
	)
}
