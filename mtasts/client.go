package mtasts

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/strictmx/strictmx/cache"
	"github.com/strictmx/strictmx/internal/dnsname"
	"github.com/strictmx/strictmx/resolver"
)

var (
	// ErrClosed: the Client was closed; make a new one.
	ErrClosed = errors.New("mtasts: client is closed")
	// ErrBusy: keep the message and try later. Too much is being looked up, for
	// this domain's owner or at all. It never means "no policy".
	ErrBusy = errors.New("mtasts: too many lookups at a time, try later")
)

// Places in the pools of work, each shared by all domains; one parent domain
// gets at most 1/16 of each (R10).
const (
	txtPlaces        = 256
	getPlaces        = 64
	backgroundPlaces = 32

	maxWait      = 10 * time.Second // for a place, and for a Refresh
	txtTimeout   = 10 * time.Second // R10
	lookTogether = 30 * time.Second // one Refresh looks for all who ask within, R7
	maxRefused   = 128              // policies without a place that stand in for five minutes
	stale        = 5 * time.Minute  // an older GET is worth another one, STS-100
)

// Resolver looks up TXT records. A *[resolver.Client] or a [resolver.Net] fits.
// A name without records is an answer; an error means that DNS did not say.
type Resolver interface {
	TXT(ctx context.Context, name string) (resolver.Answer[string], error)
}

// A Client finds the policies of recipient domains, and keeps them as long as
// their owners ask: the cache is what protects a domain from an attacker who
// can block the discovery of its policy (RFC 8461, section 10.2). A program
// needs one Client for all its deliveries.
//
// The zero value works. Its fields must not be changed after the first use, and
// it must not be copied. All methods may be called concurrently.
type Client struct {
	// Resolver looks up the records. Nil: a zero [resolver.Client]. If it has the
	// method Addr as well, the policy hosts are looked up with it.
	Resolver Resolver
	// Transport fetches the policies. Nil: [NewTransport] of the resolver. Only
	// RoundTrip is called, so that nothing follows a redirect.
	Transport http.RoundTripper
	// Store keeps the policies found, so that they hold after a restart, too; a
	// [cache.Dir] for one. Nil: they are in memory alone, and the first contact
	// after a restart is as unprotected as any first contact. What memory has is
	// answered without it. One that fails to write costs durability and nothing
	// else; one that fails to read makes [ErrStore] of "no policy", and of no other
	// answer. It is this machine's own, and trusted: who can write to it can name
	// the hosts that mail goes to. Close does not close it, and waits for the calls of it
	// that are running: one that ignores its ctx keeps Close.
	Store cache.Store
	// Shared is where a fleet keeps what each of its processes fetched, so that the
	// others need not: it is asked where neither memory nor the Store knows a policy, and
	// when one is to be renewed. It may be slow, fail and lie as it likes: it fills a
	// hole with an enforce policy, renews or strengthens, and never weakens what is
	// known; nobody waits longer than 50 ms for it, and no error comes of it.
	// But who can write to it can name hosts where nothing is known yet: where
	// others can, give it as [cache.Sealed]. Nil: none. Close does not close it,
	// and waits for calls of it as for those of Store.
	Shared cache.Store
	// Capacity is the number of policies kept in memory; 0: 100,000, which take
	// about 40 MB, and 100 MB at most. Beside them are kept four times as many
	// absences, of which a full memory holds about 60 MB, and a quarter as many
	// failures.
	Capacity int
	// ConfirmWeaker: a policy that asks for less than the one held, names other
	// MX hosts, or ends within the day instead of later, replaces it only when a
	// second GET, at least an hour later, says the same. It guards against a policy host taken over for a
	// short time, and delays changes that the owner wants.
	ConfirmWeaker bool
	// Logger gets what an operator should know. Nil: silent.
	Logger *slog.Logger
	// Trace has hooks for metrics. Nil, or any field of it nil: none.
	Trace *Trace

	once                 sync.Once
	clock                *clock
	resolver             Resolver
	http                 http.RoundTripper
	logger               *slog.Logger
	trace                Trace
	warnings, weakenings limiter
	troubles             limiter // the Store's

	hot       hot
	memory    *memory
	absences  cache.LRU[absence]
	looks     cache.LRU[look]
	budgets   cache.LRU[instant]  // when that of a domain is full again
	refreshes cache.LRU[instant]  // when a Refresh of a domain last looked
	refused   cache.LRU[*held]    // policies that memory had no room for
	readings  cache.LRU[reading]  // of the Store
	unsaved   cache.LRU[instant]  // policies that it could not take, and when to try again
	ahead     cache.LRU[struct{}] // domains whose entry in the Store begins in the future
	misdated  cache.LRU[struct{}] // domains whose entry in Shared has an impossible time

	ctx        context.Context // of the work that outlives its callers
	cancel     context.CancelFunc
	closed     atomic.Bool
	recalling  flights[reading]
	looking    flights[struct{}]
	fetching   flights[Result]
	reads      *workPool
	writes     *workPool
	shared     *workPool
	breaker    breaker // of Shared
	txtPool    *workPool
	getPool    *workPool
	background *workPool
	jobs       jobs
	runNext    atomic.Int64  // the instant up to which Run sleeps
	rescan     chan struct{} // wakes it
	lost       atomic.Uint64

	storeErrors atomic.Uint64
}

