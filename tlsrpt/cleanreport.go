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

// maxPolicyText bounds the lines of a policy, and its patterns, each with an octet
// for what separates it from the next (RPT-51).
const maxPolicyText = 8 << 10

// Clean returns p as a report may show it, and p is left alone. What RFC 8460
// does not give a policy of its type is dropped, and so is a pattern that is
// none; a domain that is no name becomes "", and so does a type that is none of
// the three. Lines are made fit for JSON and for a terminal. There are up to 100
// lines of up to 1,024 octets and up to 100 patterns, and no more than 8 KiB of
// either. What is clean stays as it is.
func (p Policy) Clean() Policy {
	domain, err := dnsname.Host(p.Domain)
	if err != nil {
		domain = ""
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
		clean.Type = ""
	}
	return clean
}

// checkedPolicy is p.Clean for a policy that a report must be able to name.
func checkedPolicy(p Policy) (Policy, error) {
	clean := p.Clean()
	switch {
	case clean.Domain == "":
		return p, errors.New("policy-domain " + cleanText(p.Domain) + " is no DNS name")
	case clean.Type == "":
		return p, errors.New("policy-type " + cleanText(string(p.Type)) + " is none of RFC 8460")
	}
	return clean, nil
}

// cleanLines returns the first of lines, each fit for a report; nil if there is
// nothing in them.
func cleanLines(lines []string) []string {
	lines = lines[:min(len(lines), maxList)]
	out := make([]string, 0, len(lines))
	room, empty := maxPolicyText, true
	for _, line := range lines {
		if room == 0 {
			break
		}
		line = cleanLine(line, min(maxString, room-1))
		room -= len(line) + 1
		empty = empty && line == ""
		out = append(out, line)
	}
	if empty {
		return nil
	}
	return out
}

// cleanLine replaces what is not UTF-8, what I-JSON does not allow (RFC 7493,
// section 2.1), and what moves the cursor of whoever reads it. Nothing is read
// beyond what the lines of a policy may come to.
func cleanLine(line string, limit int) string {
	plain := func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case unicode.IsControl(r), r&0xfffe == 0xfffe, 0xfdd0 <= r && r <= 0xfdef:
			return utf8.RuneError
		}
		return r
	}
	line = strings.ToValidUTF8(line[:min(len(line), maxPolicyText)], "\ufffd")
	return cut(strings.Map(plain, line), limit)
}

// cleanPatterns returns the first of the names of hosts and the wildcards among mx.
func cleanPatterns(mx []string) []string {
	var out []string
	room := maxPolicyText
	for _, pattern := range mx {
		pattern, ok := cleanPattern(pattern)
		if !ok {
			continue
		}
		if room -= len(pattern) + 1; room < 0 || len(out) == maxList {
			break
		}
		if out == nil {
			out = make([]string, 0, min(len(mx), maxList))
		}
		out = append(out, pattern)
	}
	return out
}

// cleanPattern returns a pattern in canonical form: a name, or "*." before one.
func cleanPattern(mx string) (string, bool) {
	rest, wild := strings.CutPrefix(mx, "*.")
	name, err := dnsname.Host(rest)
	switch {
	case err != nil:
		return "", false
	case !wild:
		return name, true
	case name == rest:
		return mx, true
	}
	return "*." + name, true
}

// Clean returns d without what may not stand in a report; what is not known is
// left out (RFC 8460, appendix B). A host that is no name of DNS is dropped, a
// HELO that is neither a name nor an address literal, and an address that is not
// public; names and addresses get their canonical form. The rest is as
// [Failure.Clean] returns it. What is clean stays as it is.
func (d FailureDetail) Clean() FailureDetail {
	f := Failure{Type: d.Type, Reason: d.Reason, Info: d.Info}.Clean()
	host, err := dnsname.Host(d.MXHost)
	if err != nil {
		host = ""
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
	inner, open := strings.CutPrefix(helo, "[")
	inner, shut := strings.CutSuffix(inner, "]")
	if !open || !shut {
		return ""
	}
	if len(inner) > len(ipv6Tag) && dnsname.EqualFold(inner[:len(ipv6Tag)], ipv6Tag) {
		inner = inner[len(ipv6Tag):]
	}
	ip, err := netip.ParseAddr(inner)
	if err != nil || !publicaddr.Is(ip) {
		return ""
	}
	ip = ip.Unmap()
	b := append(make([]byte, 0, 64), '[') // stays on the stack
	if ip.Is6() {
		b = append(b, ipv6Tag...)
	}
	b = append(ip.AppendTo(b), ']')
	if string(b) == helo {
		return helo
	}
	return string(b)
}

const ipv6Tag = "IPv6:" // RFC 5321, section 4.1.3

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
