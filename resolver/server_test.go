package resolver

import (
	"net"
	"sync"
	"testing"

	"github.com/miekg/dns"
)

// testServer is a DNS server on loopback, over UDP and TCP with one port. It
// remembers what it was asked.
type testServer struct {
	addr string

	mu      sync.Mutex // guards queries
	queries []string   // "udp example.com. TXT"
}

// handler changes an empty reply to req. network is "udp" or "tcp".
type handler func(network string, req, reply *dns.Msg)

func startServer(t testing.TB, h handler) *testServer {
	t.Helper()
	s := &testServer{}
	udp, tcp := listenBoth(t)
	s.addr = udp.LocalAddr().String()
	serve := func(network string) dns.HandlerFunc {
		return func(w dns.ResponseWriter, req *dns.Msg) {
			s.mu.Lock()
			s.queries = append(s.queries, network+" "+req.Question[0].Name+" "+dns.TypeToString[req.Question[0].Qtype])
			s.mu.Unlock()
			reply := new(dns.Msg).SetReply(req)
			reply.RecursionAvailable = true
			if req.IsEdns0() != nil {
				reply.SetEdns0(udpSize, false)
			}
			if h(network, req, reply); reply.Id == req.Id {
				w.WriteMsg(reply)
			}
		}
	}
	for _, srv := range []*dns.Server{
		{PacketConn: udp, Handler: serve("udp")},
		{Listener: tcp, Handler: serve("tcp")},
	} {
		started := make(chan struct{})
		srv.NotifyStartedFunc = func() { close(started) }
		go srv.ActivateAndServe()
		<-started
		t.Cleanup(func() { srv.Shutdown() })
	}
	return s
}

// listenBoth finds a port that is free for UDP and TCP.
func listenBoth(t testing.TB) (net.PacketConn, net.Listener) {
	t.Helper()
	for range 20 {
		tcp, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		udp, err := net.ListenPacket("udp", tcp.Addr().String())
		if err == nil {
			return udp, tcp
		}
		tcp.Close()
	}
	t.Fatal("no port is free for both UDP and TCP")
	return nil, nil
}

// asked returns the queries so far.
func (s *testServer) asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.queries...)
}

// drop says that no reply is sent.
func drop(reply *dns.Msg) { reply.Id++ }

// zone answers from records in zone file form, as a recursive resolver does:
// with the CNAME chain in one reply.
func zone(t testing.TB, text ...string) handler {
	t.Helper()
	var rrs []dns.RR
	for _, s := range text {
		rr, err := dns.NewRR(s)
		if err != nil {
			t.Fatalf("%s: %v", s, err)
		}
		rrs = append(rrs, rr)
	}
	return func(_ string, req, reply *dns.Msg) {
		name, qtype := dns.CanonicalName(req.Question[0].Name), req.Question[0].Qtype
		for range 20 {
			var links []dns.RR
			exists := false
			for _, rr := range rrs {
				if dns.CanonicalName(rr.Header().Name) != name {
					continue
				}
				exists = true
				switch rr.Header().Rrtype {
				case qtype:
					reply.Answer = append(reply.Answer, rr)
				case dns.TypeCNAME:
					links = append(links, rr)
				}
			}
			if len(links) > 0 && qtype != dns.TypeCNAME {
				reply.Answer = append(reply.Answer, links...)
				name = dns.CanonicalName(links[0].(*dns.CNAME).Target)
				continue
			}
			if !exists {
				reply.Rcode = dns.RcodeNameError
			}
			break
		}
		for _, rr := range rrs {
			if soa, ok := rr.(*dns.SOA); ok && dns.IsSubDomain(soa.Hdr.Name, name) {
				reply.Ns = append(reply.Ns, soa)
			}
		}
	}
}
