// Package strictmx is the sending side of strict transport security for mail. It
// holds no code; this page explains the packages beside it.
//
// # The attack
//
// Mail servers encrypt when both sides say they can: the receiving one offers
// STARTTLS, in clear. Whoever sits on the path cuts that line out, and the
// message follows in clear. Or they answer the DNS query for the domain's mail
// hosts with a host of their own, and no certificate gives them away, since nobody
// said what name it should carry.
//
// # What a domain can do about it
//
// With MTA-STS (RFC 8461) a domain publishes a policy over HTTPS, where a
// certificate proves who speaks: these are my mail hosts, do not deliver to a host
// that cannot prove its name over TLS, and remember this for so many days. A TXT record
// says that there is a policy, and changes when the policy does. With TLS-RPT (RFC
// 8460) the domain asks to be told how the sessions went. Both are worth as much as
// the senders that play along.
//
// # What a sender calls
//
// Package outbound is the front door. A mail server that has its own SMTP client
// makes a Plan for a delivery, asks it for a Session with each host in turn, and gives the
// Session its dial function:
//
//	enforcer := &outbound.Enforcer{Observer: observer}
//
//	plan, err := enforcer.Plan(ctx, outbound.Delivery{Domain: "example.com"})
//	session, err := plan.Session(ctx, "mx1.example.com")
//	conn, err := session.Connect(ctx, dial)
//	client, err := smtp.NewClient(conn, "mx1.example.com")
//	err = client.Hello(conn.LocalName())
//
// What Connect returns is as safe as the domain's policy asks, and any SMTP client
// works on it. An error says which host to try next, or when to try again, and what
// was wanted and found. One without an SMTP client of its own lets an
// outbound.Dialer walk the hosts, or send the message as well.
//
// # The packages
//
//   - outbound: one delivery. May I use this host, with which TLS, and what came of it?
//   - mtasts: the policy of a domain. Finds it, keeps it fresh, judges a host by it.
//   - tlsrpt: the facts of a session as reports tell them; an Observer gets them. And the reports.
//   - tlsrpt/collect: counts the sessions and sends the reports, for those who would rather not.
//   - resolver: DNS with what it really says: TTL, DNSSEC status, and why it failed.
//   - cache: where knowledge of other domains is kept, within bounds.
//   - strictmxtest: a mail world on loopback to test against, with faults to order.
//
// Each can be used alone. A delivery goes through them in this order: outbound asks mtasts,
// mtasts asks resolver and the policy host and keeps the answer in cache, and what
// happened goes to the Observer as a tlsrpt.Event: to a collect.Collector, say.
package strictmx
