// Package resolver asks DNS, and says what DNS really said: the records, how
// long they may be believed, whether DNSSEC vouches for them, and, when there
// is no answer, why.
//
// A sender of mail must tell three things apart that most resolvers merge. "The
// name has no such record" is an answer, with a time to live of its own: a
// domain without an MTA-STS record has no policy, and that may be remembered.
// "The server failed" is not an answer, and nothing may be concluded from it. And
// "the answer is secure" is a claim that only a validating resolver can make, and
// only one whose word reaches us unaltered. So every method returns an [Answer],
// empty or not, or an [*Error] that names the server and the [Kind] of failure.
//
//	var c resolver.Client // asks the servers of /etc/resolv.conf
//	txt, err := c.TXT(ctx, "_mta-sts.example.com")
//	switch {
//	case err != nil:
//		log.Print(err) // resolver: TXT _mta-sts.example.com: servfail from 127.0.0.1:53 ...
//	case len(txt.Records) == 0:
//		fmt.Println("no record; ask again in", txt.TTL)
//	default:
//		fmt.Println(txt.Records[0], txt.TTL, txt.Secure)
//	}
//
// [Client] speaks to recursive resolvers over UDP, with TCP for what does not
// fit; it keeps no cache, since the resolver it asks has one. [Net] makes the
// same answers from a [*net.Resolver], as far as that can know them.
package resolver
