package strictmxtest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"

	"github.com/strictmx/strictmx/internal/dnsname"
)

// World is a small internet for mail on the loopback addresses of this machine.
// Make one with [New] or [Start]. All of its methods, and those of what it
// holds, are safe for concurrent use; what they set counts from the next query,
// request or connection on.
type World struct {
	// DNS is the name server that knows every zone.
	DNS *DNS
	// PolicyHost is the web server behind every "mta-sts." name.
	PolicyHost *PolicyHost

	tb      testing.TB // nil in a world that Start made
	ca      *authority
	journal *journal
	tickets [32]byte       // one key for all TLS servers, so that sessions resume whatever was switched meanwhile
	port    uint16         // where every MX host listens
	done    chan struct{}  // closed by Close
	group   sync.WaitGroup // every goroutine of the world

	mu      sync.Mutex // guards what follows
	closed  bool
	last    netip.Addr // the address given out last
	ids     int        // policy ids given out
	domains map[string]*Domain
	hosts   map[string]*MX
	reports map[string]*ReportHost
	addrs   map[netip.Addr]endpoint
}

// endpoint says where a port of one of the world's addresses really listens;
// ok is false where a connection is refused.
type endpoint interface {
	endpoint(port uint16) (real netip.AddrPort, ok bool)
}

// New starts a world that lives as long as the test. What goes wrong in it, such
// as a record that does not parse, fails the test; and if the test fails, the
// world logs what it saw.
func New(tb testing.TB) *World {
	tb.Helper()
	w, err := Start()
	if err != nil {
		tb.Fatal(err)
	}
	w.tb = tb
	tb.Cleanup(func() {
		w.Close()
		if tb.Failed() {
			tb.Logf("what the world saw:\n%s", w.Log())
		}
	})
	return w
}

// Start starts a world for a program, which must Close it. Mistakes in what
// such a world is told, such as a record that does not parse, panic.
func Start() (*World, error) {
	w := &World{
		journal: newJournal(),
		done:    make(chan struct{}),
		domains: map[string]*Domain{},
		hosts:   map[string]*MX{},
		reports: map[string]*ReportHost{},
		addrs:   map[netip.Addr]endpoint{},
		// Worlds in parallel tests start at different addresses; where they meet
		// all the same, a taken port is passed over.
		last: netip.AddrFrom4([4]byte{127, byte(1 + rand.N(200)), byte(rand.N(256)), byte(rand.N(200))}),
	}
	for i := range w.tickets {
		w.tickets[i] = byte(rand.N(256))
	}
	var err error
	if w.ca, err = newAuthority(); err != nil {
		return nil, fmt.Errorf("strictmxtest: certificate authority: %w", err)
	}
	w.DNS, err = newDNS(w)
	if err == nil {
		w.PolicyHost, err = newPolicyHost(w)
	}
	if err == nil {
		err = w.choosePort()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("strictmxtest: %w", err), w.Close())
	}
	return w, nil
}

// choosePort finds the port for all MX hosts: each has an address of its own, so
// one number can serve them all.
func (w *World) choosePort() error {
	l, err := listen(w.address(), 0)
	if err != nil {
		return err
	}
	w.port = addrPort(l.Addr()).Port()
	return l.Close()
}

// Close ends the world: every socket is closed, and when it returns no goroutine
// of the world is left. It may be called more than once.
func (w *World) Close() error {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return nil
	}
	w.closed = true
	close(w.done)
	hosts, reports := w.hosts, w.reports // none is added to a closed world
	w.mu.Unlock()

	if w.DNS != nil {
		w.DNS.close()
	}
	if w.PolicyHost != nil {
		w.PolicyHost.listener.close()
	}
	for _, m := range hosts {
		m.plain.close()
		m.implicit.close()
	}
	for _, h := range reports {
		h.listener.close()
	}
	w.group.Wait()
	return nil
}

// Port is the port on which every MX host listens, each on its own address, for
// a client that takes a port and no dial function. On a system that has no
// loopback address but 127.0.0.1, the hosts have different ports, and only
// [World.DialContext] finds them.
func (w *World) Port() int { return int(w.port) }

// Log tells what happened lately, a line for each query, request, command and
// reply, in order.
func (w *World) Log() string { return w.journal.String() }

// Forget clears the log, the counts and all that was received, and keeps the
// world as it is: for benchmarks, and between the phases of a long test.
func (w *World) Forget() {
	w.journal.reset()
	w.DNS.forget()
	w.PolicyHost.forget()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range w.hosts {
		m.forget()
	}
	for _, h := range w.reports {
		h.forget()
	}
}

// Domain returns the recipient domain of that name, which may be in Unicode. The
// first call makes it: a zone without records, no MX and no policy.
func (w *World) Domain(name string) *Domain {
	canonical, err := dnsname.Domain(name)
	if err != nil {
		w.helper()()
		w.fail("domain %q: %v", name, err)
		canonical = "invalid.invalid"
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if d := w.domains[canonical]; d != nil {
		return d
	}
	d := newDomain(w, canonical, w.nextAddress())
	w.domains[canonical] = d
	w.addrs[d.addr] = d
	return d
}

// MX returns the MX host of that name, which may be in Unicode. The first call
// makes it: an address of its own in DNS, a server there, a good certificate.
func (w *World) MX(name string) *MX {
	canonical, err := dnsname.Host(name)
	if err != nil {
		w.helper()()
		w.fail("MX host %q: %v", name, err)
		canonical = "invalid.invalid"
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if m := w.hosts[canonical]; m != nil {
		return m
	}
	m := newMX(w, canonical)
	if w.closed {
		return m // refuses connections
	}
	if err := m.start(); err != nil {
		w.helper()()
		w.fail("MX host %s: %v", canonical, err)
	}
	w.hosts[canonical] = m
	w.addrs[m.addr] = m
	return m
}

// domain returns the domain behind a policy host's name, or nil.
func (w *World) domain(policyHost string) *Domain {
	name, ok := cutPolicyHost(policyHost)
	if !ok {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.domains[name]
}

// address gives out a loopback address that the world has not used yet.
func (w *World) address() netip.Addr {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.nextAddress()
}

// nextAddress is address for callers that hold mu.
func (w *World) nextAddress() netip.Addr {
	for {
		w.last = w.last.Next()
		if b := w.last.As4(); b[3] != 0 && b[3] != 255 { // some systems treat them as broadcast
			return w.last
		}
	}
}

// fail reports a mistake of the caller: it fails the test, from any goroutine,
// or panics where there is none.
func (w *World) fail(format string, args ...any) {
	if w.tb == nil {
		panic("strictmxtest: " + fmt.Sprintf(format, args...))
	}
	w.helper()()
	w.tb.Errorf("strictmxtest: "+format, args...)
}

func (w *World) helper() func() {
	if w.tb == nil {
		return func() {}
	}
	return w.tb.Helper
}
