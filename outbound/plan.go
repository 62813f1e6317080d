package outbound

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/strictmx/strictmx/internal/ablation"
	"github.com/strictmx/strictmx/internal/dnsname"
	"github.com/strictmx/strictmx/mtasts"
	"github.com/strictmx/strictmx/tlsrpt"
)

// planLife bounds how long a snapshot of the policies may be acted on: a message
// that waited in a queue asks again.
const planLife = 10 * time.Minute

// CauseException says that a policy would be enforced, were it not for the
// operator's Exception or the message's TLSRequiredNo or Report.
const CauseException mtasts.Cause = "exception"

// Plan is the policies in force for one delivery: a snapshot, good for ten
// minutes. It is safe for concurrent use.
type Plan struct {
	enforcer  *Enforcer
	delivery  Delivery
	exception Exception
	domain    string // in A-labels; "" for what can have no policy
	made      time.Time

	result   mtasts.Result
	outcome  tlsrpt.Outcome // what discovery made of it; each session adds to a copy
	judged   bool           // a policy judges each session: enforce or testing
	named    bool           // a host that no policy names is refused
	verified bool           // a host that does not prove itself is refused

	mu      sync.Mutex      // guards refused
	refused map[string]bool // hosts that Session refused and told about
}

// learn fills in what holds for the domain.
func (p *Plan) learn(ctx context.Context, ask func(Policies, context.Context, string) (mtasts.Result, error)) (*Plan, error) {
	p.result.Domain = p.domain
	if p.domain != "" {
		result, err := p.ask(ctx, ask)
		switch {
		case err == nil:
			p.result = result
			p.result.Domain = p.domain // a map in a test need not say it
		case ctx.Err() != nil || !p.lifted():
			return nil, p.fail("", later, err)
		default: // it would hold nothing back: not knowing it does not, either
			p.result.Indeterminate = true
		}
	}
	p.outcome = p.result.Outcome()
	p.decide()
	if p.enforcer.Defer && !p.lifted() && p.result.Policy == nil {
		switch {
		case p.result.Lapsed != nil:
			return nil, p.fail("", later, errLapsed)
		case p.result.Indeterminate:
			return nil, p.fail("", later, errIndeterminate)
		}
	}
	return p, nil
}

// What Enforcer.Defer waits for (R30).
var (
	errLapsed        = own("the last policy expired lately and nothing authentic ended it: waiting for a new one")
	errIndeterminate = own("DNS did not say whether there is a policy: waiting for an answer")
)

// ask asks once. A panic of the caller's Policies becomes an error (R20).
func (p *Plan) ask(ctx context.Context, ask func(Policies, context.Context, string) (mtasts.Result, error)) (r mtasts.Result, err error) {
	defer recovered(&err, "Enforcer.MTASTS")
	return ask(p.enforcer.policies(), ctx, p.domain)
}

// decide works out what a host must show. Everything that can be demanded of a
// host is in these two: being named, and proving itself.
func (p *Plan) decide() {
	mode := mtasts.ModeNone
	if p.result.Policy != nil {
		mode = p.result.Policy.Mode
	}
	p.judged = mode == mtasts.ModeEnforce || mode == mtasts.ModeTesting
	switch {
	case p.delivery.RequireTLS: // RFC 8689, section 2: named by a policy, and proved; section 4.1: beats the header
		p.named, p.verified = true, true
	case p.lifted():
	case p.exception == Verify:
		p.named, p.verified = p.judged, true
	case mode == mtasts.ModeEnforce:
		p.named, p.verified = true, true
	}
}

// lifted reports whether nothing may be refused for a policy's sake.
func (p *Plan) lifted() bool {
	switch {
	case p.delivery.RequireTLS:
		return false
	case p.delivery.Report: // RFC 8460, section 5.3
		return true
	case p.exception == Verify: // what the operator says of a domain beats a header
		return false
	}
	return p.exception == Ignore || p.delivery.TLSRequiredNo
}

// enforced reports whether the domain has asked for nothing but proved hosts,
// whatever this delivery makes of it.
func (p *Plan) enforced() bool {
	return p.verified || p.result.Policy != nil && p.result.Policy.Mode == mtasts.ModeEnforce
}

// Cause says why the delivery goes without enforced TLS; "" when it does not.
func (p *Plan) Cause() mtasts.Cause {
	switch cause := p.result.Cause(); {
	case p.verified:
		return ""
	case cause == "" && !ablation.Off(ablation.CauseTold):
		return CauseException
	default:
		return cause
	}
}

