package strictmxtest

import (
	"crypto/tls"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
)

// Domain is a recipient domain: its MX records, and its MTA-STS policy with the
// part of the policy host that serves it. Its setters return it, to be chained.
type Domain struct {
	w    *World
	name string
	addr netip.Addr // of its policy host: each has one, all lead to one server

	mu       sync.Mutex // guards what follows
	site     site
	conns    int
	requests []Request
}

// site is what the policy host serves for one domain. A connection keeps the
// one that it found.
type site struct {
	text   string
	absent bool // there is no text
	header http.Header
	fault  PolicyFault
	cert   Certificate
	own    *tls.Certificate // instead of cert
}

func newDomain(w *World, name string, addr netip.Addr) *Domain {
	soa := defaultSOA(name + ".")
	w.DNS.Set(soa.String())
	return &Domain{w: w, name: name, addr: addr, site: site{absent: true}}
}

// PolicyText returns the text of a policy that holds for a week: mode is
// "enforce", "testing" or "none", mx are the patterns.
func PolicyText(mode string, mx ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "version: STSv1\r\nmode: %s\r\n", mode)
	for _, pattern := range mx {
		fmt.Fprintf(&b, "mx: %s\r\n", pattern)
	}
	b.WriteString("max_age: 604800\r\n")
	return b.String()
}

func cutPolicyHost(name string) (domain string, ok bool) {
	return strings.CutPrefix(strings.TrimSuffix(strings.ToLower(name), "."), "mta-sts.")
}

// Name is the domain in A-labels.
func (d *Domain) Name() string { return d.name }

// MX publishes MX records for hosts in this order, with preference 10, 20, ...,
// and makes the hosts that do not exist yet. They replace those published before.
func (d *Domain) MX(hosts ...string) *Domain {
	d.w.DNS.Remove(d.name, "MX")
	for i, host := range hosts {
		d.w.DNS.Add(fmt.Sprintf("%s. IN MX %d %s.", d.name, 10*(i+1), d.w.MX(host).Name()))
	}
	return d
}

// Policy publishes a policy: text on the policy host, and a record with an id
// that was never used before.
func (d *Domain) Policy(text string) *Domain {
	d.w.mu.Lock()
	d.w.ids++
	id := fmt.Sprintf("id%d", d.w.ids)
	d.w.mu.Unlock()
	return d.PolicyText(text).PolicyID(id)
}

// PolicyText changes what the policy host serves and leaves the record alone. The
// first call also publishes the host's address, unless its name has records.
func (d *Domain) PolicyText(text string) *Domain {
	d.change(func(s *site) { s.text, s.absent = text, false })
	d.w.DNS.publish(fmt.Sprintf("mta-sts.%s. IN A %s", d.name, d.addr))
	return d
}

// PolicyID publishes a record with this id and leaves the text alone.
func (d *Domain) PolicyID(id string) *Domain {
	d.w.DNS.Set(fmt.Sprintf("_mta-sts.%s. IN TXT %q", d.name, "v=STSv1; id="+id+";"))
	return d
}

// RemoveRecord takes the record away and leaves the text alone.
func (d *Domain) RemoveRecord() *Domain {
	d.w.DNS.Remove("_mta-sts."+d.name, "TXT")
	return d
}

// TLSRPT publishes a TLS-RPT record that asks for reports at these URIs (RFC 8460,
// section 3), such as "mailto:tls@example.com" or [ReportHost.URL]; without any, it
// takes the record away. Others than this one are for [DNS.Set] and [DNS.Fault], at
// "_smtp._tls." and the domain's name.
func (d *Domain) TLSRPT(rua ...string) *Domain {
	name := "_smtp._tls." + d.name
	if len(rua) == 0 {
		d.w.DNS.Remove(name, "TXT")
		return d
	}
	d.w.DNS.Set(fmt.Sprintf("%s. IN TXT %q", name, "v=TLSRPTv1; rua="+strings.Join(rua, ",")))
	return d
}

// RemoveText makes the policy host answer 404 and leaves the record alone.
func (d *Domain) RemoveText() *Domain {
	return d.change(func(s *site) { s.text, s.absent = "", true })
}

// Header adds a field to the replies of the policy host; "Content-Type" and
// "Content-Length" replace the usual one. An empty value drops the field.
func (d *Domain) Header(key, value string) *Domain {
	return d.change(func(s *site) {
		s.header = maps.Clone(s.header) // connections hold the old one
		if s.header == nil {
			s.header = http.Header{}
		}
		s.header.Set(key, value)
	})
}

// Fault orders a fault of the policy host for this domain; [None] lifts it.
func (d *Domain) Fault(f PolicyFault) *Domain {
	return d.change(func(s *site) { s.fault = f })
}

// Certificate says what the policy host presents for this domain.
func (d *Domain) Certificate(c Certificate) *Domain {
	return d.change(func(s *site) { s.cert, s.own = c, nil })
}

// Present makes the policy host present a certificate of your own making.
func (d *Domain) Present(cert tls.Certificate) *Domain {
	return d.change(func(s *site) { s.own = &cert })
}

func (d *Domain) change(f func(*site)) *Domain {
	d.mu.Lock()
	defer d.mu.Unlock()
	f(&d.site)
	return d
}

// Requests returns the requests for this domain so far, in order; those under
// another path as well.
func (d *Domain) Requests() []Request {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.requests)
}

// Redirected returns how many requests followed a [Redirect].
func (d *Domain) Redirected() int {
	n := 0
	for _, r := range d.Requests() {
		if r.URI == redirectedPath {
			n++
		}
	}
	return n
}

// Connections returns how many TLS connections asked for the domain's policy
// host, those included that failed before a request.
func (d *Domain) Connections() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.conns
}

func (d *Domain) forget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.conns, d.requests = 0, nil
}

// endpoint: every policy host's address leads to the one server.
func (d *Domain) endpoint(port uint16) (netip.AddrPort, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.w.PolicyHost.listener.address(), port == 443 && d.site.fault != Unreachable
}
