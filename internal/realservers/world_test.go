//go:build linux

package realservers

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/strictmx/strictmx/mtasts"
	"github.com/strictmx/strictmx/outbound"
	"github.com/strictmx/strictmx/strictmxtest"
	"github.com/strictmx/strictmx/tlsrpt"
)

// host is an MX host that a server plays, each on its own address.
type host struct {
	name string
	ip   string
	cert tls.Certificate // zero: no STARTTLS
}

// The MX hosts, by what is wrong with them, and the modes of the domains: each
// host has a domain for each mode, such as enforce.expired.test.
var (
	kinds = []string{"good", "expired", "misnamed", "selfsigned", "clear"}
	modes = []string{"enforce", "testing", "absent"} // absent: no policy at all
)

// world is DNS, policies and certificates.
type world struct {
	*strictmxtest.World
	hosts []host
}

func newWorld(t *testing.T) *world {
	w := &world{World: strictmxtest.New(t)}
	faults := map[string]strictmxtest.Certificate{
		"good": strictmxtest.Good, "expired": strictmxtest.Expired,
		"misnamed": strictmxtest.Misnamed, "selfsigned": strictmxtest.SelfSigned,
	}
	for i, kind := range kinds {
		h := host{name: "mx." + kind + ".test", ip: net.IPv4(127, 77, 0, byte(i+1)).String()}
		if fault, ok := faults[kind]; ok {
			h.cert = w.Issue(fault, h.name)
		}
		w.hosts = append(w.hosts, h)
		w.DNS.Set(h.name + ". IN A " + h.ip)
		for _, mode := range modes {
			domain := mode + "." + kind + ".test"
			w.DNS.Set(domain + ". IN MX 10 " + h.name + ".")
			if mode != "absent" {
				w.Domain(domain).Policy(strictmxtest.PolicyText(mode, h.name))
			}
		}
	}
	return w
}

// sender is one that holds itself to the policies, and what it did.
type sender struct {
	outbound.Dialer
	server *server

	mu      sync.Mutex // guards what follows
	events  []tlsrpt.Event
	clients []string // our end of each connection, in order
}

func (w *world) sender(t *testing.T, s *server) *sender {
	policies := &mtasts.Client{Resolver: w.Resolver(), Transport: w.Transport()}
	t.Cleanup(func() { policies.Close() })
	v := &sender{server: s}
	s.since = len(s.read())
	v.Enforcer = &outbound.Enforcer{
		MTASTS: policies, Observer: v, LocalName: "out.sender.test",
		TLSConfig: &tls.Config{RootCAs: w.Roots()},
	}
	v.Resolver, v.Port, v.DialContext, v.Timeout = w.Resolver(), s.port, v.dial, patience
	return v
}

// Observe notes an event.
func (v *sender) Observe(e tlsrpt.Event) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.events = append(v.events, e)
}

func (v *sender) dial(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, network, address)
	if err == nil {
		v.mu.Lock()
		v.clients = append(v.clients, c.LocalAddr().String())
		v.mu.Unlock()
	}
	return c, err
}

// told is what the one event says: the policy's type, the failures' types and
// reasons, and the server's name.
func (v *sender) told(t *testing.T) string {
	t.Helper()
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.events) != 1 || len(v.events[0].Outcomes) != 1 {
		t.Fatalf("%d events, want 1 of 1 policy: %+v", len(v.events), v.events)
	}
	e := v.events[0]
	if e.HELO != v.server.name {
		t.Errorf("the event calls the server %q, want %q", e.HELO, v.server.name)
	}
	told := string(e.Outcomes[0].Policy.Type) + ":"
	for _, f := range e.Outcomes[0].Failures {
		told += " " + f.String()
	}
	return strings.TrimSuffix(told, ":")
}

// connections returns our end of each connection so far.
func (v *sender) connections() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.clients)
}

// pemOf is a certificate with its chain and key, the key first, as both servers
// read it.
func pemOf(t *testing.T, c tls.Certificate) string {
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	out := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})
	for _, der := range c.Certificate {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	return string(out)
}