// Result returns what is known of the domain's policy: its mode, id, age and
// what went wrong on the way to it.
func (p *Plan) Result() mtasts.Result { return p.result }

// Session returns the session with one host of the domain: a name from its MX
// records or the Delivery's Hosts, or an address, without a port. It is to be
// called before dialling. Its error is an [*Error] and means that this host may
// not be used: go on to the next.
//
// It does not look at MX records. Who does so without [Dialer.Conns] deals first
// with a null MX (RFC 7505), whose host is "" and no host, and with a domain that
// has none, which is its own host (RFC 5321, section 5.1).
func (p *Plan) Session(ctx context.Context, host string) (*Session, error) {
	if err := p.current(host); err != nil {
		return nil, err
	}
	s := &Session{plan: p}
	mismatch := tlsrpt.ReasonSTSMXMismatch // AMB-26
	if name, err := dnsname.Host(host); err == nil {
		s.host, s.serverName = name, name
	} else if a, ok := parseAddress(host); ok { // no policy can name it (STS-117)
		s.host, mismatch = a.String(), tlsrpt.ReasonAddress
	} else { // R22: it goes no further, whatever the policy
		s.host = quote(host)
		return nil, p.refuse(s, tlsrpt.ReasonInvalidName)
	}
	s.named = p.judged && s.serverName != "" && p.result.Policy.Match(s.serverName)
	switch {
	case p.named && !s.named && !ablation.Off(ablation.Named):
		return nil, p.refuse(s, mismatch)
	case p.judged && !s.named: // told with what TLS shows, as one event
		s.known = []tlsrpt.Failure{{Type: tlsrpt.ValidationFailure, Reason: mismatch}}
	}
	return s, nil
}

// refuse turns a host away before anything was dialled: told once a host, and
// without addresses (RPT-53). Where no policy judges, nobody has broken it.
func (p *Plan) refuse(s *Session, reason string) error {
	p.mu.Lock()
	known := p.refused[s.host]
	if !known {
		if p.refused == nil {
			p.refused = make(map[string]bool)
		}
		p.refused[s.host] = true
	}
	p.mu.Unlock()
	outcome := p.outcomeWith(tlsrpt.Failure{Type: tlsrpt.ValidationFailure, Reason: reason})
	if !known {
		if p.judged {
			s.tell(outcome)
		}
		s.log(Clear, outcome, true)
	}
	return p.refusal(s.host, refused, outcome, nil)
}

// outcomeWith returns the outcome of discovery and of a session as one.
func (p *Plan) outcomeWith(found ...tlsrpt.Failure) tlsrpt.Outcome {
	o := p.outcome
	o.Failures = merge(o.Failures, found)
	return o
}

// current fails when the plan is too old to act on (R25).
func (p *Plan) current(host string) error { return p.within(planLife, host) }

// within fails when the plan is older than that.
func (p *Plan) within(life time.Duration, host string) error {
	if time.Since(p.made) > life && !ablation.Off(ablation.PlanLife) {
		return p.fail(shown(host), later, errStale)
	}
	return nil
}

var errStale = own("the Plan is more than ten minutes old: make another")

// Refresh is for when every host was refused: it looks whether the policy has
// changed, and returns a Plan to walk the hosts with once more, or p itself
// where there is nothing new (RFC 8461, section 5.1). With an error, which is
// temporary, it returns p.
func (p *Plan) Refresh(ctx context.Context) (*Plan, error) {
	n, err := (&Plan{
		enforcer: p.enforcer, delivery: p.delivery, exception: p.exception,
		domain: p.domain, made: time.Now(),
	}).learn(ctx, Policies.Refresh)
	if err != nil {
		return p, err
	}
	unlearned := n.result.Policy == nil && (n.result.Indeterminate || n.result.Failure != nil)
	if unlearned || samePolicy(p.result.Policy, n.result.Policy) {
		return p, nil // not knowing better is no news (R4)
	}
	return n, nil
}

// samePolicy reports whether two policies decide alike.
func samePolicy(a, b *mtasts.Policy) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Mode == b.Mode && slices.Equal(a.MX, b.MX)
}

// name is the domain as errors and hooks show it.
func (p *Plan) name() string {
	if p.domain != "" {
		return p.domain
	}
	return shown(p.delivery.Domain)
}
