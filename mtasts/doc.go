// Package mtasts is the sending side of MTA-STS (RFC 8461): it finds out what a
// recipient domain demands of the transport, keeps it as long as the domain asks,
// and judges hosts and certificates by it.
//
// Mail between servers is encrypted when both sides offer it, and whoever sits
// between them can make either believe that the other does not. A domain ends
// that by publishing a policy over HTTPS: the names of its MX hosts, and that
// mail must go to no other host, and to none without TLS and a certificate that
// verifies. A TXT record at _mta-sts.<domain> says that there is a policy, and
// changes when it does. An attacker can hide both; so a sender remembers a policy
// for its max_age, and that memory is what protects the domain.
//
// A [Client] is that memory, and the discovery that fills it. One serves a
// whole program:
//
//	var client mtasts.Client // the zero value works
//	go client.Run(ctx)       // renews what is used before it expires
//	defer client.Close()
//
//	r, err := client.Lookup(ctx, "example.com")
//	switch {
//	case err != nil:
//		// keep the message and try later
//	case r.Policy == nil || r.Policy.Mode != mtasts.ModeEnforce:
//		// deliver with TLS if it can be had; r.Cause() says why no more is asked
//	case !r.Policy.Match(host):
//		// deliver to no such host
//	}
//
// After that a host has to prove its name: [VerifyHost] judges its certificates
// during the handshake. All of it together, for every delivery and with the
// events that TLS-RPT counts, is package outbound, which most programs want
// rather than this one.
//
// # What is asked of the network
//
// An answer from memory costs no I/O. A domain of which nothing is known costs
// one TXT query, and one GET if it has a record. The record is looked at again by
// its TTL, at least a minute apart, and the policy is fetched again when a third
// of max_age has passed, at the latest daily, in the background: an unchanged
// record never extends a policy. What fails is tried again later and later, and
// a fresh policy survives it: no answer of DNS and no failure of the policy host
// removes one. Whatever a domain serves, its share of our work is small and fixed.
//
// # Restarts
//
// Memory ends with the process, and an attacker can wait for that. A Client with a
// Store writes each policy there before it relies on it, and reads it when memory
// has none:
//
//	client := &mtasts.Client{Store: &cache.Dir{Path: "/var/lib/mta/policies", Worth: mtasts.Worth}}
//
// A policy in mode enforce that the Store holds is in force at once, and its id is
// looked at in the background as ever. One that enforces nothing waits until its
// owner was asked, and counts where that fails. What the Store could not write is
// written later; where it cannot be read, "no policy" becomes [ErrStore].
//
// The processes of a fleet may have a Store in common besides, as Shared: what one
// of them fetched the others use without a fetch of their own. It is trusted less,
// and its failures cost nobody an answer.
//
// # Errors
//
// [Client.Lookup] returns a decision, not an error to interpret: what went wrong
// in discovery is in [Result].Failure, to report, and the decision already takes
// it into account. An error means "try later" and nothing else.
package mtasts
