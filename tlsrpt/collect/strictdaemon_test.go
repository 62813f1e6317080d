package collect

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/strictmx/strictmx/internal/dnsname"
	"github.com/strictmx/strictmx/tlsrpt"
)

// What the collector daemon reads in a datagram.
type told struct {
	domain, record string
	policies       []toldPolicy
}

type toldPolicy struct {
	typ             int
	domain          string
	strings, hosts  []string
	details         []toldDetail
	count, failures int // t and f
}

type toldDetail struct {
	code                                             int
	sendingIP, host, helo, receivingIP, info, reason string
}

// readDatagram reads a datagram as the daemon does, and takes offence at whatever
// the daemon would, or would count under another policy: an unusual order of the
// members, blanks, invalid UTF-8, empty lists and strings, and a record whose
// URIs it would not find.
func readDatagram(b []byte) (d told, err error) {
	r := &strictReader{rest: string(b)}
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%v, before %.80q", v, r.rest)
		}
	}()
	if !utf8.Valid(b) {
		panic("not UTF-8")
	}
	r.must(`{"dpv":"1","d":`)
	d.domain = r.name()
	r.must(`,"pr":`)
	d.record = r.record()
	r.must(`,"policies":[`)
	for {
		d.policies = append(d.policies, r.policy())
		if !r.next(",") {
			break
		}
	}
	r.must(`]}`)
	if r.rest != "" {
		panic("something follows")
	}
	return d, nil
}

type strictReader struct{ rest string }

func (r *strictReader) next(text string) (ok bool) {
	r.rest, ok = strings.CutPrefix(r.rest, text)
	return ok
}

func (r *strictReader) must(text string) {
	if !r.next(text) {
		panic("want " + text)
	}
}

// text reads a string that is not empty and holds nothing to escape but quotes
// and backslashes.
func (r *strictReader) text() string {
	r.must(`"`)
	var b strings.Builder
	for {
		c, n := utf8.DecodeRuneInString(r.rest)
		r.rest = r.rest[n:]
		switch {
		case c == '"' && b.Len() > 0:
			return b.String()
		case c == '"', n == 0, c < ' ', 0x7f <= c && c < 0xa0:
			panic("a string that is empty, cut or holds a control character")
		case c == '\\':
			if c, n = utf8.DecodeRuneInString(r.rest); c != '"' && c != '\\' {
				panic("an escape that is not needed")
			}
			r.rest = r.rest[n:]
		}
		b.WriteRune(c)
	}
}

func (r *strictReader) name() string {
	s := r.text()
	if name, err := dnsname.Host(s); err != nil || name != s {
		panic("no canonical name: " + s)
	}
	return s
}

// host is a name or an address literal.
func (r *strictReader) host() string {
	s := r.text()
	if (tlsrpt.FailureDetail{HELO: s}).Clean().HELO != s {
		panic("no host: " + s)
	}
	return s
}

func (r *strictReader) ip() string {
	s := r.text()
	if a, err := netip.ParseAddr(s); err != nil || a.String() != s || a.Zone() != "" || a.Is4In6() {
		panic("no address: " + s)
	}
	return s
}

// record reads a record as the daemon does: the version, at once the rua, and
// commas without blanks.
func (r *strictReader) record() string {
	s := r.text()
	fields := strings.Split(s, ";")
	uris, ok := strings.CutPrefix(fields[1], "rua=")
	if fields[0] != "v=TLSRPTv1" || !ok {
		panic("a record in which the daemon finds no rua: " + s)
	}
	for _, uri := range strings.Split(uris, ",") {
		address, mail := tlsrpt.Mailbox(uri)
		if !strings.HasPrefix(uri, "https://") && (!mail || address == "") {
			panic("no URI: " + uri)
		}
	}
	return s
}

func (r *strictReader) number() int {
	n := 0
	for n < len(r.rest) && '0' <= r.rest[n] && r.rest[n] <= '9' {
		n++
	}
	v, err := strconv.Atoi(r.rest[:n])
	if err != nil || strconv.Itoa(v) != r.rest[:n] {
		panic("no number")
	}
	r.rest = r.rest[n:]
	return v
}

func (r *strictReader) list(head string) (texts []string) {
	if !r.next(head) {
		return nil
	}
	for {
		texts = append(texts, r.text())
		if !r.next(",") {
			break
		}
	}
	r.must("]")
	return texts
}

func (r *strictReader) policy() (p toldPolicy) {
	r.must(`{"policy-type":`)
	if p.typ = r.number(); p.typ != 1 && p.typ != 2 && p.typ != 9 {
		panic("no policy type")
	}
	r.must(`,"policy-domain":`)
	p.domain = r.name()
	p.strings = r.list(`,"policy-string":[`)
	p.hosts = r.list(`,"mx-host":[`)
	if r.next(`,"failure-details":[`) {
		for {
			p.details = append(p.details, r.detail())
			if !r.next(",") {
				break
			}
		}
		r.must("]")
	}
	r.must(`,"t":`)
	p.count = r.number()
	r.must(`,"f":`)
	p.failures = r.number()
	r.must("}")
	if p.count != len(p.details) || p.failures > 1 || (p.failures == 1) != (p.count > 0) {
		panic(fmt.Sprintf("%d details, t is %d and f %d", len(p.details), p.count, p.failures))
	}
	return p
}

func (r *strictReader) detail() (d toldDetail) {
	r.must(`{"c":`)
	d.code = r.number()
	if (d.code < 201 || d.code > 205) && (d.code < 301 || d.code > 306) {
		panic("no result type")
	}
	for _, member := range []struct {
		head  string
		value *string
		read  func() string
	}{
		{`,"s":`, &d.sendingIP, r.ip}, {`,"n":`, &d.host, r.host}, {`,"h":`, &d.helo, r.host},
		{`,"r":`, &d.receivingIP, r.ip}, {`,"a":`, &d.info, r.text}, {`,"f":`, &d.reason, r.text},
	} {
		if r.next(member.head) {
			*member.value = member.read()
		}
	}
	r.must("}")
	return d
}
