package outbound

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/strictmx/strictmx/mtasts"
	"github.com/strictmx/strictmx/resolver"
)

// world is DNS and MX hosts in memory, and a Dialer to walk them.
type world struct {
	Dialer
	policies lockedPolicies
	events   events

	mu      sync.Mutex // guards what follows
	mx      map[string]resolver.Answer[resolver.MX]
	addrs   map[string]resolver.Answer[netip.Addr]
	errs    map[string]error // by "MX name" or "A name"
	hosts   map[string]*server
	queries []string // "MX example.com"
	dialled []string // "8.8.4.1:25"
	wg      sync.WaitGroup
}

// newWorld is a world in which result holds for example.com.
func newWorld(t *testing.T, result mtasts.Result) *world {
	result.Domain = "example.com"
	w := &world{
		mx:    map[string]resolver.Answer[resolver.MX]{},
		addrs: map[string]resolver.Answer[netip.Addr]{},
		errs:  map[string]error{},
		hosts: map[string]*server{},
	}
	w.policies.known = map[string]mtasts.Result{"example.com": result}
	w.policies.refreshed = map[string]mtasts.Result{"example.com": result}
	w.Resolver, w.DialContext = w, w.dial
	w.Enforcer = &Enforcer{
		MTASTS: &w.policies, Observer: &w.events, LocalName: "out.sender.test",
		TLSConfig: &tls.Config{RootCAs: trusted().pool},
	}
	t.Cleanup(w.wg.Wait)
	return w
}

// publish adds MX records: "10 mx.example.com" or, for a null MX, "0 .".
func (w *world) publish(domain string, mxs ...resolver.MX) {
	w.mx[domain] = resolver.Answer[resolver.MX]{Records: mxs}
}

// host makes an MX host with a good certificate and an address for each of addrs.
func (w *world) host(name string, addrs ...string) *server {
	return w.serve(name, &server{name: name, cert: issue(name, good)}, addrs...)
}

func (w *world) serve(name string, s *server, addrs ...string) *server {
	ans := w.addrs[name]
	for _, a := range addrs {
		ip := netip.MustParseAddr(a)
		ans.Records = append(ans.Records, ip)
		w.hosts[net.JoinHostPort(a, "25")] = s
	}
	w.addrs[name] = ans
	return s
}

func (w *world) MX(_ context.Context, name string) (resolver.Answer[resolver.MX], error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queries = append(w.queries, "MX "+name)
	return w.mx[name], w.errs["MX "+name]
}

func (w *world) Addr(_ context.Context, name string) (resolver.Answer[netip.Addr], error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queries = append(w.queries, "A "+name)
	return w.addrs[name], w.errs["A "+name]
}

var errConnRefused = errors.New("connection refused")

func (w *world) dial(_ context.Context, _, address string) (net.Conn, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dialled = append(w.dialled, address)
	s := w.hosts[address]
	if s == nil {
		return nil, errConnRefused
	}
	client, end := pipe()
	w.wg.Go(func() {
		defer end.Close()
		s.serve(end)
	})
	return client, nil
}

// server is an MX host that answers as told. Its zero value has no TLS.
type server struct {
	name string
	cert tls.Certificate
	// offers are the keywords of the EHLO reply inside TLS, or in clear where there
	// is none.
	offers []string
	// says has replies by verb or by command, "RCPT TO:<b@example.com>"; verbs
	// beyond SMTP's are "connect" and, for the end of the message, "."; "" hangs up,
	// and "silence" says nothing more.
	says map[string]string

	mu       sync.Mutex
	commands []string
	mail     []string
}

func (s *server) serve(conn net.Conn) {
	in := &talker{conn: conn, r: bufio.NewReader(conn), s: s}
	if !in.say("connect", "220 mx ESMTP") {
		return
	}
	for {
		line, err := in.r.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimSuffix(line, "\r\n")
		s.mu.Lock()
		s.commands = append(s.commands, line)
		s.mu.Unlock()
		if !in.answer(line) {
			return
		}
	}
}

type talker struct {
	s    *server
	conn net.Conn
	r    *bufio.Reader
	tls  bool
}

// say sends the reply that was ordered, or that one.
func (t *talker) say(verb, otherwise string) bool {
	reply, ordered := t.s.says[verb]
	switch {
	case !ordered:
		reply = otherwise
	case reply == "":
		return false
	case reply == "silence":
		t.r.ReadByte()
		return false
	}
	t.conn.Write([]byte(reply + "\r\n"))
	return reply[0] != '4' || !strings.HasPrefix(reply, "421")
}

func (t *talker) answer(line string) bool {
	verb, _, _ := strings.Cut(strings.ToUpper(line), " ")
	if _, ok := t.s.says[line]; ok {
		return t.say(line, "")
	}
	switch verb {
	case "EHLO":
		offers := t.s.offers
		if !t.tls && t.s.cert.Certificate != nil {
			offers = []string{"STARTTLS"}
		}
		return t.say("EHLO", "250"+strings.Join(append([]string{"-" + t.s.name}, offers...), "\r\n250-")+"\r\n250 HELP")
	case "STARTTLS":
		if !t.say(verb, "220 go") {
			return false
		}
		tc := tls.Server(t.conn, &tls.Config{Certificates: []tls.Certificate{t.s.cert}})
		if tc.Handshake() != nil {
			return false
		}
		t.conn, t.r, t.tls = tc, bufio.NewReader(tc), true
	case "DATA":
		if _, ok := t.s.says["DATA"]; ok {
			return t.say("DATA", "")
		}
		t.say("", "354 go on")
		body, ok := readBody(t.r)
		if !ok {
			return false
		}
		t.s.mu.Lock()
		t.s.mail = append(t.s.mail, body+".\r\n")
		t.s.mu.Unlock()
		return t.say(".", "250 2.0.0 queued as 7")
	case "QUIT":
		t.say(verb, "221 bye")
		return false
	default:
		return t.say(verb, "250 ok")
	}
	return true
}

// heard returns the commands that begin so.
func (s *server) heard(prefix string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.commands), func(c string) bool { return !strings.HasPrefix(c, prefix) })
}

func (s *server) got() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.mail)
}

// asked returns the DNS queries and the policy lookups so far.
func (w *world) asked() (dns, sts []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.policies.mu.Lock()
	defer w.policies.mu.Unlock()
	return slices.Clone(w.queries), slices.Clone(w.policies.asked)
}

// lockedPolicies is for deliveries to several domains at once.
type lockedPolicies struct {
	policies
	mu sync.Mutex
}

func (p *lockedPolicies) Lookup(ctx context.Context, domain string) (mtasts.Result, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.policies.Lookup(ctx, domain)
}

func (p *lockedPolicies) Refresh(ctx context.Context, domain string) (mtasts.Result, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, "refresh "+domain)
	return p.policies.Refresh(ctx, domain)
}

// fail makes every lookup from now on fail.
func (p *lockedPolicies) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = err
}

// answer is an answer with these addresses.
func answer(addrs ...string) (a resolver.Answer[netip.Addr]) {
	for _, s := range addrs {
		a.Records = append(a.Records, netip.MustParseAddr(s))
	}
	return a
}

func mx(preference uint16, host string) resolver.MX {
	return resolver.MX{Preference: preference, Host: host}
}
