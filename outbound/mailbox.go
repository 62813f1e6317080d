package outbound

import (
	"errors"
	"net/netip"
	"strings"
	"unicode/utf8"

	"github.com/strictmx/strictmx/internal/dnsname"
)

// maxPath is what RFC 5321, section 4.5.3.1.3, leaves of a path without its
// angle brackets. The 64 octets it allows a local part are not held to: senders
// that write the recipient into their return path exceed them, and it works.
const maxPath = 254

var (
	errSyntax    = own("not a mail address: want local@domain")
	errBareIP    = own("an IP address is no mail domain; an address literal stands in brackets (RFC 5321, section 4.1.3)")
	errNotDomain = own("the part after the @ is no domain name")
)

// mailbox is a mail address that is safe to put on the wire.
type mailbox struct {
	local  string // as given, with its quotes
	domain string // A-labels, or an address literal as given
}

// String returns what goes between the angle brackets; "" for the null sender.
func (a mailbox) String() string {
	if a.isNull() {
		return ""
	}
	return a.local + "@" + a.domain
}

func (a mailbox) isNull() bool { return a == mailbox{} }

// utf8 reports whether a server must know SMTPUTF8 to take the address. The
// domain never asks for it, since it is written in A-labels.
func (a mailbox) utf8() bool { return !dnsname.IsASCII(a.local) }

// parseMailbox takes an address apart and refuses every byte that could end the
// command it will stand in: no CR, LF, angle bracket or space gets through, but a
// space in quotes. It is lax where the world is, with dots in odd places.
func parseMailbox(s string) (mailbox, error) {
	at := strings.LastIndexByte(s, '@')
	if at < 1 || at == len(s)-1 || len(s) > maxPath || !validLocal(s[:at]) {
		return mailbox{}, errSyntax
	}
	a := mailbox{local: s[:at], domain: s[at+1:]}
	if _, ok := parseLiteral(a.domain); ok {
		return a, nil
	}
	name, err := dnsname.Host(a.domain)
	switch {
	case err == nil:
		a.domain = name
		return a, nil
	case errors.Is(err, dnsname.ErrAddress) && a.domain[0] != '[':
		return mailbox{}, errBareIP
	case strings.ContainsFunc(a.domain, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		return mailbox{}, errSyntax
	}
	return mailbox{}, errNotDomain
}

// What is wrong with an address (RFC 3463, section 3.2).
var (
	badRecipient = status{553, [3]int{5, 1, 3}}
	badSender    = status{553, [3]int{5, 1, 7}}
)

// parseSender reads the return path; "" is the null sender.
func parseSender(s string) (mailbox, error) {
	if s == "" {
		return mailbox{}, nil
	}
	a, err := parseMailbox(s)
	if err != nil {
		return mailbox{}, because{"the sender " + quote(s), err}
	}
	return a, nil
}

// parseRecipient reads a recipient.
func parseRecipient(s string) (mailbox, status, error) {
	a, err := parseMailbox(s)
	switch {
	case errors.Is(err, errSyntax):
		return a, badRecipient, err
	case err != nil:
		return a, noSystem, err
	}
	return a, status{}, nil
}

// validLocal reports whether s is a dot-string or a quoted-string (RFC 5321, section
// 4.1.2), where UTF-8 counts as letters (RFC 6531, section 3.3).
func validLocal(s string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	if s[0] != '"' {
		for i := range len(s) {
			if c := s[i]; c <= ' ' || c == 0x7f || strings.IndexByte(`()<>[]:;@\,"`, c) >= 0 {
				return false
			}
		}
		return true
	}
	if len(s) < 2 || s[len(s)-1] != '"' {
		return false
	}
	s = s[1 : len(s)-1]
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c < ' ' || c == 0x7f || c == '"':
			return false
		case c == '\\':
			i++ // what it quotes is any printable character
			if i == len(s) || s[i] < ' ' || s[i] >= 0x7f {
				return false
			}
		}
	}
	return true
}

// parseLiteral reads "[192.0.2.1]" and "[IPv6:2001:db8::1]" (RFC 5321, section 4.1.3).
func parseLiteral(s string) (netip.Addr, bool) {
	if len(s) < 2 || s[0] != '[' || s[len(s)-1] != ']' {
		return netip.Addr{}, false
	}
	s = s[1 : len(s)-1]
	const tag = "IPv6:"
	six := len(s) > len(tag) && strings.EqualFold(s[:len(tag)], tag)
	if six {
		s = s[len(tag):]
	}
	ip, err := netip.ParseAddr(s)
	return ip, err == nil && ip.Is6() == six && ip.Zone() == ""
}