func (c *Client) start() {
	c.clock, c.hot = newClock(), newHot()
	c.resolver, c.http, c.logger = c.Resolver, c.Transport, c.Logger
	if c.resolver == nil {
		c.resolver = &resolver.Client{}
	}
	if c.http == nil {
		addr, _ := c.resolver.(AddrResolver)
		c.http = NewTransport(addr)
	}
	if c.logger == nil {
		c.logger = slog.New(slog.DiscardHandler)
	}
	if c.Trace != nil {
		c.trace = *c.Trace
	}
	capacity := c.Capacity
	if capacity <= 0 {
		capacity = defaultCapacity
	}
	c.memory = newMemory(capacity, c.clock.base)
	c.memory.left = func(domain string) { c.readings.Delete(domain) }
	c.absences.Capacity = 4 * capacity
	c.looks.Capacity = max(capacity/4, minPerShard)
	c.budgets.Capacity = max(capacity, minPerShard)
	c.refreshes.Capacity, c.refused.Capacity = c.looks.Capacity, maxRefused
	c.readings.Capacity, c.unsaved.Capacity, c.misdated.Capacity = c.looks.Capacity, maxUnsaved, maxUnsaved
	c.ahead.Capacity = maxUnsaved
	c.reads, c.writes, c.shared = newPool(readPlaces), newPool(writePlaces), newPool(sharedPlaces)
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.txtPool, c.getPool, c.background = newPool(txtPlaces), newPool(getPlaces), newPool(backgroundPlaces)
	c.rescan = make(chan struct{}, 1)
}

// open readies the Client and reports whether it may be used.
func (c *Client) open() error {
	c.once.Do(c.start)
	if c.closed.Load() {
		return ErrClosed
	}
	return nil
}

// Lookup returns what holds for mail to domain now. It answers from memory
// where it can, without I/O; then a look at the record that is due is taken in
// the background. Else it discovers the policy: the TXT record first, and the
// policy over HTTPS if there is one (RFC 8461, section 3). Concurrent callers
// share the work, and each may leave when its ctx ends.
//
// The Result is the decision: a nil Policy means that the domain is to be
// treated as one without MTA-STS. A name that can have no policy, such as an
// address literal, gives the zero Result.
//
// An error means that Lookup could not do its work, and never that there is no
// policy; keep the message and try later. It is ctx's own error, [ErrBusy],
// [ErrClosed], one that wraps [ErrStore], or tells of a panic in what was plugged
// in.
func (c *Client) Lookup(ctx context.Context, domain string) (Result, error) {
	if err := c.open(); err != nil {
		return Result{}, err
	}
	if latest, ok := c.clock.latest(); ok {
		if r := c.hot.get(domain, latest); r != nil {
			return *r, nil
		}
	}
	name, err := dnsname.Domain(domain)
	if err != nil {
		return Result{}, nil
	}
	if r, ok := c.known(name); ok && !r.unread {
		return r, nil
	}
	return c.discover(ctx, name, false)
}

// Refresh looks again now, because a host was refused or an operator asks: at
// the TXT record, and over HTTPS if the id differs or the last GET is over five
// minutes old (RFC 8461, section 5.1). Calls less than 30 seconds apart share one
// look, each domain's budget of GETs holds here, too, and no call waits
// longer than ten seconds: then it returns what is known. Errors are those of
// [Client.Lookup].
func (c *Client) Refresh(ctx context.Context, domain string) (Result, error) {
	if err := c.open(); err != nil {
		return Result{}, err
	}
	name, err := dnsname.Domain(domain)
	if err != nil {
		return Result{}, nil
	}
	wait, cancel := context.WithTimeout(ctx, maxWait)
	defer cancel()
	r, err := c.refresh(wait, name)
	if err == nil || ctx.Err() != nil || err == ErrClosed {
		return r, err
	}
	if r, ok := c.known(name); ok && !r.unread { // whatever went wrong with looking again
		return r, nil
	}
	if wait.Err() != nil {
		return Result{}, ErrBusy
	}
	return Result{}, err
}

// Close ends what Lookup left running and waits for it; later calls fail with
// [ErrClosed]. It returns nil.
func (c *Client) Close() error {
	c.once.Do(c.start)
	c.closed.Store(true)
	c.cancel()
	c.recalling.close()
	c.looking.close()
	c.fetching.close()
	c.jobs.close()
	c.clock.stop()
	if t, ok := c.http.(interface{ CloseIdleConnections() }); ok && c.Transport == nil {
		t.CloseIdleConnections()
	}
	return nil
}
