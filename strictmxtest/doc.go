// Package strictmxtest is a mail world on loopback, to test against: it is to
// mail what [net/http/httptest] is to the web.
//
// Whoever writes the sending side of mail wants to know what it does when a
// domain's policy host is down, when somebody strips STARTTLS, when a
// certificate expired an hour ago. The real world does these things rarely and
// never when asked. This one does them to order, on sockets, in a millisecond,
// and leaves nothing behind.
//
// A [World] has a name server for all zones, a certificate authority, the policy
// hosts (RFC 8461, section 3.3) of any number of domains, MX hosts that speak ESMTP
// with STARTTLS and keep what they receive, and HTTPS servers that take TLS reports
// (RFC 8460):
//
//	w := strictmxtest.New(t)
//	w.Domain("example.com").
//		MX("mx1.example.com", "mx2.example.com").
//		Policy(strictmxtest.PolicyText("enforce", "*.example.com"))
//	w.MX("mx1.example.com").Fault(strictmxtest.NoSTARTTLS)
//
//	send(w.Resolver(), w.Transport(), w.DialContext, w.Roots()) // what you test
//
//	got := w.MX("mx2.example.com").Messages() // one message, with the TLS it came through
//
// # Plugging in
//
// Ports 25, 53 and 443 are not for tests to bind, so a client reaches the world
// through what it hands out: [World.Resolver] or [World.NetResolver] for names,
// [World.Transport] for HTTPS, [World.DialContext] for everything, [World.Roots]
// for trust. A client that can be told a port, but no dial function, uses
// [World.Port]: each MX host has an address of its own, so they share one. This
// library's own sender takes all of it like this:
//
//	&outbound.Dialer{
//		Enforcer: &outbound.Enforcer{
//			MTASTS:    &mtasts.Client{Resolver: w.Resolver(), Transport: w.Transport()},
//			TLSConfig: &tls.Config{RootCAs: w.Roots()},
//		},
//		Resolver:    w.Resolver(),
//		DialContext: w.DialContext,
//	}
//
// A sender that lacks the Transport fetches no policy, and delivers as though the
// domain had none: test that a bad host is refused, not only that a good one is used.
//
// # Faults
//
// A fault is a value, set on a server by its Fault method, whenever you like,
// and lifted by [None]. There are three kinds: [DNSFault] for a name and a type,
// [PolicyFault] for a domain, [MXFault] for an MX host. A [Certificate] is set
// apart from them. Each kind has a function that returns all it knows, so that
// a test can walk them: [DNSFaults], [PolicyFaults], [MXFaults], [Certificates].
//
// What the servers saw is there to be asked: [DNS.Queries], [Domain.Requests],
// [MX.Sessions], [MX.Messages], [ReportHost.Posts]; and [World.Log] tells it as one story, which a
// test that fails prints by itself.
package strictmxtest
