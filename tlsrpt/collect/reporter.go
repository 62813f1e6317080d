package collect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/strictmx/strictmx/cache"
	"github.com/strictmx/strictmx/resolver"
	"github.com/strictmx/strictmx/tlsrpt"
)

const (
	atOnce      = 16          // reports being worked on
	sendTimeout = time.Minute // of one call of Send

	defaultPerMailbox = 5_000 // R17
	defaultPerHost    = 50_000

	suppressFor   = 30 * 24 * time.Hour
	maxSuppressed = 10_000 // addresses
)

// A Reporter sends the reports of what a [Collector] counted: after each UTC
// day, one for each domain, to every destination in the domain's TLS-RPT record
// (RFC 8460, sections 3 and 5). It posts to https destinations by itself, and
// builds the mail for mailto destinations, which the caller signs and sends.
//
// A day is sealed half an hour after its end, and its reports go out over the
// hours that follow. Each destination gets a report once: what it does not
// accept is offered again, at growing intervals, for 24 hours and never for more
// than two days after the day. (Where a host accepts a report and its answer is
// lost, it gets the same bytes again, under the same report-id.) Nothing of a
// report is kept between attempts; it is built anew from the counts, the same to
// the byte.
//
// Collector and Submitter must be set. The fields must not be changed after the
// first use, and a Reporter must not be copied. All methods may be called
// concurrently.
type Reporter struct {
	// Collector has the counts. Run runs it, too.
	Collector *Collector
	// Submitter says who reports.
	Submitter tlsrpt.Submitter
	// Resolver looks up the records. Nil: that of the Collector, or a zero
	// [resolver.Client] if it has none. (The Collector does not ask this one: if its own
	// is nil, it has a Client to itself.) If it has the method Addr as well, the hosts of
	// https destinations are looked up with it.
	Resolver tlsrpt.Resolver
	// Send signs a mail and hands it to a queue. Nil from it means that the mail is
	// as good as sent, and is not made again. An error means: try again, for a day. One
	// that is permanent ends it at once: it has, or wraps an error that has, a method
	// Temporary() bool that returns false, as the errors of package outbound do. (Those
	// of package net do not count: a queue that is down comes back.) Suppress is for
	// addresses that turn out to be bad later.
	//
	// Its ctx ends after a minute, and with Run's; Send must return then. That is time
	// for a queue and not for a delivery: one that is cut short may arrive twice. Send
	// is called from up to 16 goroutines. Nil: nothing is mailed, and Trace.GaveUp hears
	// [ErrNoSend].
	// One to copy is in examples/dkim.
	Send func(ctx context.Context, m Mail) error
	// Transport posts to https destinations. Nil: [NewTransport] of the resolver. Only
	// RoundTrip is called, so that nothing follows a redirect.
	Transport http.RoundTripper
	// Jitter is the time that the reports of a day are spread over. 0: four hours.
	Jitter time.Duration
	// PerMailbox and PerHost are the most reports of one day for one mailbox, and
	// for one host: that of an https destination, or the domain of a mailbox. Whoever
	// publishes records chooses the destination, and it need not be their own: the
	// domains below one registered name get a sixteenth of either, except where that
	// name is the destination's as well. What follows a "+" makes no other mailbox,
	// and all hosts below one registered name are one.
	// 0: 5,000 and 50,000.
	PerMailbox, PerHost int
	// Unlimited lifts both for a mailbox "tls@example.net" or a host
	// "example.net", in lower case, whose owner is known to collect for many. It is
	// asked about a mailbox also without its tag, and about the registered name of a
	// host. Nil: none.
	Unlimited func(destination string) bool
	// Unverified posts a report also where the certificate of the host cannot be
	// verified (RFC 8460, section 3, allows it): whoever is on the way may then
	// read it. Transport must be nil or an [*http.Transport].
	Unverified bool
	// Trace has hooks. Nil, or any field of it nil: none.
	Trace *Trace
	// Logger gets what an operator should know. Nil: silent.
	Logger *slog.Logger

	once       sync.Once
	running    atomic.Bool
	clock      *clock // tests put their own here before the first use
	resolver   tlsrpt.Resolver
	poster     poster
	trace      Trace
	logger     *slog.Logger
	warnings   limiter
	jobs       jobs
	hosts      hosts
	suppressed cache.LRU[instant] // until when an address gets no mail
	seed       uint64             // of the jitter; 0: by chance
	guardMu    sync.Mutex
	guard      guard // guarded by guardMu
}

