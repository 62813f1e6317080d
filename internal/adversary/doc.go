// Package adversary is a simulation, made of tests alone, that holds the library
// to its promises against whoever controls the wires, and some of the domains.
//
// One seed makes one schedule: a world, and a list of moves of the recipient
// domain's owner, of an attacker on the DNS, HTTPS and SMTP paths, of the owners
// of junk domains, and of the mail server that sends. It is played in a bubble of fake
// time against the real mtasts.Client and outbound.Enforcer; only what lies
// beyond a wire is made up. An oracle that knows nothing of the library but
// what the fake servers sent, and when, checks each answer and each delivery.
//
//	go test ./internal/adversary -adv.n=20000          schedules of each layer
//	go test ./internal/adversary -adv.seed=17 -v       one schedule, by its number
//	go test ./internal/adversary -adv.seed=17 -adv.trace -v
//
// A failure prints the seed and the trace, one line an event. The library draws
// lots of its own and goroutines race, so a seed fixes the moves and not every
// nanosecond: a schedule that failed once may need some runs to fail again.
//
// With the build tag ablation each rule is switched off in turn, and the
// simulation must find out: it is the test of the test.
package adversary
