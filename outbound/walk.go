package outbound

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/strictmx/strictmx/internal/ablation"
	"github.com/strictmx/strictmx/internal/publicaddr"
	"github.com/strictmx/strictmx/mtasts"
)

// walk is one run of Conns.
type walk struct {
	d        *Dialer
	enforcer *Enforcer
	resolver Resolver
	delivery Delivery
	end      time.Time // of the whole delivery
	yield    func(*Conn, error) bool

	plan      *Plan
	addresses int  // tried so far
	connected bool // something was yielded to use
	refused   bool // by policy, in this round
}

func (w *walk) run(ctx context.Context) {
	// The way comes first: where DNS itself cannot say, or says no under DNSSEC's
	// seal, no policy matters and none is asked for (SMTP-03, SMTP-04). Where it
	// says no without a seal, what is known of the domain's policy decides whether
	// that is believed (R12): at worst one TXT query for a domain without mail.
	rt, err := w.findRoute(ctx)
	switch {
	case err != nil:
		w.yield(nil, err)
		return
	case rt.denial != nil && rt.secure:
		w.yield(nil, rt.denial)
		return
	}
	if w.plan, err = w.enforcer.Plan(ctx, w.delivery); err != nil {
		w.yield(nil, err)
		return
	}
	if rt.denial != nil {
		w.yield(nil, w.soften(rt.denial))
		return
	}
	if !w.hosts(ctx, rt.hosts) || w.connected || !w.refused || ctx.Err() != nil {
		return
	}
	// No mail fails for a policy that has been replaced (STS-97, STS-99, STS-100).
	if plan, err := w.plan.Refresh(ctx); err == nil && plan != w.plan {
		w.plan, w.addresses = plan, 0
		w.hosts(ctx, rt.hosts)
	}
}

// hosts gives each host its turn. It returns false when the caller has had enough.
func (w *walk) hosts(ctx context.Context, hosts []candidate) bool {
	for _, c := range hosts {
		if !w.host(ctx, c) {
			return false
		}
		if ctx.Err() != nil { // the failure that came of it was told
			break
		}
	}
	return true
}

// host tries the addresses of one host, if its policies let it be one at all.
func (w *walk) host(ctx context.Context, c candidate) bool {
	s, err := w.session(ctx, c.host)
	switch {
	case c.broken && (err == nil || !w.plan.verified): // R22: refused, but not for a policy's sake
		return w.fail(w.soften(w.errorOf(c, noRoute, errBadMX)))
	case err != nil:
		return w.fail(err)
	}
	addrs, err := w.lookup(ctx, c)
	if err != nil {
		return w.fail(err)
	}
	for i, addr := range addrs {
		if w.addresses++; w.addresses > maxAddresses {
			return w.fail(w.errorOf(c, unreachable, errTooManyAddrs))
		}
		if i > 0 { // one session for each connection; what it may be is as before
			if s, err = w.session(ctx, c.host); err != nil {
				return w.fail(err)
			}
		}
		if used, more := w.connect(ctx, s, c, addr); used || !more || ctx.Err() != nil {
			return more // another address of a host that was used is the same host
		}
	}
	return true
}

// session asks the plan for a session; a fresh one where hosts that stalled have
// let it grow old (R25). What is known costs nothing to ask for again.
func (w *walk) session(ctx context.Context, host string) (*Session, error) {
	if time.Since(w.plan.made) > planLife/2 {
		plan, err := w.enforcer.Plan(ctx, w.delivery)
		if err != nil {
			return nil, err
		}
		w.plan = plan
	}
	return w.plan.Session(ctx, host)
}

var errTooManyAddrs = own("40 addresses of the domain were tried: the rest have to wait")

