// Package collect counts TLS sessions and tells the domains concerned.
//
// Whoever sends mail sees faults that the owner of the recipient domain cannot
// see. TLS-RPT (RFC 8460) is how to tell: once a day, for each domain that asks
// for it, how many sessions its policies approved and how many failed, and why.
//
// The promise of the library to a mail server is the [tlsrpt.Observer]: it is
// told of every session in plain values, to batch and to send as it likes.
// This package is for those who would rather not. It is ready to use, and
// optional: nothing else in the library needs it.
//
// A [Collector] counts. It is an Observer: give it to whatever makes events. It
// keeps its counts in memory, which is bounded against hostile hosts and junk
// domains, and what finds no room is itself counted. What it holds when the process
// ends is in no report: a server that restarts often is better off with a Datagram.
//
// A [Reporter] sends what was counted, after each UTC day, to every destination
// that a domain's record names. It posts over HTTPS by itself, and hands mail to
// a function of yours, which signs and queues it. It tries again for a day where
// a destination fails, sends nothing early and nothing twice, and lets nobody aim
// reports at your own network or flood a stranger's:
//
//	c := &collect.Collector{Resolver: dns}
//	r := &collect.Reporter{
//		Collector: c,
//		Submitter: tlsrpt.Submitter{Organization: "Example Mail", Contact: "tls@mail.example"},
//		Resolver:  dns,
//		Send:      signAndQueue, // func(context.Context, collect.Mail) error
//	}
//	go func() { log.Print(r.Run(ctx)) }() // at once if a field is wrong; it runs the Collector, too
//	enforcer := &outbound.Enforcer{Observer: c}
//
// On shutdown, end the deliveries, then ctx, wait for Run, and only then close what
// Send uses. To see a report at once, observe an Event of 36 hours ago and set Jitter
// to a nanosecond, as the example of Reporter does; package strictmxtest has a
// ReportHost to post to.
//
// A [Datagram] is for those who run the collector daemon that Postfix uses, and
// leave counting and reports to that:
//
//	d := &collect.Datagram{Path: "/run/tlsrpt/collectd.sock"}
//	go d.Run(ctx)
//	enforcer := &outbound.Enforcer{Observer: d}
//
// Everything here follows the same rules. Observe does no I/O and waits for
// nobody. A Run does the work until its context ends. Names, addresses and
// texts come from strangers, and are cleaned and bounded before they go
// anywhere (RFC 8460, section 7).
package collect