// Mail is a report to be mailed.
type Mail struct {
	Domain string // that the report is about
	// To is the recipient, an address as SMTP wants it after RCPT TO.
	To string
	// Message is a whole RFC 5322 message with CRLF line ends, and is not signed.
	// Before it is queued it must be signed with DKIM by the domain of
	// Submitter.Contact (RFC 8460, section 3; package tlsrpt says what the signature
	// must cover).
	//
	// It should be sent with a null envelope sender, so that nobody gets bounces who
	// does not want them, and must be sent whatever the TLS of the recipient's hosts
	// is like, without being counted for a report itself (RFC 8460, sections 3
	// and 5.3): with package outbound that is Envelope{Report: true}.
	Message []byte
	// Report is what the message holds; it must not be changed.
	Report *tlsrpt.Report
}

func (r *Reporter) start() {
	r.resolver, r.logger = r.Resolver, r.Logger
	if r.clock == nil {
		r.clock = newClock()
	}
	if r.resolver == nil && r.Collector != nil {
		r.resolver = r.Collector.Resolver
	}
	if r.resolver == nil {
		r.resolver = &resolver.Client{}
	}
	if r.logger == nil {
		r.logger = slog.New(slog.DiscardHandler)
	}
	r.logger = slog.New(calmHandler{r.logger.Handler()})
	if r.Trace != nil {
		r.trace = *r.Trace
	}
	if r.poster.transport = r.Transport; r.Transport == nil {
		addr, _ := r.resolver.(AddrResolver)
		r.poster.transport = NewTransport(addr)
	}
	if t, ok := r.poster.transport.(*http.Transport); ok && r.Unverified {
		r.poster.unverified = unverifying(t)
	}
	if r.seed == 0 {
		r.seed = rand.Uint64()
	}
	r.jobs.rnd = rand.New(rand.NewPCG(r.seed, 0))
	r.jobs.days, r.jobs.wake = make(map[time.Time]*sealedDay), make(chan struct{}, 1)
	r.jobs.owners = make(map[string]*owner)
	r.hosts.states.Capacity = maxTracked
	r.suppressed.Capacity = maxSuppressed
}

// check finds what can never work.
func (r *Reporter) check() error {
	_, plain := r.Transport.(*http.Transport)
	switch {
	case r.Collector == nil:
		return errors.New("collect: a Reporter needs a Collector: set Reporter.Collector to the one that observes the deliveries")
	case r.Jitter < 0 || r.PerMailbox < 0 || r.PerHost < 0:
		return errors.New("collect: Reporter.Jitter, PerMailbox and PerHost must not be negative; 0 means the default")
	case r.Unverified && r.Transport != nil && !plain:
		return errors.New("collect: Reporter.Unverified needs a Transport that is nil or an *http.Transport")
	}
	if err := r.Submitter.Check(); err != nil {
		return fmt.Errorf("collect: Reporter.Submitter cannot send reports: %w", err)
	}
	return nil
}

// Run sends reports until ctx ends, and returns ctx's error. It runs the
// Collector, too. Whatever can never work is an error at once, which says what
// to fix. When Run has returned nothing of it is left running; in the same process it
// may be called again, and goes on where it was. A second Run at the same time is an
// error.
func (r *Reporter) Run(ctx context.Context) error {
	if err := r.check(); err != nil {
		return err
	}
	if !r.running.CompareAndSwap(false, true) {
		return errors.New("collect: this Reporter is running already; one Run is enough")
	}
	defer r.running.Store(false)
	r.once.Do(r.start)
	r.Collector.reported.Store(true)

	own, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var running sync.WaitGroup
	running.Go(func() {
		if err := r.Collector.Run(own); own.Err() == nil {
			stop(fmt.Errorf("collect: the Collector stopped: %w", err))
		}
	})
	r.loop(own, &running)
	running.Wait()
	if err := ctx.Err(); err != nil {
		return err
	}
	return context.Cause(own)
}

// Suppress keeps mail from an address for 30 days: call it when your queue gives up
// on a report, as no bounce comes to a null sender. The last 10,000 addresses are remembered, while the process lasts.
func (r *Reporter) Suppress(address string) {
	r.once.Do(r.start)
	r.suppressed.Put(mailboxKey(address), r.clock.mono()+suppressFor)
}

func (r *Reporter) isSuppressed(mailbox string) bool {
	until, ok := r.suppressed.Get(mailboxKey(mailbox))
	return ok && r.clock.mono() < until
}
