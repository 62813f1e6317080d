package outbound

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/strictmx/strictmx/internal/dnsname"
	"github.com/strictmx/strictmx/mtasts"
	"github.com/strictmx/strictmx/tlsrpt"
)

// Delivery is where a message goes and what it asks of the way. Only Domain is
// required.
type Delivery struct {
	// Domain is the recipient domain, the part after the @; or the smart host's
	// domain where all mail goes to one (RFC 8461, section 3.4).
	Domain string
	// Hosts are a smart host's fixed hosts, "name" or "name:port"; nil: the MX
	// records of Domain.
	Hosts []string
	// RequireTLS says that the message carries REQUIRETLS (RFC 8689, section 2):
	// no host gets it that no policy names or that does not prove itself,
	// whatever else is said here.
	RequireTLS bool
	// TLSRequiredNo says that the message's header asks for "TLS-Required: No"
	// (RFC 8689, section 3): TLS is used where it works, and no policy of the
	// domain holds the message back. Only RequireTLS and the operator's Verify
	// beat it.
	TLSRequiredNo bool
	// Report says that the message is a TLS report: nobody is told, and no
	// policy holds it back. It is for the code that made the report to set,
	// never to be taken from a header.
	Report bool // RFC 8460, sections 3 and 5.3
}

// Exception is what the operator makes of one domain.
type Exception uint8

// The exceptions.
const (
	// NoException: the domain's policy decides.
	NoException Exception = iota
	// Ignore: judge and tell, but refuse nothing.
	Ignore
	// Verify: verified TLS or nothing, even without a policy; a policy in testing
	// mode counts as enforced. Reports alone go out all the same (RFC 8460,
	// section 5.3).
	Verify
)

// Policies says which MTA-STS policy holds for a domain. It is what
// [*mtasts.Client] does, or a map in a test. An error means "try later", never
// "no policy".
type Policies interface {
	Lookup(ctx context.Context, domain string) (mtasts.Result, error)
	Refresh(ctx context.Context, domain string) (mtasts.Result, error)
}

// Enforcer holds every session of a sender to the policies of the domains it
// delivers to. The zero value works. It is safe for concurrent use, its fields
// are fixed at first use, and it must not be copied after that.
type Enforcer struct {
	// MTASTS finds policies; if nil, a zero [mtasts.Client] of its own, which
	// keeps what it learns in memory.
	MTASTS Policies
	// Observer is told of every session; if nil, nobody is.
	Observer tlsrpt.Observer
	// TLSConfig is the base of each session's configuration; if nil, the zero
	// one. RootCAs, Time, Certificates, CipherSuites and MinVersion count, and
	// VerifyConnection runs after our own checks; its error refuses the host where
	// verified TLS is demanded, and elsewhere takes Verified from the session's Level.
	// VerifyPeerCertificate is not called. MinVersion below TLS 1.2
	// lets sessions that no policy protects use what is older. If
	// ClientSessionCache is nil, the Enforcer has its own; one given here is
	// not to be shared with other uses. What decides who the other side is,
	// such as ServerName and InsecureSkipVerify, is set by each Session.
	TLSConfig *tls.Config
	// LocalName is our name in EHLO; if "", the machine's, and where that is no
	// name, the address of the connection as a literal.
	LocalName string
	// Exception is asked about each domain, in A-labels, or a literal such as
	// "[192.0.2.1]"; if nil, there are none.
	Exception func(domain string) Exception
	// Defer makes Plan fail with a temporary error where a policy that may well
	// exist could not be learned: DNS did not answer, or the last policy expired
	// lately and nothing authentic ended it.
	Defer bool
	// Logger gets one line for each session; if nil, silent.
	Logger *slog.Logger

	once  sync.Once
	own   mtasts.Client          // used where MTASTS is nil
	cache tls.ClientSessionCache // used where TLSConfig brings none
}

// ourSessions is how many TLS sessions an Enforcer keeps for resumption, if its
// TLSConfig brings no cache.
const ourSessions = 256

// start makes what the caller left out.
func (e *Enforcer) start() {
	e.own.Logger = e.Logger
	e.cache = tls.NewLRUClientSessionCache(ourSessions)
}

// Close ends what an MTASTS of its own left running in the background, and waits
// for it; a Plan made later fails for now. What the caller gave is the caller's to
// close. An Enforcer that lives as long as the process need not be closed:
// nothing runs while nothing is looked up, and each lookup has a time limit of
// its own. It returns nil.
func (e *Enforcer) Close() error {
	if e.MTASTS != nil {
		return nil
	}
	e.once.Do(e.start)
	return e.own.Close()
}

// Plan learns what d demands of the way. Its error is an [*Error], always
// temporary: the policy could not be looked up now, or Defer is set and there
// was reason to.
func (e *Enforcer) Plan(ctx context.Context, d Delivery) (*Plan, error) {
	p := &Plan{enforcer: e, delivery: d, made: time.Now()}
	p.domain, _ = dnsname.Domain(d.Domain) // what is no name has no policy (STS-08)
	exception, err := e.exception(p.name())
	if err != nil {
		return nil, p.fail("", later, err)
	}
	p.exception = exception
	return p.learn(ctx, Policies.Lookup)
}

// exception asks the operator. A hook that panics has not answered, and what it
// would have answered may have been the stricter thing: the mail waits (R20).
func (e *Enforcer) exception(domain string) (x Exception, err error) {
	if e.Exception == nil {
		return NoException, nil
	}
	defer recovered(&err, "Enforcer.Exception")
	return e.Exception(domain), nil
}

func (e *Enforcer) policies() Policies {
	if e.MTASTS != nil {
		return e.MTASTS
	}
	e.once.Do(e.start)
	return &e.own
}

func (e *Enforcer) sessionCache() tls.ClientSessionCache {
	e.once.Do(e.start)
	return e.cache
}

func (e *Enforcer) logger() *slog.Logger {
	if e.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return e.Logger
}

// observe tells the Observer. Nothing that it does may cost a mail (R20).
func (e *Enforcer) observe(event tlsrpt.Event) {
	var err error
	defer func() {
		if err != nil {
			e.logger().Error("a hook panicked", "error", err)
		}
	}()
	defer recovered(&err, "Enforcer.Observer")
	e.Observer.Observe(event)
}

// recovered makes an error of a panic in a function that a caller supplied.
func recovered(err *error, hook string) {
	if r := recover(); r != nil {
		*err = because{hook + " panicked", fmt.Errorf("%v", r)}
	}
}
