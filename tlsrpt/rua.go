package tlsrpt

import (
	"strings"

	"github.com/strictmx/strictmx/internal/dnsname"
	"github.com/strictmx/strictmx/internal/tagvalue"
)

const (
	maxURI       = 1 << 10 // R18
	maxMailbox   = 254     // RFC 5321, section 4.5.3.1.3, without the angle brackets
	maxLocalPart = 64      // RFC 5321, section 4.5.3.1.1

	mailtoPrefix = "mailto:"
	httpsPrefix  = "https://"
)

// parseURI returns the normal form of a URI that reports can be sent to, or the
// reason why this is none.
func parseURI(s string) (uri, reason string) {
	if strings.IndexByte(s, '!') >= 0 { // must be encoded (RFC 8460, section 3)
		return "", ReasonExclamationMark
	}
	if !isURIText(s) {
		return "", ReasonBadURI
	}
	scheme, rest, ok := strings.Cut(s, ":")
	switch {
	case !ok:
		return "", ReasonURIScheme // a bare address, often
	case dnsname.EqualFold(scheme, "mailto"):
		m, ok := parseMailto(rest)
		if !ok {
			return "", ReasonBadMailbox
		}
		return m.uri(), ""
	case dnsname.EqualFold(scheme, "https"):
		if uri, ok = parseHTTPS(rest); !ok {
			return "", ReasonBadEndpoint
		}
		return uri, ""
	}
	return "", ReasonURIScheme
}

// Mailbox returns the address of a mailto URI, percent-decoded, in the form that
// SMTP wants after RCPT TO (RFC 5321, section 4.1.2): a dot-atom or, where
// it must be, a quoted-string; "@"; and the domain in A-labels. What follows
// a "?" in the URI is ignored (RFC 6068). ok is false for a URI of another scheme, and for
// an address that no mail should go to: one that is not printable ASCII or over
// 254 octets, begins with "-", "|" or "/", or whose domain is an address
// literal or has no dot.
func Mailbox(rua string) (address string, ok bool) {
	scheme, rest, _ := strings.Cut(rua, ":")
	if !dnsname.EqualFold(scheme, "mailto") || !isURIText(rua) {
		return "", false
	}
	m, ok := parseMailto(rest)
	if !ok {
		return "", false
	}
	return m.address(), true
}

// mailbox is what a mailto URI says: a local part in the one spelling that SMTP
// has for it, and a canonical domain.
type mailbox struct{ local, domain string }

// parseMailto parses what follows "mailto:" in a text of characters that a URI
// may hold.
func parseMailto(s string) (mailbox, bool) {
	if strings.IndexByte(s, '#') >= 0 {
		return mailbox{}, false // a fragment means nothing here; unencoded by mistake, it would cut the address
	}
	s, _, _ = strings.Cut(s, "?")
	s = percentDecode(s)
	at := strings.LastIndexByte(s, '@') // a quoted-string may hold another
	if at < 0 {
		return mailbox{}, false
	}
	local, ok := parseLocalPart(s[:at])
	if !ok {
		return mailbox{}, false
	}
	domain, ok := publicHost(s[at+1:])
	return mailbox{local, domain}, ok && len(local)+len("@")+len(domain) <= maxMailbox
}

func (m mailbox) address() string { return m.local + "@" + m.domain }

// uri returns the mailbox as a URI: percent-encoded is what a URI may not hold,
// what RFC 6068, section 2, wants encoded, and what RFC 8460, section 3, does.
func (m mailbox) uri() string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	b.Grow(len(mailtoPrefix) + len(m.local) + len("@") + len(m.domain))
	b.WriteString(mailtoPrefix)
	for i := 0; i < len(m.local); i++ {
		if c := m.local[i]; tagvalue.IsAlphanumeric(c) || strings.IndexByte("-._~$'*+", c) >= 0 {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		}
	}
	b.WriteByte('@')
	b.WriteString(m.domain)
	return b.String()
}

