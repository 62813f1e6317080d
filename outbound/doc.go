// Package outbound holds the sessions of a mail sender to the policies of the
// domains it delivers to.
//
// Whoever sits between two mail servers can take the STARTTLS keyword out of
// the conversation, or answer in the other server's place, and read the mail. A
// domain can forbid senders to let that happen (MTA-STS, RFC 8461), and ask to
// be told of every attempt (TLS-RPT, RFC 8460). Both need a sender that plays
// along, at each step from the MX record to the end of the handshake.
//
// An [Enforcer] plays along. Its Plan learns what a domain asks for, the Plan's
// Session says whether a host may be tried, and the Session's Connect returns a
// connection on which an SMTP client can begin: as safe as the domain asks, or
// not at all. The Enforcer's Observer is told of each session once, which is all
// that reports are made of.
//
//	enforcer := &outbound.Enforcer{}
//	plan, err := enforcer.Plan(ctx, outbound.Delivery{Domain: "example.com"})
//	// for each MX host of example.com, in order:
//	session, err := plan.Session(ctx, host)  // an error: next host
//	conn, err := session.Connect(ctx, dial)  // an error: next host
//	client, err := smtp.NewClient(conn, session.Host())
//	err = client.Hello(conn.LocalName())
//	// client.Mail, Rcpt, Data, Quit, as ever
//
// An Enforcer finds policies with an [mtasts.Client]; one of your own, to share, to
// run in the background and to close, goes into its field MTASTS:
//
//	policies := &mtasts.Client{}
//	go policies.Run(ctx)
//	defer policies.Close()
//	enforcer := &outbound.Enforcer{MTASTS: policies}
//
// A [Dialer] makes that walk by itself: its Conns yields the connections that may
// be used, and its SendMail hands over a message and returns what became of it
// for each recipient.
//
// A client that cannot be given a connection uses [Session.StartTLS], or
// [Session.TLSConfig] and [Session.Done]. What is refused is refused for now: the
// [*Error] has the reply for the sender, and says what was found, what was
// wanted, and what says so.
//
// An Enforcer demands two things of a host at most: that a policy names it, and
// that its certificate proves it. It demands both under a policy in mode
// enforce, under [Delivery].RequireTLS and, as far as there is a policy, under
// the operator's [Verify]. Otherwise it judges and tells, and refuses nothing:
// in testing mode, under [Ignore], [Delivery].TLSRequiredNo and [Delivery].Report,
// and where there is no policy.
package outbound