// lookup finds the addresses of a host: at most ten, and both families among them.
func (w *walk) lookup(ctx context.Context, c candidate) ([]netip.Addr, error) {
	if c.addr.IsValid() {
		return []netip.Addr{c.addr}, nil
	}
	ans, err := w.resolver.Addr(ctx, c.host)
	switch {
	case err != nil:
		return nil, w.errorOf(c, noAnswer, err)
	case len(ans.Records) == 0:
		e := w.errorOf(c, noRoute, errNoAddr)
		if !ans.Secure || !c.secure {
			e = w.soften(e)
		}
		return nil, e
	}
	addrs := alternate(ans.Records)
	return addrs[:min(len(addrs), maxHostAddrs)], nil
}

// connect tries one address. It says whether the caller got to use it, and
// whether it wants more.
func (w *walk) connect(ctx context.Context, s *Session, c candidate, addr netip.Addr) (used, more bool) {
	var last *limitedConn
	conn, err := s.Connect(ctx, func(ctx context.Context) (net.Conn, error) {
		// Half of the time left, so that a host which says nothing leaves some for
		// the next. It is a limit on the connection and not on ctx: a host that
		// stalls is a fact to report, a ctx that ends is not.
		now := time.Now()
		share := min(connectTimeout, max(w.end.Sub(now)/2, minShare))
		ctx, cancel := context.WithTimeout(ctx, min(dialTimeout, share))
		defer cancel()
		raw, err := w.dialer(c)(ctx, "tcp", net.JoinHostPort(addr.String(), c.port))
		if err != nil {
			return nil, err
		}
		last = newLimitedConn(raw, now.Add(share))
		return last, nil
	})
	if err != nil {
		return false, w.fail(err)
	}
	last.setLimit(w.end)
	w.connected = true
	return true, w.yield(conn, nil)
}

// dialer is what connects to a host of this kind.
func (w *walk) dialer(c candidate) func(ctx context.Context, network, address string) (net.Conn, error) {
	switch {
	case w.d.DialContext != nil:
		return w.d.DialContext
	case c.fixed: // a smart host may well be in our own network
		return new(net.Dialer).DialContext
	}
	return publicaddr.Dial // R19
}

// fail yields an error, and notes whether a policy is behind it.
func (w *walk) fail(err error) bool {
	if e, ok := errors.AsType[*Error](err); ok && e.Outcomes != nil && w.plan.verified {
		w.refused = true
	}
	return w.yield(nil, err)
}

func (w *walk) errorOf(c candidate, s status, err error) *Error {
	return w.plan.fail(shown(c.host), s, err)
}

// soften makes a permanent error of DNS that nobody signed temporary where an
// enforce policy is held: whoever forges DNS could bounce the mail (R12).
func (w *walk) soften(e *Error) *Error {
	told := *e
	told.plan = w.plan
	if !w.plan.holdsEnforce() || e.Temporary() || ablation.Off(ablation.NothingForGood) {
		return &told
	}
	return told.soft()
}

// soft is a permanent error made temporary.
func (e *Error) soft() *Error {
	soft := *e
	soft.Code, soft.EnhancedCode[0] = 451, 4
	return &soft
}

// holdsEnforce reports whether a fresh enforce policy of the domain is known,
// whatever this delivery or the operator makes of it.
func (p *Plan) holdsEnforce() bool {
	return p.result.Policy != nil && p.result.Policy.Mode == mtasts.ModeEnforce
}

// alternate lets the two families of addresses take turns, so that a machine
// without one of them reaches the other within few attempts. Each keeps its order.
func alternate(addrs []netip.Addr) []netip.Addr {
	type ranked struct {
		addr netip.Addr
		turn int
	}
	var four, six int
	all := make([]ranked, len(addrs))
	for i, a := range addrs {
		if a = a.Unmap(); a.Is4() {
			four++
			all[i] = ranked{a, four}
		} else {
			six++
			all[i] = ranked{a, six}
		}
	}
	slices.SortStableFunc(all, func(a, b ranked) int { return cmp.Compare(a.turn, b.turn) })
	out := make([]netip.Addr, len(all))
	for i, r := range all {
		out[i] = r.addr
	}
	return out
}
