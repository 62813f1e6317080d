// Package tlsrpt holds the facts of SMTP TLS Reporting (RFC 8460): what became
// of each TLS session, in words that the other side can act on.
//
// A sender that checks the transport security of mail sees faults that the
// owner of the recipient domain cannot see: a certificate that expired on one
// of five MX hosts, STARTTLS that somebody on the path strips, a policy file
// that was moved. TLS-RPT is the way to tell. A domain publishes where it wants
// reports, and senders count the sessions of each day for it.
//
// This package has the vocabulary of that:
//
//   - [Event] is one session: which domain, which host, which addresses, and
//     for each policy in force an [Outcome].
//   - [Failure] is one thing that went wrong: a [ResultType] of the registry,
//     and a reason of a closed vocabulary (the Reason constants). [Advice] turns
//     it into a sentence that says what to fix.
//   - [Classify] makes failures from the error that a session ended with.
//   - [Lookup] asks DNS who wants reports about a domain, and [Record] is the
//     answer.
//   - [Observer] is the hook by which a mail server is told of every session.
//
// And of what is sent in the end:
//
//   - [NewReport] makes a [Report] of one day for one domain, and refuses what
//     may not be sent. [Report.Gzip] is what goes by HTTPS, [Report.Message] the
//     mail; sign it with DKIM over [SignedHeaders], with a key that
//     [CheckDKIMKey] finds fit.
//   - [ParseReport] reads what others send, as JSON, gzip or a whole mail,
//     within bounds.
//   - [Report.Text] says in plain words what happened and what to do.
//
// The library fills in events by itself; a mail server implements Observer and
// does with them as it likes: count, log, hand to its own reporting.
package tlsrpt