// parseLocalPart returns the canonical form of a local part, with quotes where
// they are needed and nowhere else (RFC 5321, section 4.1.2).
func parseLocalPart(s string) (string, bool) {
	content, quoted := s, false
	if !isDotAtom(s) {
		var ok bool
		if content, ok = unquote(s); !ok {
			return "", false
		}
		quoted = !isDotAtom(content)
	}
	// Whoever hands the address to a program must not hand it an option, a command
	// or a file (R18).
	if content == "" || strings.IndexByte("-|/", content[0]) >= 0 {
		return "", false
	}
	if quoted {
		content = quote(content)
	}
	return content, len(content) <= maxLocalPart
}

// unquote returns what a quoted-string of printable ASCII stands for.
func unquote(s string) (string, bool) {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return "", false
	}
	s = s[1 : len(s)-1]
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '"' {
			return "", false
		}
		if s[i] == '\\' { // the next character stands for itself
			if i++; i == len(s) {
				return "", false
			}
		}
		if s[i] < ' ' || s[i] > '~' {
			return "", false
		}
		b = append(b, s[i])
	}
	return string(b), true
}

func quote(s string) string {
	b := make([]byte, 0, len(s)+4)
	b = append(b, '"')
	for i := 0; i < len(s); i++ {
		if s[i] == '"' || s[i] == '\\' {
			b = append(b, '\\')
		}
		b = append(b, s[i])
	}
	return string(append(b, '"'))
}

// parseHTTPS returns the normal form of a URI from what follows "https:", a text
// of characters that a URI may hold.
func parseHTTPS(s string) (uri string, ok bool) {
	s, ok = strings.CutPrefix(s, "//")
	// No fragment is ever sent, so one means a mistake; and a user would be sent
	// to whoever the host is (R18).
	if !ok || strings.ContainsAny(s, "#[]") {
		return "", false
	}
	path := strings.IndexAny(s, "/?")
	if path < 0 {
		path = len(s)
	}
	host, port, _ := strings.Cut(s[:path], ":")
	if port != "" && port != "443" {
		return "", false
	}
	host, ok = publicHost(host) // an "@" is no part of a name
	if !ok {
		return "", false
	}
	rest, slash := s[path:], ""
	if !strings.HasPrefix(rest, "/") {
		slash = "/" // an empty path is the same (RFC 3986, section 6.2.3)
	}
	uri = httpsPrefix + host + slash + rest
	return uri, len(uri) <= maxURI
}

// publicHost returns the canonical form of a name that can be one on the public
// Internet. A name without a dot is a matter of this machine's or its network's:
// root@localhost is not who published the record.
func publicHost(name string) (string, bool) {
	name, err := dnsname.Host(name)
	return name, err == nil && dnsname.Labels(name) > 1
}

// isDotAtom reports whether s is a dot-atom of ASCII (RFC 5322, section 3.2.3).
func isDotAtom(s string) bool {
	dot := true // none at the start, none after another
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '.' && dot || c != '.' && !tagvalue.IsAlphanumeric(c) && strings.IndexByte("!#$%&'*+-/=?^_`{|}~", c) < 0 {
			return false
		}
		dot = c == '.'
	}
	return !dot
}

// isURIText reports whether s holds only characters that a URI may hold, and each
// "%" begins an encoded octet (RFC 3986, section 2).
func isURIText(s string) bool {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case tagvalue.IsAlphanumeric(c), strings.IndexByte("-._~:/?#[]@!$&'()*+,;=", c) >= 0:
		case c != '%' || i+2 >= len(s) || hexValue(s[i+1]) < 0 || hexValue(s[i+2]) < 0:
			return false
		}
	}
	return s != ""
}

// percentDecode decodes a text of which isURIText is true.
func percentDecode(s string) string {
	if strings.IndexByte(s, '%') < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '%' {
			c = byte(hexValue(s[i+1])<<4 | hexValue(s[i+2]))
			i += 2
		}
		b = append(b, c)
	}
	return string(b)
}

func hexValue(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	}
	return -1
}
