package collect

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/strictmx/strictmx/internal/dnsname"
	"github.com/strictmx/strictmx/tlsrpt"
)

const (
	defaultQueue   = 4096
	defaultTimeout = 20 * time.Millisecond
)

// Datagram is a [tlsrpt.Observer] that feeds a collector daemon on this machine:
// the one that Postfix 3.10 speaks to through libtlsrpt. The daemon counts, and
// sends the reports. Every session with a domain that asks for reports becomes
// one datagram; of all others the daemon learns nothing.
//
// Observe alone sends nothing: while Run runs, what was observed is sent. Only
// Path is required. A Datagram must not be copied, and its fields must not change
// after its first use. All methods may be called at once from many goroutines.
//
// The daemon counts a session on the day that it is told, for whoever asks for
// reports then. So nothing waits for long: what cannot be told within five
// minutes is dropped, and counted in [DatagramStats].
type Datagram struct {
	// Path is the socket of the daemon, such as "/run/tlsrpt/collectd.sock". One
	// that begins with "@" is in the abstract namespace of Linux.
	Path string
	// Resolver looks up who asks for reports. If nil, a zero [resolver.Client].
	Resolver tlsrpt.Resolver
	// Queue is how many sessions wait for Run, and how many more for DNS. If zero,
	// 4096.
	Queue int
	// Timeout bounds how long one datagram waits for a daemon that is busy, or
	// that is being restarted; it is tried twice in any case. The next ones wait in
	// the queue meanwhile. If zero, 20 ms.
	Timeout time.Duration
	// MaskSendingIP leaves the address that a session came from out (RFC 8460,
	// section 8).
	MaskSendingIP bool
	// Logger is told when the daemon is lost and found. If nil, silent.
	Logger *slog.Logger

	once    sync.Once
	timeout time.Duration
	logger  *slog.Logger
	records records
	queue   chan observed
	running atomic.Bool
	seen    atomic.Uint64
	waiting atomic.Int64
	fates   [numFates]atomic.Uint64
	connect func() (outbox, error) // tests put their own here before the first use
}

// DatagramStats says what became of every session observed:
//
//	Seen = Sent + Unwanted + Malformed + Overflow + Unknown + Late + Busy + Failed + Waiting
//
// exactly so while nothing is observed and nothing sent.
type DatagramStats struct {
	Seen      uint64 // sessions observed
	Sent      uint64 // given to the daemon
	Unwanted  uint64 // with domains that ask for no reports
	Malformed uint64 // without a domain or a policy that a report could name
	Overflow  uint64 // lost: the queue was full, or the room for those that wait for DNS
	Unknown   uint64 // lost: DNS did not say whether the domain asks for reports
	Late      uint64 // lost: Run did not come to it in time
	Busy      uint64 // lost: the daemon read nothing for the length of Timeout
	Failed    uint64 // lost: there was no daemon, or it could not be reached
	Waiting   int64  // for Run or for DNS, now
}

// observed is a session that waits, and since when.
type observed struct {
	tlsrpt.Event
	at time.Time
}

// fate is what became of a session.
type fate int

const (
	fateSent fate = iota
	fateUnwanted
	fateMalformed
	fateOverflow
	fateUnknown
	fateLate
	fateBusy
	fateFailed
	numFates
)

func (d *Datagram) open() {
	d.once.Do(func() {
		room := d.Queue
		if room <= 0 {
			room = defaultQueue
		}
		d.queue = make(chan observed, room)
		if d.timeout = d.Timeout; d.timeout <= 0 {
			d.timeout = defaultTimeout
		}
		if d.logger = d.Logger; d.logger == nil {
			d.logger = slog.New(slog.DiscardHandler)
		}
		if d.connect == nil {
			d.connect = d.openSocket
		}
		d.records.resolver = d.Resolver
		d.records.open()
	})
}

// Observe queues a session for Run. It does no I/O and waits for nobody: where
// the queue is full, the session is lost and counted.
func (d *Datagram) Observe(e tlsrpt.Event) {
	d.open()
	d.seen.Add(1)
	var err error
	if e.Domain, err = dnsname.Domain(e.Domain); err != nil || !usable(e.Outcomes) {
		d.fates[fateMalformed].Add(1)
		return
	}
	if f, ok := d.records.known(e.Domain); ok && f.unwanted() {
		d.fates[fateUnwanted].Add(1) // most domains: they take no place in the queue
		return
	}
	d.waiting.Add(1)
	select {
	case d.queue <- observed{e, time.Now()}:
	default:
		d.done(fateOverflow, 1)
	}
}

// done counts what became of n sessions that waited.
func (d *Datagram) done(f fate, n int) {
	d.fates[f].Add(uint64(n))
	d.waiting.Add(-int64(n))
}

// Run sends what is observed until ctx ends, then what is left and can be sent
// within a second, and returns ctx's error. It returns at once where it cannot
// work: without a Path, when another Run runs, or on a system that has no
// datagrams on Unix sockets. That there is no daemon is no error: it may be
// started later, and restarted at any time.
func (d *Datagram) Run(ctx context.Context) error {
	d.open()
	if d.Path == "" {
		return errors.New("collect: Datagram.Path is empty: set it to the socket of the collector daemon")
	}
	if !d.running.CompareAndSwap(false, true) {
		return errors.New("collect: this Datagram has a Run already: one is enough")
	}
	defer d.running.Store(false)
	out, err := d.connect()
	if err != nil {
		return err
	}
	defer out.Close()
	w := newSender(d, out)
	w.run(ctx)
	return ctx.Err()
}

// Stats returns the counts so far.
func (d *Datagram) Stats() DatagramStats {
	return DatagramStats{
		Seen:      d.seen.Load(),
		Sent:      d.fates[fateSent].Load(),
		Unwanted:  d.fates[fateUnwanted].Load(),
		Malformed: d.fates[fateMalformed].Load(),
		Overflow:  d.fates[fateOverflow].Load(),
		Unknown:   d.fates[fateUnknown].Load(),
		Late:      d.fates[fateLate].Load(),
		Busy:      d.fates[fateBusy].Load(),
		Failed:    d.fates[fateFailed].Load(),
		Waiting:   d.waiting.Load(),
	}
}
